/*-------------------------------------------------------------------------
 *
 * test_avro_file.c
 *	  Avro files: what is written is read, damage is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zstd.h>

#include "avro/file.h"
#include "codec/codec.h"
#include "tap.h"

static const char schema[] =
"{\"type\":\"record\",\"name\":\"r\",\"fields\":["
"{\"name\":\"n\",\"type\":\"long\",\"field-id\":1},"
"{\"name\":\"s\",\"type\":[\"null\",\"string\"],\"field-id\":2},"
"{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"int\",\"element-id\":4},\"field-id\":3},"
"{\"name\":\"b\",\"type\":\"boolean\"}]}";

#define NDATA 5000

static AvroWriter *
write_file(bool deflate, int ndata)
{
	const char *meta[] = {"who", "tarn", NULL};
	AvroWriter *w = avro_writer_create(schema, deflate, meta);

	for (int i = 0; i < ndata; i++)
	{
		avro_put_long(&w->block, (int64) i * 1000003 - PG_INT32_MAX);
		avro_put_long(&w->block, i % 2);
		if (i % 2)
			avro_put_bytes(&w->block, "some text", 9);
		for (int k = 0; k < i % 5; k++)
		{
			avro_put_long(&w->block, 1);
			avro_put_long(&w->block, -k);
		}
		avro_put_long(&w->block, 0);
		avro_put_boolean(&w->block, i % 3 == 0);
		w->count++;
		avro_writer_end_datum(w);
	}
	avro_writer_finish(w);
	return w;
}

static bool
check_datum(const AvroValue *v, int i)
{
	const AvroValue *n = avro_field(v, 1, NULL);
	const AvroValue *s = avro_field(v, 2, NULL);
	const AvroValue *a = avro_field(v, 3, NULL);
	const AvroValue *b = avro_field(v, 0, "b");
	bool		right = n && s && a && b;

	right = right && n->u.i64 == (int64) i * 1000003 - PG_INT32_MAX;
	right = right && s->kind == (i % 2 ? AVRO_STRING : AVRO_NULL);
	if (right && i % 2)
		right = s->u.bytes.size == 9 && memcmp(s->u.bytes.data, "some text", 9) == 0;
	right = right && a->u.list.nitems == i % 5;
	for (int k = 0; right && k < i % 5; k++)
		right = a->u.list.items[k].u.i64 == -k;
	return right && b->u.boolean == (i % 3 == 0);
}

static int
read_file(const void *data, size_t size, const char *what)
{
	AvroFile   *f = avro_file_open(data, size, "test.avro");
	AvroValue	v;
	int			n = 0;
	bool		right = true;

	while (avro_file_next(f, &v))
		right &= check_datum(&v, n++);
	if (what != NULL)
	{
		ok(right, "%s: the values", what);
		is_int(n, NDATA, "%s: all of them", what);
		is_str(avro_file_meta(f, "who"), "tarn", "%s: its metadata", what);
	}
	return n;
}

static void
test_round_trip(void)
{
	AvroWriter *plain = write_file(false, NDATA);
	AvroWriter *deflated = write_file(true, NDATA);

	read_file(plain->out.data, plain->out.len, "plain");
	read_file(deflated->out.data, deflated->out.len, "deflate");
	ok(deflated->out.len < plain->out.len / 2, "deflate makes it smaller");
	ok(memcmp(plain->out.data, write_file(false, NDATA)->out.data, plain->out.len) == 0,
	   "the same content is the same file");
	tap_corpus("fuzz_avro", "plain", plain->out.data, 2000);
	tap_corpus("fuzz_avro", "deflate", deflated->out.data, deflated->out.len);
}

/* The plain file's blocks in another codec. */
static void
transcode(StringInfo out, const char *codec_name, const AvroWriter *plain, bool damage)
{
	Cursor		c;
	int64		count;
	int64		size;
	const uint8 *block;
	char	   *packed;
	size_t		n;
	const char *marker = plain->sync;

	appendBinaryStringInfo(out, "Obj\001", 4);
	avro_put_long(out, 3);
	avro_put_bytes(out, "avro.schema", 11);
	avro_put_bytes(out, schema, strlen(schema));
	avro_put_bytes(out, "avro.codec", 10);
	avro_put_bytes(out, codec_name, strlen(codec_name));
	avro_put_bytes(out, "who", 3);
	avro_put_bytes(out, "tarn", 4);
	avro_put_long(out, 0);
	appendBinaryStringInfo(out, marker, 16);

	/* past the plain file's header */
	cursor_init(&c, plain->out.data, plain->out.len, "plain", NULL, 0);
	while (memcmp(c.pos, marker, 16) != 0)
		c.pos++;
	c.pos += 16;
	while (cursor_left(&c) > 0)
	{
		count = cursor_zigzag(&c);
		size = cursor_zigzag(&c);
		block = cursor_bytes(&c, size);
		cursor_bytes(&c, 16);
		if (strcmp(codec_name, "zstandard") == 0)
		{
			packed = palloc(ZSTD_compressBound(size));
			n = ZSTD_compress(packed, ZSTD_compressBound(size), block, size, 3);
		}
		else
		{
			const Codec *snappy = codec_by_id(CODEC_SNAPPY);
			uint32		crc = 0xffffffff;

			packed = palloc(snappy->bound(size) + 4);
			n = snappy->compress(0, block, size, packed, snappy->bound(size));
			for (int64 i = 0; i < size; i++)
			{
				crc ^= block[i];
				for (int k = 0; k < 8; k++)
					crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
			}
			crc = ~crc;
			for (int k = 0; k < 4; k++)
				packed[n++] = (char) (crc >> (24 - 8 * k));
		}
		if (damage)
			packed[n - 1] ^= 1;
		avro_put_long(out, count);
		avro_put_bytes(out, packed, n);
		appendBinaryStringInfo(out, marker, 16);
	}
}

static void
test_codecs(void)
{
	static const char *const names[] = {"snappy", "zstandard"};
	AvroWriter *plain = write_file(false, NDATA);

	for (int i = 0; i < lengthof(names); i++)
	{
		StringInfoData whole;
		StringInfoData damaged;

		initStringInfo(&whole);
		transcode(&whole, names[i], plain, false);
		read_file(whole.data, whole.len, names[i]);
		tap_corpus("fuzz_avro", names[i], whole.data, whole.len);
		if (strcmp(names[i], "snappy") != 0)
			continue;
		initStringInfo(&damaged);
		transcode(&damaged, names[i], plain, true);
		throws(ERRCODE_DATA_CORRUPTED, read_file(damaged.data, damaged.len, NULL), "checksum",
			   "%s: a wrong checksum is refused", names[i]);
	}
}

/* Bytes of a file with that schema and one block. */
static StringInfo
file_of(const char *schema_json, int64 count, const char *block, size_t size)
{
	StringInfo	out = makeStringInfo();

	appendBinaryStringInfo(out, "Obj\001", 4);
	avro_put_long(out, 1);
	avro_put_bytes(out, "avro.schema", 11);
	avro_put_bytes(out, schema_json, strlen(schema_json));
	avro_put_long(out, 0);
	appendBinaryStringInfo(out, "0123456789abcdef", 16);
	avro_put_long(out, count);
	avro_put_bytes(out, block, size);
	appendBinaryStringInfo(out, "0123456789abcdef", 16);
	return out;
}

static void
refuses(const char *schema_json, int64 count, const char *block, size_t size, const char *part, const char *name)
{
	StringInfo	file = file_of(schema_json, count, block, size);

	throws(ERRCODE_DATA_CORRUPTED,
		   {
			   AvroFile   *f = avro_file_open(file->data, file->len, "bad.avro");
			   AvroValue	v;

			   while (avro_file_next(f, &v))
				   ;
		   },
		   part, "%s", name);
}

static void
test_damage(void)
{
	StringInfoData deep;

	refuses("\"string\"", 1, "\x7f", 1, "", "a string longer than its block");
	refuses("\"string\"", 1, "\x01", 1, "negative", "a negative length");
	refuses("\"boolean\"", 1, "\x02", 1, "boolean", "a boolean that is neither");
	refuses("\"int\"", 1, "\xfe\xff\xff\xff\xff\x7f", 6, "out of range", "an int of more than 32 bits");
	refuses("[\"null\",\"int\"]", 1, "\x04", 1, "union branch", "a union branch that is not there");
	refuses("{\"type\":\"array\",\"items\":\"null\"}", 1, "\xfe\xff\xff\xff\xff\x7f\x00", 7, "more values",
			"an array of nulls without bytes");
	refuses("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", 1, "\x02", 1, "out of range",
			"an enum beyond its symbols");
	refuses("\"null\"", 1000000, "", 0, "data", "more data than bytes");
	refuses("\"int\"", 1, "\x02\x02", 2, "after the last", "bytes left over");
	refuses("\"nothing\"", 0, "", 0, "unknown type", "an unknown type");
	refuses("{\"type\":\"record\",\"name\":\"r\"}", 0, "", 0, "no fields", "a record without fields");
	refuses("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":\"r\"}]}", 1, "\x00", 1,
			"nested", "a record that is its own field");

	/* ten records in ten records in ten ...: nothing of it takes bytes */
	initStringInfo(&deep);
	appendStringInfoString(&deep, "\"null\"");
	for (int level = 0; level < 9; level++)
	{
		char	   *inner = pstrdup(deep.data);

		resetStringInfo(&deep);
		appendStringInfo(&deep, "{\"type\":\"record\",\"name\":\"r%d\",\"fields\":["
						 "{\"name\":\"f0\",\"type\":%s}", level, inner);
		for (int i = 1; i < 10; i++)
		{
			if (level == 0)
				appendStringInfo(&deep, ",{\"name\":\"f%d\",\"type\":\"null\"}", i);
			else
				appendStringInfo(&deep, ",{\"name\":\"f%d\",\"type\":\"r%d\"}", i, level - 1);
		}
		appendStringInfoString(&deep, "]}");
	}
	refuses(deep.data, 1, "\x00", 1, "more values", "a billion values of no bytes");

	throws(ERRCODE_DATA_CORRUPTED, avro_file_open("Obj\002", 4, "x"), "not an Avro", "another magic");
}

/* Reads in a context of its own; was it accepted? */
static bool
accepts(const void *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "attempt", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	volatile bool accepted = false;

	PG_TRY();
	{
		read_file(data, size, NULL);
		accepted = true;
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return accepted;
}

static void
test_any_byte(void)
{
	AvroWriter *w = write_file(true, 200);
	int			accepted = 0;

	for (int i = 0; i < w->out.len; i++)
	{
		w->out.data[i] ^= 0x55;
		accepted += accepts(w->out.data, w->out.len);
		w->out.data[i] ^= 0x55;
	}
	ok(accepted < w->out.len / 2, "damage at any byte crashes nothing (%d of %d changes unseen)",
	   accepted, w->out.len);
	accepted = 0;
	for (int size = 0; size < w->out.len; size++)
		accepted += accepts(w->out.data, size);
	/* the header alone is a file without data */
	is_int(accepted, 1, "a truncated file is refused");
}

int
main(void)
{
	test_round_trip();
	test_codecs();
	test_damage();
	test_any_byte();
	return done();
}
