/*-------------------------------------------------------------------------
 *
 * pg_bitutils.h
 *	  Bit counting, by the compiler's builtins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_PG_BITUTILS_H
#define TARN_SHIM_PG_BITUTILS_H

#include "postgres.h"

static inline int
pg_leftmost_one_pos32(uint32 word)
{
	Assert(word != 0);
	return 31 - __builtin_clz(word);
}

static inline int
pg_leftmost_one_pos64(uint64 word)
{
	Assert(word != 0);
	return 63 - __builtin_clzll(word);
}

static inline int
pg_rightmost_one_pos32(uint32 word)
{
	Assert(word != 0);
	return __builtin_ctz(word);
}

static inline int
pg_rightmost_one_pos64(uint64 word)
{
	Assert(word != 0);
	return __builtin_ctzll(word);
}

static inline uint32
pg_nextpower2_32(uint32 num)
{
	Assert(num > 0 && num <= PG_UINT32_MAX / 2 + 1);
	if ((num & (num - 1)) == 0)
		return num;
	return ((uint32) 1) << (pg_leftmost_one_pos32(num) + 1);
}

static inline uint64
pg_nextpower2_64(uint64 num)
{
	Assert(num > 0 && num <= PG_UINT64_MAX / 2 + 1);
	if ((num & (num - 1)) == 0)
		return num;
	return ((uint64) 1) << (pg_leftmost_one_pos64(num) + 1);
}

static inline uint32
pg_ceil_log2_32(uint32 num)
{
	return num < 2 ? 0 : pg_leftmost_one_pos32(num - 1) + 1;
}

static inline uint64
pg_ceil_log2_64(uint64 num)
{
	return num < 2 ? 0 : pg_leftmost_one_pos64(num - 1) + 1;
}

static inline int
pg_popcount32(uint32 word)
{
	return __builtin_popcount(word);
}

static inline int
pg_popcount64(uint64 word)
{
	return __builtin_popcountll(word);
}

static inline uint32
pg_rotate_right32(uint32 word, int n)
{
	return (word >> n) | (word << (32 - n));
}

static inline uint32
pg_rotate_left32(uint32 word, int n)
{
	return (word << n) | (word >> (32 - n));
}

#endif							/* TARN_SHIM_PG_BITUTILS_H */
