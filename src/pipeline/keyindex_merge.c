/*-------------------------------------------------------------------------
 *
 * keyindex_merge.c
 *	  Merging segments of the key index, in slices.
 *
 * Policy.  The oldest segment holds most of the table; when the ones above
 * it add up to a quarter of it, all become one.  Below that, four neighbours
 * of a like size become one (tiers with a fan-out of four).  An entry is so
 * written some seven times on the way to 100 million, and a key looked for is
 * tested against some 15 filters at worst.  Purely levelled merges would
 * write it 18 times.
 *
 * A slice takes the entries of a range of hashes from all inputs, in order of
 * age, and sorts them: hashes are even, so the radix sort beats a heap of
 * inputs, and costs the same for two inputs as for thirty.  Entries of dead
 * rows are dropped on the way, unless rows are dead that may live again.
 *
 * A merge changes no state, only what it lies in: the settled state is
 * committed to the journal anew when a merge of its segments is done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "pipeline/keyindex_internal.h"

#define FAN_OUT 4
#define LAST_RATIO 4
#define TIER_BITS 2
#define SLICE_ENTRIES (1 << 16)
#define SLICE_ROOM (2 * SLICE_ENTRIES)
#define SLICE_READ 128			/* entries read at a time */

static int
tier_of(const Segment *segment)
{
	uint64		n = segment->header.nentries;
	int			tier = 0;

	while ((n >>= TIER_BITS) > 0)
		tier++;
	return tier;
}

static uint64
entries_of(const SegmentList *list, int first, int n)
{
	uint64		total = 0;

	for (int i = first; i < first + n; i++)
		total += list->items[i]->header.nentries;
	return total;
}

/* Which neighbours to merge; how many, 0 for none. */
static int
choose(const SegmentList *list, int *first)
{
	int			n = list->n;

	*first = 0;
	if (n >= FAN_OUT &&
		entries_of(list, 1, n - 1) >= list->items[0]->header.nentries / LAST_RATIO &&
		entries_of(list, 0, n) <= PG_UINT32_MAX)
		return n;

	/* the newest run of segments that are no larger than their tier allows */
	for (int end = n; end >= FAN_OUT; end--)
	{
		int			tier = tier_of(list->items[end - 1]);
		int			begin = end - 1;

		while (begin > 1 && tier_of(list->items[begin - 1]) <= tier)
			begin--;
		if (end - begin >= FAN_OUT && entries_of(list, begin, end - begin) <= PG_UINT32_MAX)
		{
			*first = begin;
			return end - begin;
		}
	}
	return 0;
}

static void
merge_begin(KeyIndex *index, int first, int n)
{
	MemoryContext context = AllocSetContextCreate(index->context, "key index merge",
												  ALLOCSET_DEFAULT_SIZES);
	Merge	   *merge = MemoryContextAllocZero(context, sizeof(Merge));
	SegmentLimits limits = {.min_file = PG_UINT32_MAX,.filter = first > 0};
	uint64		slices;
	char	   *path;

	merge->context = context;
	merge->number = index->next_segment++;
	merge->ninputs = n;
	for (int i = 0; i < n; i++)
	{
		Segment    *segment = index->current.items[first + i];
		const SegmentHeader *h = &segment->header;

		merge->inputs[i].segment = segment;
		limits.nentries += h->nentries;
		limits.min_file = Min(limits.min_file, h->min_file);
		limits.max_file = Max(limits.max_file, h->max_file);
		limits.max_row = Max(limits.max_row, (uint32) low_bits(PG_UINT32_MAX, h->row_bits));
	}
	merge->slice.room = (uint32) Min(limits.nentries, SLICE_ROOM);
	merge->slice.room = Max(merge->slice.room, SLICE_READ);
	merge->slice.entries = MemoryContextAlloc(context, merge->slice.room * sizeof(SegmentEntry));
	merge->slice.keys = MemoryContextAlloc(context, merge->slice.room * sizeof(SortKey));
	merge->slice.scratch = MemoryContextAlloc(context, merge->slice.room * sizeof(SortKey));
	slices = limits.nentries / SLICE_ENTRIES + 1;
	merge->step = slices == 1 ? PG_UINT64_MAX : PG_UINT64_MAX / slices;
	path = keyindex_segment_path(index, merge->number);
	merge->builder = segment_builder_create(context, path, merge->number, index->seed, index->wide, &limits);
	pfree(path);
	index->merge = merge;
}

void
merge_abort(KeyIndex *index)
{
	Merge	   *merge = index->merge;

	if (merge == NULL)
		return;
	index->merge = NULL;
	if (merge->builder)
		segment_builder_abort(merge->builder);
	MemoryContextDelete(merge->context);
}

/*
 * Collects entries of one input with hashes up to `last`, as long as there
 * is room; false when there is not.  Moves the input on.
 */
static bool
collect(KeyIndex *index, MergeInput *input, uint64 last, bool drop, MergeSlice *slice)
{
	Segment    *segment = input->segment;
	const SegmentHeader *h = &segment->header;
	uint64		nprefixes = UINT64CONST(1) << h->dir_bits;
	SegmentEntry entries[SLICE_READ];

	while (input->prefix < nprefixes)
	{
		uint64		end = segment->directory[input->prefix + 1];

		while (input->next < end)
		{
			uint32		n = (uint32) Min(end - input->next, lengthof(entries));

			if (slice->n + n > slice->room)
				return false;
			segment_read(segment, input->next, input->next + n, input->prefix, entries);
			for (uint32 i = 0; i < n; i++)
			{
				if (entries[i].hash > last)
					return true;
				slice->entries[slice->n] = entries[i];
				slice->n += !drop || files_is_live(index->files, entries[i].position);
				input->next++;
			}
		}
		if (input->prefix + 1 < nprefixes && segment_prefix(segment, last) <= input->prefix)
			return true;
		input->prefix++;
	}
	return true;
}

/* Sorts a slice and hands it to the builder. */
static void
put_slice(Merge *merge)
{
	MergeSlice *slice = &merge->slice;
	SegmentEntry chunk[128];
	uint32		n = 0;

	for (uint32 i = 0; i < slice->n; i++)
	{
		slice->keys[i].hash = slice->entries[i].hash;
		slice->keys[i].check = 0;
		slice->keys[i].index = i;
	}
	keyindex_sort(slice->keys, slice->scratch, slice->n);
	for (uint32 i = 0; i < slice->n; i++)
	{
		chunk[n++] = slice->entries[slice->keys[i].index];
		if (n == lengthof(chunk) || i + 1 == slice->n)
		{
			segment_builder_add(merge->builder, chunk, n);
			n = 0;
		}
	}
	slice->n = 0;
}

/*
 * A hash that more entries have than a slice has room for: age is their
 * order, so the inputs go through one after the other.
 */
static void
copy_equal(KeyIndex *index, Merge *merge, uint64 hash, bool drop)
{
	for (int i = 0; i < merge->ninputs; i++)
	{
		bool		all;

		do
		{
			all = collect(index, &merge->inputs[i], hash, drop, &merge->slice);
			put_slice(merge);
			CHECK_FOR_INTERRUPTS();
		} while (!all);
	}
}

/* The next slice's pages: without this each would be a disk read of its own. */
static void
read_ahead(Merge *merge)
{
	for (int i = 0; i < merge->ninputs; i++)
	{
		const Segment *segment = merge->inputs[i].segment;
		uint64		bytes = (uint64) (((uint128) segment->header.nentries * segment->width *
									   merge->step) >> 64) + 4 * SEGMENT_PAGE;
		uint64		offset = TYPEALIGN_DOWN(SEGMENT_PAGE, SEGMENT_PAGE +
											merge->inputs[i].next * segment->width);

		(void) madvise(segment->map + offset, Min(bytes, segment->map_bytes - offset), MADV_WILLNEED);
	}
}

/* Merges one range of hashes; a range with too many entries is halved. */
static void
merge_slice(KeyIndex *index, Merge *merge)
{
	bool		drop = index->files->nkilled == 0 && !index->truncated;
	uint64		last = merge->step > PG_UINT64_MAX - merge->start ? PG_UINT64_MAX :
		merge->start + merge->step;
	MergeInput	saved[MAX_SEGMENTS];

	memcpy(saved, merge->inputs, sizeof(saved));
	for (;;)
	{
		bool		fits = true;

		for (int i = 0; i < merge->ninputs && fits; i++)
			fits = collect(index, &merge->inputs[i], last, drop, &merge->slice);
		if (fits)
			break;
		merge->slice.n = 0;
		memcpy(merge->inputs, saved, sizeof(saved));
		if (last == merge->start)
		{
			copy_equal(index, merge, last, drop);
			break;
		}
		last = merge->start + (last - merge->start) / 2;
	}
	put_slice(merge);
	merge->finished = last == PG_UINT64_MAX;
	merge->start = last + 1;
	read_ahead(merge);
}

/* Puts the new segment in the place of the inputs. */
static void
replace_inputs(KeyIndex *index, SegmentList *list, const Merge *merge, Segment *by)
{
	for (int i = 0; i < list->n; i++)
	{
		if (list->items[i] == merge->inputs[0].segment)
		{
			segment_list_replace(index, list, i, merge->ninputs, by);
			return;
		}
	}
}

static void
merge_finish(KeyIndex *index)
{
	Merge	   *merge = index->merge;
	bool		settled = keyindex_is_settled(index);
	uint64		number = merge->number;
	uint64		nentries = segment_builder_finish(merge->builder);
	Segment    *segment = NULL;
	SegmentList before = {0};

	merge->builder = NULL;
	FAILPOINT("index-merge-written");
	if (nentries > 0)
		segment = segment_open(index, number);

	/* the inputs' files go when the journal no longer names them */
	if (settled)
	{
		segment_list_copy(index, &before, &index->settled);
		replace_inputs(index, &index->settled, merge, segment);
	}
	replace_inputs(index, &index->current, merge, segment);
	if (settled && index->token)
		journal_merged(index);
	FAILPOINT("index-merge-recorded");
	segment_list_clear(index, &before);
	FAILPOINT("index-merge-removed");
	if (segment == NULL)
	{
		char	   *path = keyindex_segment_path(index, number);

		(void) unlink(path);
		pfree(path);
	}
	index->merge = NULL;
	MemoryContextDelete(merge->context);
}

/* One slice of the merge under way, or of one that is due. */
static bool
merge_step(KeyIndex *index)
{
	Merge	   *merge;

	/* an error left it half done */
	if (index->merge && index->merge->inside)
		merge_abort(index);
	if (index->merge == NULL)
	{
		int			first;
		int			n = choose(&index->current, &first);

		if (n == 0)
			return false;
		merge_begin(index, first, n);
	}
	merge = index->merge;
	merge->inside = true;
	merge_slice(index, merge);
	if (merge->finished)
		merge_finish(index);
	else
		merge->inside = false;
	return true;
}

bool
keyindex_merge(KeyIndex *index)
{
	int			first;

	/* between prepare and settle two states are on disk: leave them */
	if (index->new_token)
		return false;
	if (!merge_step(index))
		return false;
	return index->merge != NULL || choose(&index->current, &first) > 0;
}

void
merge_make_room(KeyIndex *index)
{
	while (index->current.n >= MAX_SEGMENTS)
	{
		if (index->merge == NULL || index->merge->inside)
		{
			int			first = 0;
			int			n;

			merge_abort(index);
			n = choose(&index->current, &first);
			if (n == 0)
				n = index->current.n / 2;
			if (n == index->current.n / 2)
				first = index->current.n - n;
			merge_begin(index, first, n);
		}
		(void) merge_step(index);
	}
}
