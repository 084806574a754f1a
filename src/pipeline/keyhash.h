/*-------------------------------------------------------------------------
 *
 * keyhash.h
 *	  The hash of a row's key, as the key index wants it.
 *
 * Narrow keys are single columns of at most 64 bits: their hash is a
 * permutation of the value, so that two keys never collide, and the check is
 * 0.  All others are wide: 64 + 32 bits, both with the index's random seed
 * (keyindex_seed), which makes an accidental collision a matter of 6e-12 in a
 * table of 1e9 rows and a contrived one no easier.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_KEYHASH_H
#define TARN_PIPELINE_KEYHASH_H

#include "postgres.h"

#include "column/vector.h"
#include "pipeline/keyindex.h"

/*
 * Are keys of these columns wide?  A single LAYOUT_INT64 column that may be
 * null (REPLICA IDENTITY FULL) has 2^64 + 1 values: the caller must treat
 * that as wide too; keyhash_rows raises an error when it meets a null there.
 */
extern bool keyhash_is_wide(const LakeType *types, int n);

/* One KeyHash for each row of the columns, which have the same length. */
extern void keyhash_rows(ColumnVector *const *columns, int ncolumns, bool wide, uint64 seed, KeyHash *out);

#endif							/* TARN_PIPELINE_KEYHASH_H */
