/*-------------------------------------------------------------------------
 *
 * thrift_write.c
 *	  Thrift's compact protocol, as far as Parquet uses it: writing.
 *
 * Field headers: the high nibble is the distance to the previous field id
 * (0: the id follows as a zigzag varint), the low nibble the type.  Integers
 * are zigzag varints, except for a byte.  Lists: the high nibble of the first
 * byte is the count (15: it follows as a varint), the low one the type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/thrift.h"

static void
put_varint(ThriftWriter *w, uint64 v)
{
	char		buf[10];
	int			n = 0;

	while (v >= 0x80)
	{
		buf[n++] = (char) (v | 0x80);
		v >>= 7;
	}
	buf[n++] = (char) v;
	appendBinaryStringInfo(w->out, buf, n);
}

static void
put_zigzag(ThriftWriter *w, int64 v)
{
	put_varint(w, ((uint64) v << 1) ^ (uint64) (v >> 63));
}

static void
put_field(ThriftWriter *w, int id, ThriftType type)
{
	int			delta = id - w->last_id[w->depth];

	if (delta > 0 && delta <= 15)
		appendStringInfoChar(w->out, (char) (delta << 4 | (int) type));
	else
	{
		appendStringInfoChar(w->out, (char) type);
		put_zigzag(w, id);
	}
	w->last_id[w->depth] = (int16) id;
}

void
thrift_writer_init(ThriftWriter *w, StringInfo out)
{
	w->out = out;
	w->depth = 0;
	w->last_id[0] = 0;
}

void
thrift_put_bool(ThriftWriter *w, int id, bool value)
{
	put_field(w, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_put_byte(ThriftWriter *w, int id, int8 value)
{
	put_field(w, id, THRIFT_BYTE);
	appendStringInfoChar(w->out, (char) value);
}

void
thrift_put_i16(ThriftWriter *w, int id, int16 value)
{
	put_field(w, id, THRIFT_I16);
	put_zigzag(w, value);
}

void
thrift_put_i32(ThriftWriter *w, int id, int32 value)
{
	put_field(w, id, THRIFT_I32);
	put_zigzag(w, value);
}

void
thrift_put_i64(ThriftWriter *w, int id, int64 value)
{
	put_field(w, id, THRIFT_I64);
	put_zigzag(w, value);
}

void
thrift_put_binary(ThriftWriter *w, int id, const void *data, size_t size)
{
	put_field(w, id, THRIFT_BINARY);
	thrift_element_binary(w, data, size);
}

void
thrift_put_string(ThriftWriter *w, int id, const char *value)
{
	thrift_put_binary(w, id, value, strlen(value));
}

void
thrift_begin(ThriftWriter *w, int id)
{
	if (id != 0)
		put_field(w, id, THRIFT_STRUCT);
	if (w->depth + 1 >= THRIFT_MAX_DEPTH)
		elog(ERROR, "Thrift structs nested deeper than %d", THRIFT_MAX_DEPTH);
	w->last_id[++w->depth] = 0;
}

void
thrift_end(ThriftWriter *w)
{
	appendStringInfoChar(w->out, THRIFT_STOP);
	if (w->depth > 0)
		w->depth--;
}

void
thrift_put_list(ThriftWriter *w, int id, ThriftType element, uint32 count)
{
	put_field(w, id, THRIFT_LIST);
	if (count < 15)
		appendStringInfoChar(w->out, (char) (count << 4 | (uint32) element));
	else
	{
		appendStringInfoChar(w->out, (char) (0xf0 | (int) element));
		put_varint(w, count);
	}
}

void
thrift_element_bool(ThriftWriter *w, bool value)
{
	appendStringInfoChar(w->out, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_element_i32(ThriftWriter *w, int32 value)
{
	put_zigzag(w, value);
}

void
thrift_element_i64(ThriftWriter *w, int64 value)
{
	put_zigzag(w, value);
}

void
thrift_element_binary(ThriftWriter *w, const void *data, size_t size)
{
	put_varint(w, size);
	appendBinaryStringInfo(w->out, data, (int) size);
}
