/*-------------------------------------------------------------------------
 *
 * range.c
 *	  Few large reads in place of many small ones.
 *
 * Columns of a row group lie one behind the other, and a Parquet file of a
 * short flush is smaller than what a request to S3 brings in the time it
 * takes to be answered.  Reading on past what was asked for without being
 * told (read-ahead) was rejected: a scan of few columns would fetch the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "store/range.h"

#define MAX_WANTED 256

typedef struct Range
{
	uint64		begin;
	uint64		end;			/* one past the last byte */
} Range;

struct RangeCache
{
	range_fetch fetch;
	void	   *arg;
	uint64		size;
	MemoryContext context;
	Range		wanted[MAX_WANTED]; /* ordered by begin */
	int			nwanted;
	Range		held;			/* what `data` is; empty when nothing */
	char	   *data;
};

RangeCache *
range_open(range_fetch fetch, void *arg, uint64 size)
{
	RangeCache *c = palloc0(sizeof(RangeCache));

	c->fetch = fetch;
	c->arg = arg;
	c->size = size;
	c->context = CurrentMemoryContext;
	return c;
}

static bool
holds(const RangeCache *c, uint64 begin, uint64 end)
{
	return c->data != NULL && begin >= c->held.begin && end <= c->held.end;
}

void
range_want(RangeCache *c, uint64 offset, size_t size)
{
	uint64		end = offset + size;
	int			i;

	if (c->size <= RANGE_WHOLE_SIZE || c->nwanted == MAX_WANTED || holds(c, offset, end))
		return;
	for (i = c->nwanted; i > 0 && c->wanted[i - 1].begin > offset; i--)
		c->wanted[i] = c->wanted[i - 1];
	c->wanted[i].begin = offset;
	c->wanted[i].end = end;
	c->nwanted++;
}

/* Forgets the wanted ranges that lie inside `range`. */
static void
forget(RangeCache *c, Range range)
{
	int			kept = 0;

	for (int i = 0; i < c->nwanted; i++)
	{
		if (c->wanted[i].begin < range.begin || c->wanted[i].end > range.end)
			c->wanted[kept++] = c->wanted[i];
	}
	c->nwanted = kept;
}

/* The stretch to fetch for a read: with the wanted ranges that follow it closely. */
static Range
merge(const RangeCache *c, uint64 begin, uint64 end)
{
	Range		range = {begin, end};

	if (c->size <= RANGE_WHOLE_SIZE)
	{
		range.begin = 0;
		range.end = c->size;
		return range;
	}
	for (int i = 0; i < c->nwanted; i++)
	{
		const Range *next = &c->wanted[i];

		if (next->begin < begin || next->begin > range.end + RANGE_GAP_SIZE)
			continue;
		if (Max(next->end, range.end) - begin > RANGE_MERGED_SIZE)
			break;
		range.end = Max(range.end, next->end);
	}
	return range;
}

static void
drop_held(RangeCache *c)
{
	if (c->data != NULL)
		pfree(c->data);
	c->data = NULL;
}

void
range_read(RangeCache *c, uint64 offset, size_t size, void *buffer)
{
	uint64		end = offset + size;
	Range		range;
	char	   *data;

	if (!holds(c, offset, end))
	{
		range = merge(c, offset, end);
		forget(c, range);
		if (range.begin == offset && range.end == end)
		{
			c->fetch(c->arg, offset, size, buffer);
			return;
		}
		drop_held(c);
		data = MemoryContextAlloc(c->context, (Size) (range.end - range.begin));
		c->fetch(c->arg, range.begin, (size_t) (range.end - range.begin), data);
		/* only now: a failed fetch must leave nothing that looks held */
		c->data = data;
		c->held = range;
	}
	memcpy(buffer, c->data + (offset - c->held.begin), size);
}

void
range_close(RangeCache *c)
{
	drop_held(c);
	c->nwanted = 0;
}
