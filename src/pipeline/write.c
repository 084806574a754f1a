/*-------------------------------------------------------------------------
 *
 * write.c
 *	  A table's buffers become data files, and its deletes marks in the key
 *	  index.
 *
 * Called at a flush, and in the middle of a transaction when memory is used
 * up: then inside a decoding callback, where the database must not be
 * touched.  Files and the index are outside of it; nothing of this is seen
 * before the flush commits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "common/file_utils.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pipeline/batch.h"
#include "pipeline/write.h"

void
write_to_store(void *arg, const void *data, size_t size)
{
	store_write(arg, data, size);
}

IcebergDataFile *
write_data_file(Pipeline *p, PipelineTable *t, const char *path, MemoryContext context,
				ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	StoreWriter *out = store_create(p->lake->store, path, 0);
	ParquetWriterOptions options = t->write.parquet;
	uint32		ngroups = nrows / options.row_group_rows + 1;
	ParquetWriter *writer;
	ParquetFileSummary *summary;
	IcebergDataFile *file;
	MemoryContext old;

	/* all rows are here: groups of equal size are encoded in place, a remainder would be gathered */
	options.row_group_rows = Max(1, (nrows + ngroups - 1) / ngroups);
	writer = parquet_writer_open(t->parquet, t->ncolumns, &options, NULL, write_to_store, out);
	parquet_writer_append(writer, columns, nrows, rows);
	summary = parquet_writer_finish(writer);
	store_finish(out);
	old = MemoryContextSwitchTo(context);
	file = palloc0(sizeof(IcebergDataFile));
	lake_data_file(file, path, t->lake->schema, summary);
	MemoryContextSwitchTo(old);
	parquet_writer_free(writer);
	p->state->written_bytes += summary->file_bytes;
	return file;
}

/*
 * A key that the lake does not have: the index is wrong, or the lake is.  A
 * damaged index is built anew by the next start; when one that was just
 * built says so, the table stops.
 */
static void
key_not_found(Pipeline *p, PipelineTable *t)
{
	bool		fresh = t->index_fresh;

	keyindex_close(t->index);
	t->index = NULL;
	if (!fresh)
		keyindex_close(keyindex_create(table_index_folder(p, t->relid), t->wide_key));
	ereport(ERROR,
			(errcode(fresh ? ERRCODE_DATA_EXCEPTION : ERRCODE_INTERNAL_ERROR),
			 errmsg("could not find a row of table %s in the lake that was updated or deleted",
					quote_qualified_identifier(t->schema, t->table)),
			 fresh ? errhint("Copy the table anew.") :
			 errdetail("The key index is built anew from the lake.")));
}

/* Finds the lake rows that die; their marks are kept in the index until the flush. */
static KeyPosition *
delete_pending(Pipeline *p, PipelineTable *t, const Resolved *r)
{
	KeyPosition *positions = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyPosition) * r->npending);

	keyindex_delete(t->index, r->pending, r->npending, positions);
	for (uint32 i = 0; i < r->npending; i++)
	{
		if (positions[i].file == KEY_NOT_FOUND)
			key_not_found(p, t);
	}
	t->batch->killed = true;
	return positions;
}

/* The live rows first..last-1 of the batch as one file. */
static void
write_rows(Batch *batch, PipelineTable *t, const Resolved *r, uint32 first, uint32 last)
{
	Pipeline   *p = batch->pipeline;
	TableBatch *b = t->batch;
	uint32		nrows = batch_rows(b, t);
	uint64	   *rows = r->live;
	IcebergDataFile *file;
	char	   *path = lake_data_path(t->lake, p->flush_token, batch->next_file++);
	MemoryContext old;

	if (first > 0 || last < nrows)
	{
		rows = palloc0(BITMAP_WORDS(nrows) * sizeof(uint64));
		for (uint32 i = first; i < last; i++)
		{
			if (bitmap_get(r->live, i))
				bitmap_set(rows, i);
		}
	}
	if (bitmap_count(rows, nrows) == 0)
		return;
	file = write_data_file(p, t, path, b->context, b->columns, nrows,
						   r->nlive == nrows && rows == r->live ? NULL : rows);
	old = MemoryContextSwitchTo(b->context);
	b->files = lappend(b->files, file);
	MemoryContextSwitchTo(old);

	if (t->index)
	{
		KeyHash    *keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyHash) * file->record_count);
		uint32		n = 0;

		for (uint32 i = first; i < last; i++)
		{
			if (bitmap_get(rows, i))
				keys[n++] = r->row_keys[i];
		}
		keyindex_add(t->index, keyindex_add_file(t->index, path, n), 0, keys, n);
	}
}

static void
reset_buffers(Batch *batch, PipelineTable *t)
{
	Pipeline   *p = batch->pipeline;
	TableBatch *b = t->batch;

	p->state->inserts += b->inserts;
	p->state->updates += b->updates;
	p->state->deletes += b->deletes;
	b->inserts = b->updates = b->deletes = 0;
	batch_buffers_reset(batch, t);
}

void
batch_write(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;
	uint32		nrows = batch_rows(b, t);
	MemoryContext context;
	MemoryContext old;
	Resolved	r;
	KeyPosition *positions = NULL;
	uint64		nfiles;

	if (nrows == 0 && b->ndeletes == 0)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "tarn batch write", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	table_index(batch->pipeline, t, b->nmarked > 0 || b->ndeletes > 0);
	batch_resolve(t, b, t->index ? keyindex_seed(t->index) : 0, t->index != NULL, &r);
	if (r.npending > 0)
		positions = delete_pending(batch->pipeline, t, &r);
	if (b->ncarries > 0)
		batch_carry(t, b, &r, positions);
	if (r.nlive > 0)
	{
		nfiles = b->bytes / t->write.file_bytes + 1;
		for (uint64 i = 0; i < nfiles; i++)
			write_rows(batch, t, &r, (uint32) (nrows * i / nfiles), (uint32) (nrows * (i + 1) / nfiles));
	}
	reset_buffers(batch, t);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
