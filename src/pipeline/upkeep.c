/*-------------------------------------------------------------------------
 *
 * upkeep.c
 *	  What a worker does when there is nothing else to do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "common/file_utils.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/failpoint.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/rebuild.h"
#include "pipeline/registry.h"
#include "pipeline/upkeep.h"

#define GARBAGE_EVERY_MS 5000
#define GARBAGE_IDLE_MS 20000	/* when nothing was committed since */
#define GARBAGE_FILES 1000

static TimestampTz last_garbage = 0;

/*
 * The list entries go in the same transaction as the files: an error brings
 * the entries back, and removing a file that is gone is no error.
 */
static bool
remove_garbage(Pipeline *p)
{
	MemoryContext context = AllocSetContextCreate(p->context, "tarn garbage", ALLOCSET_DEFAULT_SIZES);
	List	   *paths;
	ListCell   *lc;
	int			n;

	pipeline_begin();
	MemoryContextSwitchTo(context);
	paths = registry_take_garbage(p->lake_name, tarn_garbage_grace, GARBAGE_FILES);

	if (paths != NIL)
		fence_require(p);
	foreach(lc, paths)
	{
		CHECK_FOR_INTERRUPTS();
		store_remove(p->lake->store, lfirst(lc));
		FAILPOINT("garbage-removed");
	}
	n = list_length(paths);
	rebuild_clean_all(p);
	pipeline_commit();
	MemoryContextDelete(context);
	return n == GARBAGE_FILES;
}

bool
upkeep_idle(Pipeline *p, bool idle)
{
	ListCell   *lc;
	bool		more = false;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		/* between two flushes of the table: its changes are not in the index yet */
		if (t->index && t->batch == NULL)
			more |= keyindex_merge(t->index);
	}
	if (idle && TimestampDifferenceExceeds(last_garbage, GetCurrentTimestamp(),
										   p->last_commit > last_garbage ? GARBAGE_EVERY_MS : GARBAGE_IDLE_MS))
	{
		last_garbage = GetCurrentTimestamp();
		more |= remove_garbage(p);
	}
	return more;
}

static void
remove_folder(char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		(void) rmtree(path, true);
	pfree(path);
}

void
upkeep_remove_folder(Oid database, int32 pipeline_id)
{
	remove_folder(psprintf("%s/pg_tarn/%u/%d", DataDir, database, pipeline_id));
}

void
upkeep_remove_database(Oid database)
{
	remove_folder(psprintf("%s/pg_tarn/%u", DataDir, database));
}
