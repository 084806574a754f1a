/*-------------------------------------------------------------------------
 *
 * plugin_note.c
 *	  Logical messages to the sink, and the notes of our own among them
 *	  (note.h), which say that tables have changed their shape.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decode/note.h"
#include "decode/plugin_internal.h"
#include "utils/memutils.h"

/* The table as the catalogs show it now, to the sink; *lost: its rows changed in a way that cannot be told. */
static void
plugin_look(Plugin *plugin, Oid relid, XLogRecPtr lsn, const char *lost)
{
	Relation	relation = RelationIdGetRelation(relid);
	LeafRelation *leaf;

	if (!RelationIsValid(relation))
		return;
	leaf = relation_cache_get(plugin->relations, relation);
	if (leaf->published != NULL)
	{
		bool		announced = leaf->published->announced;

		decode_current_relid = leaf->published->rel.relid;
		if (plugin_wanted(plugin, leaf->published, lsn) && (lost != NULL || !announced))
		{
			plugin_need_begin(plugin);
			if (lost != NULL)
				plugin->sink->ops->lost(plugin->sink, &plugin->txn, lsn, &leaf->published->rel, lost);
		}
		decode_current_relid = InvalidOid;
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

/* A note that an event trigger left (note.h). */
static void
plugin_note(Plugin *plugin, XLogRecPtr lsn, const char *body, Size size)
{
	const ChangeSinkOps *ops = plugin->sink->ops;
	char	   *text;
	char	   *end;
	Oid			relid;

	if (ops->tables == NULL || (text = note_read(plugin->txn.xid, body, size)) == NULL)
		return;
	if (strncmp(text, NOTE_LOST, strlen(NOTE_LOST)) == 0)
	{
		relid = (Oid) strtoul(text + strlen(NOTE_LOST), &end, 10);
		plugin_look(plugin, relid, lsn, end + 1);
		return;
	}
	if (strncmp(text, NOTE_REWRITTEN, strlen(NOTE_REWRITTEN)) == 0)
	{
		relid = plugin_published(plugin, (Oid) strtoul(text + strlen(NOTE_REWRITTEN), &end, 10));
		if (OidIsValid(relid) && (ops->wants == NULL || ops->wants(plugin->sink, relid, &plugin->txn)))
			ops->rewritten(plugin->sink, &plugin->txn, lsn, relid);
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
