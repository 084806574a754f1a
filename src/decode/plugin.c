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
#include "base/options.h"
#include "commands/defrem.h"
#include "decode/plugin_internal.h"
#include "decode/wire_json.h"
#include "replication/origin.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

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
	options->receive_rewrites = plugin->sink->ops->tables != NULL;
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
	plugin->noted = InvalidOid;
	if (plugin->sink->retell)
		relation_cache_retell(plugin->relations);
	plugin->sink->retell = false;
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

bool
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
