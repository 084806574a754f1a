/*-------------------------------------------------------------------------
 *
 * tableindex.c
 *	  The key index of a table: opened at the lake's state, or built from it.
 *
 * A table that only ever gets inserts has no index at all: it is built when
 * the first update or delete asks for it, from the key columns of the lake's
 * own files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "port.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "lake/scan.h"
#include "pipeline/batch.h"
#include "pipeline/evolve.h"
#include "pipeline/keyhash.h"
#include "pipeline/shape_internal.h"

/* Rows of a file that are read at once. */
#define EARLY_ROWS 65536

char *
table_index_folder(const Pipeline *p, Oid relid)
{
	return psprintf("%s/pg_tarn/%u/%d/%u", DataDir, p->database, p->id, relid);
}

/* The token in "<version>-<token>.metadata.json": names the commit that made this state. */
static char *
table_token(const LakeTable *lake)
{
	const char *base = lake->metadata_location ? strrchr(lake->metadata_location, '/') : NULL;
	const char *dash = base ? strchr(base, '-') : NULL;
	const char *end = dash ? strstr(dash, ".metadata.json") : NULL;

	if (end == NULL)
		return pstrdup("none");
	return pnstrdup(dash + 1, end - dash - 1);
}

char *
table_index_token(const PipelineTable *t, const LakeTable *lake)
{
	const char *key = shape_property(t->shape, SHAPE_KEY);

	return psprintf("%s %s", table_token(lake), key ? key : "");
}

static void
add_keys(PipelineTable *t, KeyIndex *index, uint32 file, uint32 first_row,
		 ColumnVector *const *columns, uint32 n)
{
	KeyHash    *keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyHash) * Max(n, 1));

	keyhash_rows(columns, t->nkeys, t->wide_key, keyindex_seed(index), keys);
	keyindex_add(index, file, first_row, keys, n);
	pfree(keys);
}

/* Row group `group` of one lake file; rows that are deleted there die here too. */
static void
add_lake_batch(PipelineTable *t, KeyIndex *index, uint32 file, const LakeBatch *batch)
{
	add_keys(t, index, file, (uint32) batch->first_position, batch->columns, batch->nrows);
	if (batch->nselected == batch->nrows)
		return;
	for (uint32 i = 0; i < batch->nrows; i++)
	{
		if (!bitmap_get(batch->selection, i))
			keyindex_kill(index, file, (uint32) batch->first_position + i);
	}
}

static int *
key_field_ids(const PipelineTable *t)
{
	int		   *ids = palloc(sizeof(int) * Max(t->nkeys, 1));

	for (int k = 0; k < t->nkeys; k++)
		ids[k] = t->columns[t->keys[k]].field_id;
	return ids;
}

static void
build_from_lake(PipelineTable *t, KeyIndex *index)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn index build", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LakeScan   *scan = lake_scan_plan(t->lake, key_field_ids(t), t->nkeys, NULL);
	MemoryContext round = AllocSetContextCreate(context, "tarn index build file", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < scan->ntasks; i++)
	{
		LakeReader *reader;
		LakeBatch	batch;
		uint32		file = keyindex_add_file(index, scan->tasks[i].file->path,
											 (uint32) scan->tasks[i].file->record_count);

		MemoryContextSwitchTo(round);
		reader = lake_reader_open(scan, i);
		for (int g = 0; g < lake_reader_nrow_groups(reader); g++)
		{
			CHECK_FOR_INTERRUPTS();
			if (lake_reader_group(reader, g, &batch))
				add_lake_batch(t, index, file, &batch);
		}
		lake_reader_close(reader);
		MemoryContextReset(round);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * The keys of a file that this flush wrote early, which no snapshot has yet.
 * It may have the columns of before a change of the table's shape.
 */
static void
add_early_file(PipelineTable *t, KeyIndex *index, const IcebergDataFile *f)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn index build file", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ColumnVector **columns = palloc(sizeof(ColumnVector *) * Max(t->nkeys, 1));
	uint64	   *positions = palloc(sizeof(uint64) * EARLY_ROWS);
	uint32		file = keyindex_add_file(index, f->path, (uint32) f->record_count);

	for (int k = 0; k < t->nkeys; k++)
		columns[k] = column_vector_create(context, t->columns[t->keys[k]].convert.type, 1024);
	for (uint32 first = 0; first < (uint32) f->record_count; first += EARLY_ROWS)
	{
		uint32		n = Min(EARLY_ROWS, (uint32) f->record_count - first);

		for (uint32 i = 0; i < n; i++)
			positions[i] = first + i;
		for (int k = 0; k < t->nkeys; k++)
			column_vector_reset(columns[k]);
		lake_read_rows(t->lake, f->path, key_field_ids(t), t->nkeys, positions, n, columns);
		add_keys(t, index, file, first, columns, n);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* What the index of the old key held of this batch (evolve.c). */
static void
kill_again(KeyIndex *index, const List *killed)
{
	ListCell   *lc;

	foreach(lc, killed)
	{
		const KilledRows *rows = lfirst(lc);
		uint32		file = keyindex_find_file(index, rows->path);

		for (uint64 i = 0; i < rows->n; i++)
			keyindex_kill(index, file, (uint32) rows->positions[i]);
	}
}

static bool
truncated(const PipelineTable *t)
{
	return t->batch && t->batch->truncated;
}

static void
create_index(PipelineTable *t, const char *folder)
{
	if (pg_mkdir_p(pstrdup(folder), pg_dir_create_mode) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", folder)));
	t->index = keyindex_create(folder, t->wide_key);
	t->index_fresh = true;
}

static void
add_early_files(PipelineTable *t, int nearly)
{
	for (int i = 0; i < nearly; i++)
		add_early_file(t, t->index, list_nth(t->batch->files, i));
}

KeyIndex *
table_index(Pipeline *p, PipelineTable *t, bool needed, bool *unfilled)
{
	MemoryContext old;
	char	   *folder;

	*unfilled = false;
	if (t->index || t->nkeys == 0)
		return t->index;
	old = MemoryContextSwitchTo(t->context);
	folder = table_index_folder(p, t->relid);
	if (!t->rekeyed)
		t->index = keyindex_open(folder, table_index_token(t, t->lake), t->wide_key);
	if (t->batch && (t->index || needed))
		batch_settle(p, t->batch);
	if (t->index)
	{
		if (truncated(t))
			keyindex_truncate(t->index);
		if (t->batch)
			add_early_files(t, list_length(t->batch->files));
	}
	else if (needed)
	{
		create_index(t, folder);
		*unfilled = true;
	}
	MemoryContextSwitchTo(old);
	return t->index;
}

void
table_index_fill(Pipeline *p, PipelineTable *t, int nearly)
{
	MemoryContext old = MemoryContextSwitchTo(t->context);

	if (!truncated(t))
		build_from_lake(t, t->index);
	FAILPOINT("index-built");
	keyindex_prepare(t->index, table_index_token(t, t->lake));
	keyindex_settle(t->index);
	if (truncated(t))
		keyindex_truncate(t->index);
	add_early_files(t, nearly);
	if (t->batch)
		kill_again(t->index, t->batch->killed_rows);
	MemoryContextSwitchTo(old);
}
