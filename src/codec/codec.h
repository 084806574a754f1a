/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Block compression behind one table.
 *
 * A codec compresses one block into one block; lengths are known to the
 * caller (Parquet writes both into the page header).  Numbers are Parquet's
 * CompressionCodec values.
 *
 * Errors: codec_decompress raises ERRCODE_DATA_CORRUPTED when the input is
 * damaged or does not yield exactly `out_size` bytes; it never writes past
 * out + out_size and never reads past in + in_size.
 *
 * State (contexts of zstd and the like) is kept per process and reused; it
 * is not tied to a transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_CODEC_CODEC_H
#define TARN_CODEC_CODEC_H

#include "postgres.h"

typedef enum CodecId
{
	CODEC_NONE = 0,
	CODEC_SNAPPY = 1,
	CODEC_GZIP = 2,
	CODEC_LZO = 3,				/* named for messages only */
	CODEC_BROTLI = 4,
	CODEC_LZ4_HADOOP = 5,		/* deprecated framing, read only */
	CODEC_ZSTD = 6,
	CODEC_LZ4_RAW = 7
} CodecId;

typedef struct Codec
{
	CodecId		id;
	const char *name;			/* "zstd": option value and message */
	int			default_level;
	int			min_level;
	int			max_level;
	size_t		(*bound) (size_t in_size);
	/* returns bytes written; never more than bound(in_size) */
	size_t		(*compress) (int level, const void *in, size_t in_size, void *out, size_t out_capacity);
	/* false: damaged, or not exactly out_size bytes */
	bool		(*decompress) (const void *in, size_t in_size, void *out, size_t out_size);
} Codec;

extern const Codec *codec_by_id(int id);	/* NULL when tarn has none */
extern const Codec *codec_by_name(const char *name);	/* NULL when unknown */
extern const char *const *codec_names(void);	/* NULL-terminated, writable ones */

/* decompress or raise ERRCODE_DATA_CORRUPTED: could not decompress <what> of "<object>" */
extern void codec_decompress(const Codec *codec, const void *in, size_t in_size,
							 void *out, size_t out_size, const char *what, const char *object);

#endif							/* TARN_CODEC_CODEC_H */
