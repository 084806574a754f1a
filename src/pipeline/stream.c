/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The slot and its decoding, in this process: WAL -> sink.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "replication/snapbuild.h"
#include "storage/latch.h"
#include "storage/standby.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/inval.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "pipeline/stream.h"

/* Interrupts and the clock are looked at every so many records. */
#define RECORDS_PER_CHECK 128

static LogicalDecodingContext *decoding = NULL;

/*
 * read_local_xlog_page() sleeps in steps of a millisecond when a record
 * reaches past what is flushed; wait on the latch before it gets there.
 */
static int
read_page(XLogReaderState *reader, XLogRecPtr page, int request,
		  XLogRecPtr target, char *buffer)
{
	while (GetFlushRecPtr(NULL) < page + request)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return read_local_xlog_page(reader, page, request, target, buffer);
}

#define READER_ROUTINE XL_ROUTINE(.page_read = read_page, \
								  .segment_open = wal_segment_open, \
								  .segment_close = wal_segment_close)

LogicalDecodingContext *
stream_begin_slot(const char *slot, bool need_full_snapshot, MemoryContext context)
{
	LogicalDecodingContext *ctx;
	MemoryContext caller = CurrentMemoryContext;

	CheckLogicalDecodingRequirements();
	/* the pipeline's slot goes with a failover, on servers that know how; a copy's does not live that long */
	compat_slot_create(slot, RS_EPHEMERAL, !need_full_snapshot);

	/*
	 * Outside of a transaction this would mark our process as one that only
	 * decodes, and hide its later commits from other backends.
	 */
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	ctx = CreateInitDecodingContext("tarn", NIL, need_full_snapshot, InvalidXLogRecPtr, READER_ROUTINE,
									NULL, NULL, NULL);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return ctx;
}

/* The next record goes through decoding; waits for it. */
static void
process_record(LogicalDecodingContext *ctx)
{
	char	   *error = NULL;
	XLogRecord *record = XLogReadRecord(ctx->reader, &error);

	if (record == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read WAL at %X/%X: %s", LSN_FORMAT_ARGS(ctx->reader->EndRecPtr),
						error != NULL ? error : "no record")));
	LogicalDecodingProcessRecord(ctx, ctx->reader);
	CHECK_FOR_INTERRUPTS();
}

/*
 * As DecodingContextFindStartpoint(); true when decoding begins with a
 * snapshot that somebody wrote down, or with no transaction running.
 */
static bool
find_start(LogicalDecodingContext *ctx)
{
	bool		gathered = false;

	XLogBeginRead(ctx->reader, MyReplicationSlot->data.restart_lsn);
	while (!DecodingContextReady(ctx))
	{
		process_record(ctx);
		gathered |= SnapBuildCurrentState(ctx->snapshot_builder) == SNAPBUILD_BUILDING_SNAPSHOT;
	}
	return !gathered;
}

/*
 * While the first snapshot is gathered, PostgreSQL takes no notice of
 * commits.  A transaction that changed catalogs and committed just then is
 * running for ever in that snapshot, and what comes after it is decoded with
 * the wrong catalog: rows lose columns silently, or their table is not
 * found.  Nor is that mended by starting again from the same place.
 *
 * Once decoding is consistent it knows better, and writes down what it knows
 * whenever it meets a list of the running transactions.  So a new slot, which
 * may as well begin a little later, is moved on until it starts from there.
 */
static void
move_to_whole_snapshot(LogicalDecodingContext *ctx)
{
	XLogRecPtr	whole = ctx->reader->EndRecPtr;

	ctx->fast_forward = true;
	LogicalConfirmReceivedLocation(whole);
	while (MyReplicationSlot->data.restart_lsn < whole)
	{
		XLogRecPtr	listed = LogStandbySnapshot();

		XLogFlush(listed);
		while (ctx->reader->EndRecPtr < listed)
			process_record(ctx);
		LogicalConfirmReceivedLocation(ctx->reader->EndRecPtr);

		/* some that began before have not ended */
		if (MyReplicationSlot->data.restart_lsn < whole)
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

XLogRecPtr
stream_create_slot(const char *slot)
{
	LogicalDecodingContext *ctx = stream_begin_slot(slot, false, TopMemoryContext);
	XLogRecPtr	start;

	if (!find_start(ctx))
		move_to_whole_snapshot(ctx);
	else
		LogicalConfirmReceivedLocation(ctx->reader->EndRecPtr);
	start = MyReplicationSlot->data.confirmed_flush;
	FreeDecodingContext(ctx);
	ReplicationSlotPersist();
	ReplicationSlotRelease();
	return start;
}

/* A copy of the slot's state; false when there is none of the name. */
static bool
look_up_slot(const char *slot, ReplicationSlot *copy)
{
	ReplicationSlot *s = SearchNamedReplicationSlot(slot, true);

	if (s == NULL)
		return false;
	SpinLockAcquire(&s->mutex);
	*copy = *s;
	SpinLockRelease(&s->mutex);
	return true;
}

static bool
made_by_us(const ReplicationSlot *slot)
{
	return slot->data.database == MyDatabaseId && strcmp(NameStr(slot->data.plugin), "tarn") == 0;
}

bool
stream_slot_ours(const char *slot)
{
	ReplicationSlot copy;

	return !look_up_slot(slot, &copy) || made_by_us(&copy);
}

bool
stream_slot_usable(const char *slot, XLogRecPtr lsn, char **problem)
{
	ReplicationSlot copy;

	*problem = NULL;
	if (!look_up_slot(slot, &copy))
		*problem = psprintf("replication slot \"%s\" does not exist any more", slot);
	else if (!made_by_us(&copy))
		*problem = psprintf("replication slot \"%s\" was made by somebody else", slot);
	else if (compat_slot_invalidated(&copy))
		*problem = psprintf("replication slot \"%s\" was invalidated: the WAL it needs is gone", slot);
	else if (copy.data.confirmed_flush > lsn)
		*problem = psprintf("replication slot \"%s\" begins at %X/%X, but the lake has changes up to %X/%X only: "
							"it was made anew or moved by somebody else", slot,
							LSN_FORMAT_ARGS(copy.data.confirmed_flush), LSN_FORMAT_ARGS(lsn));
	return *problem == NULL;
}

void
stream_drop_slot(const char *slot, bool missing_ok)
{
	if (missing_ok && SearchNamedReplicationSlot(slot, true) == NULL)
		return;
	ReplicationSlotDrop(slot, true);
}

/* The publications as the plugin's option: quoted names with commas. */
static char *
publication_names(List *publications)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, publications)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? "," : "", quote_identifier(lfirst(lc)));
	return buf.data;
}

void
stream_open(const char *slot, List *publications, ChangeSink *sink, XLogRecPtr start)
{
	List	   *options;
	MemoryContext old;

	compat_slot_acquire(slot);
	decode_worker_sink = sink;

	/* inside a transaction: see stream_begin_slot */
	StartTransactionCommand();
	old = MemoryContextSwitchTo(TopMemoryContext);
	options = list_make2(makeDefElem("publications", (Node *) makeString(publication_names(publications)), -1),
						 makeDefElem("sink", (Node *) makeString("batch"), -1));
	decoding = CreateDecodingContext(start, options, false, READER_ROUTINE, NULL, NULL, NULL);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();

	XLogBeginRead(decoding->reader, MyReplicationSlot->data.restart_lsn);
	InvalidateSystemCaches();
}

void
stream_close(void)
{
	if (decoding)
		FreeDecodingContext(decoding);
	decoding = NULL;
	if (MyReplicationSlot)
		ReplicationSlotRelease();
}

bool
stream_read(TimestampTz deadline, const bool *stop, XLogRecPtr *position)
{
	XLogReaderState *reader = decoding->reader;
	XLogRecPtr	flushed = GetFlushRecPtr(NULL);
	int			n = 0;
	bool		more = true;

	for (;;)
	{
		char	   *error = NULL;
		XLogRecord *record;

		if (reader->EndRecPtr >= flushed)
		{
			flushed = GetFlushRecPtr(NULL);
			if (reader->EndRecPtr >= flushed)
			{
				more = false;
				break;
			}
		}
		record = XLogReadRecord(reader, &error);
		if (error)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read WAL at %X/%X: %s", LSN_FORMAT_ARGS(reader->EndRecPtr), error)));
		if (record != NULL)
			LogicalDecodingProcessRecord(decoding, reader);
		if (*stop)
			break;
		if (++n % RECORDS_PER_CHECK == 0)
		{
			CHECK_FOR_INTERRUPTS();
			if (GetCurrentTimestamp() >= deadline)
				break;
		}
	}
	*position = reader->EndRecPtr;
	return more;
}

void
stream_confirm(XLogRecPtr lsn)
{
	if (lsn > MyReplicationSlot->data.confirmed_flush)
		LogicalConfirmReceivedLocation(lsn);
}
