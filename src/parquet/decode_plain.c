/*-------------------------------------------------------------------------
 *
 * decode_plain.c
 *	  PLAIN and BYTE_STREAM_SPLIT.
 *
 * PLAIN of fixed-width types is the values themselves; of byte strings, a
 * 4-byte length before each.  BYTE_STREAM_SPLIT has the first bytes of all
 * values, then the second bytes, and so on; 4 and 8 bytes are interleaved in
 * registers, other widths byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "parquet/decode.h"

/* Bytes copied at a time, past the end of short strings too. */
#define COPY_BLOCK 32

static void
need_values(const ParquetBlock *in, uint32 width, uint32 n)
{
	if ((uint64) n * width > in->size)
		parquet_fail(in->place, "%u values of %u bytes exceed %zu remaining", n, width, in->size);
}

void
parquet_decode_plain(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	need_values(in, width, n);
	memcpy(out, in->data, (size_t) n * width);
}

void
parquet_decode_plain_bool(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	uint8	   *bools = out;

	if (((size_t) n + 7) / 8 > in->size)
		parquet_fail(in->place, "%u booleans exceed %zu bytes", n, in->size);
	for (uint32 i = 0; i < n; i++)
		bools[i] = (in->data[i / 8] >> (i % 8)) & 1;
}

/*
 * Lengths and bytes are mixed, so the total is known only after a pass; the
 * block's size less the lengths bounds it.
 */
void
parquet_decode_plain_bytes(const ParquetBlock *in, uint32 n, ColumnVector *v)
{
	const uint8 *pos = in->data;
	const uint8 *end = in->data + in->size;
	uint32		at = v->offsets[v->length];
	uint32	   *offsets = v->offsets + v->length;
	char	   *bytes;

	need_values(in, 4, n);
	column_vector_reserve_bytes(v, in->size - (size_t) n * 4);
	bytes = v->bytes;
	for (uint32 i = 1; i <= n; i++)
	{
		size_t		left = (size_t) (end - pos);
		uint32		size;

		if (unlikely(left < 4))
			parquet_fail(in->place, "byte string %u of %u begins past the end", i, n);
		memcpy(&size, pos, 4);
		if (unlikely(size > left - 4))
			parquet_fail(in->place, "byte string of %u bytes exceeds %zu remaining", size, left - 4);
		pos += 4;
		if (size <= COPY_BLOCK)
			memcpy(bytes + at, pos, COPY_BLOCK);
		else
			memcpy(bytes + at, pos, size);
		pos += size;
		at += size;
		offsets[i] = at;
	}
}

/* Any width, and what the blocks of the kernels below leave over. */
static void
split_rest(const uint8 *in, uint32 width, uint32 n, uint32 from, uint8 *out)
{
	for (uint32 b = 0; b < width; b++)
	{
		const uint8 *stream = in + (size_t) b * n;

		for (uint32 i = from; i < n; i++)
			out[(size_t) i * width + b] = stream[i];
	}
}

#ifdef __SSE2__

/* 16 values of 4 bytes: two rounds of interleaving. */
static uint32
split_4(const uint8 *in, uint32 n, uint8 *out)
{
	uint32		i;

	for (i = 0; i + 16 <= n; i += 16)
	{
		const uint8 *p = in + i;
		__m128i		b0 = _mm_loadu_si128((const __m128i *) p);
		__m128i		b1 = _mm_loadu_si128((const __m128i *) (p + (size_t) n));
		__m128i		b2 = _mm_loadu_si128((const __m128i *) (p + (size_t) n * 2));
		__m128i		b3 = _mm_loadu_si128((const __m128i *) (p + (size_t) n * 3));
		__m128i		lo02 = _mm_unpacklo_epi8(b0, b2);
		__m128i		lo13 = _mm_unpacklo_epi8(b1, b3);
		__m128i		hi02 = _mm_unpackhi_epi8(b0, b2);
		__m128i		hi13 = _mm_unpackhi_epi8(b1, b3);
		__m128i    *to = (__m128i *) (out + (size_t) i * 4);

		_mm_storeu_si128(to, _mm_unpacklo_epi8(lo02, lo13));
		_mm_storeu_si128(to + 1, _mm_unpackhi_epi8(lo02, lo13));
		_mm_storeu_si128(to + 2, _mm_unpacklo_epi8(hi02, hi13));
		_mm_storeu_si128(to + 3, _mm_unpackhi_epi8(hi02, hi13));
	}
	return i;
}

/* 16 values of 8 bytes: three rounds, each pairing stream k with k + half. */
static uint32
split_8(const uint8 *in, uint32 n, uint8 *out)
{
	uint32		i;

	for (i = 0; i + 16 <= n; i += 16)
	{
		__m128i		a[8];
		__m128i		b[8];
		__m128i    *to = (__m128i *) (out + (size_t) i * 8);

		for (int k = 0; k < 8; k++)
			a[k] = _mm_loadu_si128((const __m128i *) (in + (size_t) n * k + i));
		for (int k = 0; k < 4; k++)
		{
			b[k * 2] = _mm_unpacklo_epi8(a[k], a[k + 4]);
			b[k * 2 + 1] = _mm_unpackhi_epi8(a[k], a[k + 4]);
		}
		for (int k = 0; k < 4; k++)
		{
			a[k * 2] = _mm_unpacklo_epi8(b[k], b[k + 4]);
			a[k * 2 + 1] = _mm_unpackhi_epi8(b[k], b[k + 4]);
		}
		for (int k = 0; k < 4; k++)
		{
			_mm_storeu_si128(to + k * 2, _mm_unpacklo_epi8(a[k], a[k + 4]));
			_mm_storeu_si128(to + k * 2 + 1, _mm_unpackhi_epi8(a[k], a[k + 4]));
		}
	}
	return i;
}
#endif							/* __SSE2__ */

void
parquet_decode_split(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	uint32		done = 0;

	if ((uint64) n * width != in->size)
		parquet_fail(in->place, "%u byte streams of %u values in %zu bytes", width, n, in->size);
#ifdef __SSE2__
	if (width == 4)
		done = split_4(in->data, n, out);
	else if (width == 8)
		done = split_8(in->data, n, out);
#endif
	split_rest(in->data, width, n, done, out);
}
