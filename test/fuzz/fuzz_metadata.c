/*-------------------------------------------------------------------------
 *
 * fuzz_metadata.c
 *	  Table metadata of any content: what is read is written and read again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "iceberg/metadata.h"

static void
read_and_write(const uint8 *data, size_t size)
{
	IcebergMetadata *m = iceberg_metadata_read((const char *) data, size, "fuzz");
	StringInfo	first = makeStringInfo();
	StringInfo	second = makeStringInfo();

	/* no error may come of what was accepted before, and the form is stable */
	PG_TRY();
	{
		iceberg_metadata_write(first, m);
		iceberg_metadata_write(second, iceberg_metadata_read(first->data, (size_t) first->len, "again"));
	}
	PG_CATCH();
	{
		abort();
	}
	PG_END_TRY();
	if (strcmp(first->data, second->data) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_and_write, data, size);
}
