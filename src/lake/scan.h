/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Reading a lake table: plan to tasks, tasks to batches of columns.
 *
 * lake_scan_plan prunes files by their bounds and gives tasks (a data file
 * with the delete files that may touch it).  A LakeReader reads one task:
 * row groups are pruned by statistics, the filter's columns are read and
 * filtered first, deletes are applied, and only then the other columns are
 * read for row groups (and pages) that still have rows.
 *
 * Columns are addressed by their slot in the projection (0..nfields-1),
 * which is also Filter.column.  A field that a file lacks reads as nulls (or
 * its initial-default).  Files are matched by field id; files without ids by
 * the table's name mapping, then by name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_SCAN_H
#define TARN_LAKE_SCAN_H

#include "postgres.h"

#include "lake/table.h"
#include "vector/filter.h"

typedef struct LakeScanTask
{
	const IcebergDataFile *file;
	int64		sequence_number;
	const IcebergManifestEntry **deletes;	/* position deletes that may apply */
	int			ndeletes;
	int			index;			/* of the file in the snapshot, for the scan's own use */
} LakeScanTask;

typedef struct LakeScanCounters
{
	uint64		files;			/* in the snapshot */
	uint64		files_pruned;
	uint64		row_groups;		/* in the files that were opened */
	uint64		row_groups_pruned;
	uint64		pages_pruned;
	uint64		delete_files;	/* read */
	uint64		rows_deleted;	/* skipped because of deletes */
	uint64		rows_filtered;	/* read and dropped by the filter */
	uint64		rows;			/* given out */
	uint64		bytes;			/* read from the store */
} LakeScanCounters;

typedef struct LakeScan
{
	LakeTable  *table;
	int			nfields;
	const IcebergField **fields;	/* the projection */
	Filter	   *filter;			/* or NULL */
	LakeScanTask *tasks;
	int			ntasks;
	LakeScanCounters counters;
	struct LakeScanFiles *files;	/* what the manifests said; private */
	MemoryContext context;
} LakeScan;

/*
 * field_ids: the projection (must exist in the table's schema).  The filter's
 * constants have the fields' types.  The scan lives in a context of its own,
 * child of the current one; `table` and `filter` must outlive it.
 */
extern LakeScan *lake_scan_plan(LakeTable *table, const int *field_ids, int nfields, Filter *filter);

/* The same snapshot and projection under another filter (a rescan): manifests and deletes that were read are kept. */
extern void lake_scan_replan(LakeScan *scan, Filter *filter);

/* Closes what it holds open, and its readers. */
extern void lake_scan_end(LakeScan *scan);

/* Data files of the snapshot, pruned ones too; metrics of the projection's fields only. */
extern int	lake_scan_nfiles(const LakeScan *scan);
extern const IcebergDataFile *lake_scan_file(const LakeScan *scan, int i);

/* What the manifest says of a field, or NULL. */
extern const IcebergMetrics *lake_file_metrics(const IcebergDataFile *file, int field_id);

typedef struct LakeBatch
{
	ColumnVector **columns;		/* one per field, nrows long, may be in dictionary form */
	uint32		nrows;
	uint64	   *selection;		/* rows that are live and pass the filter */
	uint32		nselected;
	const IcebergDataFile *file;
	uint64	   *positions;		/* position in the file of each row, or NULL: first_position + i */
	uint64		first_position;
} LakeBatch;

typedef struct LakeReader LakeReader;

/* Row groups of a task, for sharing work: opens the file's footer.  Freed with the scan at the latest. */
extern LakeReader *lake_reader_open(LakeScan *scan, int task);
extern int	lake_reader_nrow_groups(LakeReader *r);

/*
 * Hints, for consumers that will read everything: the task will be opened
 * soon; the row group will be read next.  Their bytes are fetched meanwhile,
 * as far as it is likely that they are needed.  The second ends the validity
 * of the reader's batch.
 */
#define LAKE_TASKS_AHEAD 8
extern void lake_reader_ahead(LakeScan *scan, int task);
extern void lake_reader_prefetch(LakeReader *r, int group);

extern uint32 lake_reader_group_rows(LakeReader *r, int group);

/* Reads row group `group`; false when it is pruned or nothing of it is selected.  *batch is valid until the next call. */
extern bool lake_reader_group(LakeReader *r, int group, LakeBatch *batch);

/* The same for `count` rows from row `first` of the group: for consumers that may stop early. */
extern bool lake_reader_slice(LakeReader *r, int group, uint32 first, uint32 count, LakeBatch *batch);
extern void lake_reader_close(LakeReader *r);

/*
 * Values of chosen rows of one data file (positions ascending, each once),
 * for values that an UPDATE left unchanged: appended to out[0..nfields-1],
 * plain vectors of the fields' types.  Only the pages that hold such rows
 * are read.  Deletes are not looked at.
 */
extern void lake_read_rows(LakeTable *table, const char *path, const int *field_ids, int nfields,
						   const uint64 *positions, uint32 n, ColumnVector **out);

#endif							/* TARN_LAKE_SCAN_H */
