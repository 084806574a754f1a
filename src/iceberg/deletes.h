/*-------------------------------------------------------------------------
 *
 * deletes.h
 *	  Position delete files (Iceberg spec, "Position Delete Files").
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_DELETES_H
#define TARN_ICEBERG_DELETES_H

#include "postgres.h"

#include "iceberg/manifest.h"
#include "parquet/reader.h"
#include "parquet/writer.h"

#define ICEBERG_DELETE_PATH_ID 2147483546
#define ICEBERG_DELETE_POS_ID 2147483545

/*
 * Writer: files in ascending order of path, positions ascending within one.
 * Bounded memory: positions are handed over in blocks.
 */
typedef struct IcebergDeleteWriter IcebergDeleteWriter;

extern IcebergDeleteWriter *iceberg_delete_writer_open(const ParquetWriterOptions *options,
													   parquet_write_fn write, void *arg);
extern void iceberg_delete_writer_add(IcebergDeleteWriter *w, const char *path,
									  const uint64 *positions, uint64 n);

/* Fills content, format, counts, sizes, untruncated path bounds, referenced_data_file; not the path. */
extern void iceberg_delete_writer_finish(IcebergDeleteWriter *w, IcebergDataFile *file);

/*
 * Reader: calls back with the positions for one data file after the other;
 * only_path limits it to one file (row groups and pages that cannot hold it
 * are passed over), NULL reads all.
 */
typedef void (*iceberg_delete_cb) (const char *path, size_t path_size,
								   const uint64 *positions, uint32 n, void *arg);
extern void iceberg_deletes_read(const ParquetInput *input, const char *only_path,
								 iceberg_delete_cb cb, void *arg);

#endif							/* TARN_ICEBERG_DELETES_H */
