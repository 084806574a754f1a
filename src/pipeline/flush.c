/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  From buffered changes to one commit of the lake.
 *
 * The order of durable steps is what makes a crash harmless at any point:
 * data files, delete files, manifests and metadata (named after the token
 * that the last commit recorded), the key index's new state beside the old,
 * then one PostgreSQL transaction (catalog rows, progress, next token), and
 * only then the slot.  What a crash leaves behind before the transaction is
 * found by the token and removed; after it, decoding skips what the lake has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "replication/origin.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/failpoint.h"
#include "iceberg/deletes.h"
#include "pipeline/evolve.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/tables.h"
#include "pipeline/write.h"

/* One table of a flush. */
typedef struct FlushTable
{
	PipelineTable *table;
	LakeTable  *after;
} FlushTable;

void
pipeline_begin(void)
{
	/* no client does it for us: now() would stand still at the worker's start */
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();

	/*
	 * Decoding leaves relcache entries of the past behind (and the other way
	 * round); both are thrown away at each border, or tuples are deformed by
	 * the wrong descriptor without an error.
	 */
	InvalidateSystemCaches();
	replorigin_session_origin = DoNotReplicateId;
}

void
pipeline_commit(void)
{
	/*
	 * With this flag other backends would ignore our transaction id, see our
	 * rows as aborted, and hint them so: rows that vanish after a commit.
	 */
	if (MyProc->statusFlags & PROC_IN_LOGICAL_DECODING)
		elog(ERROR, "lake commit inside a decoding process state");
	FAILPOINT("before-transaction-end");
	CommitTransactionCommand();
	FAILPOINT("after-transaction-end");
	replorigin_session_origin = InvalidRepOriginId;
	InvalidateSystemCaches();
}

static void
add_summary(LakeChange *change, const Pipeline *p, XLogRecPtr lsn)
{
	lake_change_summary(change, "tarn.pipeline", p->lake_label);
	lake_change_summary(change, "tarn.lsn", psprintf("%X/%X", LSN_FORMAT_ARGS(lsn)));
	lake_change_summary(change, "tarn.system-identifier",
						psprintf("%llu", (unsigned long long) p->system_identifier));
	lake_change_summary(change, "tarn.timeline", psprintf("%u", p->timeline));
}

static void
killed_to_writer(const char *path, const uint64 *positions, uint64 n, void *arg)
{
	iceberg_delete_writer_add(arg, path, positions, n);
}

/* The rows the key index marked since the last commit, as one position delete file. */
static void
write_deletes(Batch *batch, PipelineTable *t)
{
	Pipeline   *p = batch->pipeline;
	char	   *path = lake_data_path(t->lake, p->flush_token, batch->next_file++);
	StoreWriter *out = store_create(p->lake->store, path, 0);
	ParquetWriterOptions options = t->write.parquet;
	IcebergDeleteWriter *writer;
	MemoryContext old;
	IcebergDataFile *file;

	/* its rows are gathered, each with the path in full */
	options.row_group_bytes = Min(options.row_group_bytes, (uint64) p->memory_limit / 8);
	writer = iceberg_delete_writer_open(&options, write_to_store, out);
	if (t->index)
		keyindex_killed(t->index, killed_to_writer, writer);
	else
	{
		/* the key changed, and nobody asked for an index of the new one */
		ListCell   *lc;

		foreach(lc, t->batch->killed_rows)
		{
			const KilledRows *rows = lfirst(lc);

			killed_to_writer(rows->path, rows->positions, rows->n, writer);
		}
	}
	old = MemoryContextSwitchTo(t->batch->context);
	file = palloc0(sizeof(IcebergDataFile));
	iceberg_delete_writer_finish(writer, file);
	file->path = path = pstrdup(path);
	t->batch->files = lappend(t->batch->files, file);
	MemoryContextSwitchTo(old);
	store_finish(out);
	p->state->written_bytes += file->file_size;
}

/* Delete file and metadata of one table, whose rows are written; NULL when nothing of it changes in the end. */
static LakeTable *
write_table(Batch *batch, PipelineTable *t, XLogRecPtr lsn, List **garbage)
{
	TableBatch *b = t->batch;
	LakeChange *change;
	ListCell   *lc;

	batch_settle(batch->pipeline, b);
	FAILPOINT("flush-data-written");
	if (b->killed)
		write_deletes(batch, t);
	*garbage = list_concat(*garbage, b->dropped_files);
	if (b->files == NIL && !b->truncated && !t->reshaped)
		return NULL;
	change = lake_change_begin(t->lake, batch->pipeline->flush_token);
	if (b->truncated)
		lake_change_drop_all(change);
	foreach(lc, b->files)
	{
		const IcebergDataFile *file = lfirst(lc);

		lake_change_add(change, file);
		t->work.files++;
		t->work.bytes += file->file_size;
	}
	if (t->reshaped)
		shape_change_lake(t, change, t->shape->lsn);
	add_summary(change, batch->pipeline, lsn);
	return lake_change_write(change, garbage);
}

bool
pipeline_caught_up(const Pipeline *p, const PipelineTable *t, XLogRecPtr upto)
{
	return upto >= p->lsn && upto >= t->lsn;
}

/* The one transaction. */
static void
commit_flush(Batch *batch, FlushTable *tables, int n, XLogRecPtr upto, const char *token, List *garbage)
{
	Pipeline   *p = batch->pipeline;
	LakeTable **from = palloc(sizeof(LakeTable *) * Max(n, 1));
	LakeTable **to = palloc(sizeof(LakeTable *) * Max(n, 1));
	MemoryContext context = CurrentMemoryContext;
	ListCell   *lc;

	pipeline_begin();
	MemoryContextSwitchTo(context);
	registry_flush(p, upto, token);
	for (int i = 0; i < n; i++)
	{
		from[i] = tables[i].table->lake;
		to[i] = tables[i].after;
	}
	if (n > 0)
		lake_commit(from, to, n);
	for (int i = 0; i < n; i++)
	{
		PipelineTable *t = tables[i].table;
		TableState	state = t->state == TABLE_CATCHUP && pipeline_caught_up(p, t, upto) ? TABLE_LIVE : t->state;

		registry_table_progress(p->id, t, state, upto, to[i]);
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->stop_error)
			registry_stop_table(p->id, t->relid, t->stop_error);
		else if (t->state == TABLE_CATCHUP)
			registry_catchup(p->id, t->relid, pipeline_caught_up(p, t, upto), Max(upto, t->lsn));
	}
	evolve_commit(p, upto);
	registry_add_garbage(p->lake_name, garbage);
	FAILPOINT("flush-before-commit");
	pipeline_commit();
	FAILPOINT("flush-after-commit");
}

/* What the transaction made true, in memory. */
static void
adopt(Batch *batch, FlushTable *tables, int n, XLogRecPtr upto, const char *token)
{
	Pipeline   *p = batch->pipeline;
	ListCell   *lc;

	for (int i = 0; i < n; i++)
	{
		PipelineTable *t = tables[i].table;

		lake_table_free(t->lake);
		t->lake = tables[i].after;
		t->lake->namespace = t->namespace;	/* it may just have been renamed */
		t->lake->name = t->name;
		if (t->index)
			keyindex_settle(t->index);
		memset(&t->work, 0, sizeof(t->work));
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		batch_table_free(t);
		if (t->stop_error)
		{
			pipeline_table_close(t);
			t->state = TABLE_STOPPED;
		}
		else if (t->state == TABLE_CATCHUP)
		{
			if (pipeline_caught_up(p, t, upto))
				t->state = TABLE_LIVE;
			t->lsn = Max(upto, t->lsn);
		}
	}
	evolve_adopt(p, upto);
	if (upto > p->lsn)
		p->lsn = upto;
	p->last_commit = GetCurrentTimestamp();
	strlcpy(p->flush_token, token, sizeof(p->flush_token));
	batch->bytes = batch->used = 0;
	batch->next_file = 0;
	batch->changed = false;
	batch->first_commit_time = 0;
}

void
pipeline_flush(Batch *batch, XLogRecPtr upto)
{
	Pipeline   *p = batch->pipeline;
	MemoryContext context = AllocSetContextCreate(p->context, "tarn flush", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FlushTable *tables = palloc(sizeof(FlushTable) * Max(list_length(p->tables), 1));
	List	   *garbage = NIL;
	char		token[TOKEN_LENGTH + 1];
	int			n = 0;
	ListCell   *lc;

	/* all tables' rows first: the encoder works on them while we write metadata */
	foreach(lc, p->tables)
	{
		batch->current = lfirst(lc);
		if (batch->current->copy_reason || batch->current->stop_error)
			evolve_discard(batch->current, &garbage);
		if (batch->current->batch)
			batch_write(batch, batch->current);
	}
	batch->current = NULL;
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);
		LakeTable  *after;

		if (t->batch == NULL)
			continue;
		batch->current = t;
		after = write_table(batch, t, upto, &garbage);
		batch->current = NULL;
		if (after == NULL)
			continue;
		/* the new state outlives the flush */
		MemoryContextSetParent(after->context, t->context);
		tables[n].table = t;
		tables[n++].after = after;
	}
	for (int i = 0; i < n; i++)
	{
		if (tables[i].table->index)
			keyindex_prepare(tables[i].table->index, table_token(tables[i].after));
	}
	FAILPOINT("flush-index-prepared");
	if (n > 0)
		fence_require(p);
	registry_new_token(token);
	commit_flush(batch, tables, n, upto, token, garbage);
	adopt(batch, tables, n, upto, token);
	p->state->flushes++;
	p->state->last_flush = p->last_commit;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
pipeline_commit_copy(Pipeline *p, PipelineTable *t, XLogRecPtr lsn,
					 const IcebergDataFile *files, int nfiles)
{
	MemoryContext old = MemoryContextSwitchTo(t->context);
	LakeTable  *lake = pipeline_table_lake(p, t);
	LakeChange *change = lake_change_begin(lake, t->copy_token);
	LakeTable  *after;
	List	   *garbage = NIL;

	if (lake->metadata_location)
		lake_change_drop_all(change);
	for (int i = 0; i < nfiles; i++)
		lake_change_add(change, &files[i]);
	/* also when the shape is the same: transactions that commit later may show an older one */
	shape_change_lake(t, change, lsn);
	add_summary(change, p, lsn);
	after = lake_change_write(change, &garbage);

	FAILPOINT("copy-before-commit");
	fence_require(p);
	pipeline_begin();
	MemoryContextSwitchTo(t->context);
	lake_commit(&lake, &after, 1);
	if (t->new_schema)
		evolve_rename(p, list_make1(t));
	registry_copy_end(p->id, t->relid, lsn, after);
	registry_add_garbage(p->lake_name, garbage);
	pipeline_commit();
	FAILPOINT("copy-after-commit");
	lake_table_free(lake);
	t->lake = after;
	MemoryContextSwitchTo(old);
}
