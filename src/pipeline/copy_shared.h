/*-------------------------------------------------------------------------
 *
 * copy_shared.h
 *	  What the processes of one copy share: a DSM segment made by the
 *	  coordinator.
 *
 * Layout: CopyShared, ntables CopyTable, ntasks CopyTask, nworkers queues of
 * COPY_QUEUE_BYTES.  Everything but the atomics is written before the
 * workers start.
 *
 * A worker takes the next task until there is none; consecutive tasks of a
 * table go into the same files.  On its queue it tells, each message
 * beginning with a CopyMessage byte:
 *
 *	IMPORTED			it holds the snapshot
 *	FILE table file		a data file is finished (file_wire.h)
 *	HISTORY table file	the same, of the table's history
 *	DONE table n		n tasks of the table: all their rows are in finished files
 *	FAILED table state text
 *						its tasks of this table are lost
 *	END					nothing more comes
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_COPY_SHARED_H
#define TARN_PIPELINE_COPY_SHARED_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/block.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"

#include "iceberg/manifest.h"
#include "pipeline/pipeline.h"

#define COPY_QUEUE_BYTES 65536
#define COPY_MAX_WORKERS 64
#define COPY_SNAPSHOT_LENGTH 64

/* tarn.copy_workers */
extern int	copy_workers;

typedef enum CopyMessage
{
	COPY_IMPORTED = 'I',
	COPY_FILE = 'F',
	COPY_HISTORY = 'H',
	COPY_DONE = 'D',
	COPY_FAILED = 'E',
	COPY_END = 'Z'
} CopyMessage;

typedef struct CopyTask
{
	int32		table;			/* index into the tables */
	Oid			leaf;			/* the table itself, or a partition */
	BlockNumber first;
	BlockNumber nblocks;
} CopyTask;

typedef struct CopyTable
{
	Oid			relid;
	char		token[TOKEN_LENGTH + 1];
	int32		ntasks;
	bool		own_folder;		/* PipelineTable.own_folder */
	HistoryMode history;		/* which lake tables it goes to */
	uint64		shape;			/* shape_fingerprint(): what the files must have */
	uint64		blocks_total;
	pg_atomic_uint64 blocks_done;
	pg_atomic_uint64 rows;
	pg_atomic_uint32 next_file; /* number of the next file of the token */
	pg_atomic_uint32 failed;	/* others need not go on */
} CopyTable;

typedef struct CopyShared
{
	Oid			database;
	Oid			owner;
	int32		pipeline_id;
	pid_t		coordinator;
	char		snapshot[COPY_SNAPSHOT_LENGTH];
	XLogRecPtr	lsn;			/* what the snapshot shows, and when */
	TimestampTz time;
	uint64		row_group_bytes;	/* limit of a worker's buffers */
	int32		nworkers;
	int32		ntables;
	int32		ntasks;
	pg_atomic_uint32 next_task;
} CopyShared;

static inline CopyTable *
copy_tables(CopyShared *shared)
{
	return (CopyTable *) ((char *) shared + MAXALIGN(sizeof(CopyShared)));
}

static inline CopyTask *
copy_tasks(CopyShared *shared)
{
	return (CopyTask *) ((char *) copy_tables(shared) + MAXALIGN(sizeof(CopyTable) * shared->ntables));
}

static inline char *
copy_queue(CopyShared *shared, int worker)
{
	return (char *) copy_tasks(shared) + MAXALIGN(sizeof(CopyTask) * shared->ntasks) +
		(Size) worker * COPY_QUEUE_BYTES;
}

/* What a copy worker gets in bgw_extra; its main argument is the segment's handle. */
typedef struct CopyWorkerArgs
{
	int32		worker;			/* which queue is mine */
} CopyWorkerArgs;

/* What the coordinator gets. */
typedef struct CopyArgs
{
	Oid			database;
	Oid			owner;
	int32		pipeline_id;
	pid_t		starter;		/* the pipeline's worker */
} CopyArgs;

/* The pipeline with its tables and lake, in a transaction of its own; NULL when it is gone. */
extern Pipeline *copy_load_pipeline(int32 pipeline_id, PipelineState *state, MemoryContext context);

/* Shows this process as the coordinator of the pipeline; false when there is one.  Undone at exit. */
extern bool copy_board_enter(PipelineState *state);
extern void copy_board_show(PipelineState *state, dsm_handle segment);

/*
 * Copies tasks of one table (copy_table.c): from *task on, as long as the
 * tasks that `next` gives are of the same table; *task is then the first
 * that is not, or NULL.  `file_done` is called for each finished file, which
 * is one of the mirror (COPY_FILE) or of the history (COPY_HISTORY).
 * Returns the number of tasks done.  Fails on what is wrong with the table.
 */
typedef struct CopyRun
{
	Pipeline   *pipeline;
	CopyShared *shared;
	void		(*file_done) (CopyMessage kind, int32 table, const IcebergDataFile *file, void *arg);
	void	   *arg;
} CopyRun;

extern int	copy_table_run(const CopyRun *run, const CopyTask **task);

/* The next task of this copy, or NULL. */
extern const CopyTask *copy_next_task(CopyShared *shared);

#endif							/* TARN_PIPELINE_COPY_SHARED_H */
