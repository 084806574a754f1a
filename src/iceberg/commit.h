/*-------------------------------------------------------------------------
 *
 * commit.h
 *	  From one state of a table to the next: what a commit writes.
 *
 * Works on structs and on an IcebergIo, knows no server, store or catalog;
 * lake/table.h is the table as the rest of tarn sees it.
 *
 * Cost.  A commit costs what it changes, whatever the age and size of the
 * table.  Manifests are merged like the levels of an LSM tree (merge.c), so
 * that there are few and each entry is rewritten a few times in its life;
 * old snapshots are left out at each commit, and what only they needed is
 * known from IcebergRetired without looking at the rest of the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_COMMIT_H
#define TARN_ICEBERG_COMMIT_H

#include "postgres.h"

#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "iceberg/partition.h"

/* Whole objects, read and written. */
typedef struct IcebergIo
{
	/* length -1: unknown.  NULL only when missing_ok and it is not there */
	char	   *(*get) (void *arg, const char *path, int64 length, bool missing_ok, size_t *size);
	void		(*put) (void *arg, const char *path, const void *data, size_t size);
	void	   *arg;
} IcebergIo;

/* A growing list of names. */
typedef struct IcebergPaths
{
	int			n;
	int			capacity;
	char	  **items;
} IcebergPaths;

/* What becomes garbage when a snapshot and all before it are gone. */
typedef struct IcebergRetired
{
	int64		snapshot_id;
	int			nmanifests;		/* those it has and its successor has not */
	char	  **manifests;
	int			ndeleting;		/* those its successor wrote that have entries of deleted files */
	char	  **deleting;
} IcebergRetired;

typedef struct IcebergTableState
{
	char	   *metadata_location;	/* NULL: never written */
	IcebergMetadata *metadata;
	IcebergManifest *manifests; /* of the current snapshot */
	int			nmanifests;
	IcebergRetired *retired;	/* a cache: may lack any snapshot */
	int			nretired;
} IcebergTableState;

typedef struct IcebergChange
{
	const char *token;			/* uuid that names the files of this commit */
	int64		now_ms;
	bool		drop_all;		/* before the files below are added */
	const IcebergDataFile *files;	/* to add: data and position deletes */
	int			nfiles;
	const IcebergProperty *summary;
	int			nsummary;
	const IcebergProperty *properties;	/* of the table, to set; value NULL: to drop */
	int			nproperties;
	const IcebergSchema *schema;	/* the table's from now on, whatever its id says; NULL: as it was */
	int			last_column_id; /* the highest field id in files of this change, at least */
} IcebergChange;

/* Retention, by table property and by default. */
#define ICEBERG_PROPERTY_MIN_SNAPSHOTS "history.expire.min-snapshots-to-keep"
#define ICEBERG_PROPERTY_MAX_AGE "history.expire.max-snapshot-age-ms"
#define ICEBERG_PROPERTY_MAX_SNAPSHOTS "tarn.max-snapshots"
#define ICEBERG_PROPERTY_PREVIOUS_VERSIONS "write.metadata.previous-versions-max"
#define ICEBERG_PROPERTY_DELETE_METADATA "write.metadata.delete-after-commit.enabled"
#define ICEBERG_DEFAULT_MIN_SNAPSHOTS 20
#define ICEBERG_DEFAULT_MAX_AGE INT64CONST(3600000)
#define ICEBERG_DEFAULT_MAX_SNAPSHOTS 30
#define ICEBERG_DEFAULT_PREVIOUS_VERSIONS 20

/*
 * Writes manifests, manifest list and metadata of the change; returns the
 * state after it, in the current context, sharing nothing with `base`.
 * Names of files that no snapshot of that state needs any more are added to
 * `garbage`: they may be removed once the commit is durable and no reader of
 * an older state is left.
 */
extern IcebergTableState *iceberg_commit(const IcebergTableState *base, const IcebergChange *change,
										 const IcebergIo *io, IcebergPaths *garbage);

extern void iceberg_paths_add(IcebergPaths *paths, const char *path);

/* ---- between the files of this module ---- */

/* What one commit adds to or removes from the table. */
typedef struct IcebergCounters
{
	int64		data_files;
	int64		records;
	int64		delete_files;
	int64		position_deletes;
	int64		size;
} IcebergCounters;

/* One commit in work. */
typedef struct IcebergCommit
{
	const IcebergTableState *base;
	const IcebergChange *change;
	const IcebergIo *io;
	const IcebergSchema *schema;
	IcebergPartition partition;
	int64		snapshot_id;
	int64		sequence_number;
	int			nfiles;			/* manifests written: for their names */
	IcebergManifest *manifests; /* of the new snapshot */
	int			nmanifests;
	int			capacity;
	IcebergCounters added;
	IcebergCounters removed;
} IcebergCommit;

/* commit.c: reads a manifest; writes one under the next name and keeps it; keeps one that is there. */
extern IcebergManifestEntry *iceberg_commit_read(const IcebergIo *io, const IcebergManifest *manifest,
												 bool metrics, int *nentries);
extern void iceberg_commit_write(IcebergCommit *c, int content,
								 const IcebergManifestEntry *entries, int nentries);
extern void iceberg_commit_keep(IcebergCommit *c, const IcebergManifest *manifest);

/* merge.c: the files to add and the manifests to keep, of one content, merged where it is due. */
extern void iceberg_merge(IcebergCommit *c, int content);

/* summary.c: operation and summary of the new snapshot. */
extern void iceberg_count_file(IcebergCounters *counters, const IcebergDataFile *file);
extern void iceberg_summarize(IcebergSnapshot *snapshot, const IcebergCommit *c);

/* expire.c: takes old snapshots and metadata files out of m, which is the new state. */
extern void iceberg_expire(IcebergMetadata *m, int64 now_ms, const IcebergRetired *retired, int nretired,
						   const IcebergIo *io, IcebergPaths *garbage);
extern IcebergRetired *iceberg_retire(int64 snapshot_id, const IcebergManifest *manifests, int n,
									  int64 next_id, const IcebergManifest *next, int nnext);

#endif							/* TARN_ICEBERG_COMMIT_H */
