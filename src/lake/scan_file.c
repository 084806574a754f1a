/*-------------------------------------------------------------------------
 *
 * scan_file.c
 *	  A Parquet file of the store, opened for the Parquet reader.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/internal.h"
#include "lake/scan_internal.h"
#include "utils/memutils.h"

static void
scan_parquet_read(void *arg, uint64 offset, size_t size, void *buffer)
{
	ScanParquet *p = arg;

	/* a store of objects finds out at any read that a file is missing, a directory when it is opened */
	PG_TRY();
	{
		store_read(p->store, offset, size, buffer);
	}
	PG_CATCH();
	{
		lake_rethrow_missing(p->input.name);
	}
	PG_END_TRY();
	*p->bytes += size;
}

static void
scan_parquet_prefetch(void *arg, uint64 offset, size_t size)
{
	store_prefetch(((ScanParquet *) arg)->store, offset, size);
}

ScanParquet *
scan_parquet_open(Store *store, const char *path, const char *format,
				  int64 size, uint64 *bytes, bool footer)
{
	MemoryContext context;
	MemoryContext old;
	ScanParquet *p;

	if (format != NULL && pg_strcasecmp(format, "PARQUET") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read lake file \"%s\": format %s is not supported", path, format),
				 errhint("Only Parquet files can be read.")));

	context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake file", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	p = palloc0(sizeof(ScanParquet));
	p->context = context;
	p->bytes = bytes;
	PG_TRY();
	{
		p->store = store_reader(store, path, size);
	}
	PG_CATCH();
	{
		lake_rethrow_missing(path);
	}
	PG_END_TRY();
	p->input.read = scan_parquet_read;
	p->input.prefetch = scan_parquet_prefetch;
	p->input.arg = p;
	p->input.size = p->store->size;
	p->input.name = pstrdup(path);
	if (footer)
		p->parquet = parquet_reader_open(&p->input);
	MemoryContextSwitchTo(old);
	return p;
}

/*
 * Ahead of the reader
 */

static int
ahead_find(const LakeScanFiles *files, const char *path)
{
	for (int i = 0; i < files->nahead; i++)
	{
		if (strcmp(files->ahead[i]->input.name, path) == 0)
			return i;
	}
	return -1;
}

void
scan_ahead(LakeScan *scan, const IcebergDataFile *file)
{
	LakeScanFiles *files = scan->files;
	ScanParquet *p;
	MemoryContext old;
	uint64		size;

	if (files->nahead == SCAN_AHEAD_FILES || ahead_find(files, file->path) >= 0)
		return;
	old = MemoryContextSwitchTo(scan->context);
	p = scan_parquet_open(scan->table->lake->store, file->path, file->format, file->file_size,
						  &scan->counters.bytes, false);
	MemoryContextSwitchTo(old);
	files->ahead[files->nahead++] = p;

	/* what is read first; a small object comes whole with any part of it */
	size = Min(p->input.size, PARQUET_FOOTER_GUESS);
	store_prefetch(p->store, p->input.size - size, (size_t) size);
	store_prefetch_start(p->store);
}

ScanParquet *
scan_ahead_open(LakeScan *scan, const IcebergDataFile *file, bool footer)
{
	LakeScanFiles *files = scan->files;
	int			i = ahead_find(files, file->path);
	ScanParquet *p;
	MemoryContext old;

	if (i < 0)
		return scan_parquet_open(scan->table->lake->store, file->path, file->format,
								 file->file_size, &scan->counters.bytes, footer);
	p = files->ahead[i];
	files->ahead[i] = files->ahead[--files->nahead];
	MemoryContextSetParent(p->context, CurrentMemoryContext);
	if (!footer)
		return p;
	old = MemoryContextSwitchTo(p->context);
	p->parquet = parquet_reader_open(&p->input);
	MemoryContextSwitchTo(old);
	return p;
}

void
scan_ahead_clear(LakeScan *scan)
{
	LakeScanFiles *files = scan->files;

	while (files->nahead > 0)
		scan_parquet_close(files->ahead[--files->nahead]);
}

void
scan_parquet_close(ScanParquet *p)
{
	if (p->parquet != NULL)
		parquet_reader_close(p->parquet);
	store_reader_close(p->store);
	MemoryContextDelete(p->context);
}
