/*-------------------------------------------------------------------------
 *
 * chunk_write.c
 *	  One column of one row group: pages, and what the footer says of them.
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
#include "parquet/write_internal.h"

typedef struct ChunkState
{
	const ParquetColumn *column;
	const ParquetWriterOptions *options;
	const Codec *codec;
	const ColumnVector *v;
	const ParquetShredLeaf *nested; /* or NULL; then an entry of v is a row */
	uint32		next_row;		/* of the next page */
	ParquetDense dense;
	ParquetPlan plan;
	ParquetScratch *scratch;
	ParquetSink *sink;
	ParquetChunkResult *result;
	uint32		npages;
	uint32		pages_room;
	ParquetPageLocation *locations;
	ParquetRange *ranges;		/* by page */
	uint32	   *rows;			/* by page */
	int64	   *unencoded;		/* by page */
} ChunkState;

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

/* Do the bounds of the pages ascend (sign 1) or descend (sign -1)?  Pages of nulls do not count. */
static bool
pages_ordered(const ChunkState *s, int sign)
{
	const ParquetRange *last = NULL;

	for (uint32 i = 0; i < s->npages; i++)
	{
		const ParquetRange *r = &s->ranges[i];

		if (!r->has_bounds)
			continue;
		if (last != NULL &&
			(lake_value_compare(s->column->type, &last->lower, &r->lower) * sign > 0 ||
			 lake_value_compare(s->column->type, &last->upper, &r->upper) * sign > 0))
			return false;
		last = r;
	}
	return true;
}

static void
make_offset_index(ChunkState *s)
{
	ParquetOffsetIndex index = {0};

	index.npages = s->npages;
	index.locations = s->locations;
	index.unencoded_bytes = s->dense.physical == PARQUET_BYTE_ARRAY ? s->unencoded : NULL;
	initStringInfo(&s->result->offset_index);
	parquet_write_offset_index(&s->result->offset_index, &index);
}

/*
 * The column index must have bounds for each page that is not all null; a
 * page of NaN alone has none, and then there is no column index.
 */
static void
make_column_index(ChunkState *s)
{
	ParquetColumnIndex index = {0};
	bool		floats = s->dense.physical == PARQUET_FLOAT || s->dense.physical == PARQUET_DOUBLE;
	bool		exact;

	index.npages = s->npages;
	index.null_pages = palloc0(s->npages * sizeof(bool));
	index.min_values = palloc0(s->npages * sizeof(ParquetBytes));
	index.max_values = palloc0(s->npages * sizeof(ParquetBytes));
	index.null_counts = palloc0(s->npages * sizeof(int64));
	index.nan_counts = floats ? palloc0(s->npages * sizeof(int64)) : NULL;
	if (!s->column->required && s->nested == NULL)
	{
		index.ndefinition = s->npages * 2;
		index.definition = palloc0(s->npages * 2 * sizeof(int64));
	}
	for (uint32 i = 0; i < s->npages; i++)
	{
		ParquetRange *r = &s->ranges[i];

		index.null_counts[i] = (int64) r->nulls;
		index.null_pages[i] = r->nulls == s->rows[i];
		if (floats)
			index.nan_counts[i] = (int64) r->nans;
		if (index.ndefinition > 0)
		{
			index.definition[2 * i] = (int64) r->nulls;
			index.definition[2 * i + 1] = (int64) (s->rows[i] - r->nulls);
		}
		index.min_values[i].data = index.max_values[i].data = "";
		if (r->has_bounds)
		{
			index.min_values[i] = parquet_bound_bytes(s->column->type, &r->lower, false, &exact);
			index.max_values[i] = parquet_bound_bytes(s->column->type, &r->upper, true, &exact);
		}
		else if (!index.null_pages[i])
			return;
	}
	index.boundary_order = pages_ordered(s, 1) ? PARQUET_ASCENDING :
		pages_ordered(s, -1) ? PARQUET_DESCENDING : PARQUET_UNORDERED;
	initStringInfo(&s->result->column_index);
	parquet_write_column_index(&s->result->column_index, &index);
}

static void
fill_statistics(ChunkState *s)
{
	ParquetColumnMetaData *meta = &s->result->chunk.meta_data;
	ParquetStatistics *stats = &meta->statistics;
	ParquetRange *range = &s->result->range;
	ParquetSizeStatistics *sizes = &meta->size_statistics;

	meta->has_statistics = true;
	stats->null_count = (int64) range->nulls;
	if (s->dense.physical == PARQUET_FLOAT || s->dense.physical == PARQUET_DOUBLE)
		stats->nan_count = (int64) range->nans;
	if (range->has_bounds)
	{
		stats->has_exact = true;
		stats->min_value = parquet_bound_bytes(s->column->type, &range->lower, false,
											   &stats->is_min_value_exact);
		stats->max_value = parquet_bound_bytes(s->column->type, &range->upper, true,
											   &stats->is_max_value_exact);
	}
	meta->has_size_statistics = true;
	if (s->dense.physical == PARQUET_BYTE_ARRAY)
		sizes->unencoded_bytes = (int64) s->dense.offsets[s->dense.count] - s->dense.offsets[0];
	if (!s->column->required && s->nested == NULL)
	{
		sizes->ndefinition = 2;
		sizes->definition = palloc(2 * sizeof(int64));
		sizes->definition[0] = (int64) range->nulls;
		sizes->definition[1] = s->dense.count;
	}
}

static void
fill_encodings(ChunkState *s)
{
	ParquetColumnMetaData *meta = &s->result->chunk.meta_data;
	bool		dictionary = s->plan.encode == NULL;
	uint32		n = 0;

	meta->encodings = palloc(3 * sizeof(ParquetEncoding));
	if (dictionary)
		meta->encodings[n++] = PARQUET_PLAIN;	/* of the dictionary page */
	meta->encodings[n++] = s->plan.encoding;
	meta->encodings[n++] = PARQUET_RLE; /* of the levels */
	meta->nencodings = n;

	n = 0;
	meta->encoding_stats = palloc(2 * sizeof(ParquetPageEncodingStats));
	if (dictionary)
		meta->encoding_stats[n++] = (ParquetPageEncodingStats)
		{PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 1};
	meta->encoding_stats[n++] = (ParquetPageEncodingStats)
	{PARQUET_DATA_PAGE, s->plan.encoding, (int32) s->npages};
	meta->nencoding_stats = n;
}

static void
fill_meta(ChunkState *s, int64 data_page_offset)
{
	ParquetColumnMetaData *meta = &s->result->chunk.meta_data;
	ParquetSchemaElement leaf;

	parquet_schema_leaf(&leaf, s->column);
	s->result->chunk.has_meta_data = true;
	meta->type = (ParquetType) leaf.type;
	meta->npath = s->nested != NULL ? s->nested->npath : 1;
	meta->path = palloc(meta->npath * sizeof(char *));
	for (uint32 i = 0; i < meta->npath; i++)
		meta->path[i] = s->nested != NULL ? s->nested->path[i] : leaf.name;
	meta->codec = s->codec->id;
	meta->num_values = s->v->length;
	meta->data_page_offset = data_page_offset;
	fill_encodings(s);
	fill_statistics(s);
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
	fill_meta(&s, data_page_offset);
	if (options->page_index)
	{
		make_offset_index(&s);
		make_column_index(&s);
	}
}
