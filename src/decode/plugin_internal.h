/*-------------------------------------------------------------------------
 *
 * plugin_internal.h
 *	  What the files of the output plugin share: plugin.c has its options and
 *	  transactions, plugin_change.c rows and truncates, plugin_note.c messages
 *	  and the notes among them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_PLUGIN_INTERNAL_H
#define TARN_DECODE_PLUGIN_INTERNAL_H

#include "postgres.h"

#include "decode/relation.h"
#include "decode/sink.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"

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
	Oid			noted;			/* the last table that a note in it said is rewritten */
	int			changes;		/* since the last note of progress */
} Plugin;

/*
 * A walsender must hear from us now and then while nothing is written, or
 * its client gives up.  No other consumer has update_progress.
 */
static inline void
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

/* Does the sink want the table?  It hears of it at its first change in a transaction, or of a new description. */
extern bool plugin_introduce(Plugin *plugin, PublishedRelation *published, XLogRecPtr lsn);

static inline bool
plugin_wanted(Plugin *plugin, PublishedRelation *published, XLogRecPtr lsn)
{
	if (likely(published->wanted_txn == plugin->txn_number && published->announced))
		return published->wanted;
	return plugin_introduce(plugin, published, lsn);
}

/* --- plugin_change.c --- */

extern void plugin_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
						  Relation relation, ReorderBufferChange *change);
extern void plugin_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int nrelations,
							Relation relations[], ReorderBufferChange *change);

/* The sink lacks a change of a table that is not published, or not as itself. */
extern void plugin_miss(Plugin *plugin, Oid relid, XLogRecPtr lsn);

/* --- plugin_note.c --- */

/*
 * The table as the catalogs show it now, to the sink; lost: its rows changed
 * in a way that cannot be told, or NULL.
 */
extern void plugin_look(Plugin *plugin, Oid relid, XLogRecPtr lsn, const char *lost);

extern void plugin_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
						   bool transactional, const char *prefix, Size size, const char *body);

#endif							/* TARN_DECODE_PLUGIN_INTERNAL_H */
