/*-------------------------------------------------------------------------
 *
 * hash.h
 *	  The hash functions of tarn: XXH3 for bytes, and a bijective mix for keys
 *	  of up to 64 bits.
 *
 * Everything hashed here stays on one machine (key index, batch, checksum of
 * a cache file), so the result may depend on byte order and library version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_HASH_H
#define TARN_BASE_HASH_H

#include "postgres.h"

extern uint64 hash_bytes64(const void *data, size_t size, uint64 seed);

/* Murmur3's finaliser: a permutation of the 64-bit integers, so that two keys never collide. */
static inline uint64
hash_mix64(uint64 x)
{
	x ^= x >> 33;
	x *= UINT64CONST(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64CONST(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

/* Order-dependent combination of two hashes, for keys of several columns. */
static inline uint64
hash_combine64(uint64 a, uint64 b)
{
	return hash_mix64(a ^ (b + UINT64CONST(0x9e3779b97f4a7c15) + (a << 12) + (a >> 4)));
}

#endif							/* TARN_BASE_HASH_H */
