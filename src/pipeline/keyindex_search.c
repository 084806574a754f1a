/*-------------------------------------------------------------------------
 *
 * keyindex_search.c
 *	  A batch of keys against one segment of the key index.
 *
 * A look-up is two memory accesses that miss every cache: the directory and
 * the entry, at the place interpolated inside the directory's bucket.  Keys
 * go through in groups, each step prefetching for the whole group, so that
 * the misses of a group overlap: 70-80 ns a key among 100 million, against
 * 270-700 for binary search.
 *
 * Pages that are not in the page cache cost a disk read each.  Whether that
 * is so is found out from a sample; then reads are asked for 256 keys ahead
 * (MADV_WILLNEED), which overlaps them as well.  A batch that touches a good
 * part of all pages goes through them in order, and turns read-ahead on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "miscadmin.h"

#include "pipeline/keyindex_internal.h"

#define GROUP 32
#define AHEAD 256				/* keys whose pages are read ahead */
#define SAMPLE 16
#define PREFETCH_AROUND 40		/* bytes: how far off interpolation usually is */
#define INTERPOLATE 256			/* larger buckets are searched by halving */

/* Where entries with this hash would be if the hashes of its bucket were spread evenly. */
static inline uint64
interpolate(const Segment *segment, uint64 hash, uint64 from, uint64 to)
{
	uint64		fraction = hash << segment->header.dir_bits;

	return from + (uint64) (((uint128) fraction * (to - from)) >> 64);
}

static inline void
bucket(const Segment *segment, uint64 hash, uint64 *from, uint64 *to)
{
	uint64		prefix = segment_prefix(segment, hash);

	*from = segment->directory[prefix];
	*to = segment->directory[prefix + 1];
}

/* First entry in [from, to) whose suffix is not less; `to` when there is none. The bucket is verified. */
static inline uint64
scan_bucket(const Segment *segment, uint64 suffix, uint64 guess, uint64 from, uint64 to)
{
	uint32		width = segment->width;
	uint32		hash_bytes = segment->header.hash_bytes;
	const uint8 *p = segment->entries + guess * width;
	uint64		at = guess;

	if (load_bytes(p, hash_bytes) < suffix)
	{
		do
		{
			at++;
			p += width;
		} while (at < to && load_bytes(p, hash_bytes) < suffix);
		return at;
	}
	while (at > from && load_bytes(p - width, hash_bytes) >= suffix)
	{
		at--;
		p -= width;
	}
	return at;
}

/* The same by halving, for buckets that many equal hashes fill; checks each page it reads. */
static uint64
halve_bucket(Segment *segment, uint64 suffix, uint64 from, uint64 to)
{
	while (from < to)
	{
		uint64		middle = from + (to - from) / 2;

		segment_verify(segment, middle, middle + 1);
		if (load_bytes(segment->entries + middle * segment->width, segment->header.hash_bytes) < suffix)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static uint64
find(Segment *segment, uint64 hash)
{
	uint64		suffix = segment_suffix(segment, hash);
	uint64		from;
	uint64		to;
	uint64		at;

	bucket(segment, hash, &from, &to);
	if (from == to)
		return SEARCH_NONE;
	if (to - from <= INTERPOLATE)
	{
		segment_verify(segment, from, to);
		at = scan_bucket(segment, suffix, interpolate(segment, hash, from, to), from, to);
	}
	else
		at = halve_bucket(segment, suffix, from, to);
	if (at == to)
		return SEARCH_NONE;
	segment_verify(segment, at, at + 1);
	if (load_bytes(segment->entries + at * segment->width, segment->header.hash_bytes) != suffix)
		return SEARCH_NONE;
	return at;
}

/* The page of the mapping where a key's entry should be. */
static char *
page_of(const Segment *segment, uint64 hash)
{
	uint64		from;
	uint64		to;
	uint64		offset;

	bucket(segment, hash, &from, &to);
	offset = interpolate(segment, hash, from, to) * segment->width;
	return segment->map + SEGMENT_PAGE + offset / SEGMENT_PAGE * SEGMENT_PAGE;
}

/* Are pages of these keys missing from the page cache? */
static bool
is_cold(const Segment *segment, const SearchKey *keys, uint32 n)
{
	uint32		step = Max(n / SAMPLE, 1);
	uint32		missing = 0;

	for (uint32 i = 0; i < n; i += step)
	{
		unsigned char resident = 1;

		if (mincore(page_of(segment, keys[i].hash), SEGMENT_PAGE, &resident) == 0 && (resident & 1) == 0)
			missing++;
	}
	return missing > 0;
}

static void
read_ahead(const Segment *segment, const SearchKey *keys, uint32 from, uint32 to)
{
	char	   *last = NULL;

	for (uint32 i = from; i < to; i++)
	{
		char	   *page = page_of(segment, keys[i].hash);

		if (page != last)
			(void) madvise(page, SEGMENT_PAGE, MADV_WILLNEED);
		last = page;
	}
}

/* One group: directory, then entry, then the comparison. */
static void
search_group(KeyIndex *index, Segment *segment, SearchKey *keys, uint32 n)
{
	for (uint32 i = 0; i < n; i++)
		__builtin_prefetch(&segment->directory[segment_prefix(segment, keys[i].hash)]);
	for (uint32 i = 0; i < n; i++)
	{
		uint64		from;
		uint64		to;
		const uint8 *p;

		bucket(segment, keys[i].hash, &from, &to);
		p = segment->entries + interpolate(segment, keys[i].hash, from, to) * segment->width;
		__builtin_prefetch(p - PREFETCH_AROUND);
		__builtin_prefetch(p + PREFETCH_AROUND);
	}
	for (uint32 i = 0; i < n; i++)
	{
		keys[i].entry = find(segment, keys[i].hash);
		if (keys[i].entry != SEARCH_NONE)
		{
			KeyPosition position = segment_position(segment, segment->entries +
													keys[i].entry * segment->width);
			const KeyFile *file = files_get(index->files, position.file);

			if (file != NULL && file->live != NULL && position.row < file->nrows)
				__builtin_prefetch(&file->live[position.row >> 6]);
		}
	}
}

void
segment_search(KeyIndex *index, Segment *segment, SearchKey *keys, uint32 n,
			   segment_found_cb found, void *arg)
{
	bool		sweep = n >= segment->npages / 4;
	bool		cold = n > 0 && is_cold(segment, keys, n);
	uint32		ahead = 0;

	if (cold && sweep)
		(void) madvise(segment->map, segment->map_bytes, MADV_SEQUENTIAL);
	for (uint32 i = 0; i < n; i += GROUP)
	{
		if (cold && !sweep && ahead < n && i + AHEAD > ahead)
		{
			uint32		to = Min(n, i + AHEAD + GROUP);

			read_ahead(segment, keys, ahead, to);
			ahead = to;
		}
		search_group(index, segment, keys + i, Min(GROUP, n - i));
		found(index, segment, keys + i, Min(GROUP, n - i), arg);
		CHECK_FOR_INTERRUPTS();
	}
	if (cold && sweep)
		(void) madvise(segment->map, segment->map_bytes, MADV_RANDOM);
}

/*
 * The filter: one block of 256 bits a key, one bit in each of its words, as
 * in Parquet's split-block filters.  No early exit: eight words at once are
 * one vector instruction each where there is AVX2.
 */
TARN_KERNEL uint32
segment_filter(const Segment *segment, const SearchKey *keys, uint32 n, SearchKey *kept)
{
	uint32		nblocks = segment->header.filter_blocks;
	uint32		nkept = 0;

	for (uint32 i = 0; i < n; i++)
	{
		const uint32 *block = segment->filter + (size_t) filter_block(keys[i].hash, nblocks) * FILTER_WORDS;
		uint32		low = (uint32) keys[i].hash;
		uint32		missing = 0;

		if (i + 16 < n)
			__builtin_prefetch(segment->filter +
							   (size_t) filter_block(keys[i + 16].hash, nblocks) * FILTER_WORDS);
		for (int j = 0; j < FILTER_WORDS; j++)
			missing |= ~block[j] & (UINT32_C(1) << ((low * filter_salts[j]) >> 27));
		kept[nkept] = keys[i];
		nkept += missing == 0;
	}
	return nkept;
}
