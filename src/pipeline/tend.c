/*-------------------------------------------------------------------------
 *
 * tend.c
 *	  The worker's care for its tables.
 *
 * A table that is published later is copied by a process of its own while
 * the others go on.  Until its copy is in the lake the slot is not
 * confirmed, so that the WAL from the copy's position on can be read again
 * for it: there is one stream, and no second mechanism to catch up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_publication.h"
#include "postmaster/bgworker.h"
#include "replication/message.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "base/privileged.h"
#include "pipeline/copy.h"
#include "pipeline/flush.h"
#include "pipeline/registry.h"
#include "pipeline/rights.h"
#include "pipeline/tables.h"
#include "pipeline/tend.h"

/*
 * Publications are looked at so often after a hint, and without one; less
 * often when there are so many tables that the looking would be felt.
 */
#define SYNC_HINTED_MS 500
#define SYNC_MS 30000
#define SYNC_MS_MAX 120000
#define SYNC_SHARE 4000			/* times as long as it takes */

#define COPY_RETRY_FIRST_MS 500
#define COPY_RETRY_MAX_MS 60000

static bool hinted = false;
static bool callbacks = false;
static TimestampTz last_look = 0;
static TimestampTz last_sync = 0;
static long sync_took_ms = 0;

static BackgroundWorkerHandle *copier = NULL;
static int	copy_failures = 0;
static TimestampTz copy_at = 0;

/* A hash value or relation of zero is a reset of all caches, which we cause ourselves all the time. */
static void
on_publication(Datum arg, int cacheid, uint32 hashvalue)
{
	if (hashvalue != 0)
		hinted = true;
}

static void
on_relation(Datum arg, Oid relid)
{
	if (OidIsValid(relid))
		hinted = true;
}

static bool
elapsed(TimestampTz since, int ms)
{
	return TimestampDifferenceExceeds(since, GetCurrentTimestamp(), ms);
}

/*
 * Tables that are not published any more are followed until the stream has
 * come to where this is noticed: all of their published changes lie before.
 */
static void
mark_leaving(Pipeline *p)
{
	List	   *published = decode_published_tables(p->publications);
	XLogRecPtr	here = InvalidXLogRecPtr;
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (list_member_oid(published, t->relid))
			t->leaving = InvalidXLogRecPtr;
		else if (t->leaving == InvalidXLogRecPtr)
		{
			/* a record of our own: a position between two pages is never reached exactly */
			if (here == InvalidXLogRecPtr)
			{
				here = compat_log_message("tarn.leaving", "", 0);
				XLogFlush(here);
			}
			t->leaving = here;
		}
	}
}

void
tend_start(Pipeline *p)
{
	MemoryContext context = AllocSetContextCreate(p->context, "tarn orphans", ALLOCSET_DEFAULT_SIZES);
	List	   *known = list_copy(p->tables);
	ListCell   *lc;

	if (!callbacks)
	{
		CacheRegisterSyscacheCallback(PUBLICATIONOID, on_publication, (Datum) 0);
		CacheRegisterSyscacheCallback(PUBLICATIONRELMAP, on_publication, (Datum) 0);
		CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP, on_publication, (Datum) 0);
		CacheRegisterRelcacheCallback(on_relation, (Datum) 0);
		callbacks = true;
	}
	pipeline_begin();
	MemoryContextSwitchTo(p->context);
	(void) registry_sync_tables(p->id, p->lake_name, p->publications, false);
	pipeline_commit();
	FAILPOINT("tables-recorded");
	tend_adopt(p);
	pipeline_begin();
	MemoryContextSwitchTo(context);
	/* also of a table that has left the publications since */
	known = list_concat_unique_ptr(known, p->tables);
	foreach(lc, known)
		tend_remove_orphans(p, lfirst(lc));
	list_free(known);

	/*
	 * What the unfinished flush prepared in a key index, under names made of
	 * its token, must not be taken for what the next flush will commit.
	 */
	registry_change_token(p);
	mark_leaving(p);
	pipeline_commit();
	FAILPOINT("token-changed");
	MemoryContextDelete(context);
	last_sync = last_look = GetCurrentTimestamp();
}

/* Did somebody change what only a new process takes over, or ask for a new beginning? */
static bool
needs_renewal(const Pipeline *p, const Pipeline *fresh)
{
	ListCell   *a;
	ListCell   *b;

	if (fresh->owner != p->owner || fresh->memory_limit != p->memory_limit ||
		fresh->lsn == InvalidXLogRecPtr || strcmp(fresh->lake_name, p->lake_name) != 0 ||
		list_length(fresh->publications) != list_length(p->publications))
		return true;
	forboth(a, fresh->publications, b, p->publications)
	{
		if (strcmp(lfirst(a), lfirst(b)) != 0)
			return true;
	}
	return false;
}

void
tend_hint(void)
{
	hinted = true;
}

/* Looks at the publications; true when tables came or went. */
static bool
sync_tables(Pipeline *p)
{
	bool		changed;
	MemoryContext context = AllocSetContextCreate(p->context, "tarn sync", ALLOCSET_DEFAULT_SIZES);

	pipeline_begin();
	MemoryContextSwitchTo(context);
	changed = registry_sync_tables(p->id, p->lake_name, p->publications, false);
	mark_leaving(p);
	pipeline_commit();
	MemoryContextDelete(context);
	hinted = false;
	last_sync = GetCurrentTimestamp();
	return changed;
}

/* Stops the tables that the owner may not have any more: true when there was one. */
static bool
stop_forbidden(Pipeline *p)
{
	MemoryContext context = AllocSetContextCreate(p->context, "tarn rights", ALLOCSET_DEFAULT_SIZES);
	bool		any = false;
	ListCell   *lc;

	pipeline_begin();
	MemoryContextSwitchTo(context);
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);
		char	   *problem;

		if (!t->opened || (t->state != TABLE_LIVE && t->state != TABLE_CATCHUP))
			continue;
		problem = pipeline_table_forbidden(t);
		if (problem)
		{
			registry_stop_table(p->id, t->relid, problem);
			any = true;
		}
	}
	pipeline_commit();
	MemoryContextDelete(context);
	return any;
}

static bool
has_copies(const Pipeline *p)
{
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		const PipelineTable *t = lfirst(lc);

		/* or files of a copy that died, when the table was not to be copied any more */
		if (t->state == TABLE_COPY || t->copy_token[0] != '\0')
			return true;
	}
	return false;
}

/* Starts a copy when one is due, and notices its end: true then. */
static bool
tend_copies(Pipeline *p)
{
	pid_t		pid;

	if (copier)
	{
		int			backoff = COPY_RETRY_FIRST_MS;

		if (GetBackgroundWorkerPid(copier, &pid) != BGWH_STOPPED)
			return false;
		pfree(copier);
		copier = NULL;
		for (int i = 0; i < copy_failures && backoff < COPY_RETRY_MAX_MS; i++)
			backoff *= 2;
		copy_failures++;
		copy_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff);
		return true;
	}
	if (!has_copies(p))
	{
		copy_failures = 0;
		return false;
	}
	if (GetCurrentTimestamp() >= copy_at)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		copier = copy_launch(p);
		MemoryContextSwitchTo(old);
		if (copier == NULL)
			copy_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COPY_RETRY_MAX_MS / 10);
	}
	return false;
}

static bool
sync_due(void)
{
	return hinted || elapsed(last_sync, (int) Max(SYNC_MS, Min(sync_took_ms * SYNC_SHARE, SYNC_MS_MAX)));
}

TendResult
tend_tables(Pipeline *p, bool reload)
{
	bool		restart = tend_copies(p);

	if (!reload && !restart && elapsed(last_look, SYNC_HINTED_MS))
	{
		/* invalidations are heard inside transactions only */
		StartTransactionCommand();
		AcceptInvalidationMessages();
		CommitTransactionCommand();
		last_look = GetCurrentTimestamp();
	}
	if (reload || sync_due())
	{
		TimestampTz start = GetCurrentTimestamp();
		Pipeline   *fresh;
		bool		renew;

		pipeline_begin();
		privileged_check_version();
		MemoryContextSwitchTo(p->context);
		fresh = registry_load(p->id);
		pipeline_commit();
		if (fresh == NULL)
			return TEND_GONE;
		p->enabled = fresh->enabled;
		renew = needs_renewal(p, fresh);
		MemoryContextDelete(fresh->context);
		if (!p->enabled)
			return TEND_PAUSED;
		if (renew)
			return TEND_RENEW;
		restart |= sync_tables(p);
		restart |= stop_forbidden(p) || reload;
		sync_took_ms = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	}
	return restart ? TEND_RESTART : TEND_NOTHING;
}
