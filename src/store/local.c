/*-------------------------------------------------------------------------
 *
 * local.c
 *	  Store on a local directory: opening, reading, listing, removal.
 *
 * Files are opened as virtual file descriptors and not by OpenTransientFile:
 * a worker writes files in the middle of transactions it decodes, and their
 * aborts would close a transient file below our feet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "store/local.h"

/* A deeper tree is not one of ours. */
#define LIST_MAX_DEPTH 64

typedef struct LocalReader
{
	StoreReader base;
	File		file;			/* -1 once closed */
	MemoryContextCallback callback;
} LocalReader;

static const char *
local_path(const char *location)
{
	const char *p = location;

	if (strncmp(p, "file:", 5) == 0)
	{
		p += 5;
		if (strncmp(p, "//localhost/", 12) == 0)
			p += 11;
		else if (p[0] == '/' && p[1] == '/')
			p += 2;
		else if (p[0] != '/')
			return NULL;
	}
	else if (p[0] != '/')
		return NULL;
	return (*p == '/' || *p == '\0') ? p : NULL;
}

char *
local_file_path(Store *store, const char *name)
{
	return psprintf("%s/%s", ((LocalStore *) store)->root_path, store_key(store, name));
}

void
local_fail(const char *operation, const char *name)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s \"%s\": %m", operation, name)));
}

static Store *
local_open(const StoreConfig *config)
{
	LocalStore *store = palloc0(sizeof(LocalStore));

	store->root_path = local_path(config->root);
	return &store->base;
}

void
local_close_file(File *file)
{
	if (*file >= 0)
		FileClose(*file);
	*file = -1;
}

/*
 * Reading
 */

static void
local_reader_reset(void *arg)
{
	local_close_file(&((LocalReader *) arg)->file);
}

static void
local_reader_close(StoreReader *base)
{
	local_close_file(&((LocalReader *) base)->file);
}

static void
local_read(StoreReader *base, uint64 offset, size_t size, void *buffer)
{
	LocalReader *r = (LocalReader *) base;
	char	   *out = buffer;
	size_t		left = size;

	while (left > 0)
	{
		int			got;

		CHECK_FOR_INTERRUPTS();
		got = FileRead(r->file, out, (int) Min(left, LOCAL_IO_SIZE), (off_t) offset,
					   PG_WAIT_EXTENSION);
		if (got < 0)
			local_fail("read", base->name);
		if (got == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read \"%s\": it ends at offset " UINT64_FORMAT
							", %zu bytes short", base->name, offset, left)));
		out += got;
		offset += got;
		left -= got;
	}
	store_counters.reads++;
	store_counters.read_bytes += size;
}

static void
local_prefetch(StoreReader *base, uint64 offset, size_t size)
{
	for (size_t done = 0; done < size; done += LOCAL_IO_SIZE)
		(void) FilePrefetch(((LocalReader *) base)->file, (off_t) (offset + done),
							(int) Min(size - done, LOCAL_IO_SIZE), PG_WAIT_EXTENSION);
}

static StoreReader *
local_reader(Store *store, const char *name, int64 size)
{
	LocalReader *r = palloc0(sizeof(LocalReader));
	char	   *path = local_file_path(store, name);
	off_t		length;

	r->base.read = local_read;
	r->base.prefetch = local_prefetch;
	r->base.close = local_reader_close;
	r->base.name = pstrdup(name);
	r->file = -1;
	r->callback.func = local_reader_reset;
	r->callback.arg = r;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &r->callback);

	r->file = PathNameOpenFile(path, O_RDONLY | PG_BINARY);
	if (r->file < 0)
		local_fail("open", name);
	length = FileSize(r->file);
	if (length < 0)
		local_fail("find the size of", name);
	if (size >= 0 && length != size)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read \"%s\": it has " INT64_FORMAT " bytes instead of "
						INT64_FORMAT, name, (int64) length, size)));
	r->base.size = (uint64) length;
	pfree(path);
	return &r->base;
}

/*
 * Listing and removal
 */

typedef struct ListWalk
{
	const char *prefix;			/* as a path */
	const char *root_path;
	const char *root;			/* as the store's names begin */
	store_list_cb cb;
	void	   *arg;
} ListWalk;

/* Can anything below directory `path` begin with the prefix, or the other way round? */
static bool
may_match(const char *path, const char *prefix)
{
	return strncmp(path, prefix, Min(strlen(path), strlen(prefix))) == 0;
}

static List *
read_names(const char *directory)
{
	List	   *names = NIL;
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	/* a missing directory holds no objects */
	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names = lappend(names, pstrdup(entry->d_name));
	}
	FreeDir(dir);
	return names;
}

/*
 * Names are read whole before the callback sees them: it may remove files, and
 * an ERROR in it would leave the directory open for the session.  Symbolic
 * links are no objects: following one could leave the warehouse.
 */
static bool
walk(ListWalk *w, const char *directory, int depth)
{
	List	   *names;
	ListCell   *lc;
	bool		more = true;

	if (depth > LIST_MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot list \"%s\": directories are nested too deep", directory)));
	names = read_names(*directory ? directory : "/");
	foreach(lc, names)
	{
		char	   *path = psprintf("%s/%s", directory, (char *) lfirst(lc));
		struct stat st;

		CHECK_FOR_INTERRUPTS();
		if (may_match(path, w->prefix) && lstat(path, &st) == 0)
		{
			if (S_ISDIR(st.st_mode))
				more = walk(w, path, depth + 1);
			else if (S_ISREG(st.st_mode) && strlen(path) >= strlen(w->prefix))
			{
				char	   *name = psprintf("%s%s", w->root, path + strlen(w->root_path));

				more = w->cb(name, (uint64) st.st_size, w->arg);
				pfree(name);
			}
		}
		pfree(path);
		if (!more)
			break;
	}
	list_free_deep(names);
	return more;
}

static void
local_list(Store *base, const char *prefix, store_list_cb cb, void *arg)
{
	LocalStore *store = (LocalStore *) base;
	ListWalk	w;
	char	   *directory;

	w.prefix = local_file_path(base, prefix);
	w.root_path = store->root_path;
	w.root = base->root;
	w.cb = cb;
	w.arg = arg;
	directory = pstrdup(w.prefix);
	*strrchr(directory, '/') = '\0';
	(void) walk(&w, directory, 0);
}

static void
local_remove(Store *store, const char *name)
{
	char	   *path = local_file_path(store, name);

	if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
		local_fail("remove", name);
	pfree(path);
}

/*
 * Real path of the deepest directory of `path` that exists, so that a
 * symbolic link on the way does not hide where the files will be.
 */
static char *
resolve_existing(const char *path)
{
	char	   *copy = pstrdup(path);
	char	   *real;
	char	   *result;
	char	   *slash;

	while ((real = realpath(*copy ? copy : "/", NULL)) == NULL)
	{
		if (errno != ENOENT)
			local_fail("open warehouse", copy);
		slash = strrchr(copy, '/');
		if (slash == NULL)
			local_fail("open warehouse", path);
		*slash = '\0';
	}
	result = pstrdup(real);
	free(real);
	pfree(copy);
	return result;
}

/*
 * Files in the data directory would be copied by every base backup, and be
 * removed by what tidies it up.
 */
static void
local_check_writable(Store *base)
{
	LocalStore *store = (LocalStore *) base;
	char	   *path = resolve_existing(store->root_path);
	char	   *data = resolve_existing(DataDir);
	size_t		length = strlen(data);

	if (strncmp(path, data, length) == 0 && (path[length] == '/' || path[length] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("warehouse \"%s\" lies inside the data directory \"%s\"", base->root, data),
				 errhint("Choose a directory outside of it that the server's user may write.")));
	pfree(path);
	pfree(data);
}

const StoreOps store_local_ops = {
	.scheme = "file",
	.path = local_path,
	.open = local_open,
	.check_writable = local_check_writable,
	.reader = local_reader,
	.create = local_create,
	.list = local_list,
	.remove = local_remove
};
