/*-------------------------------------------------------------------------
 *
 * rebuild_replay.c
 *	  Plays the changes of a history into a batch, in their order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "pipeline/evolve.h"
#include "pipeline/keyhash.h"
#include "pipeline/rebuild.h"
#include "pipeline/shape_internal.h"

/* Columns of what is sorted, and of what is read for it. */
enum
{
	ROW_LSN, ROW_SEQUENCE, ROW_OP, ROW_BEFORE, ROW_AFTER, ROW_UNCHANGED, ROW_SHAPE, ROW_NCOLUMNS
};

static const int row_fields[ROW_NCOLUMNS] = {
	HISTORY_FIELD_ID(HISTORY_COMMIT_LSN), HISTORY_FIELD_ID(HISTORY_SEQUENCE), HISTORY_FIELD_ID(HISTORY_OP),
	HISTORY_FIELD_ID(HISTORY_BEFORE), HISTORY_FIELD_ID(HISTORY_AFTER), HISTORY_FIELD_ID(HISTORY_UNCHANGED),
	HISTORY_FIELD_ID(HISTORY_SHAPE_TEXT)
};

typedef struct Replay
{
	const RebuildPlan *plan;
	Batch	   *batch;
	PipelineTable *t;
	int		   *column_of;		/* by field of an image: the table's column, or -1 */
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	MemoryContext row_context;
} Replay;

/* --- shapes --- */

static int
column_of_field(const ShapeColumns *columns, int id)
{
	for (int i = 0; i < columns->ncolumns; i++)
	{
		if (columns->columns[i].field_id == id)
			return i;
	}
	return -1;
}

/* The key, by the ids that the property has after its first word. */
static void
read_key(ShapeColumns *out)
{
	const char *text = shape_property(out->shape, SHAPE_KEY);
	LakeType   *types = palloc(sizeof(LakeType) * Max(out->ncolumns, 1));

	out->keys = palloc(sizeof(int) * Max(out->ncolumns, 1));
	for (text = text ? strchr(text, ' ') : NULL; text; text = strchr(text + 1, ' '))
	{
		int			column = column_of_field(out, atoi(text + 1));

		if (column < 0 || out->nkeys == out->ncolumns)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("a shape in the history has a key that is none of its columns")));
		types[out->nkeys] = out->columns[column].convert.type;
		out->keys[out->nkeys++] = column;
	}
	out->wide_key = keyhash_is_wide(types, out->nkeys) ||
		(out->nkeys == 1 && !out->columns[out->keys[0]].notnull);
	/* rows that are the same may stand for each other; it is what a key of all columns comes to as well */
	out->replica_identity = out->nkeys == out->ncolumns ? REPLICA_IDENTITY_FULL : REPLICA_IDENTITY_DEFAULT;
}

/* One column.  A value has the type that the last shape has for it, from the first row on; so do files written early. */
static void
make_column(const RebuildPlan *plan, ShapeColumns *out, int i, ParquetEncodingChoice encoding)
{
	IcebergField *f = &out->shape->schema->fields[i];
	const IcebergField *last = rebuild_field(plan, f->id);
	const char *attribute = shape_property(out->shape, psprintf("%s%d", SHAPE_ATTRIBUTE_PREFIX, f->id));
	TableColumn *c = &out->columns[i];

	f->type = last->type;
	f->node = last->node;
	c->field_id = f->id;
	c->lake_name = f->name;
	c->name = convert_name_from_lake(f->name);
	c->attnum = attribute ? (AttrNumber) atoi(attribute) : 0;
	c->notnull = f->required;
	c->convert.type = f->type;
	c->node = f->node;
	out->parquet[i] = (ParquetColumn) {
		.name = f->name,.field_id = f->id,.type = f->type,.required = f->required,.encoding = encoding,.node = f->node
	};
	out->last_field_id = Max(out->last_field_id, f->node ? Max(f->id, lake_node_max_id(f->node)) : f->id);
}

static void
make_columns(const RebuildPlan *plan, PipelineTable *t, TableShape *shape, ShapeColumns *out)
{
	MemoryContext old = MemoryContextSwitchTo(shape->context);

	memset(out, 0, sizeof(*out));
	out->shape = shape;
	out->ncolumns = shape->schema->nfields;
	out->columns = palloc0(sizeof(TableColumn) * Max(out->ncolumns, 1));
	out->parquet = palloc0(sizeof(ParquetColumn) * Max(out->ncolumns, 1));
	out->last_field_id = t->last_field_id;
	for (int i = 0; i < out->ncolumns; i++)
		make_column(plan, out, i, t->write.encoding);
	read_key(out);
	MemoryContextSwitchTo(old);
}

void
rebuild_install(const RebuildPlan *plan, Batch *batch, PipelineTable *t, TableShape *shape, XLogRecPtr since)
{
	ShapeColumns columns;
	const char *before = t->shape ? shape_property(t->shape, SHAPE_KEY) : NULL;
	const char *now = shape_property(shape, SHAPE_KEY);

	make_columns(plan, t, shape, &columns);
	MemoryContextSetParent(shape->context, t->context);
	if (batch == NULL)
	{
		shape_install(t, &columns);
		return;
	}
	columns.rekeyed = before == NULL || now == NULL || strcmp(before, now) != 0;
	evolve_reshape(batch, t, &columns, since);
}

static void
map_columns(Replay *r)
{
	for (int i = 0; i < r->plan->fields->nfields; i++)
	{
		r->column_of[i] = -1;
		for (int k = 0; k < r->t->ncolumns; k++)
		{
			if (r->t->columns[k].field_id == r->plan->fields->fields[i].id)
				r->column_of[i] = k;
		}
	}
}

/* --- rows --- */

static void
take_row(const LakeValue *values, void *arg)
{
	Replay	   *r = arg;
	MemoryContext old = MemoryContextSwitchTo(r->row_context);
	TupleTableSlot *slot = r->slot;

	ExecClearTuple(slot);
	slot->tts_values[ROW_LSN] = Int64GetDatum(values[ROW_LSN].u.i64);
	slot->tts_values[ROW_SEQUENCE] = Int64GetDatum(values[ROW_SEQUENCE].u.i64);
	slot->tts_isnull[ROW_LSN] = slot->tts_isnull[ROW_SEQUENCE] = false;
	for (int i = ROW_OP; i < ROW_NCOLUMNS; i++)
	{
		slot->tts_isnull[i] = values[i].isnull;
		slot->tts_values[i] = values[i].isnull ? (Datum) 0 :
			PointerGetDatum(cstring_to_text_with_len(values[i].u.bytes.data, (int) values[i].u.bytes.size));
	}
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(r->sort, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(r->row_context);
}

static PackedCursor
cursor_of(const TupleTableSlot *slot, int i)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(slot->tts_values[i]);

	return (PackedCursor) {VARDATA_ANY(value), VARDATA_ANY(value) + VARSIZE_ANY_EXHDR(value)};
}

/* A child's value to the end of a vector; what is nested goes there packed as it is. */
static void
append_child(PackedCursor *c, const LakeNode *node, ColumnVector *v)
{
	const char *begin = c->at;

	if (node->kind == LAKE_NODE_VALUE)
	{
		packed_append(c, v);
		return;
	}
	packed_skip(c, node);
	column_append_bytes(v, begin, (uint32) (c->at - begin));
}

/* The values of an image to the vectors of the table's columns; NULL vectors are passed over. */
static void
append_image(const Replay *r, PackedCursor c, ColumnVector **vectors)
{
	for (int i = 0; i < r->plan->image->nchildren; i++)
	{
		const LakeNode *node = &r->plan->image->children[i];
		ColumnVector *v = r->column_of[i] >= 0 ? vectors[r->column_of[i]] : NULL;

		if (!packed_present(&c))
		{
			if (v)
				column_append_null(v);
		}
		else if (v)
			append_child(&c, node, v);
		else
			packed_skip(&c, node);
	}
}

static void
play_delete(Replay *r)
{
	PipelineTable *t = r->t;
	TableBatch *b = batch_table(t);
	ColumnVector **vectors = palloc0(sizeof(ColumnVector *) * Max(t->ncolumns, 1));

	for (int k = 0; k < t->nkeys; k++)
		vectors[t->keys[k]] = b->keys[k];
	append_image(r, cursor_of(r->slot, ROW_BEFORE), vectors);
	batch_end_delete(t);
}

/* The columns that WAL did not have: to be taken over from the row's old version. */
static bool
carry_unchanged(Replay *r, uint32 row)
{
	PackedCursor c;
	bool		any = false;

	if (r->slot->tts_isnull[ROW_UNCHANGED])
		return false;
	c = cursor_of(r->slot, ROW_UNCHANGED);
	for (uint32 n = packed_count(&c); n > 0; n--)
	{
		int32		attnum;

		if (!packed_present(&c))
			continue;
		memcpy(&attnum, packed_take(&c, sizeof(attnum)), sizeof(attnum));
		for (int i = 0; i < r->t->ncolumns; i++)
		{
			if (r->t->columns[i].attnum != attnum)
				continue;
			batch_add_carry(r->batch, r->t, row, (uint32) i, 0);
			any = true;
		}
	}
	return any;
}

static void
play_row(Replay *r, uint8 mark)
{
	TableBatch *b = batch_table(r->t);
	uint32		row = batch_rows(b, r->t);
	PackedCursor c = cursor_of(r->slot, ROW_AFTER);

	if (carry_unchanged(r, row))
		mark |= ROW_CARRIES;
	append_image(r, c, b->columns);
	batch_end_row(r->t, mark);
}

/* The size of an image of the change at hand. */
static Size
image_bytes(const Replay *r, int column)
{
	return r->slot->tts_isnull[column] ? 0 : VARSIZE_ANY_EXHDR(DatumGetPointer(r->slot->tts_values[column]));
}

/* The change at hand is in the batch, all of it. */
static void
end_change(Replay *r)
{
	batch_end_change(r->batch, r->t, image_bytes(r, ROW_BEFORE) + image_bytes(r, ROW_AFTER));
}

static void
play_shape(Replay *r)
{
	struct varlena *text = (struct varlena *) DatumGetPointer(r->slot->tts_values[ROW_SHAPE]);
	TableShape *shape = history_shape_read(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text), r->plan->history->name,
										   r->plan->context);

	rebuild_install(r->plan, r->batch, r->t, shape, DatumGetInt64(r->slot->tts_values[ROW_LSN]));
	map_columns(r);
}

/* What batch.c does of the same change. */
static void
play(Replay *r)
{
	bool		before = !r->slot->tts_isnull[ROW_BEFORE];
	PipelineTable *t = r->t;

	switch ((HistoryOp) VARDATA_ANY(DatumGetPointer(r->slot->tts_values[ROW_OP]))[0])
	{
		case HISTORY_INSERT:
		case HISTORY_READ:
			play_row(r, batch_new_key_mark(t));
			end_change(r);
			break;
		case HISTORY_UPDATE:
			if (before)
				play_delete(r);
			play_row(r, before ? ROW_MOVED | batch_new_key_mark(t) : ROW_REPLACES);
			end_change(r);
			break;
		case HISTORY_DELETE:
			if (t->write.keep_deleted)
				break;
			play_delete(r);
			end_change(r);
			break;
		case HISTORY_TRUNCATE:
			if (!t->write.keep_truncated)
				batch_truncate(r->batch, t);
			break;
		case HISTORY_SHAPE:
			play_shape(r);
			break;
		case HISTORY_BEGIN:
		case HISTORY_END:
			break;
	}
}

/* --- in their order --- */

static void
begin_sort(Replay *r)
{
	static const char *const names[ROW_NCOLUMNS] = {"lsn", "sequence", "op", "before", "after", "unchanged", "shape"};
	AttrNumber	keys[] = {ROW_LSN + 1, ROW_SEQUENCE + 1};
	Oid			operators[] = {Int8LessOperator, Int8LessOperator};
	Oid			collations[] = {InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false};
	TupleDesc	desc = CreateTemplateTupleDesc(ROW_NCOLUMNS);

	for (int i = 0; i < ROW_NCOLUMNS; i++)
		TupleDescInitEntry(desc, (AttrNumber) (i + 1), names[i], i <= ROW_SEQUENCE ? INT8OID : BYTEAOID, -1, 0);
	r->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	r->sort = tuplesort_begin_heap(desc, lengthof(keys), keys, operators, collations, nulls_first,
								   maintenance_work_mem, NULL, TUPLESORT_NONE);
}

static void
read_rows(Replay *r)
{
	const RebuildPlan *plan = r->plan;
	Filter	   *bounds[2];

	bounds[0] = rebuild_filter(FILTER_GE, ROW_LSN, LAKE_LONG, (int64) plan->base);
	bounds[1] = rebuild_filter(FILTER_LE, ROW_LSN, LAKE_LONG, (int64) plan->until);
	rebuild_scan(plan->history, row_fields, ROW_NCOLUMNS, filter_combine(FILTER_AND, bounds, 2), take_row, r);
	tuplesort_performsort(r->sort);
}

void
rebuild_replay(const RebuildPlan *plan, Batch *batch, PipelineTable *t)
{
	Replay		r = {.plan = plan,.batch = batch,.t = t};
	MemoryContext old = CurrentMemoryContext;
	TupleTableSlot *virtual;

	r.column_of = palloc(sizeof(int) * Max(plan->fields->nfields, 1));
	map_columns(&r);
	r.row_context = AllocSetContextCreate(CurrentMemoryContext, "tarn replayed row", ALLOCSET_DEFAULT_SIZES);
	begin_sort(&r);
	virtual = MakeSingleTupleTableSlot(r.slot->tts_tupleDescriptor, &TTSOpsVirtual);
	{
		TupleTableSlot *sorted = r.slot;

		r.slot = virtual;
		read_rows(&r);
		r.slot = sorted;
	}
	while (tuplesort_gettupleslot(r.sort, true, false, r.slot, NULL))
	{
		MemoryContextSwitchTo(r.row_context);
		slot_getallattrs(r.slot);
		play(&r);
		MemoryContextReset(r.row_context);
	}
	MemoryContextSwitchTo(old);
	tuplesort_end(r.sort);
	ExecDropSingleTupleTableSlot(virtual);
	ExecDropSingleTupleTableSlot(r.slot);
	MemoryContextDelete(r.row_context);
}
