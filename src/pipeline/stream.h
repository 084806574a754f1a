/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  The slot and its decoding, in this process: WAL -> sink.
 *
 * One slot a process.  Decoding runs outside of a transaction; catalog access
 * in between goes through pipeline_begin/pipeline_commit, which throw the
 * caches away at each border.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_STREAM_H
#define TARN_PIPELINE_STREAM_H

#include "postgres.h"

#include "replication/logical.h"

#include "decode/sink.h"

/*
 * Begins to make a slot, for DecodingContextFindStartpoint() to go on with.
 * It is ephemeral: unless the caller persists it, an error or its release
 * leave nothing behind.  A full snapshot is one that can be exported.
 */
extern LogicalDecodingContext *stream_begin_slot(const char *slot, bool need_full_snapshot,
												 MemoryContext context);

/* Makes the slot (durable when it returns); its start position.  Waits for running transactions. */
extern XLogRecPtr stream_create_slot(const char *slot);

/*
 * Does the slot exist, with our plugin, in this database, not invalidated,
 * and not beyond `lsn`, which is what the lake has?  *problem says what is wrong.
 */
extern bool stream_slot_usable(const char *slot, XLogRecPtr lsn, char **problem);

/* May a slot of this name be dropped as one of ours: is there none, or one that we made? */
extern bool stream_slot_ours(const char *slot);
extern void stream_drop_slot(const char *slot, bool missing_ok);

/* Acquires the slot and begins to decode: commits before `start` are skipped. */
extern void stream_open(const char *slot, List *publications, ChangeSink *sink, XLogRecPtr start);
extern void stream_close(void);

/*
 * Decodes what there is, but no longer than until `deadline`, and not past a
 * transaction that set *stop: true when there is more.  *position: all
 * commits before it were handed to the sink.
 */
extern bool stream_read(TimestampTz deadline, const bool *stop, XLogRecPtr *position);

/* Tells the slot that all before `lsn` is in the lake. */
extern void stream_confirm(XLogRecPtr lsn);

#endif							/* TARN_PIPELINE_STREAM_H */
