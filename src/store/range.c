/*-------------------------------------------------------------------------
 *
 * range.c
 *	  Few large reads in place of many small ones, begun early.
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

/* Of one object at a time; the budget mostly allows fewer. */
#define MAX_STRETCHES 8

typedef struct Range
{
	uint64		begin;
	uint64		end;			/* one past the last byte */
} Range;

/* Bytes fetched or being fetched; lives in its context with the data. */
typedef struct Stretch
{
	Range		range;
	uint64		unread;			/* announced bytes that were not read yet */
	char	   *data;
	void	   *started;		/* NULL: the bytes are there */
	bool		failed;			/* the fetch was given up: not to be used */
	MemoryContext context;
	MemoryContextCallback callback;
} Stretch;

struct RangeCache
{
	const RangeSource *source;
	void	   *arg;
	uint64		size;
	MemoryContext context;
	Range		wanted[MAX_WANTED]; /* ordered by begin */
	int			nwanted;
	Stretch    *stretches[MAX_STRETCHES];	/* in the order they were begun */
	int			nstretches;
};

/* Bytes of all stretches of this process. */
static size_t held_bytes = 0;

RangeCache *
range_open(const RangeSource *source, void *arg, uint64 size)
{
	RangeCache *c = palloc0(sizeof(RangeCache));

	c->source = source;
	c->arg = arg;
	c->size = size;
	c->context = CurrentMemoryContext;
	return c;
}

static void
stretch_reset(void *arg)
{
	Stretch    *s = arg;

	held_bytes -= (size_t) (s->range.end - s->range.begin);
}

/* Begins to fetch `range`. */
static Stretch *
stretch_start(RangeCache *c, Range range, uint64 unread)
{
	MemoryContext context = AllocSetContextCreate(c->context, "tarn stretch", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	size_t		size = (size_t) (range.end - range.begin);
	Stretch    *s = palloc0(sizeof(Stretch));

	s->range = range;
	s->unread = unread;
	s->context = context;
	s->data = palloc_extended(size, MCXT_ALLOC_HUGE);
	s->callback.func = stretch_reset;
	s->callback.arg = s;
	MemoryContextRegisterResetCallback(context, &s->callback);
	held_bytes += size;
	c->stretches[c->nstretches++] = s;
	/* until it has begun */
	s->failed = true;
	s->started = c->source->start(c->arg, range.begin, size, s->data);
	s->failed = false;
	MemoryContextSwitchTo(old);
	return s;
}

static void
stretch_drop(RangeCache *c, int i)
{
	MemoryContextDelete(c->stretches[i]->context);
	c->nstretches--;
	memmove(&c->stretches[i], &c->stretches[i + 1], (c->nstretches - i) * sizeof(Stretch *));
}

static int
stretch_find(const RangeCache *c, uint64 begin, uint64 end)
{
	for (int i = 0; i < c->nstretches; i++)
	{
		const Stretch *s = c->stretches[i];

		if (begin >= s->range.begin && end <= s->range.end && !s->failed)
			return i;
	}
	return -1;
}

/* Leaves out what `held` has of the beginning of a range. */
static uint64
skip_held(Range held, uint64 begin, uint64 end)
{
	return begin >= held.begin && begin < held.end ? Min(held.end, end) : begin;
}

void
range_want(RangeCache *c, uint64 offset, size_t size)
{
	uint64		end = offset + size;
	int			i;

	if (c->size <= RANGE_WHOLE_SIZE)
	{
		/* it is fetched whole, once */
		if (c->nwanted > 0)
			return;
		offset = 0;
		end = c->size;
	}
	/* the hint is not checked elsewhere */
	if (end < offset || end > c->size || size == 0 || c->nwanted == MAX_WANTED ||
		stretch_find(c, offset, end) >= 0)
		return;
	for (i = 0; i < c->nstretches; i++)
		offset = skip_held(c->stretches[i]->range, offset, end);
	for (i = 0; i < c->nwanted; i++)
		offset = skip_held(c->wanted[i], offset, end);
	if (offset == end)
		return;
	for (i = c->nwanted; i > 0 && c->wanted[i - 1].begin > offset; i--)
		c->wanted[i] = c->wanted[i - 1];
	c->wanted[i].begin = offset;
	c->wanted[i].end = end;
	c->nwanted++;
}

/* Forgets the wanted ranges that lie inside `range`; returns their bytes. */
static uint64
forget(RangeCache *c, Range range)
{
	int			kept = 0;
	uint64		bytes = 0;

	for (int i = 0; i < c->nwanted; i++)
	{
		if (c->wanted[i].begin < range.begin || c->wanted[i].end > range.end)
			c->wanted[kept++] = c->wanted[i];
		else
			bytes += c->wanted[i].end - c->wanted[i].begin;
	}
	c->nwanted = kept;
	return bytes;
}

/* The stretch to fetch for a range: with the wanted ranges that follow it closely. */
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

void
range_start(RangeCache *c)
{
	while (c->nwanted > 0 && c->nstretches < MAX_STRETCHES)
	{
		Range		range = merge(c, c->wanted[0].begin, c->wanted[0].end);

		if (held_bytes + (size_t) (range.end - range.begin) > RANGE_BUDGET)
			break;
		(void) stretch_start(c, range, forget(c, range));
	}
}

/*
 * The stretch with the bytes, begun if need be; -1 when nothing is gained by
 * one over reading them straight to where they are wanted.
 */
static int
stretch_for(RangeCache *c, uint64 begin, uint64 end)
{
	int			i = stretch_find(c, begin, end);
	Range		range;
	uint64		wanted;

	if (i >= 0)
		return i;
	range = merge(c, begin, end);
	wanted = forget(c, range);
	if (range.begin == begin && range.end == end && c->nwanted == 0)
		return -1;
	if (c->nstretches == MAX_STRETCHES)
		stretch_drop(c, 0);
	(void) stretch_start(c, range, Max(wanted, end - begin));
	return c->nstretches - 1;
}

void
range_read(RangeCache *c, uint64 offset, size_t size, void *buffer)
{
	int			i = stretch_for(c, offset, offset + size);
	Stretch    *s;

	if (i < 0)
	{
		c->source->fetch(c->arg, offset, size, buffer);
		return;
	}
	s = c->stretches[i];
	range_start(c);
	if (s->started == NULL)
		c->source->poll(c->arg);
	else
	{
		void	   *started = s->started;

		/* should it fail, nothing must look as if it were there */
		s->failed = true;
		s->started = NULL;
		c->source->finish(c->arg, started, s->range.begin,
						  (size_t) (s->range.end - s->range.begin), s->data);
		s->failed = false;
	}
	memcpy(buffer, s->data + (offset - s->range.begin), size);
	s->unread -= Min(s->unread, size);

	/* parts of a small object may be read again, by slices of rows */
	if (s->unread == 0 && c->size > RANGE_WHOLE_SIZE)
	{
		stretch_drop(c, i);
		range_start(c);
	}
}

void
range_close(RangeCache *c)
{
	while (c->nstretches > 0)
		stretch_drop(c, c->nstretches - 1);
	c->nwanted = 0;
}
