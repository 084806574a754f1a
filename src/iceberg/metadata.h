/*-------------------------------------------------------------------------
 *
 * metadata.h
 *	  Table metadata files (Iceberg spec, "Table Metadata Fields"), v1, v2 and
 *	  v3 read, v2 written.
 *
 * What tarn does not understand is kept as JSON and written back unchanged.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_METADATA_H
#define TARN_ICEBERG_METADATA_H

#include "postgres.h"

#include "iceberg/schema.h"
#include "lib/stringinfo.h"

typedef struct IcebergProperty
{
	char	   *key;
	char	   *value;
} IcebergProperty;

typedef struct IcebergSnapshot
{
	int64		snapshot_id;
	int64		parent_id;		/* -1: none */
	int64		sequence_number;
	int64		timestamp_ms;
	int			schema_id;		/* -1: none */
	char	   *manifest_list;
	char	   *operation;		/* append, replace, overwrite, delete */
	int			nsummary;		/* without operation */
	IcebergProperty *summary;
} IcebergSnapshot;

typedef struct IcebergLogEntry
{
	int64		timestamp_ms;
	int64		snapshot_id;	/* snapshot log */
	char	   *metadata_file;	/* metadata log */
} IcebergLogEntry;

typedef struct IcebergMetadata
{
	int			format_version;
	char	   *table_uuid;
	char	   *location;
	int64		last_sequence_number;
	int64		last_updated_ms;
	int			last_column_id;
	int			nschemas;
	IcebergSchema **schemas;
	int			current_schema_id;
	JsonNode   *partition_specs;	/* as read; NULL: the unpartitioned spec 0 */
	int			default_spec_id;
	int			last_partition_id;	/* 999 unpartitioned */
	JsonNode   *sort_orders;	/* as read; NULL: unsorted order 0 */
	int			default_sort_order_id;
	int			nproperties;
	IcebergProperty *properties;
	int64		current_snapshot_id;	/* -1: none */
	int			nsnapshots;
	IcebergSnapshot *snapshots;
	int			nsnapshot_log;
	IcebergLogEntry *snapshot_log;
	int			nmetadata_log;
	IcebergLogEntry *metadata_log;
	JsonNode   *refs;			/* as read; main is rewritten */
	JsonNode   *extra;			/* members of the document that have no field here */
} IcebergMetadata;

extern IcebergMetadata *iceberg_metadata_read(const char *data, size_t size, const char *object);
extern void iceberg_metadata_write(StringInfo out, const IcebergMetadata *m);

/* NULL when absent. */
extern const IcebergSchema *iceberg_metadata_schema(const IcebergMetadata *m, int schema_id);
extern const IcebergSnapshot *iceberg_metadata_snapshot(const IcebergMetadata *m, int64 snapshot_id);
extern const char *iceberg_metadata_property(const IcebergMetadata *m, const char *key);
extern void iceberg_metadata_set_property(IcebergMetadata *m, const char *key, const char *value);
extern void iceberg_metadata_drop_property(IcebergMetadata *m, const char *key);
extern const char *iceberg_snapshot_summary(const IcebergSnapshot *s, const char *key);

/* "00000000012-<uuid>.metadata.json": 10 digits, what guessing readers sort right. */
extern char *iceberg_metadata_file_name(int64 version, const char *uuid);

/* The version in such a name, or 0. */
extern int64 iceberg_metadata_version(const char *path);

#endif							/* TARN_ICEBERG_METADATA_H */
