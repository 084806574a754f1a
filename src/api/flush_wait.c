/*-------------------------------------------------------------------------
 *
 * flush_wait.c
 *	  tarn.flush: wait until all that was committed before is in the lake.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "storage/condition_variable.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "api/api.h"
#include "base/compat.h"
#include "base/privileged.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_flush);

/* Raises the position that the worker is asked to reach. */
static void
raise_wanted(PipelineState *state, XLogRecPtr target)
{
	uint64		wanted = pg_atomic_read_u64(&state->flush_wanted);

	while (wanted < target && !pg_atomic_compare_exchange_u64(&state->flush_wanted, &wanted, target))
		;
	state_request(state, 0);
}

static void
timed_out(PipelineState *state, const char *name, XLogRecPtr target)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("pipeline \"%s\" did not flush in time", name),
			 errdetail("It is at %X/%X and should reach %X/%X.",
					   LSN_FORMAT_ARGS(pg_atomic_read_u64(&state->flushed)), LSN_FORMAT_ARGS(target)),
			 state->last_error[0] ? errhint("Last error: %s", state->last_error) : 0));
}

/*
 * Does the query about the pipeline find anything?  Under a snapshot of this
 * moment: a REPEATABLE READ caller would never see anything change.
 */
static bool
look_up(const char *query, int32 id)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	privileged_begin(&scope);
	if (SPI_execute_with_args(query, 1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up a pipeline");
	found = SPI_processed > 0;
	privileged_end(&scope);
	PopActiveSnapshot();
	return found;
}

/* Is there a table that is to be copied?  The worker hears of a table that was resumed a moment later than we do. */
static bool
copies_pending(int32 id)
{
	return look_up("SELECT FROM tarn.pipeline_table WHERE pipeline_id = $1 AND state IN ('copy', 'catchup')", id);
}

/* The board shows a pause for a moment after tarn.resume. */
static bool
paused(int32 id)
{
	return look_up("SELECT FROM tarn.pipeline WHERE id = $1 AND NOT enabled", id);
}

/* Waiting is in vain: say why. */
static void
check_running(PipelineState *state, const char *name)
{
	if (!state->used)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" was dropped", name)));
	if (state->activity == PIPELINE_STOPPED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" is stopped", name),
				 errdetail("%s", state->last_error)));
	if (state->activity == PIPELINE_PAUSED && paused(state->pipeline_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" is paused", name),
				 errhint("Run SELECT tarn.resume('%s').", name)));
}

Datum
tarn_flush(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	Interval   *timeout = PG_GETARG_INTERVAL_P(1);
	TimestampTz end;
	Pipeline   *p;
	int32		id;
	PipelineState *state = NULL;
	XLogRecPtr	target;

	api_check_loaded();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errhint("Call tarn.flush on the primary.")));
	p = api_pipeline_for_owner(name);
	api_check_bound(p);
	id = p->id;
	end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												  TimestampTzGetDatum(GetCurrentTimestamp()),
												  IntervalPGetDatum(timeout)));

	/* A record of our own marks the place: a position between two pages is never reached exactly. */
	target = compat_log_message("tarn.flush", "", 0);
	XLogFlush(target);

	/* a pipeline that was just made is on the board in a moment */
	while ((state = state_find(MyDatabaseId, id)) == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() > end)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("pipeline \"%s\" did not start in time", name)));
		pg_usleep(10000);
	}
	raise_wanted(state, target);
	ConditionVariablePrepareToSleep(&state->flushed_cv);
	while (pg_atomic_read_u64(&state->flushed) < target || copies_pending(id))
	{
		check_running(state, name);
		if (GetCurrentTimestamp() > end)
			timed_out(state, name, target);
		(void) ConditionVariableTimedSleep(&state->flushed_cv, 100, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	PG_RETURN_LSN(target);
}
