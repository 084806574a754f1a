/*-------------------------------------------------------------------------
 *
 * brotli.c
 *	  Brotli (RFC 7932).
 *
 * The library's one-shot calls make their state each time; reuse is not
 * offered by it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <brotli/decode.h>
#include <brotli/encode.h>

#include "codec/internal.h"

static size_t
brotli_bound(size_t in_size)
{
	/* the library answers 0 when the size does not fit */
	size_t		bound = BrotliEncoderMaxCompressedSize(in_size);

	if (bound == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot compress a block of %zu bytes with brotli", in_size)));
	return bound;
}

static size_t
brotli_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	size_t		size = out_capacity;

	if (!BrotliEncoderCompress(level, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC,
							   in_size, in, &size, out))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compress %zu bytes with brotli", in_size)));
	return size;
}

static bool
brotli_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	size_t		size = out_size;

	return BrotliDecoderDecompress(in_size, in, &size, out) == BROTLI_DECODER_RESULT_SUCCESS &&
		size == out_size;
}

const Codec codec_brotli = {
	.id = CODEC_BROTLI,
	.name = "brotli",
	.default_level = 4,
	.min_level = 0,
	.max_level = 11,
	.bound = brotli_bound,
	.compress = brotli_compress,
	.decompress = brotli_decompress
};
