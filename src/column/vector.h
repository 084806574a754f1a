/*-------------------------------------------------------------------------
 *
 * vector.h
 *	  ColumnVector: one column of a batch of rows, as flat arrays.
 *
 * The form of every value that moves through tarn: the batch sink appends to
 * vectors, the Parquet writer encodes them, the reader produces them, filters
 * and aggregates run over them.
 *
 * Shape.  Row i has a slot in `values` (or `offsets`) whether it is null or
 * not; a null's slot is zero (an empty string for LAYOUT_BYTES).  `valid` is
 * a bitmap with a bit for each row that has a value; it is only meaningful
 * while null_count > 0 (it may be NULL or stale otherwise).  LAYOUT_BYTES
 * has offsets[0..length] into `bytes`.  No array holds pointers, so a
 * vector may be moved or put into shared memory by copying its arrays.
 *
 * Dictionary form (readers only): `codes` is not NULL, `dictionary` is a
 * vector without nulls, and row i is dictionary[codes[i]]; a null's code is
 * 0.  `values`, `offsets`, `bytes` are then unused.  Writers take plain
 * vectors only.
 *
 * Memory: all arrays live in `context` and grow by doubling;
 * column_vector_bytes() tells what they hold, which is what memory limits
 * count.  A vector holds at most COLUMN_MAX_BYTES of variable-length data:
 * column_append_bytes raises ERRCODE_PROGRAM_LIMIT_EXCEEDED beyond.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_VECTOR_H
#define TARN_COLUMN_VECTOR_H

#include "postgres.h"

#include "base/bits.h"
#include "column/types.h"

#define COLUMN_MAX_BYTES ((uint64) 0xFFFFFFF0)

/* Readable bytes past the end of `bytes` and `values`, so that copies may run in blocks of 32. */
#define COLUMN_PADDING 64

typedef struct ColumnVector
{
	LakeType	type;
	ColumnLayout layout;		/* lake_type_layout(type) */
	uint32		width;			/* lake_type_width(type) */
	uint32		length;			/* rows */
	uint32		capacity;		/* rows there is room for */
	uint32		null_count;
	uint64	   *valid;
	char	   *values;
	uint32	   *offsets;
	char	   *bytes;
	uint64		bytes_capacity;
	uint32	   *codes;
	struct ColumnVector *dictionary;
	MemoryContext context;
} ColumnVector;

extern ColumnVector *column_vector_create(MemoryContext context, LakeType type, uint32 capacity);
extern void column_vector_init(ColumnVector *v, MemoryContext context, LakeType type, uint32 capacity);
extern void column_vector_free(ColumnVector *v);	/* the arrays, not the struct */
extern void column_vector_reset(ColumnVector *v);	/* length 0, arrays kept */
extern void column_vector_reserve(ColumnVector *v, uint32 rows);	/* capacity >= rows */
extern void column_vector_reserve_bytes(ColumnVector *v, uint64 more);	/* room for `more` bytes */
extern size_t column_vector_bytes(const ColumnVector *v);

/* Append the rows of `from` whose bit is set in `rows` (all when NULL); `from` may be in dictionary form. */
extern void column_vector_append_rows(ColumnVector *to, const ColumnVector *from, const uint64 *rows);

/* Row i as a LakeValue that points into the vector. */
extern void column_vector_value(const ColumnVector *v, uint32 i, LakeValue *value);

/* Append a LakeValue (copied). */
extern void column_vector_append_value(ColumnVector *v, const LakeValue *value);

/*
 * Hash each row into hashes[0..length-1], combining with what is there when
 * `combine`: keys of several columns are hashed column after column.  Equal
 * values of a type have equal hashes whatever the form of the vector
 * (plain or dictionary); nulls hash alike; float -0 hashes as +0.
 * A first column of LAYOUT_BOOL, INT32 or INT64 (combine false, seed 0) uses
 * hash_mix64 of the value and is free of collisions among values (a null
 * shares its hash with one of them).
 */
extern void column_vector_hash(const ColumnVector *v, uint64 *hashes, bool combine, uint64 seed);

static inline bool
column_vector_isnull(const ColumnVector *v, uint32 i)
{
	return v->null_count > 0 && !bitmap_get(v->valid, i);
}

/* Makes (or makes anew) the bitmap with a bit for each row so far: call it before null_count leaves 0. */
extern void column_vector_start_valid(ColumnVector *v);

/*
 * Append a null.  The out-of-line part makes the bitmap when this is the
 * first null of the vector.
 */
extern void column_append_null(ColumnVector *v);

/* Out of line: room for one more row (doubles). */
extern void column_vector_grow(ColumnVector *v);

static inline void
column_append_prepare(ColumnVector *v)
{
	if (unlikely(v->length == v->capacity))
		column_vector_grow(v);
	if (unlikely(v->null_count > 0))
		bitmap_set(v->valid, v->length);
}

static inline void
column_append_bool(ColumnVector *v, bool value)
{
	column_append_prepare(v);
	((uint8 *) v->values)[v->length++] = value;
}

static inline void
column_append_int32(ColumnVector *v, int32 value)
{
	column_append_prepare(v);
	((int32 *) v->values)[v->length++] = value;
}

static inline void
column_append_int64(ColumnVector *v, int64 value)
{
	column_append_prepare(v);
	((int64 *) v->values)[v->length++] = value;
}

static inline void
column_append_int128(ColumnVector *v, int128 value)
{
	column_append_prepare(v);
	memcpy(v->values + (size_t) v->length++ * sizeof(int128), &value, sizeof(int128));
}

static inline void
column_append_float(ColumnVector *v, float value)
{
	column_append_prepare(v);
	((float *) v->values)[v->length++] = value;
}

static inline void
column_append_double(ColumnVector *v, double value)
{
	column_append_prepare(v);
	((double *) v->values)[v->length++] = value;
}

static inline void
column_append_fixed(ColumnVector *v, const void *value)
{
	column_append_prepare(v);
	memcpy(v->values + (size_t) v->length++ * v->width, value, v->width);
}

static inline void
column_append_bytes(ColumnVector *v, const void *data, uint32 size)
{
	uint32		at;

	column_append_prepare(v);
	at = v->offsets[v->length];
	if (unlikely((uint64) at + size > v->bytes_capacity))
		column_vector_reserve_bytes(v, size);
	memcpy(v->bytes + at, data, size);
	v->offsets[++v->length] = at + size;
}

#endif							/* TARN_COLUMN_VECTOR_H */
