/*-------------------------------------------------------------------------
 *
 * filter_internal.h
 *	  What the files of the filter share.
 *
 * filter.c holds trees together and evaluates AND, OR and NOT over bitmaps;
 * filter_compare.c compares a vector's values with constants, filter_list.c
 * with long lists of them; filter_bounds.c asks bounds instead of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_VECTOR_FILTER_INTERNAL_H
#define TARN_VECTOR_FILTER_INTERNAL_H

#include "postgres.h"

#include "vector/filter.h"

/* Is f a comparison with constants (nulls never pass, nor fail)? */
static inline bool
filter_is_comparison(const Filter *f)
{
	return f->op <= FILTER_PREFIX;
}

/*
 * Sets the bits of `out` (BITMAP_WORDS(nrows), tail clear) whose value in v
 * passes the comparison; what bits of null rows become is undefined.  Words
 * of `selection` that are 0 may be skipped: their bits are undefined, too.
 */
extern void filter_compare(const Filter *f, const ColumnVector *v, uint32 nrows,
						   const uint64 *selection, uint64 *out);

/* The same for IN with any number of constants: both sides are hashed. */
extern void filter_compare_list(const Filter *f, const ColumnVector *v, uint32 nrows,
								const uint64 *selection, uint64 *out);

/* A constant of a type in one of the integer layouts. */
static inline int128
filter_integer(LakeType type, const LakeValue *c)
{
	return lake_type_layout(type) == LAYOUT_INT128 ? c->u.i128 : (int128) c->u.i64;
}

/* Does one value, not null, pass? */
extern bool filter_value_passes(const Filter *f, const LakeValue *value);

#endif							/* TARN_VECTOR_FILTER_INTERNAL_H */
