/*-------------------------------------------------------------------------
 *
 * worker_start.c
 *	  The worker of a pipeline: its start, and what ends it for good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/failpoint.h"
#include "base/privileged.h"
#include "pipeline/crash_mark.h"
#include "pipeline/encoder.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/registry.h"
#include "pipeline/remover.h"
#include "pipeline/session.h"
#include "pipeline/stream.h"
#include "pipeline/tables.h"
#include "pipeline/upkeep.h"
#include "pipeline/worker.h"

static void
worker_exit(int code, Datum arg)
{
	PipelineState *state = (PipelineState *) DatumGetPointer(arg);

	/* who waits for us to be gone waits for the slot to be free */
	if (MyReplicationSlot)
		ReplicationSlotRelease();
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	state->pid = 0;
	state->latch = NULL;
	if (state->activity != PIPELINE_BACKOFF && state->activity != PIPELINE_STOPPED)
		state->activity = state->enabled ? PIPELINE_BACKOFF : PIPELINE_PAUSED;
	LWLockRelease(tarn_shared->lock);
	state_wake_launcher();
}

PipelineState *
worker_attach(const WorkerArgs *args)
{
	PipelineState *state = state_find(args->database, args->pipeline_id);

	if (state == NULL)
		proc_exit(0);
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	if (state->pid != 0)
	{
		LWLockRelease(tarn_shared->lock);
		proc_exit(0);
	}
	state->pid = MyProcPid;
	state->latch = MyLatch;
	state->activity = PIPELINE_STARTING;
	state->buffered_bytes = 0;
	state->oldest_buffered = 0;
	LWLockRelease(tarn_shared->lock);
	before_shmem_exit(worker_exit, PointerGetDatum(state));
	return state;
}

void
worker_leave_for_good(PipelineState *state, Pipeline *pipeline)
{
	bool		left_to_us;

	stream_close();
	pipeline_begin();
	left_to_us = pipeline && !remover_has(pipeline);
	pipeline_commit();
	/* the extension is gone */
	if (left_to_us)
		fence_leave(pipeline);
	stream_drop_slot(NameStr(state->slot), true);
	FAILPOINT("slot-dropped");
	upkeep_remove_folder(state->database, state->pipeline_id);
	state_forget(state);
	proc_exit(0);
}

/* A condition that waiting does not mend. */
static void
stop_pipeline(PipelineState *state, const char *problem, const char *hint)
{
	state_set_error(state, psprintf("%s; %s", problem, hint));
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	state->enabled = false;
	state->activity = PIPELINE_STOPPED;
	LWLockRelease(tarn_shared->lock);
	ereport(LOG,
			(errmsg("pipeline \"%s\" is stopped: %s", NameStr(state->name), problem),
			 errhint("%s", hint)));
	proc_exit(0);
}

void
worker_renew(PipelineState *state, Oid owner)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	if (OidIsValid(owner))
		state->owner = owner;
	state->restart_at = 0;
	LWLockRelease(tarn_shared->lock);
	proc_exit(0);
}

Pipeline *
worker_load(const WorkerArgs *args, PipelineState *state)
{
	Pipeline   *pipeline;
	MemoryContext old;

	StartTransactionCommand();
	privileged_check_version();
	old = MemoryContextSwitchTo(TopMemoryContext);
	pipeline = registry_load(args->pipeline_id);
	MemoryContextSwitchTo(old);
	if (pipeline == NULL || !registry_bound_here(pipeline))
	{
		CommitTransactionCommand();
		worker_leave_for_good(state, pipeline);
	}
	if (pipeline->owner != args->owner)
		worker_renew(state, pipeline->owner);
	if (!pipeline->enabled)
	{
		LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
		state->enabled = false;
		state->activity = PIPELINE_PAUSED;
		LWLockRelease(tarn_shared->lock);
		CommitTransactionCommand();
		proc_exit(0);
	}
	pipeline->state = state;
	if (state->current_at == 0)
		state->current_at = pipeline->last_commit;
	MemoryContextSwitchTo(pipeline->context);
	pipeline->lake = lake_open(lake_server_oid(pipeline->lake_name), pipeline->owner);
	CommitTransactionCommand();
	return pipeline;
}

void
worker_mark_start(Pipeline *pipeline)
{
	PipelineState *state = pipeline->state;
	int			crashes = crash_marks_count(pipeline->database, pipeline->id);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), crash_marks_pause_ms(crashes));

	if (crashes >= CRASH_MARKS_MAX)
		stop_pipeline(state, psprintf("its processes crashed %d times in a row", crashes),
					  psprintf("The server's log says where. To try again, run SELECT tarn.resume(%s).",
							   quote_literal_cstr(pipeline->name)));
	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			break;
		state_set_detail(state, "waiting after %d crashes", crashes);
		if (pg_atomic_read_u32(&state->requests) & (REQUEST_LET_GO | REQUEST_DROP))
			proc_exit(0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	state_set_detail(state, "%s", "");
	crash_mark_set(pipeline->database, pipeline->id);
}

void
worker_prepare_slot(Pipeline *pipeline)
{
	PipelineState *state = pipeline->state;
	char	   *problem;
	XLogRecPtr	lsn;

	if (pipeline->lsn != InvalidXLogRecPtr)
	{
		if (!stream_slot_usable(pipeline->slot, pipeline->lsn, &problem))
			stop_pipeline(state, problem,
						  psprintf("If no other server writes into lake \"%s\", run SELECT tarn.resync(%s): "
								   "its tables are copied anew, and can be read meanwhile.",
								   pipeline->lake_name, quote_literal_cstr(pipeline->name)));
		return;
	}
	/* left by a start that did not get to record it, or given up by tarn.resync */
	if (!stream_slot_ours(pipeline->slot))
		stop_pipeline(state, psprintf("replication slot \"%s\" was made by somebody else", pipeline->slot),
					  psprintf("Drop the slot, and run SELECT tarn.resume(%s).", quote_literal_cstr(pipeline->name)));
	stream_drop_slot(pipeline->slot, true);
	FAILPOINT("slot-given-up");
	state_set_detail(state, "waiting for running transactions to end");
	lsn = stream_create_slot(pipeline->slot);
	state_set_detail(state, "%s", "");
	FAILPOINT("slot-created");
	pipeline_begin();
	registry_set_slot(pipeline->id, lsn, GetWALInsertionTimeLine());
	pipeline_commit();
	FAILPOINT("slot-recorded");
	pipeline->lsn = lsn;
	pipeline->timeline = GetWALInsertionTimeLine();
}

void
worker_enter_fence(Pipeline *pipeline)
{
	FenceProblem problem;

	if (!fence_enter(pipeline, &problem))
		stop_pipeline(pipeline->state, problem.problem, problem.hint);
}

/*
 * Three eighths for transactions that are still open (what is beyond goes to
 * disk; the heap has a third more, which PostgreSQL does not count), a third
 * for column buffers, a sixth for the encoder's slots.  With too little for an
 * encoder, three eighths for buffers, and the rest is for encoding.
 */
size_t
worker_divide_memory(const Pipeline *pipeline)
{
	int64		open_transactions = pipeline->memory_limit / 8 * 3;

	session_keep_memory(pipeline->memory_limit);
	SetConfigOption("logical_decoding_work_mem",
					psprintf("%dkB", (int) Min(open_transactions / 1024, INT_MAX / 2)),
					PGC_SUSET, PGC_S_OVERRIDE);
	return (size_t) (pipeline->memory_limit / 8 * 3) - encoder_memory(pipeline) / 4;
}
