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

#include "access/xact.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "replication/snapbuild.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "pipeline/copy.h"
#include "pipeline/copy_coordinator.h"
#include "pipeline/copy_shared.h"
#include "pipeline/crash_mark.h"
#include "pipeline/file_wire.h"
#include "pipeline/flush.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/session.h"
#include "pipeline/shape.h"
#include "pipeline/stream.h"

/* The pipeline's worker is told of finished tables this often. */
#define COPY_REPORT_MS 2000

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

	snprintf(name, sizeof(name), "tarn_copy_%d_%d", c->p->id, MyProcPid);
	ctx = stream_begin_slot(name, true, c->context);
	show_wait(c);
	DecodingContextFindStartpoint(ctx);
	state_set_detail(c->state, "%s", "");
	c->lsn = MyReplicationSlot->data.confirmed_flush;
	c->time = GetCurrentTimestamp();
	c->snapshot = MemoryContextStrdup(c->context, SnapBuildExportSnapshot(ctx->snapshot_builder));
	FreeDecodingContext(ctx);
	/* ephemeral: this drops it; the snapshot is held by our transaction now */
	ReplicationSlotRelease();
	InvalidateSystemCaches();
	MemoryContextSwitchTo(c->context);
	FAILPOINT("copy-snapshot");
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
	header.lsn = c->lsn;
	header.time = c->time;
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
		tables[i].own_folder = c->jobs[i].t->own_folder;
		tables[i].history = c->jobs[i].t->write.history;
		tables[i].shape = shape_fingerprint(c->jobs[i].t->shape);
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
		shm_mq	   *queue = shm_mq_create(copy_queue(c->shared, i), COPY_QUEUE_BYTES);
		c->handles[i] = session_start("tarn_copy_worker_main", "tarn copy worker", c->p->name,
									  UInt32GetDatum(dsm_segment_handle(c->segment)), &args, sizeof(args));
		if (c->handles[i] == NULL)
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
	CopyMessage kind;
	CopyJob    *job;
	IcebergDataFile *file;

	cursor_init(&in, data, size, "message of a copy worker", NULL, 0);
	kind = (CopyMessage) cursor_u8(&in);
	switch (kind)
	{
		case COPY_IMPORTED:
			c->imported[worker] = true;
			break;
		case COPY_FILE:
		case COPY_HISTORY:
			job = read_job(c, &in);
			file = palloc(sizeof(IcebergDataFile));
			wire_get_file(&in, file);
			if (kind == COPY_FILE)
				job->files = lappend(job->files, file);
			else
			{
				/* the message has no partition: they all are of this day */
				history_copied_file(file, c->time);
				job->history_files = lappend(job->history_files, file);
			}
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

/* The stream goes on for the table from S: is it still kept?  Not when somebody began the pipeline anew. */
static void
check_slot(const Coordinator *c)
{
	char	   *problem;

	if (!stream_slot_usable(c->p->slot, c->lsn, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem)));
}

static IcebergDataFile *
file_array(const List *files)
{
	IcebergDataFile *array = palloc(sizeof(IcebergDataFile) * Max(list_length(files), 1));
	ListCell   *lc;

	foreach(lc, files)
		array[foreach_current_index(lc)] = *(IcebergDataFile *) lfirst(lc);
	return array;
}

/* What the worker waits for with changes (worker.c) holds for copies, too: the lake is never ahead of a standby. */
static void
wait_for_standbys(Coordinator *c)
{
	if (compat_standbys_have(c->lsn))
		return;
	state_set_detail(c->state, STATE_WAITS_FOR_STANDBYS);
	while (!compat_standbys_have(c->lsn))
	{
		coordinator_check_starter(c);
		session_reload();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	state_set_detail(c->state, "%s", "");
}

static void
commit_table(Coordinator *c, CopyJob *job)
{
	CopiedTable copied = {
		.lsn = c->lsn,.time = c->time,
		.files = file_array(job->files),.nfiles = list_length(job->files),
		.history_files = file_array(job->history_files),.nhistory_files = list_length(job->history_files),
		.next_file = (int) pg_atomic_read_u32(&copy_tables(c->shared)[job - c->jobs].next_file)
	};

	wait_for_standbys(c);
	check_slot(c);
	if (pipeline_commit_copy(c->p, job->t, &copied))
		job->committed = true;
	else
		job->unwanted = true;
	MemoryContextSwitchTo(c->context);
	pfree(unconstify(IcebergDataFile *, copied.files));
	pfree(unconstify(IcebergDataFile *, copied.history_files));
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

		if (!job->committed && !job->unwanted && job->sqlstate == 0 && job->ntasks_done == job->ntasks)
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
		copy_give_up(c->p, job->t);
		MemoryContextSwitchTo(c->context);
		if (job->sqlstate != 0 && is_final(job->sqlstate))
		{
			pipeline_begin();
			registry_stop_table(c->p->id, job->t->relid, job->error);
			pipeline_commit();
			MemoryContextSwitchTo(c->context);
		}
		else if (job->sqlstate != 0 && c->trouble == NULL)
		{
			c->trouble = job->error;
			c->trouble_sqlstate = job->sqlstate;
		}
	}
	if (c->trouble != NULL)
		ereport(ERROR,
				(errcode(c->trouble_sqlstate ? c->trouble_sqlstate : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", c->trouble)));
	c->state->copy_told.n = 0;
}

static void
coordinate(Coordinator *c)
{
	c->p = copy_load_pipeline(c->args.pipeline_id, c->state, c->context);
	if (c->p == NULL)
		return;
	copy_plan_tables(c);
	if (c->njobs == 0)
		return;
	export_snapshot(c);
	copy_plan_tasks(c);
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
	char	   *text = session_error_text(edata);

	replorigin_session_origin = InvalidRepOriginId;
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	if (state_tell(&c->state->copy_told, edata))
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
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	c->state = state_find(c->args.database, c->args.pipeline_id);
	if (c->state == NULL || !copy_board_enter(c->state))
		proc_exit(0);
	before_shmem_exit(coordinator_exit, (Datum) 0);
	BackgroundWorkerInitializeConnectionByOid(c->args.database, c->args.owner, 0);
	session_settle();
	crash_mark_set(c->args.database, c->args.pipeline_id);
	MemoryContextSwitchTo(context);

	PG_TRY();
	{
		coordinate(c);
	}
	PG_CATCH();
	{
		report_failure(c, session_take_error(context));
	}
	PG_END_TRY();
	proc_exit(0);
}
