/*-------------------------------------------------------------------------
 *
 * encoder_internal.h
 *	  What the parts of the worker's side of the encoder share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_ENCODER_INTERNAL_H
#define TARN_PIPELINE_ENCODER_INTERNAL_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"
#include "utils/timestamp.h"

#include "pipeline/encoder_shared.h"

/* What a worker knows of its encoder: one a process. */
typedef struct Encoder
{
	dsm_segment *segment;		/* NULL: there is none */
	EncoderShared *shared;
	shm_mq_handle *commands;
	shm_mq_handle *results;
	MemoryContext context;
	List	   *files;			/* of EncoderFile *: known to both sides */
	int32		next_file;
	bool		busy[ENCODER_SLOTS];
	TimestampTz last_used;
} Encoder;

extern Encoder my_encoder;

/* Lets go of it: it ends when it sees that. */
extern void encoder_forget(void);

#endif							/* TARN_PIPELINE_ENCODER_INTERNAL_H */
