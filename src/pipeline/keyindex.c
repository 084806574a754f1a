/*-------------------------------------------------------------------------
 *
 * keyindex.c
 *	  The key index: its states, and the changes on the way to the next.
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
 * Changes.
 */

bool
keyindex_is_settled(const KeyIndex *index)
{
	return !index->truncated && index->files->nkilled == 0 && index->npending == 0 &&
		index->next_file == index->settled_next_file && index->new_token == NULL;
}

static void
require_open_state(const KeyIndex *index)
{
	if (index->new_token)
		elog(ERROR, "key index was prepared and not settled");
}

uint32
keyindex_add_file(KeyIndex *index, const char *path, uint32 nrows)
{
	require_open_state(index);
	if (index->next_file == KEY_NOT_FOUND)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot add data file \"%s\": the key index has used up its numbers of files", path)));
	(void) files_add(index->files, index->next_file, path, nrows);
	return index->next_file++;
}

const char *
keyindex_file_path(KeyIndex *index, uint32 file)
{
	const KeyFile *f = files_get(index->files, file);

	if (f == NULL)
		elog(ERROR, "key index has no data file %u", file);
	return f->path;
}

static void
grow_pending(KeyIndex *index, uint32 n)
{
	uint32		capacity = Max(index->pending_capacity, 1024);

	while (capacity < n)
		capacity *= 2;
	if (capacity == index->pending_capacity)
		return;
	if (index->pending == NULL)
	{
		index->pending = MemoryContextAlloc(index->context, capacity * sizeof(SortKey));
		index->pending_positions = MemoryContextAlloc(index->context, capacity * sizeof(KeyPosition));
	}
	else
	{
		index->pending = repalloc(index->pending, capacity * sizeof(SortKey));
		index->pending_positions = repalloc(index->pending_positions, capacity * sizeof(KeyPosition));
	}
	index->pending_capacity = capacity;
}

static void
forget_pending(KeyIndex *index)
{
	if (index->pending)
	{
		pfree(index->pending);
		pfree(index->pending_positions);
	}
	index->pending = NULL;
	index->pending_positions = NULL;
	index->pending_capacity = 0;
	index->npending = 0;
}

void
keyindex_add(KeyIndex *index, uint32 file, uint32 first_row, const KeyHash *keys, uint32 n)
{
	const KeyFile *f = files_get(index->files, file);

	require_open_state(index);
	if (f == NULL || first_row > f->nrows || n > f->nrows - first_row)
		elog(ERROR, "key index: rows %u to %u of data file %u are not there", first_row, first_row + n, file);
	while (n > 0)
	{
		uint32		count = Min(n, PENDING_ENTRIES - index->npending);

		grow_pending(index, index->npending + count);
		for (uint32 i = 0; i < count; i++)
		{
			SortKey    *key = &index->pending[index->npending];

			key->hash = keys[i].hash;
			key->check = keys[i].check;
			key->index = index->npending;
			index->pending_positions[index->npending].file = file;
			index->pending_positions[index->npending].row = first_row + i;
			index->npending++;
		}
		keys += count;
		first_row += count;
		n -= count;
		if (index->npending == PENDING_ENTRIES)
			keyindex_seal(index);
	}
}

/* What bounds the entries in memory. */
static SegmentLimits
pending_limits(const KeyIndex *index)
{
	SegmentLimits limits = {.nentries = index->npending,.min_file = PG_UINT32_MAX};

	for (uint32 i = 0; i < index->npending; i++)
	{
		const KeyPosition *position = &index->pending_positions[i];

		limits.min_file = Min(limits.min_file, position->file);
		limits.max_file = Max(limits.max_file, position->file);
		limits.max_row = Max(limits.max_row, position->row);
	}
	limits.filter = index->current.n > 0;
	return limits;
}

void
keyindex_seal(KeyIndex *index)
{
	SegmentLimits limits;
	SegmentBuilder *builder;
	SegmentEntry chunk[128];
	uint32		n = 0;
	uint64		number;
	SortKey    *scratch;
	Segment    *segment;
	char	   *path;

	if (index->npending == 0)
		return;
	merge_make_room(index);
	scratch = palloc_array(SortKey, index->npending);
	keyindex_sort(index->pending, scratch, index->npending);
	pfree(scratch);

	limits = pending_limits(index);
	number = index->next_segment++;
	path = keyindex_segment_path(index, number);
	builder = segment_builder_create(CurrentMemoryContext, path, number, index->seed, index->wide, &limits);
	for (uint32 i = 0; i < index->npending; i++)
	{
		const SortKey *key = &index->pending[i];

		chunk[n].hash = key->hash;
		chunk[n].check = key->check;
		chunk[n].position = index->pending_positions[key->index];
		n++;
		if (n == lengthof(chunk) || i + 1 == index->npending)
		{
			segment_builder_add(builder, chunk, n);
			n = 0;
		}
	}
	segment_builder_finish(builder);
	pfree(path);
	segment = segment_open(index, number);
	segment->references++;
	index->current.items[index->current.n++] = segment;
	forget_pending(index);
}

void
keyindex_kill(KeyIndex *index, uint32 file, uint32 row)
{
	KeyPosition position = {.file = file,.row = row};
	const KeyFile *f = files_get(index->files, file);

	require_open_state(index);
	if (f == NULL || row >= f->nrows)
		elog(ERROR, "key index: row %u of data file %u is not there", row, file);
	if (files_is_live(index->files, position))
		files_kill(index->files, position);
}

/* Takes back what was added and killed since the last settle, or the last truncate. */
static void
discard_changes(KeyIndex *index)
{
	uint32		id = index->truncated ? 0 : index->settled_next_file;
	KeyFile    *file;

	merge_abort(index);
	forget_pending(index);
	files_undo(index->files);
	while ((file = files_next(index->files, &id)) != NULL)
		files_remove(index->files, file);
}

void
keyindex_truncate(KeyIndex *index)
{
	require_open_state(index);
	discard_changes(index);
	segment_list_clear(index, &index->current);
	if (!index->truncated)
	{
		index->saved_files = index->files;
		index->files = files_create(index->context);
		index->truncated = true;
	}
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp((*(const KeyFile *const *) a)->path, (*(const KeyFile *const *) b)->path);
}

uint64
keyindex_killed(KeyIndex *index, keyindex_killed_cb cb, void *arg)
{
	KeyFiles   *files = index->files;
	KeyFile   **touched;
	uint32		n = 0;

	for (KeyFile *file = files->touched; file != NULL; file = file->next_touched)
		n++;
	touched = palloc_array(KeyFile *, Max(n, 1));
	n = 0;
	for (KeyFile *file = files->touched; file != NULL; file = file->next_touched)
		touched[n++] = file;
	qsort(touched, n, sizeof(KeyFile *), compare_paths);

	for (uint32 i = 0; i < n; i++)
	{
		uint32		nrows;
		uint32	   *rows = files_killed(touched[i], &nrows);
		uint64	   *positions = palloc_extended((Size) nrows * sizeof(uint64), MCXT_ALLOC_HUGE);

		for (uint32 j = 0; j < nrows; j++)
			positions[j] = rows[j];
		pfree(rows);
		cb(touched[i]->path, positions, nrows, arg);
		pfree(positions);
	}
	pfree(touched);
	return files->nkilled;
}

/*
 * From one state to the next.
 */

void
keyindex_prepare(KeyIndex *index, const char *new_token)
{
	require_open_state(index);
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
	discard_changes(index);
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
