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
 * Has the table in catch-up, and the pipeline, been reached by a flush at
 * this position?  A copy may be ahead of the stream as well as behind it:
 * live is what both have reached.
 */
extern bool pipeline_caught_up(const Pipeline *p, const PipelineTable *t, XLogRecPtr upto);

/*
 * Publishes the copy of a table: replaces whatever the lake table holds by
 * these files, at position `lsn`.  Outside of a transaction; t is open, and
 * the files are named after t->copy_token.  Used by the copy's coordinator.
 */
extern void pipeline_commit_copy(Pipeline *p, PipelineTable *t, XLogRecPtr lsn,
								 const IcebergDataFile *files, int nfiles);

/* Begins a transaction whose WAL our own decoding drops; and ends it, asserting that others can see it. */
extern void pipeline_begin(void);
extern void pipeline_commit(void);

#endif							/* TARN_PIPELINE_FLUSH_H */
