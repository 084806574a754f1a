/*-------------------------------------------------------------------------
 *
 * copy_coordinator.c
 *	  The coordinator of a copy: snapshot, tasks, workers, commits.
 *
 * Order.  Tables are opened and their tokens recorded first, so that no file
 * is written that nobody knows of.  Then a temporary slot finds its
 * consistent point S and exports the snapshot that goes with it; the slot is
 * dropped at once, and the snapshot is let go as soon as the workers hold
 * it, so that the horizon of VACUUM moves with the workers' transactions.
 * Finished files come in over the queues; a table all of whose tasks are
 * done is committed at S.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlogutils.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "replication/snapbuild.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "pipeline/copy.h"
#include "pipeline/copy_shared.h"
#include "pipeline/flush.h"
#include "pipeline/registry.h"
#include "pipeline/tables.h"

/* Blocks of a task: enough of them for an even end, large enough to be cheap. */
#define COPY_TASK_MIN_BLOCKS 256
#define COPY_TASK_MAX_BLOCKS 16384
#define COPY_TASKS_A_WORKER 8

/* The pipeline's worker is told of finished tables this often. */
#define COPY_REPORT_MS 2000

typedef struct CopyJob
{
	PipelineTable *t;
	List	   *files;			/* of IcebergDataFile * */
	int			ntasks;
	int			ntasks_done;
	uint64		nblocks;
	bool		committed;
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
	char	   *snapshot;		/* name of the exported one; NULL: let go */
	dsm_segment *segment;
	CopyShared *shared;
	int			nworkers;
	BackgroundWorkerHandle *handles[COPY_MAX_WORKERS];
	shm_mq_handle *queues[COPY_MAX_WORKERS];
	bool		ended[COPY_MAX_WORKERS];
	bool		imported[COPY_MAX_WORKERS];
	char	   *trouble;		/* first failure that another try may mend */
	bool		unreported;		/* tables committed since the last report */
	TimestampTz last_report;
	MemoryContext context;
} Coordinator;



static Coordinator *coordinator = NULL;

/* Our workers end with us. */
static void
coordinator_exit(int code, Datum arg)
{
	for (int i = 0; i < coordinator->nworkers; i++)
	{
		if (coordinator->handles[i] != NULL)
			TerminateBackgroundWorker(coordinator->handles[i]);
	}
}

/* The worker that started us is gone: what we would finish, nobody waits for. */
static void
coordinator_check_starter(const Coordinator *c)
{
	if (c->state->pid != c->args.starter)
		proc_exit(0);
}

/* May the pipeline's owner read all of the table?  As COPY would ask; the scan itself asks nobody. */
static char *
rights_problem(const PipelineTable *t)
{
	Oid			user = GetUserId();
	char	   *name = quote_qualified_identifier(t->schema, t->table);

	if (pg_class_aclcheck(t->relid, user, ACL_SELECT) != ACLCHECK_OK)
	{
		for (int i = 0; i < t->ncolumns; i++)
		{
			if (pg_attribute_aclcheck(t->relid, t->columns[i].attnum, user, ACL_SELECT) != ACLCHECK_OK)
				return psprintf("permission denied for table %s: the pipeline's owner \"%s\" needs SELECT",
								name, GetUserNameFromId(user, false));
		}
	}
	if (check_enable_rls(t->relid, user, true) == RLS_ENABLED)
		return psprintf("table %s has row-level security that applies to the pipeline's owner \"%s\"",
						name, GetUserNameFromId(user, false));
	return NULL;
}

/* Opens one table and records the name of its files; a table that cannot be copied is stopped. */
static void
prepare_table(Coordinator *c, PipelineTable *t)
{
	char	   *problem = NULL;
	CopyJob    *job = &c->jobs[c->njobs];

	if (pipeline_table_open(c->p, t, &problem))
		problem = rights_problem(t);
	if (problem != NULL)
	{
		registry_stop_table(c->p->id, t->relid, problem);
		return;
	}
	pipeline_table_lake(c->p, t);
	if (t->copy_token[0] != '\0')
		(void) lake_table_remove_token(c->p->lake, t->lake->metadata->location, t->copy_token,
									   t->lake->metadata_location != NULL ? t->lake : NULL);
	registry_new_token(t->copy_token);
	registry_copy_begin(c->p->id, t->relid, t->copy_token);
	job->t = t;
	c->njobs++;
}

static void
prepare_tables(Coordinator *c)
{
	ListCell   *lc;

	c->jobs = palloc0(sizeof(CopyJob) * Max(list_length(c->p->tables), 1));
	pipeline_begin();
	MemoryContextSwitchTo(c->context);
	foreach(lc, c->p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->state == TABLE_COPY)
			prepare_table(c, t);
	}
	pipeline_commit();
	MemoryContextSwitchTo(c->context);
}

/* The slot waits for every transaction that is running now. */
static void
show_wait(Coordinator *c)
{
	TransactionId oldest = GetOldestActiveTransactionId();

	if (TransactionIdPrecedes(oldest, XidFromFullTransactionId(ReadNextFullTransactionId())))
		state_set_detail(c->state, "copy waits for transaction %u to end", oldest);
}

/* Consistent point and snapshot.  Leaves us in the transaction that exports it. */
static void
export_snapshot(Coordinator *c)
{
	LogicalDecodingContext *ctx;
	char		name[NAMEDATALEN];

	CheckLogicalDecodingRequirements();
	snprintf(name, sizeof(name), "tarn_copy_%d_%d", c->p->id, MyProcPid);
	compat_slot_create(name, RS_EPHEMERAL);

	/* inside a transaction: outside, our later commits would be invisible to others */
	StartTransactionCommand();
	MemoryContextSwitchTo(c->context);
	ctx = CreateInitDecodingContext("tarn", NIL, true, InvalidXLogRecPtr,
									XL_ROUTINE(.page_read = read_local_xlog_page,
											   .segment_open = wal_segment_open,
											   .segment_close = wal_segment_close),
									NULL, NULL, NULL);
	CommitTransactionCommand();
	MemoryContextSwitchTo(c->context);

	show_wait(c);
	DecodingContextFindStartpoint(ctx);
	state_set_detail(c->state, "%s", "");
	c->lsn = MyReplicationSlot->data.confirmed_flush;
	c->snapshot = MemoryContextStrdup(c->context, SnapBuildExportSnapshot(ctx->snapshot_builder));
	FreeDecodingContext(ctx);
	/* ephemeral: this drops it; the snapshot is held by our transaction now */
	ReplicationSlotRelease();
	InvalidateSystemCaches();
	MemoryContextSwitchTo(c->context);
	FAILPOINT("copy-snapshot");
}

static void
add_task(Coordinator *c, int job, Oid leaf, BlockNumber first, BlockNumber nblocks)
{
	CopyTask   *task;

	if (c->ntasks == c->tasks_capacity)
	{
		c->tasks_capacity = Max(64, c->tasks_capacity * 2);
		c->tasks = c->tasks != NULL ?
			repalloc_huge(c->tasks, sizeof(CopyTask) * c->tasks_capacity) :
			MemoryContextAllocHuge(c->context, sizeof(CopyTask) * c->tasks_capacity);
	}
	task = &c->tasks[c->ntasks++];
	task->table = job;
	task->leaf = leaf;
	task->first = first;
	task->nblocks = nblocks;
	c->jobs[job].ntasks++;
}

/*
 * The block ranges of one leaf.  All that the snapshot sees lies below the
 * end as it is now.  Other access methods than heap have no block ranges.
 */
static void
add_leaf(Coordinator *c, int job, Oid relid)
{
	Relation	rel = try_table_open(relid, AccessShareLock);
	BlockNumber nblocks;
	BlockNumber step;

	if (rel == NULL)
		return;
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
	{
		if (rel->rd_tableam != NULL)
			add_task(c, job, relid, 0, InvalidBlockNumber);
		table_close(rel, AccessShareLock);
		return;
	}
	nblocks = RelationGetNumberOfBlocks(rel);
	table_close(rel, AccessShareLock);
	step = Min(Max(nblocks / (copy_workers * COPY_TASKS_A_WORKER), COPY_TASK_MIN_BLOCKS), COPY_TASK_MAX_BLOCKS);
	c->jobs[job].nblocks += nblocks;
	for (BlockNumber first = 0; first < nblocks; first += Min(step, nblocks - first))
		add_task(c, job, relid, first, Min(step, nblocks - first));
}

/* In the exporting transaction, after the snapshot was taken. */
static void
make_tasks(Coordinator *c)
{
	for (int i = 0; i < c->njobs; i++)
	{
		Oid			relid = c->jobs[i].t->relid;

		if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		{
			List	   *leaves = find_all_inheritors(relid, AccessShareLock, NULL);
			ListCell   *lc;

			foreach(lc, leaves)
			{
				if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION)
					add_leaf(c, i, lfirst_oid(lc));
			}
		}
		else
			add_leaf(c, i, relid);
	}
}

static void
make_segment(Coordinator *c)
{
	CopyShared	header;
	Size		size;
	CopyTable  *tables;

	memset(&header, 0, sizeof(header));
	header.database = c->args.database;
	header.owner = c->args.owner;
	header.pipeline_id = c->args.pipeline_id;
	header.coordinator = MyProcPid;
	strlcpy(header.snapshot, c->snapshot, sizeof(header.snapshot));
	header.nworkers = Max(1, Min(copy_workers, c->ntasks));
	header.ntables = c->njobs;
	header.ntasks = c->ntasks;
	/* buffers and what the writer makes of them: two row groups a worker */
	header.row_group_bytes = Max((uint64) c->p->memory_limit / (2 * header.nworkers), 1024 * 1024);
	pg_atomic_init_u32(&header.next_task, 0);

	size = copy_queue(&header, header.nworkers) - (char *) &header;
	c->segment = dsm_create(size, 0);
	/* it outlives the exporting transaction */
	dsm_pin_mapping(c->segment);
	c->shared = dsm_segment_address(c->segment);
	memcpy(c->shared, &header, sizeof(header));
	if (c->ntasks > 0)
		memcpy(copy_tasks(c->shared), c->tasks, sizeof(CopyTask) * c->ntasks);
	tables = copy_tables(c->shared);
	for (int i = 0; i < c->njobs; i++)
	{
		tables[i].relid = c->jobs[i].t->relid;
		strlcpy(tables[i].token, c->jobs[i].t->copy_token, sizeof(tables[i].token));
		tables[i].ntasks = c->jobs[i].ntasks;
		tables[i].blocks_total = c->jobs[i].nblocks;
		pg_atomic_init_u64(&tables[i].blocks_done, 0);
		pg_atomic_init_u64(&tables[i].rows, 0);
		pg_atomic_init_u32(&tables[i].next_file, 0);
		pg_atomic_init_u32(&tables[i].failed, 0);
	}
	copy_board_show(c->state, dsm_segment_handle(c->segment));
}

static void
start_workers(Coordinator *c)
{
	for (int i = 0; i < c->shared->nworkers && c->ntasks > 0; i++)
	{
		CopyWorkerArgs args = {i};
		BackgroundWorker worker;
		shm_mq	   *queue = shm_mq_create(copy_queue(c->shared, i), COPY_QUEUE_BYTES);

		memset(&worker, 0, sizeof(worker));
		worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
		worker.bgw_start_time = BgWorkerStart_ConsistentState;
		worker.bgw_restart_time = BGW_NEVER_RESTART;
		worker.bgw_notify_pid = MyProcPid;
		worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(c->segment));
		strlcpy(worker.bgw_library_name, "tarn", BGW_MAXLEN);
		strlcpy(worker.bgw_function_name, "tarn_copy_worker_main", BGW_MAXLEN);
		strlcpy(worker.bgw_type, "tarn copy worker", BGW_MAXLEN);
		snprintf(worker.bgw_name, BGW_MAXLEN, "tarn copy worker %s", c->p->name);
		memcpy(worker.bgw_extra, &args, sizeof(args));
		if (!RegisterDynamicBackgroundWorker(&worker, &c->handles[i]))
			break;
		shm_mq_set_receiver(queue, MyProc);
		c->queues[i] = shm_mq_attach(queue, c->segment, c->handles[i]);
		c->nworkers = i + 1;
	}
	if (c->nworkers == 0 && c->ntasks > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a process to copy tables: all background workers are in use"),
				 errhint("Raise max_worker_processes.")));
}

static int32
read_int32(Cursor *in)
{
	return (int32) cursor_u32le(in);
}

static CopyJob *
read_job(Coordinator *c, Cursor *in)
{
	int32		n = read_int32(in);

	if (n < 0 || n >= c->njobs)
		cursor_fail(in, "table number %d", n);
	return &c->jobs[n];
}

static void
handle_message(Coordinator *c, int worker, const void *data, Size size)
{
	Cursor		in;
	CopyJob    *job;
	IcebergDataFile *file;

	cursor_init(&in, data, size, "message of a copy worker", NULL, 0);
	switch ((CopyMessage) cursor_u8(&in))
	{
		case COPY_IMPORTED:
			c->imported[worker] = true;
			break;
		case COPY_FILE:
			job = read_job(c, &in);
			file = palloc(sizeof(IcebergDataFile));
			copy_wire_read_file(&in, file);
			job->files = lappend(job->files, file);
			break;
		case COPY_DONE:
			job = read_job(c, &in);
			job->ntasks_done += read_int32(&in);
			break;
		case COPY_FAILED:
			job = read_job(c, &in);
			if (job->sqlstate == 0)
			{
				job->sqlstate = read_int32(&in);
				job->error = pnstrdup((const char *) in.pos, cursor_left(&in));
			}
			break;
		case COPY_END:
			c->ended[worker] = true;
			break;
	}
}

/* Takes what the workers say; true when something was there. */
static bool
read_queues(Coordinator *c)
{
	bool		any = false;

	for (int i = 0; i < c->nworkers; i++)
	{
		Size		size;
		void	   *data;
		shm_mq_result result;

		while (!c->ended[i])
		{
			result = shm_mq_receive(c->queues[i], &size, &data, true);
			if (result == SHM_MQ_WOULD_BLOCK)
				break;
			any = true;
			if (result == SHM_MQ_SUCCESS)
			{
				handle_message(c, i, data, size);
				continue;
			}
			/* its tasks are never reported as done: their tables are tried again */
			c->ended[i] = true;
			if (c->trouble == NULL)
				c->trouble = pstrdup("a process that copied tables ended unexpectedly; see the server's log");
		}
	}
	return any;
}

/* All that will ever import the snapshot has done so: let it go, and with it the horizon. */
static void
release_snapshot(Coordinator *c)
{
	if (c->snapshot == NULL)
		return;
	for (int i = 0; i < c->nworkers; i++)
	{
		if (!c->imported[i] && !c->ended[i])
			return;
	}
	SnapBuildClearExportedSnapshot();
	MemoryContextSwitchTo(c->context);
	c->snapshot = NULL;
}

static void
commit_table(Coordinator *c, CopyJob *job)
{
	IcebergDataFile *files = palloc(sizeof(IcebergDataFile) * Max(list_length(job->files), 1));
	ListCell   *lc;

	foreach(lc, job->files)
		files[foreach_current_index(lc)] = *(IcebergDataFile *) lfirst(lc);
	pipeline_commit_copy(c->p, job->t, c->lsn, files, list_length(job->files));
	MemoryContextSwitchTo(c->context);
	pfree(files);
	job->committed = true;
	c->unreported = true;
}

static void
commit_tables(Coordinator *c)
{
	/* the exporting transaction is still open: nothing can be committed yet */
	if (c->snapshot != NULL)
		return;
	for (int i = 0; i < c->njobs; i++)
	{
		CopyJob    *job = &c->jobs[i];

		if (!job->committed && job->sqlstate == 0 && job->ntasks_done == job->ntasks)
			commit_table(c, job);
	}
	if (c->unreported &&
		TimestampDifferenceExceeds(c->last_report, GetCurrentTimestamp(), COPY_REPORT_MS))
	{
		state_request(c->state, REQUEST_RELOAD);
		c->unreported = false;
		c->last_report = GetCurrentTimestamp();
	}
}

static bool
all_ended(const Coordinator *c)
{
	for (int i = 0; i < c->nworkers; i++)
	{
		if (!c->ended[i])
			return false;
	}
	return c->snapshot == NULL;
}

/* Did it come from the table's values or shape?  Then another try would end the same way. */
static bool
is_final(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		category == ERRCODE_FEATURE_NOT_SUPPORTED || category == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

/* What could not be copied: the files go, and the table stops or is tried again. */
static void
settle_failures(Coordinator *c)
{
	for (int i = 0; i < c->njobs; i++)
	{
		CopyJob    *job = &c->jobs[i];

		if (job->committed)
			continue;
		(void) lake_table_remove_token(c->p->lake, job->t->lake->metadata->location, job->t->copy_token,
									   job->t->lake->metadata_location != NULL ? job->t->lake : NULL);
		if (job->sqlstate != 0 && is_final(job->sqlstate))
		{
			pipeline_begin();
			registry_stop_table(c->p->id, job->t->relid, job->error);
			pipeline_commit();
			MemoryContextSwitchTo(c->context);
		}
		else if (job->sqlstate != 0 && c->trouble == NULL)
			c->trouble = job->error;
	}
	if (c->trouble != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", c->trouble)));
}

static void
coordinate(Coordinator *c)
{
	c->p = copy_load_pipeline(c->args.pipeline_id, c->state, c->context);
	if (c->p == NULL)
		return;
	prepare_tables(c);
	if (c->njobs == 0)
		return;
	export_snapshot(c);
	make_tasks(c);
	make_segment(c);
	start_workers(c);
	for (;;)
	{
		bool		any = read_queues(c);

		release_snapshot(c);
		commit_tables(c);
		if (all_ended(c))
			break;
		coordinator_check_starter(c);
		if (!any)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 500, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
		CHECK_FOR_INTERRUPTS();
	}
	settle_failures(c);
}

/* Shows the error; the pipeline's worker notices that we ended and tries again. */
static void
report_failure(Coordinator *c, const ErrorData *edata)
{
	char	   *text = edata->detail != NULL ? psprintf("%s; %s", edata->message, edata->detail) : edata->message;

	AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	replorigin_session_origin = InvalidRepOriginId;
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	if (strcmp(c->state->last_error, text) != 0)
		ereport(LOG,
				(errmsg("copy for pipeline \"%s\" failed and will be tried again: %s",
						NameStr(c->state->name), text)));
	state_set_error(c->state, text);
	state_set_detail(c->state, "%s", "");
}

void
tarn_copy_main(Datum arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "tarn copy", ALLOCSET_DEFAULT_SIZES);
	Coordinator *c = MemoryContextAllocZero(context, sizeof(Coordinator));

	coordinator = c;
	c->context = context;
	memcpy(&c->args, MyBgworkerEntry->bgw_extra, sizeof(c->args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	c->state = state_find(c->args.database, c->args.pipeline_id);
	if (c->state == NULL || !copy_board_enter(c->state))
		proc_exit(0);
	before_shmem_exit(coordinator_exit, (Datum) 0);
	BackgroundWorkerInitializeConnectionByOid(c->args.database, c->args.owner, 0);
	copy_settle_parameters();
	MemoryContextSwitchTo(context);

	PG_TRY();
	{
		coordinate(c);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		report_failure(c, edata);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	proc_exit(0);
}
