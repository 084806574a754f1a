/*-------------------------------------------------------------------------
 *
 * evolve.h
 *	  Changes of a source table's shape, in their place of the stream.
 *
 * Rows that came before go to files of the old shape, which stay what they
 * are: readers take fields by id, and what a file lacks is null.  Rows that
 * come after are buffered in the new one, and the next flush commits the
 * schema along with both.  Before that commit nothing of it is durable, and a
 * restart decodes the same again.
 *
 * A change that cannot be followed so voids what the batch has of the table,
 * and has it copied anew from the next flush on; readers keep the lake table
 * as it was until the copy is complete, and the other tables go on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_EVOLVE_H
#define TARN_PIPELINE_EVOLVE_H

#include "postgres.h"

#include "pipeline/batch.h"
#include "pipeline/shape.h"

/* Takes a description from the stream: the table's columns are set, and evolve, or the table is marked. */
extern void evolve_described(Batch *batch, PipelineTable *t, const DecodeTxn *txn, XLogRecPtr lsn,
							 const DecodeRelation *rel);

/* Writes what is buffered, and goes on with these columns, which transactions have from `since` on. */
extern void evolve_reshape(Batch *batch, PipelineTable *t, const ShapeColumns *columns, XLogRecPtr since);

/*
 * Marks the table to be copied anew.  What the batch has of it is void, since
 * it may be the first part of a transaction; or, with `keep`, all that there
 * is to have.  Its history goes on up to the commits that end at `left`.
 */
extern void evolve_copy_anew(PipelineTable *t, const char *reason, bool keep, XLogRecPtr left);

/* Marks the table to be stopped, by something in this transaction. */
extern void evolve_stop(PipelineTable *t, const char *reason, const DecodeTxn *txn);

/* Before a transaction that cannot be followed: the last position for `left`. */
#define EVOLVE_BEFORE(txn) ((txn)->end_lsn - 1)

/* Rows that the old key index marked dead before the key changed: to be marked in a new one. */
typedef struct KilledRows
{
	char	   *path;
	uint64	   *positions;
	uint64		n;
} KilledRows;

/*
 * The flush's part.  evolve_discard: what a table to be copied, or stopped, had
 * written becomes garbage, but for its history.  evolve_commit: names, states and log lines, in the flush's
 * transaction; evolve_adopt: the same in memory, when it has committed.
 */
extern void evolve_discard(PipelineTable *t, List **garbage);
extern void evolve_commit(Pipeline *p, XLogRecPtr upto);
extern void evolve_adopt(Pipeline *p, XLogRecPtr upto);

/*
 * Tables (of PipelineTable *) that were renamed: registry, catalog and memory,
 * in the caller's transaction.  A lake table that had its source's name
 * follows it, unless another lake table is in the way.
 */
extern void evolve_rename(Pipeline *p, List *renamed);

/* Has the stream, at this position, left the table behind? */
extern bool evolve_has_left(const PipelineTable *t, XLogRecPtr upto);

#endif							/* TARN_PIPELINE_EVOLVE_H */
