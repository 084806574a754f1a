/*-------------------------------------------------------------------------
 *
 * chunk_meta.c
 *	  What footer and page index say of a column chunk.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/chunk_internal.h"

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

void
chunk_make_offset_index(ChunkState *s)
{
	ParquetOffsetIndex index = {0};

	index.npages = s->npages;
	index.locations = s->locations;
	index.unencoded_bytes = s->dense.physical == PARQUET_BYTE_ARRAY ? s->unencoded : NULL;
	initStringInfo(&s->result->offset_index);
	parquet_write_offset_index(&s->result->offset_index, &index);
}

void
chunk_make_column_index(ChunkState *s)
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

void
chunk_fill_meta(ChunkState *s, int64 data_page_offset)
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
