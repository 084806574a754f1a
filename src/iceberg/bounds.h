/*-------------------------------------------------------------------------
 *
 * bounds.h
 *	  Column bounds of manifests (Iceberg spec, "Appendix D: Single-value
 *	  serialization", and "Manifests", lower_bounds and upper_bounds).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_BOUNDS_H
#define TARN_ICEBERG_BOUNDS_H

#include "postgres.h"

#include "column/types.h"
#include "lib/stringinfo.h"

/* Code points (strings) or bytes (binary) kept in a bound. */
#define ICEBERG_BOUND_LENGTH 16

/* Appends the binary form of a value, whole. */
extern void iceberg_value_encode(LakeType type, const LakeValue *value, StringInfo out);

/*
 * Reads the binary form.  A promoted column's bound may be narrower (int for
 * long, float for double).  False when the size does not fit the type.
 */
extern bool iceberg_value_decode(LakeType type, const void *data, size_t size, LakeValue *value);

/*
 * Truncates a string or binary bound in place of `value` (new memory when it
 * changes): lower bounds are cut, upper bounds are cut and incremented.
 * False when there is no upper bound of that length: then none is written.
 */
extern bool iceberg_bound_truncate(LakeType type, LakeValue *value, bool upper);

#endif							/* TARN_ICEBERG_BOUNDS_H */
