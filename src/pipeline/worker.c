/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of a pipeline: its loop.
 *
 * A round: answer requests, look after the tables (publications, copies),
 * decode what WAL there is until the flush is due, flush, confirm, wait on
 * the latch.  An error ends the process; the launcher starts it again, with
 * back-off, and it goes on from the last commit of the lake.  That one way
 * of recovery is the one that kill -9 takes too, so it is always tested.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "base/privileged.h"
#include "pipeline/copy.h"
#include "pipeline/evolve.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/launcher.h"
#include "pipeline/registry.h"
#include "pipeline/session.h"
#include "pipeline/stream.h"
#include "pipeline/tables.h"
#include "pipeline/tend.h"
#include "pipeline/upkeep.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000

/* An idle slot is moved on this often. */
#define CONFIRM_IDLE_MS 10000
#define ADVANCE_BYTES (1024 * 1024)

static PipelineState *state = NULL;

/* The loop's own variables; survive into the error handler. */
static Pipeline *pipeline = NULL;
static Batch *batch = NULL;

static void
worker_exit(int code, Datum arg)
{
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

static void
attach(const WorkerArgs *args)
{
	state = state_find(args->database, args->pipeline_id);
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
	before_shmem_exit(worker_exit, (Datum) 0);
}

/* The pipeline is gone: nothing of it stays. */
static void
leave_for_good(void)
{
	stream_close();
	if (pipeline)
		fence_leave(pipeline);
	stream_drop_slot(NameStr(state->slot), true);
	FAILPOINT("slot-dropped");
	upkeep_remove_folder(state->database, state->pipeline_id);
	state_forget(state);
	proc_exit(0);
}

/* A condition that waiting does not mend. */
static void
stop_pipeline(const char *problem, const char *hint)
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

/* A new process takes over at once; `owner` is news to the board, or InvalidOid. */
pg_noreturn static void
renew(Oid owner)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	if (OidIsValid(owner))
		state->owner = owner;
	state->restart_at = 0;
	LWLockRelease(tarn_shared->lock);
	proc_exit(0);
}

/* Loads the pipeline's row; leaves when there is nothing to do. */
static void
load_pipeline(const WorkerArgs *args)
{
	MemoryContext old;

	StartTransactionCommand();
	privileged_check_version();
	old = MemoryContextSwitchTo(TopMemoryContext);
	pipeline = registry_load(args->pipeline_id);
	MemoryContextSwitchTo(old);
	if (pipeline == NULL || !registry_bound_here(pipeline))
	{
		CommitTransactionCommand();
		leave_for_good();
	}
	if (pipeline->owner != args->owner)
		renew(pipeline->owner);
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
}

/* Makes the slot of a new pipeline, or checks the one there is. */
static void
prepare_slot(void)
{
	char	   *problem;
	XLogRecPtr	lsn;

	if (pipeline->lsn != InvalidXLogRecPtr)
	{
		if (!stream_slot_usable(pipeline->slot, pipeline->lsn, &problem))
			stop_pipeline(problem,
						  psprintf("If no other server writes into lake \"%s\", run SELECT tarn.resync(%s): "
								   "its tables are copied anew, and can be read meanwhile.",
								   pipeline->lake_name, quote_literal_cstr(pipeline->name)));
		return;
	}
	/* left by a start that did not get to record it, or given up by tarn.resync */
	if (!stream_slot_ours(pipeline->slot))
		stop_pipeline(psprintf("replication slot \"%s\" was made by somebody else", pipeline->slot),
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

/* Before anything is written to the lake, or removed from it. */
static void
enter_fence(void)
{
	FenceProblem problem;

	if (!fence_enter(pipeline, &problem))
		stop_pipeline(problem.problem, problem.hint);
}

/*
 * Three eighths for transactions that are still open (what is beyond goes to
 * disk; the heap has a third more, which PostgreSQL does not count), a third
 * for column buffers, a sixth for the encoder's slots.  With too little for an
 * encoder, three eighths for buffers, and the rest is for encoding.
 */
static void
divide_memory(size_t *batch_limit)
{
	int64		open_transactions = pipeline->memory_limit / 8 * 3;

	session_keep_memory(pipeline->memory_limit);
	SetConfigOption("logical_decoding_work_mem",
					psprintf("%dkB", (int) Min(open_transactions / 1024, INT_MAX / 2)),
					PGC_SUSET, PGC_S_OVERRIDE);
	*batch_limit = (size_t) (pipeline->memory_limit / 8 * 3) - encoder_memory(pipeline) / 4;
}

/* Where decoding must begin: what the table furthest behind has. */
static XLogRecPtr
start_position(void)
{
	XLogRecPtr	start = pipeline->lsn;
	ListCell   *lc;

	foreach(lc, pipeline->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->state == TABLE_CATCHUP && t->lsn < start)
			start = t->lsn;
	}
	return start;
}

static bool
any_table(TableState wanted)
{
	ListCell   *lc;

	foreach(lc, pipeline->tables)
	{
		if (((PipelineTable *) lfirst(lc))->state == wanted)
			return true;
	}
	return false;
}

/* Is there a table whose state a flush at this position would change: it stops, goes, is live? */
static bool
any_due(XLogRecPtr position)
{
	ListCell   *lc;

	foreach(lc, pipeline->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->stop_error || t->copy_reason || evolve_has_left(t, position) ||
			(t->state == TABLE_CATCHUP && pipeline_caught_up(pipeline, t, position)))
			return true;
	}
	return false;
}

static void
read_configuration(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Requests of other processes. */
static void
answer_requests(bool *reload)
{
	uint32		requests = pg_atomic_exchange_u32(&state->requests, 0);

	read_configuration();
	if (requests & REQUEST_LET_GO)
		proc_exit(0);
	if (requests & REQUEST_DROP)
		leave_for_good();
	*reload = (requests & REQUEST_RELOAD) != 0;
}

/*
 * The lake must not have what a standby lacks that may be promoted (setting
 * synchronized_standby_slots).  That may take long, and the setting may be
 * what is wrong: changes of it are heard meanwhile, and requests.  For those
 * the process ends, since what is decoded fits the pipeline as it was; a copy
 * is not given up just because the pipeline changed.
 */
static void
wait_for_standbys(XLogRecPtr position)
{
	uint32		heard = REQUEST_LET_GO | REQUEST_DROP;

	if (compat_standbys_have(position))
		return;
	state_set_detail(state, "waiting for the standbys of synchronized_standby_slots");
	if (!any_table(TABLE_COPY))
		heard |= REQUEST_RELOAD;
	while (!compat_standbys_have(position))
	{
		read_configuration();
		if (pg_atomic_read_u32(&state->requests) & heard)
			proc_exit(0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	state_set_detail(state, "%s", "");
}

/* Everything before `position` is decoded: make it so in the lake, and say so. */
static void
flush_to(XLogRecPtr position)
{
	wait_for_standbys(position);
	state->activity = PIPELINE_FLUSHING;
	pipeline_flush(batch, position);
	fence_advance(pipeline);
	FAILPOINT("flush-before-confirm");
	state->activity = PIPELINE_STREAMING;
	state->failures = 0;
	state->oldest_buffered = 0;
	state->buffered_bytes = 0;
	state->committed_time = batch->last_commit_time;
}

/*
 * Nothing of ours is in WAL up to here, but perhaps much of others: the slot
 * moves on, so that they are not kept.  In steps, since the record of it is
 * WAL too: an idle server stays idle.
 */
static void
advance_idle(XLogRecPtr position, uint64 step)
{
	if (position < pipeline->lsn + step)
		return;
	pipeline_begin();
	registry_advance(pipeline, position);
	pipeline_commit();
	FAILPOINT("idle-advanced");
	pipeline->lsn = position;
}

/*
 * The position that may be confirmed: none while a table is behind the
 * others, and never one that is not on record (invariant I3, and how a slot
 * that somebody made anew is told from ours).
 */
static void
publish_progress(XLogRecPtr position, bool confirm)
{
	bool		behind = any_table(TABLE_COPY) || any_table(TABLE_CATCHUP);

	state->committed = Max(pipeline->lsn, position);
	if (!behind)
	{
		if (confirm)
		{
			advance_idle(position, ADVANCE_BYTES);
			stream_confirm(pipeline->lsn);
			FAILPOINT("confirmed");
		}
		state->confirmed = MyReplicationSlot->data.confirmed_flush;
		pg_atomic_write_u64(&state->flushed, position);
		ConditionVariableBroadcast(&state->flushed_cv);
	}
}

/* One round of decoding; true when there is more to do at once. */
static bool
stream_round(TimestampTz *batch_since, TimestampTz *last_confirm)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = *batch_since ?
		TimestampTzPlusMilliseconds(*batch_since, pipeline->flush_interval_ms) :
		TimestampTzPlusMilliseconds(now, Min(pipeline->flush_interval_ms, 1000));
	XLogRecPtr	position;
	uint64		wanted = pg_atomic_read_u64(&state->flush_wanted);
	bool		more = stream_read(due, &batch->options_set, &position);
	bool		asked;

	if (batch->options_set)
	{
		tend_adopt_options(pipeline);
		batch->options_set = false;
		batch->sink.retell = true;
	}
	now = GetCurrentTimestamp();
	state->received = position;
	state->buffered_bytes = batch->used;
	state->oldest_buffered = batch->first_commit_time;
	asked = wanted > pg_atomic_read_u64(&state->flushed) && position >= wanted;
	if (batch->changed && *batch_since == 0)
		*batch_since = now;
	if ((batch->changed && (asked || now >= due)) || any_due(position))
	{
		flush_to(position);
		publish_progress(position, true);
		*batch_since = 0;
		*last_confirm = now;
	}
	else if (!batch->changed)
	{
		bool		confirm = now >= TimestampTzPlusMilliseconds(*last_confirm, CONFIRM_IDLE_MS);

		batch->first_commit_time = 0;
		state->oldest_buffered = 0;
		publish_progress(position, confirm);
		if (confirm)
			*last_confirm = now;
	}
	if (!more && !batch->changed)
		state->current_at = now;
	return more;
}

static long
nap_ms(TimestampTz batch_since)
{
	if (batch_since)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														   TimestampTzPlusMilliseconds(batch_since, pipeline->flush_interval_ms));

		return Max(1, Min(left, 200));
	}
	return Max(10, Min(pipeline->flush_interval_ms / 10, 200));
}

static void
worker_run(const WorkerArgs *args)
{
	TimestampTz batch_since = 0;
	TimestampTz last_confirm = 0;
	bool		open = false;
	size_t		limit;

	load_pipeline(args);
	prepare_slot();
	enter_fence();
	divide_memory(&limit);
	batch = batch_create(pipeline, limit);
	encoder_wait_gone(state);
	tend_start(pipeline);
	for (;;)
	{
		bool		reload;
		bool		more = false;

		CHECK_FOR_INTERRUPTS();
		answer_requests(&reload);
		switch (tend_tables(pipeline, reload))
		{
			case TEND_GONE:
				leave_for_good();
				break;
			case TEND_PAUSED:
				stream_close();
				proc_exit(0);
				break;
			case TEND_RENEW:
				/* what is not in the lake yet is decoded again */
				stream_close();
				renew(InvalidOid);
				break;
			case TEND_RESTART:
				/*
				 * Some table is behind: decode again from where it is, after
				 * the others are safe.  They are not told again what left no
				 * trace because of options that have changed since.
				 */
				if (open && batch->changed)
				{
					flush_to(state->received);
					batch_since = 0;
				}
				else if (open)
					advance_idle(state->received, 1);
				stream_close();
				tend_adopt(pipeline);
				open = false;
				break;
			case TEND_NOTHING:
				break;
		}
		if (!open && (any_table(TABLE_LIVE) || any_table(TABLE_CATCHUP) || !any_table(TABLE_COPY)))
		{
			stream_open(pipeline->slot, pipeline->publications, &batch->sink, start_position());
			open = true;
		}
		state->activity = any_table(TABLE_COPY) ? PIPELINE_COPYING : PIPELINE_STREAMING;
		if (open)
			more = stream_round(&batch_since, &last_confirm);
		if (!more)
			more = upkeep_idle(pipeline, batch_since == 0);
		encoder_rest();
		if (!more)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 nap_ms(batch_since), PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	}
}

/* Did the error come from a value or the shape of one table, so that only it must stop? */
static Oid
guilty_table(const ErrorData *edata)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		category != ERRCODE_FEATURE_NOT_SUPPORTED && category != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
		edata->sqlerrcode != ERRCODE_INVALID_OBJECT_DEFINITION)
		return InvalidOid;
	if (OidIsValid(encoder_failed_relid))
		return encoder_failed_relid;
	if (batch && batch->current)
		return batch->current->relid;
	return decode_current_relid;
}

/* Shows the error, keeps it with its table, and sets the time of the next start. */
static void
report_failure(ErrorData *edata)
{
	Oid			guilty = guilty_table(edata);
	char	   *text = edata->detail ? psprintf("%s; %s", edata->message, edata->detail) : edata->message;
	long		backoff = BACKOFF_FIRST_MS;

	AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	replorigin_session_origin = InvalidRepOriginId;
	if (MyReplicationSlot)
		ReplicationSlotRelease();
	state_set_error(state, text);
	if (state->failures == 0)
		state->told.n = 0;
	for (int i = 0; i < state->failures && backoff < BACKOFF_MAX_MS; i++)
		backoff *= 2;
	state->failures++;
	state->restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Min(backoff, BACKOFF_MAX_MS));
	state->activity = PIPELINE_BACKOFF;
	if (state_tell(&state->told, edata))
		ereport(LOG,
				(errmsg("pipeline \"%s\" failed and will be tried again: %s", NameStr(state->name), text)));
	if (OidIsValid(guilty) && pipeline)
	{
		pipeline_begin();
		registry_stop_table(pipeline->id, guilty, text);
		pipeline_commit();
		state->restart_at = GetCurrentTimestamp();
		state->failures = 0;
	}
}

void
tarn_worker_main(Datum arg)
{
	WorkerArgs	args;
	MemoryContext context = CurrentMemoryContext;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	attach(&args);
	BackgroundWorkerInitializeConnectionByOid(args.database, args.owner, 0);
	session_settle();

	PG_TRY();
	{
		worker_run(&args);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		report_failure(edata);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	proc_exit(0);
}
