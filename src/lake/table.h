/*-------------------------------------------------------------------------
 *
 * table.h
 *	  One Iceberg table of a lake: load it, change it, commit it.
 *
 * A change is prepared in a LakeChange: data files and delete files that
 * are already written are added, files are removed or all dropped, the
 * summary is filled; lake_change_write() writes manifests, manifest list and
 * metadata; lake_commit() swaps the catalog rows of any number of tables in
 * the caller's transaction.  Nothing is visible before that transaction
 * commits.
 *
 * File names.  Every file of a flush is named after a token that was
 * recorded before (a uuid): data/<token>-<n>.parquet,
 * metadata/<token>-m<n>.avro, metadata/snap-<id>-<token>.avro,
 * metadata/<version>-<token>.metadata.json.  lake_table_remove_token()
 * removes what a token left behind, except what the given metadata
 * references: that is how orphans of a crash go away without a list of files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_TABLE_H
#define TARN_LAKE_TABLE_H

#include "postgres.h"

#include "iceberg/commit.h"
#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "lake/lake.h"
#include "parquet/writer.h"

typedef struct LakeTable
{
	Lake	   *lake;
	char	   *namespace;
	char	   *name;
	char	   *metadata_location;	/* NULL: not in the catalog yet */
	IcebergMetadata *metadata;
	const IcebergSchema *schema;	/* the current one; or what a writer is going to make of it */
	const IcebergSnapshot *snapshot;	/* the current one, or NULL */
	IcebergManifest *manifests; /* of the current snapshot */
	int			nmanifests;
	IcebergRetired *retired;	/* for the expiry of older snapshots: see iceberg/commit.h */
	int			nretired;
	MemoryContext context;		/* holds all of the above */
} LakeTable;

/* Loads a table at the catalog's current state; NULL when it is not there (missing_ok) or an error. */
extern LakeTable *lake_table_load(Lake *lake, const char *namespace, const char *name, bool missing_ok);

/* The same at a known metadata file (time travel, parallel workers). */
extern LakeTable *lake_table_load_at(Lake *lake, const char *namespace, const char *name, const char *metadata_location);

/*
 * The state that entry `i` of t's metadata log names, of before t; NULL when
 * it has expired.  To commit it in the place of t brings it back.
 */
extern LakeTable *lake_table_load_before(const LakeTable *t, int i);

/*
 * Where a new table of that name would lie: <warehouse>/<namespace>/<name>,
 * and whether a table of the catalog lies there already (it was renamed).
 */
extern char *lake_table_location(const Lake *lake, const char *namespace, const char *name);
extern bool lake_location_used(Lake *lake, const char *location);

/* A new table, not in the catalog until its first commit.  Field ids are the caller's. */
extern LakeTable *lake_table_new(Lake *lake, const char *namespace, const char *name,
								 const char *location, IcebergSchema *schema, const IcebergProperty *properties, int nproperties);

/* Of a new table, before its first commit: partitions it by the day of a timestamp; see iceberg/partition.h. */
extern void lake_table_partition_by_day(LakeTable *t, int field_id, const char *name);

extern void lake_table_free(LakeTable *t);

/* <location>/data/<token>-<n>.parquet */
extern char *lake_data_path(const LakeTable *t, const char *token, int n);

typedef struct LakeChange LakeChange;

extern LakeChange *lake_change_begin(LakeTable *t, const char *token);
extern void lake_change_add(LakeChange *c, const IcebergDataFile *file);	/* data or position deletes; copied */
extern void lake_change_drop_all(LakeChange *c);	/* every file the table has now (TRUNCATE, resync) */
extern void lake_change_summary(LakeChange *c, const char *key, const char *value);
extern void lake_change_property(LakeChange *c, const char *key, const char *value);	/* of the table; NULL: drop */

/*
 * The table's schema from this change on (its id is chosen); not copied, must
 * live until the change is written.  last_column_id: the highest field id
 * that files of this change or earlier ones have.
 */
extern void lake_change_schema(LakeChange *c, const IcebergSchema *schema, int last_column_id);

/*
 * Writes the metadata of the change and frees it; the table's new state is
 * returned (own context, child of the current) and, once it is committed, may
 * be changed next without loading it again.  Old snapshots beyond the
 * table's retention are left out of it; the files that only they referenced,
 * and superseded metadata files, are given to `garbage` (List of char *), to
 * be removed when the commit is durable and no reader can need them any more.
 */
extern LakeTable *lake_change_write(LakeChange *c, List **garbage);

/* Swaps the catalog rows: from[i] (metadata_location NULL: create) to to[i]. */
extern void lake_commit(LakeTable **from, LakeTable **to, int n);

/* Removes files of `token` that table state `t` (NULL: none) does not reference; returns how many. */
extern int	lake_table_remove_token(Lake *lake, const char *location, const char *token, const LakeTable *t);

/*
 * Compares a table's folder with what the table's state references.  Returns a
 * file that its current snapshot needs and that is not there, or NULL;
 * *unreferenced: the files (List of char *) that none of its snapshots needs.
 */
extern char *lake_table_audit(const LakeTable *t, List **unreferenced);

/* Every file of a table's location (List of char *), for dropping the table: nobody writes there any more. */
extern List *lake_table_list_all(Lake *lake, const char *location);

/* A data file entry from what the Parquet writer says: metrics, truncated bounds, split offsets. */
extern void lake_data_file(IcebergDataFile *file, const char *path,
						   const IcebergSchema *schema, const ParquetFileSummary *summary);

/* Live rows, data files, and bytes of data and delete files by the snapshot's summary; -1 unknown. */
extern int64 lake_table_rows(const LakeTable *t);
extern int64 lake_table_files(const LakeTable *t);
extern int64 lake_table_bytes(const LakeTable *t);

#endif							/* TARN_LAKE_TABLE_H */
