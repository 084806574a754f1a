/*-------------------------------------------------------------------------
 *
 * state.c
 *	  What the processes of all pipelines tell each other: shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "pipeline/state.h"

const char *const pipeline_activity_names[] = {
	[PIPELINE_STARTING] = "starting",
	[PIPELINE_STREAMING] = "streaming",
	[PIPELINE_COPYING] = "copying",
	[PIPELINE_FLUSHING] = "flushing",
	[PIPELINE_BACKOFF] = "backoff",
	[PIPELINE_STOPPED] = "stopped",
	[PIPELINE_PAUSED] = "paused",
};

TarnShared *tarn_shared = NULL;
int			tarn_max_pipelines = 16;
int			tarn_garbage_grace = 3600;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
state_size(void)
{
	return add_size(offsetof(TarnShared, pipelines),
					mul_size(sizeof(PipelineState), tarn_max_pipelines));
}

static void
state_shmem_request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(state_size());
	RequestNamedLWLockTranche("tarn", 1);
}

static void
state_shmem_startup(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	tarn_shared = ShmemInitStruct("tarn", state_size(), &found);
	if (!found)
	{
		memset(tarn_shared, 0, state_size());
		tarn_shared->lock = &(GetNamedLWLockTranche("tarn"))->lock;
		tarn_shared->npipelines = tarn_max_pipelines;
		for (int i = 0; i < tarn_max_pipelines; i++)
		{
			PipelineState *state = &tarn_shared->pipelines[i];

			pg_atomic_init_u32(&state->requests, 0);
			pg_atomic_init_u64(&state->flush_wanted, 0);
			pg_atomic_init_u64(&state->flushed, 0);
			ConditionVariableInit(&state->flushed_cv);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void
state_init(void)
{
	DefineCustomIntVariable("tarn.garbage_grace",
							"Sets how long files that no current snapshot references are kept.",
							"Readers outside of this server may be in the middle of an older snapshot.",
							&tarn_garbage_grace, 3600, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	/* a session that loads us to read must not define what only a start of the server can set: it would be ended */
	DefineCustomIntVariable("tarn.max_pipelines",
							"Sets the number of pipelines the server has room for.",
							"Pipelines of all databases count.",
							&tarn_max_pipelines, 16, 1, 1024,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = state_shmem_request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = state_shmem_startup;
}

static PipelineState *
state_find_locked(Oid database, int32 pipeline_id)
{
	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];

		if (state->used && state->database == database && state->pipeline_id == pipeline_id)
			return state;
	}
	return NULL;
}

PipelineState *
state_find(Oid database, int32 pipeline_id)
{
	PipelineState *state;

	if (tarn_shared == NULL)
		return NULL;
	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	state = state_find_locked(database, pipeline_id);
	LWLockRelease(tarn_shared->lock);
	return state;
}

void
state_want_scout(Oid database)
{
	bool		found = false;

	if (tarn_shared == NULL)
		return;
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < tarn_shared->nscouts; i++)
		found |= tarn_shared->scouts[i] == database;
	if (!found && tarn_shared->nscouts < STATE_MAX_SCOUTS)
		tarn_shared->scouts[tarn_shared->nscouts++] = database;
	else if (!found)
		tarn_shared->scout_all = true;
	LWLockRelease(tarn_shared->lock);
}

void
state_scout(Oid database)
{
	state_want_scout(database);
	state_wake_launcher();
}

/* Makes an unused entry fresh, keeping the atomics and the condition variable as objects. */
static void
state_clear(PipelineState *state)
{
	state->pid = 0;
	state->latch = NULL;
	state->activity = PIPELINE_STARTING;
	state->restart_at = 0;
	state->failures = 0;
	state->told.n = state->copy_told.n = 0;
	state->wal_alert = false;
	state->received = state->committed = state->confirmed = InvalidXLogRecPtr;
	state->committed_time = state->oldest_buffered = state->last_flush = state->current_at = 0;
	state->flushes = state->transactions = 0;
	state->inserts = state->updates = state->deletes = state->truncates = 0;
	state->buffered_bytes = state->written_bytes = 0;
	state->detail[0] = state->last_error[0] = '\0';
	state->last_error_at = 0;
	pg_atomic_write_u32(&state->requests, 0);
	pg_atomic_write_u64(&state->flush_wanted, 0);
	pg_atomic_write_u64(&state->flushed, 0);
}

PipelineState *
state_register(Oid database, int32 pipeline_id, Oid owner,
			   const char *name, const char *slot, bool enabled)
{
	PipelineState *state;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	state = state_find_locked(database, pipeline_id);
	for (int i = 0; state == NULL && i < tarn_shared->npipelines; i++)
	{
		if (!tarn_shared->pipelines[i].used)
		{
			state = &tarn_shared->pipelines[i];
			state_clear(state);
		}
	}
	if (state == NULL)
	{
		LWLockRelease(tarn_shared->lock);
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for pipeline \"%s\"", name),
				 errdetail("The server has room for %d pipelines.", tarn_max_pipelines),
				 errhint("Increase tarn.max_pipelines and restart the server.")));
	}
	state->used = true;
	state->database = database;
	state->pipeline_id = pipeline_id;
	state->owner = owner;
	namestrcpy(&state->name, name);
	namestrcpy(&state->slot, slot);
	state->enabled = enabled;
	if (!enabled && state->pid == 0)
		state->activity = PIPELINE_PAUSED;
	LWLockRelease(tarn_shared->lock);
	return state;
}

void
state_forget(PipelineState *state)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	state->used = false;
	state->enabled = false;
	LWLockRelease(tarn_shared->lock);
	ConditionVariableBroadcast(&state->flushed_cv);
}

void
state_wake_launcher(void)
{
	if (tarn_shared == NULL)
		return;
	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	if (tarn_shared->launcher_latch)
		SetLatch(tarn_shared->launcher_latch);
	LWLockRelease(tarn_shared->lock);
}

void
state_request(PipelineState *state, uint32 request)
{
	if (request)
		pg_atomic_fetch_or_u32(&state->requests, request);
	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	if (state->latch)
		SetLatch(state->latch);
	if (tarn_shared->launcher_latch)
		SetLatch(tarn_shared->launcher_latch);
	LWLockRelease(tarn_shared->lock);
}

void
state_set_detail(PipelineState *state, const char *fmt,...)
{
	char		text[STATE_DETAIL_LENGTH];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	strlcpy(state->detail, text, sizeof(state->detail));
	LWLockRelease(tarn_shared->lock);
}

void
state_set_error(PipelineState *state, const char *message)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	strlcpy(state->last_error, message, sizeof(state->last_error));
	state->last_error_at = GetCurrentTimestamp();
	LWLockRelease(tarn_shared->lock);
}

bool
state_tell(ToldFailures *told, const ErrorData *edata)
{
	const char *format = edata->message_id != NULL ? edata->message_id : "";
	uint32		kind = hash_combine((uint32) edata->sqlerrcode,
									hash_bytes((const unsigned char *) format, (int) strlen(format)));

	for (int i = 0; i < Min(told->n, STATE_MAX_TOLD); i++)
	{
		if (told->kinds[i] == kind)
			return false;
	}
	told->kinds[told->n++ % STATE_MAX_TOLD] = kind;
	return true;
}
