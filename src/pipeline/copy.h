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
 * The pipeline's worker calls copy_launch() while some table is in state
 * `copy`, and reads the registry anew when the process has ended, or when
 * REQUEST_RELOAD comes, which the coordinator raises as tables are done.  A
 * table whose values, shape or rights do not allow a copy is stopped in the
 * registry; any other failure (storage, lack of processes) is shown as the
 * pipeline's last_error, and the table stays in state `copy`: it is for the
 * worker to try again, with back-off.
 *
 * The coordinator ends by itself within a second when the worker that
 * started it is gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_COPY_H
#define TARN_PIPELINE_COPY_H

#include "postgres.h"

#include "postmaster/bgworker.h"

#include "pipeline/pipeline.h"

/* GUC tarn.copy_workers: processes that copy for one pipeline. */
extern int	copy_workers;

/* From _PG_init, after state_init(): tarn.copy_workers, and the board in shared memory. */
extern void copy_init(void);

/*
 * Starts a coordinator for p's tables in state `copy`, in the pipeline's
 * worker.  NULL when one is still running (left by an earlier worker; it is
 * told to end) or no background worker is free.  The handle is in the
 * current memory context.
 */
extern BackgroundWorkerHandle *copy_launch(Pipeline *p);

/* Is a coordinator still at work in the database?  It is told to end: DROP DATABASE waits for it. */
extern bool copy_running_in(Oid database);

/* The same of one pipeline. */
extern bool copy_stop(PipelineState *state);

/* Entry points of the background workers. */
extern PGDLLEXPORT void tarn_copy_main(Datum arg);
extern PGDLLEXPORT void tarn_copy_worker_main(Datum arg);

#endif							/* TARN_PIPELINE_COPY_H */
