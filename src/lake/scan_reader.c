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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_group.h"
#include "miscadmin.h"
#include "utils/memutils.h"

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

void
scan_group_read(LakeReader *r, const GroupRows *g, const bool *wanted)
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

/* Everything up to the batch; false when nothing is left of the group. */
static bool
read_group(LakeReader *r, GroupRows *g, LakeBatch *batch)
{
	LakeScanCounters *counters = &r->scan->counters;

	if (g->nrows == 0 || !scan_group_may_match(r, g))
	{
		counters->row_groups_pruned += g->slice == 0;
		return false;
	}
	g->alive = palloc(BITMAP_WORDS(g->nrows) * sizeof(uint64));
	bitmap_fill(g->alive, g->nrows);
	scan_bits_clear(g->alive, 0, g->slice);
	scan_bits_clear(g->alive, g->slice + g->slice_rows, g->nrows - g->slice - g->slice_rows);
	scan_group_prune(r, g);
	scan_ranges_make(g->alive, g->nrows, GAP_BEFORE_FILTER, &g->ranges);
	if (g->ranges.rows == 0)
	{
		counters->row_groups_pruned += g->slice_rows == g->nrows;
		return false;
	}
	g->selection = palloc(BITMAP_WORDS(g->ranges.rows) * sizeof(uint64));
	scan_ranges_gather(&g->ranges, g->alive, g->selection);

	r->scan->files->reads_rest = false;
	if (r->scan->filter != NULL && !scan_group_filter(r, g))
		return false;
	r->scan->files->reads_rest = g->ranges.rows == g->nrows;
	scan_group_read(r, g, r->all);

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
	else if (scan_group_may_match(r, &g))
	{
		bool	   *used = palloc0(Max(r->scan->nfields, 1) * sizeof(bool));
		int			n;
		const Filter **conditions = scan_conditions(r, group, used, &n);

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
