/*-------------------------------------------------------------------------
 *
 * zstd.c
 *	  Zstandard (RFC 8878).
 *
 * Making a context costs more than a small page, so that one of each kind is
 * made at first use and kept for the life of the process.  A context is left
 * usable by a failed call, so nothing needs resetting after errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zstd.h>

#include "codec/internal.h"

static ZSTD_CCtx *compressor = NULL;
static ZSTD_DCtx *decompressor = NULL;

static void
fail_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Failed to make a zstd context.")));
}

static size_t
zstd_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	size_t		size;

	if (compressor == NULL)
	{
		compressor = ZSTD_createCCtx();
		if (compressor == NULL)
			fail_memory();
	}
	size = ZSTD_compressCCtx(compressor, out, out_capacity, in, in_size, level);
	if (ZSTD_isError(size))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compress %zu bytes with zstd: %s",
						in_size, ZSTD_getErrorName(size))));
	return size;
}

static bool
zstd_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	if (decompressor == NULL)
	{
		decompressor = ZSTD_createDCtx();
		if (decompressor == NULL)
			fail_memory();
	}
	/* an error code is larger than any size */
	return ZSTD_decompressDCtx(decompressor, out, out_size, in, in_size) == out_size;
}

const Codec codec_zstd = {
	.id = CODEC_ZSTD,
	.name = "zstd",
	.default_level = 3,
	.min_level = 1,
	.max_level = 22,
	.bound = ZSTD_compressBound,
	.compress = zstd_compress,
	.decompress = zstd_decompress
};
