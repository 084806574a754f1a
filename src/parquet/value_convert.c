/*-------------------------------------------------------------------------
 *
 * value_convert.c
 *	  Values whose form in a Parquet file is not that of a ColumnVector.
 *
 * A table of loops, one for each conversion.  Each stops at the first value
 * that has no exact form and tells where, so that page decoding may raise
 * an error with its place and statistics may just be ignored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "parquet/reader_internal.h"

/* Julian day number of 1970-01-01, the epoch of INT96's days. */
#define JULIAN_UNIX_EPOCH 2440588
#define MICROS_PER_DAY INT64CONST(86400000000)
#define NANOS_PER_DAY (MICROS_PER_DAY * 1000)

static uint32
convert_int32(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const int32 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
		to[i] = from[i];
	return n;
}

static uint32
convert_uint32(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const uint32 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
		to[i] = from[i];
	return n;
}

static uint32
convert_millis32(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const int32 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
		to[i] = (int64) from[i] * 1000;
	return n;
}

static uint32
convert_millis64(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const int64 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
	{
		if (unlikely(pg_mul_s64_overflow(from[i], 1000, &to[i])))
			return i;
	}
	return n;
}

static uint32
convert_nanos64(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const int64 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
	{
		to[i] = from[i] / 1000;
		if (unlikely(to[i] * 1000 != from[i]))
			return i;
	}
	return n;
}

static uint32
convert_int96(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const uint8 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++, from += 12)
	{
		int64		nanos;
		int32		day;
		int64		micros;

		memcpy(&nanos, from, 8);
		memcpy(&day, from + 8, 4);
		if (nanos < 0 || nanos >= NANOS_PER_DAY || nanos % 1000 != 0 ||
			pg_mul_s64_overflow((int64) day - JULIAN_UNIX_EPOCH, MICROS_PER_DAY, &micros) ||
			pg_add_s64_overflow(micros, nanos / 1000, &to[i]))
			return i;
	}
	return n;
}

/*
 * Big-endian two's complement of any size to `bytes` bytes in native order.
 * The bytes that do not fit must only repeat the sign.
 */
static bool
big_endian(const uint8 *from, uint32 size, uint32 bytes, uint128 *value)
{
	uint8		sign;
	uint128		v;

	if (size == 0)
		return false;
	sign = (from[0] & 0x80) ? 0xff : 0;
	while (size > bytes)
	{
		if (*from != sign)
			return false;
		from++;
		size--;
	}
	if ((from[0] & 0x80) != (sign & 0x80))
		return false;
	v = sign ? ~(uint128) 0 : 0;
	for (uint32 i = 0; i < size; i++)
		v = v << 8 | from[i];
	*value = v;
	return true;
}

static uint32
convert_big_endian_64(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const uint8 *from = in;
	int64	   *to = out;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		at = offsets ? offsets[i] : 0;
		uint32		size = offsets ? offsets[i + 1] - at : leaf->width;
		uint128		v;

		if (!big_endian(offsets ? from + at : from + (size_t) i * size, size, 8, &v))
			return i;
		to[i] = (int64) v;
	}
	return n;
}

static uint32
convert_big_endian_128(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	const uint8 *from = in;
	char	   *to = out;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		at = offsets ? offsets[i] : 0;
		uint32		size = offsets ? offsets[i + 1] - at : leaf->width;
		uint128		v;

		if (!big_endian(offsets ? from + at : from + (size_t) i * size, size, 16, &v))
			return i;
		memcpy(to + (size_t) i * 16, &v, 16);
	}
	return n;
}

typedef uint32 (*convert_fn) (const ReaderLeaf *leaf, const void *in, const uint32 *offsets,
							  uint32 n, void *out);

static const convert_fn conversions[] = {
	[CONVERT_INT32_INT64] = convert_int32,
	[CONVERT_UINT32_INT64] = convert_uint32,
	[CONVERT_MILLIS32] = convert_millis32,
	[CONVERT_MILLIS64] = convert_millis64,
	[CONVERT_NANOS64] = convert_nanos64,
	[CONVERT_INT96] = convert_int96,
	[CONVERT_BIG_ENDIAN_64] = convert_big_endian_64,
	[CONVERT_BIG_ENDIAN_128] = convert_big_endian_128,
};

uint32
reader_convert(const ReaderLeaf *leaf, const void *in, const uint32 *offsets, uint32 n, void *out)
{
	return conversions[leaf->conversion] (leaf, in, offsets, n, out);
}
