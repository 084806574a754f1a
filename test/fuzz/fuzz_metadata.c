/*-------------------------------------------------------------------------
 *
 * fuzz_metadata.c
 *	  Table metadata of any content: what is read is written and read again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/metadata.h"
#include "utils/memutils.h"

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IcebergMetadata *volatile m = NULL;

	PG_TRY();
	{
		m = iceberg_metadata_read((const char *) data, size, "fuzz");
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	if (m != NULL)
	{
		StringInfoData first;
		StringInfoData second;

		/* no error may come of what was accepted before, and the form is stable */
		initStringInfo(&first);
		iceberg_metadata_write(&first, m);
		initStringInfo(&second);
		iceberg_metadata_write(&second, iceberg_metadata_read(first.data, first.len, "again"));
		if (strcmp(first.data, second.data) != 0)
			abort();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return 0;
}
