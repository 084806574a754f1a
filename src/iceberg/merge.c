/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Which manifests a new snapshot has: kept, merged and new ones.
 *
 * Manifests are the levels of an LSM tree: the level of a manifest is the
 * logarithm of its number of live files to base MERGE_FANOUT, and as soon as
 * a level has MERGE_FANOUT of them they become one of the next level.  A
 * table of n files has O(log n) manifests and each entry is rewritten once a
 * level.  The reference implementation merges by size in bytes into bins of
 * 8 MB, which rewrites a growing manifest at every hundredth commit: too
 * much for a table that commits every few seconds.
 *
 * Manifests of MERGE_LEVELS and above stay as they are, which bounds the
 * memory of a merge; at that size their number does not matter.
 *
 * Data and delete manifests are separate trees.  Entries of deleted files
 * concern only the snapshot that deleted them and are left out by a merge.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/failpoint.h"
#include "iceberg/commit.h"

#define MERGE_FANOUT 8
#define MERGE_LEVELS 4

/* A manifest of the new snapshot: kept (one source), or to be written. */
typedef struct MergeItem
{
	int64		live;
	bool		added;			/* has the files of the change */
	int			nsources;
	const IcebergManifest **sources;
} MergeItem;

typedef struct MergePlan
{
	int			nitems;
	MergeItem  *items;
} MergePlan;

static int
merge_level(int64 live)
{
	int			level = 0;

	for (; live >= MERGE_FANOUT; live /= MERGE_FANOUT)
		level++;
	return level;
}

/* Live files of a manifest; unknown counts (version 1) put it beyond merging. */
static int64
live_files(const IcebergManifest *m)
{
	if (m->added_files < 0 || m->existing_files < 0)
		return PG_INT64_MAX;
	return (int64) m->added_files + m->existing_files;
}

/* The items before merging: one for the change's files, one for each manifest. */
static void
plan_items(MergePlan *plan, const IcebergCommit *c, int content, int nadded)
{
	const IcebergTableState *base = c->base;

	plan->nitems = 0;
	plan->items = palloc0(sizeof(MergeItem) * (base->nmanifests + 1));
	if (nadded > 0)
	{
		plan->items[0].added = true;
		plan->items[0].live = nadded;
		plan->items[0].sources = palloc(sizeof(IcebergManifest *));
		plan->nitems = 1;
	}
	if (c->change->drop_all)
		return;
	for (int i = 0; i < base->nmanifests; i++)
	{
		const IcebergManifest *m = &base->manifests[i];
		MergeItem  *item;

		/* one without live files has told its snapshot what was deleted, and is not needed after */
		if (m->content != content || live_files(m) == 0)
			continue;
		item = &plan->items[plan->nitems++];
		item->live = live_files(m);
		item->nsources = 1;
		item->sources = palloc(sizeof(IcebergManifest *));
		item->sources[0] = m;
	}
}

/* Makes one item of all those of a level. */
static void
merge_items(MergePlan *plan, int level)
{
	MergeItem	merged = {0};
	int			n = 0;
	int			total = 0;

	for (int i = 0; i < plan->nitems; i++)
		total += plan->items[i].nsources;
	merged.sources = palloc(sizeof(IcebergManifest *) * total);
	for (int i = 0; i < plan->nitems; i++)
	{
		const MergeItem *item = &plan->items[i];

		if (merge_level(item->live) != level)
		{
			plan->items[n++] = *item;
			continue;
		}
		merged.live += item->live;
		merged.added |= item->added;
		for (int s = 0; s < item->nsources; s++)
			merged.sources[merged.nsources++] = item->sources[s];
	}
	plan->items[n++] = merged;
	plan->nitems = n;
}

/* Level after level, so that a merge may complete the next one. */
static void
plan_merges(MergePlan *plan)
{
	for (int level = 0; level < MERGE_LEVELS; level++)
	{
		int			n = 0;

		for (int i = 0; i < plan->nitems; i++)
			n += merge_level(plan->items[i].live) == level;
		if (n >= MERGE_FANOUT)
			merge_items(plan, level);
	}
}

static int
append_added(const IcebergCommit *c, int content, IcebergManifestEntry *entries)
{
	int			n = 0;

	for (int i = 0; i < c->change->nfiles; i++)
	{
		const IcebergDataFile *f = &c->change->files[i];

		if ((f->content == ICEBERG_DATA ? 0 : 1) != content)
			continue;
		memset(&entries[n], 0, sizeof(IcebergManifestEntry));
		entries[n].status = ICEBERG_ADDED;
		entries[n].snapshot_id = c->snapshot_id;
		entries[n].sequence_number = -1;
		entries[n].file_sequence_number = -1;
		entries[n].file = *f;
		n++;
	}
	return n;
}

/* Entries of a manifest from before: existing ones now, with the numbers they have. */
static int
append_existing(const IcebergCommit *c, const IcebergManifest *source,
				IcebergManifestEntry **entries, int n, int *capacity)
{
	int			nread;
	IcebergManifestEntry *read = iceberg_commit_read(c->io, source, true, &nread);

	if (n + nread > *capacity)
	{
		*capacity = Max(*capacity * 2, n + nread);
		*entries = repalloc(*entries, sizeof(IcebergManifestEntry) * *capacity);
	}
	for (int i = 0; i < nread; i++)
	{
		if (read[i].status == ICEBERG_DELETED)
			continue;
		(*entries)[n] = read[i];
		(*entries)[n++].status = ICEBERG_EXISTING;
	}
	return n;
}

static void
write_item(IcebergCommit *c, int content, const MergeItem *item)
{
	int			capacity = Max(item->added ? c->change->nfiles : 0, 64);
	IcebergManifestEntry *entries = palloc(sizeof(IcebergManifestEntry) * capacity);
	int			n = item->added ? append_added(c, content, entries) : 0;

	for (int i = 0; i < item->nsources; i++)
		n = append_existing(c, item->sources[i], &entries, n, &capacity);
	iceberg_commit_write(c, content, entries, n);
	if (item->nsources > 0)
		FAILPOINT("manifests-merged");
}

void
iceberg_merge(IcebergCommit *c, int content)
{
	MergePlan	plan;
	int			nadded = 0;

	for (int i = 0; i < c->change->nfiles; i++)
		nadded += (c->change->files[i].content == ICEBERG_DATA ? 0 : 1) == content;
	plan_items(&plan, c, content, nadded);
	plan_merges(&plan);
	for (int i = 0; i < plan.nitems; i++)
	{
		const MergeItem *item = &plan.items[i];

		if (item->nsources == 1 && !item->added)
			iceberg_commit_keep(c, item->sources[0]);
		else
			write_item(c, content, item);
	}
}
