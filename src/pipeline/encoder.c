/*-------------------------------------------------------------------------
 *
 * encoder.c
 *	  The worker's side of the encoder: starting it, handing over rows,
 *	  getting files back.
 *
 * The two queues cannot both be full for ever: results are taken before each
 * command is sent, and no more than ENCODER_UNREAD finished files, whose
 * entries fit into the queue of results, are left outstanding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "pipeline/encoder.h"
#include "pipeline/encoder_shared.h"
#include "pipeline/file_wire.h"
#include "pipeline/session.h"

/* Slots are limit/12, so that both together are a sixth of memory_limit. */
#define SLOT_SHARE 12
#define SLOT_MIN (2 * 1024 * 1024)
#define SLOT_MAX (32 * 1024 * 1024)

#define ENCODER_UNREAD 4

/* When there is no process or memory to be had, it is tried again after this. */
#define RETRY_MS 60000
#define IDLE_MS 10000

struct EncoderFile
{
	int32		id;
	char	   *path;
	int			ncolumns;
	uint64		rows;
	uint64		bytes;
	bool		finished;
	bool		unwanted;		/* abandoned; freed when its entry comes */
	IcebergDataFile *entry;		/* in `context`; NULL: has not come */
	MemoryContext context;
};

/* One a process. */
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

bool		encoder_enabled = true;
Oid			encoder_failed_relid = InvalidOid;

static Encoder encoder;
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

static void
forget_encoder(void)
{
	if (encoder.segment)
		dsm_detach(encoder.segment);
	if (encoder.context)
		MemoryContextDelete(encoder.context);
	memset(&encoder, 0, sizeof(encoder));
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
	shm_mq	   *queue = (shm_mq *) encoder_queue(encoder.shared, which);

	if (which == ENCODER_COMMANDS)
		shm_mq_set_sender(queue, MyProc);
	else
		shm_mq_set_receiver(queue, MyProc);
	return shm_mq_attach(queue, encoder.segment, handle);
}

static bool
start(Pipeline *p)
{
	MemoryContext old;
	BackgroundWorkerHandle *handle;

	encoder.context = AllocSetContextCreate(TopMemoryContext, "tarn encoder", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(encoder.context);
	encoder.segment = make_segment(encoder_segment_bytes(slot_bytes(p)));
	if (encoder.segment)
	{
		encoder.shared = dsm_segment_address(encoder.segment);
		encoder.shared->database = p->database;
		encoder.shared->owner = p->owner;
		encoder.shared->pipeline_id = p->id;
		encoder.shared->worker = MyProcPid;
		encoder.shared->slot_bytes = slot_bytes(p);
		(void) shm_mq_create(encoder_queue(encoder.shared, ENCODER_COMMANDS), ENCODER_QUEUE_BYTES);
		(void) shm_mq_create(encoder_queue(encoder.shared, ENCODER_RESULTS), ENCODER_QUEUE_BYTES);
		handle = session_start("tarn_encoder_main", "tarn encoder", p->name,
							   UInt32GetDatum(dsm_segment_handle(encoder.segment)), NULL, 0);
		if (handle)
		{
			encoder.commands = make_queue(ENCODER_COMMANDS, handle);
			encoder.results = make_queue(ENCODER_RESULTS, handle);
		}
	}
	MemoryContextSwitchTo(old);
	if (encoder.results)
	{
		encoder.last_used = GetCurrentTimestamp();
		return true;
	}
	forget_encoder();
	retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_MS);
	return false;
}

bool
encoder_available(Pipeline *p)
{
	if (!encoder_enabled || slot_bytes(p) == 0)
		return false;
	if (encoder.segment)
		return true;
	return GetCurrentTimestamp() >= retry_at && start(p);
}

pg_noreturn static void
encoder_gone(void)
{
	CHECK_FOR_INTERRUPTS();
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("the encoder of the pipeline ended unexpectedly")));
	pg_unreachable();
}

static void
free_file(EncoderFile *f)
{
	encoder.files = list_delete_ptr(encoder.files, f);
	pfree(f->path);
	pfree(f);
}

static void
take_entry(Cursor *in)
{
	int32		id = (int32) wire_get_int(in);
	ListCell   *lc;

	foreach(lc, encoder.files)
	{
		EncoderFile *f = lfirst(lc);

		if (f->id != id)
			continue;
		if (f->unwanted)
			free_file(f);
		else
		{
			MemoryContext old = MemoryContextSwitchTo(f->context);

			f->entry = palloc(sizeof(IcebergDataFile));
			wire_get_file(in, f->entry);
			MemoryContextSwitchTo(old);
		}
		return;
	}
	elog(ERROR, "encoder finished a file that nobody knows: %d", id);
}

pg_noreturn static void
raise_failure(Cursor *in)
{
	Oid			relid = (Oid) wire_get_int(in);
	int			state = (int) wire_get_int(in);
	char	   *message = wire_get_text(in);
	char	   *detail = wire_get_text(in);

	encoder_failed_relid = relid;
	ereport(ERROR,
			(errcode(state),
			 errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0));
	pg_unreachable();
}

/* Takes one result; false when there is none and we shall not wait. */
static bool
take_result(bool wait)
{
	Size		size;
	void	   *data;
	shm_mq_result result = shm_mq_receive(encoder.results, &size, &data, !wait);
	Cursor		in;

	if (result == SHM_MQ_WOULD_BLOCK)
		return false;
	if (result != SHM_MQ_SUCCESS)
		encoder_gone();
	cursor_init(&in, data, size, "message of the encoder", NULL, 0);
	switch ((EncoderMessage) cursor_u8(&in))
	{
		case ENCODER_FREE:
			encoder.busy[wire_get_int(&in)] = false;
			break;
		case ENCODER_FILE:
			take_entry(&in);
			break;
		case ENCODER_FAILED:
			raise_failure(&in);
			break;
		default:
			elog(ERROR, "unknown result of the encoder");
	}
	return true;
}

static void
begin_command(StringInfo out, EncoderMessage kind, const EncoderFile *f)
{
	initStringInfo(out);
	appendStringInfoChar(out, (char) kind);
	wire_put_int(out, f->id);
}

static void
send_command(StringInfo command)
{
	while (take_result(false))
		;
	if (shm_mq_send(encoder.commands, command->len, command->data, false, true) != SHM_MQ_SUCCESS)
	{
		/* it may have said why */
		while (take_result(false))
			;
		encoder_gone();
	}
	pfree(command->data);
	encoder.last_used = GetCurrentTimestamp();
}

static int
unread_files(void)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, encoder.files)
	{
		const EncoderFile *f = lfirst(lc);

		n += f->finished && f->entry == NULL;
	}
	return n;
}

EncoderFile *
encoder_open(Pipeline *p, PipelineTable *t, const char *path, MemoryContext context)
{
	MemoryContext old;
	EncoderFile *f;
	StringInfoData command;

	while (unread_files() >= ENCODER_UNREAD)
		(void) take_result(true);
	old = MemoryContextSwitchTo(encoder.context);
	f = palloc0(sizeof(EncoderFile));
	f->id = encoder.next_file++;
	f->path = pstrdup(path);
	f->ncolumns = t->ncolumns;
	f->context = context;
	encoder.files = lappend(encoder.files, f);
	MemoryContextSwitchTo(old);

	begin_command(&command, ENCODER_OPEN, f);
	wire_put_int(&command, t->relid);
	wire_put_text(&command, path);
	wire_put_bytes(&command, (char *) &t->write.parquet, sizeof(t->write.parquet));
	wire_put_int(&command, t->ncolumns);
	for (int i = 0; i < t->ncolumns; i++)
	{
		wire_put_text(&command, t->parquet[i].name);
		wire_put_bytes(&command, (char *) &t->parquet[i], sizeof(ParquetColumn));
		if (t->parquet[i].node != NULL)
			wire_put_node(&command, t->parquet[i].node);
	}
	send_command(&command);
	return f;
}

static int
free_slot(void)
{
	for (;;)
	{
		for (int i = 0; i < ENCODER_SLOTS; i++)
		{
			if (!encoder.busy[i])
				return i;
		}
		(void) take_result(true);
	}
}

static void
hand_over(EncoderFile *f, ColumnVector *const *columns, uint32 first, uint32 last, const uint64 *rows)
{
	int			slot = free_slot();
	StringInfoData command;

	encoder_rows_put(encoder_slot(encoder.shared, slot), columns, f->ncolumns, first, last, rows);
	encoder.busy[slot] = true;
	begin_command(&command, ENCODER_ROWS, f);
	wire_put_int(&command, slot);
	wire_put_int(&command, last - first);
	send_command(&command);
	f->rows += rows ? bitmap_count_range(rows, first, last) : last - first;
}

uint32
encoder_append(EncoderFile *f, ColumnVector *const *columns,
			   uint32 first, uint32 last, const uint64 *rows)
{
	size_t		room = encoder.shared->slot_bytes;

	while (first < last)
	{
		Size		total = encoder_rows_bytes(columns, f->ncolumns, first, last, rows != NULL);
		uint64		pieces = total / (room - room / 16) + 1;
		uint64		step = TYPEALIGN(64, ((uint64) last - first + pieces - 1) / pieces);
		uint32		end = (uint32) Min((uint64) last, first + step);
		Size		bytes;

		/* rows are of different sizes */
		while ((bytes = encoder_rows_bytes(columns, f->ncolumns, first, end, rows != NULL)) > room)
		{
			if (end - first <= 64)
				return first;
			end = first + TYPEALIGN_DOWN(64, Max(64, (end - first) / 2));
		}
		hand_over(f, columns, first, end, rows);
		f->bytes += bytes;
		first = end;
	}
	return last;
}

const char *
encoder_file_path(const EncoderFile *f)
{
	return f->path;
}

uint64
encoder_file_rows(const EncoderFile *f)
{
	return f->rows;
}

uint64
encoder_file_bytes(const EncoderFile *f)
{
	return f->bytes;
}

void
encoder_finish(EncoderFile *f)
{
	StringInfoData command;

	begin_command(&command, ENCODER_FINISH, f);
	send_command(&command);
	f->finished = true;
}

IcebergDataFile *
encoder_result(EncoderFile *f)
{
	IcebergDataFile *entry;

	Assert(f->finished);
	while (f->entry == NULL)
		(void) take_result(true);
	entry = f->entry;
	free_file(f);
	return entry;
}

void
encoder_abandon(EncoderFile *f)
{
	StringInfoData command;

	begin_command(&command, ENCODER_ABANDON, f);
	wire_put_text(&command, f->path);
	send_command(&command);
	if (f->finished && f->entry == NULL)
		f->unwanted = true;
	else
		free_file(f);
}

void
encoder_rest(void)
{
	/* what it failed with is known now, not with the next flush */
	while (encoder.files != NIL && take_result(false))
		;
	if (encoder.segment && encoder.files == NIL &&
		TimestampDifferenceExceeds(encoder.last_used, GetCurrentTimestamp(), IDLE_MS))
		forget_encoder();
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
