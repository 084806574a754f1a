/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Executing a scan: batches of the lake to tuples.
 *
 * The lake table is looked up at Begin, under the query's snapshot.  The
 * filter is made when the first row is asked for, and again when a parameter
 * has changed: only then the values of nested loops and initplans are there.
 *
 * Rows are formed in chunks of FDW_CHUNK_ROWS, column by column, and copied
 * into the scan's slot one at a time.  Columns that nobody asked for read as
 * NULL: core may put all columns into the plan's target list, and copies
 * whole rows at times.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Rows of a row group read at a time, and where a scan that may stop early begins. */
#define FDW_SLICE_ROWS (1024 * 1024)
#define FDW_FIRST_SLICE_ROWS 2048
#define FDW_SLICE_GROWTH 8

/* --- begin --- */

/* Binds the column of `attno` unless it is bound. */
static void
scan_add_column(FdwScan *fs, Relation rel, AttrNumber attno)
{
	FdwColumn  *c;

	if (fs->by_attno[attno - 1] != NULL)
		return;
	c = &fs->columns[fs->ncolumns];
	fdw_column_bind(c, rel, attno, fs->table, fs->context);
	c->slot = fs->ncolumns++;
	fs->by_attno[attno - 1] = c;
}

/* Columns the plan wants formed come first, then those that only clauses read. */
static void
scan_bind_columns(FdwScan *fs, ForeignScan *plan, Relation rel)
{
	int			natts = RelationGetDescr(rel)->natts;
	Bitmapset  *used = NULL;
	ListCell   *lc;

	fs->columns = palloc0(Max(natts, 1) * sizeof(FdwColumn));
	fs->by_attno = palloc0(Max(natts, 1) * sizeof(FdwColumn *));
	foreach(lc, fdw_plan_attributes(plan))
		scan_add_column(fs, rel, lfirst_int(lc));
	fs->nrequired = fs->ncolumns;
	foreach(lc, fs->clauses)
		used = push_attributes(lfirst(lc), used);
	for (int attno = 1; attno <= natts; attno++)
	{
		if (bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used))
			scan_add_column(fs, rel, attno);
	}
}

void
fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Relation	rel = node->ss.ss_currentRelation;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	Oid			user = compat_scan_user(plan, node->ss.ps.state);
	FdwScan    *fs;
	FdwNames	names;
	MemoryContext old;
	ListCell   *lc;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	memset(slot->tts_values, 0, slot->tts_tupleDescriptor->natts * sizeof(Datum));

	fs = palloc0(sizeof(FdwScan));
	fs->context = AllocSetContextCreate(CurrentMemoryContext, "tarn foreign scan",
										ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(fs->context);
	fs->filter_context = AllocSetContextCreate(fs->context, "tarn scan filter",
											   ALLOCSET_SMALL_SIZES);
	fs->chunk_context = AllocSetContextCreate(fs->context, "tarn scan rows",
											  ALLOCSET_DEFAULT_SIZES);

	fdw_table_names(RelationGetRelid(rel), &names);
	fs->table = lake_table_load(lake_open(names.server, OidIsValid(user) ? user : GetUserId()),
								names.namespace, names.table, false);
	foreach(lc, plan->fdw_recheck_quals)
	{
		PushNode   *clause = push_match(plan->scan.scanrelid, lfirst(lc));

		if (clause == NULL)
			elog(ERROR, "pushed clause is not recognised");
		push_init(clause, &node->ss.ps);
		fs->clauses = lappend(fs->clauses, clause);
		fs->clause_states = lappend(fs->clause_states, NULL);
	}
	scan_bind_columns(fs, plan, rel);
	fs->values = palloc(Max((Size) fs->ncolumns, 1) * FDW_CHUNK_ROWS * sizeof(Datum));
	fs->isnull = palloc(Max((Size) fs->ncolumns, 1) * FDW_CHUNK_ROWS * sizeof(bool));
	fs->dirty = true;
	fs->stops_early = fdw_plan_stops_early(plan);
	node->fdw_state = fs;
	MemoryContextSwitchTo(old);
}

/* --- filter --- */

/* The i-th clause as something the executor can run. */
static ExprState *
scan_clause_state(FdwScan *fs, ForeignScanState *node, int i, Expr *clause)
{
	ListCell   *cell = list_nth_cell(fs->clause_states, i);

	if (lfirst(cell) == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fs->context);

		lfirst(cell) = ExecInitQual(list_make1(clause), &node->ss.ps);
		MemoryContextSwitchTo(old);
	}
	return lfirst(cell);
}

/* Evaluates the clauses' values: fs->filter, fs->rechecks, fs->nform. */
static void
scan_make_filter(FdwScan *fs, ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	int			nclauses = list_length(fs->clauses);
	Filter	  **args;
	int			nargs = 0;
	MemoryContext old;

	MemoryContextReset(fs->filter_context);
	old = MemoryContextSwitchTo(fs->filter_context);
	args = palloc(Max(nclauses, 1) * sizeof(Filter *));
	fs->rechecks = NIL;
	fs->rechecked = NIL;
	for (int i = 0; i < nclauses; i++)
	{
		PushResult	r = push_filter(list_nth(fs->clauses, i), fs->by_attno, econtext);

		if (r.filter != NULL)
			args[nargs++] = r.filter;
		if (!r.exact)
		{
			Expr	   *clause = list_nth(plan->fdw_recheck_quals, i);

			fs->rechecks = lappend(fs->rechecks, scan_clause_state(fs, node, i, clause));
			fs->rechecked = lappend(fs->rechecked, clause);
		}
	}
	fs->filter = NULL;
	if (nargs == 1)
		fs->filter = args[0];
	else if (nargs > 1)
		fs->filter = filter_combine(FILTER_AND, args, nargs);
	fs->nform = fs->rechecks == NIL ? fs->nrequired : fs->ncolumns;
	MemoryContextSwitchTo(old);
}

/* --- cursor --- */

static bool
cursor_next(FdwCursor *cursor, int *task, int *group)
{
	if (cursor->ngroups >= 0 && cursor->group >= cursor->ngroups)
	{
		cursor->task++;
		cursor->group = 0;
		cursor->ngroups = -1;
	}
	if (cursor->task >= cursor->ntasks)
		return false;
	*task = cursor->task;
	*group = cursor->group++;
	return true;
}

static void
scan_close_reader(FdwScan *fs)
{
	if (fs->reader != NULL)
		lake_reader_close(fs->reader);
	fs->reader = NULL;
}

static void
scan_close_readers(FdwScan *fs)
{
	scan_close_reader(fs);
	if (fs->next_reader != NULL)
		lake_reader_close(fs->next_reader);
	fs->next_reader = NULL;
}

/* The reader of `task`; the tasks that follow it are begun to be fetched. */
static void
scan_open_reader(FdwScan *fs, int task)
{
	bool		ready = fs->next_reader != NULL && task == fs->reader_task + 1;

	scan_close_reader(fs);
	if (ready)
		fs->reader = fs->next_reader;
	else if (fs->next_reader != NULL)
		lake_reader_close(fs->next_reader);
	fs->next_reader = NULL;
	fs->reader_task = task;
	for (int i = ready ? 1 : 0; !fs->stops_early && i <= LAKE_TASKS_AHEAD; i++)
		lake_reader_ahead(fs->scan, task + i);
	if (!ready)
		fs->reader = lake_reader_open(fs->scan, task);
}

/*
 * Has the row group that was just taken fetched, and the one after it, so
 * that this comes while that is decoded.  A query that may stop early would
 * pay for what it does not read.
 */
static void
scan_look_ahead(FdwScan *fs)
{
	if (fs->stops_early)
		return;
	lake_reader_prefetch(fs->reader, fs->group);
	if (fs->cursor.group < fs->cursor.ngroups)
		lake_reader_prefetch(fs->reader, fs->cursor.group);
	else if (fs->next_reader == NULL && fs->reader_task + 1 < fs->cursor.ntasks)
	{
		fs->next_reader = lake_reader_open(fs->scan, fs->reader_task + 1);
		if (lake_reader_nrow_groups(fs->next_reader) > 0)
			lake_reader_prefetch(fs->next_reader, 0);
	}
}

/* (Re)starts at the first row. */
static void
scan_start(FdwScan *fs, ForeignScanState *node)
{
	MemoryContext old = MemoryContextSwitchTo(fs->context);

	scan_close_readers(fs);
	if (fs->dirty)
	{
		scan_make_filter(fs, node);
		if (fs->scan == NULL)
		{
			int		   *field_ids = palloc(Max(fs->ncolumns, 1) * sizeof(int));

			for (int i = 0; i < fs->ncolumns; i++)
				field_ids[i] = fs->columns[i].field->id;
			fs->scan = lake_scan_plan(fs->table, field_ids, fs->ncolumns, fs->filter);
		}
		else
			lake_scan_replan(fs->scan, fs->filter);
		fs->dirty = false;
	}
	memset(&fs->cursor, 0, sizeof(FdwCursor));
	fs->cursor.next = cursor_next;
	fs->cursor.ngroups = -1;
	fs->cursor.ntasks = fs->scan->ntasks;
	fs->group_rows = 0;
	fs->group_at = 0;
	fs->slice_rows = fs->stops_early ? FDW_FIRST_SLICE_ROWS : FDW_SLICE_ROWS;
	MemoryContextSwitchTo(old);
}

/* Moves to the next row group, opening its file; false at the end. */
static bool
scan_next_group(FdwScan *fs)
{
	int			task;

	while (fs->cursor.next(&fs->cursor, &task, &fs->group))
	{
		if (fs->reader == NULL || fs->reader_task != task)
		{
			scan_open_reader(fs, task);
			fs->cursor.ngroups = lake_reader_nrow_groups(fs->reader);
			if (fs->group >= fs->cursor.ngroups)
				continue;		/* a file without row groups */
		}
		fs->group_at = 0;
		fs->group_rows = lake_reader_group_rows(fs->reader, fs->group);
		scan_look_ahead(fs);
		return true;
	}
	scan_close_readers(fs);
	return false;
}

/*
 * Reads the next slice that has rows; false at the end.  Slices cut pages,
 * which are then decoded twice: so they are large, unless the query may stop
 * after some rows; then they begin small and grow fast.
 */
static bool
scan_next_batch(FdwScan *fs)
{
	for (;;)
	{
		uint32		at = fs->group_at;
		uint32		rows;

		CHECK_FOR_INTERRUPTS();
		if (fs->reader == NULL || at >= fs->group_rows)
		{
			if (!scan_next_group(fs))
				return false;
			at = 0;
		}
		rows = Min(fs->slice_rows, fs->group_rows - at);
		fs->group_at = at + rows;
		if (fs->slice_rows < FDW_SLICE_ROWS)
			fs->slice_rows *= FDW_SLICE_GROWTH;
		if (lake_reader_slice(fs->reader, fs->group, at, rows, &fs->batch))
		{
			fs->batch_at = 0;
			return true;
		}
	}
}

/* --- rows --- */

/* Numbers of the next selected rows of the batch into fs->rows. */
static uint32
scan_take_rows(FdwScan *fs)
{
	const LakeBatch *batch = &fs->batch;
	uint32		at = fs->batch_at;
	uint32		n = 0;

	while (at < batch->nrows && n < FDW_CHUNK_ROWS)
	{
		uint64		word = batch->selection[at >> 6] >> (at & 63);

		if (word == 0)
		{
			at = (at | 63) + 1;
			continue;
		}
		at += pg_rightmost_one_pos64(word);
		fs->rows[n++] = at++;
	}
	fs->batch_at = at;
	return n;
}

/* Forms the next chunk of rows; false at the end of the scan. */
static bool
scan_form_chunk(FdwScan *fs)
{
	fs->at = 0;
	fs->nrows = 0;
	for (;;)
	{
		if (fs->batch.selection != NULL)
			fs->nrows = scan_take_rows(fs);
		if (fs->nrows > 0)
			break;
		fs->batch.selection = NULL;
		if (!scan_next_batch(fs))
			return false;
	}

	MemoryContextReset(fs->chunk_context);
	MemoryContextSwitchTo(fs->chunk_context);
	for (int i = 0; i < fs->nform; i++)
		convert_form(&fs->columns[i].convert, fs->batch.columns[i], fs->rows, fs->nrows,
					 fs->values + i, fs->isnull + i, fs->nform);
	MemoryContextSwitchTo(fs->context);
	return true;
}

/* Row fs->at into the slot. */
static void
scan_store_row(FdwScan *fs, TupleTableSlot *slot)
{
	const Datum *values = fs->values + (Size) fs->at * fs->nform;
	const bool *isnull = fs->isnull + (Size) fs->at * fs->nform;

	ExecClearTuple(slot);
	for (int i = 0; i < fs->nform; i++)
	{
		AttrNumber	attno = fs->columns[i].attno;

		slot->tts_values[attno - 1] = values[i];
		slot->tts_isnull[attno - 1] = isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	fs->at++;
}

/* Clauses without an exact filter, evaluated over the slot. */
static bool
scan_recheck(FdwScan *fs, ForeignScanState *node, TupleTableSlot *slot)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ListCell   *lc;

	econtext->ecxt_scantuple = slot;
	ResetExprContext(econtext);
	foreach(lc, fs->rechecks)
	{
		if (!ExecQual(lfirst(lc), econtext))
			return false;
	}
	return true;
}

TupleTableSlot *
fdw_iterate_scan(ForeignScanState *node)
{
	FdwScan    *fs = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	for (;;)
	{
		if (unlikely(fs->at >= fs->nrows))
		{
			MemoryContext old = MemoryContextSwitchTo(fs->context);
			bool		more;

			if (fs->scan == NULL || fs->dirty || fs->cursor.next == NULL)
				scan_start(fs, node);
			more = scan_form_chunk(fs);
			MemoryContextSwitchTo(old);
			if (!more)
				return ExecClearTuple(slot);
		}
		scan_store_row(fs, slot);
		if (likely(fs->rechecks == NIL) || scan_recheck(fs, node, slot))
			return slot;
		fs->rows_rechecked++;
		CHECK_FOR_INTERRUPTS();
	}
}

void
fdw_rescan(ForeignScanState *node)
{
	FdwScan    *fs = node->fdw_state;

	if (fs == NULL)
		return;

	/* parameters decide the filter; without new ones the tasks stay as they are */
	if (node->ss.ps.chgParam != NULL)
		fs->dirty = true;
	fs->cursor.next = NULL;		/* the next row starts it again */
	fs->batch.selection = NULL;
	fs->nrows = 0;
	fs->at = 0;
}

void
fdw_end_scan(ForeignScanState *node)
{
	FdwScan    *fs = node->fdw_state;

	if (fs == NULL)
		return;
	scan_close_readers(fs);
	if (fs->scan != NULL)
		lake_scan_end(fs->scan);
	lake_table_free(fs->table);
	MemoryContextDelete(fs->context);
	node->fdw_state = NULL;
}
