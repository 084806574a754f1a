/*-------------------------------------------------------------------------
 *
 * copy_worker.c
 *	  A copy worker: imports the snapshot and works through the tasks.
 *
 * What goes wrong with one table must not end the others' copy, but an error
 * would end the transaction that holds the snapshot: each table is copied in
 * a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/failpoint.h"
#include "pipeline/copy.h"
#include "pipeline/copy_shared.h"
#include "pipeline/crash_mark.h"
#include "pipeline/file_wire.h"
#include "pipeline/session.h"

typedef struct CopyWorker
{
	CopyShared *shared;
	shm_mq_handle *queue;
	CopyRun		run;
	const CopyTask *task;		/* at hand; NULL: none is left */
	MemoryContext table_context;
} CopyWorker;

static void
copy_send(CopyWorker *w, StringInfo message)
{
	/* otherwise the coordinator is gone, and with it the purpose */
	if (shm_mq_send(w->queue, message->len, message->data, false, true) != SHM_MQ_SUCCESS)
		proc_exit(0);
}

static void
copy_message(StringInfo out, CopyMessage kind)
{
	initStringInfo(out);
	appendStringInfoChar(out, (char) kind);
}

static void
copy_put_int32(StringInfo out, int32 value)
{
	appendBinaryStringInfo(out, (const char *) &value, sizeof(value));
}

static void
copy_file_done(CopyMessage kind, int32 table, const IcebergDataFile *file, void *arg)
{
	StringInfoData message;

	copy_message(&message, kind);
	copy_put_int32(&message, table);
	wire_put_file(&message, file);
	copy_send(arg, &message);
	pfree(message.data);
}

static void
copy_send_done(CopyWorker *w, int32 table, int32 ntasks)
{
	StringInfoData message;

	copy_message(&message, COPY_DONE);
	copy_put_int32(&message, table);
	copy_put_int32(&message, ntasks);
	copy_send(w, &message);
	pfree(message.data);
}

static void
copy_send_failed(CopyWorker *w, int32 table, const ErrorData *edata)
{
	StringInfoData message;

	copy_message(&message, COPY_FAILED);
	copy_put_int32(&message, table);
	copy_put_int32(&message, edata->sqlerrcode);
	appendStringInfoString(&message, session_error_text(edata));
	appendStringInfoChar(&message, '\0');
	copy_send(w, &message);
	pfree(message.data);
}

static void
copy_send_plain(CopyWorker *w, CopyMessage kind)
{
	StringInfoData message;

	copy_message(&message, kind);
	copy_send(w, &message);
	pfree(message.data);
}

/* Passes over the tasks of a table that failed. */
static void
copy_skip(CopyWorker *w, int32 table)
{
	while (w->task != NULL && w->task->table == table)
		w->task = copy_next_task(w->shared);
}

/*
 * Copies what comes of one table, from w->task on, which is then the first
 * of another.  The subtransaction is rolled back in any case: nothing was
 * written, and that lets go of the table's locks.
 */
static void
copy_one_table(CopyWorker *w)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int32		table = w->task->table;
	volatile int ntasks = 0;
	ErrorData  *volatile edata = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(w->table_context);
	PG_TRY();
	{
		ntasks = copy_table_run(&w->run, &w->task);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		edata = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;

	if (edata != NULL)
	{
		pg_atomic_write_u32(&copy_tables(w->shared)[table].failed, 1);
		copy_send_failed(w, table, edata);
		FreeErrorData(edata);
		copy_skip(w, table);
	}
	else
		copy_send_done(w, table, ntasks);

	/* closes files and aborts uploads that an error left open */
	MemoryContextReset(w->table_context);
}

static void
copy_work(CopyWorker *w)
{
	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	ImportSnapshot(w->shared->snapshot);
	PushActiveSnapshot(GetTransactionSnapshot());
	copy_send_plain(w, COPY_IMPORTED);
	FAILPOINT("copy-imported");

	w->task = copy_next_task(w->shared);
	while (w->task != NULL)
	{
		if (pg_atomic_read_u32(&copy_tables(w->shared)[w->task->table].failed) != 0)
			copy_skip(w, w->task->table);
		else
			copy_one_table(w);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	copy_send_plain(w, COPY_END);
}

void
tarn_copy_worker_main(Datum arg)
{
	CopyWorkerArgs args;
	CopyWorker	w;
	dsm_segment *segment;
	shm_mq	   *queue;

	memset(&w, 0, sizeof(w));
	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		proc_exit(0);
	dsm_pin_mapping(segment);
	w.shared = dsm_segment_address(segment);
	queue = (shm_mq *) copy_queue(w.shared, args.worker);
	shm_mq_set_sender(queue, MyProc);
	w.queue = shm_mq_attach(queue, segment, NULL);

	BackgroundWorkerInitializeConnectionByOid(w.shared->database, w.shared->owner, 0);
	session_settle();
	crash_mark_set(w.shared->database, w.shared->pipeline_id);
	w.run.pipeline = copy_load_pipeline(w.shared->pipeline_id, NULL, TopMemoryContext);
	if (w.run.pipeline == NULL)
		proc_exit(0);
	session_keep_memory(w.run.pipeline->memory_limit);
	w.run.shared = w.shared;
	w.run.file_done = copy_file_done;
	w.run.arg = &w;
	w.table_context = AllocSetContextCreate(TopMemoryContext, "tarn copy table", ALLOCSET_DEFAULT_SIZES);
	copy_work(&w);
	proc_exit(0);
}
