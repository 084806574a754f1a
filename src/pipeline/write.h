/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Writing a data file; shared by flush, copy and history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_WRITE_H
#define TARN_PIPELINE_WRITE_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/* parquet_write_fn for a StoreWriter. */
extern void write_to_store(void *arg, const void *data, size_t size);

/* What the files of a lake table look like. */
typedef struct FileForm
{
	const ParquetColumn *columns;
	int			ncolumns;
	const ParquetWriterOptions *options;
	const IcebergSchema *schema;	/* its fields are the columns, in their order */
} FileForm;

/* One file of the given rows (all when `rows` is NULL); the entry lives in `context`. */
extern IcebergDataFile *write_data_file(Pipeline *p, const FileForm *form, const char *path, MemoryContext context,
										ColumnVector *const *columns, uint32 nrows, const uint64 *rows);

#endif							/* TARN_PIPELINE_WRITE_H */
