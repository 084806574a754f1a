/*-------------------------------------------------------------------------
 *
 * value_encode.c
 *	  PLAIN and BYTE_STREAM_SPLIT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/bits.h"
#include "parquet/write_internal.h"

/* Eight bytes of 0 or 1 to one byte, the first to the lowest bit. */
static inline uint8
gather_bits(const char *bytes)
{
	uint64		x;

	memcpy(&x, bytes, 8);
#ifdef WORDS_BIGENDIAN
	x = __builtin_bswap64(x);
#endif
	return (uint8) ((x * UINT64CONST(0x0102040810204080)) >> 56);
}

static void
plain_bool(const char *values, uint32 n, ParquetBuffer *out)
{
	char	   *p = parquet_buffer_room(out, (n + 7) / 8);
	uint32		whole = n / 8;

	for (uint32 i = 0; i < whole; i++)
		p[i] = (char) gather_bits(values + (size_t) i * 8);
	if (n % 8 != 0)
	{
		char		tail[8] = {0};

		memcpy(tail, values + (size_t) whole * 8, n % 8);
		p[whole] = (char) gather_bits(tail);
	}
	out->size += (n + 7) / 8;
}

/*
 * Length and bytes of each string.  Short ones, the most, are copied in one
 * block of 32: both sides have room past their end.
 */
static void
plain_bytes(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out)
{
	uint64		total = parquet_dense_plain_bytes(d, from, to);
	char	   *p = parquet_buffer_room(out, total);

	for (uint32 i = from; i < to; i++)
	{
		const char *s = d->bytes + d->offsets[i];
		uint32		size = d->offsets[i + 1] - d->offsets[i];

		memcpy(p, &size, 4);
		if (likely(size <= 32))
			memcpy(p + 4, s, 32);
		else
			memcpy(p + 4, s, size);
		p += 4 + (size_t) size;
	}
	out->size += total;
}

void
parquet_encode_plain(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out)
{
	if (d->physical == PARQUET_BYTE_ARRAY)
		plain_bytes(d, from, to, out);
	else if (d->physical == PARQUET_BOOLEAN)
		plain_bool(d->values + from, to - from, out);
	else
		parquet_buffer_append(out, d->values + (size_t) from * d->width,
							  (size_t) (to - from) * d->width);
}

/* Byte k of every value to stream k; with a constant width the compiler shuffles registers. */
static pg_attribute_always_inline void
split_width(const char *in, size_t n, size_t width, char *out)
{
	for (size_t k = 0; k < width; k++)
		for (size_t i = 0; i < n; i++)
			out[k * n + i] = in[i * width + k];
}

TARN_KERNEL static void
split_values(const char *in, size_t n, size_t width, char *out)
{
	if (width == 4)
		split_width(in, n, 4, out);
	else if (width == 8)
		split_width(in, n, 8, out);
	else
		split_width(in, n, width, out);
}

void
parquet_encode_split(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out)
{
	size_t		n = to - from;
	char	   *p = parquet_buffer_room(out, n * d->width);

	split_values(d->values + (size_t) from * d->width, n, d->width, p);
	out->size += n * d->width;
}
