/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of a foreign table: a sample of the lake table's rows.
 *
 * A table of moderate size is read whole.  Of a larger one, slices of its row
 * groups that begin at random rows are, each about as long as a page: less
 * would cost as much, since pages are decoded whole.  Whole row groups were
 * rejected: for the same work they are few, and ordered columns would show a
 * few stretches only.  The sample is drawn from all rows that were read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/pg_prng.h"
#include "fdw/fdw.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

#define ANALYZE_SLICES 200
#define ANALYZE_SLICE_ROWS 16384

/* Rows formed at a time. */
#define ANALYZE_CHUNK_ROWS 1024

typedef struct Analyze
{
	Relation	relation;
	LakeTable  *table;
	LakeScan   *scan;
	FdwColumn  *columns;
	int			ncolumns;
	double		total;			/* rows in files, deleted ones too */

	/* the sample */
	HeapTuple  *rows;
	int			target;
	int			nrows;
	double		seen;			/* live rows that were read */
	double		skip;			/* rows to pass over before the next is taken; < 0: not known */
	ReservoirStateData reservoir;

	/* the chunk */
	uint32		chosen[ANALYZE_CHUNK_ROWS]; /* rows of the batch */
	int			places[ANALYZE_CHUNK_ROWS]; /* where they go in `rows` */
	int			nchosen;
	Datum	   *values;			/* nchosen x ncolumns */
	bool	   *isnull;

	MemoryContext context;
	MemoryContext chunk_context;
} Analyze;

static void
analyze_open(Analyze *a, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	int		   *field_ids = palloc(Max(desc->natts, 1) * sizeof(int));
	FdwNames	names;

	memset(a, 0, sizeof(Analyze));
	a->relation = relation;
	a->context = CurrentMemoryContext;
	fdw_table_names(RelationGetRelid(relation), &names);
	a->table = lake_table_load(lake_open(names.server, relation->rd_rel->relowner),
							   names.namespace, names.table, false);
	a->columns = palloc0(Max(desc->natts, 1) * sizeof(FdwColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		FdwColumn  *c = &a->columns[a->ncolumns];

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		fdw_column_bind(c, relation, i + 1, a->table, a->context);
		c->slot = a->ncolumns;
		field_ids[a->ncolumns++] = c->field->id;
	}
	a->scan = lake_scan_plan(a->table, field_ids, a->ncolumns, NULL);
	for (int i = 0; i < a->scan->ntasks; i++)
		a->total += a->scan->tasks[i].file->record_count;
}

static void
analyze_close(Analyze *a)
{
	lake_scan_end(a->scan);
	lake_table_free(a->table);
}

/* --- rows --- */

/* The place of the next live row in the sample, or -1: it is not taken. */
static int
analyze_place(Analyze *a)
{
	a->seen++;
	if (a->nrows < a->target)
		return a->nrows++;
	if (a->skip < 0)
		a->skip = reservoir_get_next_S(&a->reservoir, a->seen - 1, a->target);
	if (a->skip-- > 0)
		return -1;
	return (int) (a->target * sampler_random_fract(&a->reservoir.randstate));
}

/* The chosen rows of the batch into the sample. */
static void
analyze_form(Analyze *a, const LakeBatch *batch)
{
	TupleDesc	desc = RelationGetDescr(a->relation);
	Datum	   *values;
	bool	   *isnull;
	MemoryContext old;

	MemoryContextReset(a->chunk_context);
	old = MemoryContextSwitchTo(a->chunk_context);
	values = palloc0(Max(desc->natts, 1) * sizeof(Datum));
	isnull = palloc(Max(desc->natts, 1) * sizeof(bool));
	memset(isnull, true, desc->natts * sizeof(bool));
	for (int i = 0; i < a->ncolumns; i++)
		convert_form(&a->columns[i].convert, batch->columns[i], a->chosen, a->nchosen,
					 a->values + i, a->isnull + i, a->ncolumns);
	MemoryContextSwitchTo(a->context);
	for (int row = 0; row < a->nchosen; row++)
	{
		HeapTuple  *place = &a->rows[a->places[row]];

		for (int i = 0; i < a->ncolumns; i++)
		{
			values[a->columns[i].attno - 1] = a->values[row * a->ncolumns + i];
			isnull[a->columns[i].attno - 1] = a->isnull[row * a->ncolumns + i];
		}
		if (*place != NULL)
			heap_freetuple(*place);
		*place = heap_form_tuple(desc, values, isnull);
	}
	a->nchosen = 0;
	MemoryContextSwitchTo(old);
}

static void
analyze_batch(Analyze *a, const LakeBatch *batch)
{
	for (uint32 i = 0; i < batch->nrows; i++)
	{
		int			place;

		if (!bitmap_get(batch->selection, i) || (place = analyze_place(a)) < 0)
			continue;
		a->chosen[a->nchosen] = i;
		a->places[a->nchosen++] = place;
		if (a->nchosen == ANALYZE_CHUNK_ROWS)
			analyze_form(a, batch);
	}
	analyze_form(a, batch);
	CHECK_FOR_INTERRUPTS();
}

/* --- what is read --- */

static void
analyze_whole(Analyze *a)
{
	LakeBatch	batch;

	for (int task = 0; task < a->scan->ntasks; task++)
	{
		LakeReader *reader = lake_reader_open(a->scan, task);

		for (int group = 0; group < lake_reader_nrow_groups(reader); group++)
		{
			if (lake_reader_group(reader, group, &batch))
				analyze_batch(a, &batch);
		}
		lake_reader_close(reader);
	}
}

static int
compare_positions(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* Reads a slice from row `first` of the file, within the row group of that. */
static void
analyze_slice(Analyze *a, LakeReader *reader, double first)
{
	LakeBatch	batch;

	for (int group = 0; group < lake_reader_nrow_groups(reader); group++)
	{
		uint32		rows = lake_reader_group_rows(reader, group);

		if (first < rows)
		{
			if (lake_reader_slice(reader, group, (uint32) first, ANALYZE_SLICE_ROWS, &batch))
				analyze_batch(a, &batch);
			return;
		}
		first -= rows;
	}
}

static void
analyze_slices(Analyze *a)
{
	double		positions[ANALYZE_SLICES];
	LakeReader *reader = NULL;
	int			task = -1;
	double		begin = 0;		/* of the task */
	double		end = 0;
	double		next = 0;		/* what was read ends here */

	for (int i = 0; i < ANALYZE_SLICES; i++)
		positions[i] = floor(pg_prng_double(&pg_global_prng_state) * a->total);
	qsort(positions, ANALYZE_SLICES, sizeof(double), compare_positions);
	for (int i = 0; i < ANALYZE_SLICES; i++)
	{
		double		at = Max(positions[i], next);

		next = at + ANALYZE_SLICE_ROWS;
		if (at >= a->total)
			break;
		if (at >= end)
		{
			if (reader != NULL)
				lake_reader_close(reader);
			while (at >= end)
			{
				begin = end;
				end += a->scan->tasks[++task].file->record_count;
			}
			reader = lake_reader_open(a->scan, task);
		}
		analyze_slice(a, reader, at - begin);
	}
	if (reader != NULL)
		lake_reader_close(reader);
}

static int
analyze_acquire(Relation relation, int elevel, HeapTuple *rows, int target,
				double *total_rows, double *dead_rows)
{
	Analyze    *a = palloc(sizeof(Analyze));
	double		live;

	analyze_open(a, relation);
	memset(rows, 0, target * sizeof(HeapTuple));
	a->rows = rows;
	a->target = target;
	a->skip = -1;
	reservoir_init_selection_state(&a->reservoir, target);
	a->chunk_context = AllocSetContextCreate(a->context, "tarn analyze rows", ALLOCSET_DEFAULT_SIZES);
	a->values = palloc((Size) Max(a->ncolumns, 1) * ANALYZE_CHUNK_ROWS * sizeof(Datum));
	a->isnull = palloc((Size) Max(a->ncolumns, 1) * ANALYZE_CHUNK_ROWS * sizeof(bool));

	if (a->total <= (double) ANALYZE_SLICES * ANALYZE_SLICE_ROWS)
		analyze_whole(a);
	else
		analyze_slices(a);

	live = a->table->snapshot == NULL ? 0 : lake_table_rows(a->table);
	if (live < 0)
		live = a->total;
	*total_rows = live;
	*dead_rows = Max(a->total - live, 0);
	ereport(elevel,
			(errmsg("\"%s\": lake table has %.0f rows in %d files; %.0f rows read, %d rows in sample",
					RelationGetRelationName(relation), live, a->scan->ntasks, a->seen, a->nrows)));
	MemoryContextDelete(a->chunk_context);
	analyze_close(a);
	return a->nrows;
}

bool
fdw_analyze(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages)
{
	Analyze		a;
	double		bytes = 0;

	analyze_open(&a, relation);
	for (int i = 0; i < a.scan->ntasks; i++)
		bytes += a.scan->tasks[i].file->file_size;
	analyze_close(&a);
	*pages = (BlockNumber) Min(bytes / BLCKSZ + 1, (double) MaxBlockNumber);
	*acquire = analyze_acquire;
	return true;
}
