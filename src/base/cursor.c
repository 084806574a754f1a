/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Bounded reads from bytes that came out of a file.
 *
 * The fast halves are inline in cursor.h; here is what fails, and varints.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"

#define VARINT_MAX_BYTES 10

void
cursor_init(Cursor *c, const void *data, size_t size,
			const char *what, const char *object, uint64 file_offset)
{
	c->start = data;
	c->pos = data;
	/* data may be NULL when size is 0; NULL + 0 is undefined in C */
	c->end = size > 0 ? c->start + size : c->start;
	c->file_offset = file_offset;
	c->what = what;
	c->object = object;
}

void
cursor_fail(const Cursor *c, const char *fmt,...)
{
	char		problem[256];
	uint64		offset = c->file_offset + (uint64) (c->pos - c->start);
	va_list		args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	if (c->object)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read %s in \"%s\": %s", c->what, c->object, problem),
				 errdetail("Byte offset " UINT64_FORMAT ".", offset)));
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read %s: %s", c->what, problem),
				 errdetail("Byte offset " UINT64_FORMAT ".", offset)));
	pg_unreachable();
}

void
cursor_short(const Cursor *c, uint64 size)
{
	cursor_fail(c, UINT64_FORMAT " bytes needed, %zu remain", size, cursor_left(c));
}

uint64
cursor_varint(Cursor *c)
{
	uint64		v = 0;

	for (int i = 0; i < VARINT_MAX_BYTES; i++)
	{
		uint8		byte = cursor_u8(c);

		/* the tenth byte has room for one bit */
		if (i == VARINT_MAX_BYTES - 1 && byte > 1)
			break;
		v |= (uint64) (byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return v;
	}
	cursor_fail(c, "variable-length integer exceeds 64 bits");
}
