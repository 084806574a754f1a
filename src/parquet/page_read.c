/*-------------------------------------------------------------------------
 *
 * page_read.c
 *	  One page of a column chunk, from its header to the slots of a vector.
 *
 * Steps: header; is any of its rows wanted; checksum, decompression, levels
 * to a bitmap (page_open.c); values, dense, to the end of the vector, and
 * room for the nulls (page_values.c); dropping rows not asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"
#include "miscadmin.h"
#include "parquet/metadata_read.h"
#include "parquet/page_internal.h"

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

	page_open(c, data, page);
	room = (uint64) v->length + page->rows;
	if (room > v->capacity)
		column_vector_reserve(v, (uint32) Max(room, Min((uint64) v->capacity * 2, (uint64) c->group_rows)));
	page_fill_slots(c, page);
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
	page_decompress(c, data, (size_t) h->compressed_size, (size_t) h->uncompressed_size, true, &block);
	if (least > block.size)
		parquet_fail(&c->place, "dictionary of %u values in %zu bytes", n, block.size);
	c->dictionary = column_vector_create(c->v->context, c->leaf->pub.type, Max(n, 1));
	page_decode_values(c, &block, PARQUET_PLAIN, n, c->dictionary);
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
	page_check_size(c, &page.header, left);
	if (page.header.type == PARQUET_DICTIONARY_PAGE)
	{
		page_check_crc(c, &page.header, data);
		read_dictionary_page(c, data, &page.header);
	}
	else if (page.header.type == PARQUET_DATA_PAGE || page.header.type == PARQUET_DATA_PAGE_V2)
	{
		page.rows = page_rows(c, &page.header);
		if (page.rows > 0 && page_wanted(c, page.rows))
		{
			page_check_crc(c, &page.header, data);
			read_data_page(c, data, &page);
		}
		if (c->entries == NULL)
			c->next_row += page.rows;
	}
	return header_size + (size_t) page.header.compressed_size;
}
