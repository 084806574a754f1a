/*-------------------------------------------------------------------------
 *
 * hash.c
 *	  XXH3 by its header, inlined: no library to link, and short keys are
 *	  hashed without a call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"

uint64
hash_bytes64(const void *data, size_t size, uint64 seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}
