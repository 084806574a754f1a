/*-------------------------------------------------------------------------
 *
 * copy_coordinator.h
 *	  State of the coordinator of a copy; private to it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_COPY_COORDINATOR_H
#define TARN_PIPELINE_COPY_COORDINATOR_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"

#include "pipeline/copy_shared.h"

typedef struct CopyJob
{
	PipelineTable *t;
	List	   *files;			/* of IcebergDataFile * */
	List	   *history_files;
	int			ntasks;
	int			ntasks_done;
	uint64		nblocks;
	bool		committed;
	bool		unwanted;		/* and not to be committed */
	int			sqlstate;		/* of the first failure, or 0 */
	char	   *error;
} CopyJob;

typedef struct Coordinator
{
	CopyArgs	args;
	PipelineState *state;
	Pipeline   *p;
	int			njobs;
	CopyJob    *jobs;
	CopyTask   *tasks;
	int			ntasks;
	int			tasks_capacity;
	XLogRecPtr	lsn;			/* S */
	TimestampTz time;			/* when that was */
	char	   *snapshot;		/* name of the exported one; NULL: let go */
	dsm_segment *segment;
	CopyShared *shared;
	int			nworkers;
	BackgroundWorkerHandle *handles[COPY_MAX_WORKERS];
	shm_mq_handle *queues[COPY_MAX_WORKERS];
	bool		ended[COPY_MAX_WORKERS];
	bool		imported[COPY_MAX_WORKERS];
	char	   *trouble;		/* first failure that another try may mend */
	int			trouble_sqlstate;	/* 0: no process reported it */
	bool		unreported;		/* tables committed since the last report */
	TimestampTz last_report;
	MemoryContext context;
} Coordinator;

/*
 * Opens the tables to copy and records the names of their files, in
 * transactions of its own (copy_plan.c): c->jobs.  Tables that cannot be
 * copied are stopped.
 */
extern void copy_plan_tables(Coordinator *c);

/* Removes what a copy has written of a table and nobody has published; the token is forgotten. */
extern void copy_give_up(Pipeline *p, const PipelineTable *t);

/* Block ranges of all jobs, in the exporting transaction after the snapshot was taken: c->tasks. */
extern void copy_plan_tasks(Coordinator *c);

#endif							/* TARN_PIPELINE_COPY_COORDINATOR_H */
