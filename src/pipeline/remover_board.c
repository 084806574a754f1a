/*-------------------------------------------------------------------------
 *
 * remover_board.c
 *	  Which databases need a remover: the part of the notice board.
 *
 * As all of the board it is not the truth, which is in tarn.removal: after a
 * crash of the server the scouts fill it again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "pipeline/launcher.h"
#include "pipeline/remover.h"
#include "pipeline/session.h"
#include "pipeline/state.h"

#define START_AGAIN_MS 2000		/* a start that came to nothing */
#define WAIT_MS 10000

/* Under the lock; NULL when there is none. */
static RemoverState *
find_entry(Oid database)
{
	for (int i = 0; i < STATE_MAX_REMOVERS; i++)
	{
		if (tarn_shared->removers[i].database == database)
			return &tarn_shared->removers[i];
	}
	return NULL;
}

void
remover_ask(Oid database)
{
	RemoverState *r;

	if (tarn_shared == NULL)
		return;
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	r = find_entry(database);
	if (r == NULL && (r = find_entry(InvalidOid)) != NULL)
	{
		memset(r, 0, sizeof(RemoverState));
		r->database = database;
	}
	/* no place: when one is free again, all databases are looked at */
	if (r == NULL)
		tarn_shared->scout_all = true;
	else
	{
		r->asked = true;
		r->resting = false;
		r->failures = 0;
		r->start_at = 0;
	}
	LWLockRelease(tarn_shared->lock);
	state_wake_launcher();
}

/* Does the database still exist? */
static bool
database_exists(Oid database)
{
	bool		exists;

	StartTransactionCommand();
	exists = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
	CommitTransactionCommand();
	return exists;
}

long
remover_tend(long nap)
{
	for (int i = 0; i < STATE_MAX_REMOVERS; i++)
	{
		RemoverState *r = &tarn_shared->removers[i];
		WorkerArgs	args = {r->database, InvalidOid, 0};
		TimestampTz now = GetCurrentTimestamp();
		BackgroundWorkerHandle *handle;
		char		name[32];

		if (!OidIsValid(args.database) || r->pid != 0)
			continue;
		if (r->start_at > now)
		{
			nap = Min(nap, TimestampDifferenceMilliseconds(now, r->start_at) + 1);
			continue;
		}
		if (!database_exists(args.database))
		{
			remover_forget(args.database);
			continue;
		}
		r->start_at = TimestampTzPlusMilliseconds(now, START_AGAIN_MS);
		nap = Min(nap, START_AGAIN_MS);
		snprintf(name, sizeof(name), "%u", args.database);
		handle = session_start("tarn_remover_main", "tarn remover", name, (Datum) 0, &args, sizeof(args));
		if (handle)
			pfree(handle);
	}
	return nap;
}

bool
remover_wait(Oid database)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WAIT_MS);

	if (tarn_shared == NULL)
		return true;
	for (;;)
	{
		RemoverState *r;
		bool		done;
		bool		failed;

		LWLockAcquire(tarn_shared->lock, LW_SHARED);
		r = find_entry(database);
		done = r == NULL || r->resting;
		failed = r != NULL && r->failures > 0;
		LWLockRelease(tarn_shared->lock);
		if (done)
			return true;
		if (failed || GetCurrentTimestamp() > end)
			return false;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

bool
remover_let_go(Oid database, TimestampTz restart_at)
{
	RemoverState *r;
	bool		running = false;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	r = find_entry(database);
	if (r)
	{
		r->start_at = restart_at;
		running = r->pid != 0;
		if (running)
			(void) kill(r->pid, SIGTERM);
	}
	LWLockRelease(tarn_shared->lock);
	return running;
}

void
remover_forget(Oid database)
{
	RemoverState *r;

	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	r = find_entry(database);
	if (r)
		r->database = InvalidOid;
	LWLockRelease(tarn_shared->lock);
}
