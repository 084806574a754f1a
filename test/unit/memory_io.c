/*-------------------------------------------------------------------------
 *
 * memory_io.c
 *	  Named objects in memory, for tests of what writes tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "memory_io.h"
#include "utils/memutils.h"

/* Where `name` is, or would be. */
static int
position(const MemoryIo *m, const char *name, bool *found)
{
	int			low = 0;
	int			high = m->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (strcmp(m->objects[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < m->n && strcmp(m->objects[low].name, name) == 0;
	return low;
}

MemoryObject *
memory_io_find(MemoryIo *m, const char *name)
{
	bool		found;
	int			at = position(m, name, &found);

	return found ? &m->objects[at] : NULL;
}

void
memory_io_put(MemoryIo *m, const char *name, const void *data, size_t size)
{
	MemoryContext old = MemoryContextSwitchTo(m->context);
	bool		found;
	int			at = position(m, name, &found);
	MemoryObject *o;

	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("object \"%s\" was written already", name)));
	if (m->n == m->capacity)
	{
		m->capacity = Max(m->capacity * 2, 64);
		m->objects = m->objects ? repalloc(m->objects, sizeof(MemoryObject) * m->capacity) :
			palloc(sizeof(MemoryObject) * m->capacity);
	}
	o = &m->objects[at];
	memmove(o + 1, o, sizeof(MemoryObject) * (m->n - at));
	m->n++;
	o->name = pstrdup(name);
	o->data = palloc(size + 1);
	memcpy(o->data, data, size);
	o->size = size;
	o->referenced = false;
	m->writes++;
	m->write_bytes += size;
	MemoryContextSwitchTo(old);
}

bool
memory_io_remove(MemoryIo *m, const char *name)
{
	bool		found;
	int			at = position(m, name, &found);
	MemoryObject *o = &m->objects[at];

	if (!found)
		return false;
	pfree(o->name);
	pfree(o->data);
	memmove(o, o + 1, sizeof(MemoryObject) * (m->n - at - 1));
	m->n--;
	return true;
}

static char *
io_get(void *arg, const char *path, int64 length, bool missing_ok, size_t *size)
{
	MemoryIo   *m = arg;
	MemoryObject *o = memory_io_find(m, path);
	char	   *copy;

	m->reads++;
	if (o == NULL)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("object \"%s\" does not exist", path)));
	}
	if (length >= 0 && (size_t) length != o->size)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object \"%s\" has %zu bytes, not %lld", path, o->size, (long long) length)));
	copy = palloc(o->size + 1);
	memcpy(copy, o->data, o->size);
	copy[o->size] = '\0';
	*size = o->size;
	return copy;
}

static void
io_put(void *arg, const char *path, const void *data, size_t size)
{
	memory_io_put(arg, path, data, size);
}

MemoryIo *
memory_io_create(IcebergIo *io)
{
	MemoryIo   *m = palloc0(sizeof(MemoryIo));

	m->context = AllocSetContextCreate(CurrentMemoryContext, "objects", ALLOCSET_DEFAULT_SIZES);
	io->get = io_get;
	io->put = io_put;
	io->arg = m;
	return m;
}
