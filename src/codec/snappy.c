/*-------------------------------------------------------------------------
 *
 * snappy.c
 *	  Snappy blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <snappy-c.h>

#include "codec/internal.h"

static size_t
snappy_block_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	size_t		size = out_capacity;

	/* the library's length is 32 bits wide */
	if (in_size > PG_UINT32_MAX || snappy_compress(in, in_size, out, &size) != SNAPPY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot compress a block of %zu bytes with snappy", in_size)));
	return size;
}

static bool
snappy_block_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	size_t		size;

	/* the library trusts the length in the block, so that must be ours */
	if (snappy_uncompressed_length(in, in_size, &size) != SNAPPY_OK || size != out_size)
		return false;
	return snappy_uncompress(in, in_size, out, &size) == SNAPPY_OK && size == out_size;
}

const Codec codec_snappy = {
	.id = CODEC_SNAPPY,
	.name = "snappy",
	.bound = snappy_max_compressed_length,
	.compress = snappy_block_compress,
	.decompress = snappy_block_decompress
};
