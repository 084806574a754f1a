/*-------------------------------------------------------------------------
 *
 * remover.c
 *	  Removes what drops have left in the warehouses, and how they leave it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/failpoint.h"
#include "base/privileged.h"
#include "pipeline/fence.h"
#include "pipeline/launcher.h"
#include "pipeline/registry.h"
#include "pipeline/remover.h"
#include "pipeline/session.h"
#include "pipeline/state.h"
#include "pipeline/stream.h"
#include "pipeline/upkeep.h"

#define REMOVE_FILES 1000		/* a transaction */
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000
#define ROUNDS 30				/* waits for others so often before it leaves */
#define ROUND_MS 100
#define COME_BACK_SOON_MS 5000
#define COME_BACK_MS 60000

/* A row of tarn.removal. */
typedef struct Removal
{
	char	   *ctid;
	char	   *lake;
	Oid			owner;			/* whose user mapping */
	int32		pipeline_id;
	char	   *slot;			/* NULL: no marker to remove */
	char	   *fence;
	bool		here;			/* made in this database of this server */
	int64		data_directory;
} Removal;

/* What has become of a row, least work first. */
typedef enum RemovalResult
{
	REMOVAL_DONE,
	REMOVAL_LATER,				/* the rest is kept for the time of grace */
	REMOVAL_SOON,				/* somebody is in the way, perhaps for a moment */
	REMOVAL_MORE
} RemovalResult;

static bool remover_wanted = false;

static void
ask_at_end(XactEvent event, void *arg)
{
	if (!remover_wanted || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	remover_wanted = false;
	if (event == XACT_EVENT_COMMIT)
		remover_ask(MyDatabaseId);
}

static void
ask_at_commit(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(ask_at_end, NULL);
	registered = true;
	remover_wanted = true;
}

void
remover_drop_table(const LakeTable *t)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, OIDOID, OIDOID, INT8OID, INT8OID};
	Datum		values[] = {CStringGetTextDatum(t->lake->name), ObjectIdGetDatum(t->lake->user), ObjectIdGetDatum(MyDatabaseId),
	Int64GetDatum((int64) GetSystemIdentifier()), Int64GetDatum(fence_instance())};

	registry_add_dropped(t->lake->name, lake_table_list_all(t->lake, t->metadata->location));
	catalog_drop(t->lake->catalog, t->namespace, t->name);

	/* one row a table: a row that is there already may be another transaction's, or be gone when this one ends */
	privileged_begin(&scope);
	privileged_execute("INSERT INTO tarn.removal (lake, owner, database, system_identifier, data_directory) "
					   "VALUES ($1::name, $2, $3, $4, $5)", lengthof(values), types, values, NULL, SPI_OK_INSERT);
	privileged_end(&scope);
	ask_at_commit();
}

void
remover_drop_pipeline(const Pipeline *p)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, INT8OID, OIDOID};
	Datum		values[] = {Int32GetDatum(p->id), Int64GetDatum(fence_instance()), ObjectIdGetDatum(p->owner)};
	bool		here = registry_bound_here(p);

	/* somebody has to do it when the owner is gone */
	if (!SearchSysCacheExists1(AUTHOID, values[2]))
		values[2] = ObjectIdGetDatum(GetUserId());
	privileged_begin(&scope);
	if (here)
		privileged_execute("WITH gone AS (DELETE FROM tarn.pipeline WHERE id = $1 RETURNING *) "
						   "INSERT INTO tarn.removal SELECT lake, $3, id, slot, fence, database, system_identifier, $2 FROM gone",
						   lengthof(values), types, values, NULL, SPI_OK_INSERT);
	else
		privileged_execute("DELETE FROM tarn.pipeline WHERE id = $1", 1, types, values, NULL, SPI_OK_DELETE);
	privileged_end(&scope);
	if (here)
		ask_at_commit();
}

/* How many rows a query about something of a given name has. */
static uint64
count_rows(const char *sql, const char *name)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute(sql, 1, types, values, NULL, SPI_OK_SELECT);
	privileged_end(&scope);
	return n;
}

bool
remover_has(const Pipeline *p)
{
	return OidIsValid(privileged_extension_owner()) &&
		count_rows("SELECT FROM tarn.removal WHERE slot = $1::name", p->slot) > 0;
}

bool
remover_needed(void)
{
	return OidIsValid(privileged_extension_owner()) && count_rows("SELECT FROM tarn.removal WHERE $1 = '' LIMIT 1", "") > 0;
}

/* All rows, in the current context. */
static List *
load_removals(void)
{
	MemoryContext context = CurrentMemoryContext;
	PrivilegedScope scope;
	List	   *list = NIL;
	Oid			types[] = {OIDOID, INT8OID};
	Datum		values[] = {ObjectIdGetDatum(MyDatabaseId), Int64GetDatum((int64) GetSystemIdentifier())};
	uint64		n;

	StartTransactionCommand();
	privileged_check_version();
	if (!OidIsValid(privileged_extension_owner()))
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		return NIL;
	}
	privileged_begin(&scope);
	n = privileged_execute("SELECT ctid::text, lake::text, owner::text, coalesce(pipeline_id, 0)::text, slot::text, "
						   "coalesce(fence::text, ''), database = $1 AND system_identifier = $2, data_directory::text "
						   "FROM tarn.removal", lengthof(values), types, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Removal    *r = palloc0(sizeof(Removal));
		char	   *field[8];

		for (int f = 0; f < lengthof(field); f++)
		{
			field[f] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, f + 1);
			if (field[f])
				field[f] = MemoryContextStrdup(context, field[f]);
		}
		r->ctid = field[0];
		r->lake = field[1];
		r->owner = atooid(field[2]);
		r->pipeline_id = atoi(field[3]);
		r->slot = field[4];
		r->fence = field[5];
		r->here = field[6][0] == 't';
		r->data_directory = strtoi64(field[7], NULL, 10);
		list = lappend(list, r);
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return list;
}

/* Ends a row, or takes the marker off it, which is gone. */
static void
settle(const Removal *r, bool done)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(r->ctid)};

	privileged_begin(&scope);
	if (done)
		privileged_execute("DELETE FROM tarn.removal WHERE ctid = $1::tid", 1, types, values, NULL, SPI_OK_DELETE);
	else
		privileged_execute("UPDATE tarn.removal SET slot = NULL, pipeline_id = NULL WHERE ctid = $1::tid",
						   1, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
}

/*
 * Did this server drop it, or the one that it took over from?  Files that
 * another has must stay: that one may have put them back.
 */
static bool
is_ours(const Removal *r, Lake *lake)
{
	FenceMarker marker = FENCE_NONE;

	if (!r->here)
		return false;
	if (r->slot)
		marker = fence_look(lake, r->slot, r->fence);
	return marker == FENCE_NONE ? r->data_directory == fence_instance() : marker == FENCE_OURS;
}

/* Files of the lake whose time has come: those of dropped tables, and the others where no pipeline is left to do it. */
static int
remove_files(Lake *lake, bool others)
{
	List	   *paths = registry_take_garbage(lake->name, others ? tarn_garbage_grace : REGISTRY_DROPPED_ONLY, REMOVE_FILES);
	ListCell   *lc;

	foreach(lc, paths)
	{
		CHECK_FOR_INTERRUPTS();
		store_remove(lake->store, lfirst(lc));
		FAILPOINT("dropped-removed");
	}
	return list_length(paths);
}

/* One step of a row's work, in a transaction: as with other garbage, an error brings the list's entries back. */
static RemovalResult
work_off(const Removal *r)
{
	ForeignServer *server = GetForeignServerByName(r->lake, true);
	Lake	   *lake = server ? lake_open(lake_server_oid(r->lake), r->owner) : NULL;
	bool		others;

	if (lake == NULL || !is_ours(r, lake))
	{
		ereport(LOG,
				(errmsg("files of what was dropped in lake \"%s\" are not removed: %s", r->lake,
						lake == NULL ? "its server does not exist any more" : "they were dropped on another server")));
		settle(r, true);
		return REMOVAL_DONE;
	}
	others = count_rows("SELECT FROM tarn.pipeline WHERE lake = $1::name LIMIT 1", r->lake) == 0;
	if (remove_files(lake, others) == REMOVE_FILES)
		return REMOVAL_MORE;
	/* for snapshots that began before the drop */
	if (count_rows("SELECT FROM tarn.garbage WHERE lake = $1::name AND since = '-infinity' LIMIT 1", r->lake) > 0)
		return REMOVAL_SOON;
	if (r->slot)
	{
		/* a worker that is about to leave may still move it */
		if (state_find(MyDatabaseId, r->pipeline_id) != NULL)
			return REMOVAL_SOON;
		/* mostly the worker did that, or the launcher; but a crash takes away what they know */
		if (stream_slot_ours(r->slot))
			stream_drop_slot(r->slot, true);
		upkeep_remove_folder(MyDatabaseId, r->pipeline_id);
		fence_forget(lake, r->slot);
	}
	if (!others || count_rows("SELECT FROM tarn.garbage WHERE lake = $1::name LIMIT 1", r->lake) == 0)
	{
		settle(r, true);
		return REMOVAL_DONE;
	}
	if (r->slot)
		settle(r, false);
	return REMOVAL_LATER;
}

/* The same, with the log told of an error: *failed then, and the others go on. */
static RemovalResult
try_removal(const Removal *r, RemoverState *state, bool *failed)
{
	MemoryContext context = CurrentMemoryContext;
	volatile RemovalResult result = REMOVAL_LATER;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		result = work_off(r);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *edata = session_take_error(context);

		RESUME_INTERRUPTS();
		*failed = true;
		if (state_tell(&state->told, edata))
			ereport(LOG,
					(errmsg("could not remove the files of what was dropped in lake \"%s\", and will try again: %s",
							r->lake, edata->message)));
		result = REMOVAL_LATER;
	}
	PG_END_TRY();
	return result;
}

static RemoverState *remover = NULL;

static void
remover_exit(int code, Datum arg)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	remover->pid = 0;
	LWLockRelease(tarn_shared->lock);
	state_wake_launcher();
}

/* Takes the database's place on the board, or ends. */
static void
attach(Oid database)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < STATE_MAX_REMOVERS; i++)
	{
		if (tarn_shared->removers[i].database == database)
			remover = &tarn_shared->removers[i];
	}
	if (remover == NULL || remover->pid != 0)
	{
		LWLockRelease(tarn_shared->lock);
		proc_exit(0);
	}
	remover->pid = MyProcPid;
	LWLockRelease(tarn_shared->lock);
	before_shmem_exit(remover_exit, (Datum) 0);
}

/* Nothing is left to do now: leaves, until somebody asks or the time has come.  False: somebody has just asked. */
static bool
leave(RemovalResult most, bool failed)
{
	TimestampTz now = GetCurrentTimestamp();
	long		pause = most == REMOVAL_SOON ? COME_BACK_SOON_MS : COME_BACK_MS;
	bool		asked;

	if (failed)
	{
		pause = BACKOFF_FIRST_MS;
		for (int i = 0; i < remover->failures && pause < BACKOFF_MAX_MS; i++)
			pause *= 2;
	}
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	asked = remover->asked && !failed;
	if (!asked && !failed && most == REMOVAL_DONE)
		remover->database = InvalidOid;
	else if (!asked)
	{
		remover->failures = failed ? remover->failures + 1 : 0;
		remover->resting = !failed && most == REMOVAL_LATER;
		remover->start_at = TimestampTzPlusMilliseconds(now, Min(pause, BACKOFF_MAX_MS));
	}
	LWLockRelease(tarn_shared->lock);
	return !asked;
}

/* Works off all rows as far as that goes now. */
static RemovalResult
run_round(bool *failed)
{
	List	   *removals;
	ListCell   *lc;
	RemovalResult most = REMOVAL_DONE;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	remover->asked = false;
	LWLockRelease(tarn_shared->lock);
	removals = load_removals();
	foreach(lc, removals)
	{
		RemovalResult result;

		do
			result = try_removal(lfirst(lc), remover, failed);
		while (result == REMOVAL_MORE);
		most = Max(most, result);
	}
	return most;
}

void
tarn_remover_main(Datum arg)
{
	WorkerArgs	args;
	MemoryContext round;
	bool		failed;
	RemovalResult most;
	int			rounds = 0;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	attach(args.database);
	BackgroundWorkerInitializeConnectionByOid(args.database, InvalidOid, 0);
	session_settle();
	round = AllocSetContextCreate(TopMemoryContext, "tarn remover round", ALLOCSET_DEFAULT_SIZES);
	do
	{
		for (;;)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextSwitchTo(round);
			failed = false;
			most = run_round(&failed);
			MemoryContextReset(round);
			if (failed || most != REMOVAL_SOON || ++rounds >= ROUNDS)
				break;
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ROUND_MS, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	} while (!leave(most, failed));
	proc_exit(0);
}
