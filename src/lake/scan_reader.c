/*-------------------------------------------------------------------------
 *
 * scan_reader.c
 *	  One task of a scan to batches, a row group at a time.
 *
 * The rows of a row group are narrowed down in steps, the cheapest first:
 * statistics of the row group, statistics of pages, deletes; then the
 * filter's conditions run one after the other, each reading its columns; then
 * the other columns are read.  When few rows are left, only the pages around
 * these are.
 *
 * Positions.  All steps work on one bitmap over the rows of the row group,
 * and the batch's rows are always some ranges of it.  Row numbers are
 * therefore known whatever was skipped, which is what deletes depend on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/*
 * Rows between two wanted ones that are read along: before the filter, gaps
 * made by page pruning count, single deleted rows do not; after it, decoding
 * some rows too many costs less than one more range.  The second must be the
 * smaller, so that its ranges lie within those of the first.
 */
#define GAP_BEFORE_FILTER 1024
#define GAP_AFTER_FILTER 64

struct LakeReader
{
	LakeScan   *scan;
	ScanFile   *file;
	ScanParquet *parquet;
	ScanColumn *columns;
	bool	   *filtered;		/* by slot: the filter reads it */
	bool	   *all;			/* by slot: true */
	ColumnVector **vectors;		/* by slot: of the batch; NULL: not read yet */
	FilterBounds *bounds;		/* by slot: scratch */
	MemoryContext context;
	MemoryContext group_context;	/* bitmaps and ranges of the batch given out */
};

/* Rows of a row group on their way to a batch. */
typedef struct GroupRows
{
	int			group;
	uint32		nrows;			/* of the group */
	uint32		slice;			/* first row wanted */
	uint32		slice_rows;		/* and how many */
	uint64		first;			/* position of its first row in the file */
	uint64	   *alive;			/* bitmap over the group: not pruned, not deleted */
	ScanRanges	ranges;			/* what is read */
	uint64	   *selection;		/* bitmap over ranges.rows */
} GroupRows;

/*
 * A footer has no checksum.  When the manifest counted values of a field, a
 * file that seems to lack it is damaged: nulls would be wrong rows.
 */
static void
check_columns(LakeReader *r)
{
	for (int i = 0; i < r->scan->nfields; i++)
	{
		const IcebergDataFile *file = &r->file->entry.file;
		const IcebergMetrics *m = lake_file_metrics(file, r->scan->fields[i]->id);

		if (scan_column_nleaves(&r->columns[i]) == 0 && m != NULL && m->value_count > 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read lake file \"%s\": column \"%s\" is missing",
							file->path, r->scan->fields[i]->name),
					 errdetail("The table's metadata counts " INT64_FORMAT " values of field %d in it.",
							   m->value_count, m->field_id)));
	}
}

LakeReader *
lake_reader_open(LakeScan *scan, int task)
{
	MemoryContext context = AllocSetContextCreate(scan->context, "tarn lake reader",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LakeReader *r = palloc0(sizeof(LakeReader));
	const IcebergDataFile *file = scan->tasks[task].file;
	int			nslots = Max(scan->nfields, 1);
	uint64		rows = 0;

	r->scan = scan;
	r->file = &scan->files->files[scan->tasks[task].index];
	r->context = context;
	r->group_context = AllocSetContextCreate(context, "tarn row group", ALLOCSET_DEFAULT_SIZES);
	r->filtered = palloc0(nslots * sizeof(bool));
	r->all = palloc(nslots * sizeof(bool));
	memset(r->all, true, nslots * sizeof(bool));
	r->vectors = palloc0(nslots * sizeof(ColumnVector *));
	r->bounds = palloc0(nslots * sizeof(FilterBounds));
	if (scan->filter != NULL)
		filter_columns(scan->filter, r->filtered);

	r->parquet = scan_ahead_open(scan, file, true);
	for (int g = 0; g < parquet_reader_nrow_groups(r->parquet->parquet); g++)
		rows += parquet_reader_group_rows(r->parquet->parquet, g);
	if (rows != (uint64) file->record_count)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read lake file \"%s\": it has " UINT64_FORMAT " rows, the table's metadata says " INT64_FORMAT,
						file->path, rows, file->record_count)));
	r->columns = scan_columns_bind(scan->table, r->parquet->parquet, file->path,
								   scan->fields, scan->nfields);
	check_columns(r);
	scan->counters.row_groups += parquet_reader_nrow_groups(r->parquet->parquet);

	scan_deletes_load(scan, r->file);
	MemoryContextSwitchTo(old);
	return r;
}

int
lake_reader_nrow_groups(LakeReader *r)
{
	return parquet_reader_nrow_groups(r->parquet->parquet);
}

void
lake_reader_close(LakeReader *r)
{
	scan_parquet_close(r->parquet);
	MemoryContextDelete(r->context);
}

/* Can the statistics of the whole group rule it out? */
static bool
group_may_match(LakeReader *r, const GroupRows *g)
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

/* Tells the store which chunks are read next, so that it can fetch neighbours together. */
static void
announce_columns(LakeReader *r, int group, const bool *wanted)
{
	ParquetReader *parquet = r->parquet->parquet;

	for (int i = 0; i < r->scan->nfields; i++)
	{
		const ScanColumn *c = &r->columns[i];

		if (!wanted[i] || r->vectors[i] != NULL)
			continue;
		for (int k = 0; k < scan_column_nleaves(c); k++)
		{
			int			leaf = scan_column_leaf(c, k);

			store_prefetch(r->parquet->store, parquet_reader_chunk_start(parquet, group, leaf),
						   (size_t) parquet_reader_chunk_bytes(parquet, group, leaf));
		}
	}
}

/* Reads the columns that are wanted and not read yet, over g->ranges. */
static void
read_columns(LakeReader *r, const GroupRows *g, const bool *wanted)
{
	/* of a part of the rows not all pages are read */
	if (g->ranges.rows == g->nrows)
		announce_columns(r, g->group, wanted);
	for (int i = 0; i < r->scan->nfields; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (wanted[i] && r->vectors[i] == NULL)
			r->vectors[i] = scan_column_read(&r->columns[i], r->parquet->parquet,
											 r->file->entry.file.path, g->group,
											 g->ranges.rows == g->nrows ? NULL : &g->ranges,
											 g->nrows);
	}
}

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

/* File positions of the batch's rows, when they are not simply consecutive. */
static void
fill_positions(const GroupRows *g, LakeBatch *batch)
{
	uint64		n = 0;

	batch->first_position = g->first + g->ranges.pairs[0];
	batch->positions = NULL;
	if (g->ranges.n == 1)
		return;
	batch->positions = palloc(g->ranges.rows * sizeof(uint64));
	for (int i = 0; i < g->ranges.n; i++)
	{
		for (uint32 k = 0; k < g->ranges.pairs[i * 2 + 1]; k++)
			batch->positions[n++] = g->first + g->ranges.pairs[i * 2] + k;
	}
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

/* The arguments of the filter's topmost AND, those over the smallest columns first. */
static const Filter **
order_conditions(LakeReader *r, int group, bool *used, int *n)
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

/*
 * Runs the filter, a condition after the other: a column is read only for the
 * rows that the conditions before it left.  False when no row is left.
 */
static bool
apply_filter(LakeReader *r, GroupRows *g)
{
	bool	   *used = palloc(r->scan->nfields * sizeof(bool));
	int			n;
	const Filter **conditions = order_conditions(r, g->group, used, &n);
	uint32		before = bitmap_count(g->selection, g->ranges.rows);
	uint32		left = before;

	for (int i = 0; i < n && left > 0; i++)
	{
		memset(used, 0, r->scan->nfields * sizeof(bool));
		filter_columns(conditions[i], used);
		read_columns(r, g, used);
		filter_rows(conditions[i], r->vectors, g->ranges.rows, g->selection);
		left = bitmap_count(g->selection, g->ranges.rows);
		if (left > 0)
			narrow_ranges(r, g);
	}
	r->scan->counters.rows_filtered += before - left;
	return left > 0;
}

/* Everything up to the batch; false when nothing is left of the group. */
static bool
read_group(LakeReader *r, GroupRows *g, LakeBatch *batch)
{
	LakeScanCounters *counters = &r->scan->counters;

	if (g->nrows == 0 || !group_may_match(r, g))
	{
		counters->row_groups_pruned += g->slice == 0;
		return false;
	}
	g->alive = palloc(BITMAP_WORDS(g->nrows) * sizeof(uint64));
	bitmap_fill(g->alive, g->nrows);
	scan_bits_clear(g->alive, 0, g->slice);
	scan_bits_clear(g->alive, g->slice + g->slice_rows, g->nrows - g->slice - g->slice_rows);
	for (int i = 0; i < r->scan->nfields; i++)
		scan_bounds_unknown(&r->bounds[i]);
	prune_pages(r, g);
	apply_deletes(r, g);
	scan_ranges_make(g->alive, g->nrows, GAP_BEFORE_FILTER, &g->ranges);
	if (g->ranges.rows == 0)
	{
		counters->row_groups_pruned += g->slice_rows == g->nrows;
		return false;
	}
	g->selection = palloc(BITMAP_WORDS(g->ranges.rows) * sizeof(uint64));
	scan_ranges_gather(&g->ranges, g->alive, g->selection);

	r->scan->files->reads_rest = false;
	if (r->scan->filter != NULL && !apply_filter(r, g))
		return false;
	r->scan->files->reads_rest = g->ranges.rows == g->nrows;
	read_columns(r, g, r->all);

	batch->columns = r->vectors;
	batch->nrows = g->ranges.rows;
	batch->selection = g->selection;
	batch->nselected = bitmap_count(g->selection, g->ranges.rows);
	batch->file = &r->file->entry.file;
	fill_positions(g, batch);
	counters->rows += batch->nselected;
	return true;
}

void
lake_reader_ahead(LakeScan *scan, int task)
{
	if (task < scan->ntasks)
		scan_ahead(scan, scan->tasks[task].file);
}

/*
 * Sure to be needed are all columns without a filter; with one, those of its
 * first condition, unless statistics rule the group out.  The others are
 * fetched along when they were needed of the group before.
 */
void
lake_reader_prefetch(LakeReader *r, int group)
{
	MemoryContext scratch = AllocSetContextCreate(r->context, "tarn prefetch", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	GroupRows	g = {.group = group, .nrows = lake_reader_group_rows(r, group)};

	memset(r->vectors, 0, r->scan->nfields * sizeof(ColumnVector *));
	if (r->scan->filter == NULL)
		announce_columns(r, group, r->all);
	else if (group_may_match(r, &g))
	{
		bool	   *used = palloc0(Max(r->scan->nfields, 1) * sizeof(bool));
		int			n;
		const Filter **conditions = order_conditions(r, group, used, &n);

		memset(used, 0, r->scan->nfields * sizeof(bool));
		filter_columns(conditions[0], used);
		announce_columns(r, group, r->scan->files->reads_rest ? r->all : used);
	}
	store_prefetch_start(r->parquet->store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

uint32
lake_reader_group_rows(LakeReader *r, int group)
{
	uint64		nrows = parquet_reader_group_rows(r->parquet->parquet, group);

	if (nrows > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot read lake file \"%s\": row group %d has " UINT64_FORMAT " rows",
						r->file->entry.file.path, group, nrows)));
	return nrows;
}

bool
lake_reader_slice(LakeReader *r, int group, uint32 first, uint32 count, LakeBatch *batch)
{
	MemoryContext old;
	GroupRows	g = {0};
	bool		found;

	MemoryContextReset(r->group_context);
	memset(r->vectors, 0, r->scan->nfields * sizeof(ColumnVector *));
	old = MemoryContextSwitchTo(r->group_context);
	memset(batch, 0, sizeof(LakeBatch));
	g.group = group;
	g.nrows = lake_reader_group_rows(r, group);
	g.slice = Min(first, g.nrows);
	g.slice_rows = Min(count, g.nrows - g.slice);
	g.first = parquet_reader_group_first_row(r->parquet->parquet, group);
	found = read_group(r, &g, batch);
	MemoryContextSwitchTo(old);
	return found;
}

bool
lake_reader_group(LakeReader *r, int group, LakeBatch *batch)
{
	return lake_reader_slice(r, group, 0, lake_reader_group_rows(r, group), batch);
}
