/*-------------------------------------------------------------------------
 *
 * encoder.h
 *	  The encoder: a process beside a pipeline's worker that turns sealed
 *	  rows into data files while the worker decodes on.
 *
 * Encoding and compressing a row costs about what decoding it does, so with
 * a process for each a backlog is worked off faster (bench/ingest).  A thread
 * would share the vectors without a copy, but PostgreSQL's memory contexts
 * and errors know none; copying rows to shared memory is cheap beside
 * encoding them.
 *
 * The worker starts the encoder at the first large piece of work and stops
 * it when it has been idle for a while; small flushes never need it.  When
 * it cannot be had (no free background worker, tarn.encoder off, a small
 * memory_limit) the worker encodes by itself, with the same files as the
 * result.
 *
 * A file is opened, gets rows, is finished; its manifest entry comes back
 * later.  Files are written in the order of calls.  An error in the encoder
 * is raised in the worker by whichever call hears of it, and ends both, as
 * every error does; a worker that starts waits until the encoder of its
 * predecessor is gone (encoder_wait_gone), so that no file is made behind
 * its back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_ENCODER_H
#define TARN_PIPELINE_ENCODER_H

#include "postgres.h"

#include "pipeline/pipeline.h"

typedef struct EncoderFile EncoderFile;

/* tarn.encoder */
extern bool encoder_enabled;

/* After an error that the encoder met: the table whose file it was at, or InvalidOid. */
extern Oid	encoder_failed_relid;

/* From _PG_init: the GUC. */
extern void encoder_init(void);

/* Bytes of shared memory that an encoder takes for rows; 0: memory_limit is too small for one. */
extern size_t encoder_memory(const Pipeline *p);

/* Rows of this many bytes are worth a hand-over; SIZE_MAX when memory_limit is too small for an encoder. */
extern size_t encoder_piece_bytes(const Pipeline *p);

/* Shall there be an encoder now, and is there one, or can one be started? */
extern bool encoder_available(Pipeline *p);

/* A new file of the table; its manifest entry will live in `context`. */
extern EncoderFile *encoder_open(Pipeline *p, PipelineTable *t, const char *path, MemoryContext context);

/*
 * Appends rows first..last-1 of the vectors, those with a bit in `rows` when
 * it is not NULL; the vectors are copied.  Waits while the encoder is
 * behind.  Returns the row after the last that was taken: less than `last`
 * when a row alone is too large to hand over.  `first` is a multiple of 64.
 */
extern uint32 encoder_append(EncoderFile *f, ColumnVector *const *columns,
							 uint32 first, uint32 last, const uint64 *rows);

extern const char *encoder_file_path(const EncoderFile *f);
extern uint64 encoder_file_rows(const EncoderFile *f);
extern uint64 encoder_file_bytes(const EncoderFile *f); /* of vectors */

/* No more rows; does not wait. */
extern void encoder_finish(EncoderFile *f);

/* Waits for a finished file.  The handle is freed. */
extern IcebergDataFile *encoder_result(EncoderFile *f);

/* Gives a file up: nothing of it stays in the store.  The handle is freed. */
extern void encoder_abandon(EncoderFile *f);

/* Called now and then: raises what the encoder failed with, ends one that has had nothing to do for a while. */
extern void encoder_rest(void);

/* Waits until no encoder of the pipeline is left. */
extern void encoder_wait_gone(PipelineState *state);

/* Entry point of the background worker. */
extern PGDLLEXPORT void tarn_encoder_main(Datum arg);

#endif							/* TARN_PIPELINE_ENCODER_H */
