/*-------------------------------------------------------------------------
 *
 * row_group_write.c
 *	  A row group of a Parquet file: its column chunks, and what they add to
 *	  the summary of the file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/write_internal.h"

void
parquet_keep_bound(LakeValue *to, const LakeValue *from, ColumnLayout layout)
{
	*to = *from;
	if (layout == LAYOUT_BYTES || layout == LAYOUT_FIXED)
	{
		char	   *copy = palloc((Size) from->u.bytes.size + COLUMN_PADDING);

		memcpy(copy, from->u.bytes.data, from->u.bytes.size);
		to->u.bytes.data = copy;
	}
}

static void
add_to_summary(ParquetColumnSummary *sum, LakeType type, const ParquetChunkResult *result)
{
	const ParquetRange *range = &result->range;
	ColumnLayout layout = lake_type_layout(type);

	sum->compressed_bytes += result->chunk.meta_data.total_compressed_size;
	sum->value_count += result->chunk.meta_data.num_values;
	sum->null_count += range->nulls;
	sum->nan_count += range->nans;
	if (!range->has_bounds)
		return;
	if (!sum->has_bounds || lake_value_compare(type, &range->lower, &sum->lower) < 0)
		parquet_keep_bound(&sum->lower, &range->lower, layout);
	if (!sum->has_bounds || lake_value_compare(type, &range->upper, &sum->upper) > 0)
		parquet_keep_bound(&sum->upper, &range->upper, layout);
	sum->has_bounds = true;
}

static ParquetRowGroup *
next_group(ParquetWriter *w, uint32 rows)
{
	ParquetRowGroup *group;

	if (w->meta.nrow_groups == w->groups_room)
	{
		w->groups_room *= 2;
		w->meta.row_groups = repalloc(w->meta.row_groups, w->groups_room * sizeof(ParquetRowGroup));
		w->results = repalloc(w->results, w->groups_room * sizeof(ParquetChunkResult *));
	}
	group = &w->meta.row_groups[w->meta.nrow_groups];
	parquet_row_group_init(group);
	group->num_rows = rows;
	group->ncolumns = w->nleaves;
	group->columns = palloc((w->nleaves + 1) * sizeof(ParquetColumnChunk));
	group->file_offset = (int64) w->sink.offset;
	group->total_compressed_size = 0;
	group->ordinal = w->meta.nrow_groups <= PG_INT16_MAX ? (int32) w->meta.nrow_groups : -1;
	w->results[w->meta.nrow_groups] = palloc((w->nleaves + 1) * sizeof(ParquetChunkResult));
	w->meta.nrow_groups++;
	return group;
}

/* A chunk of one leaf, the next of the row group; nested: see parquet_chunk_write. */
static void
write_chunk(ParquetWriter *w, int column, int leaf, const ColumnVector *v, const ParquetShredLeaf *nested)
{
	ParquetRowGroup *group = &w->meta.row_groups[w->meta.nrow_groups - 1];
	ParquetChunkResult *result = &w->results[w->meta.nrow_groups - 1][leaf];
	const ParquetColumn *c = nested != NULL ? &nested->column : &w->columns[column];

	parquet_chunk_write(result, c, &w->options, w->codec, v, nested, &w->scratch, &w->sink);
	group->columns[leaf] = result->chunk;
	group->total_byte_size += result->chunk.meta_data.total_uncompressed_size;
	group->total_compressed_size += result->chunk.meta_data.total_compressed_size;
	if (nested == NULL)
		add_to_summary(&w->summaries[column], c->type, result);
	else
		w->summaries[column].compressed_bytes += result->chunk.meta_data.total_compressed_size;
}

void
parquet_write_group(ParquetWriter *w, ColumnVector *const *vectors, ColumnVector *own, uint32 first, uint32 rows)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	uint64	   *bits;
	int			leaf = 0;

	(void) next_group(w, rows);
	bits = parquet_buffer_scratch(&w->bits, BITMAP_WORDS(rows) * sizeof(uint64));
	for (int i = 0; i < w->ncolumns; i++)
	{
		ParquetShred *shred = w->shreds[i];
		ColumnVector slice;

		parquet_slice(&slice, vectors != NULL ? vectors[i] : &own[i], first, rows, bits);
		if (shred == NULL)
		{
			write_chunk(w, i, leaf++, &slice, NULL);
			continue;
		}
		parquet_shred_rows(shred, &slice);
		for (int k = 0; k < shred->nleaves; k++)
			write_chunk(w, i, leaf++, &shred->leaves[k].values, &shred->leaves[k]);
	}
	w->meta.num_rows += rows;
	MemoryContextSwitchTo(old);
}
