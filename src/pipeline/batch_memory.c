/*-------------------------------------------------------------------------
 *
 * batch_memory.c
 *	  The buffers of a batch: what they hold, and who gives memory back when it
 *	  is used up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "pipeline/batch.h"
#include "pipeline/history.h"

/* Memory to resolve changes in that is not a part of the limit. */
#define RESOLVE_SPARE (16 * 1024 * 1024)

/* Room of a new buffer: many tables see a row or two a flush. */
#define FIRST_ROWS 64

/* Tables with less are not written early: the files would be too small. */
#define WORTH_BYTES 65536

/* Empties a buffer and gives its memory back. */
static void
renew_vector(ColumnVector *v)
{
	MemoryContext context = v->context;
	LakeType	type = v->type;

	column_vector_free(v);
	column_vector_init(v, context, type, FIRST_ROWS);
}

static ColumnVector *
new_vector(TableBatch *b, const TableColumn *c)
{
	return column_vector_create(b->context, c->convert.type, FIRST_ROWS);
}

/* Buffers for the table's columns. */
void
batch_vectors_create(PipelineTable *t)
{
	TableBatch *b = t->batch;

	b->columns = MemoryContextAlloc(b->context, sizeof(ColumnVector *) * Max(t->ncolumns, 1));
	for (int i = 0; i < t->ncolumns; i++)
		b->columns[i] = new_vector(b, &t->columns[i]);
	b->keys = MemoryContextAlloc(b->context, sizeof(ColumnVector *) * Max(t->nkeys, 1));
	for (int k = 0; k < t->nkeys; k++)
		b->keys[k] = new_vector(b, &t->columns[t->keys[k]]);
}

TableBatch *
batch_table(PipelineTable *t)
{
	MemoryContext context;
	TableBatch *b = t->batch;

	if (b)
		return b;
	context = AllocSetContextCreate(t->context, "tarn table batch", ALLOCSET_DEFAULT_SIZES);
	b = MemoryContextAllocZero(context, sizeof(TableBatch));
	b->context = context;
	b->marks_capacity = b->deletes_capacity = 64;
	b->marks = MemoryContextAlloc(context, b->marks_capacity);
	b->delete_at = MemoryContextAlloc(context, b->deletes_capacity * sizeof(uint32));
	t->batch = b;
	batch_vectors_create(t);
	return b;
}

/* What the encoder has of a table is void. */
void
batch_abandon_encoding(TableBatch *b)
{
	ListCell   *lc;

	if (b->open)
		encoder_abandon(b->open);
	b->open = NULL;
	foreach(lc, b->encoding)
		encoder_abandon(lfirst(lc));
	b->encoding = NIL;
}

void
batch_table_free(PipelineTable *t)
{
	if (t->batch)
	{
		batch_abandon_encoding(t->batch);
		MemoryContextDelete(t->batch->context);
	}
	t->batch = NULL;
}

/* Bytes of the values in a buffer, without the room that is left. */
static size_t
used_bytes(const ColumnVector *v)
{
	if (v->layout == LAYOUT_BYTES)
		return (size_t) v->offsets[v->length] + (size_t) v->length * sizeof(uint32);
	return (size_t) v->length * v->width;
}

/*
 * What a table's buffers hold now; the batch's totals follow.  To find out
 * which of many narrow rows live takes more memory than they do, and a few
 * references to unchanged values become those values: that is counted
 * beforehand.
 */
void
batch_count_memory(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;
	size_t		bytes = b->marks_capacity + b->deletes_capacity * sizeof(uint32) +
		b->carries_capacity * sizeof(Carry);
	size_t		resolving = batch_resolve_bytes(b, batch_rows(b, t));
	size_t		used = b->carried + (resolving > RESOLVE_SPARE ? resolving - RESOLVE_SPARE : 0);

	for (int i = 0; i < t->ncolumns; i++)
	{
		bytes += column_vector_bytes(b->columns[i]);
		used += used_bytes(b->columns[i]);
	}
	for (int k = 0; k < t->nkeys; k++)
	{
		bytes += column_vector_bytes(b->keys[k]);
		used += used_bytes(b->keys[k]);
	}
	batch->bytes += bytes - b->bytes;
	batch->used += used - b->used;
	b->bytes = bytes;
	b->used = used;
	b->unchecked = 0;
}

/*
 * Buffers double as they grow, so what they hold may be twice what is used;
 * kept ones (see batch_buffers_reset) are held and unused.
 */
static inline bool
over_limit(const Batch *batch)
{
	return batch->used > batch->limit / 3 * 2 || batch->bytes > batch->limit / 3 * 4;
}

/* What they hold was written. */
void
batch_vectors_free(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;

	for (int i = 0; i < t->ncolumns; i++)
	{
		column_vector_free(b->columns[i]);
		pfree(b->columns[i]);
	}
	for (int k = 0; k < t->nkeys; k++)
	{
		column_vector_free(b->keys[k]);
		pfree(b->keys[k]);
	}
	pfree(b->columns);
	pfree(b->keys);
	batch->bytes -= b->bytes;
	batch->used -= b->used;
	b->bytes = b->used = 0;
}

static void
release_buffers(Batch *batch, PipelineTable *t)
{
	for (int i = 0; i < t->ncolumns; i++)
		renew_vector(t->batch->columns[i]);
	for (int k = 0; k < t->nkeys; k++)
		renew_vector(t->batch->keys[k]);
	batch_count_memory(batch, t);
}

/*
 * What it gives back to write a table and its history now; or saves, where
 * few rows stand for much (see batch_count_memory).
 */
static size_t
held(const PipelineTable *t)
{
	return (t->batch ? Max(t->batch->bytes, t->batch->used) : 0) + (t->history ? t->history->bytes : 0);
}

static void
write_early(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;

	batch->current = t;
	if (b && batch_rows(b, t) == 0 && b->ndeletes == 0)
		release_buffers(batch, t);
	else if (b)
		batch_write(batch, t);
	if (t->history)
		history_write(batch, t);
	batch->current = NULL;
}

/*
 * A row that was updated again and again has one value to carry, not many:
 * counts what those that live come to.  True when that is much less than it
 * seemed; then it need not be done again before as many have come.
 */
static bool
recount_carried(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;
	size_t		before = b->carried;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn carries", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Resolved	r;

	batch_resolve(t, b, 0, false, &r);
	b->carried = 0;
	for (uint32 i = 0; i < b->ncarries; i++)
	{
		if (bitmap_get(r.live, b->carries[i].row))
			b->carried += b->carries[i].size;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	batch_count_memory(batch, t);
	return b->carried <= before / 2;
}

/* Is most of what a table seems to need for values to be carried? */
static bool
mostly_carried(const PipelineTable *t)
{
	return t->batch && t->batch->carried > t->batch->used / 2;
}

void
batch_make_room(Batch *batch)
{
	while (over_limit(batch))
	{
		PipelineTable *largest = NULL;
		ListCell   *lc;

		foreach(lc, batch->pipeline->tables)
		{
			PipelineTable *t = lfirst(lc);

			if (largest == NULL || held(t) > held(largest))
				largest = t;
		}
		if (largest == NULL || held(largest) < WORTH_BYTES)
			return;
		if (mostly_carried(largest) && recount_carried(batch, largest))
			continue;
		write_early(batch, largest);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * After a table's rows were written: its buffers are kept when it is the one
 * that fills the batch, because it will fill them again and fresh pages are
 * dear; otherwise given back, since the limit is for all tables together.
 */
void
batch_buffers_reset(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;
	bool		keep;

	b->ndeletes = b->ncarries = b->nmarked = 0;
	b->carried = 0;
	batch_count_memory(batch, t);
	keep = b->bytes <= batch->limit / 3 * 4 && batch->bytes - b->bytes < batch->limit / 8;
	if (!keep)
	{
		release_buffers(batch, t);
		return;
	}
	for (int i = 0; i < t->ncolumns; i++)
		column_vector_reset(b->columns[i]);
	for (int k = 0; k < t->nkeys; k++)
		column_vector_reset(b->keys[k]);
	batch_count_memory(batch, t);
}
