/*-------------------------------------------------------------------------
 *
 * fuzz_file_wire.c
 *	  Any bytes as a message of another process: a data file's entry, or what
 *	  a nested column consists of.  What was read is written and read again,
 *	  and must be the same message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "pipeline/file_wire.h"

static void
take_file(Cursor *in, StringInfo out)
{
	IcebergDataFile file;

	wire_get_file(in, &file);
	wire_put_file(out, &file);
}

static void
take_node(Cursor *in, StringInfo out)
{
	wire_put_node(out, wire_get_node(in));
}

static void
read_twice(void (*take) (Cursor *, StringInfo), const uint8_t *data, size_t size)
{
	Cursor		in;
	StringInfo	first = makeStringInfo();
	StringInfo	second = makeStringInfo();

	cursor_init(&in, data, size, "message", "fuzz", 0);
	take(&in, first);
	cursor_init(&in, first->data, (size_t) first->len, "message", "again", 0);
	take(&in, second);
	if (cursor_left(&in) != 0 || first->len != second->len ||
		memcmp(first->data, second->data, (size_t) first->len) != 0)
		abort();
}

static void
read_message(const uint8 *data, size_t size)
{
	if (size > 0)
		read_twice(data[0] & 1 ? take_node : take_file, data + 1, size - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(read_message, data, size);
}
