/*-------------------------------------------------------------------------
 *
 * rollback.c
 *	  tarn.rollback_lake: lake tables as they were at a position of WAL.
 *
 * Every commit of a lake table leaves a metadata file that tells all of its
 * state: rows, columns, and what they mirror.  As long as such a file and what
 * it names are kept, the way back is to make it the current one.  A table
 * that was put back is behind the others and catches up as one does that was
 * just copied, from the stream; so the slot must still have what came since.
 *
 * The database knows how far the lake is, also after it was restored, for the
 * catalog was restored with it.  What was written to the warehouse in a time
 * that was given up is then referenced by nothing, and goes as garbage.  To
 * write a new state that is like the old one, as other engines do, would keep
 * all that in the table's history, with positions that never were.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xact.h"
#include "common/file_utils.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"

#include "api/api.h"
#include "lake/table.h"
#include "pipeline/batch.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/stream.h"

PG_FUNCTION_INFO_V1(tarn_rollback_lake);

/* Arguments of tarn.rollback_lake. */
enum
{
	ARG_NAME, ARG_LSN, ARG_SOURCE
};

/* Up to where a state has the source's changes. */
static XLogRecPtr
lsn_of(const LakeTable *t)
{
	const char *text = t->snapshot ? iceberg_snapshot_summary(t->snapshot, "tarn.lsn") : NULL;

	return text ? DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(text))) : InvalidXLogRecPtr;
}

static char *
resync_hint(const Pipeline *p, const PipelineTable *t)
{
	return psprintf("To copy it anew, run SELECT tarn.resync(%s, %s).", quote_literal_cstr(p->name),
					quote_literal_cstr(quote_qualified_identifier(t->schema, t->table)));
}

/* The newest state at or before `target`. */
static LakeTable *
find_state(const Pipeline *p, const PipelineTable *t, LakeTable *now, XLogRecPtr target)
{
	LakeTable  *state = now;

	for (int i = now->metadata->nmetadata_log - 1; i >= 0 && lsn_of(state) > target; i--)
	{
		LakeTable  *before = lake_table_load_before(now, i);

		if (before == NULL)
			break;
		if (state != now)
			lake_table_free(state);
		state = before;
	}
	if (lsn_of(state) > target)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lake table \"%s.%s\" has no state at or before %X/%X any more",
						now->namespace, now->name, LSN_FORMAT_ARGS(target)),
				 errdetail("The oldest that has not expired is of %X/%X.", LSN_FORMAT_ARGS(lsn_of(state))),
				 errhint("%s", resync_hint(p, t))));
	return state;
}

/* A cache that tells of a state that is no more. */
static void
forget_index(const Pipeline *p, const PipelineTable *t)
{
	char	   *folder = table_index_folder(p, t->relid);
	struct stat st;

	if (stat(folder, &st) == 0)
		(void) rmtree(folder, true);
	pfree(folder);
}

/* What a table is in the lake: its mirror, its history, or both; the first tells its rows. */
typedef struct LakeTables
{
	int			n;
	LakeTable  *now[2];
	LakeTable  *then[2];		/* now[i]: stays as it is */
} LakeTables;

static void
load_tables(const Pipeline *p, const PipelineTable *t, LakeTables *tables)
{
	LakeTable  *mirror = lake_table_load(p->lake, t->namespace, t->name, true);
	LakeTable  *history = lake_table_load(p->lake, t->namespace, history_name(t->name), true);

	tables->n = 0;
	if (mirror && table_mirrored(t))
		tables->now[tables->n++] = mirror;
	if (history && history_is(history))
		tables->now[tables->n++] = history;
	memcpy(tables->then, tables->now, sizeof(tables->now));
}

/*
 * A flush that changed only one of the two says that up to there the other
 * has all, too: so the later position is the one of both.
 */
static XLogRecPtr
lsn_of_all(const LakeTables *tables)
{
	XLogRecPtr	lsn = InvalidXLogRecPtr;

	for (int i = 0; i < tables->n; i++)
		lsn = Max(lsn, lsn_of(tables->then[i]));
	return lsn;
}

static void
put_back(Pipeline *p, PipelineTable *t, LakeTables *tables)
{
	XLogRecPtr	lsn = lsn_of_all(tables);
	char	   *problem;

	if (!stream_slot_usable(p->slot, lsn, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("changes of table %s since %X/%X are not kept any more",
						quote_qualified_identifier(t->schema, t->table), LSN_FORMAT_ARGS(lsn)),
				 errdetail("Lake table \"%s.%s\" could be brought back to there, but could not go on: %s.",
						   tables->now[0]->namespace, tables->now[0]->name, problem),
				 errhint("%s", resync_hint(p, t))));
	for (int i = 0; i < tables->n; i++)
	{
		LakeTable  *now = tables->now[i];
		LakeTable  *then = tables->then[i];

		if (then == now)
			continue;
		lake_commit(&now, &then, 1);
		ereport(LOG,
				(errmsg("lake table \"%s.%s\" of pipeline \"%s\" is brought back from %X/%X to %X/%X",
						now->namespace, now->name, p->name, LSN_FORMAT_ARGS(lsn_of(now)),
						LSN_FORMAT_ARGS(lsn_of(then)))));
	}
	registry_put_back(p->id, t->relid, lsn, tables->then[0]);
	forget_index(p, t);
}

/* Files of a copy that is under way are nobody's yet. */
static List *
without_token(List *paths, const char *token)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, paths)
	{
		if (token[0] == '\0' || strstr(lfirst(lc), token) == NULL)
			others = lappend(others, lfirst(lc));
	}
	return others;
}

/* What it references is there; what is below its folder and not referenced is given up. */
static void
audit(const Pipeline *p, const PipelineTable *t, const LakeTable *then)
{
	List	   *unreferenced;
	char	   *missing = lake_table_audit(then, &unreferenced);

	if (missing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lake table \"%s.%s\" as of %X/%X is not whole any more",
						then->namespace, then->name, LSN_FORMAT_ARGS(lsn_of(then))),
				 errdetail("File \"%s\" is not there.", missing),
				 errhint("%s", resync_hint(p, t))));
	registry_set_garbage(p->lake_name, then->metadata->location, without_token(unreferenced, t->copy_token));
}

/* Brings one table back when it is to be moved, and gives up what is not needed after that. */
static void
rollback_table(Pipeline *p, PipelineTable *t, bool move, XLogRecPtr target)
{
	LakeTables	tables;
	bool		moved = false;

	load_tables(p, t, &tables);
	for (int i = 0; i < tables.n; i++)
	{
		if (move && (t->state == TABLE_LIVE || t->state == TABLE_CATCHUP))
			tables.then[i] = find_state(p, t, tables.now[i], target);
		moved |= tables.then[i] != tables.now[i];
		audit(p, t, tables.then[i]);
	}
	if (moved)
		put_back(p, t, &tables);
}

/* The pipeline as its worker left it; it is gone. */
static Pipeline *
load_stopped(const char *name)
{
	Pipeline   *p = api_pipeline_for_owner(name);
	char	   *problem;

	if (p->lsn == InvalidXLogRecPtr || !stream_slot_usable(p->slot, p->lsn, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" cannot go on from where the database is", name),
				 p->lsn == InvalidXLogRecPtr ? errdetail("It has not begun yet.") : errdetail_internal("%s.", problem),
				 errhint("To copy all tables anew, run SELECT tarn.resync(%s).", quote_literal_cstr(name))));

	/* a worker that is started all the same waits for this row, and finds that its token is not the one */
	registry_change_token(p);
	p->lake = lake_open(lake_server_oid(p->lake_name), p->owner);
	return p;
}

static void
rollback(FunctionCallInfo fcinfo, const char *name)
{
	Pipeline   *p = load_stopped(name);
	XLogRecPtr	target = PG_ARGISNULL(ARG_LSN) ? p->lsn : PG_GETARG_LSN(ARG_LSN);
	PipelineTable *only = NULL;
	ListCell   *lc;

	if (!PG_ARGISNULL(ARG_SOURCE))
		only = api_find_mirrored(p, PG_GETARG_OID(ARG_SOURCE));
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		rollback_table(p, t, only == NULL || t == only, target);
	}
	registry_claim_lake(p->id);
}

Datum
tarn_rollback_lake(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(ARG_NAME) ? NULL : NameStr(*PG_GETARG_NAME(ARG_NAME));
	Pipeline   *p;
	PipelineState *state;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline name must not be null")));
	PreventInTransactionBlock(true, "tarn.rollback_lake");
	p = api_pipeline_for_owner(name);
	state = state_find(MyDatabaseId, p->id);
	api_check_server();
	api_check_bound(p);
	PG_TRY();
	{
		if (state)
			api_stop_worker(state, name);
		rollback(fcinfo, name);
	}
	PG_CATCH();
	{
		/* nothing has changed: a worker that ran is only away for a moment, and not paused */
		if (p->enabled && state && state->pid == 0 && state->activity == PIPELINE_PAUSED)
			state->activity = PIPELINE_BACKOFF;
		PG_RE_THROW();
	}
	PG_END_TRY();
	api_start_at_commit(p->id);
	PG_RETURN_VOID();
}
