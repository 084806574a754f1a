/*-------------------------------------------------------------------------
 *
 * chunk_write.c
 *	  One column of one row group: its pages.  What footer and indexes say of
 *	  them is made in chunk_meta.c.
 *
 * Pages go out as they are made, so only one is in memory.  Page headers
 * carry no statistics: the column index does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "miscadmin.h"

#include "base/bits.h"
#include "parquet/chunk_internal.h"

/* Compresses the page in the scratch buffer and writes it with its header. */
static uint32
put_page(ChunkState *s, ParquetPageHeader *header)
{
	ParquetColumnMetaData *meta = &s->result->chunk.meta_data;
	ParquetBuffer *page = &s->scratch->page;
	const char *body = page->data;
	size_t		size = page->size;
	size_t		bound = s->codec->id == CODEC_NONE ? 0 : s->codec->bound(page->size);
	StringInfoData out;

	if (page->size > PG_INT32_MAX || bound > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot write a Parquet page of %zu bytes", page->size),
				 errdetail("Column \"%s\" has a value that is too large.", s->column->name)));
	if (s->codec->id != CODEC_NONE)
	{
		char	   *compressed = parquet_buffer_scratch(&s->scratch->compressed, bound);

		size = s->codec->compress(s->plan.level, page->data, page->size, compressed, bound);
		body = compressed;
	}
	header->uncompressed_size = (int32) page->size;
	header->compressed_size = (int32) size;
	header->has_crc = s->options->crc;
	if (s->options->crc)
		header->crc = (uint32) crc32(0, (const Bytef *) body, (uInt) size);
	initStringInfo(&out);
	parquet_write_page_header(&out, header);
	parquet_sink_put(s->sink, out.data, out.len);
	if (size > 0)
		parquet_sink_put(s->sink, body, size);
	meta->total_uncompressed_size += out.len + (int64) page->size;
	meta->total_compressed_size += out.len + (int64) size;
	size += out.len;
	pfree(out.data);
	page->size = 0;
	return (uint32) size;
}

static void
put_dictionary_page(ChunkState *s)
{
	ParquetPageHeader header;
	const ParquetDense *entries = &s->plan.dict.entries;

	parquet_page_header_init(&header);
	header.type = PARQUET_DICTIONARY_PAGE;
	header.encoding = PARQUET_PLAIN;
	header.num_values = (int32) entries->count;
	header.is_sorted = s->plan.dict.sorted;
	s->scratch->page.size = 0;
	parquet_encode_plain(entries, 0, entries->count, &s->scratch->page);
	s->result->chunk.meta_data.dictionary_page_offset = (int64) s->sink->offset;
	put_page(s, &header);
}

static void
grow_pages(ChunkState *s)
{
	uint32		room = s->pages_room * 2;

	s->locations = repalloc(s->locations, room * sizeof(*s->locations));
	s->ranges = repalloc(s->ranges, room * sizeof(*s->ranges));
	s->rows = repalloc(s->rows, room * sizeof(*s->rows));
	s->unencoded = repalloc(s->unencoded, room * sizeof(*s->unencoded));
	s->pages_room = room;
}

/* Rows from `first` whose values fill a page: at least one. */
static uint32
page_rows(const ChunkState *s, uint32 first)
{
	const ColumnVector *v = s->v;
	uint32		most = Min(s->options->page_rows, v->length - first);
	uint32		low = 1;
	uint32		high = most;

	if (s->plan.encode == NULL || s->dense.physical == PARQUET_BOOLEAN)
		return most;
	if (s->dense.physical != PARQUET_BYTE_ARRAY)
	{
		uint32		fit = Max(1, s->options->page_bytes / Max(1, s->dense.width));

		return fit >= most ? most : fit > 64 ? fit & ~63U : fit;
	}
	while (low < high)
	{
		uint32		mid = low + (high - low + 1) / 2;
		uint64		bytes = (uint64) v->offsets[first + mid] - v->offsets[first] + 4 * (uint64) mid;

		if (bytes <= s->options->page_bytes)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static uint32
count_nulls(const ColumnVector *v, uint32 first, uint32 rows)
{
	uint32		valid = 0;

	if (v->null_count == 0)
		return 0;
	for (uint32 done = 0; done < rows; done += 64)
	{
		uint64		word;

		parquet_bits_slice(&word, v->valid, first + done, Min(64, rows - done));
		valid += pg_popcount64(word);
	}
	return rows - valid;
}

/* Entries from `first`, about as many as given, up to the end of a row: pages begin with a row. */
static uint32
whole_rows(const ChunkState *s, uint32 first, uint32 entries)
{
	const uint8 *repetition = s->nested->repetition;
	uint32		n = s->v->length;
	uint32		end = first + entries;

	while (end > first && end < n && repetition[end] != 0)
		end--;
	if (end == first)
	{
		/* one row is larger than a page */
		for (end = first + 1; end < n && repetition[end] != 0; end++)
			;
	}
	return end - first;
}

static void
put_levels(ChunkState *s, uint32 first, uint32 rows, uint32 nulls)
{
	const ParquetShredLeaf *leaf = s->nested;
	ParquetBuffer *page = &s->scratch->page;

	if (leaf != NULL)
	{
		parquet_put_nested_levels(leaf->repetition + first, rows, leaf->max_repetition, &s->scratch->levels, page);
		parquet_put_nested_levels(leaf->definition + first, rows, leaf->max_definition, &s->scratch->levels, page);
	}
	else if (!s->column->required)
		parquet_put_levels(s->v->valid, first, rows, nulls, page);
}

/* Rows (entries) first .. first + rows - 1, which are the dense values from .. to - 1. */
static void
put_data_page(ChunkState *s, uint32 first, uint32 rows, uint32 from, uint32 to)
{
	ParquetBuffer *page = &s->scratch->page;
	ParquetPlan *plan = &s->plan;
	ParquetRange *range;
	ParquetPageHeader header;

	if (s->npages == s->pages_room)
		grow_pages(s);
	range = &s->ranges[s->npages];
	if (plan->encode == NULL && plan->dict.sorted)
		parquet_range_codes(range, s->column->type, &plan->dict, from, to);
	else
		parquet_range_values(range, s->column->type, &s->dense, from, to);
	range->nulls = rows - (to - from);

	page->size = 0;
	put_levels(s, first, rows, (uint32) range->nulls);
	if (plan->encode != NULL)
		plan->encode(&s->dense, from, to, page);
	else
	{
		char		width = (char) plan->dict.bit_width;

		parquet_buffer_append(page, &width, 1);
		parquet_put_codes(plan->dict.codes + from, to - from, plan->dict.bit_width, page);
	}

	parquet_page_header_init(&header);
	header.type = PARQUET_DATA_PAGE;
	header.num_values = (int32) rows;
	header.encoding = plan->encoding;
	header.definition_encoding = PARQUET_RLE;
	header.repetition_encoding = PARQUET_RLE;
	s->locations[s->npages].offset = (int64) s->sink->offset;
	s->locations[s->npages].first_row_index = s->next_row;
	s->locations[s->npages].compressed_page_size = (int32) put_page(s, &header);
	s->rows[s->npages] = rows;
	if (s->dense.physical == PARQUET_BYTE_ARRAY)
		s->unencoded[s->npages] = (int64) s->dense.offsets[to] - s->dense.offsets[from];
	for (uint32 i = first; s->nested != NULL && i < first + rows; i++)
		s->next_row += s->nested->repetition[i] == 0;
	if (s->nested == NULL)
		s->next_row += rows;
	s->npages++;
}

static void
put_data_pages(ChunkState *s)
{
	uint32		from = 0;

	for (uint32 first = 0; first < s->v->length;)
	{
		uint32		rows = page_rows(s, first);
		uint32		to;

		CHECK_FOR_INTERRUPTS();
		if (s->nested != NULL)
			rows = whole_rows(s, first, rows);
		to = from + rows - count_nulls(s->v, first, rows);
		put_data_page(s, first, rows, from, to);
		parquet_range_merge(&s->result->range, s->column->type, &s->ranges[s->npages - 1]);
		first += rows;
		from = to;
	}
}

void
parquet_chunk_write(ParquetChunkResult *result, const ParquetColumn *column,
					const ParquetWriterOptions *options, const Codec *codec,
					const ColumnVector *v, const ParquetShredLeaf *nested,
					ParquetScratch *scratch, ParquetSink *sink)
{
	ChunkState	s = {0};
	int64		data_page_offset;

	if (column->required && v->null_count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write null to required column \"%s\"", column->name)));
	memset(result, 0, sizeof(*result));
	parquet_column_chunk_init(&result->chunk);
	s.column = column;
	s.options = options;
	s.codec = codec;
	s.v = v;
	s.nested = nested;
	s.scratch = scratch;
	s.sink = sink;
	s.result = result;
	s.pages_room = 8;
	s.locations = palloc(s.pages_room * sizeof(*s.locations));
	s.ranges = palloc(s.pages_room * sizeof(*s.ranges));
	s.rows = palloc(s.pages_room * sizeof(*s.rows));
	s.unencoded = palloc(s.pages_room * sizeof(*s.unencoded));

	parquet_dense_init(&s.dense, v, scratch);
	parquet_plan(&s.plan, column, options, codec, &s.dense, scratch);
	if (s.plan.encode == NULL)
		put_dictionary_page(&s);
	data_page_offset = (int64) sink->offset;
	put_data_pages(&s);
	chunk_fill_meta(&s, data_page_offset);
	if (options->page_index)
	{
		chunk_make_offset_index(&s);
		chunk_make_column_index(&s);
	}
}
