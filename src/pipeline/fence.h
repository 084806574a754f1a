/*-------------------------------------------------------------------------
 *
 * fence.h
 *	  One writer a pipeline (invariant I7): the marker in the lake.
 *
 * A pipeline's row travels with every copy of the database: a base backup, a
 * snapshot of the disk, a standby.  What cannot be copied along is the lake,
 * so the lake says who writes it: one object a pipeline,
 * <warehouse>/_tarn/<slot>.<n>.json, with the system identifier, the
 * timeline, the data directory, a token that the pipeline's row has too, and
 * a position that the lake has reached at least.
 *
 * A worker compares it when it starts, before it removes or writes
 * anything, and again before each commit and removal.
 * What does not fit stops the pipeline, except that the server of a later
 * timeline takes over from that of an earlier one: it was promoted.
 *
 * The marker is replaced by one of the next number, put if absent: of two
 * that replace the same one, one fails.  The one before is removed then,
 * which is how its owner learns of it.
 */
#ifndef TARN_PIPELINE_FENCE_H
#define TARN_PIPELINE_FENCE_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/* What is wrong, and what to do about it. */
typedef struct FenceProblem
{
	char	   *problem;		/* of a message: lower case */
	char	   *hint;			/* a sentence */
} FenceProblem;

/*
 * At the start, outside of a transaction; the slot is usable.  Claims the
 * lake when p->fence is empty, which is so for a new pipeline and after
 * somebody said so (tarn.take_over, tarn.resync).  False: not ours.  An
 * ERROR when there is no marker where one should be.
 */
extern bool fence_enter(Pipeline *p, FenceProblem *problem);

/*
 * Fails when the marker is not ours any more.  Asked when all files of a
 * commit are written: they are where the marker is, and not on what shows
 * through when a disk is gone.
 */
extern void fence_require(Pipeline *p);

/* After a commit: records how far the lake is, once a minute. */
extern void fence_advance(Pipeline *p);

/* The pipeline is gone: so is its marker, if it is ours.  An error becomes a LOG. */
extern void fence_leave(Pipeline *p);

/* Whose marker does a pipeline have?  `fence`: the token that its row had, or "". */
typedef enum FenceMarker
{
	FENCE_NONE,					/* it has none */
	FENCE_OURS,
	FENCE_FOREIGN				/* another server's, or that of the data directory that ours is a copy of */
} FenceMarker;

extern FenceMarker fence_look(Lake *lake, const char *slot, const char *fence);

/* Removes the marker, whosever it is. */
extern void fence_forget(Lake *lake, const char *slot);

/* What tells this data directory from copies of its files. */
extern int64 fence_instance(void);

/*
 * Fails when a pipeline of another server writes into the warehouse.
 * `except`: system identifier of a server that is known to be gone, or 0.
 */
extern void fence_check_warehouse(Lake *lake, uint64 except);

#endif							/* TARN_PIPELINE_FENCE_H */
