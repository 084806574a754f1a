/*-------------------------------------------------------------------------
 *
 * resolve.c
 *	  Plays the marks of a batch in order: which rows live, which rows of the
 *	  lake die.
 *
 * Keys are hashed a column at a time; then one pass over rows and deletes in
 * the order they came, with an open-addressing table from key hash to the
 * newest live row of the batch.  Rows of equal hash are chained, so that
 * duplicates (REPLICA IDENTITY FULL) lose one row a delete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "pipeline/batch.h"
#include "pipeline/keyhash.h"

#define PREFETCH_AHEAD 8

typedef struct Slot
{
	uint64		hash;
	uint32		check;
	uint32		row;			/* newest live row, KEY_NOT_FOUND: none now */
} Slot;

typedef struct Resolver
{
	Slot	   *slots;
	uint64		mask;
	uint32	   *older;			/* by row: the live row of the same key before it */
	uint8	   *used;
	Resolved   *r;
} Resolver;

static KeyHash *
hash_vectors(ColumnVector *const *columns, const int *which, int n, uint32 nrows, bool wide, uint64 seed)
{
	KeyHash    *keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyHash) * Max(nrows, 1));
	ColumnVector **key_columns = palloc(sizeof(ColumnVector *) * Max(n, 1));

	for (int i = 0; i < n; i++)
		key_columns[i] = columns[which ? which[i] : i];
	if (nrows > 0)
		keyhash_rows(key_columns, n, wide, seed, keys);
	pfree(key_columns);
	return keys;
}

/* The slot of a key, made when it is not there (empty: row KEY_NOT_FOUND). */
static inline Slot *
find_slot(Resolver *s, KeyHash key)
{
	uint64		i = key.hash & s->mask;

	while (s->used[i])
	{
		if (s->slots[i].hash == key.hash && s->slots[i].check == key.check)
			return &s->slots[i];
		i = (i + 1) & s->mask;
	}
	s->used[i] = 1;
	s->slots[i].hash = key.hash;
	s->slots[i].check = key.check;
	s->slots[i].row = KEY_NOT_FOUND;
	return &s->slots[i];
}

/* One version of `key` dies; `by` is the row that replaces it, or KEY_NOT_FOUND. */
static inline void
apply_delete(Resolver *s, KeyHash key, uint32 by)
{
	Slot	   *slot = find_slot(s, key);
	Resolved   *r = s->r;

	if (slot->row != KEY_NOT_FOUND)
	{
		uint32		victim = slot->row;

		bitmap_unset(r->live, victim);
		r->nlive--;
		slot->row = s->older[victim];
		if (r->previous && by != KEY_NOT_FOUND)
			r->previous[by] = victim;
		return;
	}
	r->pending[r->npending] = key;
	r->pending_row[r->npending] = by;
	r->pending_optional[r->npending] = false;
	if (r->previous && by != KEY_NOT_FOUND)
		r->previous_pending[by] = r->npending;
	r->npending++;
}

/* The row of `key` makes room for a new one, if there is one; it is no version of that. */
static inline void
apply_taken(Resolver *s, KeyHash key)
{
	uint32		n = s->r->npending;

	apply_delete(s, key, KEY_NOT_FOUND);
	if (s->r->npending > n)
		s->r->pending_optional[n] = true;
}

static inline void
apply_insert(Resolver *s, KeyHash key, uint32 row)
{
	Slot	   *slot = find_slot(s, key);

	s->older[row] = slot->row;
	slot->row = row;
}

static void
play(Resolver *s, const TableBatch *b, uint32 nrows, const KeyHash *deletes)
{
	Resolved   *r = s->r;
	uint32		d = 0;

	for (uint32 row = 0; row <= nrows; row++)
	{
		uint8		mark = row < nrows ? b->marks[row] : 0;

		if (row + PREFETCH_AHEAD < nrows)
			__builtin_prefetch(&s->slots[r->row_keys[row + PREFETCH_AHEAD].hash & s->mask]);
		while (d < b->ndeletes && b->delete_at[d] <= row)
		{
			/* the last delete before a moved row is that row's old version */
			bool		moved = (mark & ROW_MOVED) &&
				(d + 1 == b->ndeletes || b->delete_at[d + 1] > row);

			apply_delete(s, deletes[d], moved ? row : KEY_NOT_FOUND);
			d++;
		}
		if (row == nrows)
			break;
		if (mark & ROW_REPLACES)
			apply_delete(s, r->row_keys[row], row);
		else if (mark & ROW_TAKES_KEY)
			apply_taken(s, r->row_keys[row]);
		apply_insert(s, r->row_keys[row], row);
		if ((row & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
	}
}

void
batch_resolve(const PipelineTable *t, const TableBatch *b, uint64 seed, bool want_keys, Resolved *r)
{
	uint32		nrows = batch_rows(b, t);
	Resolver	s;
	KeyHash    *deletes;
	uint64		size = 64;
	uint64		most = (uint64) nrows + b->ndeletes;

	memset(r, 0, sizeof(*r));
	r->live = MemoryContextAllocHuge(CurrentMemoryContext, Max(BITMAP_WORDS(nrows), 1) * sizeof(uint64));
	bitmap_fill(r->live, nrows);
	r->nlive = nrows;
	if (want_keys || b->nmarked > 0 || b->ndeletes > 0)
		r->row_keys = hash_vectors(b->columns, t->keys, t->nkeys, nrows, t->wide_key, seed);
	if (b->nmarked == 0 && b->ndeletes == 0)
		return;

	deletes = hash_vectors(b->keys, NULL, t->nkeys, b->ndeletes, t->wide_key, seed);
	while (size < most * 2)
		size *= 2;
	s.r = r;
	s.mask = size - 1;
	s.slots = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(Slot));
	s.used = MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s.older = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(nrows, 1));
	r->pending = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyHash) * (b->nmarked + b->ndeletes));
	r->pending_row = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * (b->nmarked + b->ndeletes));
	r->pending_optional = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(bool) * (b->nmarked + b->ndeletes));
	if (b->ncarries > 0)
	{
		r->previous = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(nrows, 1));
		r->previous_pending = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(nrows, 1));
		memset(r->previous, 0xff, sizeof(uint32) * nrows);
		memset(r->previous_pending, 0xff, sizeof(uint32) * nrows);
	}
	play(&s, b, nrows, deletes);
	pfree(s.slots);
	pfree(s.used);
	pfree(s.older);
	pfree(deletes);
}
