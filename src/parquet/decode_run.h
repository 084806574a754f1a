/*-------------------------------------------------------------------------
 *
 * decode_run.h
 *	  The runs of an RLE / bit-packing hybrid, one by one.
 *
 * Shared by the decoders of codes, booleans and levels, which do different
 * things with the same runs; inline because a run may be as short as eight
 * values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_DECODE_RUN_H
#define TARN_PARQUET_DECODE_RUN_H

#include "postgres.h"

#include "parquet/decode.h"

typedef struct RleRun
{
	const ParquetBlock *block;
	const uint8 *pos;
	const uint8 *end;
	uint32		width;			/* of a value, 0..32 */
	uint32		value_bytes;	/* of a repeated one */
	/* the current run */
	uint32		count;			/* values, at most those asked for */
	uint32		value;			/* repeated, */
	const uint8 *packed;		/* unless this is not NULL */
} RleRun;

static inline void
rle_begin(RleRun *run, const ParquetBlock *block, uint32 width)
{
	run->block = block;
	run->pos = block->data;
	run->end = block->data + block->size;
	run->width = width;
	run->value_bytes = (width + 7) / 8;
}

/*
 * ULEB128 of at most five bytes.  Not cursor_varint(): the position of a
 * damage in a decompressed page says nothing, the page's place does.
 */
static inline uint32
rle_header(RleRun *run)
{
	uint64		v = 0;

	for (int shift = 0; shift < 35; shift += 7)
	{
		uint8		b;

		if (run->pos >= run->end)
			parquet_fail(run->block->place, "run-length encoded data end early");
		b = *run->pos++;
		v |= (uint64) (b & 0x7f) << shift;
		if (b < 0x80)
		{
			if (v > PG_UINT32_MAX)
				break;
			return (uint32) v;
		}
	}
	parquet_fail(run->block->place, "run header out of range");
}

/* The next run, cut to the `wanted` > 0 values still needed. */
static inline void
rle_next(RleRun *run, uint32 wanted)
{
	uint32		header = rle_header(run);
	uint64		count = header >> 1;
	size_t		left = (size_t) (run->end - run->pos);
	uint64		need;

	if (header & 1)
	{
		count *= 8;
		run->count = (uint32) Min(count, wanted);
		/* some writers leave out the padding of the last group */
		need = Min(count / 8 * run->width, ((uint64) run->count * run->width + 7) / 8);
		if (need > left)
			parquet_fail(run->block->place, "bit-packed run of %u values exceeds %zu bytes remaining",
						 run->count, left);
		run->packed = run->pos;
		run->pos += Min(count / 8 * run->width, left);
	}
	else
	{
		if (run->value_bytes > left)
			parquet_fail(run->block->place, "run of %u values ends early", (uint32) count);
		run->count = (uint32) Min(count, wanted);
		run->packed = NULL;
		run->value = 0;
		memcpy(&run->value, run->pos, run->value_bytes);
		if (run->width < 32 && run->value >> run->width != 0)
			parquet_fail(run->block->place, "repeated value %u exceeds %u bits", run->value, run->width);
		run->pos += run->value_bytes;
	}
	if (run->count == 0)
		parquet_fail(run->block->place, "run of no values");
}

#endif							/* TARN_PARQUET_DECODE_RUN_H */
