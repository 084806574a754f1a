/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Row filters of publications, with PostgreSQL's semantics.
 *
 * The filters of several publications are combined by OR, an operation at a
 * time, because each publication chooses its operations; one publication
 * without a filter lets all rows of its operations pass.  NULL counts as
 * false.  An UPDATE is looked at before and after:
 *
 *		before	after	leaves as
 *		no		no		nothing
 *		no		yes		INSERT
 *		yes		no		DELETE
 *		yes		yes		UPDATE
 *
 * Without an old row (the key did not change) only the new one is looked at:
 * filters of published updates name key columns only, the server sees to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_publication.h"
#include "decode/filter.h"
#include "decode/published.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"

typedef enum FilterAction
{
	FILTER_INSERT,
	FILTER_UPDATE,
	FILTER_DELETE
} FilterAction;
#define FILTER_NACTIONS (FILTER_DELETE + 1)

struct DecodeFilter
{
	MemoryContext context;
	EState	   *estate;
	ExprState  *expressions[FILTER_NACTIONS];	/* NULL: all rows pass */
	TupleTableSlot *slot;
};

/* The filters of each operation, as expressions; an empty list lets everything pass. */
static bool
filter_collect(Oid relid, List *publications, bool copy, List *filters[FILTER_NACTIONS])
{
	bool		all[FILTER_NACTIONS] = {false, false, false};
	bool		any = false;
	ListCell   *lc;

	foreach(lc, publications)
	{
		Publication *pub = lfirst(lc);
		bool		publishes[FILTER_NACTIONS] = {
			/* a copy takes what any of the publications shows, whatever operations it publishes */
			pub->pubactions.pubinsert || copy,
			pub->pubactions.pubupdate,
			pub->pubactions.pubdelete
		};
		char	   *text = published_filter(relid, pub);

		for (int i = 0; i < FILTER_NACTIONS; i++)
		{
			if (publishes[i] && text == NULL)
				all[i] = true;
			else if (publishes[i])
				filters[i] = lappend(filters[i], stringToNode(text));
		}
	}

	for (int i = 0; i < FILTER_NACTIONS; i++)
	{
		if (all[i])
			filters[i] = NIL;
		any |= filters[i] != NIL;
	}
	return any;
}

static DecodeFilter *
filter_make(const DecodeRelation *rel, List *publications, bool copy, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn row filter", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *filters[FILTER_NACTIONS] = {NIL, NIL, NIL};
	DecodeFilter *filter;

	if (!filter_collect(rel->relid, publications, copy, filters))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return NULL;
	}

	filter = palloc0(sizeof(DecodeFilter));
	filter->context = context;
	filter->estate = CreateExecutorState();
	filter->slot = MakeSingleTupleTableSlot(CreateTupleDescCopyConstr(rel->desc), &TTSOpsVirtual);
	for (int i = 0; i < FILTER_NACTIONS; i++)
	{
		if (filters[i] != NIL)
			filter->expressions[i] = ExecPrepareExpr(make_orclause(filters[i]), filter->estate);
	}
	MemoryContextSwitchTo(old);
	return filter;
}

DecodeFilter *
filter_build(const DecodeRelation *rel, List *publications, MemoryContext parent)
{
	return filter_make(rel, publications, false, parent);
}

/* Everything lies in the context, the executor state's included. */
void
filter_free(DecodeFilter *filter)
{
	if (filter != NULL)
		MemoryContextDelete(filter->context);
}

static bool
filter_matches(DecodeFilter *filter, ExprState *expression, const DecodeRow *row)
{
	ExprContext *econtext = GetPerTupleExprContext(filter->estate);
	TupleTableSlot *slot = filter->slot;
	int			natts = slot->tts_tupleDescriptor->natts;
	Datum		result;
	bool		isnull;

	ResetExprContext(econtext);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, row->isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	econtext->ecxt_scantuple = slot;
	result = ExecEvalExprSwitchContext(expression, econtext, &isnull);
	return !isnull && DatumGetBool(result);
}

bool
filter_change(DecodeFilter *filter, const DecodeRow *old_row, const DecodeRow *new_row,
			  enum ReorderBufferChangeType *action)
{
	FilterAction which = *action == REORDER_BUFFER_CHANGE_INSERT ? FILTER_INSERT :
		*action == REORDER_BUFFER_CHANGE_UPDATE ? FILTER_UPDATE : FILTER_DELETE;
	ExprState  *expression = filter->expressions[which];
	bool		before;
	bool		after;

	if (expression == NULL)
		return true;
	if (old_row == NULL || new_row == NULL)
		return filter_matches(filter, expression, new_row != NULL ? new_row : old_row);

	before = filter_matches(filter, expression, old_row);
	after = filter_matches(filter, expression, new_row);
	if (!before && after)
		*action = REORDER_BUFFER_CHANGE_INSERT;
	else if (before && !after)
		*action = REORDER_BUFFER_CHANGE_DELETE;
	return before || after;
}

DecodeFilter *
decode_filter_open(DecodeRelation *rel, List *publications, MemoryContext context)
{
	PublishedAs as;

	if (!published_as(rel->relid, published_load(publications, false), &as))
		return NULL;
	return filter_make(rel, as.publications, true, context);
}

bool
decode_filter_row(DecodeFilter *filter, const DecodeRow *row)
{
	ExprState  *expression = filter->expressions[FILTER_INSERT];

	return expression == NULL || filter_matches(filter, expression, row);
}
