/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Row filters over ColumnVectors, and over bounds.
 *
 * A Filter is a tree of comparisons of one column with constants under AND,
 * OR and NOT, in SQL's three-valued logic: a row passes when the result is
 * true.  Comparisons follow lake_value_compare (PostgreSQL's rules for
 * floats; bytes for strings, so the caller must not push orderings under
 * another collation than C, nor equality under a nondeterministic one).
 *
 * Evaluation is a column at a time into bitmaps; over a vector in dictionary
 * form the predicate runs once per distinct value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_VECTOR_FILTER_H
#define TARN_VECTOR_FILTER_H

#include "postgres.h"

#include "column/vector.h"

typedef enum FilterOp
{
	FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE,
	FILTER_IN,					/* values[0..nvalues-1], no nulls */
	FILTER_NOT_IN,
	FILTER_PREFIX,				/* string begins with values[0] */
	FILTER_IS_NULL, FILTER_IS_NOT_NULL,
	FILTER_AND, FILTER_OR, FILTER_NOT,
	FILTER_FALSE				/* never true: comparison with NULL */
} FilterOp;

typedef struct Filter
{
	FilterOp	op;
	int			column;			/* index the caller gives meaning to (a slot of the scan) */
	LakeType	type;			/* of the constants; the column's */
	LakeValue  *values;
	int			nvalues;
	struct Filter **args;		/* AND, OR, NOT */
	int			nargs;
} Filter;

extern Filter *filter_make(FilterOp op, int column, LakeType type, const LakeValue *values, int nvalues);
extern Filter *filter_combine(FilterOp op, Filter **args, int nargs);

/*
 * selection has BITMAP_WORDS(nrows) words.  On input: rows still wanted; on
 * output those of them for which the filter is true.  columns[f->column]
 * must be filled for every column the filter names.
 */
extern void filter_rows(const Filter *f, ColumnVector *const *columns, uint32 nrows, uint64 *selection);

/* What bounds say about a set of rows. */
typedef struct FilterBounds
{
	bool		known;			/* lower and upper are valid */
	LakeValue	lower;			/* <= every non-null, non-NaN value */
	LakeValue	upper;			/* >= every non-null, non-NaN value */
	int64		null_count;		/* -1 unknown */
	int64		nan_count;		/* -1 unknown; matters for floats only */
	int64		value_count;	/* nulls included; -1 unknown */
} FilterBounds;

/* False only if no row within these bounds can pass; bounds[f->column]. */
extern bool filter_may_match(const Filter *f, const FilterBounds *bounds);

/* The operator that is true where `op` is false, of comparisons but PREFIX; else returns false. */
extern bool filter_negate(FilterOp op, FilterOp *negated);

/* Collects the columns a filter names into `used` (indexed by column). */
extern void filter_columns(const Filter *f, bool *used);

#endif							/* TARN_VECTOR_FILTER_H */
