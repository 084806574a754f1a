/*-------------------------------------------------------------------------
 *
 * encoder_start.c
 *	  The encoder's process, as the worker sees it: when there is one, its
 *	  start and its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "pipeline/encoder.h"
#include "pipeline/encoder_internal.h"
#include "pipeline/session.h"

/* Slots are limit/12, so that both together are a sixth of memory_limit. */
#define SLOT_SHARE 12
#define SLOT_MIN (2 * 1024 * 1024)
#define SLOT_MAX (32 * 1024 * 1024)

/* When there is no process or memory to be had, it is tried again after this. */
#define RETRY_MS 60000

bool		encoder_enabled = true;
Encoder		my_encoder;

static TimestampTz retry_at = 0;

void
encoder_init(void)
{
	DefineCustomBoolVariable("tarn.encoder",
							 "Lets large amounts of rows be encoded by a second process of a pipeline.",
							 "It takes one background worker while there is much to do.",
							 &encoder_enabled, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static size_t
slot_bytes(const Pipeline *p)
{
	size_t		bytes = Min(p->memory_limit / SLOT_SHARE, SLOT_MAX) / 4096 * 4096;

	return bytes < SLOT_MIN ? 0 : bytes;
}

size_t
encoder_memory(const Pipeline *p)
{
	return ENCODER_SLOTS * slot_bytes(p);
}

size_t
encoder_piece_bytes(const Pipeline *p)
{
	size_t		bytes = slot_bytes(p);

	/* less than a slot: alignment, bitmaps */
	return bytes > 0 ? bytes / 16 * 15 : SIZE_MAX;
}

void
encoder_forget(void)
{
	if (my_encoder.segment)
		dsm_detach(my_encoder.segment);
	if (my_encoder.context)
		MemoryContextDelete(my_encoder.context);
	memset(&my_encoder, 0, sizeof(my_encoder));
}

/* A small /dev/shm is a reason to go on alone, not to fail. */
static dsm_segment *
make_segment(Size size)
{
	MemoryContext old = CurrentMemoryContext;
	dsm_segment *volatile segment = NULL;

	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		LWLockReleaseAll();
		FlushErrorState();
	}
	PG_END_TRY();
	if (segment)
		dsm_pin_mapping(segment);
	return segment;
}

static shm_mq_handle *
make_queue(EncoderQueue which, BackgroundWorkerHandle *handle)
{
	shm_mq	   *queue = (shm_mq *) encoder_queue(my_encoder.shared, which);

	if (which == ENCODER_COMMANDS)
		shm_mq_set_sender(queue, MyProc);
	else
		shm_mq_set_receiver(queue, MyProc);
	return shm_mq_attach(queue, my_encoder.segment, handle);
}

static bool
start(Pipeline *p)
{
	MemoryContext old;
	BackgroundWorkerHandle *handle;

	my_encoder.context = AllocSetContextCreate(TopMemoryContext, "tarn encoder", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(my_encoder.context);
	my_encoder.segment = make_segment(encoder_segment_bytes(slot_bytes(p)));
	if (my_encoder.segment)
	{
		my_encoder.shared = dsm_segment_address(my_encoder.segment);
		my_encoder.shared->database = p->database;
		my_encoder.shared->owner = p->owner;
		my_encoder.shared->pipeline_id = p->id;
		my_encoder.shared->worker = MyProcPid;
		my_encoder.shared->slot_bytes = slot_bytes(p);
		(void) shm_mq_create(encoder_queue(my_encoder.shared, ENCODER_COMMANDS), ENCODER_QUEUE_BYTES);
		(void) shm_mq_create(encoder_queue(my_encoder.shared, ENCODER_RESULTS), ENCODER_QUEUE_BYTES);
		handle = session_start("tarn_encoder_main", "tarn encoder", p->name,
							   UInt32GetDatum(dsm_segment_handle(my_encoder.segment)), NULL, 0);
		if (handle)
		{
			my_encoder.commands = make_queue(ENCODER_COMMANDS, handle);
			my_encoder.results = make_queue(ENCODER_RESULTS, handle);
		}
	}
	MemoryContextSwitchTo(old);
	if (my_encoder.results)
	{
		my_encoder.last_used = GetCurrentTimestamp();
		return true;
	}
	encoder_forget();
	retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_MS);
	return false;
}

bool
encoder_available(Pipeline *p)
{
	if (!encoder_enabled || slot_bytes(p) == 0)
		return false;
	if (my_encoder.segment)
		return true;
	return GetCurrentTimestamp() >= retry_at && start(p);
}

void
encoder_wait_gone(PipelineState *state)
{
	for (;;)
	{
		pid_t		pid;

		LWLockAcquire(tarn_shared->lock, LW_SHARED);
		pid = state->encoder_pid;
		LWLockRelease(tarn_shared->lock);
		if (pid == 0)
			return;
		(void) kill(pid, SIGTERM);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
