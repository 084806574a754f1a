/*-------------------------------------------------------------------------
 *
 * evolve.c
 *	  Changes of a source table's shape, in their place of the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "common/file_utils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "pipeline/evolve.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/tables.h"
#include "pipeline/tend.h"

void
evolve_copy_anew(PipelineTable *t, const char *reason, bool keep, XLogRecPtr left)
{
	if (t->copy_reason || t->stop_error)
		return;
	t->copy_reason = MemoryContextStrdup(t->context, reason);
	t->keep_batch = keep;
	t->left = left;
}

void
evolve_stop(PipelineTable *t, const char *reason, const DecodeTxn *txn)
{
	t->stop_error = MemoryContextStrdup(t->context, reason);
	t->left = EVOLVE_BEFORE(txn);
}

/* Keeps what one file of the index has lost since the last commit. */
static void
keep_killed(const char *path, const uint64 *positions, uint64 n, void *arg)
{
	TableBatch *b = arg;
	MemoryContext old = MemoryContextSwitchTo(b->context);
	KilledRows *rows = palloc(sizeof(KilledRows));

	rows->path = pstrdup(path);
	rows->positions = MemoryContextAllocHuge(b->context, sizeof(uint64) * Max(n, 1));
	memcpy(rows->positions, positions, sizeof(uint64) * n);
	rows->n = n;
	b->killed_rows = lappend(b->killed_rows, rows);
	MemoryContextSwitchTo(old);
}

/* Another key: the index is of no use, but for what it knows of this batch. */
static void
forget_index(PipelineTable *t)
{
	if (t->index)
	{
		if (t->batch && t->batch->killed)
		{
			t->batch->killed_rows = NIL;
			(void) keyindex_killed(t->index, keep_killed, t->batch);
		}
		keyindex_close(t->index);
	}
	t->index = NULL;
	t->rekeyed = true;
}

void
evolve_reshape(Batch *batch, PipelineTable *t, const ShapeColumns *columns, XLogRecPtr since)
{
	batch->current = t;
	if (t->history)
		history_write(batch, t);
	if (t->batch)
	{
		if (t->lake)
		{
			batch_write(batch, t);
			batch_settle(batch->pipeline, t->batch);
		}
		batch_vectors_free(batch, t);
	}
	batch->current = NULL;
	if (columns->rekeyed)
		forget_index(t);
	shape_install(t, columns);
	t->shape->lsn = since;
	if (t->batch)
		batch_vectors_create(t);
	else
		batch_table(t);
	t->reshaped = true;
	batch->changed = true;
	FAILPOINT("ddl-reshaped");
}

static void
note_name(PipelineTable *t, const DecodeRelation *rel)
{
	bool		same = strcmp(rel->schema, t->schema) == 0 && strcmp(rel->table, t->table) == 0;

	t->new_schema = same ? NULL : MemoryContextStrdup(t->context, rel->schema);
	t->new_table = same ? NULL : MemoryContextStrdup(t->context, rel->table);
}

void
evolve_described(Batch *batch, PipelineTable *t, const DecodeTxn *txn, XLogRecPtr lsn,
				 const DecodeRelation *rel)
{
	ShapeColumns columns;
	char	   *reason = NULL;

	/*
	 * A transaction that began before the last change and commits after it
	 * sees, up to that commit, names and publications as they were.  Its rows
	 * have today's columns all the same: those are locked.
	 */
	bool		past = lsn < t->shape->lsn && txn->commit_lsn != t->shape->lsn;

	if (past && t->columns)
		return;
	if (t->joined != txn->xid)
		t->joined = InvalidTransactionId;
	switch (shape_make(batch->pipeline, t, rel, t->shape, past ? SHAPE_PAST :
					   t->rewritten == txn->xid ? SHAPE_REWRITTEN : SHAPE_PRESENT, &columns, &reason))
	{
		case SHAPE_SAME:
			if (t->columns == NULL)
				shape_install(t, &columns);
			else
				MemoryContextDelete(columns.shape->context);
			break;
		case SHAPE_EVOLVES:
			evolve_reshape(batch, t, &columns, txn->commit_lsn);
			if (t->history)
				history_add_shape(batch, t, txn);
			break;
		case SHAPE_COPY:
			evolve_copy_anew(t, reason, false, EVOLVE_BEFORE(txn));
			break;
		case SHAPE_PROBLEM:
			evolve_stop(t, reason, txn);
			break;
	}
	if (!past)
		note_name(t, rel);
}

void
evolve_discard(PipelineTable *t, List **garbage)
{
	ListCell   *lc;

	if (t->keep_batch || t->batch == NULL)
		return;
	foreach(lc, t->batch->files)
		*garbage = lappend(*garbage, pstrdup(((IcebergDataFile *) lfirst(lc))->path));
	foreach(lc, t->batch->dropped_files)
		*garbage = lappend(*garbage, pstrdup(lfirst(lc)));
	batch_table_free(t);
}

/* --- names --- */

/* Does the lake table have the source's name?  Then it gets the new one, too. */
static bool
named_alike(const PipelineTable *t)
{
	return strcmp(t->namespace, t->schema) == 0 && strcmp(t->name, t->table) == 0;
}

/* Is the lake name of t's new name in use, but for a table that is about to give it up? */
static bool
name_taken(Pipeline *p, const PipelineTable *t, List *moving)
{
	ListCell   *lc;

	foreach(lc, moving)
	{
		PipelineTable *other = lfirst(lc);

		if (strcmp(other->namespace, t->new_schema) == 0 && strcmp(other->name, t->new_table) == 0)
			return false;
	}
	if (t->history && catalog_load(p->lake->catalog, t->new_schema, history_name(t->new_table)) != NULL)
		return true;
	return catalog_load(p->lake->catalog, t->new_schema, t->new_table) != NULL ||
		registry_lake_table_taken(p->lake_name, t->new_schema, t->new_table);
}

/* The tables whose lake tables can follow: those left out keep names that others may want. */
static List *
find_moving(Pipeline *p, List *renamed)
{
	List	   *moving = NIL;
	bool		again = true;
	ListCell   *lc;

	foreach(lc, renamed)
	{
		if (named_alike(lfirst(lc)))
			moving = lappend(moving, lfirst(lc));
	}
	while (again)
	{
		again = false;
		foreach(lc, moving)
		{
			PipelineTable *t = lfirst(lc);

			if (!name_taken(p, t, moving))
				continue;
			ereport(LOG,
					(errmsg("lake table \"%s.%s\" keeps its name although its source is table %s now",
							t->namespace, t->name, quote_qualified_identifier(t->new_schema, t->new_table)),
					 errdetail("The lake has another table of that name.")));
			moving = foreach_delete_current(moving, lc);
			again = true;
		}
	}
	return moving;
}

/* One step: registry and catalog. */
static void
move_table(Pipeline *p, PipelineTable *t, const char *namespace, const char *name)
{
	if (t->lake && t->lake->metadata_location)
		catalog_rename(p->lake->catalog, t->namespace, t->name, namespace, name);
	if (t->history && t->history->lake && t->history->lake->metadata_location)
		catalog_rename(p->lake->catalog, t->namespace, history_name(t->name), namespace, history_name(name));
	registry_rename_table(p->id, t->relid, t->new_schema, t->new_table, namespace, name);
	t->namespace = MemoryContextStrdup(p->context, namespace);
	t->name = MemoryContextStrdup(p->context, name);
	if (t->lake)
	{
		t->lake->namespace = t->namespace;
		t->lake->name = t->name;
	}
	if (t->history && t->history->lake)
	{
		t->history->lake->namespace = t->namespace;
		t->history->lake->name = MemoryContextStrdup(p->context, history_name(t->name));
	}
}

void
evolve_rename(Pipeline *p, List *renamed)
{
	List	   *moving;
	ListCell   *lc;

	if (renamed == NIL)
		return;
	moving = find_moving(p, renamed);

	/* two tables may have changed their names for each other's: first all out of the way */
	foreach(lc, moving)
	{
		PipelineTable *t = lfirst(lc);

		move_table(p, t, t->namespace, psprintf("tarn-rename-%u", t->relid));
	}
	FAILPOINT("ddl-renamed-away");
	foreach(lc, moving)
	{
		PipelineTable *t = lfirst(lc);

		move_table(p, t, t->new_schema, t->new_table);
	}
	foreach(lc, renamed)
	{
		PipelineTable *t = lfirst(lc);

		if (!list_member_ptr(moving, t))
			registry_rename_table(p->id, t->relid, t->new_schema, t->new_table, t->namespace, t->name);
		t->schema = MemoryContextStrdup(p->context, t->new_schema);
		t->table = MemoryContextStrdup(p->context, t->new_table);
		t->new_schema = t->new_table = NULL;
	}
}

/* --- the flush --- */

bool
evolve_has_left(const PipelineTable *t, XLogRecPtr upto)
{
	return t->opened && t->leaving && upto >= t->leaving;
}

void
evolve_commit(Pipeline *p, XLogRecPtr upto)
{
	List	   *renamed = NIL;
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		/* it missed what came after it had left; a new copy is for one that is back */
		if (t->copy_reason && t->keep_batch && !list_member_oid(decode_published_tables(p->publications), t->relid))
			t->leaving = 1;
		if (evolve_has_left(t, upto))
		{
			registry_forget_table(p->id, t->relid);
			ereport(LOG,
					(errmsg("table %s is not mirrored by pipeline \"%s\" any more",
							quote_qualified_identifier(t->schema, t->table), p->name),
					 errdetail("Lake table \"%s.%s\" stays as it is.", t->namespace, t->name)));
			continue;
		}
		if (t->copy_reason)
		{
			(void) registry_copy_anew(p->id, t->relid, t->copy_reason);
			registry_left_at(p->id, t->relid, t->left);
			FAILPOINT("ddl-copy-recorded");
			ereport(LOG,
					(errmsg("table %s of pipeline \"%s\" is copied anew: %s",
							quote_qualified_identifier(t->schema, t->table), p->name, t->copy_reason)));
		}
		if (t->new_schema)
			renamed = lappend(renamed, t);
	}
	evolve_rename(p, renamed);
}

static void
forget_table(Pipeline *p, PipelineTable *t)
{
	char	   *folder = table_index_folder(p, t->relid);
	struct stat st;

	pipeline_table_close(t);
	FAILPOINT("table-left");
	if (stat(folder, &st) == 0)
		(void) rmtree(folder, true);
	pfree(folder);
	/* another table may wait for its name */
	tend_hint();
}

void
evolve_adopt(Pipeline *p, XLogRecPtr upto)
{
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (evolve_has_left(t, upto))
		{
			forget_table(p, t);
			p->tables = foreach_delete_current(p->tables, lc);
			continue;
		}
		t->reshaped = t->rekeyed = false;
		if (t->copy_reason == NULL)
			continue;
		pipeline_table_close(t);
		t->state = TABLE_COPY;
		t->copy_token[0] = '\0';
	}
}
