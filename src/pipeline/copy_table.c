/*-------------------------------------------------------------------------
 *
 * copy_table.c
 *	  Copying block ranges of a table into data files.
 *
 * Rows are deformed on their page and appended to column vectors; a full row
 * group goes to the Parquet writer in one piece, which encodes it in place.
 *
 * The exported snapshot does not protect from changes of the table itself: a
 * scan opens it as it is now.  Rows are lost to an old snapshot when
 * ALTER TABLE rewrites them, and no row events follow.  So each table is
 * compared, once it is locked, with what it was under the snapshot; when it
 * is another file or another shape the copy fails and is made anew.  Locking
 * all tables before the slot is made would need no check, but could
 * deadlock with an application that the slot waits for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "decode/sink.h"
#include "pipeline/copy_shared.h"
#include "pipeline/history.h"
#include "pipeline/shape.h"
#include "pipeline/tables.h"
#include "pipeline/write.h"

/* Memory of the vectors is counted every so many rows. */
#define COPY_CHECK_ROWS 1024

/* A file being written, of the mirror or of the history. */
typedef struct CopyFile
{
	CopyMessage kind;			/* how its end is told */
	const LakeTable *lake;
	FileForm	form;
	ParquetWriterOptions options;
	ParquetWriter *writer;		/* NULL: no file is open */
	StoreWriter *out;
	char	   *path;
	MemoryContext context;		/* of the open file */
} CopyFile;

/* One table, as long as its tasks are at hand. */
typedef struct CopyOutput
{
	const CopyRun *run;
	int32		table_number;
	CopyTable  *shared;
	PipelineTable *t;
	DecodeRelation *rel;		/* as it is now */
	DecodeFilter *filter;		/* or NULL */
	ColumnVector **columns;
	uint32		nrows;			/* in the vectors */
	CopyFile	mirror;			/* lake NULL: there is none */
	CopyFile	history;		/* the same */
	HistoryRows *history_rows;
	MemoryContext context;
	MemoryContext row_context;	/* reset for each row */
} CopyOutput;

/* One leaf: the table itself or a partition. */
typedef struct CopyLeaf
{
	Oid			relid;
	Relation	rel;
	AttrMap    *map;			/* to the table's attributes, or NULL */
	TupleTableSlot *slot;
	DecodeRow	row;			/* the slot's arrays, or mapped ones */
	bool		exists;			/* under the snapshot */
} CopyLeaf;

const CopyTask *
copy_next_task(CopyShared *shared)
{
	uint32		n = pg_atomic_fetch_add_u32(&shared->next_task, 1);

	return n < (uint32) shared->ntasks ? &copy_tasks(shared)[n] : NULL;
}

pg_noreturn static void
copy_changed(const PipelineTable *t)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("could not copy table %s: it was altered meanwhile",
					quote_qualified_identifier(t->schema, t->table))));
	pg_unreachable();
}

/* Storage of the table as the snapshot shows it; false when it did not exist. */
static bool
copy_filenode_then(Oid relid, Oid *filenode)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, GetActiveSnapshot(), 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		*filenode = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/*
 * Had the table the same columns under the snapshot?  Else the copy would have
 * a shape that the stream comes to only later.
 */
static bool
copy_same_then(Oid relid, TupleDesc now)
{
	Relation	pg_attribute = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	int			n = 0;
	bool		same = true;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTGreaterStrategyNumber, F_INT2GT, Int16GetDatum(0));
	scan = systable_beginscan(pg_attribute, AttributeRelidNumIndexId, true, GetActiveSnapshot(), 2, keys);
	while (same && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute then = (Form_pg_attribute) GETSTRUCT(tuple);
		Form_pg_attribute att;

		same = then->attnum <= now->natts;
		if (!same)
			break;
		att = TupleDescAttr(now, then->attnum - 1);
		same = then->attisdropped == att->attisdropped && then->atttypid == att->atttypid &&
			then->atttypmod == att->atttypmod && then->attnotnull == att->attnotnull &&
			strcmp(NameStr(then->attname), NameStr(att->attname)) == 0;
		n++;
	}
	systable_endscan(scan);
	table_close(pg_attribute, AccessShareLock);
	return same && n == now->natts;
}

static void
copy_begin_files(CopyOutput *o, CopyFile *f, CopyMessage kind, const LakeTable *lake, FileForm form)
{
	f->kind = kind;
	f->lake = lake;
	f->options = *form.options;
	f->options.row_group_bytes = Min(f->options.row_group_bytes, o->run->shared->row_group_bytes);
	f->form = form;
	f->form.options = &f->options;
	f->context = AllocSetContextCreate(o->context, "tarn copy file", ALLOCSET_DEFAULT_SIZES);
}

static void
copy_open_output(CopyOutput *o, const CopyRun *run, int32 table_number)
{
	CopyTable  *shared = &copy_tables(run->shared)[table_number];
	PipelineTable *t = pipeline_find_table(run->pipeline, shared->relid);
	char	   *problem;

	memset(o, 0, sizeof(*o));
	o->run = run;
	o->table_number = table_number;
	o->shared = shared;
	if (t == NULL)
		elog(ERROR, "table %u does not belong to the pipeline any more", shared->relid);
	o->t = t;
	/* its shape stays from here on */
	LockRelationOid(t->relid, AccessShareLock);
	if (!pipeline_table_open(run->pipeline, t, &problem))
	{
		if (problem == NULL)
			copy_changed(t);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", problem)));
	}
	t->own_folder = shared->own_folder;

	o->rel = decode_relation_describe(t->relid, run->pipeline->publications);
	if (o->rel == NULL || t->write.history != shared->history || shape_fingerprint(t->shape) != shared->shape ||
		!copy_same_then(t->relid, o->rel->desc))
		copy_changed(t);
	o->context = CurrentMemoryContext;
	o->filter = decode_filter_open(o->rel, run->pipeline->publications, o->context);
	if (table_mirrored(t))
		copy_begin_files(o, &o->mirror, COPY_FILE, pipeline_table_lake(run->pipeline, t),
						 (FileForm) {t->parquet, t->ncolumns, &t->write.parquet, t->shape->schema});
	if (t->history)
	{
		copy_begin_files(o, &o->history, COPY_HISTORY, history_lake(run->pipeline, t), history_form(t));
		o->history_rows = history_rows_create(o->context);
	}
	o->row_context = AllocSetContextCreate(o->context, "tarn copy row", ALLOCSET_DEFAULT_SIZES);
	o->columns = palloc(Max(t->ncolumns, 1) * sizeof(ColumnVector *));
	for (int i = 0; i < t->ncolumns; i++)
		o->columns[i] = column_vector_create(o->context, t->columns[i].convert.type, COPY_CHECK_ROWS);
}

/* Locks a leaf, and checks that it is what the snapshot saw. */
static void
copy_open_leaf(CopyOutput *o, CopyLeaf *leaf, Oid relid)
{
	Oid			then = InvalidOid;
	int			natts = o->rel->desc->natts;

	memset(leaf, 0, sizeof(*leaf));
	leaf->relid = relid;
	leaf->rel = try_table_open(relid, AccessShareLock);
	if (leaf->rel == NULL)
		copy_changed(o->t);
	leaf->exists = copy_filenode_then(relid, &then);
	if (leaf->exists && then != leaf->rel->rd_rel->relfilenode)
		copy_changed(o->t);

	leaf->slot = table_slot_create(leaf->rel, NULL);
	leaf->row.values = leaf->slot->tts_values;
	leaf->row.isnull = leaf->slot->tts_isnull;
	if (relid != o->t->relid)
		leaf->map = build_attrmap_by_name_if_req(RelationGetDescr(leaf->rel), o->rel->desc COMPAT_ATTRMAP_ARG);
	else if (natts != RelationGetNumberOfAttributes(leaf->rel))
		copy_changed(o->t);
	if (leaf->map != NULL)
	{
		leaf->row.values = palloc0(Max(natts, 1) * sizeof(Datum));
		leaf->row.isnull = palloc0(Max(natts, 1) * sizeof(bool));
	}
}

static void
copy_close_leaf(CopyLeaf *leaf)
{
	ExecDropSingleTupleTableSlot(leaf->slot);
	table_close(leaf->rel, AccessShareLock);
	leaf->relid = InvalidOid;
}

static void
copy_open_file(CopyOutput *o, CopyFile *f)
{
	MemoryContext old = MemoryContextSwitchTo(f->context);

	f->path = lake_data_path(f->lake, o->shared->token, (int) pg_atomic_fetch_add_u32(&o->shared->next_file, 1));
	f->out = store_create(o->run->pipeline->lake->store, f->path, 0);
	f->writer = parquet_writer_open(f->form.columns, f->form.ncolumns, f->form.options, NULL, write_to_store, f->out);
	MemoryContextSwitchTo(old);
}

static void
copy_close_file(CopyOutput *o, CopyFile *f)
{
	MemoryContext old;
	ParquetFileSummary *summary;
	IcebergDataFile file;

	if (f->writer == NULL)
		return;
	old = MemoryContextSwitchTo(f->context);
	memset(&file, 0, sizeof(file));
	summary = parquet_writer_finish(f->writer);
	store_finish(f->out);
	FAILPOINT("copy-file-written");
	lake_data_file(&file, f->path, f->form.schema, summary);
	o->run->file_done(f->kind, o->table_number, &file, o->run->arg);
	parquet_writer_free(f->writer);
	f->writer = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(f->context);
}

/* Adds rows to a file, which is rolled at its size. */
static void
copy_put_rows(CopyOutput *o, CopyFile *f, ColumnVector *const *columns, uint32 nrows)
{
	if (f->writer == NULL)
		copy_open_file(o, f);
	parquet_writer_append(f->writer, columns, nrows, NULL);
	if (parquet_writer_bytes(f->writer) >= o->t->write.file_bytes)
		copy_close_file(o, f);
}

/* The gathered rows become a row group. */
static void
copy_write_rows(CopyOutput *o)
{
	if (o->nrows == 0)
		return;
	if (o->mirror.lake)
		copy_put_rows(o, &o->mirror, o->columns, o->nrows);
	if (o->history.lake)
	{
		history_add_copied(o->t, o->history_rows, o->columns, o->nrows, o->run->shared->lsn, o->run->shared->time);
		copy_put_rows(o, &o->history, o->history_rows->columns, o->nrows);
		history_rows_reset(o->history_rows);
	}
	pg_atomic_fetch_add_u64(&o->shared->rows, o->nrows);
	o->nrows = 0;
	for (int i = 0; i < o->t->ncolumns; i++)
		column_vector_reset(o->columns[i]);
}

static bool
copy_full(const CopyOutput *o)
{
	size_t		bytes = 0;

	for (int i = 0; i < o->t->ncolumns; i++)
		bytes += column_vector_bytes(o->columns[i]);
	/* a history has them a second time */
	if (o->history.lake)
		bytes *= 2;
	return bytes >= Min(o->t->write.parquet.row_group_bytes, o->run->shared->row_group_bytes);
}

pg_noreturn static void
copy_null(const PipelineTable *t, const TableColumn *c)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" of table %s is NULL but required in the lake", c->name,
					quote_qualified_identifier(t->schema, t->table))));
	pg_unreachable();
}

/* row_context is the current one: fetched and expanded values live until the next row. */
static void
copy_append(CopyOutput *o, const DecodeRow *row)
{
	const PipelineTable *t = o->t;

	for (int i = 0; i < t->ncolumns; i++)
	{
		const TableColumn *c = &t->columns[i];
		Datum		value = row->values[c->attnum - 1];

		if (row->isnull[c->attnum - 1])
		{
			if (unlikely(t->parquet[i].required))
				copy_null(t, c);
			column_append_null(o->columns[i]);
			continue;
		}
		if (c->varlena && unlikely(VARATT_IS_EXTERNAL(DatumGetPointer(value))))
			value = PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(value)));
		convert_append(&c->convert, o->columns[i], value, o->row_context);
	}
}

static inline void
copy_map(CopyLeaf *leaf)
{
	for (int i = 0; i < leaf->map->maplen; i++)
	{
		int			from = leaf->map->attnums[i] - 1;

		leaf->row.values[i] = from < 0 ? (Datum) 0 : leaf->slot->tts_values[from];
		leaf->row.isnull[i] = from < 0 || leaf->slot->tts_isnull[from];
	}
}

static void
copy_scan(CopyOutput *o, CopyLeaf *leaf, TableScanDesc scan)
{
	uint32		row_group_rows = o->t->write.parquet.row_group_rows;
	uint32		unchecked = 0;
	MemoryContext old = MemoryContextSwitchTo(o->row_context);

	while (table_scan_getnextslot(scan, ForwardScanDirection, leaf->slot))
	{
		slot_getallattrs(leaf->slot);
		if (leaf->map != NULL)
			copy_map(leaf);
		if (o->filter == NULL || decode_filter_row(o->filter, &leaf->row))
		{
			copy_append(o, &leaf->row);
			o->nrows++;
		}
		MemoryContextReset(o->row_context);
		if (unlikely(o->nrows >= row_group_rows))
			copy_write_rows(o);
		if (unlikely(++unchecked >= COPY_CHECK_ROWS))
		{
			unchecked = 0;
			CHECK_FOR_INTERRUPTS();
			if (copy_full(o))
				copy_write_rows(o);
		}
	}
	MemoryContextSwitchTo(old);
}

/*
 * A ring of buffers for large tables, as a sequential scan has, so that the
 * copy does not push the application's pages out; a TID range scan would
 * not use one.
 */
static void
copy_range(CopyOutput *o, CopyLeaf *leaf, const CopyTask *task)
{
	TableScanDesc scan;

	if (leaf->exists)
	{
		scan = table_beginscan_strat(leaf->rel, GetActiveSnapshot(), 0, NULL, true, false);
		if (task->nblocks != InvalidBlockNumber)
			heap_setscanlimits(scan, task->first, task->nblocks);
		copy_scan(o, leaf, scan);
		table_endscan(scan);
	}
	if (task->nblocks != InvalidBlockNumber)
		pg_atomic_fetch_add_u64(&o->shared->blocks_done, task->nblocks);
}

int
copy_table_run(const CopyRun *run, const CopyTask **task)
{
	CopyOutput	output;
	CopyLeaf	leaf = {InvalidOid};
	int32		table_number = (*task)->table;
	int			ntasks = 0;

	copy_open_output(&output, run, table_number);
	for (; *task != NULL && (*task)->table == table_number; *task = copy_next_task(run->shared))
	{
		if (leaf.relid != (*task)->leaf)
		{
			if (OidIsValid(leaf.relid))
				copy_close_leaf(&leaf);
			copy_open_leaf(&output, &leaf, (*task)->leaf);
		}
		copy_range(&output, &leaf, *task);
		ntasks++;
		FAILPOINT("copy-task");
	}
	if (OidIsValid(leaf.relid))
		copy_close_leaf(&leaf);
	copy_write_rows(&output);
	copy_close_file(&output, &output.mirror);
	copy_close_file(&output, &output.history);
	return ntasks;
}
