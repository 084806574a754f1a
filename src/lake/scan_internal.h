/*-------------------------------------------------------------------------
 *
 * scan_internal.h
 *	  What the files of the scan share: files and deletes of a snapshot, row
 *	  ranges, columns bound to one Parquet file, opened files.
 *
 * scan.c			manifests -> files -> tasks (pruning by bounds)
 * scan_deletes.c	delete files -> a bitmap of deleted rows per data file
 * scan_file.c		opened Parquet files of the store
 * scan_columns.c	the projection bound to the leaves of one Parquet file
 * scan_ranges.c	bitmaps of rows <-> row ranges
 * scan_reader.c	a task -> batches, with scan_prune.c and scan_filter.c (scan_group.h)
 * scan_rows.c		chosen rows of one file
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_SCAN_INTERNAL_H
#define TARN_LAKE_SCAN_INTERNAL_H

#include "postgres.h"

#include "base/compat.h"
#include "lake/scan.h"
#include "parquet/assemble.h"

/* Files that are opened, and fetched if they are small, before they are read. */
#define SCAN_AHEAD_FILES 16

/* One data file of the snapshot. */
typedef struct ScanFile
{
	IcebergManifestEntry entry;
	const IcebergManifestEntry **deletes;	/* that may apply */
	int			ndeletes;		/* -1: not matched yet */
	uint64	   *deleted;		/* bitmap of record_count bits, or NULL: none so far */
	bool		covered;		/* delete files loaded so far were looked at for this file */
} ScanFile;

/* One position delete file of the snapshot. */
typedef struct ScanDelete
{
	IcebergManifestEntry entry;
	bool		loaded;
	bool		has_bounds;
	LakeValue	lower;			/* of file_path */
	LakeValue	upper;
} ScanDelete;

typedef struct LakeScanFiles
{
	ScanFile   *files;
	int			nfiles;
	ScanDelete *deletes;
	int			ndeletes;
	ScanFile  **by_path;		/* files of the tasks, ordered by path */
	int			nby_path;
	struct ScanParquet *ahead[SCAN_AHEAD_FILES];	/* opened before they are read */
	int			nahead;
	bool		reads_rest;		/* the last row group had its unfiltered columns read whole */
	MemoryContext deleted_context;	/* the bitmaps */
	MemoryContext task_context; /* the tasks */
} LakeScanFiles;

/* --- scan_deletes.c --- */

/* Fills file->deletes; deletes match by sequence number, referenced file and path bounds. */
extern void scan_deletes_match(LakeScan *scan, ScanFile *file);

/* Reads the delete files of `file` that are not loaded yet; file->deleted is complete then. */
extern void scan_deletes_load(LakeScan *scan, ScanFile *file);

/* Forgets what is loaded unless all tasks were looked at when it was. */
extern void scan_deletes_replan(LakeScan *scan);

/* --- scan_file.c --- */

/* A Parquet file of the store, opened; *bytes counts what is read. */
typedef struct ScanParquet
{
	StoreReader *store;
	ParquetInput input;
	ParquetReader *parquet;
	uint64	   *bytes;
	MemoryContext context;		/* holds all of this */
} ScanParquet;

/* `size` -1: unknown.  parquet is NULL when `footer` is false (the caller opens it). */
extern ScanParquet *scan_parquet_open(Store *store, const char *path, const char *format,
									  int64 size, uint64 *bytes, bool footer);
extern void scan_parquet_close(ScanParquet *p);

/*
 * Opens a file that will be read soon, and begins to fetch what is read of it
 * first.  Does nothing when that has been done, or for many files.
 */
extern void scan_ahead(LakeScan *scan, const IcebergDataFile *file);

/* As scan_parquet_open; the file may be one that was opened ahead. */
extern ScanParquet *scan_ahead_open(LakeScan *scan, const IcebergDataFile *file, bool footer);

/* Closes what was opened ahead in vain. */
extern void scan_ahead_clear(LakeScan *scan);

/* --- scan_ranges.c --- */

/* Row ranges (first, count) relative to a row group: ascending, disjoint. */
typedef struct ScanRanges
{
	uint32	   *pairs;
	int			n;
	uint32		rows;			/* sum of the counts */
} ScanRanges;

/* Runs of set bits; runs fewer than `gap` rows apart become one. */
extern void scan_ranges_make(const uint64 *map, uint32 nbits, uint32 gap, ScanRanges *ranges);

/* dst bits [dst_at, +n) = src bits [src_at, +n); whole bitmaps end with a clean tail. */
extern void scan_bits_copy(uint64 *dst, size_t dst_at, const uint64 *src, size_t src_at, size_t n);

/* Clears bits [at, +n). */
extern void scan_bits_clear(uint64 *map, size_t at, size_t n);

/* The bits of `map` that lie in `ranges`, side by side. */
extern void scan_ranges_gather(const ScanRanges *ranges, const uint64 *map, uint64 *dense);

/* The reverse; bits outside the ranges are cleared. */
extern void scan_ranges_scatter(const ScanRanges *ranges, const uint64 *dense, uint64 *map, uint32 nbits);

/* --- scan_columns.c --- */

/* A field of the projection as it lies in one file. */
typedef struct ScanColumn
{
	const IcebergField *field;
	int			leaf;			/* -1: the file lacks it, or it is nested */
	ParquetNested *nested;		/* put together from its leaves; or NULL */
	LakeType	leaf_type;
	ColumnVector *raw;			/* of the leaf's type, as read */
	ColumnVector *vector;		/* of the field's type; the same as raw unless promoted */
	bool		has_default;
	LakeValue	default_value;	/* initial-default, for files that lack the field */
} ScanColumn;

/* In the current context; vectors too. */
extern ScanColumn *scan_columns_bind(const LakeTable *table, ParquetReader *parquet, const char *path,
									 const IcebergField **fields, int nfields);

/* `ranges` NULL: the whole group of `nrows`.  Valid until the next call for this column. */
extern ColumnVector *scan_column_read(ScanColumn *c, ParquetReader *parquet, const char *path, int group,
									  const ScanRanges *ranges, uint32 nrows);

/* The file's leaves that are read for the column: for costs and hints. */
extern int	scan_column_nleaves(const ScanColumn *c);
extern int	scan_column_leaf(const ScanColumn *c, int i);

/* Bounds in the field's type. */
extern void scan_column_bounds(const ScanColumn *c, const ParquetBounds *from, FilterBounds *to);

/* What is known of a column that the file lacks. */
extern void scan_column_missing_bounds(const ScanColumn *c, uint64 rows, FilterBounds *to);

/* Nothing is known. */
extern void scan_bounds_unknown(FilterBounds *bounds);

/* initial-default of a field (Iceberg spec, "Default values"), as a value; false when it is null. */
extern bool scan_default_value(const IcebergField *field, LakeValue *value);

#endif							/* TARN_LAKE_SCAN_INTERNAL_H */
