/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  Bounds of pages and chunks.
 *
 * Order: signed for numbers, unsigned bytes for strings, binary, fixed and
 * uuid.  NaN is no bound and is counted; a zero bound of floats is -0 below
 * and +0 above, because the order of the two zeros is not defined for
 * readers.  Bounds point into the vector (or the dictionary) and are whole;
 * they are cut when they are written, here too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/bits.h"
#include "parquet/write_internal.h"
#include "port/pg_bswap.h"

/* Longest bound of strings and binary in statistics and column index. */
#define BOUND_BYTES 64

#define MIN_MAX_KERNEL(name, type) \
TARN_KERNEL static void \
name(const type *values, size_t n, type *min, type *max) \
{ \
	type		lo = values[0]; \
	type		hi = values[0]; \
	\
	for (size_t i = 1; i < n; i++) \
	{ \
		lo = values[i] < lo ? values[i] : lo; \
		hi = values[i] > hi ? values[i] : hi; \
	} \
	*min = lo; \
	*max = hi; \
}

MIN_MAX_KERNEL(min_max_int8, int8)
MIN_MAX_KERNEL(min_max_int32, int32)
MIN_MAX_KERNEL(min_max_int64, int64)
MIN_MAX_KERNEL(min_max_code, uint32)

/*
 * Floats: a comparison with NaN is false, which leaves it out.  Four
 * accumulators, because the order of float operations is fixed and one
 * would wait for itself.
 */
#define FLOAT_KERNEL(name, type) \
static size_t \
name(const type *values, size_t n, double *min, double *max) \
{ \
	type		lo[4] = {INFINITY, INFINITY, INFINITY, INFINITY}; \
	type		hi[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}; \
	size_t		nans = 0; \
	\
	for (size_t i = 0; i < n; i++) \
	{ \
		type		v = values[i]; \
		\
		lo[i & 3] = v < lo[i & 3] ? v : lo[i & 3]; \
		hi[i & 3] = v > hi[i & 3] ? v : hi[i & 3]; \
		nans += v != v; \
	} \
	for (int k = 1; k < 4; k++) \
	{ \
		lo[0] = Min(lo[0], lo[k]); \
		hi[0] = Max(hi[0], hi[k]); \
	} \
	*min = lo[0]; \
	*max = hi[0]; \
	return nans; \
}

FLOAT_KERNEL(min_max_float, float)
FLOAT_KERNEL(min_max_double, double)

static void
range_floats(ParquetRange *r, const ParquetDense *d, uint32 from, uint32 n)
{
	double		lo;
	double		hi;

	if (d->physical == PARQUET_FLOAT)
		r->nans = min_max_float((const float *) d->values + from, n, &lo, &hi);
	else
		r->nans = min_max_double((const double *) d->values + from, n, &lo, &hi);
	r->has_bounds = r->nans < n;
	r->lower.u.f64 = lo == 0 ? -0.0 : lo;
	r->upper.u.f64 = hi == 0 ? 0.0 : hi;
}

static void
range_wide(ParquetRange *r, const ParquetDense *d, uint32 from, uint32 n)
{
	int128		lo;
	int128		hi;

	memcpy(&lo, d->wide + (size_t) from * 16, 16);
	hi = lo;
	for (uint32 i = 1; i < n; i++)
	{
		int128		v;

		memcpy(&v, d->wide + ((size_t) from + i) * 16, 16);
		lo = Min(lo, v);
		hi = Max(hi, v);
	}
	r->lower.u.i128 = lo;
	r->upper.u.i128 = hi;
}

static void
range_ints(ParquetRange *r, const ParquetDense *d, uint32 from, uint32 n)
{
	if (d->physical == PARQUET_INT32)
	{
		int32		lo;
		int32		hi;

		min_max_int32((const int32 *) d->values + from, n, &lo, &hi);
		r->lower.u.i64 = lo;
		r->upper.u.i64 = hi;
	}
	else if (d->physical == PARQUET_INT64)
		min_max_int64((const int64 *) d->values + from, n, &r->lower.u.i64, &r->upper.u.i64);
	else
	{
		int8		lo;
		int8		hi;

		min_max_int8((const int8 *) d->values + from, n, &lo, &hi);
		r->lower.u.i64 = lo;
		r->upper.u.i64 = hi;
	}
}

/* The first 8 bytes as a number that orders as they do; short strings are filled up with zeros. */
static inline uint64
prefix(const char *s, uint32 size)
{
	uint64		x;

	memcpy(&x, s, 8);			/* 64 readable bytes follow */
#ifndef WORDS_BIGENDIAN
	x = pg_bswap64(x);
#endif
	if (size < 8)
		x &= size == 0 ? 0 : ~UINT64CONST(0) << (64 - 8 * size);
	return x;
}

static inline bool
bytes_less(const char *a, uint32 a_size, const char *b, uint32 b_size)
{
	int			c = memcmp(a, b, Min(a_size, b_size));

	return c < 0 || (c == 0 && a_size < b_size);
}

/* Most values are ruled out by their prefix alone. */
static void
range_bytes(ParquetRange *r, const ParquetDense *d, uint32 from, uint32 n)
{
	bool		fixed = d->physical == PARQUET_FIXED_LEN_BYTE_ARRAY;
	const char *lo = NULL;
	const char *hi = NULL;
	uint32		lo_size = 0;
	uint32		hi_size = 0;
	uint64		lo_prefix = 0;
	uint64		hi_prefix = 0;

	for (uint32 i = from; i < from + n; i++)
	{
		const char *s = fixed ? d->values + (size_t) i * d->width : d->bytes + d->offsets[i];
		uint32		size = fixed ? d->width : d->offsets[i + 1] - d->offsets[i];
		uint64		p = prefix(s, size);

		if (lo == NULL || p < lo_prefix || (p == lo_prefix && bytes_less(s, size, lo, lo_size)))
		{
			lo = s;
			lo_size = size;
			lo_prefix = p;
		}
		if (hi == NULL || p > hi_prefix || (p == hi_prefix && bytes_less(hi, hi_size, s, size)))
		{
			hi = s;
			hi_size = size;
			hi_prefix = p;
		}
	}
	r->lower.u.bytes.data = lo;
	r->lower.u.bytes.size = lo_size;
	r->upper.u.bytes.data = hi;
	r->upper.u.bytes.size = hi_size;
}

void
parquet_range_values(ParquetRange *r, LakeType type, const ParquetDense *d, uint32 from, uint32 to)
{
	uint32		n = to - from;

	memset(r, 0, sizeof(*r));
	if (n == 0)
		return;
	r->has_bounds = true;
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
		case LAYOUT_INT32:
		case LAYOUT_INT64:
			range_ints(r, d, from, n);
			break;
		case LAYOUT_INT128:
			range_wide(r, d, from, n);
			break;
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			range_floats(r, d, from, n);
			break;
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			range_bytes(r, d, from, n);
			break;
	}
}

/* By the codes of a sorted dictionary: two look-ups instead of a comparison a value. */
void
parquet_range_codes(ParquetRange *r, LakeType type, const ParquetDictionary *dict, uint32 from, uint32 to)
{
	uint32		lo;
	uint32		hi;
	ParquetRange last;

	memset(r, 0, sizeof(*r));
	if (to == from)
		return;
	min_max_code(dict->codes + from, to - from, &lo, &hi);
	parquet_range_values(r, type, &dict->entries, lo, lo + 1);
	parquet_range_values(&last, type, &dict->entries, hi, hi + 1);
	r->upper = last.upper;
}

void
parquet_range_merge(ParquetRange *to, LakeType type, const ParquetRange *from)
{
	to->nulls += from->nulls;
	to->nans += from->nans;
	if (!from->has_bounds)
		return;
	if (!to->has_bounds || lake_value_compare(type, &from->lower, &to->lower) < 0)
		to->lower = from->lower;
	if (!to->has_bounds || lake_value_compare(type, &from->upper, &to->upper) > 0)
		to->upper = from->upper;
	to->has_bounds = true;
}

/*
 * Raise a prefix so that it is not below anything that begins with it:
 * returns its new size, 0 when there is no such string.  Text stays valid
 * UTF-8, for readers that check: only a character's last byte is raised, and
 * a character where that would leave its range is dropped.
 */
static uint32
raise_prefix(char *s, uint32 size, bool text)
{
	while (size > 0)
	{
		uint8	   *last = (uint8 *) s + size - 1;
		uint8		limit = !text ? 0xff : *last < 0x80 ? 0x7f : 0xbf;

		if (*last < limit)
		{
			(*last)++;
			return size;
		}
		size--;
		while (text && size > 0 && ((uint8) s[size] & 0xc0) == 0x80)
			size--;
	}
	return 0;
}

static ParquetBytes
bound_bytes(LakeType type, const LakeValue *value, bool upper, bool *exact)
{
	ParquetBytes result;
	uint32		size = value->u.bytes.size;
	bool		text = type.id == LAKE_STRING;
	char	   *copy;

	*exact = true;
	if (size > BOUND_BYTES && type.id != LAKE_UUID && type.id != LAKE_FIXED)
	{
		uint32		cut = BOUND_BYTES;

		/* not through the middle of a character */
		while (text && cut > 0 && ((uint8) value->u.bytes.data[cut] & 0xc0) == 0x80)
			cut--;
		copy = palloc(BOUND_BYTES);
		memcpy(copy, value->u.bytes.data, cut);
		if (upper)
			cut = raise_prefix(copy, cut, text);
		if (cut > 0 || !upper)
		{
			*exact = false;
			result.data = copy;
			result.size = cut;
			return result;
		}
	}
	copy = palloc(size + 1);
	memcpy(copy, value->u.bytes.data, size);
	result.data = copy;
	result.size = size;
	return result;
}

/* A decimal as big-endian bytes of its width. */
static ParquetBytes
bound_wide(LakeType type, const LakeValue *value)
{
	ParquetBytes result;
	uint32		size = lake_decimal_bytes(type.precision);
	char	   *copy = palloc(16);
	uint128		v = (uint128) value->u.i128;

	for (int i = (int) size - 1; i >= 0; i--)
	{
		copy[i] = (char) v;
		v >>= 8;
	}
	result.data = copy;
	result.size = size;
	return result;
}

ParquetBytes
parquet_bound_bytes(LakeType type, const LakeValue *value, bool upper, bool *exact)
{
	ParquetBytes result;
	char	   *copy;
	int32		i32 = (int32) value->u.i64;
	float		f32 = (float) value->u.f64;

	*exact = true;
	switch (lake_type_layout(type))
	{
		case LAYOUT_INT128:
			return bound_wide(type, value);
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			return bound_bytes(type, value, upper, exact);
		default:
			break;
	}
	result.size = lake_type_width(type);
	result.data = copy = palloc(8);
	if (type.id == LAKE_DECIMAL && type.precision <= 9)
	{
		result.size = 4;
		memcpy(copy, &i32, 4);
		return result;
	}
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
			copy[0] = (char) value->u.i64;
			break;
		case LAYOUT_INT32:
			memcpy(copy, &i32, 4);
			break;
		case LAYOUT_FLOAT:
			memcpy(copy, &f32, 4);
			break;
		default:				/* INT64 and DOUBLE: the union's bytes */
			memcpy(copy, &value->u.i64, 8);
			break;
	}
	return result;
}
