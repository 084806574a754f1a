/*-------------------------------------------------------------------------
 *
 * crash_mark.h
 *	  How often in a row a pipeline's processes crashed.
 *
 * An error ends a worker in an orderly way, and the notice board knows how
 * long to wait.  A crash takes the whole server through a restart, and the
 * board with it: what crashes on the same record each time would do so for
 * ever, without a pause.  So each process of a pipeline keeps a file beside
 * the key index for as long as it lives.  It removes the file when it ends,
 * also when the server ends it because another one crashed: files of
 * processes that are gone are crashes.  They go when the pipeline has come to
 * something.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_CRASH_MARK_H
#define TARN_PIPELINE_CRASH_MARK_H

#include "postgres.h"

/* After so many the worker is not started any more. */
#define CRASH_MARKS_MAX 6

/* This process works for the pipeline, from now until it ends. */
extern void crash_mark_set(Oid database, int32 pipeline_id);

/* Crashes since the marks were removed last; milliseconds to wait after so many. */
extern int	crash_marks_count(Oid database, int32 pipeline_id);
extern long crash_marks_pause_ms(int crashes);

/* The pipeline came to something, or somebody says that it should be tried again. */
extern void crash_marks_remove(Oid database, int32 pipeline_id);

#endif							/* TARN_PIPELINE_CRASH_MARK_H */
