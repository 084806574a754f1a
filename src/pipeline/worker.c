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

#include "access/xlog.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "pipeline/crash_mark.h"
#include "pipeline/evolve.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/registry.h"
#include "pipeline/session.h"
#include "pipeline/stream.h"
#include "pipeline/tables.h"
#include "pipeline/tend.h"
#include "pipeline/upkeep.h"
#include "pipeline/worker.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000

/* What lived so long did not crash on what it found. */
#define SETTLED_MS 60000

/* Nothing but WAL is looked at for so long when nothing happens. */
#define IDLE_MS 1000

/* Requests are answered, and progress is shown, this often while there is much to decode. */
#define ROUND_MS 1000

/* An idle slot is moved on this often. */
#define CONFIRM_IDLE_MS 10000
#define ADVANCE_BYTES (1024 * 1024)

static PipelineState *state = NULL;

/* The loop's own variables; survive into the error handler. */
static Pipeline *pipeline = NULL;
static Batch *batch = NULL;

/* Crashes before this start are still held against the pipeline. */
static bool crashes_count = true;

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

/* Requests of other processes. */
static void
answer_requests(bool *reload)
{
	uint32		requests = pg_atomic_exchange_u32(&state->requests, 0);

	session_reload();
	if (requests & REQUEST_LET_GO)
		proc_exit(0);
	if (requests & REQUEST_DROP)
		worker_leave_for_good(state, pipeline);
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
	state_set_detail(state, STATE_WAITS_FOR_STANDBYS);
	if (!any_table(TABLE_COPY))
		heard |= REQUEST_RELOAD;
	while (!compat_standbys_have(position))
	{
		session_reload();
		if (pg_atomic_read_u32(&state->requests) & heard)
			proc_exit(0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	state_set_detail(state, "%s", "");
}

static void
forget_crashes(void)
{
	if (crashes_count)
		crash_marks_remove(pipeline->database, pipeline->id);
	crashes_count = false;
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
	/* a copy's processes may crash as well */
	if (!any_table(TABLE_COPY))
		forget_crashes();
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
	TimestampTz begin = GetCurrentTimestamp();
	TimestampTz due = TimestampTzPlusMilliseconds(*batch_since ? *batch_since : begin, pipeline->flush_interval_ms);
	TimestampTz end = TimestampTzPlusMilliseconds(begin, ROUND_MS);
	XLogRecPtr	position;
	uint64		wanted = pg_atomic_read_u64(&state->flush_wanted);
	bool		more = stream_read(Min(due, end), &batch->options_set, &position);
	TimestampTz now;
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
		*batch_since = begin;
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

/*
 * Waits for what there may be to do.  A worker with nothing at hand looks only
 * whether there is new WAL, for that costs nothing, however many tables there
 * are; whoever wants more of it sets its latch.
 */
static void
rest(TimestampTz batch_since, bool idle)
{
	long		ms = nap_ms(batch_since);

	for (long slept = 0; slept == 0 || (idle && slept < IDLE_MS); slept += ms)
	{
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION) & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			break;
		}
		if (!idle || GetFlushRecPtr(NULL) > state->received)
			break;
		state->current_at = GetCurrentTimestamp();
	}
}

static void
worker_run(const WorkerArgs *args)
{
	TimestampTz batch_since = 0;
	TimestampTz last_confirm = 0;
	TimestampTz started = GetCurrentTimestamp();
	bool		open = false;

	pipeline = worker_load(args, state);
	worker_mark_start(pipeline);
	worker_prepare_slot(pipeline);
	worker_enter_fence(pipeline);
	batch = batch_create(pipeline, worker_divide_memory(pipeline));
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
				worker_leave_for_good(state, pipeline);
				break;
			case TEND_PAUSED:
				stream_close();
				proc_exit(0);
				break;
			case TEND_RENEW:
				/* what is not in the lake yet is decoded again */
				stream_close();
				worker_renew(state, InvalidOid);
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
			rest(batch_since, open && batch_since == 0 && state->activity == PIPELINE_STREAMING);
		if (crashes_count && state->activity == PIPELINE_STREAMING &&
			TimestampDifferenceExceeds(started, GetCurrentTimestamp(), SETTLED_MS))
			forget_crashes();
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
	char	   *text = session_error_text(edata);
	long		backoff = BACKOFF_FIRST_MS;

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
	state = worker_attach(&args);
	BackgroundWorkerInitializeConnectionByOid(args.database, args.owner, 0);
	session_settle();

	PG_TRY();
	{
		worker_run(&args);
	}
	PG_CATCH();
	{
		report_failure(session_take_error(context));
	}
	PG_END_TRY();
	proc_exit(0);
}
