/*-------------------------------------------------------------------------
 *
 * manifest.h
 *	  Data files, manifests and manifest lists (Iceberg spec, "Manifests" and
 *	  "Manifest Lists"), v1 and v2 read, v2 written.
 *
 * All in memory: a manifest is read and written whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_MANIFEST_H
#define TARN_ICEBERG_MANIFEST_H

#include "postgres.h"

#include "iceberg/schema.h"
#include "lib/stringinfo.h"
#include "parquet/writer.h"

typedef enum IcebergContent
{
	ICEBERG_DATA = 0,
	ICEBERG_POSITION_DELETES = 1,
	ICEBERG_EQUALITY_DELETES = 2
} IcebergContent;

typedef enum IcebergStatus
{
	ICEBERG_EXISTING = 0,
	ICEBERG_ADDED = 1,
	ICEBERG_DELETED = 2
} IcebergStatus;

/* Metrics of one column; counts are -1 when unknown. */
typedef struct IcebergMetrics
{
	int			field_id;
	int64		column_size;
	int64		value_count;
	int64		null_count;
	int64		nan_count;
	char	   *lower;			/* single-value binary form, NULL when none */
	int			lower_size;
	char	   *upper;
	int			upper_size;
} IcebergMetrics;

typedef struct IcebergDataFile
{
	IcebergContent content;
	char	   *path;
	char	   *format;			/* "PARQUET", ... */
	int64		record_count;
	int64		file_size;
	int			nmetrics;
	IcebergMetrics *metrics;	/* ordered by field id */
	int			nsplit_offsets;
	int64	   *split_offsets;
	int			nequality_ids;
	int		   *equality_ids;
	char	   *referenced_data_file;	/* position deletes for one file, or NULL */
	int64		content_offset; /* deletion vectors (v3); -1 when none */
	int64		content_size;
	char	   *partition;		/* Avro bytes of the partition record, as read; NULL/0 unpartitioned */
	int			partition_size;
} IcebergDataFile;

/* What the entries of all files that were just written share; path, metrics and references are the caller's. */
extern void iceberg_data_file_written(IcebergDataFile *file, IcebergContent content,
									  const ParquetFileSummary *summary);

/* With all it points to, in the current context. */
extern void iceberg_data_file_copy(IcebergDataFile *to, const IcebergDataFile *from);

/* A copy with a zero byte behind it; NULL for NULL. */
extern char *iceberg_copy_bytes(const char *data, int size);

typedef struct IcebergManifestEntry
{
	IcebergStatus status;
	int64		snapshot_id;	/* -1: inherit */
	int64		sequence_number;	/* data sequence number; -1: inherit */
	int64		file_sequence_number;	/* -1: inherit */
	IcebergDataFile file;
} IcebergManifestEntry;

typedef struct IcebergManifest
{
	char	   *path;
	int64		length;
	int			partition_spec_id;
	int			content;		/* 0 data, 1 deletes */
	int64		sequence_number;
	int64		min_sequence_number;
	int64		added_snapshot_id;
	int			added_files;
	int			existing_files;
	int			deleted_files;
	int64		added_rows;
	int64		existing_rows;
	int64		deleted_rows;
	char	   *partitions;		/* Avro bytes of the field summaries, as read, or NULL */
	int			partitions_size;
} IcebergManifest;

/*
 * Writes one manifest.  All entries have the manifest's content (data or
 * deletes) and belong to the spec (partition.h).  Entries with status ADDED
 * and sequence numbers -1 inherit.  Fills *out's counts, content,
 * min_sequence_number (`sequence_number` where entries inherit), partitions,
 * length.
 */
struct IcebergPartition;
extern void iceberg_manifest_write(StringInfo buf, const IcebergSchema *schema, const struct IcebergPartition *partition,
								   int content, int64 snapshot_id, int64 sequence_number,
								   const IcebergManifestEntry *entries, int nentries,
								   IcebergManifest *out);

/*
 * Reads a manifest and applies inheritance from `manifest` (may be NULL).
 * In the current context; strings are copied.  wanted_ids: metrics of these
 * field ids only (nwanted -1: all).
 */
extern IcebergManifestEntry *iceberg_manifest_read(const void *data, size_t size, const char *object,
												   const IcebergManifest *manifest,
												   const int *wanted_ids, int nwanted, int *nentries);

extern void iceberg_manifest_list_write(StringInfo buf, int64 snapshot_id, int64 parent_id,
										int64 sequence_number,
										const IcebergManifest *manifests, int n);
extern IcebergManifest *iceberg_manifest_list_read(const void *data, size_t size, const char *object, int *n);

#endif							/* TARN_ICEBERG_MANIFEST_H */
