/*-------------------------------------------------------------------------
 *
 * fuzz_thrift.c
 *	  Any bytes as a Thrift struct: skipped whole, or refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/thrift.h"
#include "utils/memutils.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		Cursor		c;
		ThriftReader r;
		ThriftField f;

		cursor_init(&c, data, size, "Thrift struct", "fuzz", 0);
		thrift_reader_init(&r, &c);
		thrift_struct_begin(&r);
		while (thrift_next_field(&r, &f))
			thrift_skip_field(&r, &f);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return 0;
}
