/*-------------------------------------------------------------------------
 *
 * plugin_change.c
 *	  Rows and truncates from the reorder buffer to the sink.
 *
 * The publications' filters are applied here, and values that an UPDATE left
 * out of WAL put back where they are at hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "decode/plugin_internal.h"
#include "decode/toast.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static inline bool
plugin_publishes(const LeafRelation *leaf, enum ReorderBufferChangeType action)
{
	switch (action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			return leaf->pub_insert;
		case REORDER_BUFFER_CHANGE_UPDATE:
			return leaf->pub_update;
		case REORDER_BUFFER_CHANGE_DELETE:
			return leaf->pub_delete;
		default:
			return false;
	}
}

/*
 * An unchanged TOAST value whose old value is at hand: take it.  The old row
 * has it where REPLICA IDENTITY covers the column.
 */
static void
plugin_restore_unchanged(const PublishedRelation *published, const DecodeRow *old_row, DecodeRow *new_row)
{
	TupleDesc	desc = published->rel.desc;

	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attlen == -1 && !new_row->isnull[i] && !old_row->isnull[i] &&
			VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(new_row->values[i])) &&
			!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(old_row->values[i])))
			new_row->values[i] = old_row->values[i];
	}
}

/*
 * An UPDATE became an INSERT: values it left alone must be there in full.
 * Returns the name of one that cannot be had, or NULL.
 */
static const char *
plugin_complete(const Plugin *plugin, const DecodeRelation *rel, DecodeRow *new_row)
{
	for (int i = 0; i < rel->desc->natts; i++)
	{
		struct varlena *value;

		if (!rel->published[i] || new_row->isnull[i] || TupleDescAttr(rel->desc, i)->attlen != -1 ||
			!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(new_row->values[i])))
			continue;
		value = toast_fetch_source((struct varlena *) DatumGetPointer(new_row->values[i]), plugin->newest);
		if (value == NULL)
			return NameStr(TupleDescAttr(rel->desc, i)->attname);
		new_row->values[i] = PointerGetDatum(value);
	}
	return NULL;
}

/* False when the row was given up. */
static bool
plugin_completes(Plugin *plugin, const ReorderBufferChange *change, DecodeRelation *rel, DecodeRow *new_row)
{
	ChangeSink *sink = plugin->sink;
	const char *column = plugin_complete(plugin, rel, new_row);

	if (column == NULL || sink->ops->unkeyed == NULL)
		return true;
	plugin_need_begin(plugin);
	sink->ops->lost(sink, &plugin->txn, change->lsn, rel,
					psprintf("an update brought a row of table %s through the row filter, and the unchanged "
							 "value of its column \"%s\" is gone from the source",
							 quote_qualified_identifier(rel->schema, rel->table), column));
	return false;
}

static void
plugin_send(Plugin *plugin, LeafRelation *leaf, ReorderBufferChange *change,
			const DecodeRow *old_row, DecodeRow *new_row)
{
	ChangeSink *sink = plugin->sink;
	DecodeRelation *rel = &leaf->published->rel;
	enum ReorderBufferChangeType action = change->action;

	if (unlikely(leaf->published->filter != NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(plugin->change_context);
		bool		leaves = filter_change(leaf->published->filter, old_row, new_row, &action);

		if (leaves && action == REORDER_BUFFER_CHANGE_INSERT && action != change->action)
			leaves = plugin_completes(plugin, change, rel, new_row);
		MemoryContextSwitchTo(old);
		if (!leaves)
			return;
	}

	plugin_need_begin(plugin);
	switch (action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			sink->ops->insert(sink, &plugin->txn, change->lsn, rel, new_row);
			break;
		case REORDER_BUFFER_CHANGE_UPDATE:
			sink->ops->update(sink, &plugin->txn, change->lsn, rel, old_row, new_row);
			break;
		default:
			sink->ops->delete(sink, &plugin->txn, change->lsn, rel, old_row);
			break;
	}
}

void
plugin_miss(Plugin *plugin, Oid relid, XLogRecPtr lsn)
{
	ChangeSink *sink = plugin->sink;

	if (sink->ops->unpublished != NULL &&
		(sink->ops->wants == NULL || sink->ops->wants(sink, relid, &plugin->txn)))
		sink->ops->unpublished(sink, &plugin->txn, lsn, relid);
}

/* A change that leaves as another table's, or not at all: a sink that keeps the table, or a root of it, must know. */
static void
plugin_missed(Plugin *plugin, LeafRelation *leaf, XLogRecPtr lsn)
{
	ListCell   *lc;

	leaf->missed_txn = plugin->txn_number;
	foreach(lc, leaf->kin)
		plugin_miss(plugin, lfirst_oid(lc), lsn);
}

/* Rows that a table gets anew, of which no note has told: there are no event triggers, perhaps. */
static void
plugin_rewrites(Plugin *plugin, LeafRelation *leaf, XLogRecPtr lsn)
{
	if (leaf->rewrites == plugin->noted || leaf->missed_txn == plugin->txn_number)
		return;
	leaf->missed_txn = plugin->txn_number;
	plugin_look(plugin, leaf->rewrites, lsn, "its rows were rewritten");
}

/* Which row was updated or deleted is not in WAL. */
static void
plugin_unkeyed(Plugin *plugin, LeafRelation *leaf, Relation relation, ReorderBufferChange *change)
{
	DecodeRelation *rel = &leaf->published->rel;
	const char *what = change->action == REORDER_BUFFER_CHANGE_UPDATE ? "updated" : "deleted";
	const char *name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												  RelationGetRelationName(relation));
	char	   *reason;

	if (leaf->relid == rel->relid)
		reason = psprintf("a row of table %s was %s, and the table has no usable replica identity; "
						  "run: ALTER TABLE %s REPLICA IDENTITY FULL", name, what, name);
	else
		reason = psprintf("a row of partition %s was %s, and the partition's replica identity lacks columns "
						  "of the key of table %s; run: ALTER TABLE %s REPLICA IDENTITY FULL", name, what,
						  quote_qualified_identifier(rel->schema, rel->table), name);
	plugin_need_begin(plugin);
	plugin->sink->ops->unkeyed(plugin->sink, &plugin->txn, change->lsn, rel,
								change->action == REORDER_BUFFER_CHANGE_DELETE, reason);
}

void
plugin_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			  Relation relation, ReorderBufferChange *change)
{
	Plugin	   *plugin = ctx->output_plugin_private;
	LeafRelation *leaf = relation_cache_get(plugin->relations, relation);
	MemoryContext old;
	DecodeRow  *old_row = NULL;
	DecodeRow  *new_row = NULL;

	plugin_progress(plugin, ctx, false);
	if (unlikely(leaf->kin != NIL) && leaf->missed_txn != plugin->txn_number)
		plugin_missed(plugin, leaf, change->lsn);
	if (leaf->published == NULL)
	{
		if (OidIsValid(leaf->rewrites))
			plugin_rewrites(plugin, leaf, change->lsn);
		return;
	}
	decode_current_relid = leaf->published->rel.relid;
	old = MemoryContextSwitchTo(plugin->change_context);
	if (!plugin_wanted(plugin, leaf->published, change->lsn) || !plugin_publishes(leaf, change->action))
		goto done;

	if (change->data.tp.oldtuple != NULL)
	{
		leaf_tuple_deform(leaf, relation, COMPAT_CHANGE_TUPLE(change->data.tp.oldtuple), &leaf->old);
		old_row = &leaf->old.row;
	}
	if (change->data.tp.newtuple != NULL)
	{
		HeapTuple	tuple = COMPAT_CHANGE_TUPLE(change->data.tp.newtuple);

		leaf_tuple_deform(leaf, relation, tuple, &leaf->new);
		new_row = &leaf->new.row;
		if (old_row != NULL && HeapTupleHasExternal(tuple))
			plugin_restore_unchanged(leaf->published, old_row, new_row);
	}

	if (unlikely(plugin->sink->ops->unkeyed != NULL && change->action != REORDER_BUFFER_CHANGE_INSERT &&
				 (!leaf->tells_key || (old_row == NULL && new_row == NULL))))
		plugin_unkeyed(plugin, leaf, relation, change);
	/* a DELETE without a key (no replica identity) cannot be told */
	else if (old_row != NULL || new_row != NULL)
		plugin_send(plugin, leaf, change, old_row, new_row);

done:
	MemoryContextSwitchTo(old);
	MemoryContextReset(plugin->change_context);
	decode_current_relid = InvalidOid;
}

/* Is the published table itself among the truncated ones?  Then its partitions need not be told. */
static bool
plugin_truncates_root(Oid root, int nrelations, Relation relations[])
{
	for (int i = 0; i < nrelations; i++)
	{
		if (RelationGetRelid(relations[i]) == root)
			return true;
	}
	return false;
}

static void
plugin_truncate_partition(Plugin *plugin, PublishedRelation *published, Relation partition, XLogRecPtr lsn)
{
	char	   *reason = psprintf("partition \"%s\" of table \"%s.%s\" was truncated",
								  RelationGetRelationName(partition),
								  published->rel.schema, published->rel.table);

	plugin_need_begin(plugin);
	plugin->sink->ops->truncate_partition(plugin->sink, &plugin->txn, lsn, &published->rel, reason);
}

void
plugin_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int nrelations,
				Relation relations[], ReorderBufferChange *change)
{
	Plugin	   *plugin = ctx->output_plugin_private;
	MemoryContext old = MemoryContextSwitchTo(plugin->change_context);
	DecodeRelation **rels = palloc(nrelations * sizeof(DecodeRelation *));
	int			nrels = 0;

	plugin_progress(plugin, ctx, false);
	for (int i = 0; i < nrelations; i++)
	{
		LeafRelation *leaf = relation_cache_get(plugin->relations, relations[i]);

		if (leaf->kin != NIL && leaf->missed_txn != plugin->txn_number)
			plugin_missed(plugin, leaf, change->lsn);
		if (leaf->published == NULL)
			continue;
		decode_current_relid = leaf->published->rel.relid;
		if (!plugin_wanted(plugin, leaf->published, change->lsn) || !leaf->pub_truncate)
			continue;
		if (leaf->published->rel.relid == leaf->relid)
			rels[nrels++] = &leaf->published->rel;
		else if (!plugin_truncates_root(leaf->published->rel.relid, nrelations, relations))
			plugin_truncate_partition(plugin, leaf->published, relations[i], change->lsn);
	}

	if (nrels > 0)
	{
		decode_current_relid = rels[0]->relid;
		plugin_need_begin(plugin);
		plugin->sink->ops->truncate(plugin->sink, &plugin->txn, change->lsn, rels, nrels,
									change->data.truncate.cascade, change->data.truncate.restart_seqs);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(plugin->change_context);
	decode_current_relid = InvalidOid;
}
