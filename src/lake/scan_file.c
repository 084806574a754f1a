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

	store_read(p->store, offset, size, buffer);
	*p->bytes += size;
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
		p->input.read = scan_parquet_read;
		p->input.arg = p;
		p->input.size = p->store->size;
		p->input.name = pstrdup(path);
		if (footer)
			p->parquet = parquet_reader_open(&p->input);
	}
	PG_CATCH();
	{
		lake_rethrow_missing(path);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	return p;
}

void
scan_parquet_close(ScanParquet *p)
{
	if (p->parquet != NULL)
		parquet_reader_close(p->parquet);
	store_reader_close(p->store);
	MemoryContextDelete(p->context);
}
