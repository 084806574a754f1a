/*-------------------------------------------------------------------------
 *
 * delta_encode.c
 *	  DELTA_BINARY_PACKED and DELTA_LENGTH_BYTE_ARRAY.
 *
 * Blocks of 128 values in 4 miniblocks.  Differences wrap around in the
 * width of the type, as readers expect, so that a 32-bit column never needs
 * more than 32 bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/write_internal.h"

#define BLOCK_VALUES 128
#define MINIBLOCKS 4
#define MINIBLOCK_VALUES (BLOCK_VALUES / MINIBLOCKS)

static void
put_zigzag(ParquetBuffer *out, int64 v)
{
	parquet_put_varint(out, ((uint64) v << 1) ^ (uint64) (v >> 63));
}

static void
put_header(ParquetBuffer *out, uint64 count, int64 first)
{
	parquet_put_varint(out, BLOCK_VALUES);
	parquet_put_varint(out, MINIBLOCKS);
	parquet_put_varint(out, count);
	put_zigzag(out, first);
}

/*
 * One block: `n` deltas (at most 128), their minimum taken away.  A
 * miniblock without values has width 0 and no bytes; a partial one is padded.
 */
static void
put_block(uint64 *deltas, int n, int64 min, uint64 mask, ParquetBuffer *out)
{
	uint8		widths[MINIBLOCKS] = {0};

	for (int i = 0; i < n; i++)
		deltas[i] = (deltas[i] - (uint64) min) & mask;
	for (int i = n; i < BLOCK_VALUES; i++)
		deltas[i] = 0;
	for (int m = 0; m < MINIBLOCKS; m++)
	{
		uint64		all = 0;

		for (int i = 0; i < MINIBLOCK_VALUES; i++)
			all |= deltas[m * MINIBLOCK_VALUES + i];
		widths[m] = (uint8) parquet_bit_width(all);
	}
	put_zigzag(out, min);
	parquet_buffer_append(out, widths, MINIBLOCKS);
	for (int m = 0; m < MINIBLOCKS && m * MINIBLOCK_VALUES < n; m++)
	{
		const uint64 *in = deltas + m * MINIBLOCK_VALUES;

		if (widths[m] <= 32)
		{
			uint32		narrow[MINIBLOCK_VALUES];

			for (int i = 0; i < MINIBLOCK_VALUES; i++)
				narrow[i] = (uint32) in[i];
			parquet_bit_pack(narrow, MINIBLOCK_VALUES, widths[m], out);
		}
		else
			parquet_bit_pack64(in, MINIBLOCK_VALUES, widths[m], out);
	}
}

static void
delta_int32(const int32 *in, uint32 n, ParquetBuffer *out)
{
	put_header(out, n, n > 0 ? in[0] : 0);
	for (uint32 at = 1; at < n; at += BLOCK_VALUES)
	{
		uint64		deltas[BLOCK_VALUES];
		int			count = (int) Min(BLOCK_VALUES, n - at);
		int32		min = PG_INT32_MAX;

		for (int i = 0; i < count; i++)
		{
			int32		delta = (int32) ((uint32) in[at + i] - (uint32) in[at + i - 1]);

			deltas[i] = (uint64) (int64) delta;
			min = Min(min, delta);
		}
		put_block(deltas, count, min, PG_UINT32_MAX, out);
	}
}

static void
delta_int64(const int64 *in, uint32 n, ParquetBuffer *out)
{
	put_header(out, n, n > 0 ? in[0] : 0);
	for (uint32 at = 1; at < n; at += BLOCK_VALUES)
	{
		uint64		deltas[BLOCK_VALUES];
		int			count = (int) Min(BLOCK_VALUES, n - at);
		int64		min = PG_INT64_MAX;

		for (int i = 0; i < count; i++)
		{
			deltas[i] = (uint64) in[at + i] - (uint64) in[at + i - 1];
			min = Min(min, (int64) deltas[i]);
		}
		put_block(deltas, count, min, PG_UINT64_MAX, out);
	}
}

void
parquet_encode_delta(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out)
{
	if (d->physical == PARQUET_INT32)
		delta_int32((const int32 *) d->values + from, to - from, out);
	else
		delta_int64((const int64 *) d->values + from, to - from, out);
}

/* All lengths as deltas, then all bytes. */
void
parquet_encode_delta_length(const ParquetDense *d, uint32 from, uint32 to, ParquetBuffer *out)
{
	int32		lengths[BLOCK_VALUES + 1];
	uint32		n = to - from;

	/* block by block, because lengths lie nowhere as an array */
	put_header(out, n, n > 0 ? (int64) (d->offsets[from + 1] - d->offsets[from]) : 0);
	for (uint32 at = 1; at < n; at += BLOCK_VALUES)
	{
		uint64		deltas[BLOCK_VALUES];
		int			count = (int) Min(BLOCK_VALUES, n - at);
		int32		min = PG_INT32_MAX;
		const uint32 *o = d->offsets + from + at - 1;

		for (int i = 0; i <= count; i++)
			lengths[i] = (int32) (o[i + 1] - o[i]);
		for (int i = 0; i < count; i++)
		{
			int32		delta = (int32) ((uint32) lengths[i + 1] - (uint32) lengths[i]);

			deltas[i] = (uint64) (int64) delta;
			min = Min(min, delta);
		}
		put_block(deltas, count, min, PG_UINT32_MAX, out);
	}
	parquet_buffer_append(out, d->bytes + d->offsets[from], d->offsets[to] - d->offsets[from]);
}
