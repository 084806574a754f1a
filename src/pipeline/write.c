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

/* Where more than one row in so many was replaced while it was buffered, rows are kept as long as memory allows. */
#define FLEETING_PART 4

void
write_to_store(void *arg, const void *data, size_t size)
{
	store_write(arg, data, size);
}

IcebergDataFile *
write_data_file(Pipeline *p, const FileForm *form, const char *path, MemoryContext context,
				ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	StoreWriter *out = store_create(p->lake->store, path, 0);
	ParquetWriter *writer;
	ParquetFileSummary *summary;
	IcebergDataFile *file;
	MemoryContext old;

	writer = parquet_writer_open(form->columns, form->ncolumns, form->options, NULL, write_to_store, out);
	parquet_writer_append_group(writer, columns, nrows, rows);
	summary = parquet_writer_finish(writer);
	store_finish(out);
	old = MemoryContextSwitchTo(context);
	file = palloc0(sizeof(IcebergDataFile));
	lake_data_file(file, path, form->schema, summary);
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
		if (positions[i].file != KEY_NOT_FOUND)
			t->batch->killed = true;
		else if (!r->pending_optional[i])
			key_not_found(p, t);
	}
	return positions;
}

/* Rows of the batch that are in one file, for the key index. */
typedef struct WrittenRows
{
	char	   *path;
	uint64		base;			/* rows of the file before them */
	uint32		first;
	uint32		last;
} WrittenRows;

/* What batch_write() has at hand; memory of one call. */
typedef struct WriteRound
{
	Batch	   *batch;
	PipelineTable *table;
	Resolved	resolved;
	const uint64 *rows;			/* bitmap of the rows that live, NULL: all */
	List	   *written;		/* of WrittenRows * */
	bool		more;			/* rows will follow: the encoder's file stays open for them */
} WriteRound;

static void
add_written(WriteRound *w, char *path, uint64 base, uint32 first, uint32 last)
{
	WrittenRows *rows = palloc(sizeof(WrittenRows));

	rows->path = path;
	rows->base = base;
	rows->first = first;
	rows->last = last;
	w->written = lappend(w->written, rows);
}

static char *
next_path(WriteRound *w)
{
	return lake_data_path(w->table->lake, w->batch->pipeline->flush_token, w->batch->next_file++);
}

static void
remember(List **list, void *what, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	*list = lappend(*list, what);
	MemoryContextSwitchTo(old);
}

/* The live rows first..last-1 of the batch as one file, by ourselves. */
static void
write_here(WriteRound *w, uint32 first, uint32 last)
{
	TableBatch *b = w->table->batch;
	uint32		nrows = batch_rows(b, w->table);
	const uint64 *rows = w->rows;
	FileForm	form = {w->table->parquet, w->table->ncolumns, &w->table->write.parquet, w->table->lake->schema};
	char	   *path;

	if (first > 0 || last < nrows)
	{
		uint64	   *part = palloc0(BITMAP_WORDS(nrows) * sizeof(uint64));

		for (uint32 i = first; i < last; i++)
		{
			if (bitmap_get(w->resolved.live, i))
				bitmap_set(part, i);
		}
		rows = part;
	}
	path = next_path(w);
	remember(&b->files, write_data_file(w->batch->pipeline, &form, path, b->context, b->columns, nrows, rows),
			 b->context);
	add_written(w, path, 0, first, last);
}

static void
close_open_file(TableBatch *b)
{
	if (b->open == NULL)
		return;
	if (encoder_file_rows(b->open) == 0)
		encoder_abandon(b->open);
	else
	{
		encoder_finish(b->open);
		remember(&b->encoding, b->open, b->context);
	}
	b->open = NULL;
}

/*
 * Hands rows first..last-1 to the encoder, to the table's open file or a new
 * one; returns the row after the last that it took.
 */
static uint32
write_there(WriteRound *w, uint32 first, uint32 last)
{
	Pipeline   *p = w->batch->pipeline;
	TableBatch *b = w->table->batch;
	uint32		next;
	uint64		base;

	if (b->open == NULL)
		b->open = encoder_open(p, w->table, next_path(w), b->context);
	base = encoder_file_rows(b->open);
	next = encoder_append(b->open, b->columns, first, last, w->rows);
	if (next > first)
		add_written(w, pstrdup(encoder_file_path(b->open)), base, first, next);
	return next;
}

/* Rows first..last-1 as one file, or two when a row is too large for the encoder. */
static void
write_rows(WriteRound *w, uint32 first, uint32 last, bool encoder)
{
	TableBatch *b = w->table->batch;

	if (bitmap_count_range(w->resolved.live, first, last) == 0)
		return;
	if (encoder)
	{
		first = write_there(w, first, last);
		if (!w->more || first < last || encoder_file_bytes(b->open) >= w->table->write.file_bytes)
			close_open_file(b);
	}
	if (first < last && bitmap_count_range(w->resolved.live, first, last) > 0)
		write_here(w, first, last);
}

/* Small amounts are not worth the hand-over; but what was begun there is ended there. */
static bool
use_encoder(const WriteRound *w)
{
	TableBatch *b = w->table->batch;

	return b->open || (b->used >= w->batch->piece_bytes / 4 && encoder_available(w->batch->pipeline));
}

static void
write_live(WriteRound *w)
{
	TableBatch *b = w->table->batch;
	uint32		nrows = batch_rows(b, w->table);
	uint64		nfiles = b->bytes / w->table->write.file_bytes + 1;
	bool		encoder = use_encoder(w);
	uint32		first = 0;

	for (uint64 i = 1; i <= nfiles && first < nrows; i++)
	{
		/* whole words of bitmaps */
		uint32		last = i == nfiles ? nrows : (uint32) TYPEALIGN_DOWN(64, nrows * i / nfiles);

		if (last > first)
			write_rows(w, first, last, encoder);
		first = Max(first, last);
	}
}

static void
index_rows(WriteRound *w, const WrittenRows *rows)
{
	PipelineTable *t = w->table;
	const Resolved *r = &w->resolved;
	uint32		most = (uint32) bitmap_count_range(r->live, rows->first, rows->last);
	KeyHash    *keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyHash) * Max(most, 1));
	uint32		n = 0;
	uint32		file;

	for (uint32 i = rows->first; i < rows->last; i++)
	{
		if (bitmap_get(r->live, i))
			keys[n++] = r->row_keys[i];
	}
	if (rows->base == 0)
	{
		file = keyindex_add_file(t->index, rows->path, n);
		/* of all files of a round the open one is the last, if it is among them */
		t->batch->open_file = file;
	}
	else
	{
		file = t->batch->open_file;
		keyindex_grow_file(t->index, file, n);
	}
	keyindex_add(t->index, file, (uint32) rows->base, keys, n);
	pfree(keys);
}

static void
index_written(WriteRound *w)
{
	ListCell   *lc;

	foreach(lc, w->written)
		index_rows(w, lfirst(lc));
}

static void
reset_buffers(Batch *batch, PipelineTable *t)
{
	Pipeline   *p = batch->pipeline;
	TableBatch *b = t->batch;

	p->state->inserts += b->inserts;
	p->state->updates += b->updates;
	p->state->deletes += b->deletes;
	t->work.inserts += b->inserts;
	t->work.updates += b->updates;
	t->work.deletes += b->deletes;
	b->inserts = b->updates = b->deletes = 0;
	batch_buffers_reset(batch, t);
}

void
batch_settle(Pipeline *p, TableBatch *b)
{
	close_open_file(b);
	while (b->encoding != NIL)
	{
		IcebergDataFile *file = encoder_result(linitial(b->encoding));

		b->encoding = list_delete_first(b->encoding);
		remember(&b->files, file, b->context);
		p->state->written_bytes += file->file_size;
	}
}

/* The context of one call of those below; the caller switches back and deletes it. */
static MemoryContext
begin_round(void)
{
	return MemoryContextSwitchTo(AllocSetContextCreate(CurrentMemoryContext, "tarn batch write", ALLOCSET_DEFAULT_SIZES));
}

static void
end_round(MemoryContext old)
{
	MemoryContext context = MemoryContextSwitchTo(old);

	MemoryContextDelete(context);
}

/* What is buffered; `more`: rows will follow before the flush. */
static void
write_round(Batch *batch, PipelineTable *t, bool more)
{
	TableBatch *b = t->batch;
	uint32		nrows = batch_rows(b, t);
	WriteRound	w = {batch, t, .more = more};
	Resolved   *r = &w.resolved;
	MemoryContext old;
	KeyPosition *positions = NULL;
	bool		changes = b->nmarked > 0 || b->ndeletes > 0;
	bool		unfilled;
	int			nearly;

	if (nrows == 0 && !changes)
		return;
	old = begin_round();
	/* values may be taken over from files that are being written */
	if (b->ncarries > 0)
		batch_settle(batch->pipeline, b);
	table_index(batch->pipeline, t, changes, &unfilled);
	nearly = list_length(b->files);
	batch_resolve(t, b, t->index ? keyindex_seed(t->index) : 0, t->index != NULL, r);
	w.rows = r->nlive == nrows ? NULL : r->live;
	b->fleeting = r->nlive < nrows - nrows / FLEETING_PART;

	/* the encoder works while we look keys up; only carried values must be there before */
	if (b->ncarries == 0)
		write_live(&w);
	if (unfilled)
		table_index_fill(batch->pipeline, t, nearly);
	if (r->npending > 0)
		positions = delete_pending(batch->pipeline, t, r);
	if (b->ncarries > 0)
	{
		/* an old version may be in a file that the encoder has not ended */
		if (r->npending > 0)
			batch_settle(batch->pipeline, b);
		batch_carry(t, b, r, positions);
		write_live(&w);
	}
	if (t->index)
		index_written(&w);
	reset_buffers(batch, t);
	end_round(old);
}

void
batch_write(Batch *batch, PipelineTable *t)
{
	write_round(batch, t, false);
}

void
batch_seal(Batch *batch, PipelineTable *t)
{
	TableBatch *b = t->batch;

	/* asked first: of so many rows the rest will be its work, and until then it can start */
	if (!encoder_available(batch->pipeline))
		return;
	/* rows that soon change again had better stay at hand; and to take values over, files are ended */
	if (b->fleeting || b->ncarries > 0)
		return;
	batch->current = t;
	write_round(batch, t, true);
	batch->current = NULL;
}
