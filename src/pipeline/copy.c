/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  The initial copy: its start, and its board in shared memory.
 *
 * The board has an entry for each entry of the pipelines' notice board: who
 * coordinates, and where the segment with the progress is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "pipeline/copy.h"
#include "pipeline/copy_shared.h"
#include "pipeline/registry.h"
#include "pipeline/session.h"

typedef struct CopyBoard
{
	pid_t		pid;			/* of the coordinator, 0: none */
	dsm_handle	segment;		/* DSM_HANDLE_INVALID: none yet */
} CopyBoard;

int			copy_workers = 2;

static CopyBoard *copy_board = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

PG_FUNCTION_INFO_V1(tarn_copy_status);

static Size
copy_board_size(void)
{
	return mul_size(sizeof(CopyBoard), tarn_max_pipelines);
}

static void
copy_shmem_request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(copy_board_size());
}

static void
copy_shmem_startup(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	copy_board = ShmemInitStruct("tarn copies", copy_board_size(), &found);
	if (!found)
	{
		memset(copy_board, 0, copy_board_size());
		for (int i = 0; i < tarn_max_pipelines; i++)
			copy_board[i].segment = DSM_HANDLE_INVALID;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
copy_init(void)
{
	DefineCustomIntVariable("tarn.copy_workers",
							"Sets the number of processes that copy tables into the lake.",
							"Of each pipeline, while it has tables to copy.",
							&copy_workers, 2, 1, COPY_MAX_WORKERS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = copy_shmem_request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = copy_shmem_startup;
}

/* The entry of a pipeline: the same place as on the notice board. */
static CopyBoard *
copy_board_entry(const PipelineState *state)
{
	return &copy_board[state - tarn_shared->pipelines];
}

static void
copy_board_leave(int code, Datum arg)
{
	CopyBoard  *entry = (CopyBoard *) DatumGetPointer(arg);

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	entry->pid = 0;
	entry->segment = DSM_HANDLE_INVALID;
	LWLockRelease(tarn_shared->lock);
}

bool
copy_board_enter(PipelineState *state)
{
	CopyBoard  *entry = copy_board_entry(state);
	bool		free;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	free = entry->pid == 0;
	if (free)
		entry->pid = MyProcPid;
	LWLockRelease(tarn_shared->lock);
	if (free)
		before_shmem_exit(copy_board_leave, PointerGetDatum(entry));
	return free;
}

void
copy_board_show(PipelineState *state, dsm_handle segment)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	copy_board_entry(state)->segment = segment;
	LWLockRelease(tarn_shared->lock);
}

BackgroundWorkerHandle *
copy_launch(Pipeline *p)
{
	CopyArgs	args = {p->database, p->owner, p->id, MyProcPid};
	pid_t		pid;

	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	pid = copy_board_entry(p->state)->pid;
	LWLockRelease(tarn_shared->lock);
	if (pid != 0)
	{
		(void) kill(pid, SIGTERM);
		return NULL;
	}
	return session_start("tarn_copy_main", "tarn copy", p->name, (Datum) 0, &args, sizeof(args));
}

bool
copy_stop(PipelineState *state)
{
	pid_t		pid;

	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	pid = copy_board_entry(state)->pid;
	if (pid != 0)
		(void) kill(pid, SIGTERM);
	LWLockRelease(tarn_shared->lock);
	return pid != 0;
}

bool
copy_running_in(Oid database)
{
	bool		running = false;

	LWLockAcquire(tarn_shared->lock, LW_SHARED);
	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];

		if (!state->used || state->database != database || copy_board[i].pid == 0)
			continue;
		(void) kill(copy_board[i].pid, SIGTERM);
		running = true;
	}
	LWLockRelease(tarn_shared->lock);
	return running;
}

Pipeline *
copy_load_pipeline(int32 pipeline_id, PipelineState *state, MemoryContext context)
{
	Pipeline   *p;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	p = registry_load(pipeline_id);
	if (p != NULL)
	{
		p->state = state;
		MemoryContextSwitchTo(p->context);
		p->lake = lake_open(lake_server_oid(p->lake_name), p->owner);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return p;
}

/* The rows of one copy under way. */
static void
copy_status_rows(ReturnSetInfo *result, const CopyShared *shared)
{
	CopyTable  *tables = copy_tables(unconstify(CopyShared *, shared));

	for (int i = 0; i < shared->ntables; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = Int32GetDatum(shared->pipeline_id);
		values[1] = ObjectIdGetDatum(tables[i].relid);
		values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&tables[i].blocks_done));
		values[3] = Int64GetDatum((int64) tables[i].blocks_total);
		values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&tables[i].rows));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* tarn.copy_status(): progress of the copies of this database. */
Datum
tarn_copy_status(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; copy_board != NULL && i < tarn_max_pipelines; i++)
	{
		dsm_handle	handle;
		dsm_segment *segment;

		LWLockAcquire(tarn_shared->lock, LW_SHARED);
		handle = copy_board[i].segment;
		LWLockRelease(tarn_shared->lock);
		if (handle == DSM_HANDLE_INVALID)
			continue;
		/* it may end at any moment */
		segment = dsm_attach(handle);
		if (segment == NULL)
			continue;
		if (((CopyShared *) dsm_segment_address(segment))->database == MyDatabaseId)
			copy_status_rows((ReturnSetInfo *) fcinfo->resultinfo, dsm_segment_address(segment));
		dsm_detach(segment);
	}
	return (Datum) 0;
}
