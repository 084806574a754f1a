/*-------------------------------------------------------------------------
 *
 * bits.h
 *	  Bitmaps of 64-bit words: validity, selection, liveness.
 *
 * Bit i lives in word i / 64 at position i % 64.  Bits past the length are
 * zero in every bitmap that leaves a module; bitmap_clear_tail() keeps that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_BITS_H
#define TARN_BASE_BITS_H

#include "postgres.h"

#include "port/pg_bitutils.h"

/*
 * A kernel compiled twice, for plain x86-64 and for AVX2, and chosen at load
 * time.  Elsewhere, and under sanitizers (whose runtime is not up yet when
 * the choice is made), one version.
 */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(TARN_NO_CLONES)
#define TARN_KERNEL __attribute__((target_clones("avx2", "default")))
#else
#define TARN_KERNEL
#endif

#define BITMAP_WORDS(nbits) (((size_t) (nbits) + 63) / 64)

static inline bool
bitmap_get(const uint64 *map, size_t i)
{
	return (map[i >> 6] >> (i & 63)) & 1;
}

static inline void
bitmap_set(uint64 *map, size_t i)
{
	map[i >> 6] |= UINT64CONST(1) << (i & 63);
}

static inline void
bitmap_unset(uint64 *map, size_t i)
{
	map[i >> 6] &= ~(UINT64CONST(1) << (i & 63));
}

static inline void
bitmap_clear_tail(uint64 *map, size_t nbits)
{
	if (nbits & 63)
		map[nbits >> 6] &= (UINT64CONST(1) << (nbits & 63)) - 1;
}

/* Sets bits 0..nbits-1 and clears the tail of the last word. */
static inline void
bitmap_fill(uint64 *map, size_t nbits)
{
	memset(map, 0xff, BITMAP_WORDS(nbits) * sizeof(uint64));
	bitmap_clear_tail(map, nbits);
}

static inline size_t
bitmap_count(const uint64 *map, size_t nbits)
{
	size_t		n = 0;

	for (size_t w = 0; w < BITMAP_WORDS(nbits); w++)
		n += pg_popcount64(map[w]);
	return n;
}

/* Bits set in first..last-1; `first` is a multiple of 64, and bits from `last` on may be set. */
static inline size_t
bitmap_count_range(const uint64 *map, size_t first, size_t last)
{
	size_t		n = 0;

	for (; first + 64 <= last; first += 64)
		n += pg_popcount64(map[first >> 6]);
	if (first < last)
		n += pg_popcount64(map[first >> 6] & ((UINT64CONST(1) << (last - first)) - 1));
	return n;
}

#endif							/* TARN_BASE_BITS_H */
