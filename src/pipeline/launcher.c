/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The static background worker that keeps one worker alive a pipeline.
 *
 * A background worker can be in one database only, so the launcher (which is
 * in none, and reads pg_database alone) sends a scout to each database at
 * the start, and later to a database in which somebody changed a pipeline:
 * the scout reads tarn.pipeline, fills the notice board and leaves.
 *
 * Workers are restarted here and not by the postmaster, which would go on
 * for ever after the database is gone, and knows no back-off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "pipeline/launcher.h"
#include "pipeline/registry.h"
#include "pipeline/remover.h"
#include "pipeline/session.h"
#include "pipeline/state.h"
#include "pipeline/stream.h"
#include "pipeline/upkeep.h"
#include "pipeline/wal_alert.h"

/* How often the launcher looks round without being woken. */
#define LAUNCHER_NAP_MS 10000
#define SCOUT_AGAIN_MS 1000

/* Workers that were started and may not have reached the board yet. */
static BackgroundWorkerHandle **handles = NULL;

void
launcher_init(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "tarn");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "tarn_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "tarn launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "tarn launcher");
	RegisterBackgroundWorker(&worker);
}

/* Databases that may be connected to: List of Oid in the current context. */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *list = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database db = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old = MemoryContextSwitchTo(context);

		if (db->datallowconn && !db->datistemplate)
			list = lappend_oid(list, db->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return list;
}

/* Sends a scout and waits for it; false when there is no place for one. */
static bool
scout_database(Oid database)
{
	WorkerArgs	args = {database, InvalidOid, 0};
	BackgroundWorkerHandle *handle;
	char		name[32];

	snprintf(name, sizeof(name), "%u", database);
	handle = session_start("tarn_scout_main", "tarn scout", name, (Datum) 0, &args, sizeof(args));
	if (handle == NULL)
	{
		/* once until there is room again: it is tried every second */
		if (!tarn_shared->out_of_workers)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("out of background worker slots for tarn"),
					 errhint("Increase max_worker_processes.")));
		tarn_shared->out_of_workers = true;
		return false;
	}
	tarn_shared->out_of_workers = false;
	WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
	/* the wait took what else woke us, such as the wish for another scout: another round */
	SetLatch(MyLatch);
	return true;
}

/* Every database whose pipelines should be looked up now; false when some could not be. */
static bool
run_scouts(void)
{
	Oid			wanted[STATE_MAX_SCOUTS];
	int			n;
	bool		all;
	bool		done = true;
	List	   *databases;
	ListCell   *lc;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	n = tarn_shared->nscouts;
	memcpy(wanted, tarn_shared->scouts, n * sizeof(Oid));
	all = tarn_shared->scout_all;
	tarn_shared->nscouts = 0;
	tarn_shared->scout_all = false;
	LWLockRelease(tarn_shared->lock);
	if (n == 0 && !all)
		return true;
	databases = list_databases();
	foreach(lc, databases)
	{
		bool		found = all;

		for (int i = 0; i < n; i++)
			found |= wanted[i] == lfirst_oid(lc);
		if (found && !scout_database(lfirst_oid(lc)))
		{
			state_want_scout(lfirst_oid(lc));
			done = false;
		}
	}
	list_free(databases);
	return done;
}

/* A pipeline that is gone and has no worker to tidy up: its slot, its key indexes, its place on the board. */
static void
drop_leftover(PipelineState *state)
{
	PG_TRY();
	{
		stream_drop_slot(NameStr(state->slot), true);
		upkeep_remove_folder(state->database, state->pipeline_id);
		state_forget(state);
	}
	PG_CATCH();
	{
		/* in use by somebody: next round */
		EmitErrorReport();
		FlushErrorState();
		LWLockReleaseAll();
	}
	PG_END_TRY();
}

/*
 * A worker of a role that is gone, or may not log in, would end before it
 * could say why.
 */
static bool
role_may_run(PipelineState *state)
{
	HeapTuple	tuple;
	bool		exists;
	bool		login;

	StartTransactionCommand();
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(state->owner));
	exists = HeapTupleIsValid(tuple);
	login = exists && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	if (exists)
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	if (!login)
		state_set_error(state, exists ? "the pipeline's owner is not permitted to log in; see ALTER ROLE ... LOGIN" :
						"the pipeline's owner does not exist any more; see tarn.alter_pipeline");
	return login;
}

/* Starts what should run and does not; returns how long to nap. */
static long
tend_workers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = LAUNCHER_NAP_MS;

	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];
		WorkerArgs	args;
		pid_t		pid;

		if (!state->used)
			continue;
		wal_alert_look(state);
		if (state->pid != 0)
			continue;
		if (handles[i] && GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;			/* on its way */
		if (handles[i])
		{
			pfree(handles[i]);
			handles[i] = NULL;
		}
		if (pg_atomic_read_u32(&state->requests) & REQUEST_DROP)
		{
			drop_leftover(state);
			continue;
		}
		if (!state->enabled)
			continue;
		if (state->restart_at > now)
		{
			nap = Min(nap, TimestampDifferenceMilliseconds(now, state->restart_at) + 1);
			continue;
		}
		if (!role_may_run(state))
		{
			state->restart_at = TimestampTzPlusMilliseconds(now, LAUNCHER_NAP_MS);
			continue;
		}
		args.database = state->database;
		args.owner = state->owner;
		args.pipeline_id = state->pipeline_id;
		/* until the worker says otherwise, a start that comes to nothing is tried again later */
		state->restart_at = TimestampTzPlusMilliseconds(now, 2000);
		handles[i] = session_start("tarn_worker_main", "tarn pipeline worker", NameStr(state->name),
								   (Datum) 0, &args, sizeof(args));
		if (handles[i] == NULL)
		{
			tarn_shared->out_of_workers = true;
			state->activity = PIPELINE_BACKOFF;
			state_set_error(state, "out of background worker slots; increase max_worker_processes");
		}
	}
	return nap;
}

static void
launcher_exit(int code, Datum arg)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	tarn_shared->launcher_latch = NULL;
	tarn_shared->launcher_pid = 0;
	LWLockRelease(tarn_shared->lock);
}

void
tarn_launcher_main(Datum arg)
{
	MemoryContext round;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	session_settle();

	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) * tarn_shared->npipelines);
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	tarn_shared->launcher_latch = MyLatch;
	tarn_shared->launcher_pid = MyProcPid;
	tarn_shared->scout_all = true;
	LWLockRelease(tarn_shared->lock);
	before_shmem_exit(launcher_exit, (Datum) 0);

	round = AllocSetContextCreate(TopMemoryContext, "tarn launcher round", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		long		nap;
		bool		scouted;

		CHECK_FOR_INTERRUPTS();
		session_reload();
		MemoryContextSwitchTo(round);
		scouted = run_scouts();
		/* handles live as long as the worker does */
		MemoryContextSwitchTo(TopMemoryContext);
		nap = remover_tend(tend_workers());
		if (!scouted)
			nap = Min(nap, SCOUT_AGAIN_MS);
		MemoryContextReset(round);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, nap, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Reads this database's pipelines into the board.  Runs as the bootstrap
 * superuser, and runs nothing but our fixed SQL.
 */
void
tarn_scout_main(Datum arg)
{
	WorkerArgs	args;
	List	   *pipelines;
	ListCell   *lc;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(args.database, InvalidOid, 0);
	session_settle();

	StartTransactionCommand();
	pipelines = registry_all();
	foreach(lc, pipelines)
	{
		Pipeline   *p = lfirst(lc);

		/* a copied database or server must not write into the lake of its original */
		if (!registry_bound_here(p))
			continue;
		state_register(p->database, p->id, p->owner, p->name, p->slot, p->enabled);
	}
	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];
		bool		found = false;

		if (!state->used || state->database != MyDatabaseId)
			continue;
		foreach(lc, pipelines)
			found |= ((Pipeline *) lfirst(lc))->id == state->pipeline_id;
		state_request(state, found ? REQUEST_RELOAD : REQUEST_DROP);
	}
	if (remover_needed())
		remover_ask(MyDatabaseId);
	CommitTransactionCommand();
	proc_exit(0);
}
