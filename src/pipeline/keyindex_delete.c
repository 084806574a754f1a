/*-------------------------------------------------------------------------
 *
 * keyindex_delete.c
 *	  A batch of deletes against all segments of the key index.
 *
 * The keys are sorted; keys that occur several times form a group, which
 * takes as many live rows as it has keys.  Segments are asked oldest first,
 * and only for the groups that still want rows: as most keys of a table are
 * in its one large segment, which is the oldest, most keys are looked up
 * there and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "pipeline/keyindex_internal.h"

#define BATCH_KEYS (1 << 17)

/* The keys of a batch, in order of hash. */
typedef struct DeleteBatch
{
	SortKey    *keys;			/* index: of the caller's key */
	uint32	   *next;			/* by group: its next key without a row */
	uint32	   *left;			/* by group: keys without a row */
	SearchKey  *wanting;		/* groups with keys left */
	SearchKey  *probe;			/* those of them to be looked for in a segment */
	uint32		nwanting;
	KeyPosition *positions;
} DeleteBatch;

static void
form_groups(DeleteBatch *batch, uint32 n)
{
	uint32		ngroups = 0;

	for (uint32 i = 0; i < n; i++)
	{
		if (i == 0 || batch->keys[i].hash != batch->keys[i - 1].hash ||
			batch->keys[i].check != batch->keys[i - 1].check)
		{
			SearchKey  *group = &batch->wanting[ngroups];

			group->hash = batch->keys[i].hash;
			group->check = batch->keys[i].check;
			group->group = ngroups;
			batch->next[ngroups] = i;
			batch->left[ngroups] = 0;
			ngroups++;
		}
		batch->left[ngroups - 1]++;
	}
	batch->nwanting = ngroups;
}

/* Takes live rows from the entries that begin with the one found, until the group has enough. */
static void
take_rows(KeyIndex *index, Segment *segment, const SearchKey *key, DeleteBatch *batch)
{
	const SegmentHeader *h = &segment->header;
	uint64		suffix = segment_suffix(segment, key->hash);
	uint64		end = segment->directory[segment_prefix(segment, key->hash) + 1];
	const uint8 *p = segment->entries + key->entry * segment->width;

	for (uint64 i = key->entry; i < end; i++, p += segment->width)
	{
		KeyPosition position;

		segment_verify(segment, i, i + 1);
		if (load_bytes(p, h->hash_bytes) != suffix)
			return;
		if (h->check_bytes > 0 && (uint32) load_bytes(p + h->hash_bytes, sizeof(uint32)) != key->check)
			continue;
		position = segment_position(segment, p);
		if (!files_is_live(index->files, position))
			continue;
		files_kill(index->files, position);
		batch->positions[batch->keys[batch->next[key->group]++].index] = position;
		if (--batch->left[key->group] == 0)
			return;
	}
}

static void
take_found(KeyIndex *index, Segment *segment, const SearchKey *keys, uint32 n, void *arg)
{
	for (uint32 i = 0; i < n; i++)
	{
		if (keys[i].entry != SEARCH_NONE)
			take_rows(index, segment, &keys[i], arg);
	}
}

static void
ask_segment(KeyIndex *index, Segment *segment, DeleteBatch *batch)
{
	uint32		n = batch->nwanting;
	SearchKey  *probe = batch->wanting;
	uint32		kept = 0;

	if (segment->header.filter_blocks > 0)
	{
		probe = batch->probe;
		n = segment_filter(segment, batch->wanting, n, probe);
	}
	segment_search(index, segment, probe, n, take_found, batch);
	for (uint32 i = 0; i < batch->nwanting; i++)
	{
		batch->wanting[kept] = batch->wanting[i];
		kept += batch->left[batch->wanting[i].group] > 0;
	}
	batch->nwanting = kept;
}

static void
delete_batch(KeyIndex *index, const KeyHash *keys, uint32 n, KeyPosition *positions)
{
	DeleteBatch batch;
	SortKey    *scratch = palloc_array(SortKey, n);

	batch.keys = palloc_array(SortKey, n);
	for (uint32 i = 0; i < n; i++)
	{
		batch.keys[i].hash = keys[i].hash;
		batch.keys[i].check = keys[i].check;
		batch.keys[i].index = i;
		positions[i].file = KEY_NOT_FOUND;
		positions[i].row = 0;
	}
	keyindex_sort(batch.keys, scratch, n);
	pfree(scratch);
	batch.next = palloc_array(uint32, n);
	batch.left = palloc_array(uint32, n);
	batch.wanting = palloc_array(SearchKey, n);
	batch.probe = palloc_array(SearchKey, n);
	batch.positions = positions;
	form_groups(&batch, n);

	for (int i = 0; i < index->current.n && batch.nwanting > 0; i++)
		ask_segment(index, index->current.items[i], &batch);
}

void
keyindex_delete(KeyIndex *index, const KeyHash *keys, uint32 n, KeyPosition *positions)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "key index delete",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (index->new_token)
		elog(ERROR, "key index was prepared and not settled");
	keyindex_seal(index);
	for (uint32 i = 0; i < n; i += Min(n - i, BATCH_KEYS))
	{
		delete_batch(index, keys + i, Min(n - i, BATCH_KEYS), positions + i);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
