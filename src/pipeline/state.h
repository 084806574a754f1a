/*-------------------------------------------------------------------------
 *
 * state.h
 *	  What the processes of all pipelines tell each other: shared memory.
 *
 * One PipelineState a pipeline, in a fixed array (tarn.max_pipelines).  It
 * is a notice board, not the truth: everything that must survive lives in
 * the tables of schema tarn and in the lake.  After a crash of the server the
 * board is empty, and the launcher fills it from the databases.
 *
 * Locking: TarnShared.lock (LWLock) for the entries' use, identity and
 * texts; the counters and positions are written by the pipeline's worker
 * alone and read without it (each is one machine word).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_STATE_H
#define TARN_PIPELINE_STATE_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define STATE_ERROR_LENGTH 1024
#define STATE_DETAIL_LENGTH 128
#define STATE_MAX_SCOUTS 32
#define STATE_MAX_TOLD 8
#define STATE_MAX_REMOVERS 32

typedef enum PipelineActivity
{
	PIPELINE_STARTING,
	PIPELINE_STREAMING,
	PIPELINE_COPYING,
	PIPELINE_FLUSHING,
	PIPELINE_BACKOFF,			/* no worker; the launcher waits until restart_at */
	PIPELINE_STOPPED,			/* no worker; somebody must act */
	PIPELINE_PAUSED
} PipelineActivity;

extern const char *const pipeline_activity_names[];

/* What others want of the worker or the launcher; bits of PipelineState.requests. */
#define REQUEST_RELOAD 1		/* the pipeline's row changed */
#define REQUEST_LET_GO 2		/* leave the database now (DROP DATABASE); the launcher starts it again later */
#define REQUEST_DROP 4			/* the pipeline is gone: drop the slot and forget it */

/* Kinds of failures that the log has since things last went well. */
typedef struct ToldFailures
{
	int			n;
	uint32		kinds[STATE_MAX_TOLD];
} ToldFailures;

typedef struct PipelineState
{
	bool		used;
	Oid			database;
	int32		pipeline_id;
	Oid			owner;
	NameData	name;
	NameData	slot;
	bool		enabled;		/* a worker should run */

	pid_t		pid;			/* of the worker, 0: none */
	pid_t		encoder_pid;	/* of its encoder, or its predecessor's; 0: none */
	struct Latch *latch;		/* of the worker, NULL: none */
	PipelineActivity activity;
	pg_atomic_uint32 requests;

	/* the launcher's */
	TimestampTz restart_at;
	int			failures;		/* in a row */
	ToldFailures told;			/* of those */
	ToldFailures copy_told;		/* the same of copies; their coordinator's */
	bool		wal_alert;		/* the slot keeps more WAL than tarn.wal_alert, and the log says so */

	/* positions */
	XLogRecPtr	received;		/* decoded up to here */
	XLogRecPtr	committed;		/* all before is in the lake, of every live table */
	XLogRecPtr	confirmed;
	TimestampTz committed_time; /* commit time of the last transaction in the lake */
	TimestampTz oldest_buffered;	/* commit time of the oldest transaction not in the lake; 0: none */
	TimestampTz current_at;		/* when the lake last had all that WAL had; 0: not since the server's start */
	TimestampTz last_flush;

	/* flush on request: the caller raises `wanted` and waits on `flushed_cv` until flushed >= wanted */
	pg_atomic_uint64 flush_wanted;
	pg_atomic_uint64 flushed;	/* all committed before this position is in the lake, copies included */
	ConditionVariable flushed_cv;

	/* counters since the server's start */
	uint64		flushes;
	uint64		transactions;
	uint64		inserts;
	uint64		updates;
	uint64		deletes;
	uint64		truncates;
	uint64		buffered_bytes;
	uint64		written_bytes;

	char		detail[STATE_DETAIL_LENGTH];
	char		last_error[STATE_ERROR_LENGTH];
	TimestampTz last_error_at;
} PipelineState;

/* A database where files of what was dropped are to be removed (remover.h). */
typedef struct RemoverState
{
	Oid			database;		/* InvalidOid: this place is free */
	pid_t		pid;			/* of the process that removes them, 0: none */
	bool		asked;			/* somebody dropped more since it last looked */
	bool		resting;		/* only files are left that are kept for tarn.garbage_grace */
	int			failures;		/* in a row */
	TimestampTz start_at;
	ToldFailures told;			/* of those */
} RemoverState;

typedef struct TarnShared
{
	LWLock	   *lock;
	pid_t		launcher_pid;
	struct Latch *launcher_latch;
	Oid			scouts[STATE_MAX_SCOUTS];	/* databases whose pipelines the launcher shall look up anew */
	int			nscouts;
	bool		scout_all;
	RemoverState removers[STATE_MAX_REMOVERS];
	bool		out_of_workers; /* the last process that the launcher wanted could not be started */
	int			npipelines;		/* length of the array */
	PipelineState pipelines[FLEXIBLE_ARRAY_MEMBER];
} TarnShared;

/* NULL when the library was not loaded through shared_preload_libraries. */
extern TarnShared *tarn_shared;
extern int	tarn_max_pipelines;
extern int	tarn_garbage_grace;	/* seconds a file that no current snapshot references is kept */

/* From _PG_init: GUCs, shared memory requests and hooks. */
extern void state_init(void);

/* The board's entry, or NULL.  Entries are freed by state_forget only. */
extern PipelineState *state_find(Oid database, int32 pipeline_id);

/* Finds or makes the entry and sets identity; fails when the board is full (hint: tarn.max_pipelines). */
extern PipelineState *state_register(Oid database, int32 pipeline_id, Oid owner,
									 const char *name, const char *slot, bool enabled);
extern void state_forget(PipelineState *state);

/* Raise a request and wake the worker, and the launcher. */
extern void state_request(PipelineState *state, uint32 request);
extern void state_wake_launcher(void);

/* Ask the launcher to look up the pipelines of a database: now, or whenever it wakes up. */
extern void state_scout(Oid database);
extern void state_want_scout(Oid database);

#define STATE_WAITS_FOR_STANDBYS "waiting for the standbys of synchronized_standby_slots"

/* Texts under the lock. */
extern void state_set_detail(PipelineState *state, const char *fmt,...) pg_attribute_printf(2, 3);
extern void state_set_error(PipelineState *state, const char *message);

/*
 * Shall the log have this failure?  A line for each kind an episode: the texts
 * of one kind differ in what they name, a file of another name each time.
 */
extern bool state_tell(ToldFailures *told, const ErrorData *edata);

#endif							/* TARN_PIPELINE_STATE_H */
