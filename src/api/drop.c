/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  tarn.drop_pipeline: the rows in this transaction, slot and files after it
 *	  (pipeline/remover.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "api/api.h"
#include "lake/table.h"
#include "pipeline/copy.h"
#include "pipeline/fence.h"
#include "pipeline/history.h"
#include "pipeline/rebuild.h"
#include "pipeline/remover.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_drop_pipeline);

#define LET_GO_MS 10000

/* A scout that was sent before may start it once more: so it is asked until it is gone. */
void
api_stop_worker(PipelineState *state, const char *name)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LET_GO_MS);

	api_scout_at_commit();
	state->enabled = false;
	while (state->pid != 0 || state->encoder_pid != 0 || copy_stop(state))
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

/* A table's mirror, its history, and what was made of that. */
static void
drop_table(Lake *open_lake, const PipelineTable *t)
{
	char	   *history = history_name(t->name);
	LakeTable  *lake = lake_table_load(open_lake, t->namespace, t->name, true);
	ListCell   *lc;

	if (lake && !history_is(lake))
		remover_drop_table(lake);
	lake = lake_table_load(open_lake, t->namespace, history, true);
	if (lake == NULL || !history_is(lake))
		return;
	remover_drop_table(lake);
	foreach(lc, catalog_list(open_lake->catalog, t->namespace))
	{
		const CatalogTable *other = lfirst(lc);

		lake = lake_table_load(open_lake, t->namespace, other->name, true);
		if (lake && rebuild_is(lake, history))
			remover_drop_table(lake);
	}
}

void
api_check_writer(const Pipeline *p, Lake *lake)
{
	if (fence_look(lake, p->slot, p->fence) == FENCE_FOREIGN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("lake \"%s\" is written by another server than this one, whose data these are", p->lake_name),
				 errhint("Drop the pipeline without drop_data.")));
}

Datum
tarn_drop_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	bool		drop_data = PG_GETARG_BOOL(1);
	Pipeline   *p = api_pipeline_for_owner(name);
	PipelineState *state = state_find(MyDatabaseId, p->id);
	ListCell   *lc;

	if (drop_data)
	{
		Lake	   *lake;

		PreventInTransactionBlock(true, "tarn.drop_pipeline(drop_data => true)");
		api_check_bound(p);
		lake = lake_open(lake_server_oid(p->lake_name), GetUserId());
		api_check_writer(p, lake);
		if (state)
			api_stop_worker(state, name);
		foreach(lc, p->tables)
			drop_table(lake, lfirst(lc));
	}
	remover_drop_pipeline(p);
	api_scout_at_commit();
	PG_RETURN_VOID();
}
