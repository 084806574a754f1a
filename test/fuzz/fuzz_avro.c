/*-------------------------------------------------------------------------
 *
 * fuzz_avro.c
 *	  Avro files of any content: no crash, no endless loop, bounded memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/file.h"
#include "utils/memutils.h"

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	PG_TRY();
	{
		AvroFile   *f = avro_file_open(data, size, "fuzz");
		MemoryContext datum_context = AllocSetContextCreate(context, "datum", ALLOCSET_DEFAULT_SIZES);

		while (avro_file_more(f))
		{
			AvroValue	value;

			MemoryContextSwitchTo(datum_context);
			avro_file_next(f, &value);
			MemoryContextSwitchTo(context);
			MemoryContextReset(datum_context);
		}
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return 0;
}
