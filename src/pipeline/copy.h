/*-------------------------------------------------------------------------
 *
 * copy.h
 *	  The initial copy: tables of a pipeline that are not in the lake yet.
 *
 * A coordinator ("tarn copy") makes a temporary slot, whose consistent point
 * S and snapshot belong together; copy workers import the snapshot, share
 * out block ranges, and write data files; when all of a table is written the
 * coordinator commits it to the lake at position S (pipeline_commit_copy),
 * which makes it TABLE_CATCHUP.  The pipeline's worker goes on streaming the
 * other tables all the while.
 *
 * What the pipeline's worker does: calls copy_tend() in its loop while some
 * table is in state `copy`; reads the registry anew when REQUEST_RELOAD
 * comes, which the coordinator raises after each table and at its end.  A
 * table whose values or shape cannot be copied is stopped in the registry;
 * any other failure (storage, lack of processes) is shown as the pipeline's
 * last_error, the table stays in state `copy`, and copy_tend() tries again
 * with back-off.
 *
 * The coordinator ends when the worker that started it is gone.  A table is
 * named by the registry's rows only: what the coordinator needs besides is
 * the pipeline's id.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_COPY_H
#define TARN_PIPELINE_COPY_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/* From _PG_init: tarn.copy_workers, and the board in shared memory. After state_init(). */
extern void copy_init(void);

/*
 * Starts a coordinator for p's tables in state `copy` unless one is running,
 * the last one's back-off is not over, or no background worker is free.
 * Cheap when there is nothing to do.  In the pipeline's worker only.
 */
extern void copy_tend(Pipeline *p);

/* Is one running for this pipeline? */
extern bool copy_running(const PipelineState *state);

/* Ends a running one (DROP, pause) and waits until it and its workers are gone. In the pipeline's worker only. */
extern void copy_stop(PipelineState *state);

/* Entry points of the background workers. */
extern PGDLLEXPORT void tarn_copy_main(Datum arg);
extern PGDLLEXPORT void tarn_copy_worker_main(Datum arg);

#endif							/* TARN_PIPELINE_COPY_H */
