/*-------------------------------------------------------------------------
 *
 * flush.h
 *	  From buffered changes to one commit of the lake.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_FLUSH_H
#define TARN_PIPELINE_FLUSH_H

#include "postgres.h"

#include "pipeline/batch.h"

/*
 * Writes what the batch holds and commits it: all tables, the pipeline's
 * progress and the next flush's token in one transaction.  `upto`: every
 * commit before it is in the batch or the lake.  Outside of a transaction.
 * On return the batch is empty and the pipeline and its tables show the new
 * state.  An error leaves the lake as it was; the caller starts over from
 * the last commit.
 */
extern void pipeline_flush(Batch *batch, XLogRecPtr upto);

/*
 * The change of one lake table whose rows are written (batch_write), with its
 * deletes and its summary; NULL when nothing of it changes in the end.
 */
extern LakeChange *pipeline_change_table(Batch *batch, PipelineTable *t, XLogRecPtr lsn, List **garbage);

/*
 * Has the table in catch-up, and the pipeline, been reached by a flush at
 * this position?  A copy may be ahead of the stream as well as behind it:
 * live is what both have reached.
 */
extern bool pipeline_caught_up(const Pipeline *p, const PipelineTable *t, XLogRecPtr upto);

/* What the copy of a table has made, as it was at `lsn`. */
typedef struct CopiedTable
{
	XLogRecPtr	lsn;
	TimestampTz time;
	const IcebergDataFile *files;
	int			nfiles;
	const IcebergDataFile *history_files;
	int			nhistory_files;
	int			next_file;		/* a number that none of them has in its name */
} CopiedTable;

/*
 * Publishes the copy of a table: replaces whatever the lake table holds by
 * these files, and adds to the history.  Outside of a transaction; t is open,
 * and the files are named after t->copy_token.  Used by the copy's
 * coordinator.  False when nobody wants this copy any more: the table is
 * skipped, or has other options.
 */
extern bool pipeline_commit_copy(Pipeline *p, PipelineTable *t, const CopiedTable *copied);

/* Begins a transaction whose WAL our own decoding drops; and ends it, asserting that others can see it. */
extern void pipeline_begin(void);
extern void pipeline_commit(void);

#endif							/* TARN_PIPELINE_FLUSH_H */
