/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Between worker.c and worker_start.c: the steps of a worker's start.
 *
 * Where a step finds that there is nothing to do, or that the pipeline cannot
 * go on, it ends the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_WORKER_H
#define TARN_PIPELINE_WORKER_H

#include "postgres.h"

#include "base/compat.h"
#include "pipeline/launcher.h"
#include "pipeline/pipeline.h"
#include "pipeline/state.h"

/* Takes the pipeline's place on the board, for as long as the process lives. */
extern PipelineState *worker_attach(const WorkerArgs *args);

/* Loads the pipeline's row and opens its lake, in TopMemoryContext. */
extern Pipeline *worker_load(const WorkerArgs *args, PipelineState *state);

/* After crashes: waits, or stops the pipeline when there were too many; then this process counts. */
extern void worker_mark_start(Pipeline *p);

/* Makes the slot of a new pipeline, or checks the one there is. */
extern void worker_prepare_slot(Pipeline *p);

/* Before anything is written to the lake, or removed from it. */
extern void worker_enter_fence(Pipeline *p);

/* Divides memory_limit; returns the bytes that are for column buffers. */
extern size_t worker_divide_memory(const Pipeline *p);

/* The pipeline (NULL: not loaded) is gone: nothing of it stays. */
pg_noreturn extern void worker_leave_for_good(PipelineState *state, Pipeline *p);

/* A new process takes over at once; `owner` is news to the board, or InvalidOid. */
pg_noreturn extern void worker_renew(PipelineState *state, Oid owner);

#endif							/* TARN_PIPELINE_WORKER_H */
