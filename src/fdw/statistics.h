/*-------------------------------------------------------------------------
 *
 * statistics.h
 *	  What the manifests tell of a table's columns, for the planner.
 *
 * Collected while the size of a foreign table is estimated, kept as long as
 * the planner works on the query, given to the selectivity functions of the
 * server by its hook get_relation_stats_hook.  Statistics of ANALYZE, where
 * there are any, come first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_FDW_STATISTICS_H
#define TARN_FDW_STATISTICS_H

#include "postgres.h"

#include "access/htup.h"
#include "fdw/fdw.h"

/* Bounds of a column in one file, on a line of numbers. */
typedef struct FdwInterval
{
	double		lower;
	double		upper;
	double		values;			/* between them: neither null nor NaN */
} FdwInterval;

typedef struct FdwColumnStatistics
{
	FdwColumn	column;			/* its field is gone; see type */
	LakeType	type;			/* of the lake column */
	Oid			collation;
	bool		unique;			/* the only identifier field */
	double		values;			/* in files that count them, nulls included */
	double		nulls;
	double		sized;			/* values, and files, of those that tell column sizes */
	double		sized_files;
	double		bytes;			/* compressed, as stored, of the sized values */
	bool		bounded;		/* lower and upper are known */
	LakeValue	lower;			/* of the table */
	LakeValue	upper;
	FdwInterval *intervals;		/* a file each; types with distances only */
	int			nintervals;
	bool		formed;			/* `tuple` has been looked for */
	HeapTuple	tuple;			/* a row of pg_statistic, or NULL */
} FdwColumnStatistics;

struct FdwStatistics
{
	MemoryContext context;
	Oid			relid;
	double		rows;			/* live ones, of the table */
	int			nfiles;
	int			natts;
	FdwColumnStatistics **columns;	/* by attribute number - 1; NULL: nothing known */
};

/* --- statistics.c --- */

/*
 * Of the bound columns (by attribute number - 1, NULL where not bound), from
 * all files of the snapshot; in the current context.
 */
extern FdwStatistics *statistics_collect(Relation relation, const LakeScan *scan,
										 FdwColumn *const *columns, double rows);

/* Bytes of a column's value in a tuple, on average; 0 unknown. */
extern int	statistics_width(const FdwColumnStatistics *c);

/* --- statistics_form.c --- */

/* Values of the column's type that cut its values in parts of equal number, ascending; returns how many. */
extern int	statistics_histogram(FdwColumnStatistics *c, Datum *values);

#define STATISTICS_MAX_HISTOGRAM 101

/* Distinct values as pg_statistic.stadistinct has it: 0 unknown, negative a share of the rows. */
extern double statistics_distinct(const FdwColumnStatistics *c, double rows);

/*
 * Which part of the files, and of their rows, the bounds leave for a search
 * of one of the column's values, on average.
 */
extern void statistics_hit(const FdwColumnStatistics *c, int nfiles, double *files, double *rows);

/* The row of pg_statistic that all of this makes, or NULL; in the statistics' context, made once. */
extern HeapTuple statistics_tuple(FdwStatistics *s, FdwColumnStatistics *c);

#endif							/* TARN_FDW_STATISTICS_H */
