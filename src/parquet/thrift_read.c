/*-------------------------------------------------------------------------
 *
 * thrift_read.c
 *	  Thrift's compact protocol, as far as Parquet uses it: reading.  The
 *	  layout is described in thrift_write.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/thrift.h"

void
thrift_reader_init(ThriftReader *r, Cursor *cursor)
{
	r->cursor = cursor;
	r->depth = -1;
}

void
thrift_struct_begin(ThriftReader *r)
{
	if (r->depth + 1 >= THRIFT_MAX_DEPTH)
		cursor_fail(r->cursor, "structs nested deeper than %d", THRIFT_MAX_DEPTH);
	r->last_id[++r->depth] = 0;
}

/* An integer that must fit the type the field declares. */
static int64
read_integer(ThriftReader *r, int64 min, int64 max)
{
	int64		v = cursor_zigzag(r->cursor);

	if (v < min || v > max)
		cursor_fail(r->cursor, "integer " INT64_FORMAT " out of range", v);
	return v;
}

static void
expect(ThriftReader *r, const ThriftField *f, ThriftType type)
{
	if (f->type != type)
		cursor_fail(r->cursor, "field %d has type %d instead of %d",
					f->id, (int) f->type, (int) type);
}

bool
thrift_next_field(ThriftReader *r, ThriftField *f)
{
	uint8		head = cursor_u8(r->cursor);
	int			delta = head >> 4;
	int64		id;

	f->type = (ThriftType) (head & 0x0f);
	if (f->type == THRIFT_STOP)
	{
		if (head != 0)
			cursor_fail(r->cursor, "field header %u has no type", head);
		r->depth--;
		return false;
	}
	if (f->type > THRIFT_UUID)
		cursor_fail(r->cursor, "unknown type %d", (int) f->type);
	if (delta != 0)
		id = r->last_id[r->depth] + delta;
	else
		id = cursor_zigzag(r->cursor);
	if (id < PG_INT16_MIN || id > PG_INT16_MAX)
		cursor_fail(r->cursor, "field id " INT64_FORMAT " out of range", id);
	f->id = (int) id;
	r->last_id[r->depth] = (int16) id;
	return true;
}

bool
thrift_read_bool(ThriftReader *r, const ThriftField *f)
{
	if (f->type != THRIFT_TRUE && f->type != THRIFT_FALSE)
		expect(r, f, THRIFT_TRUE);
	return f->type == THRIFT_TRUE;
}

int8
thrift_read_byte(ThriftReader *r, const ThriftField *f)
{
	expect(r, f, THRIFT_BYTE);
	return (int8) cursor_u8(r->cursor);
}

int16
thrift_read_i16(ThriftReader *r, const ThriftField *f)
{
	expect(r, f, THRIFT_I16);
	return (int16) read_integer(r, PG_INT16_MIN, PG_INT16_MAX);
}

int32
thrift_read_i32(ThriftReader *r, const ThriftField *f)
{
	expect(r, f, THRIFT_I32);
	return thrift_item_i32(r);
}

int64
thrift_read_i64(ThriftReader *r, const ThriftField *f)
{
	expect(r, f, THRIFT_I64);
	return thrift_item_i64(r);
}

const char *
thrift_read_binary(ThriftReader *r, const ThriftField *f, uint32 *size)
{
	expect(r, f, THRIFT_BINARY);
	return thrift_item_binary(r, size);
}

char *
thrift_read_string(ThriftReader *r, const ThriftField *f)
{
	uint32		size;
	const char *data = thrift_read_binary(r, f, &size);

	return pnstrdup(data, size);
}

void
thrift_enter(ThriftReader *r, const ThriftField *f)
{
	expect(r, f, THRIFT_STRUCT);
	thrift_struct_begin(r);
}

/* A list's (or set's) first bytes: element type and count. */
static uint32
read_list_header(ThriftReader *r, ThriftType *element)
{
	uint8		head = cursor_u8(r->cursor);
	uint64		count = head >> 4;

	*element = (ThriftType) (head & 0x0f);
	if (count == 15)
		count = cursor_varint(r->cursor);
	if (count > cursor_left(r->cursor) || count > PG_INT32_MAX)
		cursor_fail(r->cursor, "list of " UINT64_FORMAT " elements in %zu bytes",
					count, cursor_left(r->cursor));
	if (*element == THRIFT_FALSE)
		*element = THRIFT_TRUE;
	return (uint32) count;
}

uint32
thrift_read_list(ThriftReader *r, const ThriftField *f, ThriftType element)
{
	ThriftType	found;
	uint32		count;

	expect(r, f, THRIFT_LIST);
	count = read_list_header(r, &found);
	if (count > 0 && found != element)
		cursor_fail(r->cursor, "list in field %d has elements of type %d instead of %d",
					f->id, (int) found, (int) element);
	return count;
}

void *
thrift_list_alloc(uint32 count, size_t size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max((size_t) count, 1) * size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

bool
thrift_item_bool(ThriftReader *r)
{
	uint8		b = cursor_u8(r->cursor);

	/* false is 2 by the specification, 0 by some writers */
	if (b > THRIFT_FALSE)
		cursor_fail(r->cursor, "boolean %u", b);
	return b == THRIFT_TRUE;
}

int32
thrift_item_i32(ThriftReader *r)
{
	return (int32) read_integer(r, PG_INT32_MIN, PG_INT32_MAX);
}

int64
thrift_item_i64(ThriftReader *r)
{
	return cursor_zigzag(r->cursor);
}

const char *
thrift_item_binary(ThriftReader *r, uint32 *size)
{
	uint64		n = cursor_varint(r->cursor);

	if (n > PG_INT32_MAX)
		cursor_fail(r->cursor, "binary value of " UINT64_FORMAT " bytes", n);
	*size = (uint32) n;
	return (const char *) cursor_bytes(r->cursor, n);
}

static void skip_value(ThriftReader *r, ThriftType type, int depth);

static void
skip_struct(ThriftReader *r, int depth)
{
	ThriftField f;

	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		/* a boolean field has no bytes of its own, unlike an element */
		if (f.type != THRIFT_TRUE && f.type != THRIFT_FALSE)
			skip_value(r, f.type, depth + 1);
	}
}

static void
skip_map(ThriftReader *r, int depth)
{
	uint64		count = cursor_varint(r->cursor);
	uint8		types;

	if (count == 0)
		return;
	types = cursor_u8(r->cursor);
	if (count > cursor_left(r->cursor))
		cursor_fail(r->cursor, "map of " UINT64_FORMAT " entries in %zu bytes",
					count, cursor_left(r->cursor));
	for (uint64 i = 0; i < count; i++)
	{
		skip_value(r, (ThriftType) (types >> 4), depth + 1);
		skip_value(r, (ThriftType) (types & 0x0f), depth + 1);
	}
}

/* `depth` counts lists and maps too, which the reader's own stack does not. */
static void
skip_value(ThriftReader *r, ThriftType type, int depth)
{
	ThriftType	element;
	uint32		count;

	if (depth >= THRIFT_MAX_DEPTH)
		cursor_fail(r->cursor, "values nested deeper than %d", THRIFT_MAX_DEPTH);
	switch (type)
	{
		case THRIFT_TRUE:
		case THRIFT_FALSE:
		case THRIFT_BYTE:
			(void) cursor_u8(r->cursor);
			break;
		case THRIFT_I16:
		case THRIFT_I32:
		case THRIFT_I64:
			(void) cursor_varint(r->cursor);
			break;
		case THRIFT_DOUBLE:
			(void) cursor_bytes(r->cursor, 8);
			break;
		case THRIFT_UUID:
			(void) cursor_bytes(r->cursor, 16);
			break;
		case THRIFT_BINARY:
			(void) cursor_bytes(r->cursor, cursor_varint(r->cursor));
			break;
		case THRIFT_LIST:
		case THRIFT_SET:
			count = read_list_header(r, &element);
			for (uint32 i = 0; i < count; i++)
				skip_value(r, element, depth + 1);
			break;
		case THRIFT_MAP:
			skip_map(r, depth);
			break;
		case THRIFT_STRUCT:
			skip_struct(r, depth);
			break;
		default:
			cursor_fail(r->cursor, "unknown type %d", (int) type);
	}
}

void
thrift_skip_field(ThriftReader *r, const ThriftField *f)
{
	if (f->type != THRIFT_TRUE && f->type != THRIFT_FALSE)
		skip_value(r, f->type, 0);
}

void
thrift_require(ThriftReader *r, bool seen, const char *name)
{
	if (!seen)
		cursor_fail(r->cursor, "required field \"%s\" is missing", name);
}
