/*-------------------------------------------------------------------------
 *
 * gzip.c
 *	  Gzip (RFC 1952), by zlib.
 *
 * Reading takes zlib's own framing too, and several members one after the
 * other, both of which writers are known to produce.  The streams are kept
 * per process: inflateReset is a hundredth of inflateInit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <zlib.h>

#include "codec/internal.h"

#define GZIP_WINDOW (15 + 16)	/* windowBits: gzip framing */
#define AUTO_WINDOW (15 + 32)	/* gzip or zlib, by the header */
#define MEMORY_LEVEL 8
#define GZIP_FRAME 18			/* header and trailer */

static z_stream deflater;
static int	deflater_level = -2;	/* -2: not made */
static z_stream inflater;
static bool inflater_made = false;

static size_t
gzip_bound(size_t in_size)
{
	return compressBound(in_size) + GZIP_FRAME;
}

static void
prepare_deflater(int level)
{
	int			rc;

	if (deflater_level == level)
	{
		deflateReset(&deflater);
		return;
	}
	if (deflater_level != -2)
		deflateEnd(&deflater);
	deflater_level = -2;
	memset(&deflater, 0, sizeof(deflater));
	rc = deflateInit2(&deflater, level, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
	if (rc != Z_OK)
		ereport(ERROR,
				(errcode(rc == Z_MEM_ERROR ? ERRCODE_OUT_OF_MEMORY : ERRCODE_INTERNAL_ERROR),
				 errmsg("could not set up gzip level %d: zlib error %d", level, rc)));
	deflater_level = level;
}

static size_t
gzip_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	int			rc;

	if (in_size > UINT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot compress a block of %zu bytes with gzip", in_size)));
	prepare_deflater(level);
	deflater.next_in = unconstify(Bytef *, (const Bytef *) in);
	deflater.avail_in = (uInt) in_size;
	deflater.next_out = out;
	deflater.avail_out = (uInt) Min(out_capacity, UINT_MAX);
	rc = deflate(&deflater, Z_FINISH);
	if (rc != Z_STREAM_END)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compress %zu bytes with gzip: zlib error %d", in_size, rc)));
	return deflater.total_out;
}

static bool
gzip_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	uint8		none;
	int			rc;

	if (in_size > UINT_MAX || out_size > UINT_MAX)
		return false;
	if (!inflater_made)
	{
		memset(&inflater, 0, sizeof(inflater));
		if (inflateInit2(&inflater, AUTO_WINDOW) != Z_OK)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("Failed to make a zlib stream.")));
		inflater_made = true;
	}
	inflater.next_in = unconstify(Bytef *, (const Bytef *) in);
	inflater.avail_in = (uInt) in_size;
	/* zlib refuses a NULL output even when nothing is to be written */
	inflater.next_out = out_size > 0 ? out : &none;
	inflater.avail_out = (uInt) out_size;
	do
	{
		inflateReset(&inflater);
		rc = inflate(&inflater, Z_FINISH);
	} while (rc == Z_STREAM_END && inflater.avail_in > 0);
	return rc == Z_STREAM_END && inflater.avail_out == 0;
}

const Codec codec_gzip = {
	.id = CODEC_GZIP,
	.name = "gzip",
	.default_level = 6,
	.min_level = 1,
	.max_level = 9,
	.bound = gzip_bound,
	.compress = gzip_compress,
	.decompress = gzip_decompress
};
