/*-------------------------------------------------------------------------
 *
 * encoder_main.c
 *	  The encoder's process: commands in, files out.
 *
 * It knows nothing of the pipeline but its lake: what a file's columns are
 * comes with the file, so that a change of shape in the worker needs no word
 * between the two.
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
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "lake/table.h"
#include "pipeline/copy_shared.h"
#include "pipeline/crash_mark.h"
#include "pipeline/encoder.h"
#include "pipeline/encoder_shared.h"
#include "pipeline/file_wire.h"
#include "pipeline/session.h"
#include "pipeline/write.h"

/* A file being written; lives in its context. */
typedef struct OpenFile
{
	int32		id;
	Oid			relid;
	char	   *path;
	int			ncolumns;
	ParquetColumn *columns;
	IcebergSchema schema;		/* of the same columns: for metrics */
	ColumnVector *vectors;
	ColumnVector **pointers;	/* to each of them */
	StoreWriter *out;
	ParquetWriter *writer;
	MemoryContext context;
} OpenFile;

typedef struct EncoderProcess
{
	EncoderShared *shared;
	shm_mq_handle *commands;
	shm_mq_handle *results;
	Store	   *store;
	List	   *files;			/* of OpenFile * */
	Oid			relid;			/* of the file at hand */
	PipelineState *state;
	MemoryContext round;		/* reset for each command */
} EncoderProcess;

static EncoderProcess process;

static void
send_result(StringInfo result)
{
	/* otherwise the worker is gone, and with it the purpose */
	if (shm_mq_send(process.results, result->len, result->data, false, true) != SHM_MQ_SUCCESS)
		proc_exit(0);
}

static void
begin_result(StringInfo out, EncoderMessage kind, int64 first)
{
	initStringInfo(out);
	appendStringInfoChar(out, (char) kind);
	wire_put_int(out, first);
}

static OpenFile *
find_file(int32 id)
{
	ListCell   *lc;

	foreach(lc, process.files)
	{
		OpenFile   *f = lfirst(lc);

		if (f->id == id)
			return f;
	}
	return NULL;
}

static OpenFile *
known_file(int32 id)
{
	OpenFile   *f = find_file(id);

	if (f == NULL)
		elog(ERROR, "no open file %d in the encoder", id);
	process.relid = f->relid;
	return f;
}

/* Reads a struct that the other side put as bytes. */
static void
get_struct(Cursor *in, void *to, int size)
{
	int			given;
	char	   *data = wire_get_bytes(in, &given);

	if (data == NULL || given != size)
		elog(ERROR, "message to the encoder has %d bytes where %d are due", given, size);
	memcpy(to, data, size);
	pfree(data);
}

static void
get_columns(OpenFile *f, Cursor *in)
{
	f->ncolumns = wire_get_count(in);
	f->columns = palloc0(sizeof(ParquetColumn) * Max(f->ncolumns, 1));
	f->schema.nfields = f->ncolumns;
	f->schema.fields = palloc0(sizeof(IcebergField) * Max(f->ncolumns, 1));
	f->vectors = palloc0(sizeof(ColumnVector) * Max(f->ncolumns, 1));
	f->pointers = palloc(sizeof(ColumnVector *) * Max(f->ncolumns, 1));
	for (int i = 0; i < f->ncolumns; i++)
	{
		char	   *name = wire_get_text(in);
		ColumnVector *v = &f->vectors[i];

		get_struct(in, &f->columns[i], sizeof(ParquetColumn));
		f->columns[i].name = name;
		/* pointers are the other process's */
		if (f->columns[i].node != NULL)
			f->columns[i].node = wire_get_node(in);
		f->schema.fields[i].id = f->columns[i].field_id;
		f->schema.fields[i].type = f->columns[i].type;
		v->type = f->columns[i].type;
		v->layout = lake_type_layout(v->type);
		v->width = lake_type_width(v->type);
		f->pointers[i] = v;
	}
}

static void
command_open(int32 id, Cursor *in)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "tarn encoded file", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	OpenFile   *f = palloc0(sizeof(OpenFile));
	ParquetWriterOptions options;

	f->id = id;
	f->context = context;
	f->relid = process.relid = (Oid) wire_get_int(in);
	f->path = wire_get_text(in);
	get_struct(in, &options, sizeof(options));
	get_columns(f, in);
	f->out = store_create(process.store, f->path, 0);
	FAILPOINT("encoder-file-opened");
	f->writer = parquet_writer_open(f->columns, f->ncolumns, &options, NULL, write_to_store, f->out);
	MemoryContextSwitchTo(TopMemoryContext);
	process.files = lappend(process.files, f);
	MemoryContextSwitchTo(old);
}

static void
command_rows(int32 id, Cursor *in)
{
	OpenFile   *f = known_file(id);
	int			slot = (int) wire_get_int(in);
	uint32		nrows = (uint32) wire_get_int(in);
	const uint64 *rows;
	StringInfoData result;

	encoder_rows_get(encoder_slot(process.shared, slot), f->vectors, f->ncolumns, nrows, &rows);
	parquet_writer_append_group(f->writer, f->pointers, nrows, rows);
	FAILPOINT("encoder-rows");
	begin_result(&result, ENCODER_FREE, slot);
	send_result(&result);
}

static void
close_file(OpenFile *f)
{
	process.files = list_delete_ptr(process.files, f);
	MemoryContextDelete(f->context);
}

static void
command_finish(int32 id, Cursor *in)
{
	OpenFile   *f = known_file(id);
	IcebergDataFile file;
	StringInfoData result;
	ParquetFileSummary *summary = parquet_writer_finish(f->writer);

	store_finish(f->out);
	FAILPOINT("encoder-file-written");
	memset(&file, 0, sizeof(file));
	lake_data_file(&file, f->path, &f->schema, summary);
	begin_result(&result, ENCODER_FILE, id);
	wire_put_file(&result, &file);
	send_result(&result);
	close_file(f);
}

static void
command_abandon(int32 id, Cursor *in)
{
	OpenFile   *f = find_file(id);
	char	   *path = wire_get_text(in);

	/* an open one is removed with its context */
	if (f)
		close_file(f);
	else
		store_remove(process.store, path);
}

static const struct
{
	EncoderMessage kind;
	void		(*run) (int32 id, Cursor *in);
}			commands[] = {
	{ENCODER_OPEN, command_open},
	{ENCODER_ROWS, command_rows},
	{ENCODER_FINISH, command_finish},
	{ENCODER_ABANDON, command_abandon},
};

static void
run_command(const void *data, Size size)
{
	Cursor		in;
	EncoderMessage kind;
	int32		id;

	cursor_init(&in, data, size, "message to the encoder", NULL, 0);
	process.relid = InvalidOid;
	kind = (EncoderMessage) cursor_u8(&in);
	id = (int32) wire_get_int(&in);
	for (int i = 0; i < lengthof(commands); i++)
	{
		if (commands[i].kind == kind)
		{
			commands[i].run(id, &in);
			return;
		}
	}
	elog(ERROR, "unknown message to the encoder");
}

static void
encoder_loop(void)
{
	Size		size;
	void	   *data;

	while (shm_mq_receive(process.commands, &size, &data, false) == SHM_MQ_SUCCESS)
	{
		MemoryContextSwitchTo(process.round);
		run_command(data, size);
		MemoryContextReset(process.round);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The worker raises it; without a worker it is nobody's. */
static void
report_failure(const ErrorData *edata)
{
	StringInfoData result;

	begin_result(&result, ENCODER_FAILED, process.relid);
	wire_put_int(&result, edata->sqlerrcode);
	wire_put_text(&result, edata->message);
	wire_put_text(&result, edata->detail);
	wire_put_text(&result, edata->hint);
	send_result(&result);
}

static void
encoder_exit(int code, Datum arg)
{
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	process.state->encoder_pid = 0;
	LWLockRelease(tarn_shared->lock);
}

/* Shows this process on the board; false when the worker that wanted it is gone. */
static bool
enter(void)
{
	bool		wanted;

	process.state = state_find(process.shared->database, process.shared->pipeline_id);
	if (process.state == NULL)
		return false;
	LWLockAcquire(tarn_shared->lock, LW_EXCLUSIVE);
	wanted = process.state->pid == process.shared->worker && process.state->encoder_pid == 0;
	if (wanted)
		process.state->encoder_pid = MyProcPid;
	LWLockRelease(tarn_shared->lock);
	if (wanted)
		before_shmem_exit(encoder_exit, (Datum) 0);
	return wanted;
}

static void
open_store(void)
{
	Pipeline   *p = copy_load_pipeline(process.shared->pipeline_id, process.state, TopMemoryContext);

	if (p == NULL)
		proc_exit(0);
	process.store = p->lake->store;
	session_keep_memory(p->memory_limit);
}

static void
attach_queues(dsm_segment *segment)
{
	shm_mq	   *commands_mq = (shm_mq *) encoder_queue(process.shared, ENCODER_COMMANDS);
	shm_mq	   *results_mq = (shm_mq *) encoder_queue(process.shared, ENCODER_RESULTS);

	shm_mq_set_receiver(commands_mq, MyProc);
	shm_mq_set_sender(results_mq, MyProc);
	process.commands = shm_mq_attach(commands_mq, segment, NULL);
	process.results = shm_mq_attach(results_mq, segment, NULL);
}

/*
 * Pages of new shared memory are zeroed when they are first touched; the
 * worker decodes on while it is done here.  Only read: it may be writing.
 */
static void
touch_slots(void)
{
	for (int i = 0; i < ENCODER_SLOTS; i++)
	{
		const volatile char *slot = encoder_slot(process.shared, i);

		for (Size at = 0; at < process.shared->slot_bytes; at += 4096)
			(void) slot[at];
	}
}

void
tarn_encoder_main(Datum arg)
{
	dsm_segment *segment;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		proc_exit(0);
	dsm_pin_mapping(segment);
	process.shared = dsm_segment_address(segment);
	if (!enter())
		proc_exit(0);
	attach_queues(segment);
	touch_slots();
	BackgroundWorkerInitializeConnectionByOid(process.shared->database, process.shared->owner, 0);
	session_settle();
	crash_mark_set(process.shared->database, process.shared->pipeline_id);
	process.round = AllocSetContextCreate(TopMemoryContext, "tarn encoder command", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		open_store();
		encoder_loop();
	}
	PG_CATCH();
	{
		ErrorData  *edata = session_take_error(TopMemoryContext);

		RESUME_INTERRUPTS();
		report_failure(edata);
	}
	PG_END_TRY();
	proc_exit(0);
}
