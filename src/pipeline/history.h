/*-------------------------------------------------------------------------
 *
 * history.h
 *	  Histories: every change of a table as a row of an append-only lake table.
 *
 * A history stands beside the mirror, or instead of it (option `history`).
 * It is the raw zone: rows are appended and never touched again, and the
 * mirror of any moment can be made from it (rebuild.h).  The lake table is
 * named after the mirror, `<table>__history`, and has these columns:
 *
 *	op			c insert, u update, d delete, t truncate; r a row that a copy of
 *				the table found; b a copy begins, e what came before it ends; s
 *				the table has another shape from here on
 *	commit_lsn	end of the transaction's commit record, as a number: who saw
 *				WAL written up to there, saw the transaction committed
 *	commit_time	its time; the table is partitioned by its day
 *	xid			null in r, b, e
 *	sequence	of the change in its transaction, from 1; 0 in b, 1 in all r, the
 *				highest number in e
 *	before		what the replica identity tells of the old row; other fields null
 *	after		the new row
 *	unchanged	attribute numbers of values out of line that an update left as
 *				they were: WAL does not hold them, and `after` has null there
 *	shape		of the mirror, in b and s: schema, key and sources of columns
 *
 * Order.  (commit_lsn, sequence) is the order of a table's changes.  The rows
 * of a copy have the position of its snapshot, which is the end of no
 * commit record, and no order among them.
 *
 * Bases.  A copy writes what it finds to the history as well (r), headed by a
 * row b: whatever was known before is void, for between the last change that
 * was followed and the copy's snapshot some were not.  Row e says up to where
 * the history was complete; between e and b no moment can be rebuilt.  That
 * is right before the transaction that could not be followed: what the batch
 * has of earlier ones is written even though the mirror's share of it is not.
 * Of that one there may be rows, too, when it was larger than memory.
 *
 * Exactly once.  The rows of a flush are files named after the flush's token
 * and are committed in its transaction, along with the mirror, the progress
 * of the pipeline and the next token; so whatever holds for the mirror after
 * a crash holds for the history.  Transactions that abort never get here, and
 * what a transaction larger than memory has written early is published with
 * the rest of it.
 *
 * Changes of shape.  The fields of `before` and `after` have ids made from
 * those of the mirror (HISTORY_AFTER_ID), so that a history's shape follows
 * from a mirror's and the other way round: what shape_make() decides for the
 * one holds for the other, renames and promotions included, and a history
 * without a mirror knows its own shape.  The shape is told in rows as well:
 * the lake table's own schema is that of today, and for how long it had which
 * one its snapshots know no more once they have expired.
 *
 * Values out of line could have been taken over from the mirror, as the
 * mirror itself does (carry.c).  But versions that were replaced within a
 * batch have no place in the mirror, a history alone has no mirror, and a
 * history that is only what WAL says cannot be wrong where the mirror is.
 * REPLICA IDENTITY FULL has every row whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_HISTORY_H
#define TARN_PIPELINE_HISTORY_H

#include "postgres.h"

#include "pipeline/batch.h"
#include "pipeline/pipeline.h"
#include "pipeline/shape.h"
#include "pipeline/write.h"

typedef enum HistoryOp
{
	HISTORY_INSERT = 'c',
	HISTORY_UPDATE = 'u',
	HISTORY_DELETE = 'd',
	HISTORY_TRUNCATE = 't',
	HISTORY_READ = 'r',
	HISTORY_BEGIN = 'b',
	HISTORY_END = 'e',
	HISTORY_SHAPE = 's'
} HistoryOp;

/* Columns in their order; the field id is one more. */
enum
{
	HISTORY_OP,
	HISTORY_COMMIT_LSN,
	HISTORY_COMMIT_TIME,
	HISTORY_XID,
	HISTORY_SEQUENCE,
	HISTORY_BEFORE,
	HISTORY_AFTER,
	HISTORY_UNCHANGED,
	HISTORY_SHAPE_TEXT,
	HISTORY_NCOLUMNS
};

#define HISTORY_FIELD_ID(column) ((column) + 1)
#define HISTORY_AFTER_ID(mirror_id) (10 + 2 * (mirror_id))
#define HISTORY_BEFORE_ID(mirror_id) (11 + 2 * (mirror_id))
#define HISTORY_MIRROR_ID(after_id) (((after_id) - 10) / 2)

/* --- history_shape.c: what a history looks like --- */

/* The lake name of a history; palloc'd. */
extern char *history_name(const char *mirror);

/* The reverse; NULL: no history has such a name. */
extern char *history_mirror_name(const char *history);

/* Is it one? */
extern bool history_is(const LakeTable *lake);

/*
 * The shape of the history of a mirror, and the reverse; in contexts of
 * their own below `parent`.  What has not the columns of a history has no
 * mirror: NULL.
 */
extern TableShape *history_from_mirror(const TableShape *mirror, MemoryContext parent);
extern TableShape *history_to_mirror(const TableShape *history, MemoryContext parent);

/* What the column `shape` has, and the reverse in a context of its own; the text is checked as a file is. */
extern char *history_shape_text(const TableShape *mirror);
extern TableShape *history_shape_read(const char *text, size_t size, const char *object, MemoryContext parent);

/* A new lake table, partitioned by day, not in the catalog yet. */
extern LakeTable *history_lake_new(Lake *lake, const char *namespace, const char *name, const char *location,
								   const TableShape *shape);

/* --- history_rows.c: rows in memory --- */

typedef struct HistoryRows
{
	ColumnVector *columns[HISTORY_NCOLUMNS];
	StringInfoData packed;		/* a struct in the making */
	MemoryContext context;
} HistoryRows;

/* Of one change, but for its images. */
typedef struct HistoryEvent
{
	HistoryOp	op;
	XLogRecPtr	lsn;
	TimestampTz time;
	TransactionId xid;			/* Invalid: null */
	int64		sequence;
	const char *shape;			/* NULL: null */
} HistoryEvent;

/* A time as the lake has it. */
extern int64 history_time(TimestampTz time);

extern HistoryRows *history_rows_create(MemoryContext parent);
extern void history_rows_reset(HistoryRows *rows);
extern void history_rows_free(HistoryRows *rows);
extern size_t history_rows_bytes(const HistoryRows *rows);
extern size_t history_rows_used(const HistoryRows *rows);
extern uint32 history_rows_count(const HistoryRows *rows);

/*
 * One row: history_begin_image(), a value for each column of the table in
 * their order, then history_end_image() with the column it goes to; or
 * history_no_image().  Both images first, history_put_event() last.
 */
extern void history_begin_image(HistoryRows *rows);
extern void history_put_null(HistoryRows *rows);
extern void history_put_value(HistoryRows *rows, const ColumnVector *v, uint32 i);
extern void history_end_image(HistoryRows *rows, int column);
extern void history_no_image(HistoryRows *rows, int column);
extern void history_put_event(HistoryRows *rows, const HistoryEvent *event, const AttrNumber *unchanged, int nunchanged);

/* --- history.c: the history of a table that is followed --- */

struct TableHistory
{
	LakeTable  *lake;			/* state of the last commit; NULL before the first copy */
	TableShape *shape;			/* made from the table's; NULL until the source is described */
	ParquetColumn parquet[HISTORY_NCOLUMNS];
	ColumnVector **scratch;		/* by column of the table: one value */
	bool	   *key;			/* by column: does the old row tell it? */
	AttrNumber *unchanged;		/* room for all columns */
	HistoryRows *rows;			/* since the last write; NULL: none */
	List	   *files;			/* IcebergDataFile *: written, unpublished */
	size_t		bytes;			/* held and used, at the last count */
	size_t		used;
	uint32		unchecked;		/* rows since */
	MemoryContext batch_context;	/* rows and files */
	MemoryContext shape_context;	/* shape and scratch; NULL: none yet */
};

/*
 * Opens the history of a table that is to have one, in the current context,
 * which must live as long as the table is open: t->history, with the lake
 * table when there is one.  False when a lake table of its name is something
 * else; *problem says what, and may be NULL.
 */
extern bool history_open(Pipeline *p, PipelineTable *t, char **problem);

/* The shape of the mirror that its lake table tells, or NULL; below t->context. */
extern TableShape *history_lake_shape(const PipelineTable *t);

/* Can the history go on with columns of this shape?  False with a reason when a field was something else. */
extern bool history_fits(const PipelineTable *t, const IcebergSchema *mirror, char **problem);

/* The lake table to write into: that of the catalog, or a new one.  For the copy. */
extern LakeTable *history_lake(Pipeline *p, PipelineTable *t);

/* The table has another shape now (shape_install). */
extern void history_reshape(PipelineTable *t);

/* A change from the stream; old_row and new_row as the sink got them, or NULL. */
extern void history_add(Batch *batch, PipelineTable *t, const DecodeTxn *txn, HistoryOp op,
						const DecodeRow *old_row, const DecodeRow *new_row);

/* The table has got another shape in this transaction, after the changes so far: it is installed. */
extern void history_add_shape(Batch *batch, PipelineTable *t, const DecodeTxn *txn);

/* What is buffered becomes files, one for each day. */
extern void history_write(Batch *batch, PipelineTable *t);

/* Forgets what is buffered and written; names of files that nobody published go to `garbage`, unless NULL. */
extern void history_forget(PipelineTable *t, List **garbage);

/* Is the table to be copied anew or stopped?  Its history goes on to t->left, and has all there is up to there. */
static inline bool
history_left(const PipelineTable *t)
{
	return t->copy_reason || t->stop_error;
}

/* Up to where the history of a table that is not followed now is complete; 0: there is none. */
extern XLogRecPtr history_complete(Lake *lake, const PipelineTable *t);

/* Rows first..n-1 of a table's vectors, as a copy at `lsn` found them. */
extern void history_add_copied(const PipelineTable *t, HistoryRows *rows, ColumnVector *const *columns, uint32 n,
							   XLogRecPtr lsn, TimestampTz time);

/* Gives a file of such rows its partition; in the current context. */
extern void history_copied_file(IcebergDataFile *file, TimestampTz time);

/* How the files of the history are written. */
extern FileForm history_form(const PipelineTable *t);

/* Writes the rows that head a copy, as a file of that name; in the current context. */
extern IcebergDataFile *history_write_head(Pipeline *p, PipelineTable *t, const char *path,
										   XLogRecPtr lsn, TimestampTz time);

#endif							/* TARN_PIPELINE_HISTORY_H */
