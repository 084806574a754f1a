/*-------------------------------------------------------------------------
 *
 * rebuild_plan.c
 *	  Which rows of a history make the mirror of a moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "lake/scan.h"
#include "pipeline/rebuild.h"

/* A row of op b, e or s. */
typedef struct Mark
{
	HistoryOp	op;
	XLogRecPtr	lsn;
	int64		sequence;
	int64		time;
	char	   *shape;
	uint32		shape_size;
} Mark;

typedef struct Marks
{
	List	   *list;			/* of Mark *, in the order of changes */
	MemoryContext context;
} Marks;

void
rebuild_scan(LakeTable *t, const int *fields, int nfields, Filter *filter, rebuild_row_fn row, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn history scan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext round = AllocSetContextCreate(context, "tarn history file", ALLOCSET_DEFAULT_SIZES);
	LakeScan   *scan = lake_scan_plan(t, fields, nfields, filter);
	LakeValue  *values = palloc(sizeof(LakeValue) * nfields);

	for (int i = 0; i < scan->ntasks; i++)
	{
		LakeReader *reader;
		LakeBatch	batch;

		MemoryContextSwitchTo(round);
		reader = lake_reader_open(scan, i);
		for (int g = 0; g < lake_reader_nrow_groups(reader); g++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!lake_reader_group(reader, g, &batch))
				continue;
			for (uint32 n = 0; n < batch.nrows; n++)
			{
				if (!bitmap_get(batch.selection, n))
					continue;
				for (int f = 0; f < nfields; f++)
					column_vector_value(batch.columns[f], n, &values[f]);
				row(values, arg);
			}
		}
		lake_reader_close(reader);
		MemoryContextReset(round);
	}
	MemoryContextSwitchTo(context);
	lake_scan_end(scan);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

Filter *
rebuild_filter(FilterOp op, int column, LakeTypeId type, int64 value)
{
	LakeValue	constant = {.u.i64 = value};

	return filter_make(op, column, (LakeType) {.id = type}, &constant, 1);
}

/* --- marks --- */

static void
take_mark(const LakeValue *values, void *arg)
{
	Marks	   *marks = arg;
	MemoryContext old = MemoryContextSwitchTo(marks->context);
	Mark	   *mark = palloc0(sizeof(Mark));

	mark->op = (HistoryOp) values[0].u.bytes.data[0];
	mark->lsn = (XLogRecPtr) values[1].u.i64;
	mark->sequence = values[2].u.i64;
	mark->time = values[3].u.i64;
	if (!values[4].isnull)
	{
		mark->shape = pnstrdup(values[4].u.bytes.data, values[4].u.bytes.size);
		mark->shape_size = values[4].u.bytes.size;
	}
	marks->list = lappend(marks->list, mark);
	MemoryContextSwitchTo(old);
}

static int
compare_marks(const ListCell *a, const ListCell *b)
{
	const Mark *x = lfirst(a);
	const Mark *y = lfirst(b);

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static List *
read_marks(LakeTable *history)
{
	static const int fields[] = {HISTORY_FIELD_ID(HISTORY_OP), HISTORY_FIELD_ID(HISTORY_COMMIT_LSN),
		HISTORY_FIELD_ID(HISTORY_SEQUENCE), HISTORY_FIELD_ID(HISTORY_COMMIT_TIME), HISTORY_FIELD_ID(HISTORY_SHAPE_TEXT)
	};
	static const char ops[] = {HISTORY_BEGIN, HISTORY_END, HISTORY_SHAPE};
	LakeValue	constants[lengthof(ops)];
	Marks		marks = {NIL, CurrentMemoryContext};

	memset(constants, 0, sizeof(constants));
	for (int i = 0; i < lengthof(ops); i++)
	{
		constants[i].u.bytes.data = &ops[i];
		constants[i].u.bytes.size = 1;
	}
	rebuild_scan(history, fields, lengthof(fields),
				 filter_make(FILTER_IN, 0, (LakeType) {.id = LAKE_STRING}, constants, lengthof(ops)), take_mark, &marks);
	list_sort(marks.list, compare_marks);
	return marks.list;
}

/* --- the moment --- */

static void
take_least(const LakeValue *values, void *arg)
{
	XLogRecPtr *least = arg;

	/* an end has the time of what follows it */
	if (values[1].u.bytes.data[0] != HISTORY_END)
		*least = Min(*least, (XLogRecPtr) values[0].u.i64);
}

/* As recovery to a time does: up to the first commit that is later, which is not the same as all that are earlier. */
static XLogRecPtr
lsn_of_time(LakeTable *history, TimestampTz time)
{
	static const int fields[] = {HISTORY_FIELD_ID(HISTORY_COMMIT_LSN), HISTORY_FIELD_ID(HISTORY_OP),
	HISTORY_FIELD_ID(HISTORY_COMMIT_TIME)};
	XLogRecPtr	least = PG_INT64_MAX;

	rebuild_scan(history, fields, lengthof(fields),
				 rebuild_filter(FILTER_GT, 2, LAKE_TIMESTAMPTZ, history_time(time)), take_least, &least);
	return least - 1;
}

pg_noreturn static void
not_there(const LakeTable *history, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("history \"%s.%s\" does not have the moment that is asked for", history->namespace, history->name),
			 errdetail("%s", detail)));
	pg_unreachable();
}

static void
take_last(const LakeValue *values, void *arg)
{
	XLogRecPtr *last = arg;

	*last = Max(*last, (XLogRecPtr) values[0].u.i64);
}

/* The position of its last row. */
static XLogRecPtr
last_lsn(LakeTable *history)
{
	static const int fields[] = {HISTORY_FIELD_ID(HISTORY_COMMIT_LSN)};
	XLogRecPtr	last = InvalidXLogRecPtr;

	rebuild_scan(history, fields, lengthof(fields), NULL, take_last, &last);
	return last;
}

/* The position that is meant, which the history must have reached. */
static XLogRecPtr
find_until(LakeTable *history, const RebuildUntil *until)
{
	XLogRecPtr	complete = until->ended ? last_lsn(history) : until->complete;
	XLogRecPtr	lsn = until->lsn;

	if (until->by_time)
	{
		lsn = lsn_of_time(history, until->time);
		/* later than all there is: of a table that is followed that is known to be all */
		if (!until->ended)
			lsn = Min(lsn, complete);
	}
	else if (until->lsn == InvalidXLogRecPtr)
		lsn = complete;
	if (lsn > complete)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("history \"%s.%s\" does not have the moment that is asked for", history->namespace, history->name),
				 errdetail("It is complete up to %X/%X.", LSN_FORMAT_ARGS(complete)),
				 until->ended ? errhint("Nobody follows its table any more. Leave out \"until\" for the last of it.") :
				 errhint("Wait for it with tarn.flush.")));
	return lsn;
}

/* The last base that is not after `until`; its index in the list. */
static int
find_base(const LakeTable *history, const List *marks, XLogRecPtr until)
{
	const Mark *first = NULL;
	int			base = -1;
	ListCell   *lc;

	foreach(lc, marks)
	{
		const Mark *m = lfirst(lc);

		if (m->op != HISTORY_BEGIN)
			continue;
		if (first == NULL)
			first = m;
		if (m->lsn <= until)
			base = foreach_current_index(lc);
	}
	if (first == NULL)
		not_there(history, "It has no beginning: no copy of the table is in it.");
	if (base < 0)
		not_there(history, psprintf("It begins at %X/%X.", LSN_FORMAT_ARGS(first->lsn)));
	return base;
}

/* Does the history go on from the base to `until` without a gap? */
static void
check_gap(const LakeTable *history, const List *marks, int base, XLogRecPtr until)
{
	const Mark *next = NULL;
	const Mark *end = NULL;

	for (int i = base + 1; i < list_length(marks) && next == NULL; i++)
	{
		const Mark *m = list_nth(marks, i);

		if (m->op == HISTORY_BEGIN)
			next = m;
	}
	if (next == NULL)
		return;
	/* it has the time of its base, wherever it stands: two ends may have one position, where nothing changed */
	for (int i = 0; i < list_length(marks) && end == NULL; i++)
	{
		const Mark *m = list_nth(marks, i);

		if (m->op == HISTORY_END && m->time == next->time)
			end = m;
	}
	if (end == NULL)
		not_there(history, psprintf("It has a gap up to %X/%X, where the table was copied anew.", LSN_FORMAT_ARGS(next->lsn)));
	if (until > end->lsn)
		not_there(history, psprintf("It has a gap from %X/%X to %X/%X, where the table was copied anew.",
									LSN_FORMAT_ARGS(end->lsn), LSN_FORMAT_ARGS(next->lsn)));
}

/* --- shapes --- */

const IcebergField *
rebuild_field(const RebuildPlan *plan, int id)
{
	return iceberg_schema_field(plan->fields, id);
}

static TableShape *
mark_shape(const LakeTable *history, const Mark *m)
{
	if (m->shape == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("history \"%s.%s\" lacks the shape of its table at %X/%X", history->namespace, history->name,
						LSN_FORMAT_ARGS(m->lsn))));
	return history_shape_read(m->shape, m->shape_size, history->name, CurrentMemoryContext);
}

/* Fields of a shape into those of all: each as the last one has it. */
static void
unite_fields(IcebergSchema *all, const IcebergSchema *schema)
{
	for (int i = 0; i < schema->nfields; i++)
	{
		int			k = 0;

		while (k < all->nfields && all->fields[k].id != schema->fields[i].id)
			k++;
		if (k == all->nfields)
		{
			all->fields = all->nfields == 0 ? palloc(sizeof(IcebergField)) :
				repalloc(all->fields, sizeof(IcebergField) * (all->nfields + 1));
			all->nfields++;
		}
		all->fields[k] = schema->fields[i];
	}
}

/* The history is read with every field that its table had since the base. */
static void
unite_shapes(RebuildPlan *plan, const List *marks, int base)
{
	TableShape	all;

	memset(&all, 0, sizeof(all));
	plan->fields = palloc0(sizeof(IcebergSchema));
	for (int i = base; i < list_length(marks); i++)
	{
		const Mark *m = list_nth(marks, i);
		TableShape *shape;

		if (m->lsn > plan->until || (i > base && m->op != HISTORY_SHAPE))
			continue;
		shape = mark_shape(plan->history, m);
		unite_fields(plan->fields, shape->schema);
		if (i == base)
			plan->first = shape;
	}
	all.schema = plan->fields;
	plan->history->schema = history_from_mirror(&all, CurrentMemoryContext)->schema;
	plan->image = iceberg_schema_field(plan->history->schema, HISTORY_FIELD_ID(HISTORY_AFTER))->node;
}

RebuildPlan *
rebuild_plan(LakeTable *history, const RebuildUntil *until)
{
	RebuildPlan *plan = palloc0(sizeof(RebuildPlan));
	List	   *marks = read_marks(history);
	int			base;

	plan->history = history;
	plan->context = CurrentMemoryContext;
	plan->until = find_until(history, until);
	base = find_base(history, marks, plan->until);
	check_gap(history, marks, base, plan->until);
	plan->base = ((const Mark *) list_nth(marks, base))->lsn;
	unite_shapes(plan, marks, base);
	return plan;
}
