/*-------------------------------------------------------------------------
 *
 * file.c
 *	  Reading Avro object container files (Avro 1.11 spec, "Object Container
 *	  Files").
 *
 * The codecs of blocks differ from those of Parquet pages in that the size
 * of the result is not written down: deflate and zstandard are streamed into
 * a growing buffer, up to a limit, so that a small file cannot fill memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>
#include <zstd.h>

#include "avro/deflate.h"
#include "avro/file.h"
#include "codec/codec.h"
#include "miscadmin.h"

/* A decompressed block may not be larger; writers make blocks of about 64 kB. */
#define AVRO_MAX_BLOCK ((size_t) 256 * 1024 * 1024)

typedef struct AvroCodec
{
	const char *name;
	/* fills *data, *size from the compressed block; NULL: the block is plain */
	void		(*expand) (AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size);
} AvroCodec;

static void expand_deflate(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size);
static void expand_snappy(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size);
static void expand_zstd(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size);

static const AvroCodec codecs[] = {
	{"null", NULL},
	{"deflate", expand_deflate},
	{"snappy", expand_snappy},
	{"zstandard", expand_zstd},
};

static void
expand_deflate(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size)
{
	*data = avro_inflate(&f->cursor, in, in_size, false, AVRO_MAX_BLOCK, size);
}

/* Snappy's own framing of Avro: the block, then the CRC-32 of what is inside, big endian. */
static void
expand_snappy(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size)
{
	Cursor		c;
	uint64		length;
	char	   *out;
	uint32		crc;

	if (in_size < 5)
		cursor_fail(&f->cursor, "snappy block of %zu bytes", in_size);
	cursor_init(&c, in, in_size - 4, "Avro block", f->object, 0);
	length = cursor_varint(&c);
	/* no snappy tag yields more than 64 bytes for two or three of its own */
	if (length > AVRO_MAX_BLOCK || length / 64 > in_size)
		cursor_fail(&f->cursor, "snappy block that expands to %llu bytes", (unsigned long long) length);
	out = palloc(Max(length, 1));
	codec_decompress(codec_by_id(CODEC_SNAPPY), in, in_size - 4, out, length, "Avro block", f->object);
	crc = ((uint32) in[in_size - 4] << 24) | ((uint32) in[in_size - 3] << 16) |
		((uint32) in[in_size - 2] << 8) | in[in_size - 1];
	if (crc != (uint32) crc32(0, (const Bytef *) out, (uInt) length))
		cursor_fail(&f->cursor, "wrong checksum of a block");
	*data = out;
	*size = length;
}

static void
expand_zstd(AvroFile *f, const uint8 *in, size_t in_size, char **data, size_t *size)
{
	size_t		capacity = Min(Max(in_size, 256) * 4, AVRO_MAX_BLOCK);
	char	   *out = palloc(capacity);
	size_t		n = 0;
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer input = {in, in_size, 0};
	size_t		left = 1;

	if (stream == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not start decompression of an Avro block")));
	PG_TRY();
	{
		for (;;)
		{
			ZSTD_outBuffer output = {out, capacity, n};

			left = ZSTD_decompressStream(stream, &output, &input);
			n = output.pos;
			if (ZSTD_isError(left) || left == 0)
				break;
			if (n == capacity)
				out = avro_grow(&f->cursor, out, &capacity, AVRO_MAX_BLOCK);
			else if (input.pos == input.size)
				break;
		}
	}
	PG_CATCH();
	{
		ZSTD_freeDStream(stream);
		PG_RE_THROW();
	}
	PG_END_TRY();
	ZSTD_freeDStream(stream);
	if (left != 0 || input.pos != input.size)
		cursor_fail(&f->cursor, "block does not decompress (zstandard)");
	*data = out;
	*size = n;
}

/* A copy with a zero byte after it; not pnstrdup, which would stop at a zero byte inside. */
static char *
read_text(Cursor *c, size_t *size)
{
	int64		length = cursor_zigzag(c);
	const uint8 *bytes;
	char	   *copy;

	if (length < 0)
		cursor_fail(c, "negative length");
	bytes = cursor_bytes(c, (uint64) length);
	copy = palloc((Size) length + 1);
	memcpy(copy, bytes, (size_t) length);
	copy[length] = '\0';
	*size = (size_t) length;
	return copy;
}

static void
read_header_meta(AvroFile *f, size_t *schema_size)
{
	Cursor	   *c = &f->cursor;
	int			capacity = 8;
	int64		count;

	f->meta_keys = palloc(capacity * sizeof(char *));
	f->meta_values = palloc(capacity * sizeof(char *));
	while ((count = cursor_zigzag(c)) != 0)
	{
		/* a negative count is followed by the block's size, for skipping */
		if (count < 0 && count != PG_INT64_MIN)
		{
			(void) cursor_zigzag(c);
			count = -count;
		}
		if (count < 0 || (uint64) count > cursor_left(c))
			cursor_fail(c, "header with %lld entries", (long long) count);
		for (; count > 0; count--)
		{
			size_t		size;

			if (f->nmeta == capacity)
			{
				capacity *= 2;
				f->meta_keys = repalloc(f->meta_keys, capacity * sizeof(char *));
				f->meta_values = repalloc(f->meta_values, capacity * sizeof(char *));
			}
			f->meta_keys[f->nmeta] = read_text(c, &size);
			f->meta_values[f->nmeta] = read_text(c, &size);
			if (strcmp(f->meta_keys[f->nmeta], "avro.schema") == 0)
				*schema_size = size;
			f->nmeta++;
		}
	}
}

AvroFile *
avro_file_open(const void *data, size_t size, const char *object)
{
	AvroFile   *f = palloc0(sizeof(AvroFile));
	const char *schema;
	const char *codec;
	size_t		schema_size = 0;

	f->object = object;
	cursor_init(&f->cursor, data, size, "Avro file", object, 0);
	if (memcmp(cursor_bytes(&f->cursor, 4), "Obj\001", 4) != 0)
		cursor_fail(&f->cursor, "not an Avro object container file");
	read_header_meta(f, &schema_size);
	memcpy(f->sync, cursor_bytes(&f->cursor, sizeof(f->sync)), sizeof(f->sync));

	schema = avro_file_meta(f, "avro.schema");
	if (schema == NULL)
		cursor_fail(&f->cursor, "no schema in the header");
	f->schema = avro_schema_parse(schema, schema_size, object);

	codec = avro_file_meta(f, "avro.codec");
	if (codec == NULL || codec[0] == '\0')
		codec = "null";
	for (f->codec = 0; f->codec < lengthof(codecs); f->codec++)
		if (strcmp(codecs[f->codec].name, codec) == 0)
			return f;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read Avro file \"%s\": compression codec \"%s\" is not supported",
					object ? object : "", codec)));
	return NULL;				/* not reached */
}

const char *
avro_file_meta(const AvroFile *f, const char *key)
{
	for (int i = 0; i < f->nmeta; i++)
		if (strcmp(f->meta_keys[i], key) == 0)
			return f->meta_values[i];
	return NULL;
}

static void
next_block(AvroFile *f)
{
	Cursor	   *c = &f->cursor;
	int64		count = cursor_zigzag(c);
	int64		size = cursor_zigzag(c);
	uint64		offset = (uint64) (c->pos - c->start);
	const uint8 *bytes;
	char	   *data;
	size_t		data_size;

	if (count < 0 || size < 0)
		cursor_fail(c, "block of %lld data in %lld bytes", (long long) count, (long long) size);
	bytes = cursor_bytes(c, (uint64) size);
	if (memcmp(cursor_bytes(c, sizeof(f->sync)), f->sync, sizeof(f->sync)) != 0)
		cursor_fail(c, "wrong marker after a block");
	data = (char *) unconstify(uint8 *, bytes);
	data_size = (size_t) size;
	if (codecs[f->codec].expand != NULL)
	{
		if (f->expanded != NULL)
			pfree(f->expanded);
		f->expanded = NULL;
		codecs[f->codec].expand(f, bytes, (size_t) size, &data, &data_size);
		f->expanded = data;
	}
	if ((uint64) count > data_size)
		cursor_fail(c, "block of %lld data in %zu bytes", (long long) count, data_size);
	cursor_init(&f->block, data, data_size, "Avro block", f->object, offset);
	f->left = count;
}

bool
avro_file_more(AvroFile *f)
{
	while (f->left == 0)
	{
		if (f->block.start != NULL && cursor_left(&f->block) > 0)
			cursor_fail(&f->block, "%zu bytes after the last datum", cursor_left(&f->block));
		if (cursor_left(&f->cursor) == 0)
			return false;
		CHECK_FOR_INTERRUPTS();
		next_block(f);
	}
	return true;
}

bool
avro_file_next(AvroFile *f, AvroValue *value)
{
	if (!avro_file_more(f))
		return false;
	f->left--;
	avro_read(&f->block, f->schema, value);
	return true;
}
