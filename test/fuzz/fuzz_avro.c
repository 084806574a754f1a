/*-------------------------------------------------------------------------
 *
 * fuzz_avro.c
 *	  Avro files of any content: no crash, no endless loop, bounded memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/file.h"
#include "fuzz.h"

static void
read_file(const uint8 *data, size_t size)
{
	AvroFile   *f = avro_file_open(data, size, "fuzz");
	MemoryContext context = CurrentMemoryContext;
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_file, data, size);
}
