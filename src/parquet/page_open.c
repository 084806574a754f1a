/*-------------------------------------------------------------------------
 *
 * page_open.c
 *	  The bytes of a page: size and checksum, decompression, levels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "codec/codec.h"
#include "parquet/page_internal.h"

/* A page larger than this must not exceed what the footer says of the whole chunk. */
#define PAGE_ALWAYS_TAKEN (16 << 20)

void
page_check_size(ChunkReader *c, const ParquetPageHeader *h, size_t left)
{
	if ((size_t) h->compressed_size > left)
		parquet_fail(&c->place, "page of %d bytes exceeds %zu remaining", h->compressed_size, left);
	if ((uint64) h->uncompressed_size > PARQUET_MAX_PAGE ||
		(h->uncompressed_size > PAGE_ALWAYS_TAKEN &&
		 h->uncompressed_size > c->meta->total_uncompressed_size))
		parquet_fail(&c->place, "page of %d bytes decompressed, column chunk of " INT64_FORMAT,
					 h->uncompressed_size, c->meta->total_uncompressed_size);
}

void
page_check_crc(ChunkReader *c, const ParquetPageHeader *h, const uint8 *data)
{
	uint32		crc;

	if (!h->has_crc)
		return;
	crc = (uint32) crc32(crc32(0, NULL, 0), data, (uInt) h->compressed_size);
	if (crc != h->crc)
		parquet_fail(&c->place, "page has checksum %08x instead of %08x", crc, h->crc);
}

void
page_decompress(ChunkReader *c, const uint8 *in, size_t in_size, size_t out_size,
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

	page_decompress(c, data, (size_t) h->compressed_size, (size_t) h->uncompressed_size, true, block);
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
	page_decompress(c, data + levels, (size_t) h->compressed_size - levels,
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

void
page_open(ChunkReader *c, const uint8 *data, Page *page)
{
	if (page->header.type == PARQUET_DATA_PAGE_V2)
		open_page_v2(c, data, page);
	else
		open_page_v1(c, data, page);
	read_levels(c, page);
	if (c->entries != NULL)
		read_entry_levels(c, page);
}
