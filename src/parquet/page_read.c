/*-------------------------------------------------------------------------
 *
 * page_read.c
 *	  One page of a column chunk, from its header to the slots of a vector.
 *
 * Steps: header; is any of its rows wanted; checksum; decompression; levels
 * to a bitmap; values, dense, to the end of the vector; room for the nulls;
 * dropping rows not asked for.
 *
 * A vector stays in dictionary form as long as every page has codes.  At the
 * first page with plain values (a writer whose dictionary grew too large)
 * what was read so far is looked up, and the vector is plain from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "base/cursor.h"
#include "codec/codec.h"
#include "miscadmin.h"
#include "parquet/metadata_read.h"
#include "parquet/reader_internal.h"

/* A page larger than this must not exceed what the footer says of the whole chunk. */
#define PAGE_ALWAYS_TAKEN (16 << 20)

typedef void (*decode_fixed_fn) (const ParquetBlock *in, uint32 width, uint32 n, void *out);
typedef void (*decode_bytes_fn) (const ParquetBlock *in, uint32 n, ColumnVector *v);

/* Which physical types an encoding may have: bits by ParquetType. */
#define TYPE_BIT(type) (1 << (type))
#define INTEGERS (TYPE_BIT(PARQUET_INT32) | TYPE_BIT(PARQUET_INT64))
#define NUMBERS (INTEGERS | TYPE_BIT(PARQUET_FLOAT) | TYPE_BIT(PARQUET_DOUBLE))
#define FIXED TYPE_BIT(PARQUET_FIXED_LEN_BYTE_ARRAY)

/* Decoders by encoding; the booleans' differ for PLAIN. */
static const struct
{
	int			types;			/* for which `fixed` is right */
	decode_fixed_fn fixed;
	decode_bytes_fn bytes;		/* BYTE_ARRAY */
}			decoders[] = {
	[PARQUET_PLAIN] = {NUMBERS | FIXED | TYPE_BIT(PARQUET_INT96), parquet_decode_plain, parquet_decode_plain_bytes},
	[PARQUET_RLE] = {TYPE_BIT(PARQUET_BOOLEAN), parquet_decode_rle_bool, NULL},
	[PARQUET_DELTA_BINARY_PACKED] = {INTEGERS, parquet_decode_delta, NULL},
	[PARQUET_DELTA_LENGTH_BYTE_ARRAY] = {0, NULL, parquet_decode_delta_length},
	[PARQUET_DELTA_BYTE_ARRAY] = {FIXED, parquet_decode_delta_fixed, parquet_decode_delta_bytes},
	[PARQUET_BYTE_STREAM_SPLIT] = {NUMBERS | FIXED, parquet_decode_split, NULL},
};

/* A page once decompressed. */
typedef struct Page
{
	ParquetPageHeader header;
	uint32		rows;
	ParquetBlock repetition;	/* levels; empty in a flat column */
	ParquetBlock levels;		/* definition levels */
	ParquetBlock values;
	uint64	   *valid;			/* meaningful when present < rows */
	uint32		present;		/* rows that have a value */
} Page;

static bool
is_dictionary_encoding(ParquetEncoding encoding)
{
	return encoding == PARQUET_RLE_DICTIONARY || encoding == PARQUET_PLAIN_DICTIONARY;
}

/* ---- bytes of a page ---- */

static void
check_page_size(ChunkReader *c, const ParquetPageHeader *h, size_t left)
{
	if ((size_t) h->compressed_size > left)
		parquet_fail(&c->place, "page of %d bytes exceeds %zu remaining", h->compressed_size, left);
	if ((uint64) h->uncompressed_size > PARQUET_MAX_PAGE ||
		(h->uncompressed_size > PAGE_ALWAYS_TAKEN &&
		 h->uncompressed_size > c->meta->total_uncompressed_size))
		parquet_fail(&c->place, "page of %d bytes decompressed, column chunk of " INT64_FORMAT,
					 h->uncompressed_size, c->meta->total_uncompressed_size);
}

static void
check_page_crc(ChunkReader *c, const ParquetPageHeader *h, const uint8 *data)
{
	uint32		crc;

	if (!h->has_crc)
		return;
	crc = (uint32) crc32(crc32(0, NULL, 0), data, (uInt) h->compressed_size);
	if (crc != h->crc)
		parquet_fail(&c->place, "page has checksum %08x instead of %08x", crc, h->crc);
}

/* `in_size` bytes as stored to exactly `out_size` bytes; in place when they are not compressed. */
static void
decompress(ChunkReader *c, const uint8 *in, size_t in_size, size_t out_size,
		   bool compressed, ParquetBlock *out)
{
	const Codec *codec;
	uint8	   *buffer;

	out->place = &c->place;
	out->size = out_size;
	if (!compressed || c->meta->codec == CODEC_NONE)
	{
		if (in_size != out_size)
			parquet_fail(&c->place, "uncompressed page of %zu bytes instead of %zu", in_size, out_size);
		out->data = in;
		return;
	}
	codec = codec_by_id(c->meta->codec);
	if (codec == NULL || codec->decompress == NULL)
		parquet_refuse(&c->place, "compression codec %d is not supported", c->meta->codec);
	buffer = reader_buffer_reserve(c->reader, &c->reader->page, out_size);
	out->data = buffer;
	if (out_size == 0)
		return;
	if (!codec->decompress(in, in_size, buffer, out_size))
		parquet_fail(&c->place, "cannot decompress page of %zu bytes to %zu with %s",
					 in_size, out_size, codec->name);
}

/* Levels up to `max` from the front of a v1 page, in RLE with a length before it or in bits. */
static void
take_levels(ChunkReader *c, ParquetEncoding encoding, uint32 max, uint32 n, ParquetBlock *block, ParquetBlock *levels)
{
	uint32		size;

	*levels = *block;
	levels->size = 0;
	if (max == 0)
		return;
	if (encoding == PARQUET_BIT_PACKED)
		size = (uint32) parquet_packed_levels_size(max, n);
	else if (encoding == PARQUET_RLE)
	{
		if (block->size < 4)
			parquet_fail(&c->place, "page of %zu bytes has no levels", block->size);
		memcpy(&size, block->data, 4);
		block->data += 4;
		block->size -= 4;
	}
	else
		parquet_fail(&c->place, "levels have encoding %d", (int) encoding);
	if (size > block->size)
		parquet_fail(&c->place, "levels of %u bytes exceed %zu remaining", size, block->size);
	levels->data = block->data;
	levels->size = size;
	block->data += size;
	block->size -= size;
}

/* v1: one compressed block of levels and values. */
static void
open_page_v1(ChunkReader *c, const uint8 *data, Page *page)
{
	const ParquetPageHeader *h = &page->header;
	ParquetBlock *block = &page->values;

	decompress(c, data, (size_t) h->compressed_size, (size_t) h->uncompressed_size, true, block);
	take_levels(c, h->repetition_encoding, c->leaf->max_repetition, page->rows, block, &page->repetition);
	take_levels(c, h->definition_encoding, c->leaf->max_level, page->rows, block, &page->levels);
}

/* v2: levels uncompressed in front, their sizes in the header. */
static void
open_page_v2(ChunkReader *c, const uint8 *data, Page *page)
{
	const ParquetPageHeader *h = &page->header;
	uint64		levels = (uint64) Max(h->repetition_bytes, 0) + (uint64) Max(h->definition_bytes, 0);

	if (h->repetition_bytes < 0 || h->definition_bytes < 0 ||
		levels > (uint64) h->compressed_size || levels > (uint64) h->uncompressed_size)
		parquet_fail(&c->place, "levels of %d and %d bytes in a page of %d",
					 h->repetition_bytes, h->definition_bytes, h->compressed_size);
	page->repetition.data = data;
	page->repetition.size = (size_t) h->repetition_bytes;
	page->repetition.place = &c->place;
	page->levels.data = data + h->repetition_bytes;
	page->levels.size = (size_t) h->definition_bytes;
	page->levels.place = &c->place;
	decompress(c, data + levels, (size_t) h->compressed_size - levels,
			   (size_t) h->uncompressed_size - levels, h->is_compressed, &page->values);
}

/* Which rows have a value. */
static void
read_levels(ChunkReader *c, Page *page)
{
	uint32		max_level = c->leaf->max_level;
	size_t		bytes = (BITMAP_WORDS(page->rows) + 1) * sizeof(uint64);

	page->present = page->rows;
	page->valid = NULL;
	if (max_level > 0)
	{
		page->valid = reader_buffer_reserve(c->reader, &c->reader->valid, bytes);
		memset(page->valid, 0, bytes);
		if (page->header.type == PARQUET_DATA_PAGE &&
			page->header.definition_encoding == PARQUET_BIT_PACKED)
			page->present = parquet_decode_levels_packed(&page->levels, max_level, page->rows, page->valid);
		else
			page->present = parquet_decode_levels(&page->levels, max_level, page->rows, page->valid);
	}
	if (page->header.type == PARQUET_DATA_PAGE_V2 &&
		(int64) page->rows - page->present != page->header.num_nulls)
		parquet_fail(&c->place, "page has %u nulls instead of %d",
					 page->rows - page->present, page->header.num_nulls);
}

/* Levels of a page's entries to bytes. */
static void
decode_levels(ChunkReader *c, const ParquetBlock *block, bool bits, uint32 max, uint32 n, uint8 *out)
{
	uint32	   *codes;

	if (max == 0)
	{
		memset(out, 0, n);
		return;
	}
	if (bits)
		parquet_refuse(&c->place, "levels of a list or map are in the deprecated bit-packed encoding");
	codes = reader_buffer_reserve(c->reader, &c->reader->codes, (size_t) n * sizeof(uint32));
	parquet_decode_rle(block, (uint32) pg_leftmost_one_pos32(max) + 1, n, codes);
	for (uint32 i = 0; i < n; i++)
	{
		if (codes[i] > max)
			parquet_fail(&c->place, "level %u exceeds %u", codes[i], max);
		out[i] = (uint8) codes[i];
	}
}

/* The levels of a page's entries, behind those there are. */
static void
read_entry_levels(ChunkReader *c, const Page *page)
{
	ParquetEntries *e = c->entries;
	uint32		at = c->v->length;
	bool		v1 = page->header.type == PARQUET_DATA_PAGE;

	if (at + page->rows > e->room)
	{
		uint32		room = Max(at + page->rows, 2 * e->room);

		e->repetition = e->repetition ? repalloc_huge(e->repetition, room) :
			MemoryContextAllocHuge(c->v->context, room);
		e->definition = e->definition ? repalloc_huge(e->definition, room) :
			MemoryContextAllocHuge(c->v->context, room);
		e->room = room;
	}
	decode_levels(c, &page->repetition, v1 && page->header.repetition_encoding == PARQUET_BIT_PACKED,
				  c->leaf->max_repetition, page->rows, e->repetition + at);
	decode_levels(c, &page->levels, v1 && page->header.definition_encoding == PARQUET_BIT_PACKED,
				  c->leaf->max_level, page->rows, e->definition + at);
}

/* ---- values of a page ---- */

/* Through a buffer: values whose layout in the vector is another one. */
static void
decode_converted(ChunkReader *c, const ParquetBlock *block, decode_fixed_fn fixed,
				 decode_bytes_fn bytes, uint32 n, char *out)
{
	const ReaderLeaf *leaf = c->leaf;
	uint32		done;

	if (bytes != NULL)
	{
		LakeType	binary = {.id = LAKE_BINARY};
		ColumnVector strings;

		column_vector_init(&strings, c->reader->context, binary, n);
		bytes(block, n, &strings);
		done = reader_convert(leaf, strings.bytes, strings.offsets, n, out);
		column_vector_free(&strings);
	}
	else
	{
		void	   *values = reader_buffer_reserve(c->reader, &c->reader->values, (size_t) n * leaf->width);

		fixed(block, leaf->width, n, values);
		done = reader_convert(leaf, values, NULL, n, out);
	}
	if (done == n)
		return;
	if (leaf->conversion == CONVERT_NANOS64 || leaf->conversion == CONVERT_INT96)
		parquet_refuse(&c->place, "a timestamp is outside the range of microseconds, or not a whole number of them");
	parquet_fail(&c->place, "value %u of a page is out of range", done);
}

/* n values in one of the plain encodings to the end of `to`, which has room for them. */
static void
decode_values(ChunkReader *c, const ParquetBlock *block, ParquetEncoding encoding,
			  uint32 n, ColumnVector *to)
{
	ParquetType physical = c->leaf->physical;
	decode_fixed_fn fixed = NULL;
	decode_bytes_fn bytes = NULL;
	char	   *out;

	if ((uint32) encoding < lengthof(decoders))
	{
		if (physical == PARQUET_BYTE_ARRAY)
			bytes = decoders[encoding].bytes;
		else if (physical == PARQUET_BOOLEAN && encoding == PARQUET_PLAIN)
			fixed = parquet_decode_plain_bool;
		else if (decoders[encoding].types & TYPE_BIT(physical))
			fixed = decoders[encoding].fixed;
	}
	if (fixed == NULL && bytes == NULL)
		parquet_fail(&c->place, "page of physical type %d has encoding %d", (int) physical, (int) encoding);
	if (n == 0)
		return;
	if (c->leaf->conversion == CONVERT_NONE && bytes != NULL)
	{
		bytes(block, n, to);
		return;
	}
	out = to->values + (size_t) to->length * to->width;
	if (c->leaf->conversion == CONVERT_NONE)
		fixed(block, c->leaf->width, n, out);
	else
		decode_converted(c, block, fixed, bytes, n, out);
}

/* What is in the vector so far leaves the dictionary form. */
static void
leave_dictionary(ChunkReader *c)
{
	ColumnVector *v = c->v;
	uint32	   *codes = v->codes;
	uint32		n = v->length;

	c->coded = false;
	v->codes = NULL;
	v->dictionary = NULL;
	if (codes == NULL)
		return;
	v->length = 0;
	if (c->dictionary != NULL && c->dictionary->length > 0)
		vector_gather(v, c->dictionary, codes, n, v->null_count > 0 ? v->valid : NULL);
	else if (v->layout == LAYOUT_BYTES)
		memset(v->offsets, 0, ((size_t) n + 1) * sizeof(uint32));
	else
		memset(v->values, 0, (size_t) n * v->width);
	v->length = n;
	pfree(codes);
}

/* n codes, checked against the dictionary. */
static void
decode_codes(ChunkReader *c, const ParquetBlock *block, uint32 n, uint32 *codes)
{
	ParquetBlock runs = *block;
	uint32		max;

	if (n == 0)
		return;
	if (block->size < 1)
		parquet_fail(&c->place, "page of dictionary codes is empty");
	runs.data++;
	runs.size--;
	parquet_decode_rle(&runs, block->data[0], n, codes);
	max = codes_max(codes, n);
	if (c->dictionary == NULL || max >= c->dictionary->length)
		parquet_fail(&c->place, "dictionary code %u, but the dictionary has %u entries",
					 max, c->dictionary ? c->dictionary->length : 0);
}

static void
spread_nulls(ColumnVector *v, const Page *page)
{
	if (v->layout == LAYOUT_BYTES)
		offsets_spread(v->offsets + v->length, page->rows, page->valid, page->present);
	else
		slots_spread(v->values + (size_t) v->length * v->width, v->width,
					 page->rows, page->valid, page->present);
}

/* The page's rows to the slots behind v->length, nulls included. */
static void
fill_slots(ChunkReader *c, const Page *page)
{
	ColumnVector *v = c->v;
	bool		coded = is_dictionary_encoding(page->header.encoding);
	uint32	   *codes;

	if (c->coded && !coded)
		leave_dictionary(c);
	if (c->coded)
	{
		v->codes = vector_codes(v, v->capacity, v->codes);
		codes = v->codes + v->length;
		decode_codes(c, &page->values, page->present, codes);
		if (page->present < page->rows)
			slots_spread(codes, sizeof(uint32), page->rows, page->valid, page->present);
		return;
	}
	if (coded)
	{
		codes = reader_buffer_reserve(c->reader, &c->reader->codes, (size_t) page->present * sizeof(uint32));
		decode_codes(c, &page->values, page->present, codes);
		vector_gather(v, c->dictionary, codes, page->present, NULL);
	}
	else
		decode_values(c, &page->values, page->header.encoding, page->present, v);
	if (page->present < page->rows)
		spread_nulls(v, page);
}

/* ---- rows of a page ---- */

/*
 * The part of the page's rows [first, first + rows) that range `i` wants,
 * relative to the page; false when the page ends before it.
 */
static bool
wanted_part(const ChunkReader *c, int i, uint32 rows, uint32 *from, uint32 *count)
{
	uint64		page_end = (uint64) c->next_row + rows;
	uint64		begin = c->ranges[i * 2];
	uint64		end = begin + c->ranges[i * 2 + 1];

	if (begin >= page_end)
		return false;
	begin = Max(begin, c->next_row);
	end = Min(end, page_end);
	*from = (uint32) (begin - c->next_row);
	*count = (end > begin) ? (uint32) (end - begin) : 0;
	return true;
}

static bool
page_wanted(ChunkReader *c, uint32 rows)
{
	uint32		from;
	uint32		count;

	if (c->ranges == NULL)
		return true;
	while (c->range < c->nranges && chunk_range_passed(c, c->range, c->next_row))
		c->range++;
	return c->range < c->nranges && wanted_part(c, c->range, rows, &from, &count) && count > 0;
}

/* Rows [from, from + n) of the page, whose slots begin at row `base`, join the vector. */
static void
keep_rows(ColumnVector *v, const Page *page, uint32 base, uint32 from, uint32 n)
{
	bool		has_nulls = (page->present < page->rows);

	vector_keep_slots(v, v->length, base + from, n);
	if (has_nulls && v->null_count == 0)
		column_vector_start_valid(v);
	if (has_nulls)
	{
		uint64		nulls = 0;

		parquet_copy_bits(v->valid, v->length, page->valid, from, n);
		for (uint32 i = from; i < from + n; i += 64)
		{
			uint64		word = 0;
			uint32		take = Min(64, from + n - i);

			parquet_copy_bits(&word, 0, page->valid, i, take);
			nulls += take - (uint32) pg_popcount64(word);
		}
		v->null_count += (uint32) nulls;
	}
	else if (v->null_count > 0)
		parquet_set_bits(v->valid, v->length, n);
	v->length += n;
}

static void
keep_wanted(ChunkReader *c, const Page *page)
{
	uint32		base = c->v->length;
	uint32		from;
	uint32		count;

	if (c->ranges == NULL)
	{
		keep_rows(c->v, page, base, 0, page->rows);
		return;
	}
	for (int i = c->range; i < c->nranges; i++)
	{
		if (!wanted_part(c, i, page->rows, &from, &count))
			break;
		keep_rows(c->v, page, base, from, count);
	}
}

/* ---- kinds of pages ---- */

static void
read_data_page(ChunkReader *c, const uint8 *data, Page *page)
{
	ColumnVector *v = c->v;
	uint64		room;

	if (page->header.type == PARQUET_DATA_PAGE_V2)
		open_page_v2(c, data, page);
	else
		open_page_v1(c, data, page);
	read_levels(c, page);
	if (c->entries != NULL)
		read_entry_levels(c, page);
	room = (uint64) v->length + page->rows;
	if (room > v->capacity)
		column_vector_reserve(v, (uint32) Max(room, Min((uint64) v->capacity * 2, (uint64) c->group_rows)));
	fill_slots(c, page);
	keep_wanted(c, page);
}

static void
read_dictionary_page(ChunkReader *c, const uint8 *data, const ParquetPageHeader *h)
{
	ParquetBlock block;
	uint32		n = (uint32) h->num_values;
	uint64		least = (uint64) n * (c->leaf->width ? c->leaf->width : 4);

	if (c->dictionary != NULL)
		parquet_fail(&c->place, "column chunk has two dictionaries");
	if (h->encoding != PARQUET_PLAIN && h->encoding != PARQUET_PLAIN_DICTIONARY)
		parquet_fail(&c->place, "dictionary has encoding %d", (int) h->encoding);
	if (c->leaf->physical == PARQUET_BOOLEAN)
		parquet_fail(&c->place, "dictionary of booleans");
	decompress(c, data, (size_t) h->compressed_size, (size_t) h->uncompressed_size, true, &block);
	if (least > block.size)
		parquet_fail(&c->place, "dictionary of %u values in %zu bytes", n, block.size);
	c->dictionary = column_vector_create(c->v->context, c->leaf->pub.type, Max(n, 1));
	decode_values(c, &block, PARQUET_PLAIN, n, c->dictionary);
	c->dictionary->length = n;
}

/* Rows of a data page, checked against those its row group has left. */
static uint32
page_rows(ChunkReader *c, const ParquetPageHeader *h)
{
	uint32		left = c->group_rows - c->next_row;

	if (c->entries != NULL)
	{
		/* entries: there may be more of them than rows */
		if (h->num_values > c->meta->num_values - c->v->length)
			parquet_fail(&c->place, "page of %d values, but the column chunk has " INT64_FORMAT " left",
						 h->num_values, c->meta->num_values - c->v->length);
		return (uint32) h->num_values;
	}
	if (h->type == PARQUET_DATA_PAGE_V2 && h->num_rows != h->num_values)
		parquet_fail(&c->place, "page of a flat column has %d rows and %d values", h->num_rows, h->num_values);
	if ((uint32) h->num_values > left)
		parquet_fail(&c->place, "page of %d values, but the row group has %u rows left", h->num_values, left);
	return (uint32) h->num_values;
}

size_t
chunk_read_page(ChunkReader *c, const uint8 *data, size_t left, uint64 offset)
{
	Cursor		cursor;
	char		what[256];
	Page		page = {0};
	size_t		header_size;

	CHECK_FOR_INTERRUPTS();
	c->place.offset = offset;
	snprintf(what, sizeof(what), "page header of column \"%.150s\", row group %d, of Parquet file",
			 c->place.column, c->place.group);
	cursor_init(&cursor, data, left, what, c->place.file, offset);
	parquet_read_page_header(&cursor, &page.header);
	header_size = (size_t) (cursor.pos - cursor.start);
	data += header_size;
	left -= header_size;
	check_page_size(c, &page.header, left);
	if (page.header.type == PARQUET_DICTIONARY_PAGE)
	{
		check_page_crc(c, &page.header, data);
		read_dictionary_page(c, data, &page.header);
	}
	else if (page.header.type == PARQUET_DATA_PAGE || page.header.type == PARQUET_DATA_PAGE_V2)
	{
		page.rows = page_rows(c, &page.header);
		if (page.rows > 0 && page_wanted(c, page.rows))
		{
			check_page_crc(c, &page.header, data);
			read_data_page(c, data, &page);
		}
		if (c->entries == NULL)
			c->next_row += page.rows;
	}
	return header_size + (size_t) page.header.compressed_size;
}
