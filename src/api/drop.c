/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  tarn.drop_pipeline: the rows in this transaction, slot and files after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "api/api.h"
#include "base/privileged.h"
#include "lake/table.h"
#include "pipeline/fence.h"
#include "pipeline/history.h"
#include "pipeline/rebuild.h"
#include "pipeline/registry.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_drop_pipeline);

#define LET_GO_MS 10000

/* Files to remove once the transaction has committed. */
typedef struct DropFiles
{
	Lake	   *lake;
	char	   *slot;			/* names its marker */
	List	   *locations;
	SubTransactionId subxact;
} DropFiles;

static DropFiles *pending = NULL;

/*
 * The transaction is over: an error here could not undo it, so it becomes a
 * warning.
 */
static void
remove_below(DropFiles *drop, const char *location)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		if (location == NULL)
			fence_forget(drop->lake, drop->slot);
		else
			(void) lake_table_remove_all(drop->lake, location);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(WARNING,
				(errmsg("could not remove the files below \"%s\": %s",
						location ? location : drop->lake->warehouse, edata->message),
				 errhint("Nothing references them any more; remove them by hand.")));
	}
	PG_END_TRY();
}

static void
remove_files(DropFiles *drop)
{
	ListCell   *lc;

	foreach(lc, drop->locations)
		remove_below(drop, lfirst(lc));
	remove_below(drop, NULL);
}

static void
at_end(XactEvent event, void *arg)
{
	DropFiles  *drop = pending;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	pending = NULL;
	if (drop && event == XACT_EVENT_COMMIT)
		remove_files(drop);
}

/* A scout that was sent before may start it once more: so it is asked until it is gone. */
void
api_stop_worker(PipelineState *state, const char *name)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LET_GO_MS);

	api_scout_at_commit();
	state->enabled = false;
	while (state->pid != 0)
	{
		state->enabled = false;
		state_request(state, REQUEST_LET_GO);
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() > end)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("the worker of pipeline \"%s\" did not stop in time", name)));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Drops a lake table from the catalog, and notes its folder. */
static void
drop_lake_table(DropFiles *drop, const LakeTable *lake)
{
	MemoryContext old;

	old = MemoryContextSwitchTo(TopTransactionContext);
	drop->locations = lappend(drop->locations, pstrdup(lake->metadata->location));
	MemoryContextSwitchTo(old);
	catalog_drop(drop->lake->catalog, lake->namespace, lake->name);
}

/* A table's mirror, its history, and what was made of that. */
static void
drop_table(DropFiles *drop, const PipelineTable *t)
{
	char	   *history = history_name(t->name);
	LakeTable  *lake = lake_table_load(drop->lake, t->namespace, t->name, true);
	ListCell   *lc;

	if (lake && !history_is(lake))
		drop_lake_table(drop, lake);
	lake = lake_table_load(drop->lake, t->namespace, history, true);
	if (lake == NULL || !history_is(lake))
		return;
	drop_lake_table(drop, lake);
	foreach(lc, catalog_list(drop->lake->catalog, t->namespace))
	{
		const CatalogTable *other = lfirst(lc);

		lake = lake_table_load(drop->lake, t->namespace, other->name, true);
		if (lake && rebuild_is(lake, history))
			drop_lake_table(drop, lake);
	}
}

/* All of the tables. */
static void
drop_lake_tables(Pipeline *p)
{
	static bool registered = false;
	ListCell   *lc;
	DropFiles  *drop = MemoryContextAllocZero(TopTransactionContext, sizeof(DropFiles));

	drop->slot = MemoryContextStrdup(TopTransactionContext, p->slot);
	drop->lake = lake_open(lake_server_oid(p->lake_name), GetUserId());
	foreach(lc, p->tables)
		drop_table(drop, lfirst(lc));
	if (!registered)
		RegisterXactCallback(at_end, NULL);
	registered = true;
	pending = drop;
}

Datum
tarn_drop_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	bool		drop_data = PG_GETARG_BOOL(1);
	Pipeline   *p = api_pipeline_for_owner(name);
	int32		id = p->id;
	PipelineState *state = state_find(MyDatabaseId, id);
	PrivilegedScope scope;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};

	if (drop_data)
	{
		PreventInTransactionBlock(true, "tarn.drop_pipeline(drop_data => true)");
		api_check_bound(p);
		if (state)
			api_stop_worker(state, name);
		drop_lake_tables(p);
	}
	privileged_begin(&scope);
	privileged_execute("DELETE FROM tarn.pipeline WHERE id = $1", 1, types, values, NULL, SPI_OK_DELETE);
	privileged_end(&scope);
	api_scout_at_commit();
	PG_RETURN_VOID();
}
