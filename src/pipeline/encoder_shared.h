/*-------------------------------------------------------------------------
 *
 * encoder_shared.h
 *	  What a worker and its encoder share: a DSM segment made by the worker.
 *
 * Layout: EncoderShared, the queue of commands, the queue of results,
 * ENCODER_SLOTS slots of slot_bytes.  While the encoder works on the rows of
 * one slot the worker fills the other.
 *
 * Messages begin with the kind's byte; the rest is of file_wire.h.
 *
 * Worker to encoder:
 *	OPEN file, table, path, writer options, columns
 *	ROWS file, slot, nrows	rows lie in the slot (encoder_slot.c)
 *	FINISH file
 *	ABANDON file
 *
 * Encoder to worker:
 *	FREE slot			its rows are encoded
 *	FILE file, entry	a finished file
 *	FAILED table, state, message, detail	the last message
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_ENCODER_SHARED_H
#define TARN_PIPELINE_ENCODER_SHARED_H

#include "postgres.h"

#include "storage/dsm.h"
#include "storage/shm_mq.h"

#include "column/vector.h"

#define ENCODER_SLOTS 2
#define ENCODER_QUEUE_BYTES (256 * 1024)

typedef enum EncoderMessage
{
	ENCODER_OPEN = 'O',
	ENCODER_ROWS = 'R',
	ENCODER_FINISH = 'F',
	ENCODER_ABANDON = 'X',
	ENCODER_FREE = 'S',
	ENCODER_FILE = 'D',
	ENCODER_FAILED = 'E'
} EncoderMessage;

typedef struct EncoderShared
{
	Oid			database;
	Oid			owner;
	int32		pipeline_id;
	pid_t		worker;
	uint64		slot_bytes;
} EncoderShared;

typedef enum EncoderQueue
{
	ENCODER_COMMANDS,
	ENCODER_RESULTS
} EncoderQueue;

static inline char *
encoder_queue(EncoderShared *shared, EncoderQueue which)
{
	return (char *) shared + MAXALIGN(sizeof(EncoderShared)) + (Size) which * ENCODER_QUEUE_BYTES;
}

static inline char *
encoder_slot(EncoderShared *shared, int slot)
{
	return encoder_queue(shared, ENCODER_RESULTS) + ENCODER_QUEUE_BYTES + (Size) slot * shared->slot_bytes;
}

static inline Size
encoder_segment_bytes(Size slot_bytes)
{
	return MAXALIGN(sizeof(EncoderShared)) + 2 * ENCODER_QUEUE_BYTES + ENCODER_SLOTS * slot_bytes;
}

/* Bytes of a slot that rows first..last-1 take; `bitmap`: with a bitmap of rows. */
extern Size encoder_rows_bytes(ColumnVector *const *columns, int ncolumns,
							   uint32 first, uint32 last, bool bitmap);

/* Copies them to a slot that has room.  `first` is a multiple of 64. */
extern void encoder_rows_put(char *slot, ColumnVector *const *columns, int ncolumns,
							 uint32 first, uint32 last, const uint64 *rows);

/*
 * Views of the rows in a slot: `columns` have their type, layout and width,
 * and point into the slot afterwards.  *rows is the bitmap or NULL.
 */
extern void encoder_rows_get(char *slot, ColumnVector *columns, int ncolumns,
							 uint32 nrows, const uint64 **rows);

#endif							/* TARN_PIPELINE_ENCODER_SHARED_H */
