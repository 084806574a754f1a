/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The batch sink: decoded changes into column buffers, and what becomes of
 *	  them at a flush.
 *
 * Rows are appended to ColumnVectors as they come; nothing is looked up
 * while decoding.  A change of an existing row is a mark: "this row replaces
 * the one with the same key" or "before this row, the key K was deleted".
 * batch_resolve() plays the marks in order, a column of hashes at a time:
 * versions that were replaced within the batch are dropped, the other
 * deletes go to the key index.  Looking keys up at each change instead would
 * cost a cache miss a row and gain nothing.
 *
 * When memory is used up in the middle of a transaction, the batch writes
 * its rows to data files at once (batch_write); they are published by the
 * next flush.  Many rows go to the encoder as they come, a piece at a time
 * (batch_seal), so that it works while we decode, and buffers stay in the
 * processor's caches.  Rows that soon change again had better not: a version
 * that was handed over is written, and dies in its file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_BATCH_H
#define TARN_PIPELINE_BATCH_H

#include "postgres.h"

#include "decode/sink.h"
#include "pipeline/encoder.h"
#include "pipeline/pipeline.h"

/* Marks of a row. */
#define ROW_REPLACES 1			/* an UPDATE that kept the key */
#define ROW_MOVED 2				/* an UPDATE that changed the key: the delete just before is its old version */
#define ROW_TAKES_KEY 8			/* replaces the row with its key, if there is one (see batch_new_key_mark) */
#define ROW_CARRIES 4			/* has values an UPDATE left unchanged: see carries */

/* One value of a row that must be taken over from the row's old version. */
typedef struct Carry
{
	uint32		row;
	uint32		column;
	uint32		size;			/* expected; of a value of PostgreSQL, so less than 1 GB */
} Carry;

/* Changes of one table since the last commit. */
struct TableBatch
{
	MemoryContext context;
	ColumnVector **columns;
	uint8	   *marks;			/* by row */
	uint32		marks_capacity;
	uint32		nmarked;		/* rows with a mark */

	/* deletes: key values, and the number of rows that came before */
	ColumnVector **keys;
	uint32	   *delete_at;
	uint32		ndeletes;
	uint32		deletes_capacity;

	Carry	   *carries;
	uint32		ncarries;
	uint32		carries_capacity;

	bool		truncated;		/* everything before is void, the lake's rows too */
	List	   *files;			/* IcebergDataFile *: written early, unpublished */
	EncoderFile *open;			/* being written by the encoder, takes more rows; NULL: none */
	uint32		open_file;		/* its number in the key index, if the table has one */
	List	   *encoding;		/* EncoderFile *: finished, entries not in `files` yet */
	List	   *dropped_files;	/* char *: written, then truncated away */
	bool		fleeting;		/* of the rows last written, many had died in the batch */
	bool		killed;			/* the key index holds rows deleted since the last commit */
	List	   *killed_rows;	/* KilledRows *: those that an index of another key held */
	uint32		unchecked;		/* rows since the memory was last counted */
	size_t		bytes;			/* held, at the last count */
	size_t		used;			/* of them by values, and what it takes to write them (see batch_count_memory) */
	size_t		carried;		/* expected size of the values of `carries` */
	uint64		inserts;
	uint64		updates;
	uint64		deletes;
};

static inline uint32
batch_rows(const TableBatch *b, const PipelineTable *t)
{
	return t->ncolumns > 0 ? b->columns[0]->length : 0;
}

/* The sink for a pipeline; one a process. */
typedef struct Batch
{
	ChangeSink	sink;			/* first member */
	Pipeline   *pipeline;
	size_t		bytes;			/* held by all tables */
	size_t		used;
	size_t		limit;			/* beyond it (see over_limit) rows are written early */
	size_t		piece_bytes;	/* rows of that size are handed to the encoder at once */
	XLogRecPtr	last_end;		/* end of the last commit seen */
	TimestampTz last_commit_time;
	TimestampTz first_commit_time;	/* of the oldest transaction in the batch; 0: empty */
	bool		changed;		/* some table has changes */
	bool		options_set;	/* the stream has come to where options may have been set */
	PipelineTable *current;		/* being written; an error in its values concerns it alone */
	int			next_file;		/* number of the next file of the flush token */
	int64		sequence;		/* of the last change in the transaction at hand */
	MemoryContext scratch;		/* reset for each row that needs it */
} Batch;

extern Batch *batch_create(Pipeline *p, size_t limit);

/* A table's changes, made when there are none; and its buffers, for when columns change (evolve.c). */
extern TableBatch *batch_table(PipelineTable *t);
extern void batch_vectors_create(PipelineTable *t);
extern void batch_vectors_free(Batch *batch, PipelineTable *t);

/* Forget a table's changes (after a flush, or to give up). */
extern void batch_table_free(PipelineTable *t);

/* Empties a table's buffers: its rows were written, or are void. */
extern void batch_buffers_reset(Batch *batch, PipelineTable *t);

/*
 * For rows that do not come from decoding (rebuild.c): what ends a row, or a
 * delete, after a value was appended to each column, or key column; a value
 * to be carried that was appended as null, with its size, 0 when it is not
 * known; TRUNCATE; the mark of a new row.
 */
extern void batch_end_row(PipelineTable *t, uint8 mark);
extern void batch_end_delete(PipelineTable *t);
extern void batch_add_carry(Batch *batch, PipelineTable *t, uint32 row, uint32 column, Size size);
extern void batch_truncate(Batch *batch, PipelineTable *t);
extern uint8 batch_new_key_mark(const PipelineTable *t);

/*
 * After each whole change: a row, a delete, or, where an update changed the
 * key, a delete and its row.  Only here is the memory looked at and may the
 * buffers be written: a moved row that is cut off from its delete has no old
 * version to take values from.  `bytes`: of the change's large values.
 */
extern void batch_end_change(Batch *batch, PipelineTable *t, Size bytes);

/* Appends a value that is not plain in memory, but is to be had (no VARATT_IS_EXTERNAL_ONDISK); returns its size. */
extern Size batch_append_external(Batch *batch, const TableColumn *c, ColumnVector *v, Datum value);

/* What a table's buffers hold now; the batch's totals follow. */
extern void batch_count_memory(Batch *batch, PipelineTable *t);

/* What the encoder has of a table is void. */
extern void batch_abandon_encoding(TableBatch *b);

/* Writes the tables with most rows early while the batch is above its limit. */
extern void batch_make_room(Batch *batch);

/*
 * Resolves what is buffered and writes it, or has it written, to data files;
 * the key index knows them.  batch_settle() waits until all are in
 * t->batch->files.
 */
extern void batch_write(Batch *batch, PipelineTable *t);
extern void batch_settle(Pipeline *p, TableBatch *b);

/* The same in the midst of a batch, if the encoder is there and rows need not be kept: its file stays open. */
extern void batch_seal(Batch *batch, PipelineTable *t);

/* The plan of one batch: which rows live, which keys to look up, where carried values come from. */
typedef struct Resolved
{
	uint64	   *live;			/* bitmap of rows */
	uint32		nlive;
	KeyHash    *row_keys;		/* NULL when nobody needs them */
	KeyHash    *pending;		/* keys of lake rows to delete */
	uint32	   *pending_row;	/* row that replaces it, or KEY_NOT_FOUND */
	bool	   *pending_optional;	/* the lake need not have it */
	uint32		npending;
	uint32	   *previous;		/* by row, when there are carries: the batch row before, or KEY_NOT_FOUND */
	uint32	   *previous_pending;	/* by row: index into pending, or KEY_NOT_FOUND */
} Resolved;

/* resolve.c; memory in the current context.  want_keys: row_keys are needed even without deletes. */
extern void batch_resolve(const PipelineTable *t, const TableBatch *b, uint64 seed,
						  bool want_keys, Resolved *r);

/* About what batch_resolve() would take now, and the look-up of keys after it. */
extern size_t batch_resolve_bytes(const TableBatch *b, uint32 nrows);

/* carry.c: fills in the values that updates left unchanged; positions[i] is where pending[i] was found. */
extern void batch_carry(PipelineTable *t, TableBatch *b, const Resolved *r, const KeyPosition *positions);

/*
 * tableindex.c: the key index of a table, opened at the lake's state, or,
 * when it is `needed`, a new one; NULL: there is none.  A new one must be
 * filled from the lake before keys are looked up or added (*unfilled); its
 * seed is good at once.
 */
extern KeyIndex *table_index(Pipeline *p, PipelineTable *t, bool needed, bool *unfilled);

/* Fills it with the rows of the lake, and of the first `nearly` files of t->batch->files. */
extern void table_index_fill(Pipeline *p, PipelineTable *t, int nearly);

/* Where it is kept. */
extern char *table_index_folder(const Pipeline *p, Oid relid);

/*
 * What the index's state of a lake table is called: the commit that made it,
 * and the key.  One that was built for a key that a crash has taken back is
 * for the same commit, and would find other rows.
 */
extern char *table_index_token(const PipelineTable *t, const LakeTable *lake);

#endif							/* TARN_PIPELINE_BATCH_H */
