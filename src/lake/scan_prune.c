/*-------------------------------------------------------------------------
 *
 * scan_prune.c
 *	  Rows of a row group that need not be read: by statistics of the group
 *	  and of its pages, and by deletes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_group.h"

bool
scan_group_may_match(LakeReader *r, const GroupRows *g)
{
	if (r->scan->filter == NULL)
		return true;
	for (int i = 0; i < r->scan->nfields; i++)
	{
		ScanColumn *c = &r->columns[i];
		ParquetBounds bounds;

		scan_bounds_unknown(&r->bounds[i]);
		if (!r->filtered[i])
			continue;
		if (c->leaf < 0)
		{
			scan_column_missing_bounds(c, g->nrows, &r->bounds[i]);
			continue;
		}
		parquet_reader_bounds(r->parquet->parquet, g->group, c->leaf, &bounds);
		scan_column_bounds(c, &bounds, &r->bounds[i]);
	}
	return filter_may_match(r->scan->filter, r->bounds);
}

/* The only slot a filter names, or -1 when it names several. */
static int
filter_only_slot(const LakeReader *r, const Filter *filter, bool *used)
{
	int			slot = -1;

	memset(used, 0, r->scan->nfields * sizeof(bool));
	filter_columns(filter, used);
	for (int i = 0; i < r->scan->nfields; i++)
	{
		if (!used[i])
			continue;
		if (slot >= 0)
			return -1;
		slot = i;
	}
	return slot;
}

/* Clears the rows of pages of one column that a condition on it rules out. */
static void
prune_pages_of(LakeReader *r, GroupRows *g, const Filter *condition, int slot)
{
	ScanColumn *c = &r->columns[slot];
	const uint32 *first_rows;
	const ParquetBounds *pages;
	int			npages;

	if (c->leaf < 0)
		return;
	npages = parquet_reader_pages(r->parquet->parquet, g->group, c->leaf, &first_rows, &pages);
	if (npages < 2)
		return;
	for (int i = 0; i < npages; i++)
	{
		uint32		end = i + 1 < npages ? first_rows[i + 1] : g->nrows;

		scan_column_bounds(c, &pages[i], &r->bounds[slot]);
		if (end > g->nrows || first_rows[i] > end)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read lake file \"%s\": page index of column \"%s\" is out of order in row group %d",
							r->file->entry.file.path, c->field->name, g->group)));
		if (!filter_may_match(condition, r->bounds))
		{
			scan_bits_clear(g->alive, first_rows[i], end - first_rows[i]);
			r->scan->counters.pages_pruned++;
		}
	}
}

/*
 * Page pruning.  Pages of different columns cover different rows, so only
 * conditions on one column are tried, each on its own pages; they are the
 * arguments of the filter's topmost AND.
 */
static void
prune_pages(LakeReader *r, GroupRows *g)
{
	const Filter *filter = r->scan->filter;
	bool	   *used;
	bool		conjunction;

	if (filter == NULL)
		return;
	used = palloc(Max(r->scan->nfields, 1) * sizeof(bool));
	conjunction = filter->op == FILTER_AND;
	for (int i = 0; i < (conjunction ? filter->nargs : 1); i++)
	{
		const Filter *condition = conjunction ? filter->args[i] : filter;
		int			slot = filter_only_slot(r, condition, used);

		if (slot >= 0)
			prune_pages_of(r, g, condition, slot);
	}
}

/* Clears deleted rows. */
static void
apply_deletes(LakeReader *r, GroupRows *g)
{
	uint64	   *deleted;
	uint64		n = 0;

	if (r->file->deleted == NULL)
		return;
	deleted = palloc0(BITMAP_WORDS(g->nrows) * sizeof(uint64));
	scan_bits_copy(deleted, 0, r->file->deleted, g->first, g->nrows);
	for (size_t w = 0; w < BITMAP_WORDS(g->nrows); w++)
	{
		n += pg_popcount64(g->alive[w] & deleted[w]);
		g->alive[w] &= ~deleted[w];
	}
	r->scan->counters.rows_deleted += n;
}

void
scan_group_prune(LakeReader *r, GroupRows *g)
{
	for (int i = 0; i < r->scan->nfields; i++)
		scan_bounds_unknown(&r->bounds[i]);
	prune_pages(r, g);
	apply_deletes(r, g);
}
