/*-------------------------------------------------------------------------
 *
 * copy_plan.c
 *	  What a copy has to do: tables, and block ranges of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/failpoint.h"
#include "pipeline/copy_coordinator.h"
#include "pipeline/flush.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/rights.h"
#include "pipeline/tables.h"

/* Blocks of a task: enough of them for an even end, large enough to be cheap. */
#define COPY_TASK_MIN_BLOCKS 256
#define COPY_TASK_MAX_BLOCKS 16384
#define COPY_TASKS_A_WORKER 8

static void
remove_token(Pipeline *p, const LakeTable *lake, const char *token)
{
	if (lake)
		(void) lake_table_remove_token(p->lake, lake->metadata->location, token,
									   lake->metadata_location != NULL ? lake : NULL);
}

static void
remove_files(Pipeline *p, const PipelineTable *t)
{
	remove_token(p, t->lake, t->copy_token);
	if (t->history)
		remove_token(p, t->history->lake, t->copy_token);
}

void
copy_give_up(Pipeline *p, const PipelineTable *t)
{
	remove_files(p, t);
	pipeline_begin();
	registry_copy_given_up(p->id, t->relid, t->copy_token);
	pipeline_commit();
}

/* Of a lake table that is not open: as the catalog has it, or where it would be. */
static void
remove_unopened(Pipeline *p, const PipelineTable *t, const char *name)
{
	LakeTable  *lake = lake_table_load(p->lake, t->namespace, name, true);

	remove_token(p, lake, t->copy_token);
	for (int own_folder = 0; lake == NULL && own_folder < 2; own_folder++)
		(void) lake_table_remove_token(p->lake, pipeline_table_location(p, t, name, own_folder), t->copy_token, NULL);
}

/* A table that was renamed away keeps its folder, and drop_data removes folders: is one that we would make in use? */
static bool
folder_used(Pipeline *p, const PipelineTable *t)
{
	if (table_mirrored(t) && t->lake == NULL &&
		lake_location_used(p->lake, lake_table_location(p->lake, t->namespace, t->name)))
		return true;
	return t->history && t->history->lake == NULL &&
		lake_location_used(p->lake, lake_table_location(p->lake, t->namespace, history_name(t->name)));
}

/* What a copy that died has left, whatever the table's options and folder were then. */
static void
remove_left(Coordinator *c, PipelineTable *t)
{
	if (t->copy_token[0] == '\0')
		return;
	remove_unopened(c->p, t, t->name);
	remove_unopened(c->p, t, history_name(t->name));
	registry_copy_given_up(c->p->id, t->relid, t->copy_token);
}

/*
 * Opens one table and records the name of its files.  A table that cannot be
 * copied is stopped; one that was dropped, or has just left the publications,
 * is left to the worker: it may be back before anybody looks.
 */
static void
prepare_table(Coordinator *c, PipelineTable *t)
{
	char	   *problem = NULL;
	CopyJob    *job = &c->jobs[c->njobs];
	bool		opened;

	remove_left(c, t);
	opened = pipeline_table_name(c->p, t, &problem) && pipeline_table_open(c->p, t, &problem);
	if (opened)
		problem = pipeline_table_forbidden(t);
	if (problem != NULL)
		registry_stop_table(c->p->id, t->relid, problem);
	if (!opened || problem != NULL)
		return;
	t->own_folder = folder_used(c->p, t);
	if (table_mirrored(t))
		pipeline_table_lake(c->p, t);
	if (t->history)
		history_lake(c->p, t);
	registry_new_token(t->copy_token);
	registry_copy_begin(c->p->id, t->relid, t->copy_token);
	job->t = t;
	c->njobs++;
}

void
copy_plan_tables(Coordinator *c)
{
	ListCell   *lc;

	c->jobs = palloc0(sizeof(CopyJob) * Max(list_length(c->p->tables), 1));
	pipeline_begin();
	MemoryContextSwitchTo(c->context);
	foreach(lc, c->p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->state == TABLE_COPY)
			prepare_table(c, t);
		else					/* skipped or stopped since: nobody may resume it */
			remove_left(c, t);
	}
	pipeline_commit();
	MemoryContextSwitchTo(c->context);
	FAILPOINT("copy-token-recorded");
}

static void
add_task(Coordinator *c, int job, Oid leaf, BlockNumber first, BlockNumber nblocks)
{
	CopyTask   *task;

	if (c->ntasks == c->tasks_capacity)
	{
		c->tasks_capacity = Max(64, c->tasks_capacity * 2);
		c->tasks = c->tasks != NULL ?
			repalloc_huge(c->tasks, sizeof(CopyTask) * c->tasks_capacity) :
			MemoryContextAllocHuge(c->context, sizeof(CopyTask) * c->tasks_capacity);
	}
	task = &c->tasks[c->ntasks++];
	task->table = job;
	task->leaf = leaf;
	task->first = first;
	task->nblocks = nblocks;
	c->jobs[job].ntasks++;
}

/*
 * The block ranges of one leaf.  All that the snapshot sees lies below the
 * end as it is now.  Other access methods than heap have no block ranges.
 */
static void
add_leaf(Coordinator *c, int job, Oid relid)
{
	Relation	rel = try_table_open(relid, AccessShareLock);
	BlockNumber nblocks;
	BlockNumber step;

	if (rel == NULL)
		return;
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
	{
		if (rel->rd_tableam != NULL)
			add_task(c, job, relid, 0, InvalidBlockNumber);
		table_close(rel, AccessShareLock);
		return;
	}
	nblocks = RelationGetNumberOfBlocks(rel);
	table_close(rel, AccessShareLock);
	step = Min(Max(nblocks / (copy_workers * COPY_TASKS_A_WORKER), COPY_TASK_MIN_BLOCKS), COPY_TASK_MAX_BLOCKS);
	c->jobs[job].nblocks += nblocks;
	for (BlockNumber first = 0; first < nblocks; first += Min(step, nblocks - first))
		add_task(c, job, relid, first, Min(step, nblocks - first));
}

void
copy_plan_tasks(Coordinator *c)
{
	for (int i = 0; i < c->njobs; i++)
	{
		Oid			relid = c->jobs[i].t->relid;

		if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		{
			List	   *leaves = find_all_inheritors(relid, AccessShareLock, NULL);
			ListCell   *lc;

			foreach(lc, leaves)
			{
				if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
					get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_PERMANENT)
					add_leaf(c, i, lfirst_oid(lc));
			}
		}
		else
			add_leaf(c, i, relid);
	}
}
