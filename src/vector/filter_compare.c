/*-------------------------------------------------------------------------
 *
 * filter_compare.c
 *	  One column against constants: typed kernels that make a word of 64
 *	  rows at a time.
 *
 * There are three predicates, equal, less and less-or-equal; the other
 * comparisons are their negations.  That also gives PostgreSQL's order of
 * floats for free: with a constant that is no NaN the three are false for a
 * NaN, so their negations (unequal, greater-or-equal, greater) are true.
 *
 * A kernel compares into 64 bytes, which compilers vectorise, and packs them
 * to a word with a multiplication for each eight.  Shifting each result into
 * the word directly is shorter and runs at a quarter of the speed.
 *
 * A vector in dictionary form is compared through its dictionary, once for
 * each distinct value; rows then look their code up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "vector/filter_internal.h"

/* Lists up to this length are compared value by value, longer ones hashed. */
#define SHORT_LIST 4

typedef enum Predicate
{
	PREDICATE_EQ,
	PREDICATE_LT,
	PREDICATE_LE,
	NPREDICATES
} Predicate;

/* Eight bytes of 0 or 1 to eight bits, the first lowest. */
static inline uint64
pack_bytes(const uint8 *hits)
{
	uint64		word = 0;

	for (int i = 0; i < 8; i++)
	{
		uint64		eight;

		memcpy(&eight, hits + i * 8, 8);
		word |= ((eight * UINT64CONST(0x0102040810204080)) >> 56) << (i * 8);
	}
	return word;
}

/* Runs `test` (over values[i]) for each row of words that are selected. */
#define KERNEL_LOOP(test) \
	for (size_t w = 0; w < BITMAP_WORDS(nrows); w++, values += 64) \
	{ \
		uint8		hits[64] = {0}; \
		uint32		rest = nrows - (uint32) w * 64; \
		\
		if (selection[w] == 0) \
			continue; \
		if (rest >= 64) \
		{ \
			for (int i = 0; i < 64; i++) \
				hits[i] = (test); \
		} \
		else \
		{ \
			for (uint32 i = 0; i < rest; i++) \
				hits[i] = (test); \
		} \
		out[w] = pack_bytes(hits); \
	}

#define COMPARE_KERNEL(name, type, constant_type, operator) \
TARN_KERNEL static void \
name(const void *array, constant_type c, uint32 nrows, const uint64 *selection, uint64 *out) \
{ \
	const type *values = array; \
	\
	KERNEL_LOOP(values[i] operator c) \
}

#define COMPARE_KERNELS(suffix, type, constant_type) \
COMPARE_KERNEL(eq_##suffix, type, constant_type, ==) \
COMPARE_KERNEL(lt_##suffix, type, constant_type, <) \
COMPARE_KERNEL(le_##suffix, type, constant_type, <=)

COMPARE_KERNELS(bool, uint8, uint8)
COMPARE_KERNELS(int32, int32, int32)
COMPARE_KERNELS(int64, int64, int64)
COMPARE_KERNELS(int128, int128, int128)
COMPARE_KERNELS(float, float, double)
COMPARE_KERNELS(double, double, double)

/* NaNs alone differ from themselves. */
#define NAN_KERNEL(name, type) \
TARN_KERNEL static void \
name(const void *array, uint32 nrows, const uint64 *selection, uint64 *out) \
{ \
	const type *values = array; \
	\
	KERNEL_LOOP(values[i] != values[i]) \
}

NAN_KERNEL(nan_float, float)
NAN_KERNEL(nan_double, double)

/* Codes within [low, low + span]. */
TARN_KERNEL static void
codes_between(const uint32 *values, uint32 low, uint32 span, uint32 nrows,
			  const uint64 *selection, uint64 *out)
{
	KERNEL_LOOP(values[i] - low <= span)
}

/*
 * Codes whose bit is set in `matches`: a bitmap as 32-bit words (this is a
 * little-endian machine), so that eight are looked up at once.
 */
TARN_KERNEL static void
codes_matching(const uint32 *values, const uint32 *matches, uint32 nrows,
			   const uint64 *selection, uint64 *out)
{
	KERNEL_LOOP((matches[values[i] >> 5] >> (values[i] & 31)) & 1)
}

static void
fill_out(uint64 *out, uint32 nrows, bool value)
{
	if (value)
		bitmap_fill(out, nrows);
	else
		memset(out, 0, BITMAP_WORDS(nrows) * sizeof(uint64));
}

/* ---- numbers ---- */

/* An integer constant of any width; the column may be narrower (type promotion). */
static void
compare_integers(Predicate p, const ColumnVector *v, int128 c, uint32 nrows,
				 const uint64 *selection, uint64 *out)
{
	typedef void (*int32_kernel) (const void *, int32, uint32, const uint64 *, uint64 *);
	typedef void (*int64_kernel) (const void *, int64, uint32, const uint64 *, uint64 *);
	typedef void (*int128_kernel) (const void *, int128, uint32, const uint64 *, uint64 *);
	typedef void (*bool_kernel) (const void *, uint8, uint32, const uint64 *, uint64 *);
	const bool_kernel bools[] = {eq_bool, lt_bool, le_bool};
	const int32_kernel int32s[] = {eq_int32, lt_int32, le_int32};
	const int64_kernel int64s[] = {eq_int64, lt_int64, le_int64};
	const int128_kernel int128s[] = {eq_int128, lt_int128, le_int128};
	int128		min = PG_INT64_MIN;
	int128		max = PG_INT64_MAX;

	if (v->layout == LAYOUT_INT128)
	{
		int128s[p] (v->values, c, nrows, selection, out);
		return;
	}
	if (v->layout == LAYOUT_INT32)
	{
		min = PG_INT32_MIN;
		max = PG_INT32_MAX;
	}
	else if (v->layout == LAYOUT_BOOL)
	{
		min = 0;
		max = 1;
	}
	if (c < min || c > max)
		fill_out(out, nrows, p != PREDICATE_EQ && c > max);
	else if (v->layout == LAYOUT_BOOL)
		bools[p] (v->values, (uint8) c, nrows, selection, out);
	else if (v->layout == LAYOUT_INT32)
		int32s[p] (v->values, (int32) c, nrows, selection, out);
	else
		int64s[p] (v->values, (int64) c, nrows, selection, out);
}

static void
compare_floats(Predicate p, const ColumnVector *v, double c, uint32 nrows,
			   const uint64 *selection, uint64 *out)
{
	typedef void (*kernel) (const void *, double, uint32, const uint64 *, uint64 *);
	const kernel floats[] = {eq_float, lt_float, le_float};
	const kernel doubles[] = {eq_double, lt_double, le_double};
	bool		single = (v->layout == LAYOUT_FLOAT);

	if (!isnan(c))
	{
		(single ? floats : doubles)[p] (v->values, c, nrows, selection, out);
		return;
	}
	/* all is at most NaN, and less unless NaN itself */
	if (p == PREDICATE_LE)
	{
		fill_out(out, nrows, true);
		return;
	}
	(single ? nan_float : nan_double) (v->values, nrows, selection, out);
	if (p == PREDICATE_LT)
	{
		for (size_t w = 0; w < BITMAP_WORDS(nrows); w++)
			out[w] = ~out[w];
		bitmap_clear_tail(out, nrows);
	}
}

/* ---- byte strings ---- */

static inline void
string_at(const ColumnVector *v, uint32 i, const char **data, uint32 *size)
{
	if (v->layout == LAYOUT_FIXED)
	{
		*data = v->values + (size_t) i * v->width;
		*size = v->width;
	}
	else
	{
		*data = v->bytes + v->offsets[i];
		*size = v->offsets[i + 1] - v->offsets[i];
	}
}

static inline bool
string_equal(const char *data, uint32 size, const LakeValue *c)
{
	return size == c->u.bytes.size && memcmp(data, c->u.bytes.data, size) == 0;
}

static inline bool
string_begins(const char *data, uint32 size, const LakeValue *c)
{
	return size >= c->u.bytes.size && memcmp(data, c->u.bytes.data, c->u.bytes.size) == 0;
}

static inline int
string_compare(const char *data, uint32 size, const LakeValue *c)
{
	int			cmp = memcmp(data, c->u.bytes.data, Min(size, c->u.bytes.size));

	if (cmp != 0)
		return cmp;
	return (size > c->u.bytes.size) - (size < c->u.bytes.size);
}

/* Strings are looked at only where selected: each costs more than a bit test. */
#define STRING_LOOP(test) \
	for (size_t w = 0; w < BITMAP_WORDS(nrows); w++) \
	{ \
		uint64		word = 0; \
		\
		for (uint64 left = selection[w]; left != 0; left &= left - 1) \
		{ \
			int			bit = pg_rightmost_one_pos64(left); \
			const char *data; \
			uint32		size; \
			\
			string_at(v, (uint32) w * 64 + (uint32) bit, &data, &size); \
			word |= (uint64) (test) << bit; \
		} \
		out[w] = word; \
	}

static void
compare_strings(Predicate p, const ColumnVector *v, const LakeValue *c, uint32 nrows,
				const uint64 *selection, uint64 *out)
{
	switch (p)
	{
		case PREDICATE_EQ:
			STRING_LOOP(string_equal(data, size, c));
			break;
		case PREDICATE_LT:
			STRING_LOOP(string_compare(data, size, c) < 0);
			break;
		default:
			STRING_LOOP(string_compare(data, size, c) <= 0);
	}
}

static void
compare_prefix(const ColumnVector *v, const LakeValue *c, uint32 nrows,
			   const uint64 *selection, uint64 *out)
{
	STRING_LOOP(string_begins(data, size, c));
}

/* ---- operators ---- */

static void
compare_value(Predicate p, const ColumnVector *v, LakeType type, const LakeValue *c,
			  uint32 nrows, const uint64 *selection, uint64 *out)
{
	switch (v->layout)
	{
		case LAYOUT_BOOL:
		case LAYOUT_INT32:
		case LAYOUT_INT64:
		case LAYOUT_INT128:
			compare_integers(p, v, filter_integer(type, c), nrows, selection, out);
			break;
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			compare_floats(p, v, c->u.f64, nrows, selection, out);
			break;
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			compare_strings(p, v, c, nrows, selection, out);
			break;
	}
}

static void
compare_list(const Filter *f, const ColumnVector *v, uint32 nrows,
			 const uint64 *selection, uint64 *out)
{
	size_t		nwords = BITMAP_WORDS(nrows);
	uint64	   *one;

	if (f->nvalues > SHORT_LIST)
	{
		filter_compare_list(f, v, nrows, selection, out);
		return;
	}
	memset(out, 0, nwords * sizeof(uint64));
	one = palloc0(Max(nwords, 1) * sizeof(uint64));
	for (int i = 0; i < f->nvalues; i++)
	{
		compare_value(PREDICATE_EQ, v, f->type, &f->values[i], nrows, selection, one);
		for (size_t w = 0; w < nwords; w++)
			out[w] |= one[w];
	}
	pfree(one);
}

/* Which predicate an operator is, and whether its negation. */
static const struct
{
	Predicate	predicate;
	bool		negated;
}			operators[] = {
	[FILTER_EQ] = {PREDICATE_EQ, false},
	[FILTER_NE] = {PREDICATE_EQ, true},
	[FILTER_LT] = {PREDICATE_LT, false},
	[FILTER_LE] = {PREDICATE_LE, false},
	[FILTER_GT] = {PREDICATE_LE, true},
	[FILTER_GE] = {PREDICATE_LT, true},
	[FILTER_IN] = {NPREDICATES, false},
	[FILTER_NOT_IN] = {NPREDICATES, true},
	[FILTER_PREFIX] = {NPREDICATES, false},
};

static void
compare_plain(const Filter *f, const ColumnVector *v, uint32 nrows,
			  const uint64 *selection, uint64 *out)
{
	if (operators[f->op].predicate != NPREDICATES)
		compare_value(operators[f->op].predicate, v, f->type, &f->values[0], nrows, selection, out);
	else if (f->op == FILTER_PREFIX)
		compare_prefix(v, &f->values[0], nrows, selection, out);
	else
		compare_list(f, v, nrows, selection, out);
	if (operators[f->op].negated)
	{
		for (size_t w = 0; w < BITMAP_WORDS(nrows); w++)
			out[w] = ~out[w];
		bitmap_clear_tail(out, nrows);
	}
}

/* The dictionary's values first, then codes: none, all, a range of them, or any. */
static void
compare_codes(const Filter *f, const ColumnVector *v, uint32 nrows,
			  const uint64 *selection, uint64 *out)
{
	uint32		n = v->dictionary->length;
	size_t		nwords = BITMAP_WORDS(n);
	uint64	   *every = palloc(Max(nwords, 1) * sizeof(uint64));
	uint64	   *matches = palloc0(Max(nwords, 1) * sizeof(uint64));
	size_t		count;

	bitmap_fill(every, n);
	compare_plain(f, v->dictionary, n, every, matches);
	count = bitmap_count(matches, n);
	if (count == 0 || count == n)
		fill_out(out, nrows, count > 0);
	else
	{
		uint32		low = 0;
		uint32		high = n - 1;

		while (!bitmap_get(matches, low))
			low++;
		while (!bitmap_get(matches, high))
			high--;
		if (high - low + 1 == count)
			codes_between(v->codes, low, high - low, nrows, selection, out);
		else
			codes_matching(v->codes, (const uint32 *) matches, nrows, selection, out);
	}
	pfree(matches);
	pfree(every);
}

void
filter_compare(const Filter *f, const ColumnVector *v, uint32 nrows,
			   const uint64 *selection, uint64 *out)
{
	CHECK_FOR_INTERRUPTS();
	Assert(v->length >= nrows);
	if (v->codes != NULL)
		compare_codes(f, v, nrows, selection, out);
	else
		compare_plain(f, v, nrows, selection, out);
}

bool
filter_value_passes(const Filter *f, const LakeValue *value)
{
	int			cmp;

	if (f->op == FILTER_PREFIX)
		return string_begins(value->u.bytes.data, value->u.bytes.size, &f->values[0]);
	if (f->op == FILTER_IN || f->op == FILTER_NOT_IN)
	{
		for (int i = 0; i < f->nvalues; i++)
		{
			if (lake_value_compare(f->type, value, &f->values[i]) == 0)
				return f->op == FILTER_IN;
		}
		return f->op == FILTER_NOT_IN;
	}
	cmp = lake_value_compare(f->type, value, &f->values[0]);
	switch (operators[f->op].predicate)
	{
		case PREDICATE_EQ:
			return (cmp == 0) != operators[f->op].negated;
		case PREDICATE_LT:
			return (cmp < 0) != operators[f->op].negated;
		default:
			return (cmp <= 0) != operators[f->op].negated;
	}
}
