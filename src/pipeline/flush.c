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
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/failpoint.h"
#include "decode/sink.h"
#include "iceberg/deletes.h"
#include "pipeline/evolve.h"
#include "pipeline/fence.h"
#include "pipeline/flush.h"
#include "pipeline/history.h"
#include "pipeline/registry.h"
#include "pipeline/shape.h"
#include "pipeline/tables.h"
#include "pipeline/write.h"

/* One lake table of a flush. */
typedef struct FlushTable
{
	PipelineTable *table;
	LakeTable **place;			/* where its state is: that of the mirror, or of the history */
	LakeTable  *after;
} FlushTable;

/* Does this one stand for the table in tarn.tables?  The history does where there is no mirror. */
static bool
is_main(const FlushTable *f)
{
	return f->place == &f->table->lake || f->table->lake == NULL;
}

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

LakeChange *
pipeline_change_table(Batch *batch, PipelineTable *t, XLogRecPtr lsn, List **garbage)
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
		shape_change_lake(t->shape, t->last_field_id, t->lake, change, t->shape->lsn);
	add_summary(change, batch->pipeline, lsn);
	return change;
}

/* Delete file and metadata of one table; NULL when nothing changes. */
static LakeTable *
write_table(Batch *batch, PipelineTable *t, XLogRecPtr lsn, List **garbage)
{
	LakeChange *change = pipeline_change_table(batch, t, lsn, garbage);

	return change ? lake_change_write(change, garbage) : NULL;
}

/* The same for a table's history. */
static LakeTable *
write_history(Batch *batch, PipelineTable *t, XLogRecPtr lsn, List **garbage)
{
	TableHistory *h = t->history;
	LakeChange *change;
	ListCell   *lc;

	if (h->files == NIL && !t->reshaped)
		return NULL;
	change = lake_change_begin(h->lake, batch->pipeline->flush_token);
	foreach(lc, h->files)
	{
		const IcebergDataFile *file = lfirst(lc);

		lake_change_add(change, file);
		if (t->lake)
			continue;
		t->work.files++;
		t->work.bytes += file->file_size;
	}
	if (t->reshaped)
		shape_change_lake(h->shape, HISTORY_BEFORE_ID(t->last_field_id), h->lake, change, t->shape->lsn);
	add_summary(change, batch->pipeline, history_left(t) ? t->left : lsn);
	return lake_change_write(change, garbage);
}

/* Notes the next state of a lake table; it outlives the flush. */
static void
add_flush_table(FlushTable *tables, int *n, PipelineTable *t, LakeTable **place, LakeTable *after)
{
	if (after == NULL)
		return;
	MemoryContextSetParent(after->context, t->context);
	tables[(*n)++] = (FlushTable) {t, place, after};
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
		from[i] = *tables[i].place;
		to[i] = tables[i].after;
	}
	if (n > 0)
		lake_commit(from, to, n);
	for (int i = 0; i < n; i++)
	{
		PipelineTable *t = tables[i].table;
		TableState	state;

		if (!is_main(&tables[i]))
			continue;
		state = t->state == TABLE_CATCHUP && pipeline_caught_up(p, t, upto) ? TABLE_LIVE : t->state;

		registry_table_progress(p->id, t, state, upto, to[i]);
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->stop_error)
		{
			registry_stop_table(p->id, t->relid, t->stop_error);
			registry_left_at(p->id, t->relid, t->left);
		}
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

		lake_table_free(*tables[i].place);
		*tables[i].place = tables[i].after;
		/* it may just have been renamed */
		tables[i].after->namespace = t->namespace;
		tables[i].after->name = tables[i].place == &t->lake ? t->name :
			MemoryContextStrdup(tables[i].after->context, history_name(t->name));
		if (t->index && tables[i].place == &t->lake)
			keyindex_settle(t->index);
		if (is_main(&tables[i]))
			memset(&t->work, 0, sizeof(t->work));
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		batch_table_free(t);
		history_forget(t, NULL);
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
	FlushTable *tables = palloc(sizeof(FlushTable) * Max(2 * list_length(p->tables), 1));
	List	   *garbage = NIL;
	char		token[TOKEN_LENGTH + 1];
	int			n = 0;
	ListCell   *lc;

	/* all tables' rows and keys first: the encoder works while we write the latter, and metadata */
	foreach(lc, p->tables)
	{
		batch->current = lfirst(lc);
		if (batch->current->copy_reason || batch->current->stop_error)
			evolve_discard(batch->current, &garbage);
		if (batch->current->batch && batch->current->lake)
			batch_write(batch, batch->current);
		if (batch->current->history)
			history_write(batch, batch->current);
	}
	batch->current = NULL;
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->batch && t->index)
			keyindex_seal(t->index);
	}
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		batch->current = t;
		if (t->batch && t->lake)
			add_flush_table(tables, &n, t, &t->lake, write_table(batch, t, upto, &garbage));
		if (t->history)
			add_flush_table(tables, &n, t, &t->history->lake, write_history(batch, t, upto, &garbage));
		batch->current = NULL;
	}
	for (int i = 0; i < n; i++)
	{
		if (tables[i].table->index && tables[i].place == &tables[i].table->lake)
			keyindex_prepare(tables[i].table->index, table_index_token(tables[i].table, tables[i].after));
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

/* The mirror of a table that was copied: whatever it held gives way to these files. */
static LakeTable *
copied_mirror(Pipeline *p, PipelineTable *t, const CopiedTable *copied, List **garbage)
{
	LakeTable  *lake = pipeline_table_lake(p, t);
	LakeChange *change = lake_change_begin(lake, t->copy_token);

	if (lake->metadata_location)
		lake_change_drop_all(change);
	for (int i = 0; i < copied->nfiles; i++)
		lake_change_add(change, &copied->files[i]);
	/* also when the shape is the same: transactions that commit later may show an older one */
	shape_change_lake(t->shape, t->last_field_id, lake, change, copied->lsn);
	add_summary(change, p, copied->lsn);
	return lake_change_write(change, garbage);
}

/* Its history: they are added, under a head of their own. */
static LakeTable *
copied_history(Pipeline *p, PipelineTable *t, const CopiedTable *copied, List **garbage)
{
	TableHistory *h = t->history;
	LakeTable  *lake = history_lake(p, t);
	LakeChange *change = lake_change_begin(lake, t->copy_token);

	lake_change_add(change, history_write_head(p, t, lake_data_path(lake, t->copy_token, copied->next_file),
											   copied->lsn, copied->time));
	for (int i = 0; i < copied->nhistory_files; i++)
		lake_change_add(change, &copied->history_files[i]);
	shape_change_lake(h->shape, HISTORY_BEFORE_ID(t->last_field_id), lake, change, copied->lsn);
	add_summary(change, p, copied->lsn);
	return lake_change_write(change, garbage);
}

/* What somebody did to a table while it was copied, so that the copy is of no use; NULL when it is. */
static const char *
copy_unwanted(const Pipeline *p, const PipelineTable *t)
{
	TableState	state;
	HistoryMode history;

	/* its row stays until the copy has ended */
	if (!registry_table_now(p->id, t->relid, &state, &history) ||
		decode_relation_describe(t->relid, p->publications) == NULL)
		return "it is not mirrored any more";
	if (state != TABLE_COPY)
		return "it was skipped meanwhile";
	if (history != t->write.history)
		return "its options were changed meanwhile";
	return NULL;
}

bool
pipeline_commit_copy(Pipeline *p, PipelineTable *t, const CopiedTable *copied)
{
	MemoryContext old = MemoryContextSwitchTo(t->context);
	FlushTable	tables[2];
	LakeTable  *from[2];
	LakeTable  *to[2];
	List	   *garbage = NIL;
	int			n = 0;
	const char *unwanted;

	if (table_mirrored(t))
		add_flush_table(tables, &n, t, &t->lake, copied_mirror(p, t, copied, &garbage));
	if (t->history)
		add_flush_table(tables, &n, t, &t->history->lake, copied_history(p, t, copied, &garbage));

	FAILPOINT("copy-before-commit");
	fence_require(p);
	pipeline_begin();
	MemoryContextSwitchTo(t->context);
	/* who changes options now sees a table that follows, and has it copied anew */
	registry_lock(p->id);
	unwanted = copy_unwanted(p, t);
	if (unwanted)
	{
		pipeline_commit();
		ereport(LOG,
				(errmsg("could not copy table %s: %s", quote_qualified_identifier(t->schema, t->table), unwanted)));
		for (int i = 0; i < n; i++)
			lake_table_free(tables[i].after);
		MemoryContextSwitchTo(old);
		return false;
	}
	for (int i = 0; i < n; i++)
	{
		from[i] = *tables[i].place;
		to[i] = tables[i].after;
	}
	lake_commit(from, to, n);
	if (t->new_schema)
		evolve_rename(p, list_make1(t));
	/* the first is the main one */
	registry_copy_end(p->id, t->relid, copied->lsn, to[0]);
	registry_add_garbage(p->lake_name, garbage);
	pipeline_commit();
	FAILPOINT("copy-after-commit");
	for (int i = 0; i < n; i++)
	{
		lake_table_free(from[i]);
		*tables[i].place = to[i];
	}
	MemoryContextSwitchTo(old);
	return true;
}
