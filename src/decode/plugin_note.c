/*-------------------------------------------------------------------------
 *
 * plugin_note.c
 *	  Logical messages to the sink, and the notes of our own among them
 *	  (note.h), which say that tables have changed their shape.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "decode/note.h"
#include "decode/plugin_internal.h"
#include "utils/memutils.h"

static void
plugin_look_published(Plugin *plugin, PublishedRelation *published, XLogRecPtr lsn, const char *lost)
{
	bool		announced = published->announced;

	decode_current_relid = published->rel.relid;
	if (plugin_wanted(plugin, published, lsn) && (lost != NULL || !announced))
	{
		plugin_need_begin(plugin);
		if (lost != NULL)
			plugin->sink->ops->lost(plugin->sink, &plugin->txn, lsn, &published->rel, lost);
	}
	decode_current_relid = InvalidOid;
}

/*
 * A table that is away is not described, and if it comes back unchanged is
 * not copied.  So what happens meanwhile and does not show then must count as
 * missed: rows that changed untold, and all that may become of partitions.
 */
void
plugin_look(Plugin *plugin, Oid relid, XLogRecPtr lsn, const char *lost)
{
	Relation	relation = RelationIdGetRelation(relid);
	LeafRelation *leaf;
	ListCell   *lc;

	if (!RelationIsValid(relation))
		return;
	leaf = relation_cache_get(plugin->relations, relation);
	if (leaf->published != NULL)
		plugin_look_published(plugin, leaf->published, lsn, lost);
	foreach(lc, leaf->kin)
	{
		Oid			kin = lfirst_oid(lc);

		if (kin == relid && (lost != NULL || relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE))
			plugin_miss(plugin, kin, lsn);
		else if (kin != relid && lost != NULL)
			plugin_look(plugin, kin, lsn, lost);
	}
	RelationClose(relation);
}

/* The published table whose rows a table's are. */
static Oid
plugin_published(Plugin *plugin, Oid relid)
{
	Relation	relation = RelationIdGetRelation(relid);
	LeafRelation *leaf;

	if (!RelationIsValid(relation))
		return InvalidOid;
	leaf = relation_cache_get(plugin->relations, relation);
	RelationClose(relation);
	return leaf->published != NULL ? leaf->published->rel.relid : InvalidOid;
}

static void
plugin_refresh(Plugin *plugin, XLogRecPtr lsn)
{
	int			n;
	Oid		   *relids = plugin->sink->ops->tables(plugin->sink, &n);

	for (int i = 0; i < n; i++)
	{
		if (!relation_cache_current(plugin->relations, relids[i]))
			plugin_look(plugin, relids[i], lsn, NULL);
	}
}

/* The rows of a table were given other types; what becomes of a table that is away is not told. */
static void
plugin_note_rewritten(Plugin *plugin, Oid relid, XLogRecPtr lsn)
{
	const ChangeSinkOps *ops = plugin->sink->ops;
	Oid			published = plugin_published(plugin, relid);

	if (!OidIsValid(published))
		plugin_look(plugin, relid, lsn, "its rows were rewritten");
	else if (ops->wants == NULL || ops->wants(plugin->sink, published, &plugin->txn))
		ops->rewritten(plugin->sink, &plugin->txn, lsn, published);
}

/* Does the note begin so?  Then *relid is the table that follows, *rest what stands behind it. */
static bool
plugin_note_table(const char *text, const char *kind, Oid *relid, char **rest)
{
	if (strncmp(text, kind, strlen(kind)) != 0)
		return false;
	*relid = (Oid) strtoul(text + strlen(kind), rest, 10);
	return true;
}

/* A note that an event trigger left (note.h). */
static void
plugin_note(Plugin *plugin, XLogRecPtr lsn, const char *body, Size size)
{
	const ChangeSinkOps *ops = plugin->sink->ops;
	char	   *text;
	char	   *rest;
	Oid			relid;

	if (ops->tables == NULL || (text = note_read(plugin->txn.xid, body, size)) == NULL)
		return;
	if (plugin_note_table(text, NOTE_LOST, &relid, &rest))
	{
		plugin->noted = relid;
		plugin_look(plugin, relid, lsn, rest + 1);
		return;
	}
	if (plugin_note_table(text, NOTE_MOVED, &relid, &rest))
	{
		plugin->noted = relid;
		return;
	}
	if (plugin_note_table(text, NOTE_REWRITTEN, &relid, &rest))
	{
		plugin->noted = relid;
		plugin_note_rewritten(plugin, relid, lsn);
	}
	if (plugin_note_table(text, NOTE_EMPTY, &relid, &rest))
	{
		relid = plugin_published(plugin, relid);
		if (OidIsValid(relid))
			ops->joined(plugin->sink, &plugin->txn, relid);
	}
	if (strcmp(text, NOTE_OPTIONS) == 0)
	{
		ops->options(plugin->sink);
		return;
	}
	if (strcmp(text, NOTE_TYPES) == 0)
		relation_cache_retell(plugin->relations);
	plugin_refresh(plugin, lsn);
}

void
plugin_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
			   bool transactional, const char *prefix, Size size, const char *body)
{
	Plugin	   *plugin = ctx->output_plugin_private;
	MemoryContext old;

	if (strcmp(prefix, NOTE_PREFIX) == 0)
	{
		old = MemoryContextSwitchTo(plugin->change_context);
		if (transactional)
			plugin_note(plugin, lsn, body, size);
		MemoryContextSwitchTo(old);
		MemoryContextReset(plugin->change_context);
		return;
	}
	if (plugin->sink->ops->message == NULL)
		return;
	old = MemoryContextSwitchTo(plugin->change_context);
	if (transactional)
		plugin_need_begin(plugin);
	plugin->sink->ops->message(plugin->sink, transactional ? &plugin->txn : NULL, lsn, prefix, body, size);
	MemoryContextSwitchTo(old);
	MemoryContextReset(plugin->change_context);
}
