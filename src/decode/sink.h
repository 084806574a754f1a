/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  ChangeSink: what the output plugin of tarn hands decoded changes to.
 *
 * The plugin (decode/plugin.c) resolves relations, decides by publications
 * what leaves (tables, operations, column lists, row filters, partition
 * roots), and calls a sink.  One path, several mouths: `wire_json` prints an
 * envelope a change; `batch` (pipeline/batch.c) appends to column buffers.
 *
 * Call order: begin, then any number of changes, then commit; nothing is
 * called for a transaction without published changes (commit alone with
 * `empty` set, so that progress is seen).  `relation` is called before
 * the first change of a relation, and again after it changed shape.
 *
 * Lifetime: tuples and DecodeTxn are valid during the call.  The calls run
 * inside the decoding's transaction, which is aborted afterwards: a sink
 * keeps what it needs in a context of its own, and never writes to the
 * database.  `sink->private` is the sink's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_DECODE_SINK_H
#define TARN_DECODE_SINK_H

#include "postgres.h"

#include "access/htup.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "replication/logical.h"
#include "utils/rel.h"

typedef struct DecodeTxn
{
	TransactionId xid;
	XLogRecPtr	commit_lsn;		/* where the commit record starts */
	XLogRecPtr	end_lsn;		/* one past it: what is confirmed */
	TimestampTz commit_time;
} DecodeTxn;

/* A published relation as the sink sees it; owned by the plugin's cache. */
typedef struct DecodeRelation
{
	Oid			relid;			/* of the table that is published: the root with publish_via_partition_root */
	char	   *schema;
	char	   *table;
	TupleDesc	desc;			/* the published relation's descriptor; copied, stays */
	bool	   *published;		/* per attribute: not dropped, in the column list */
	bool	   *key;			/* per attribute: part of the replica identity (all for FULL) */
	char		replica_identity;	/* REPLICA_IDENTITY_* */
	bool		has_key;		/* a usable replica identity: an index, or FULL */
	bool		pub_insert, pub_update, pub_delete, pub_truncate;
	uint32		generation;		/* grows each time the entry is rebuilt */
	void	   *sink_private;	/* the sink's; zero after each rebuild */
} DecodeRelation;

/*
 * A row: values by attribute number - 1 of rel->desc (already mapped from a
 * leaf partition to the root).  Unchanged TOAST values are varlenas for
 * which VARATT_IS_EXTERNAL_ONDISK holds; other external ones are INDIRECT
 * (fetch with detoast_external_attr / PG_DETOAST).
 */
typedef struct DecodeRow
{
	Datum	   *values;
	bool	   *isnull;
} DecodeRow;

typedef struct ChangeSink ChangeSink;

typedef struct ChangeSinkOps
{
	void		(*startup) (ChangeSink *sink, LogicalDecodingContext *ctx, List *options);	/* may be NULL */
	void		(*begin) (ChangeSink *sink, const DecodeTxn *txn);
	void		(*relation) (ChangeSink *sink, DecodeRelation *rel);
	void		(*insert) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *new_row);
	/* old_row: NULL (key unchanged), the old key, or with FULL the old row */
	void		(*update) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *old_row, const DecodeRow *new_row);
	/* old_row: the old key, or with FULL the old row; only key attributes are set */
	void		(*delete) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *old_row);
	void		(*truncate) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							 DecodeRelation **rels, int nrels, bool cascade, bool restart_seqs);
	void		(*message) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							bool transactional, const char *prefix, const char *body, Size size);
	void		(*commit) (ChangeSink *sink, const DecodeTxn *txn, bool empty);
	void		(*shutdown) (ChangeSink *sink);
	/* asked before a relation is resolved: does the sink want it?  NULL: all.  (the batch sink skips tables that are not live) */
	bool		(*wants) (ChangeSink *sink, Oid relid, const DecodeTxn *txn);
} ChangeSinkOps;

struct ChangeSink
{
	const ChangeSinkOps *ops;
	void	   *private;
};

/*
 * How the in-process worker gives the plugin its sink: set before
 * CreateDecodingContext, taken by the plugin's startup callback when the
 * option sink is "batch".
 */
extern ChangeSink *decode_worker_sink;

extern const ChangeSinkOps wire_json_ops;

/*
 * Which tables a set of publications covers now, with publish_via_partition_root
 * applied: List of Oid.  Inside a transaction, current catalogs.  Unknown
 * publication: ERRCODE_UNDEFINED_OBJECT.
 */
extern List *decode_published_tables(List *publications);

/*
 * Resolves what leaves of one table under these publications, in the current
 * catalogs (for the initial copy).  NULL when it is not published.
 * In the current memory context.
 */
extern DecodeRelation *decode_relation_describe(Oid relid, List *publications);

/*
 * Row filter of a table under these publications, for rows in rel->desc's
 * shape; NULL when all rows pass.  decode_filter_row evaluates it (insert
 * semantics: the union of the publications' filters).
 */
typedef struct DecodeFilter DecodeFilter;
extern DecodeFilter *decode_filter_open(DecodeRelation *rel, List *publications, MemoryContext context);
extern bool decode_filter_row(DecodeFilter *filter, const DecodeRow *row);

#endif							/* TARN_DECODE_SINK_H */
