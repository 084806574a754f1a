/*-------------------------------------------------------------------------
 *
 * encoder.c
 *	  The worker's side of the encoder: handing over rows, getting files back.
 *
 * The two queues cannot both be full for ever: results are taken before each
 * command is sent, and no more than ENCODER_UNREAD finished files, whose
 * entries fit into the queue of results, are left outstanding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shm_mq.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pipeline/encoder.h"
#include "pipeline/encoder_internal.h"
#include "pipeline/file_wire.h"

#define ENCODER_UNREAD 4

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

Oid			encoder_failed_relid = InvalidOid;

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
	my_encoder.files = list_delete_ptr(my_encoder.files, f);
	pfree(f->path);
	pfree(f);
}

static void
take_entry(Cursor *in)
{
	int32		id = (int32) wire_get_int(in);
	ListCell   *lc;

	foreach(lc, my_encoder.files)
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
	char	   *hint = wire_get_text(in);

	encoder_failed_relid = relid;
	ereport(ERROR,
			(errcode(state),
			 errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

/* Takes one result; false when there is none and we shall not wait. */
static bool
take_result(bool wait)
{
	Size		size;
	void	   *data;
	shm_mq_result result = shm_mq_receive(my_encoder.results, &size, &data, !wait);
	Cursor		in;

	if (result == SHM_MQ_WOULD_BLOCK)
		return false;
	if (result != SHM_MQ_SUCCESS)
		encoder_gone();
	cursor_init(&in, data, size, "message of the encoder", NULL, 0);
	switch ((EncoderMessage) cursor_u8(&in))
	{
		case ENCODER_FREE:
			my_encoder.busy[wire_get_int(&in)] = false;
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
	if (shm_mq_send(my_encoder.commands, command->len, command->data, false, true) != SHM_MQ_SUCCESS)
	{
		/* it may have said why */
		while (take_result(false))
			;
		encoder_gone();
	}
	pfree(command->data);
	my_encoder.last_used = GetCurrentTimestamp();
}

static int
unread_files(void)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, my_encoder.files)
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
	old = MemoryContextSwitchTo(my_encoder.context);
	f = palloc0(sizeof(EncoderFile));
	f->id = my_encoder.next_file++;
	f->path = pstrdup(path);
	f->ncolumns = t->ncolumns;
	f->context = context;
	my_encoder.files = lappend(my_encoder.files, f);
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
			if (!my_encoder.busy[i])
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

	encoder_rows_put(encoder_slot(my_encoder.shared, slot), columns, f->ncolumns, first, last, rows);
	my_encoder.busy[slot] = true;
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
	size_t		room = my_encoder.shared->slot_bytes;

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
	while (my_encoder.files != NIL && take_result(false))
		;
	if (my_encoder.segment && my_encoder.files == NIL &&
		TimestampDifferenceExceeds(my_encoder.last_used, GetCurrentTimestamp(), IDLE_MS))
		encoder_forget();
}
