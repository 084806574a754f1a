/*-------------------------------------------------------------------------
 *
 * bit_pack.c
 *	  Bit packing and the RLE / bit-packed hybrid: dictionary codes and
 *	  definition levels.
 *
 * Values are packed from the least significant bit on.  The kernel packs 32
 * values at a time with the width a constant, so that shifts are constants
 * too; there is one for each width.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/bits.h"
#include "parquet/write_internal.h"

/* A run shorter than this stays bit-packed. */
#define MIN_RUN 32

int
parquet_bit_width(uint64 max)
{
	return max == 0 ? 0 : pg_leftmost_one_pos64(max) + 1;
}

void
parquet_put_varint(ParquetBuffer *out, uint64 v)
{
	char	   *p = parquet_buffer_room(out, 10);
	int			n = 0;

	while (v >= 0x80)
	{
		p[n++] = (char) (v | 0x80);
		v >>= 7;
	}
	p[n++] = (char) v;
	out->size += n;
}

/* 32 values of `width` bits to 4 * width bytes. */
static pg_attribute_always_inline void
pack32(const uint32 *in, char *out, const int width)
{
	uint64		word = 0;
	int			used = 0;

#pragma GCC unroll 32
	for (int i = 0; i < 32; i++)
	{
		word |= (uint64) in[i] << used;
		used += width;
		if (used >= 32)
		{
			uint32		low = (uint32) word;

			memcpy(out, &low, 4);
			out += 4;
			word >>= 32;
			used -= 32;
		}
	}
}

#define PACK_FUNCTION(w) \
static void \
pack_##w(const uint32 *in, char *out, size_t blocks) \
{ \
	for (size_t b = 0; b < blocks; b++) \
		pack32(in + b * 32, out + b * 4 * (w), (w)); \
}

PACK_FUNCTION(1) PACK_FUNCTION(2) PACK_FUNCTION(3) PACK_FUNCTION(4)
PACK_FUNCTION(5) PACK_FUNCTION(6) PACK_FUNCTION(7) PACK_FUNCTION(8)
PACK_FUNCTION(9) PACK_FUNCTION(10) PACK_FUNCTION(11) PACK_FUNCTION(12)
PACK_FUNCTION(13) PACK_FUNCTION(14) PACK_FUNCTION(15) PACK_FUNCTION(16)
PACK_FUNCTION(17) PACK_FUNCTION(18) PACK_FUNCTION(19) PACK_FUNCTION(20)
PACK_FUNCTION(21) PACK_FUNCTION(22) PACK_FUNCTION(23) PACK_FUNCTION(24)
PACK_FUNCTION(25) PACK_FUNCTION(26) PACK_FUNCTION(27) PACK_FUNCTION(28)
PACK_FUNCTION(29) PACK_FUNCTION(30) PACK_FUNCTION(31) PACK_FUNCTION(32)

static void (*const pack_functions[33]) (const uint32 *, char *, size_t) = {
	NULL,
	pack_1, pack_2, pack_3, pack_4, pack_5, pack_6, pack_7, pack_8,
	pack_9, pack_10, pack_11, pack_12, pack_13, pack_14, pack_15, pack_16,
	pack_17, pack_18, pack_19, pack_20, pack_21, pack_22, pack_23, pack_24,
	pack_25, pack_26, pack_27, pack_28, pack_29, pack_30, pack_31, pack_32
};

/* n values, padded with zeros to a multiple of 8. */
void
parquet_bit_pack(const uint32 *in, size_t n, int width, ParquetBuffer *out)
{
	size_t		blocks = n / 32;
	size_t		rest = n % 32;
	char	   *p = parquet_buffer_room(out, (blocks + 1) * 4 * width);

	if (width == 0)
		return;
	pack_functions[width] (in, p, blocks);
	out->size += blocks * 4 * width;
	if (rest > 0)
	{
		uint32		tail[32] = {0};

		memcpy(tail, in + blocks * 32, rest * sizeof(uint32));
		pack_functions[width] (tail, p + blocks * 4 * width, 1);
		out->size += (rest + 7) / 8 * width;
	}
}

/* The same for values of up to 64 bits (wide deltas: rare, so not unrolled). */
void
parquet_bit_pack64(const uint64 *in, size_t n, int width, ParquetBuffer *out)
{
	size_t		padded = (n + 7) / 8 * 8;
	uint8	   *p = (uint8 *) parquet_buffer_room(out, padded / 8 * width);
	uint64		word = 0;
	int			used = 0;

	for (size_t i = 0; i < padded; i++)
	{
		uint64		v = i < n ? in[i] : 0;
		int			left = width;

		while (left > 0)
		{
			int			take = Min(left, 8 - used);

			word |= (v & ((1u << take) - 1)) << used;
			v >>= take;
			left -= take;
			used += take;
			if (used == 8)
			{
				*p++ = (uint8) word;
				word = 0;
				used = 0;
			}
		}
	}
	out->size += padded / 8 * width;
}

static void
put_literals(const uint32 *codes, uint32 n, int width, ParquetBuffer *out)
{
	if (n == 0)
		return;
	parquet_put_varint(out, (uint64) ((n + 7) / 8) << 1 | 1);
	parquet_bit_pack(codes, n, width, out);
}

static void
put_run(uint32 code, uint32 n, int width, ParquetBuffer *out)
{
	parquet_put_varint(out, (uint64) n << 1);
	for (int i = 0; i < (width + 7) / 8; i++)
	{
		char		byte = (char) (code >> (8 * i));

		parquet_buffer_append(out, &byte, 1);
	}
}

/*
 * The hybrid form.  Literals come in multiples of 8, so a run is looked for
 * at every eighth value after the last one; three comparisons rule out
 * nearly all places.
 */
void
parquet_put_codes(const uint32 *codes, uint32 n, int width, ParquetBuffer *out)
{
	uint32		literal = 0;
	uint32		pos = 0;

	while (n - pos >= MIN_RUN)
	{
		const uint32 *p = codes + pos;
		uint32		run;

		if (p[0] != p[1] || p[0] != p[7] || p[0] != p[MIN_RUN - 1])
		{
			pos += 8;
			continue;
		}
		for (run = 1; pos + run < n && p[run] == p[0]; run++)
			;
		if (run < MIN_RUN)
		{
			pos += 8;
			continue;
		}
		put_literals(codes + literal, pos - literal, width, out);
		put_run(p[0], run, width, out);
		pos += run;
		literal = pos;
	}
	put_literals(codes + literal, n - literal, width, out);
}

/*
 * Definition levels of rows from .. from + rows - 1 of an optional column:
 * the length in four bytes, then runs.  The levels of a column with one
 * optional level are its validity bitmap.
 */
void
parquet_put_levels(const uint64 *valid, uint32 from, uint32 rows, uint32 nulls, ParquetBuffer *out)
{
	size_t		start = out->size;
	uint32		size;

	parquet_buffer_room(out, 4);
	out->size += 4;
	if (nulls == 0 || nulls == rows)
		put_run(nulls == 0 ? 1 : 0, rows, 1, out);
	else
	{
		size_t		bytes = ((size_t) rows + 7) / 8;
		char	   *p;

		parquet_put_varint(out, (uint64) bytes << 1 | 1);
		/* whole words are written; the buffer has room for them past its size */
		p = parquet_buffer_room(out, BITMAP_WORDS(rows) * sizeof(uint64) + sizeof(uint64));
		for (uint32 done = 0; done < rows; done += 64)
		{
			uint64		word;

			parquet_bits_slice(&word, valid, from + done, Min(64, rows - done));
			memcpy(p + done / 8, &word, sizeof(word));
		}
		out->size += bytes;
	}
	size = (uint32) (out->size - start - 4);
	memcpy(out->data + start, &size, 4);
}

/* n levels up to `max` as a v1 page has them: a length, then the codes.  Nothing when they can only be 0. */
void
parquet_put_nested_levels(const uint8 *levels, uint32 n, int max, ParquetBuffer *wide, ParquetBuffer *out)
{
	size_t		start = out->size;
	uint32	   *codes;
	uint32		size;

	if (max == 0)
		return;
	codes = parquet_buffer_scratch(wide, (size_t) n * sizeof(uint32) + 64);
	for (uint32 i = 0; i < n; i++)
		codes[i] = levels[i];
	parquet_buffer_room(out, 4);
	out->size += 4;
	parquet_put_codes(codes, n, parquet_bit_width((uint64) max), out);
	size = (uint32) (out->size - start - 4);
	memcpy(out->data + start, &size, 4);
}
