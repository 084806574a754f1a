/*-------------------------------------------------------------------------
 *
 * plugin.c
 *	  The output plugin: from decoded changes to calls of a ChangeSink.
 *
 * The callbacks decide what leaves and hand rows on without forming or
 * copying a value: an INSERT of a table without filter and map is a look-up
 * of the last relation, a deform into arrays of the cache, and the sink's
 * call.
 *
 * Options of a slot's consumer: publications (a list as in search_path,
 * required), sink (wire_json or batch), include_transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/options.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "decode/note.h"
#include "decode/relation.h"
#include "decode/sink.h"
#include "decode/toast.h"
#include "decode/wire_json.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

/* Changes between two notes of progress to a walsender's client. */
#define PLUGIN_PROGRESS_CHANGES 100

typedef struct Plugin
{
	ChangeSink *sink;
	RelationCache *relations;
	MemoryContext change_context;	/* reset after each change that used it */
	DecodeTxn	txn;
	uint64		txn_number;		/* serial, for PublishedRelation.wanted_txn */
	TransactionId newest;		/* a transaction id assigned before the commit at hand */
	bool		begun;			/* the sink's begin was called for it */
	int			changes;		/* since the last note of progress */
} Plugin;

ChangeSink *decode_worker_sink = NULL;
Oid			decode_current_relid = InvalidOid;

static const char *const plugin_sinks[] = {"wire_json", "batch", NULL};

static const OptionSpec plugin_options[] = {
	{"publications", 1, OPTION_STRING, 0, 0, NULL, "names of the publications, separated by commas"},
	{"sink", 1, OPTION_ENUM, 0, 0, plugin_sinks, "wire_json (default), or batch inside a pipeline worker"},
	{"include_transactions", 1, OPTION_BOOL, 0, 0, NULL, "begin and commit lines (default on)"},
	{NULL}
};

PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *cb);

static List *
plugin_parse_publications(const char *value)
{
	char	   *copy = pstrdup(value);
	List	   *names = NIL;

	if (!SplitIdentifierString(copy, ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid value for option \"publications\": \"%s\"", value),
				 errhint("Give the names of publications, separated by commas.")));
	return names;
}

static ChangeSink *
plugin_open_sink(bool batch, bool transactions)
{
	if (!batch)
		return wire_json_sink(transactions);
	if (decode_worker_sink == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sink \"batch\" cannot be used here"),
				 errdetail("It exists only inside a pipeline worker."),
				 errhint("Use the sink \"wire_json\".")));
	return decode_worker_sink;
}

static void
plugin_parse_options(Plugin *plugin, LogicalDecodingContext *ctx)
{
	List	   *publications = NIL;
	bool		batch = false;
	bool		transactions = true;
	ListCell   *lc;

	foreach(lc, ctx->output_plugin_options)
	{
		DefElem    *option = lfirst(lc);
		const OptionSpec *spec = option_find(plugin_options, 1, option->defname);
		/* pg_recvlogical -o name gives no value; for a switch that means on */
		char	   *value = option->arg != NULL ? strVal(option->arg) :
			spec->kind == OPTION_BOOL ? "on" : "";

		option_check(spec, value);
		if (strcmp(spec->name, "publications") == 0)
			publications = plugin_parse_publications(value);
		else if (strcmp(spec->name, "sink") == 0)
			batch = option_value(spec, value) == 1;
		else
			transactions = option_value(spec, value) != 0;
	}
	if (publications == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"publications\" is required"),
				 errhint("Give the names of publications, separated by commas.")));

	plugin->sink = plugin_open_sink(batch, transactions);
	plugin->relations = relation_cache_create(ctx->context, publications, batch);
}

static void
plugin_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool is_init)
{
	Plugin	   *plugin;
	MemoryContext old;

	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	options->receive_rewrites = false;
	decode_current_relid = InvalidOid;

	/* a slot is made without options: nothing is decoded for us then */
	if (is_init)
		return;

	old = MemoryContextSwitchTo(ctx->context);
	plugin = palloc0(sizeof(Plugin));
	plugin->change_context = AllocSetContextCreate(ctx->context, "tarn change", ALLOCSET_DEFAULT_SIZES);
	plugin_parse_options(plugin, ctx);
	ctx->output_plugin_private = plugin;
	if (plugin->sink->ops->startup != NULL)
		plugin->sink->ops->startup(plugin->sink, ctx);
	MemoryContextSwitchTo(old);
}

static void
plugin_shutdown(LogicalDecodingContext *ctx)
{
	Plugin	   *plugin = ctx->output_plugin_private;

	if (plugin != NULL && plugin->sink->ops->shutdown != NULL)
		plugin->sink->ops->shutdown(plugin->sink);
}

/*
 * A walsender must hear from us now and then while nothing is written, or
 * its client gives up.  No other consumer has update_progress.
 */
static void
plugin_progress(Plugin *plugin, LogicalDecodingContext *ctx, bool skipped)
{
	if (ctx->update_progress == NULL)
		return;
	if (ctx->end_xact || ++plugin->changes >= PLUGIN_PROGRESS_CHANGES)
	{
		OutputPluginUpdateProgress(ctx, skipped);
		plugin->changes = 0;
	}
}

/* Commits come in order: what this transaction could see is of it, or of one that came before. */
static void
plugin_note_newest(Plugin *plugin, ReorderBufferTXN *txn)
{
	dlist_iter	iter;

	if (!TransactionIdIsNormal(plugin->newest) || TransactionIdFollows(txn->xid, plugin->newest))
		plugin->newest = txn->xid;
	dlist_foreach(iter, &txn->subtxns)
	{
		TransactionId xid = dlist_container(ReorderBufferTXN, node, iter.cur)->xid;

		if (TransactionIdFollows(xid, plugin->newest))
			plugin->newest = xid;
	}
}

static void
plugin_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Plugin	   *plugin = ctx->output_plugin_private;

	plugin_note_newest(plugin, txn);

	plugin->txn.xid = txn->xid;
	plugin->txn.commit_lsn = txn->final_lsn;
	plugin->txn.end_lsn = txn->end_lsn;
	plugin->txn.commit_time = txn->xact_time.commit_time;
	plugin->txn_number++;
	plugin->begun = false;
	if (plugin->sink->retell)
		relation_cache_retell(plugin->relations);
	plugin->sink->retell = false;
}

/* The sink hears of a transaction at its first published change. */
static inline void
plugin_need_begin(Plugin *plugin)
{
	if (unlikely(!plugin->begun))
	{
		plugin->begun = true;
		plugin->sink->ops->begin(plugin->sink, &plugin->txn);
	}
}

static void
plugin_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	Plugin	   *plugin = ctx->output_plugin_private;

	decode_current_relid = InvalidOid;
	plugin_progress(plugin, ctx, !plugin->begun);
	plugin->sink->ops->commit(plugin->sink, &plugin->txn, !plugin->begun);
	plugin->begun = false;
}

/* First change of a table in a transaction, or of a new description. */
static bool
plugin_introduce(Plugin *plugin, PublishedRelation *published, XLogRecPtr lsn)
{
	ChangeSink *sink = plugin->sink;

	if (published->wanted_txn != plugin->txn_number)
	{
		published->wanted = sink->ops->wants == NULL ||
			sink->ops->wants(sink, published->rel.relid, &plugin->txn);
		published->wanted_txn = plugin->txn_number;
	}
	if (published->wanted && !published->announced)
	{
		/* first, so that an invalidation that arrives meanwhile is not lost */
		published->announced = true;
		relation_cache_watch_types(plugin->relations, &published->rel);
		sink->ops->relation(sink, &plugin->txn, lsn, &published->rel);
	}
	return published->wanted;
}

static inline bool
plugin_wanted(Plugin *plugin, PublishedRelation *published, XLogRecPtr lsn)
{
	if (likely(published->wanted_txn == plugin->txn_number && published->announced))
		return published->wanted;
	return plugin_introduce(plugin, published, lsn);
}

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

/* A change that no publication publishes: a sink that keeps the table must know. */
static void
plugin_missed(Plugin *plugin, LeafRelation *leaf, XLogRecPtr lsn)
{
	ChangeSink *sink = plugin->sink;

	if (sink->ops->unpublished == NULL || leaf->missed_txn == plugin->txn_number)
		return;
	leaf->missed_txn = plugin->txn_number;
	if (sink->ops->wants == NULL || sink->ops->wants(sink, leaf->relid, &plugin->txn))
		sink->ops->unpublished(sink, &plugin->txn, lsn, leaf->relid);
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

static void
plugin_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			  Relation relation, ReorderBufferChange *change)
{
	Plugin	   *plugin = ctx->output_plugin_private;
	LeafRelation *leaf = relation_cache_get(plugin->relations, relation);
	MemoryContext old;
	DecodeRow  *old_row = NULL;
	DecodeRow  *new_row = NULL;

	plugin_progress(plugin, ctx, false);
	if (leaf->published == NULL)
	{
		plugin_missed(plugin, leaf, change->lsn);
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

static void
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

		if (leaf->published == NULL)
		{
			plugin_missed(plugin, leaf, change->lsn);
			continue;
		}
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

static void
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

/*
 * The lake's own commits carry DoNotReplicateId: dropped before they are
 * queued, so that an idle pipeline stays silent.
 */
static bool
plugin_filter_by_origin(LogicalDecodingContext *ctx, RepOriginId origin)
{
	return origin == DoNotReplicateId;
}

void
_PG_output_plugin_init(OutputPluginCallbacks *cb)
{
	cb->startup_cb = plugin_startup;
	cb->begin_cb = plugin_begin;
	cb->change_cb = plugin_change;
	cb->truncate_cb = plugin_truncate;
	cb->commit_cb = plugin_commit;
	cb->message_cb = plugin_message;
	cb->filter_by_origin_cb = plugin_filter_by_origin;
	cb->shutdown_cb = plugin_shutdown;
}
