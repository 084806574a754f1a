/*-------------------------------------------------------------------------
 *
 * keyindex_pending.c
 *	  The key index: changes on the way to its next state.
 *
 * Keys that were added are gathered in memory and become a segment when there
 * are many, or when the state is prepared (keyindex_seal).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pipeline/keyindex_internal.h"

#define KILLED_AT_ONCE 8192

/* Small to begin with: many tables see a row or two a flush. */
#define PENDING_FIRST 64

bool
keyindex_is_settled(const KeyIndex *index)
{
	return !index->truncated && index->files->nkilled == 0 && index->npending == 0 &&
		index->next_file == index->settled_next_file && index->new_token == NULL;
}

void
keyindex_require_open(const KeyIndex *index)
{
	if (index->new_token)
		elog(ERROR, "key index was prepared and not settled");
}

uint32
keyindex_add_file(KeyIndex *index, const char *path, uint32 nrows)
{
	keyindex_require_open(index);
	if (index->next_file == KEY_NOT_FOUND)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot add data file \"%s\": the key index has used up its numbers of files", path)));
	(void) files_add(index->files, index->next_file, path, nrows);
	return index->next_file++;
}

void
keyindex_grow_file(KeyIndex *index, uint32 file, uint32 more)
{
	KeyFile    *f = files_get(index->files, file);

	keyindex_require_open(index);
	if (f == NULL || file < index->settled_next_file || more > PG_UINT32_MAX - f->nrows)
		elog(ERROR, "key index: data file %u cannot grow by %u rows", file, more);
	files_grow(index->files, f, more);
}

const char *
keyindex_file_path(KeyIndex *index, uint32 file)
{
	const KeyFile *f = files_get(index->files, file);

	if (f == NULL)
		elog(ERROR, "key index has no data file %u", file);
	return f->path;
}

uint32
keyindex_find_file(KeyIndex *index, const char *path)
{
	uint32		id = 0;
	KeyFile    *file;

	while ((file = files_next(index->files, &id)) != NULL)
	{
		if (strcmp(file->path, path) == 0)
			return file->id;
	}
	elog(ERROR, "key index has no data file \"%s\"", path);
}

static void
grow_pending(KeyIndex *index, uint32 n)
{
	uint32		capacity = Max(index->pending_capacity, PENDING_FIRST);

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

	keyindex_require_open(index);
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

	keyindex_require_open(index);
	if (f == NULL || row >= f->nrows)
		elog(ERROR, "key index: row %u of data file %u is not there", row, file);
	if (files_is_live(index->files, position))
		files_kill(index->files, position);
}

void
keyindex_discard(KeyIndex *index)
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
	keyindex_require_open(index);
	keyindex_discard(index);
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
	uint32	   *rows = palloc_array(uint32, KILLED_AT_ONCE);
	uint64	   *positions = palloc_array(uint64, KILLED_AT_ONCE);
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
		uint64		at = 0;
		uint32		nrows;

		while ((nrows = files_killed(touched[i], &at, rows, KILLED_AT_ONCE)) > 0)
		{
			for (uint32 j = 0; j < nrows; j++)
				positions[j] = rows[j];
			cb(touched[i]->path, positions, nrows, arg);
		}
	}
	pfree(touched);
	pfree(rows);
	pfree(positions);
	return files->nkilled;
}
