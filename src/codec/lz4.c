/*-------------------------------------------------------------------------
 *
 * lz4.c
 *	  LZ4 blocks, bare (Parquet's LZ4_RAW) and in Hadoop's framing.
 *
 * Parquet's deprecated codec LZ4 means Hadoop's framing in files of most
 * writers: a sequence of big-endian uncompressed and compressed lengths, each
 * pair followed by one block.  Some writers put a bare block under that name
 * (parquet-format, "Compression.md", LZ4), so that is tried when the framing
 * does not hold.  It is read only: nobody should write more of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <lz4.h>

#include "codec/internal.h"
#include "port/pg_bswap.h"

#define HADOOP_HEADER 8

/* The compressor's state: 16 kB, which LZ4_compress_default would clear on the stack. */
static LZ4_stream_t state;

static size_t
lz4_bound(size_t in_size)
{
	if (in_size > LZ4_MAX_INPUT_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot compress a block of %zu bytes with lz4", in_size),
				 errdetail("The limit is %d bytes.", LZ4_MAX_INPUT_SIZE)));
	return (size_t) LZ4_compressBound((int) in_size);
}

static size_t
lz4_compress(int level, const void *in, size_t in_size, void *out, size_t out_capacity)
{
	int			size;

	(void) lz4_bound(in_size);
	size = LZ4_compress_fast_extState(&state, in, out, (int) in_size,
									  (int) Min(out_capacity, INT_MAX), 1);
	if (size <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compress %zu bytes with lz4", in_size)));
	return (size_t) size;
}

static bool
lz4_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	if (in_size > INT_MAX || out_size > INT_MAX)
		return false;
	return LZ4_decompress_safe(in, out, (int) in_size, (int) out_size) == (int) out_size;
}

static uint32
read_be32(const uint8 *p)
{
	uint32		v;

	memcpy(&v, p, sizeof(v));
	return pg_ntoh32(v);
}

static bool
hadoop_frames(const uint8 *in, size_t in_size, uint8 *out, size_t out_size)
{
	while (in_size >= HADOOP_HEADER)
	{
		uint32		plain = read_be32(in);
		uint32		packed = read_be32(in + 4);

		in += HADOOP_HEADER;
		in_size -= HADOOP_HEADER;
		if (plain > out_size || packed > in_size ||
			!lz4_decompress(in, packed, out, plain))
			return false;
		in += packed;
		in_size -= packed;
		out += plain;
		out_size -= plain;
	}
	return in_size == 0 && out_size == 0;
}

static bool
hadoop_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
	return hadoop_frames(in, in_size, out, out_size) ||
		lz4_decompress(in, in_size, out, out_size);
}

const Codec codec_lz4_raw = {
	.id = CODEC_LZ4_RAW,
	.name = "lz4",
	.bound = lz4_bound,
	.compress = lz4_compress,
	.decompress = lz4_decompress
};

const Codec codec_lz4_hadoop = {
	.id = CODEC_LZ4_HADOOP,
	.name = "lz4_hadoop",
	.decompress = hadoop_decompress
};
