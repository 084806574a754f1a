/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Avro's binary encoding (Avro 1.11 spec, "Binary Encoding").
 *
 * What a datum may cost is bounded before anything is allocated: nulls and
 * empty records take no bytes, so a few bytes of a damaged file could ask
 * for any number of values, also by records nested in records.  A budget of
 * values in proportion to the bytes that remain stops both; no manifest of
 * any writer comes near it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/value.h"
#include "miscadmin.h"

#define AVRO_MAX_DEPTH 64

typedef struct ValueReader
{
	Cursor	   *cursor;
	uint64		budget;			/* values that may still be made */
	int			depth;
} ValueReader;

static void read_value(ValueReader *r, const AvroSchema *schema, AvroValue *value);

static void
spend(ValueReader *r, uint64 n)
{
	if (n > r->budget)
		cursor_fail(r->cursor, "more values than its bytes can hold");
	r->budget -= n;
}

static void
read_bytes(ValueReader *r, AvroValue *value, uint64 size)
{
	value->u.bytes.size = size;
	value->u.bytes.data = (const char *) cursor_bytes(r->cursor, size);
}

static uint64
read_size(ValueReader *r)
{
	int64		size = cursor_zigzag(r->cursor);

	if (size < 0)
		cursor_fail(r->cursor, "negative length");
	return (uint64) size;
}

static void
read_record(ValueReader *r, const AvroSchema *schema, AvroValue *value)
{
	int			n = schema->nbranches;

	spend(r, n);
	value->u.list.nitems = n;
	value->u.list.items = palloc(sizeof(AvroValue) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_value(r, schema->branches[i], &value->u.list.items[i]);
}

/* Items of the next block of an array or map; 0 at the end. */
static uint64
read_block_count(ValueReader *r)
{
	int64		count = cursor_zigzag(r->cursor);

	if (count >= 0)
		return (uint64) count;
	/* a negative count is followed by the block's size, for skipping */
	(void) cursor_zigzag(r->cursor);
	if (count == PG_INT64_MIN)
		cursor_fail(r->cursor, "block count out of range");
	return (uint64) -count;
}

/* Arrays and maps: a map's items are key, value, key, value. */
static void
read_blocks(ValueReader *r, const AvroSchema *schema, AvroValue *value)
{
	static const AvroSchema key_schema = {.kind = AVRO_STRING};
	int			step = schema->kind == AVRO_MAP ? 2 : 1;
	uint64		capacity = 0;
	uint64		n = 0;
	uint64		count;
	AvroValue  *items = NULL;

	while ((count = read_block_count(r)) > 0)
	{
		if (count > r->budget || count * step > PG_INT32_MAX - n)
			cursor_fail(r->cursor, "more values than its bytes can hold");
		spend(r, count * step);
		if (n + count * step > capacity)
		{
			capacity = Max(n + count * step, capacity * 2);
			items = items ? repalloc(items, capacity * sizeof(AvroValue)) :
				palloc(capacity * sizeof(AvroValue));
		}
		for (uint64 i = 0; i < count; i++)
		{
			if (step == 2)
				read_value(r, &key_schema, &items[n++]);
			read_value(r, schema->branches[0], &items[n++]);
		}
		CHECK_FOR_INTERRUPTS();
	}
	value->u.list.items = items;
	value->u.list.nitems = (int) n;
}

static void
read_union(ValueReader *r, const AvroSchema *schema, AvroValue *value)
{
	int64		branch = cursor_zigzag(r->cursor);

	if (branch < 0 || branch >= schema->nbranches)
		cursor_fail(r->cursor, "union branch %lld of %d", (long long) branch, schema->nbranches);
	read_value(r, schema->branches[branch], value);
}

static int64
read_integer(ValueReader *r, int64 min, int64 max)
{
	int64		i = cursor_zigzag(r->cursor);

	if (i < min || i > max)
		cursor_fail(r->cursor, "integer %lld out of range", (long long) i);
	return i;
}

static double
read_float(ValueReader *r)
{
	uint32		bits = cursor_u32le(r->cursor);
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static double
read_double(ValueReader *r)
{
	uint64		bits = cursor_u64le(r->cursor);
	double		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static bool
read_boolean(ValueReader *r)
{
	uint8		byte = cursor_u8(r->cursor);

	if (byte > 1)
		cursor_fail(r->cursor, "boolean with value %d", byte);
	return byte == 1;
}

static void
read_value(ValueReader *r, const AvroSchema *schema, AvroValue *value)
{
	if (++r->depth > AVRO_MAX_DEPTH)
		cursor_fail(r->cursor, "values nested more than %d deep", AVRO_MAX_DEPTH);
	value->kind = schema->kind;
	value->schema = schema;
	switch (schema->kind)
	{
		case AVRO_NULL:
			break;
		case AVRO_BOOLEAN:
			value->u.boolean = read_boolean(r);
			break;
		case AVRO_INT:
			value->u.i64 = read_integer(r, PG_INT32_MIN, PG_INT32_MAX);
			break;
		case AVRO_LONG:
			value->u.i64 = cursor_zigzag(r->cursor);
			break;
		case AVRO_FLOAT:
			value->u.f64 = read_float(r);
			break;
		case AVRO_DOUBLE:
			value->u.f64 = read_double(r);
			break;
		case AVRO_BYTES:
		case AVRO_STRING:
			read_bytes(r, value, read_size(r));
			break;
		case AVRO_FIXED:
			read_bytes(r, value, schema->size);
			break;
		case AVRO_ENUM:
			value->u.i64 = read_integer(r, 0, (int64) schema->nbranches - 1);
			break;
		case AVRO_ARRAY:
		case AVRO_MAP:
			read_blocks(r, schema, value);
			break;
		case AVRO_UNION:
			read_union(r, schema, value);
			break;
		case AVRO_RECORD:
			read_record(r, schema, value);
			break;
	}
	r->depth--;
}

void
avro_read(Cursor *c, const AvroSchema *schema, AvroValue *value)
{
	ValueReader r = {c, 2 * (uint64) cursor_left(c) + 1024, 0};

	read_value(&r, schema, value);
}

const AvroValue *
avro_field(const AvroValue *record, int field_id, const char *name)
{
	const AvroSchema *schema = record->schema;

	if (record->kind != AVRO_RECORD)
		return NULL;
	if (field_id != 0)
	{
		for (int i = 0; i < record->u.list.nitems; i++)
			if (schema->field_ids[i] == field_id)
				return &record->u.list.items[i];
	}
	if (name == NULL)
		return NULL;
	for (int i = 0; i < record->u.list.nitems; i++)
		if ((field_id == 0 || schema->field_ids[i] == 0) &&
			strcmp(schema->field_names[i], name) == 0)
			return &record->u.list.items[i];
	return NULL;
}

void
avro_put_long(StringInfo out, int64 value)
{
	uint64		v = ((uint64) value << 1) ^ (uint64) (value >> 63);
	char		bytes[10];
	int			n = 0;

	while (v >= 0x80)
	{
		bytes[n++] = (char) (v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (char) v;
	appendBinaryStringInfo(out, bytes, n);
}

void
avro_put_boolean(StringInfo out, bool value)
{
	appendStringInfoCharMacro(out, value ? 1 : 0);
}

void
avro_put_bytes(StringInfo out, const void *data, size_t size)
{
	avro_put_long(out, (int64) size);
	appendBinaryStringInfo(out, data, (int) size);
}
