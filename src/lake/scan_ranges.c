/*-------------------------------------------------------------------------
 *
 * scan_ranges.c
 *	  Bitmaps of rows to row ranges and back.
 *
 * A row group's rows are narrowed down in a bitmap; what is read is a list of
 * ranges, and the rows read lie side by side in the batch.  Gather and
 * scatter move bits between the two numberings, a word at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lake/scan_internal.h"

/* Position of the first bit equal to `value` at or after `from`; nbits when there is none. */
static uint32
bits_find(const uint64 *map, uint32 nbits, uint32 from, bool value)
{
	while (from < nbits)
	{
		uint64		word = value ? map[from >> 6] : ~map[from >> 6];

		word >>= from & 63;
		if (word != 0)
		{
			from += pg_rightmost_one_pos64(word);
			return Min(from, nbits);
		}
		from = (from | 63) + 1;
	}
	return nbits;
}

void
scan_ranges_make(const uint64 *map, uint32 nbits, uint32 gap, ScanRanges *ranges)
{
	int			capacity = 16;
	uint32		at = bits_find(map, nbits, 0, true);

	ranges->pairs = palloc(capacity * 2 * sizeof(uint32));
	ranges->n = 0;
	ranges->rows = 0;
	while (at < nbits)
	{
		uint32		end = bits_find(map, nbits, at, false);
		uint32		next = bits_find(map, nbits, end, true);

		while (next < nbits && next - end < gap)
		{
			end = bits_find(map, nbits, next, false);
			next = bits_find(map, nbits, end, true);
		}
		if (ranges->n == capacity)
		{
			capacity *= 2;
			ranges->pairs = repalloc(ranges->pairs, capacity * 2 * sizeof(uint32));
		}
		ranges->pairs[ranges->n * 2] = at;
		ranges->pairs[ranges->n * 2 + 1] = end - at;
		ranges->n++;
		ranges->rows += end - at;
		at = next;
	}
}

/* `n` (1..64) bits from position `at`, in the low bits of the result. */
static inline uint64
bits_load(const uint64 *map, size_t at, size_t n)
{
	size_t		shift = at & 63;
	uint64		word = map[at >> 6] >> shift;

	if (shift + n > 64)
		word |= map[(at >> 6) + 1] << (64 - shift);
	return n == 64 ? word : word & ((UINT64CONST(1) << n) - 1);
}

/* Overwrites `n` (1..64) bits at position `at`. */
static inline void
bits_store(uint64 *map, size_t at, uint64 word, size_t n)
{
	size_t		shift = at & 63;
	uint64		mask = n == 64 ? ~UINT64CONST(0) : (UINT64CONST(1) << n) - 1;

	map[at >> 6] = (map[at >> 6] & ~(mask << shift)) | (word << shift);
	if (shift + n > 64)
		map[(at >> 6) + 1] = (map[(at >> 6) + 1] & ~(mask >> (64 - shift))) | (word >> (64 - shift));
}

void
scan_bits_copy(uint64 *dst, size_t dst_at, const uint64 *src, size_t src_at, size_t n)
{
	while (n > 0)
	{
		size_t		step = Min(n, 64);

		bits_store(dst, dst_at, bits_load(src, src_at, step), step);
		dst_at += step;
		src_at += step;
		n -= step;
	}
}

void
scan_bits_clear(uint64 *map, size_t at, size_t n)
{
	while (n > 0)
	{
		size_t		step = Min(n, 64 - (at & 63));

		bits_store(map, at, 0, step);
		at += step;
		n -= step;
	}
}

void
scan_ranges_gather(const ScanRanges *ranges, const uint64 *map, uint64 *dense)
{
	size_t		at = 0;

	memset(dense, 0, BITMAP_WORDS(ranges->rows) * sizeof(uint64));
	for (int i = 0; i < ranges->n; i++)
	{
		scan_bits_copy(dense, at, map, ranges->pairs[i * 2], ranges->pairs[i * 2 + 1]);
		at += ranges->pairs[i * 2 + 1];
	}
}

void
scan_ranges_scatter(const ScanRanges *ranges, const uint64 *dense, uint64 *map, uint32 nbits)
{
	size_t		at = 0;

	memset(map, 0, BITMAP_WORDS(nbits) * sizeof(uint64));
	for (int i = 0; i < ranges->n; i++)
	{
		scan_bits_copy(map, ranges->pairs[i * 2], dense, at, ranges->pairs[i * 2 + 1]);
		at += ranges->pairs[i * 2 + 1];
	}
}
