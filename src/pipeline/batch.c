/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The batch sink: decoded changes into column buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pipeline/batch.h"
#include "pipeline/evolve.h"
#include "pipeline/history.h"
#include "pipeline/tables.h"

/* Memory is counted again after so many rows, or bytes of one row. */
#define COUNT_ROWS 128
#define COUNT_BYTES 65536

/* Unchanged values of a column, of sizes not known, that are gathered before some are read. */
#define FIRST_CARRIES 256

static inline void
after_change(Batch *batch, PipelineTable *t, Size row_bytes)
{
	batch->changed = true;
	if (unlikely(++t->batch->unchecked >= COUNT_ROWS || row_bytes >= COUNT_BYTES))
	{
		batch_count_memory(batch, t);
		if (t->batch->used >= batch->piece_bytes)
			batch_seal(batch, t);
		batch_make_room(batch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
batch_end_change(Batch *batch, PipelineTable *t, Size bytes)
{
	after_change(batch, t, bytes);
}

/* Where the size is not known we learn it when values are read: until the first is, few are gathered. */
void
batch_add_carry(Batch *batch, PipelineTable *t, uint32 row, uint32 column, Size size)
{
	TableBatch *b = t->batch;

	if (size == 0)
		size = t->columns[column].carried_bytes;
	if (size == 0)
		size = Min(batch->limit / FIRST_CARRIES, MaxAllocSize);
	if (b->ncarries == b->carries_capacity)
	{
		b->carries_capacity = Max(64, b->carries_capacity * 2);
		b->carries = b->carries ?
			repalloc_huge(b->carries, b->carries_capacity * sizeof(Carry)) :
			MemoryContextAllocHuge(b->context, b->carries_capacity * sizeof(Carry));
	}
	b->carries[b->ncarries].row = row;
	b->carries[b->ncarries].column = column;
	b->carries[b->ncarries].size = (uint32) size;
	b->ncarries++;
	b->carried += size;
}

static void
null_in_required(const PipelineTable *t, const TableColumn *c)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" of table %s is NULL but required in the lake", c->name,
					quote_qualified_identifier(t->schema, t->table))));
}

Size
batch_append_external(Batch *batch, const TableColumn *c, ColumnVector *v, Datum value)
{
	MemoryContext old = MemoryContextSwitchTo(batch->scratch);
	struct varlena *flat = detoast_external_attr((struct varlena *) DatumGetPointer(value));
	Size		size = VARSIZE_ANY(flat);

	convert_append(&c->convert, v, PointerGetDatum(flat), batch->scratch);
	MemoryContextSwitchTo(old);
	MemoryContextReset(batch->scratch);
	return size;
}

void
batch_end_row(PipelineTable *t, uint8 mark)
{
	TableBatch *b = t->batch;
	uint32		n = batch_rows(b, t) - 1;

	if (n == b->marks_capacity)
	{
		b->marks_capacity *= 2;
		b->marks = repalloc_huge(b->marks, b->marks_capacity);
	}
	b->marks[n] = mark;
	b->nmarked += mark != 0;
}

void
batch_end_delete(PipelineTable *t)
{
	TableBatch *b = t->batch;

	if (b->ndeletes == b->deletes_capacity)
	{
		b->deletes_capacity *= 2;
		b->delete_at = repalloc_huge(b->delete_at, b->deletes_capacity * sizeof(uint32));
	}
	b->delete_at[b->ndeletes++] = batch_rows(b, t);
}

/* Returns the size of the values out of line, also of those that are to be carried. */
static Size
append_row(Batch *batch, PipelineTable *t, const DecodeRow *row, uint8 mark)
{
	TableBatch *b = batch_table(t);
	uint32		n = batch_rows(b, t);
	Size		big = 0;

	for (int i = 0; i < t->ncolumns; i++)
	{
		const TableColumn *c = &t->columns[i];
		ColumnVector *v = b->columns[i];
		Datum		value = row->values[c->attnum - 1];

		if (row->isnull[c->attnum - 1])
		{
			if (unlikely(t->parquet[i].required))
				null_in_required(t, c);
			column_append_null(v);
		}
		else if (c->varlena && unlikely(VARATT_IS_EXTERNAL(DatumGetPointer(value))))
		{
			if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
			{
				/* the pointer says it, though the value is not at hand */
				Size		size = toast_raw_datum_size(value);

				batch_add_carry(batch, t, n, i, size);
				mark |= ROW_CARRIES;
				column_append_null(v);
				big += size;
			}
			else
				big += batch_append_external(batch, c, v, value);
		}
		else
			convert_append(&c->convert, v, value, batch->scratch);
	}
	if (!batch->scratch->isReset)
		MemoryContextReset(batch->scratch);
	batch_end_row(t, mark);
	return big;
}

static Size
append_delete(Batch *batch, PipelineTable *t, const DecodeRow *old_row)
{
	TableBatch *b = batch_table(t);
	Size		big = 0;

	for (int k = 0; k < t->nkeys; k++)
	{
		const TableColumn *c = &t->columns[t->keys[k]];
		Datum		value = old_row->values[c->attnum - 1];

		if (old_row->isnull[c->attnum - 1])
			column_append_null(b->keys[k]);
		else if (c->varlena && VARATT_IS_EXTERNAL(DatumGetPointer(value)))
			big += batch_append_external(batch, c, b->keys[k], value);
		else
			convert_append(&c->convert, b->keys[k], value, batch->scratch);
	}
	if (!batch->scratch->isReset)
		MemoryContextReset(batch->scratch);
	batch_end_delete(t);
	return big;
}

/* The table a change goes to. */
static inline PipelineTable *
sink_table(const DecodeRelation *rel)
{
	PipelineTable *t = rel->sink_private;

	return t && t->opened && t->stop_error == NULL && t->copy_reason == NULL ? t : NULL;
}

/* A change that goes to a history alone; others are counted when they are written. */
static void
count_change(Batch *batch, PipelineTable *t, HistoryOp op)
{
	PipelineState *state = batch->pipeline->state;

	switch (op)
	{
		case HISTORY_INSERT:
			state->inserts++;
			t->work.inserts++;
			break;
		case HISTORY_UPDATE:
			state->updates++;
			t->work.updates++;
			break;
		case HISTORY_DELETE:
			state->deletes++;
			t->work.deletes++;
			break;
		case HISTORY_TRUNCATE:
			state->truncates++;
			t->work.truncates++;
			break;
		default:
			break;
	}
}

/* The same, if it has a mirror; what has a history is told of the change. */
static inline PipelineTable *
sink_mirror(Batch *batch, const DecodeTxn *txn, const DecodeRelation *rel, HistoryOp op,
			const DecodeRow *old_row, const DecodeRow *new_row)
{
	PipelineTable *t = sink_table(rel);

	batch->sequence++;
	if (likely(t == NULL || t->history == NULL))
		return t;
	history_add(batch, t, txn, op, old_row, new_row);
	if (t->lake)
		return t;
	count_change(batch, t, op);
	return NULL;
}

static void
sink_begin(ChangeSink *sink, const DecodeTxn *txn)
{
	Batch	   *batch = (Batch *) sink;

	if (batch->first_commit_time == 0)
		batch->first_commit_time = txn->commit_time;
}

static void
sink_relation(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, DecodeRelation *rel)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = pipeline_find_table(batch->pipeline, rel->relid);

	rel->sink_private = NULL;
	if (t == NULL || !t->opened || (t->state != TABLE_LIVE && t->state != TABLE_CATCHUP))
		return;
	rel->sink_private = t;
	if (sink_table(rel))
		evolve_described(batch, t, txn, lsn, rel);
}

static void
sink_rewritten(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, Oid relid)
{
	PipelineTable *t = pipeline_find_table(((Batch *) sink)->pipeline, relid);

	if (t && t->opened)
		t->rewritten = txn->xid;
}

static void
sink_joined(ChangeSink *sink, const DecodeTxn *txn, Oid relid)
{
	PipelineTable *t = pipeline_find_table(((Batch *) sink)->pipeline, relid);

	if (t && t->opened)
		t->joined = txn->xid;
}

static Oid *
sink_tables(ChangeSink *sink, int *n)
{
	Batch	   *batch = (Batch *) sink;
	Oid		   *relids = palloc(sizeof(Oid) * Max(list_length(batch->pipeline->tables), 1));
	ListCell   *lc;

	*n = 0;
	foreach(lc, batch->pipeline->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->opened && t->stop_error == NULL && t->copy_reason == NULL)
			relids[(*n)++] = t->relid;
	}
	return relids;
}

static void
sink_options(ChangeSink *sink)
{
	((Batch *) sink)->options_set = true;
}

/* Commits before the table's position are in the lake already. */
static bool
sink_wants(ChangeSink *sink, Oid relid, const DecodeTxn *txn)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = pipeline_find_table(batch->pipeline, relid);

	if (t == NULL || !t->opened)
		return false;
	if (t->state == TABLE_LIVE)
		return txn->commit_lsn >= batch->pipeline->lsn;
	return t->state == TABLE_CATCHUP && txn->commit_lsn >= t->lsn;
}

/*
 * A row whose key the source has not had: where rows are kept that the source
 * deleted, the lake may have one.  The new row takes its place, so that the
 * key stays a key, and a later update knows which row it is about.  Full
 * rows are no key.
 */
uint8
batch_new_key_mark(const PipelineTable *t)
{
	if (likely(!t->write.keep_deleted && !t->write.keep_truncated))
		return 0;
	return t->nkeys > 0 && t->replica_identity != REPLICA_IDENTITY_FULL ? ROW_TAKES_KEY : 0;
}

static void
sink_insert(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
			DecodeRelation *rel, const DecodeRow *new_row)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = sink_mirror(batch, txn, rel, HISTORY_INSERT, NULL, new_row);
	Size		big;

	if (t == NULL)
		return;
	big = append_row(batch, t, new_row, batch_new_key_mark(t));
	t->batch->inserts++;
	after_change(batch, t, big);
}

static void
sink_update(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
			DecodeRelation *rel, const DecodeRow *old_row, const DecodeRow *new_row)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = sink_mirror(batch, txn, rel, HISTORY_UPDATE, old_row, new_row);
	Size		big = 0;

	if (t == NULL)
		return;
	if (old_row)
		big = append_delete(batch, t, old_row);
	big += append_row(batch, t, new_row, old_row ? ROW_MOVED | batch_new_key_mark(t) : ROW_REPLACES);
	t->batch->updates++;
	after_change(batch, t, big);
}

static void
sink_delete(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
			DecodeRelation *rel, const DecodeRow *old_row)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = sink_mirror(batch, txn, rel, HISTORY_DELETE, old_row, NULL);
	Size		big;

	if (t == NULL || t->write.keep_deleted)
		return;
	big = append_delete(batch, t, old_row);
	t->batch->deletes++;
	after_change(batch, t, big);
}

/* Everything the table had is void: buffers, early files, and at the flush the lake's files. */
void
batch_truncate(Batch *batch, PipelineTable *t)
{
	TableBatch *b = batch_table(t);
	MemoryContext old = MemoryContextSwitchTo(b->context);
	ListCell   *lc;

	batch_buffers_reset(batch, t);
	batch_abandon_encoding(b);
	foreach(lc, b->files)
		b->dropped_files = lappend(b->dropped_files, ((IcebergDataFile *) lfirst(lc))->path);
	b->files = NIL;
	b->truncated = true;
	b->killed = false;
	b->killed_rows = NIL;
	if (t->index)
		keyindex_truncate(t->index);
	batch->changed = true;
	MemoryContextSwitchTo(old);
}

static void
sink_truncate(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
			  DecodeRelation **rels, int nrels, bool cascade, bool restart_seqs)
{
	Batch	   *batch = (Batch *) sink;

	for (int i = 0; i < nrels; i++)
	{
		PipelineTable *t = sink_mirror(batch, txn, rels[i], HISTORY_TRUNCATE, NULL, NULL);

		if (t && !t->write.keep_truncated)
		{
			batch_truncate(batch, t);
			batch->pipeline->state->truncates++;
			t->work.truncates++;
		}
	}
}

static void
sink_lost(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
		  DecodeRelation *rel, const char *reason)
{
	PipelineTable *t = sink_table(rel);

	if (t)
		evolve_copy_anew(t, reason, false, EVOLVE_BEFORE(txn));
}

/* A copy anew would not help: the next such change would not be told, either. */
static void
sink_unkeyed(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
			 DecodeRelation *rel, bool deleted, const char *reason)
{
	PipelineTable *t = sink_table(rel);

	if (t && !(deleted && t->write.keep_deleted))
		evolve_stop(t, reason, txn);
}

static void
sink_truncate_partition(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn,
						DecodeRelation *rel, const char *reason)
{
	PipelineTable *t = sink_table(rel);

	if (t && !t->write.keep_truncated)
		sink_lost(sink, txn, lsn, rel, reason);
}

/* Left the publications and changed: if it comes back, it lacks what was missed. */
static void
sink_unpublished(ChangeSink *sink, const DecodeTxn *txn, XLogRecPtr lsn, Oid relid)
{
	Batch	   *batch = (Batch *) sink;
	PipelineTable *t = pipeline_find_table(batch->pipeline, relid);

	if (t && t->opened)
		evolve_copy_anew(t, "it was changed while it was in none of the publications", true,
						 Max(t->state == TABLE_LIVE ? batch->pipeline->lsn : t->lsn, batch->last_end));
}

static void
sink_commit(ChangeSink *sink, const DecodeTxn *txn, bool empty)
{
	Batch	   *batch = (Batch *) sink;

	batch->last_end = txn->end_lsn;
	/* not at the beginning, which is told after the shape of the first table */
	batch->sequence = 0;
	if (!empty)
	{
		batch->last_commit_time = txn->commit_time;
		batch->pipeline->state->transactions++;
	}
}

static const ChangeSinkOps batch_ops = {
	.begin = sink_begin,
	.relation = sink_relation,
	.insert = sink_insert,
	.update = sink_update,
	.delete = sink_delete,
	.truncate = sink_truncate,
	.commit = sink_commit,
	.wants = sink_wants,
	.lost = sink_lost,
	.unkeyed = sink_unkeyed,
	.truncate_partition = sink_truncate_partition,
	.unpublished = sink_unpublished,
	.rewritten = sink_rewritten,
	.joined = sink_joined,
	.tables = sink_tables,
	.options = sink_options,
};

Batch *
batch_create(Pipeline *p, size_t limit)
{
	Batch	   *batch = MemoryContextAllocZero(p->context, sizeof(Batch));

	batch->sink.ops = &batch_ops;
	batch->sink.private = batch;
	batch->pipeline = p;
	batch->limit = limit;
	batch->piece_bytes = encoder_piece_bytes(p);
	batch->scratch = AllocSetContextCreate(p->context, "tarn batch scratch", ALLOCSET_DEFAULT_SIZES);
	return batch;
}
