/*-------------------------------------------------------------------------
 *
 * decode_levels.c
 *	  Definition levels of flat columns, to bitmaps.
 *
 * A flat column has no repetition, so a level only says whether the row has
 * a value: it does when the level is the column's highest.  For the common
 * highest level of 1 the bit-packed runs are the bitmap already, and a page
 * without nulls is one run, seen in one step.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/decode.h"
#include "parquet/decode_run.h"

/* Levels unpacked at a time; a multiple of 64. */
#define LEVEL_BATCH 1024

void
parquet_set_bits(uint64 *dst, size_t at, size_t n)
{
	while (n > 0)
	{
		size_t		shift = at % 64;
		size_t		take = Min(64 - shift, n);
		uint64		bits = (take == 64) ? PG_UINT64_MAX : (UINT64CONST(1) << take) - 1;

		dst[at / 64] |= bits << shift;
		at += take;
		n -= take;
	}
}

void
parquet_copy_bits(uint64 *dst, size_t at, const void *src, size_t from, size_t n)
{
	const uint8 *in = (const uint8 *) src + from / 8;

	/* 56 bits a time: one load has them, wherever in a byte they begin */
	while (n > 0)
	{
		size_t		take = Min(n, 56);
		uint64		keep = (UINT64CONST(1) << take) - 1;
		size_t		shift = at % 64;
		uint64		bits;

		memcpy(&bits, in, sizeof(bits));
		bits = (bits >> (from % 8)) & keep;
		dst[at / 64] = (dst[at / 64] & ~(keep << shift)) | bits << shift;
		if (shift + take > 64)
			dst[at / 64 + 1] = (dst[at / 64 + 1] & ~(keep >> (64 - shift))) | bits >> (64 - shift);
		in += 7;
		at += take;
		n -= take;
	}
}

/* Compares unpacked levels with the highest, in words of 64. */
static uint32
levels_to_bits(const uint32 *levels, uint32 n, uint32 max_level, uint64 *valid, size_t at)
{
	uint64		bits[LEVEL_BATCH / 64 + 1];
	uint32		present = 0;

	memset(bits, 0, sizeof(bits));
	for (uint32 i = 0; i < n; i++)
	{
		uint64		hit = (levels[i] == max_level);

		bits[i / 64] |= hit << (i % 64);
		present += (uint32) hit;
	}
	parquet_copy_bits(valid, at, bits, 0, n);
	return present;
}

/* A bit-packed run; of several bits a level only with nested groups. */
static uint32
packed_run(const RleRun *run, uint32 max_level, uint64 *valid, size_t at)
{
	uint32		levels[LEVEL_BATCH + PARQUET_PADDING / sizeof(uint32)];
	uint32		present = 0;

	if (max_level == 1)
	{
		parquet_copy_bits(valid, at, run->packed, 0, run->count);
		for (uint32 i = 0; i < run->count; i += 64)
		{
			uint32		take = Min(64, run->count - i);
			uint64		bits = 0;

			memcpy(&bits, run->packed + i / 8, (take + 7) / 8);
			if (take < 64)
				bits &= (UINT64CONST(1) << take) - 1;
			present += (uint32) pg_popcount64(bits);
		}
		return present;
	}
	for (uint32 i = 0; i < run->count; i += LEVEL_BATCH)
	{
		uint32		take = Min(LEVEL_BATCH, run->count - i);

		parquet_unpack32(run->packed + (size_t) i / 8 * run->width, run->width, take, levels);
		present += levels_to_bits(levels, take, max_level, valid, at + i);
	}
	return present;
}

static uint32
level_width(uint32 max_level)
{
	return max_level == 0 ? 0 : (uint32) pg_leftmost_one_pos32(max_level) + 1;
}

uint32
parquet_decode_levels(const ParquetBlock *in, uint32 max_level, uint32 n, uint64 *valid)
{
	RleRun		run = {0};
	uint32		done = 0;
	uint32		present = 0;

	rle_begin(&run, in, level_width(max_level));
	while (done < n)
	{
		rle_next(&run, n - done);
		if (run.packed != NULL)
			present += packed_run(&run, max_level, valid, done);
		else if (run.value > max_level)
			parquet_fail(in->place, "definition level %u exceeds %u", run.value, max_level);
		else if (run.value == max_level)
		{
			present += run.count;
			if (run.count == n)
				break;			/* the whole page: no bitmap wanted */
			parquet_set_bits(valid, done, run.count);
		}
		done += run.count;
	}
	return present;
}

size_t
parquet_packed_levels_size(uint32 max_level, uint32 n)
{
	return ((size_t) n * level_width(max_level) + 7) / 8;
}

uint32
parquet_decode_levels_packed(const ParquetBlock *in, uint32 max_level, uint32 n, uint64 *valid)
{
	uint32		width = level_width(max_level);
	uint32		present = 0;
	size_t		bit = 0;

	if (parquet_packed_levels_size(max_level, n) > in->size)
		parquet_fail(in->place, "%u bit-packed levels exceed %zu bytes", n, in->size);
	for (uint32 i = 0; i < n; i++)
	{
		uint32		level = 0;

		for (uint32 b = 0; b < width; b++, bit++)
			level = level << 1 | ((in->data[bit / 8] >> (7 - bit % 8)) & 1);
		if (level == max_level)
		{
			bitmap_set(valid, i);
			present++;
		}
	}
	return present;
}
