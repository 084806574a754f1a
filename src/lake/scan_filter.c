/*-------------------------------------------------------------------------
 *
 * scan_filter.c
 *	  The filter of a scan over the rows of a row group, condition by
 *	  condition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_group.h"

/*
 * After a condition: when less than half of the rows read are near selected
 * ones, the batch shrinks to these, and the columns read so far with it.
 */
static void
narrow_ranges(LakeReader *r, GroupRows *g)
{
	ScanRanges	narrow;
	uint64	   *kept;
	uint64	   *dense;

	scan_ranges_scatter(&g->ranges, g->selection, g->alive, g->nrows);
	scan_ranges_make(g->alive, g->nrows, GAP_AFTER_FILTER, &narrow);
	if (narrow.rows > g->ranges.rows / 2)
		return;

	/* rows of the narrow ranges in the numbering of the wide ones */
	kept = palloc0(BITMAP_WORDS(g->nrows) * sizeof(uint64));
	for (int i = 0; i < narrow.n; i++)
	{
		uint32		at = narrow.pairs[i * 2];
		uint32		end = at + narrow.pairs[i * 2 + 1];

		for (; at < end; at++)
			bitmap_set(kept, at);
	}
	dense = palloc(BITMAP_WORDS(g->ranges.rows) * sizeof(uint64));
	scan_ranges_gather(&g->ranges, kept, dense);
	for (int i = 0; i < r->scan->nfields; i++)
	{
		ColumnVector *v;

		if (r->vectors[i] == NULL)
			continue;
		v = column_vector_create(r->group_context, r->scan->fields[i]->type, narrow.rows);
		column_vector_append_rows(v, r->vectors[i], dense);
		r->vectors[i] = v;
	}
	g->selection = palloc(BITMAP_WORDS(narrow.rows) * sizeof(uint64));
	scan_ranges_gather(&narrow, g->alive, g->selection);
	g->ranges = narrow;
}

/* Bytes that the columns of a condition take in a row group. */
static uint64
condition_bytes(LakeReader *r, int group, const Filter *condition, bool *used)
{
	uint64		bytes = 0;

	memset(used, 0, r->scan->nfields * sizeof(bool));
	filter_columns(condition, used);
	for (int i = 0; i < r->scan->nfields; i++)
	{
		for (int k = 0; used[i] && k < scan_column_nleaves(&r->columns[i]); k++)
			bytes += parquet_reader_chunk_bytes(r->parquet->parquet, group,
												scan_column_leaf(&r->columns[i], k));
	}
	return bytes;
}

const Filter **
scan_conditions(LakeReader *r, int group, bool *used, int *n)
{
	const Filter *filter = r->scan->filter;
	const Filter **conditions;
	uint64	   *bytes;

	*n = filter->op == FILTER_AND ? filter->nargs : 1;
	conditions = palloc(*n * sizeof(Filter *));
	bytes = palloc(*n * sizeof(uint64));
	for (int i = 0; i < *n; i++)
	{
		const Filter *condition = filter->op == FILTER_AND ? filter->args[i] : filter;
		uint64		size = condition_bytes(r, group, condition, used);
		int			at = i;

		for (; at > 0 && bytes[at - 1] > size; at--)
		{
			bytes[at] = bytes[at - 1];
			conditions[at] = conditions[at - 1];
		}
		bytes[at] = size;
		conditions[at] = condition;
	}
	return conditions;
}

bool
scan_group_filter(LakeReader *r, GroupRows *g)
{
	bool	   *used = palloc(r->scan->nfields * sizeof(bool));
	int			n;
	const Filter **conditions = scan_conditions(r, g->group, used, &n);
	uint32		before = bitmap_count(g->selection, g->ranges.rows);
	uint32		left = before;

	for (int i = 0; i < n && left > 0; i++)
	{
		memset(used, 0, r->scan->nfields * sizeof(bool));
		filter_columns(conditions[i], used);
		scan_group_read(r, g, used);
		filter_rows(conditions[i], r->vectors, g->ranges.rows, g->selection);
		left = bitmap_count(g->selection, g->ranges.rows);
		if (left > 0)
			narrow_ranges(r, g);
	}
	r->scan->counters.rows_filtered += before - left;
	return left > 0;
}
