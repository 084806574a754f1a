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
 * The table has rows only: a delete that finds none is the lake's.  A slot
 * is eight bytes, and the key is compared in row_keys, because a batch of
 * narrow rows would otherwise need more memory here than it has itself.
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
	uint32		tag;			/* high bits of the hash */
	uint32		row;			/* newest live row of the key, or one of those below */
} Slot;

#define SLOT_FREE PG_UINT32_MAX
#define SLOT_DEAD (PG_UINT32_MAX - 1)	/* all rows of its key died: a search goes on behind it */

typedef struct Resolver
{
	Slot	   *slots;
	uint64		mask;
	uint32	   *older;			/* by row: the live row of the same key before it, or SLOT_DEAD */
	Resolved   *r;
} Resolver;

/* Bytes that batch_resolve() and the look-up of keys take, for a row, a change of a row, a delete besides. */
#define ROW_BYTES (sizeof(KeyHash) + 4 * sizeof(Slot) + sizeof(uint32))
#define CHANGE_BYTES (sizeof(KeyHash) + sizeof(uint32) + sizeof(bool) + sizeof(KeyPosition))
#define DELETE_BYTES sizeof(KeyHash)
#define CARRY_BYTES (2 * sizeof(uint32))	/* a row, when there are carries */

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

static inline uint32
tag_of(KeyHash key)
{
	return (uint32) (key.hash >> 32);
}

/* The slot of a key that has a live row; otherwise one to put it in, whose row is SLOT_FREE or SLOT_DEAD. */
static inline Slot *
find_slot(const Resolver *s, KeyHash key)
{
	Slot	   *dead = NULL;

	for (uint64 i = key.hash & s->mask;; i = (i + 1) & s->mask)
	{
		Slot	   *slot = &s->slots[i];

		if (slot->row == SLOT_FREE)
			return dead ? dead : slot;
		if (slot->row == SLOT_DEAD)
			dead = dead ? dead : slot;
		else if (slot->tag == tag_of(key))
		{
			const KeyHash *other = &s->r->row_keys[slot->row];

			if (other->hash == key.hash && other->check == key.check)
				return slot;
		}
	}
}

/* One version of `key` dies; `by` is the row that replaces it, or KEY_NOT_FOUND. */
static inline void
apply_delete(Resolver *s, KeyHash key, uint32 by)
{
	Slot	   *slot = find_slot(s, key);
	Resolved   *r = s->r;

	if (slot->row < SLOT_DEAD)
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

	s->older[row] = slot->row < SLOT_DEAD ? slot->row : SLOT_DEAD;
	slot->tag = tag_of(key);
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

size_t
batch_resolve_bytes(const TableBatch *b, uint32 nrows)
{
	uint64		changes = (uint64) b->nmarked + b->ndeletes;

	if (changes == 0)
		return nrows * sizeof(KeyHash);
	return nrows * (ROW_BYTES + (b->ncarries > 0 ? CARRY_BYTES : 0)) + changes * CHANGE_BYTES +
		b->ndeletes * DELETE_BYTES;
}

void
batch_resolve(const PipelineTable *t, const TableBatch *b, uint64 seed, bool want_keys, Resolved *r)
{
	uint32		nrows = batch_rows(b, t);
	Resolver	s;
	KeyHash    *deletes;
	uint64		size = 64;

	memset(r, 0, sizeof(*r));
	r->live = MemoryContextAllocHuge(CurrentMemoryContext, Max(BITMAP_WORDS(nrows), 1) * sizeof(uint64));
	bitmap_fill(r->live, nrows);
	r->nlive = nrows;
	if (want_keys || b->nmarked > 0 || b->ndeletes > 0)
		r->row_keys = hash_vectors(b->columns, t->keys, t->nkeys, nrows, t->wide_key, seed);
	if (b->nmarked == 0 && b->ndeletes == 0)
		return;

	deletes = hash_vectors(b->keys, NULL, t->nkeys, b->ndeletes, t->wide_key, seed);
	while (size < (uint64) nrows * 2)
		size *= 2;
	s.r = r;
	s.mask = size - 1;
	s.slots = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(Slot));
	memset(s.slots, 0xff, size * sizeof(Slot));
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
	pfree(s.older);
	pfree(deletes);
}
