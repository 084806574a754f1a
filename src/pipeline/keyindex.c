/*-------------------------------------------------------------------------
 *
 * keyindex.c
 *	  The key index: its states, and the way from one to the next.
 *
 * There are two lists of segments: `settled`, of the state on disk, and
 * `current`, which the pending changes are made to.  Segments are never
 * changed, so that the way back is to copy the list; a segment's file is
 * removed when no list has it any more.  Files and liveness exist once, with
 * what is needed to undo the pending changes (keyindex_liveness.c); a
 * truncate puts the settled ones aside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "pipeline/keyindex_internal.h"

char *
keyindex_segment_path(const KeyIndex *index, uint64 number)
{
	return psprintf("%s/segment." UINT64_FORMAT, index->dir, number);
}

void
keyindex_clean_folder(const char *path, bool (*keep) (const char *name, void *arg), void *arg)
{
	DIR		   *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		if (entry->d_name[0] == '.' || (keep && keep(entry->d_name, arg)))
			continue;
		(void) unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

/*
 * Lists of segments.
 */

static void
release_segment(KeyIndex *index, Segment *segment)
{
	if (--segment->references > 0)
		return;
	(void) unlink(segment->path);
	segment_close(index, segment);
}

void
segment_list_clear(KeyIndex *index, SegmentList *list)
{
	for (int i = 0; i < list->n; i++)
		release_segment(index, list->items[i]);
	list->n = 0;
}

void
segment_list_copy(KeyIndex *index, SegmentList *to, const SegmentList *from)
{
	SegmentList old = *to;

	for (int i = 0; i < from->n; i++)
		from->items[i]->references++;
	*to = *from;
	segment_list_clear(index, &old);
}

/* Puts one segment (or none) in the place of n. */
void
segment_list_replace(KeyIndex *index, SegmentList *list, int first, int n, Segment *by)
{
	SegmentList old = *list;

	list->n = first;
	if (by)
	{
		by->references++;
		list->items[list->n++] = by;
	}
	for (int i = first + n; i < old.n; i++)
		list->items[list->n++] = old.items[i];
	for (int i = first; i < first + n; i++)
		release_segment(index, old.items[i]);
}

/*
 * Opening and closing.
 */

static void
release_index(void *arg)
{
	segment_close_all(arg);
}

static KeyIndex *
allocate(const char *dir, bool wide)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "key index",
												  ALLOCSET_DEFAULT_SIZES);
	KeyIndex   *index = MemoryContextAllocZero(context, sizeof(KeyIndex));

	index->context = context;
	index->dir = MemoryContextStrdup(context, dir);
	index->wide = wide;
	index->files = files_create(context);
	index->callback.func = release_index;
	index->callback.arg = index;
	MemoryContextRegisterResetCallback(context, &index->callback);
	return index;
}

static void
make_folder(const char *dir)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", dir)));
	keyindex_clean_folder(dir, NULL, NULL);
}

/* Not a secret of value: it only keeps collisions of wide keys from being made at will. */
static uint64
random_seed(const KeyIndex *index)
{
	struct timespec now;
	uint64		seed;
	int			fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t		n = fd < 0 ? -1 : read(fd, &seed, sizeof(seed));

	if (fd >= 0)
		close(fd);
	if (n == sizeof(seed))
		return seed;
	clock_gettime(CLOCK_REALTIME, &now);
	return hash_bytes64(&now, sizeof(now), (uint64) (uintptr_t) index ^ (uint64) getpid());
}

KeyIndex *
keyindex_create(const char *dir, bool wide)
{
	KeyIndex   *index = allocate(dir, wide);

	make_folder(dir);
	index->seed = random_seed(index);
	index->next_segment = 1;
	journal_create(index);
	return index;
}

static bool
keep_known(const char *name, void *arg)
{
	const KeyIndex *index = arg;
	unsigned long long number;
	unsigned int generation;

	if (sscanf(name, "journal.%8x", &generation) == 1)
		return generation == index->journal.generation;
	if (sscanf(name, "segment.%llu", &number) != 1)
		return false;
	for (int i = 0; i < index->current.n; i++)
	{
		if (index->current.items[i]->header.number == number)
			return true;
	}
	return false;
}

KeyIndex *
keyindex_open(const char *dir, const char *token, bool wide)
{
	MemoryContext caller = CurrentMemoryContext;
	KeyIndex   *volatile index = allocate(dir, wide);
	volatile bool found = false;

	PG_TRY();
	{
		found = journal_open(index, token);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
		{
			keyindex_close(index);
			PG_RE_THROW();
		}
		FlushErrorState();
	}
	PG_END_TRY();

	if (!found)
	{
		keyindex_close(index);
		keyindex_clean_folder(dir, NULL, NULL);
		return NULL;
	}
	index->settled_next_file = index->next_file;
	segment_list_copy(index, &index->settled, &index->current);

	/* the list the journal made held a reference of its own, which is current's */
	keyindex_clean_folder(dir, keep_known, index);
	return index;
}

void
keyindex_close(KeyIndex *index)
{
	MemoryContextDelete(index->context);
}

uint64
keyindex_seed(const KeyIndex *index)
{
	return index->seed;
}

/*
 * From one state to the next.
 */

void
keyindex_prepare(KeyIndex *index, const char *new_token)
{
	keyindex_require_open(index);
	if (index->token && strcmp(index->token, new_token) == 0)
		elog(ERROR, "key index is at state \"%s\" already", new_token);
	keyindex_seal(index);

	/* set first: a prepare that fails half way must be rolled back */
	index->new_token = MemoryContextStrdup(index->context, new_token);
	journal_prepare(index, new_token);
	FAILPOINT("index-prepared");
}

void
keyindex_settle(KeyIndex *index)
{
	if (index->new_token == NULL)
		elog(ERROR, "key index was not prepared");
	journal_settle(index);
	FAILPOINT("index-settled");
	if (index->token)
		pfree(index->token);
	index->token = index->new_token;
	index->new_token = NULL;
	index->settled_next_file = index->next_file;
	files_settle(index->files);
	if (index->truncated)
	{
		MemoryContextDelete(index->saved_files->context);
		index->saved_files = NULL;
		index->truncated = false;
	}
	segment_list_copy(index, &index->settled, &index->current);
}

void
keyindex_rollback(KeyIndex *index)
{
	keyindex_discard(index);
	if (index->truncated)
	{
		MemoryContextDelete(index->files->context);
		index->files = index->saved_files;
		index->saved_files = NULL;
		index->truncated = false;
	}
	segment_list_copy(index, &index->current, &index->settled);
	index->next_file = index->settled_next_file;
	if (index->new_token)
	{
		pfree(index->new_token);
		index->new_token = NULL;
		journal_rollback(index);
	}
}

/*
 * Figures.
 */

size_t
keyindex_memory(KeyIndex *index)
{
	return MemoryContextMemAllocated(index->context, true);
}

void
keyindex_stats(KeyIndex *index, KeyIndexStats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->live_rows = index->files->nlive;
	stats->files = index->files->nfiles;
	stats->segments = index->current.n;
	stats->entries = index->npending;
	for (int i = 0; i < index->current.n; i++)
	{
		stats->entries += index->current.items[i]->header.nentries;
		stats->disk_bytes += segment_bytes(index->current.items[i]);
	}
	stats->disk_bytes += index->journal.length;
}
