/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  Between the files of lake/ that load, change and clean up tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_INTERNAL_H
#define TARN_LAKE_INTERNAL_H

#include "postgres.h"

#include "base/compat.h"
#include "lake/table.h"

/* Metadata files and manifests larger than this are not read. */
#define LAKE_MAX_METADATA ((size_t) 1024 * 1024 * 1024 - 1024)

/* The whole of an object that metadata references; ERRCODE_DATA_CORRUPTED when it is missing. */
extern char *lake_get(Lake *lake, const char *path, size_t *size);

/* The same of what store_get_start() began. */
extern char *lake_get_finish(StoreGet *get, const char *path, size_t *size);

/* In PG_CATCH: UNDEFINED_FILE as that, other errors as they are. */
pg_noreturn extern void lake_rethrow_missing(const char *path);

/* Iceberg's view of a store. */
extern void lake_io(IcebergIo *io, Lake *lake);

/* A table struct in a context of its own, child of the current one. */
extern LakeTable *lake_table_create(Lake *lake, const char *namespace, const char *name);

/* Sets schema and snapshot after the metadata has been set. */
extern void lake_table_point(LakeTable *t);

#endif							/* TARN_LAKE_INTERNAL_H */
