/*-------------------------------------------------------------------------
 *
 * local.c
 *	  Store on a local directory.
 *
 * It keeps the habits of an object store: a writer makes the object under its
 * final name (O_EXCL) and an object is complete when finish has synced file
 * and directory.  Writing beside it and renaming would be the usual way, but
 * no other store can rename, names are unique by a uuid, and readers learn of
 * a file only from metadata written after it.
 *
 * Files are opened as virtual file descriptors and not by OpenTransientFile:
 * a worker writes files in the middle of transactions it decodes, and their
 * aborts would close a transient file below our feet.
 *
 * Permissions follow the root's: what the owner of the directory lets others
 * see of it, they may see of the files in it, so that other engines can read
 * a lake although the server's umask is 077.
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

#include "store/internal.h"
#include "store/store.h"

/* Small writes are gathered; a Parquet page mostly passes by. */
#define WRITE_BUFFER_SIZE (128 * 1024)

/* One call to the kernel, so that a cancel is heard in between. */
#define IO_CHUNK_SIZE (4 * 1024 * 1024)

/* A deeper tree is not one of ours. */
#define LIST_MAX_DEPTH 64

typedef struct LocalStore
{
	Store		base;
	const char *root_path;		/* inside base.root: "" is the root of the file system */
	mode_t		dir_mode;		/* 0 until the root has been looked at */
	mode_t		file_mode;
} LocalStore;

typedef struct LocalReader
{
	StoreReader base;
	File		file;			/* -1 once closed */
	MemoryContextCallback callback;
} LocalReader;

typedef struct LocalWriter
{
	StoreWriter base;
	char	   *path;
	File		file;			/* -1 once finished or aborted */
	off_t		offset;			/* of the next byte to go to the file */
	size_t		buffered;
	char	   *buffer;
	MemoryContextCallback callback;
} LocalWriter;

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

static char *
file_path(Store *store, const char *name)
{
	return psprintf("%s/%s", ((LocalStore *) store)->root_path, store_key(store, name));
}

static void
fail(const char *operation, const char *name)
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

static void
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
		got = FileRead(r->file, out, (int) Min(left, IO_CHUNK_SIZE), (off_t) offset,
					   PG_WAIT_EXTENSION);
		if (got < 0)
			fail("read", base->name);
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
	for (size_t done = 0; done < size; done += IO_CHUNK_SIZE)
		(void) FilePrefetch(((LocalReader *) base)->file, (off_t) (offset + done),
							(int) Min(size - done, IO_CHUNK_SIZE), PG_WAIT_EXTENSION);
}

static StoreReader *
local_reader(Store *store, const char *name, int64 size)
{
	LocalReader *r = palloc0(sizeof(LocalReader));
	char	   *path = file_path(store, name);
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
		fail("open", name);
	length = FileSize(r->file);
	if (length < 0)
		fail("find the size of", name);
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
 * Writing
 */

static void
sync_directory_of(const char *path)
{
	char	   *parent = pstrdup(path);
	char	   *slash = strrchr(parent, '/');

	/* ERROR and not data_sync_elevel: what is lost here is written again, no reason to PANIC */
	slash[slash == parent ? 1 : 0] = '\0';
	(void) fsync_fname_ext(parent, true, false, ERROR);
	pfree(parent);
}

/* Makes the directory and those above it that are missing. */
static void
make_directory(const char *path, mode_t mode)
{
	struct stat st;
	char	   *parent;
	char	   *slash;

	if (stat(path, &st) == 0)
	{
		if (!S_ISDIR(st.st_mode))
		{
			errno = ENOTDIR;
			fail("create directory", path);
		}
		return;
	}
	parent = pstrdup(path);
	slash = strrchr(parent, '/');
	if (slash != NULL && slash != parent)
	{
		*slash = '\0';
		make_directory(parent, mode);
	}
	pfree(parent);

	/* somebody else may be making the same one */
	if (mkdir(path, mode) != 0)
	{
		if (errno != EEXIST)
			fail("create directory", path);
		return;
	}
	/* the server's umask took away what the root grants */
	if (chmod(path, mode) != 0)
		fail("set permissions of directory", path);
	sync_directory_of(path);
}

/* Looks at the root, making it when it is not there. */
static void
find_modes(LocalStore *store)
{
	const char *root = *store->root_path ? store->root_path : "/";
	struct stat st;

	if (stat(root, &st) != 0)
	{
		if (errno != ENOENT)
			fail("open warehouse", root);
		make_directory(root, S_IRWXU);
		st.st_mode = S_IRWXU;
	}
	store->dir_mode = (st.st_mode & 0777) | S_IRWXU;
	store->file_mode = store->dir_mode & 0666;
}

static void
local_writer_discard(LocalWriter *w)
{
	if (w->file < 0)
		return;
	local_close_file(&w->file);
	if (unlink(w->path) != 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove unfinished file \"%s\": %m", w->path)));
}

static void
local_writer_reset(void *arg)
{
	local_writer_discard((LocalWriter *) arg);
}

static void
local_abort(StoreWriter *base)
{
	local_writer_discard((LocalWriter *) base);
}

static void
write_out(LocalWriter *w, const char *data, size_t size)
{
	while (size > 0)
	{
		int			done;

		CHECK_FOR_INTERRUPTS();
		errno = 0;
		done = FileWrite(w->file, unconstify(char *, data), (int) Min(size, IO_CHUNK_SIZE),
						 w->offset, PG_WAIT_EXTENSION);
		if (done <= 0)
		{
			/* a write that stops without a reason found the disk full */
			if (errno == 0)
				errno = ENOSPC;
			fail("write", w->base.name);
		}
		data += done;
		w->offset += done;
		size -= done;
	}
}

static void
local_write(StoreWriter *base, const void *data, size_t size)
{
	LocalWriter *w = (LocalWriter *) base;

	if (w->buffered + size > WRITE_BUFFER_SIZE)
	{
		write_out(w, w->buffer, w->buffered);
		w->buffered = 0;
	}
	if (size >= WRITE_BUFFER_SIZE)
	{
		write_out(w, data, size);
		return;
	}
	memcpy(w->buffer + w->buffered, data, size);
	w->buffered += size;
}

static void
local_finish(StoreWriter *base)
{
	LocalWriter *w = (LocalWriter *) base;

	write_out(w, w->buffer, w->buffered);
	w->buffered = 0;
	if (FileSync(w->file, PG_WAIT_EXTENSION) != 0)
		fail("sync", base->name);
	sync_directory_of(w->path);
	local_close_file(&w->file);
	pfree(w->buffer);
	w->buffer = NULL;
	store_counters.writes++;
	store_counters.write_bytes += base->size;
}

static File
create_file(LocalStore *store, const char *path, const char *name, int flags)
{
	File		file;

	for (int attempt = 0; attempt < 10; attempt++)
	{
		char	   *directory;

		file = PathNameOpenFilePerm(path, O_RDWR | O_CREAT | O_EXCL | PG_BINARY,
									store->file_mode);
		if (file >= 0)
			return file;
		if (errno == EEXIST && (flags & STORE_IF_ABSENT) == 0)
		{
			/* a new file and not O_TRUNC: who reads the old object reads it to its end */
			if (unlink(path) != 0 && errno != ENOENT)
				fail("replace", name);
			continue;
		}
		if (errno != ENOENT)
			break;
		directory = pstrdup(path);
		*strrchr(directory, '/') = '\0';
		make_directory(*directory ? directory : "/", store->dir_mode);
		pfree(directory);
	}
	fail("create", name);
	return -1;					/* not reached */
}

static StoreWriter *
local_create(Store *base, const char *name, int flags)
{
	LocalStore *store = (LocalStore *) base;
	LocalWriter *w = palloc0(sizeof(LocalWriter));

	if (store->dir_mode == 0)
		find_modes(store);

	w->base.write = local_write;
	w->base.finish = local_finish;
	w->base.abort = local_abort;
	w->base.name = pstrdup(name);
	w->path = file_path(base, name);
	w->buffer = palloc(WRITE_BUFFER_SIZE);
	w->file = -1;
	w->callback.func = local_writer_reset;
	w->callback.arg = w;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->callback);

	w->file = create_file(store, w->path, name, flags);
	if (chmod(w->path, store->file_mode) != 0)
		fail("set permissions of", name);
	return &w->base;
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

	w.prefix = file_path(base, prefix);
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
	char	   *path = file_path(store, name);

	if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
		fail("remove", name);
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
			fail("open warehouse", copy);
		slash = strrchr(copy, '/');
		if (slash == NULL)
			fail("open warehouse", path);
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
