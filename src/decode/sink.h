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
 * the first change of a relation, and again after it changed shape; it may
 * come before `begin`, when the change's operation is not published.  A
 * command that changed the shape of tables leaves a message in its transaction
 * (decode/note.h), at which `relation` is called too: so a sink with `tables`
 * hears of it though no row follows.
 *
 * An ERROR out of a sink ends this decoding; decode_current_relid then names
 * the table whose change it was.
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

/*
 * A published relation as the sink sees it; owned by the plugin's cache, and
 * at the same address as long as decoding goes on.
 *
 * When the definition changed, all members are replaced at the relation's
 * next change: generation grows, sink_private is NULL, what was allocated in
 * `context` is gone, and `relation` is called again.  An invalidation that
 * changed nothing the sink can see (ANALYZE, CREATE INDEX) keeps everything.
 */
typedef struct DecodeRelation
{
	Oid			relid;			/* of the table that is published: the root with publish_via_partition_root */
	char	   *schema;
	char	   *table;
	TupleDesc	desc;			/* the published relation's descriptor; a copy */
	bool	   *published;		/* per attribute: not dropped, not generated, in the column list */
	bool	   *key;			/* per attribute: part of the replica identity (all published for FULL) */
	char		replica_identity;	/* REPLICA_IDENTITY_*; of a root the one its partitions must cover, see describe.c */
	bool		has_key;		/* a usable replica identity: FULL, or an index whose columns are all published */
	bool		pub_insert;
	bool		pub_update;
	bool		pub_delete;
	bool		pub_truncate;
	char	   *filter;			/* the publications' row filters as text that changes when they do, or NULL */
	int			npartitions;	/* leaves of a partitioned table that is published as itself */
	Oid		   *partitions;		/* ascending */
	char	   *error;			/* why this table cannot be followed (contradicting column lists), or NULL */
	uint32		generation;		/* grows each time the entry is rebuilt */
	void	   *sink_private;	/* the sink's; NULL after each rebuild */
	MemoryContext context;		/* holds all of the above; the sink may allocate here */
} DecodeRelation;

/*
 * A row: values by attribute number - 1 of rel->desc (already mapped from a
 * leaf partition to the root).  Values of unpublished attributes may be set;
 * rel->published decides.
 *
 * A varlena may be inline (short and compressed included), or
 * VARATT_IS_EXTERNAL_INDIRECT (a new TOAST value, in memory; fetch with
 * detoast_external_attr or PG_DETOAST), or VARATT_IS_EXTERNAL_ONDISK: an
 * UPDATE left this TOAST value as it was and WAL does not hold it.  It must
 * not be fetched: the table may have moved on.  With an old row at hand
 * (REPLICA IDENTITY FULL) the plugin has put the old value in its place; in
 * an `insert` that an UPDATE across a row filter became, the source's, where
 * it is still to be had.
 */
typedef struct DecodeRow
{
	Datum	   *values;
	bool	   *isnull;
} DecodeRow;

typedef struct ChangeSink ChangeSink;

typedef struct ChangeSinkOps
{
	/*
	 * NULL where the sink does not care: startup, message, shutdown, wants,
	 * lost, unkeyed, unpublished, rewritten, joined, tables, options.
	 */
	void		(*startup) (ChangeSink *sink, LogicalDecodingContext *ctx);
	void		(*begin) (ChangeSink *sink, const DecodeTxn *txn);
	/* lsn: of the change that comes next */
	void		(*relation) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, DecodeRelation *rel);
	void		(*insert) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *new_row);
	/* old_row: NULL (key unchanged), the old key, or with FULL the old row; other attributes are null */
	void		(*update) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *old_row, const DecodeRow *new_row);
	/* old_row: the old key, or with FULL the old row; only key attributes are set */
	void		(*delete) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						   DecodeRelation *rel, const DecodeRow *old_row);
	void		(*truncate) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							 DecodeRelation **rels, int nrels, bool cascade, bool restart_seqs);
	/* pg_logical_emit_message: txn is NULL for one that is not transactional */
	void		(*message) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							const char *prefix, const char *body, Size size);
	void		(*commit) (ChangeSink *sink, const DecodeTxn *txn, bool empty);
	void		(*shutdown) (ChangeSink *sink);

	/*
	 * Does the sink want the changes of this published table in this
	 * transaction?  Asked once for each table in each transaction, before
	 * anything else of it.  NULL: all.
	 */
	bool		(*wants) (ChangeSink *sink, Oid relid, const DecodeTxn *txn);

	/*
	 * One partition was truncated of a table that is published as its root:
	 * which rows went is not told.  `reason` is a message.
	 */
	void		(*truncate_partition) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
									   DecodeRelation *rel, const char *reason);

	/*
	 * A change happened that cannot be told as rows: the table must be copied
	 * anew.  `reason` is a message.
	 */
	void		(*lost) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						 DecodeRelation *rel, const char *reason);

	/*
	 * A row was updated or deleted, and WAL does not tell the key of its old
	 * version: the table has no usable replica identity, or the partition's
	 * does not cover that of the root.  The change itself is not told then.
	 * `reason` is a message.  NULL: such changes, and rows with values that
	 * are not to be had, are told as far as they are known; else the latter
	 * are `lost`, which then is not NULL.
	 */
	void		(*unkeyed) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
							DecodeRelation *rel, bool deleted, const char *reason);

	/*
	 * A table that the sink wants changed while no publication published it,
	 * or as another table: what was missed is not told, also not when it is
	 * published again later.  At least once for each table in each
	 * transaction.
	 */
	void		(*unpublished) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, Oid relid);

	/*
	 * The rows of the table were rewritten by a change of types that kept the
	 * values, as far as a number widened is the same number.  Comes before
	 * `relation` with the new types.
	 */
	void		(*rewritten) (ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, Oid relid);

	/* Partitions that `relation` names for the first time in this transaction came without rows. */
	void		(*joined) (ChangeSink *sink, const DecodeTxn *txn, Oid relid);

	/* The tables whose shape the sink wants to hear of at once; in the current context. */
	Oid		   *(*tables) (ChangeSink *sink, int *n);

	/* Options may have been set that hold from here on.  Asked for where `tables` is. */
	void		(*options) (ChangeSink *sink);
} ChangeSinkOps;

struct ChangeSink
{
	const ChangeSinkOps *ops;
	void	   *private;
	bool		retell;			/* set by the sink: `relation` is called for all tables again, from the next transaction on */
};

/*
 * How the in-process worker gives the plugin its sink: set before
 * CreateDecodingContext, taken by the plugin's startup callback when the
 * option sink is "batch".
 */
extern ChangeSink *decode_worker_sink;

/* Published table whose change is being handled, or was when an ERROR was raised; InvalidOid between changes. */
extern Oid	decode_current_relid;

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
