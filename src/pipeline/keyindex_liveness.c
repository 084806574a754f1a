/*-------------------------------------------------------------------------
 *
 * keyindex_liveness.c
 *	  The data files a key index knows, and which of their rows live.
 *
 * Dead keys leave no tombstones in the segments: a hit is looked up here,
 * and merges drop what is dead.  A plain bitmap costs a bit a row and 9 ns a
 * test; a compressed one would save memory where few rows are dead, at 133.
 * A file without dead rows has none, and one without live rows is forgotten.
 *
 * What was killed since the last settle can be taken back: a file keeps a
 * list of these rows, and when the list would outgrow the bitmap, the bitmap
 * as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pipeline/keyindex_internal.h"

#define FILE_PAGE_SIZE (1 << FILE_PAGE_BITS)

KeyFiles *
files_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "key index files", ALLOCSET_DEFAULT_SIZES);
	KeyFiles   *files = MemoryContextAllocZero(context, sizeof(KeyFiles));

	files->context = context;
	return files;
}

KeyFile *
files_add(KeyFiles *files, uint32 id, const char *path, uint32 nrows)
{
	MemoryContext old = MemoryContextSwitchTo(files->context);
	uint32		page = id >> FILE_PAGE_BITS;
	KeyFile    *file;

	if (page >= files->npages)
	{
		uint32		npages = Max(page + 1, files->npages * 2);

		if (files->pages == NULL)
			files->pages = palloc0((Size) npages * sizeof(KeyFile **));
		else
		{
			files->pages = repalloc(files->pages, (Size) npages * sizeof(KeyFile **));
			memset(files->pages + files->npages, 0, (Size) (npages - files->npages) * sizeof(KeyFile **));
		}
		files->npages = npages;
	}
	if (files->pages[page] == NULL)
		files->pages[page] = palloc0(FILE_PAGE_SIZE * sizeof(KeyFile *));

	file = palloc0(sizeof(KeyFile));
	file->id = id;
	file->nrows = nrows;
	file->nlive = nrows;
	file->path = pstrdup(path);
	files->pages[page][id & (FILE_PAGE_SIZE - 1)] = file;
	files->nfiles++;
	files->nlive += nrows;
	MemoryContextSwitchTo(old);
	return file;
}

/* A bitmap of the file's rows gets so many more bits, set. */
static uint64 *
grow_bitmap(uint64 *map, uint32 nrows, uint32 more)
{
	uint32		i = nrows;

	if (map == NULL)
		return NULL;
	map = repalloc_huge(map, BITMAP_WORDS((uint64) nrows + more) * sizeof(uint64));
	/* a word that was begun, then whole ones */
	for (; i % 64 != 0 && i < nrows + more; i++)
		bitmap_set(map, i);
	if (i < nrows + more)
		bitmap_fill(map + i / 64, nrows + more - i);
	return map;
}

void
files_grow(KeyFiles *files, KeyFile *file, uint32 more)
{
	file->live = grow_bitmap(file->live, file->nrows, more);
	file->before = grow_bitmap(file->before, file->nrows, more);
	file->nrows += more;
	file->nlive += more;
	files->nlive += more;
}

KeyFile *
files_next(const KeyFiles *files, uint32 *id)
{
	while (*id >> FILE_PAGE_BITS < files->npages)
	{
		KeyFile    *file;

		if (files->pages[*id >> FILE_PAGE_BITS] == NULL)
		{
			*id = ((*id >> FILE_PAGE_BITS) + 1) << FILE_PAGE_BITS;
			continue;
		}
		file = files_get(files, (*id)++);
		if (file != NULL)
			return file;
	}
	return NULL;
}

static void
free_array(void *pointer)
{
	if (pointer)
		pfree(pointer);
}

/* Nothing of the file may be waiting for a settle. */
void
files_remove(KeyFiles *files, KeyFile *file)
{
	uint32		page = file->id >> FILE_PAGE_BITS;
	bool		empty = true;

	Assert(!file->touched);
	files->pages[page][file->id & (FILE_PAGE_SIZE - 1)] = NULL;
	for (uint32 i = 0; i < FILE_PAGE_SIZE && empty; i++)
		empty = files->pages[page][i] == NULL;
	if (empty)
	{
		pfree(files->pages[page]);
		files->pages[page] = NULL;
	}
	files->nfiles--;
	files->nlive -= file->nlive;
	free_array(file->live);
	pfree(file->path);
	pfree(file);
}

uint64 *
files_make_live(KeyFiles *files, KeyFile *file)
{
	if (file->live == NULL)
	{
		file->live = MemoryContextAllocHuge(files->context,
											BITMAP_WORDS(file->nrows) * sizeof(uint64));
		bitmap_fill(file->live, file->nrows);
	}
	return file->live;
}

/* The list has got as long as a bitmap: keep that instead, with the listed rows alive again. */
static void
list_to_bitmap(KeyFiles *files, KeyFile *file)
{
	Size		size = BITMAP_WORDS(file->nrows) * sizeof(uint64);

	file->before = MemoryContextAllocHuge(files->context, size);
	memcpy(file->before, file->live, size);
	for (uint32 i = 0; i < file->nkilled; i++)
		bitmap_set(file->before, file->killed[i]);
	free_array(file->killed);
	file->killed = NULL;
	file->killed_capacity = 0;
}

/* Makes room for one more row, in the list or by turning it into a bitmap. */
static void
grow_killed(KeyFiles *files, KeyFile *file)
{
	uint32		capacity = Max(file->killed_capacity * 2, 8);

	if (capacity > 8 && capacity > file->nrows / 32)
		list_to_bitmap(files, file);
	else if (file->killed == NULL)
		file->killed = MemoryContextAlloc(files->context, capacity * sizeof(uint32));
	else
		file->killed = repalloc(file->killed, capacity * sizeof(uint32));
	if (file->before == NULL)
		file->killed_capacity = capacity;
}

void
files_kill(KeyFiles *files, KeyPosition position)
{
	KeyFile    *file = files_get(files, position.file);
	uint64	   *live = files_make_live(files, file);

	Assert(bitmap_get(live, position.row));
	if (!file->touched)
	{
		file->touched = true;
		file->next_touched = files->touched;
		files->touched = file;
	}
	if (file->before == NULL && file->nkilled == file->killed_capacity)
		grow_killed(files, file);
	if (file->before == NULL)
		file->killed[file->nkilled] = position.row;
	file->nkilled++;
	bitmap_unset(live, position.row);
	file->nlive--;
	files->nlive--;
	files->nkilled++;
}

static void
forget_killed(KeyFile *file)
{
	free_array(file->killed);
	free_array(file->before);
	file->killed = NULL;
	file->before = NULL;
	file->nkilled = 0;
	file->killed_capacity = 0;
	file->touched = false;
}

void
files_undo(KeyFiles *files)
{
	KeyFile    *next;

	for (KeyFile *file = files->touched; file != NULL; file = next)
	{
		next = file->next_touched;
		if (file->before)
			memcpy(file->live, file->before, BITMAP_WORDS(file->nrows) * sizeof(uint64));
		else
		{
			for (uint32 i = 0; i < file->nkilled; i++)
				bitmap_set(file->live, file->killed[i]);
		}
		file->nlive += file->nkilled;
		files->nlive += file->nkilled;
		forget_killed(file);
	}
	files->touched = NULL;
	files->nkilled = 0;
}

void
files_settle(KeyFiles *files)
{
	KeyFile    *next;

	for (KeyFile *file = files->touched; file != NULL; file = next)
	{
		next = file->next_touched;
		forget_killed(file);
		if (file->nlive == 0)
			files_remove(files, file);
	}
	files->touched = NULL;
	files->nkilled = 0;
}

static int
compare_rows(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

static uint32
killed_from_list(KeyFile *file, uint64 *at, uint32 *rows, uint32 most)
{
	uint32		n = Min(most, file->nkilled - (uint32) *at);

	/* nobody minds the order */
	if (*at == 0 && file->nkilled > 0)
		qsort(file->killed, file->nkilled, sizeof(uint32), compare_rows);
	if (n > 0)
		memcpy(rows, file->killed + *at, n * sizeof(uint32));
	*at += n;
	return n;
}

static uint32
killed_from_bitmap(const KeyFile *file, uint64 *at, uint32 *rows, uint32 most)
{
	uint32		n = 0;

	for (; *at < BITMAP_WORDS(file->nrows) && most - n >= 64; (*at)++)
	{
		uint64		dead = file->before[*at] & ~file->live[*at];

		while (dead != 0)
		{
			rows[n++] = (uint32) (*at * 64 + pg_rightmost_one_pos64(dead));
			dead &= dead - 1;
		}
	}
	return n;
}

uint32
files_killed(KeyFile *file, uint64 *at, uint32 *rows, uint32 most)
{
	Assert(most >= 64);
	if (file->before == NULL)
		return killed_from_list(file, at, rows, most);
	return killed_from_bitmap(file, at, rows, most);
}
