/*-------------------------------------------------------------------------
 *
 * tend_adopt.c
 *	  The worker takes over what the registry says of its tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "decode/note.h"
#include "pipeline/batch.h"
#include "pipeline/flush.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/tables.h"
#include "pipeline/tend.h"

static void
remove_orphans_of(Pipeline *p, const PipelineTable *t, const char *name, LakeTable *open)
{
	LakeTable  *lake = open ? open : lake_table_load(p->lake, t->namespace, name, true);

	if (lake == NULL)
		return;
	(void) lake_table_remove_token(p->lake, lake->metadata->location, p->flush_token, lake);
	if (lake != open)
		lake_table_free(lake);
}

void
tend_remove_orphans(Pipeline *p, PipelineTable *t)
{
	remove_orphans_of(p, t, t->name, t->lake);
	remove_orphans_of(p, t, history_name(t->name), t->history ? t->history->lake : NULL);
}

/* Opens every table that follows the stream; one that has lost its lake table stops. */
static void
open_tables(Pipeline *p)
{
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->state != TABLE_LIVE && t->state != TABLE_CATCHUP)
			continue;
		if (t->opened)
			continue;
		if (!pipeline_table_follow(p, t))
		{
			t->state = TABLE_STOPPED;
			registry_stop_table(p->id, t->relid, psprintf("lake table \"%s.%s\" does not exist any more",
														  t->namespace, t->name));
		}
	}
}

/* A copy that found its table renamed has said so. */
static void
adopt_name(Pipeline *p, char **mine, const char *theirs)
{
	if (strcmp(*mine, theirs) != 0)
		*mine = MemoryContextStrdup(p->context, theirs);
}

static void
adopt_options(Pipeline *p, PipelineTable *mine, const PipelineTable *theirs)
{
	HistoryMode history = mine->write.history;

	write_options_copy(&mine->write, &theirs->write, p->context);
	/* which lake tables it has changes only when it is opened */
	if (mine->opened)
		mine->write.history = history;
	for (int i = 0; i < mine->ncolumns; i++)
		mine->parquet[i].encoding = mine->write.encoding;
}

/* Takes over what the registry says of one table. */
static void
adopt_table(Pipeline *p, PipelineTable *mine, const PipelineTable *theirs)
{
	/* only the way from catchup to live keeps the lake table as it is known here */
	if (theirs->state != mine->state && !(mine->state == TABLE_CATCHUP && theirs->state == TABLE_LIVE))
		pipeline_table_close(mine);
	if (theirs->write.history != mine->write.history)
		pipeline_table_close(mine);
	mine->state = theirs->state;
	mine->lsn = theirs->lsn;
	adopt_name(p, &mine->schema, theirs->schema);
	adopt_name(p, &mine->table, theirs->table);
	adopt_name(p, &mine->namespace, theirs->namespace);
	adopt_name(p, &mine->name, theirs->name);
	strlcpy(mine->copy_token, theirs->copy_token, sizeof(mine->copy_token));
	/* one that follows the stream gets new options in their place of it */
	if (!mine->opened)
		adopt_options(p, mine, theirs);
}

/*
 * Options may want a table's values kept in another way than the lake has
 * them.  The table's next description will see to it; for when no row brings
 * one we leave a note, by a transaction that is decoded like anybody's.
 */
static void
note_options(const Pipeline *p)
{
	ListCell   *lc;

	StartTransactionCommand();
	foreach(lc, p->tables)
	{
		const PipelineTable *t = lfirst(lc);

		if (t->opened && !shape_has_options(t))
		{
			note_write(NOTE_TYPES);
			break;
		}
	}
	CommitTransactionCommand();
}

void
tend_adopt(Pipeline *p)
{
	Pipeline   *fresh;
	List	   *tables = NIL;
	ListCell   *lc;
	bool		keep = false;

	pipeline_begin();
	MemoryContextSwitchTo(p->context);
	fresh = registry_load(p->id);
	if (fresh == NULL)
	{
		pipeline_commit();
		return;
	}
	foreach(lc, fresh->tables)
	{
		PipelineTable *theirs = lfirst(lc);
		PipelineTable *mine = pipeline_find_table(p, theirs->relid);

		if (mine)
			adopt_table(p, mine, theirs);
		else
			keep = true;
		tables = lappend(tables, mine ? mine : theirs);
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (list_member_ptr(tables, t))
			continue;
		/* files written early are nobody's now */
		if (t->opened && (t->batch || t->history))
			tend_remove_orphans(p, t);
		pipeline_table_close(t);
	}
	list_free(p->tables);
	p->tables = tables;
	p->flush_interval_ms = fresh->flush_interval_ms;
	p->enabled = fresh->enabled;
	if (!keep)
		MemoryContextDelete(fresh->context);
	open_tables(p);
	pipeline_commit();
	note_options(p);
}

void
tend_adopt_options(Pipeline *p)
{
	Pipeline   *fresh;
	ListCell   *lc;

	pipeline_begin();
	MemoryContextSwitchTo(p->context);
	fresh = registry_load(p->id);
	if (fresh != NULL)
	{
		foreach(lc, p->tables)
		{
			PipelineTable *mine = lfirst(lc);
			const PipelineTable *theirs = pipeline_find_table(fresh, mine->relid);

			if (theirs != NULL)
				adopt_options(p, mine, theirs);
		}
		MemoryContextDelete(fresh->context);
	}
	pipeline_commit();
	note_options(p);
}
