/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The history of a table that is followed, or copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "iceberg/partition.h"
#include "pipeline/history.h"
#include "pipeline/tables.h"

/* Memory is counted again after so many rows, or bytes of one row. */
#define COUNT_ROWS 128
#define COUNT_BYTES 65536

/* Room that an image needs beside its values: a byte for each column, sizes. */
#define IMAGE_OVERHEAD 16384

/* --- opening --- */

bool
history_open(Pipeline *p, PipelineTable *t, char **problem)
{
	TableHistory *h = palloc0(sizeof(TableHistory));
	char	   *name = history_name(t->name);

	h->lake = lake_table_load(p->lake, t->namespace, name, true);
	if (h->lake && !history_is(h->lake))
	{
		if (problem)
			*problem = psprintf("lake table \"%s.%s\" is in the way of the history of table %s", t->namespace, name,
								quote_qualified_identifier(t->schema, t->table));
		return false;
	}
	h->batch_context = AllocSetContextCreate(CurrentMemoryContext, "tarn history batch", ALLOCSET_DEFAULT_SIZES);
	t->history = h;
	return true;
}

TableShape *
history_lake_shape(const PipelineTable *t)
{
	TableShape *shape = shape_of_lake(t->history->lake, t->context);
	TableShape *mirror = history_to_mirror(shape, t->context);

	MemoryContextDelete(shape->context);
	return mirror;
}

/* May a field have gone on as the other? */
static bool
same_kind(const IcebergField *then, const IcebergField *now)
{
	if (then->node == NULL || now->node == NULL)
		return then->node == now->node && lake_type_promotes(then->type, now->type);
	return then->node->kind == now->node->kind;
}

bool
history_fits(const PipelineTable *t, const IcebergSchema *mirror, char **problem)
{
	TableShape *before = t->history->lake ? history_lake_shape(t) : NULL;

	for (int i = 0; before && i < mirror->nfields; i++)
	{
		const IcebergField *now = &mirror->fields[i];
		const IcebergField *then = iceberg_schema_field(before->schema, now->id);

		if (then == NULL || same_kind(then, now))
			continue;
		*problem = psprintf("lake table \"%s.%s\" is the history of another table: its column \"%s\" has the place of column \"%s\"",
							t->namespace, history_name(t->name), then->name, now->name);
		return false;
	}
	return true;
}

LakeTable *
history_lake(Pipeline *p, PipelineTable *t)
{
	TableHistory *h = t->history;
	MemoryContext old;
	char	   *name;

	if (h->lake)
		return h->lake;
	old = MemoryContextSwitchTo(t->context);
	name = history_name(t->name);
	h->lake = history_lake_new(p->lake, t->namespace, name, pipeline_table_location(p, t, name, t->own_folder), h->shape);
	MemoryContextSwitchTo(old);
	return h->lake;
}

void
history_reshape(PipelineTable *t)
{
	TableHistory *h = t->history;
	MemoryContext old;

	if (h->shape_context)
		MemoryContextDelete(h->shape_context);
	h->shape_context = AllocSetContextCreate(t->context, "tarn history writer", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(h->shape_context);
	h->shape = history_from_mirror(t->shape, h->shape_context);
	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
	{
		const IcebergField *f = &h->shape->schema->fields[i];

		h->parquet[i] = (ParquetColumn) {
			.name = f->name,.field_id = f->id,.type = f->type,.required = f->required,
			.encoding = t->write.encoding,.node = f->node
		};
	}
	h->scratch = palloc(sizeof(ColumnVector *) * Max(t->ncolumns, 1));
	for (int i = 0; i < t->ncolumns; i++)
		h->scratch[i] = column_vector_create(h->shape_context, t->columns[i].convert.type, 1);
	h->key = palloc0(sizeof(bool) * Max(t->ncolumns, 1));
	for (int k = 0; k < t->nkeys; k++)
		h->key[t->keys[k]] = true;
	h->unchanged = palloc(sizeof(AttrNumber) * Max(t->ncolumns, 1));
	MemoryContextSwitchTo(old);
	if (h->lake)
		h->lake->schema = h->shape->schema;
}

static XLogRecPtr
complete_up_to(const LakeTable *lake)
{
	const char *text = lake && lake->snapshot ? iceberg_snapshot_summary(lake->snapshot, "tarn.lsn") : NULL;

	return text ? shape_parse_lsn(text) : InvalidXLogRecPtr;
}

XLogRecPtr
history_complete(Lake *lake, const PipelineTable *t)
{
	return Max(complete_up_to(lake_table_load(lake, t->namespace, history_name(t->name), true)), t->lsn);
}

/* --- the stream --- */

static HistoryRows *
get_rows(TableHistory *h)
{
	if (h->rows == NULL)
		h->rows = history_rows_create(h->batch_context);
	return h->rows;
}

/* An image is one value, whatever its columns would be by themselves. */
static void
check_room(const PipelineTable *t, const TableColumn *c, const HistoryRows *rows, const ColumnVector *v, uint32 i)
{
	Size		size = rows->packed.len;

	if (v->layout == LAYOUT_BYTES)
		size += v->offsets[i + 1] - v->offsets[i];
	if (likely(size < MaxAllocSize - IMAGE_OVERHEAD))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a row of table %s is too large for its history: its values up to column \"%s\" have %zu bytes",
					quote_qualified_identifier(t->schema, t->table), c->name, size),
			 errdetail("A history keeps the row in one value of less than 1 GB."),
			 errhint("Give the table the option history=false with tarn.set_table_options, and go on with tarn.resume.")));
}

/* One image; its values that WAL does not hold are noted.  Returns the size of the large ones. */
static Size
put_image(Batch *batch, PipelineTable *t, int column, const DecodeRow *row, const bool *which, int *nunchanged)
{
	TableHistory *h = t->history;
	Size		big = 0;

	if (row == NULL)
	{
		history_no_image(h->rows, column);
		return 0;
	}
	history_begin_image(h->rows);
	for (int i = 0; i < t->ncolumns; i++)
	{
		const TableColumn *c = &t->columns[i];
		ColumnVector *v = h->scratch[i];
		Datum		value = row->values[c->attnum - 1];

		if (row->isnull[c->attnum - 1] || (which && !which[i]))
		{
			history_put_null(h->rows);
			continue;
		}
		column_vector_reset(v);
		if (c->varlena && unlikely(VARATT_IS_EXTERNAL(DatumGetPointer(value))))
		{
			if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
			{
				h->unchanged[(*nunchanged)++] = c->attnum;
				history_put_null(h->rows);
				continue;
			}
			big += batch_append_external(batch, c, v, value);
		}
		else
			convert_append(&c->convert, v, value, batch->scratch);
		check_room(t, c, h->rows, v, 0);
		history_put_value(h->rows, v, 0);
	}
	if (!batch->scratch->isReset)
		MemoryContextReset(batch->scratch);
	history_end_image(h->rows, column);
	return big;
}

/* What the buffers hold now; the batch's totals follow. */
static void
count_memory(Batch *batch, TableHistory *h)
{
	size_t		bytes = h->rows ? history_rows_bytes(h->rows) : 0;
	size_t		used = h->rows ? history_rows_used(h->rows) : 0;

	batch->bytes += bytes - h->bytes;
	batch->used += used - h->used;
	h->bytes = bytes;
	h->used = used;
	h->unchecked = 0;
}

void
history_add(Batch *batch, PipelineTable *t, const DecodeTxn *txn, HistoryOp op,
			const DecodeRow *old_row, const DecodeRow *new_row)
{
	TableHistory *h = t->history;
	HistoryEvent event = {op, txn->end_lsn, txn->commit_time, txn->xid, batch->sequence};
	HistoryRows *rows = get_rows(h);
	int			nunchanged = 0;
	Size		big;

	big = put_image(batch, t, HISTORY_BEFORE, old_row, h->key, &nunchanged);
	nunchanged = 0;				/* of an old row nothing is missing that it has */
	big += put_image(batch, t, HISTORY_AFTER, new_row, NULL, &nunchanged);
	history_put_event(rows, &event, h->unchanged, nunchanged);
	batch->changed = true;
	if (++h->unchecked >= COUNT_ROWS || big >= COUNT_BYTES)
	{
		count_memory(batch, h);
		batch_make_room(batch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
history_add_shape(Batch *batch, PipelineTable *t, const DecodeTxn *txn)
{
	HistoryRows *rows = get_rows(t->history);
	HistoryEvent event = {HISTORY_SHAPE, txn->end_lsn, txn->commit_time, txn->xid, ++batch->sequence};

	event.shape = history_shape_text(t->shape);
	history_no_image(rows, HISTORY_BEFORE);
	history_no_image(rows, HISTORY_AFTER);
	history_put_event(rows, &event, NULL, 0);
	pfree(unconstify(char *, event.shape));
	batch->changed = true;
}

/* --- files --- */

FileForm
history_form(const PipelineTable *t)
{
	return (FileForm) {t->history->parquet, HISTORY_NCOLUMNS, &t->write.parquet, t->history->shape->schema};
}

static int32
day_of(const HistoryRows *rows, uint32 i)
{
	return iceberg_day(((const int64 *) rows->columns[HISTORY_COMMIT_TIME]->values)[i]);
}

/* The rows of the first row's day, among those that have a bit, are taken out of them; their number. */
static uint32
take_day(const HistoryRows *rows, uint64 *left, uint64 *taken, int32 *day)
{
	uint32		n = history_rows_count(rows);
	uint32		ntaken = 0;

	for (uint32 i = 0; i < n; i++)
	{
		if (!bitmap_get(left, i) || (ntaken > 0 && day_of(rows, i) != *day))
			continue;
		*day = day_of(rows, i);
		bitmap_set(taken, i);
		bitmap_unset(left, i);
		ntaken++;
	}
	return ntaken;
}

/* A transaction that was not followed to its end is none; how many rows it had. */
static uint32
drop_unfollowed(const PipelineTable *t, uint64 *left)
{
	const HistoryRows *rows = t->history->rows;
	const int64 *lsn = (const int64 *) rows->columns[HISTORY_COMMIT_LSN]->values;
	uint32		dropped = 0;

	if (!history_left(t) || t->keep_batch)
		return 0;
	for (uint32 i = 0; i < history_rows_count(rows); i++)
	{
		if ((XLogRecPtr) lsn[i] <= t->left)
			continue;
		bitmap_unset(left, i);
		dropped++;
	}
	return dropped;
}

/* One file; the entry and the list are in the batch's context. */
static void
write_file(Batch *batch, PipelineTable *t, const uint64 *rows, int32 day)
{
	Pipeline   *p = batch->pipeline;
	TableHistory *h = t->history;
	FileForm	form = history_form(t);
	char	   *path = lake_data_path(h->lake, p->flush_token, batch->next_file++);
	IcebergDataFile *file;
	MemoryContext old;

	file = write_data_file(p, &form, path, h->batch_context, h->rows->columns, history_rows_count(h->rows), rows);
	old = MemoryContextSwitchTo(h->batch_context);
	iceberg_partition_set_day(file, day);
	h->files = lappend(h->files, file);
	MemoryContextSwitchTo(old);
	FAILPOINT("history-written");
}

void
history_write(Batch *batch, PipelineTable *t)
{
	TableHistory *h = t->history;
	uint32		n = h->rows ? history_rows_count(h->rows) : 0;
	MemoryContext context;
	MemoryContext old;
	uint64	   *left;
	uint32		nleft;
	uint32		ntaken;

	if (n == 0)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "tarn history write", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	left = MemoryContextAllocHuge(context, BITMAP_WORDS(n) * sizeof(uint64));
	bitmap_fill(left, n);
	nleft = n - drop_unfollowed(t, left);
	for (uint32 done = 0; done < nleft; done += ntaken)
	{
		uint64	   *taken = MemoryContextAllocExtended(context, BITMAP_WORDS(n) * sizeof(uint64),
													   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		int32		day = 0;

		ntaken = take_day(h->rows, left, taken, &day);
		write_file(batch, t, ntaken == n ? NULL : taken, day);
		pfree(taken);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	/* given back: the limit is for all tables together */
	history_rows_free(h->rows);
	h->rows = NULL;
	count_memory(batch, h);
}

void
history_forget(PipelineTable *t, List **garbage)
{
	TableHistory *h = t->history;
	ListCell   *lc;

	if (h == NULL)
		return;
	if (garbage)
	{
		foreach(lc, h->files)
			*garbage = lappend(*garbage, pstrdup(((IcebergDataFile *) lfirst(lc))->path));
	}
	MemoryContextReset(h->batch_context);
	h->rows = NULL;
	h->files = NIL;
	h->bytes = h->used = 0;
	h->unchecked = 0;
}

/* --- the copy --- */

void
history_add_copied(const PipelineTable *t, HistoryRows *rows, ColumnVector *const *columns, uint32 n,
				   XLogRecPtr lsn, TimestampTz time)
{
	HistoryEvent event = {HISTORY_READ, lsn, time, InvalidTransactionId, 1};

	for (uint32 row = 0; row < n; row++)
	{
		history_begin_image(rows);
		for (int i = 0; i < t->ncolumns; i++)
		{
			check_room(t, &t->columns[i], rows, columns[i], row);
			history_put_value(rows, columns[i], row);
		}
		history_end_image(rows, HISTORY_AFTER);
		history_no_image(rows, HISTORY_BEFORE);
		history_put_event(rows, &event, NULL, 0);
	}
}

void
history_copied_file(IcebergDataFile *file, TimestampTz time)
{
	iceberg_partition_set_day(file, iceberg_day(history_time(time)));
}

static void
put_mark(HistoryRows *rows, HistoryOp op, XLogRecPtr lsn, TimestampTz time, const char *shape)
{
	/* the commit that an end is the position of comes before it */
	HistoryEvent event = {op, lsn, time, InvalidTransactionId, op == HISTORY_END ? PG_INT64_MAX : 0, shape};

	history_no_image(rows, HISTORY_BEFORE);
	history_no_image(rows, HISTORY_AFTER);
	history_put_event(rows, &event, NULL, 0);
}

IcebergDataFile *
history_write_head(Pipeline *p, PipelineTable *t, const char *path, XLogRecPtr lsn, TimestampTz time)
{
	HistoryRows *rows = history_rows_create(CurrentMemoryContext);
	/* the registry knows of positions without changes, too */
	XLogRecPtr	complete = Min(Max(complete_up_to(t->history->lake), t->lsn), lsn);
	FileForm	form = history_form(t);
	IcebergDataFile *file;

	/* with the time of the head, not of what it ends: a file has one day */
	if (complete != InvalidXLogRecPtr)
		put_mark(rows, HISTORY_END, complete, time, NULL);
	put_mark(rows, HISTORY_BEGIN, lsn, time, history_shape_text(t->shape));
	file = write_data_file(p, &form, path, CurrentMemoryContext, rows->columns, history_rows_count(rows), NULL);
	history_copied_file(file, time);
	history_rows_free(rows);
	return file;
}
