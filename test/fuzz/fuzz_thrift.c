/*-------------------------------------------------------------------------
 *
 * fuzz_thrift.c
 *	  Any bytes as a Thrift struct: skipped whole, or refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "parquet/thrift.h"

static void
skip_struct(const uint8 *data, size_t size)
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(skip_struct, data, size);
}
