/*-------------------------------------------------------------------------
 *
 * scan_group.h
 *	  The rows of one row group on their way to a batch.
 *
 * scan_reader.c goes through the steps and reads the columns; scan_prune.c
 * drops rows before anything of them is read (statistics of the row group
 * and of pages, deletes), scan_filter.c by the filter's conditions.
 *
 * Positions.  All steps work on one bitmap over the rows of the row group,
 * and the batch's rows are always some ranges of it.  Row numbers are
 * therefore known whatever was skipped, which is what deletes depend on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_LAKE_SCAN_GROUP_H
#define TARN_LAKE_SCAN_GROUP_H

#include "postgres.h"

#include "lake/scan_internal.h"

/*
 * Rows between two wanted ones that are read along: before the filter, gaps
 * made by page pruning count, single deleted rows do not; after it, decoding
 * some rows too many costs less than one more range.  The second must be the
 * smaller, so that its ranges lie within those of the first.
 */
#define GAP_BEFORE_FILTER 1024
#define GAP_AFTER_FILTER 64

struct LakeReader
{
	LakeScan   *scan;
	ScanFile   *file;
	ScanParquet *parquet;
	ScanColumn *columns;
	bool	   *filtered;		/* by slot: the filter reads it */
	bool	   *all;			/* by slot: true */
	ColumnVector **vectors;		/* by slot: of the batch; NULL: not read yet */
	FilterBounds *bounds;		/* by slot: scratch */
	MemoryContext context;
	MemoryContext group_context;	/* bitmaps and ranges of the batch given out */
};

/* Rows of a row group on their way to a batch. */
typedef struct GroupRows
{
	int			group;
	uint32		nrows;			/* of the group */
	uint32		slice;			/* first row wanted */
	uint32		slice_rows;		/* and how many */
	uint64		first;			/* position of its first row in the file */
	uint64	   *alive;			/* bitmap over the group: not pruned, not deleted */
	ScanRanges	ranges;			/* what is read */
	uint64	   *selection;		/* bitmap over ranges.rows */
} GroupRows;

/* --- scan_reader.c --- */

/* Reads the columns that are wanted and not read yet, over g->ranges. */
extern void scan_group_read(LakeReader *r, const GroupRows *g, const bool *wanted);

/* --- scan_prune.c --- */

/* Can the statistics of the whole group rule it out? */
extern bool scan_group_may_match(LakeReader *r, const GroupRows *g);

/* Clears in g->alive the rows of pages that the filter rules out, and deleted rows. */
extern void scan_group_prune(LakeReader *r, GroupRows *g);

/* --- scan_filter.c --- */

/*
 * Runs the filter, a condition after the other: a column is read only for the
 * rows that the conditions before it left.  False when no row is left.
 */
extern bool scan_group_filter(LakeReader *r, GroupRows *g);

/*
 * The arguments of the filter's topmost AND in the order in which they run,
 * those over the smallest columns first; `used` is room for a flag by slot.
 */
extern const Filter **scan_conditions(LakeReader *r, int group, bool *used, int *n);

#endif							/* TARN_LAKE_SCAN_GROUP_H */
