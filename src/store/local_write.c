/*-------------------------------------------------------------------------
 *
 * local_write.c
 *	  Store on a local directory: writing.
 *
 * It keeps the habits of an object store: a writer makes the object under its
 * final name (O_EXCL) and an object is complete when finish has synced file
 * and directory.  Writing beside it and renaming would be the usual way, but
 * no other store can rename, names are unique by a uuid, and readers learn of
 * a file only from metadata written after it.
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
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "store/local.h"

/* Small writes are gathered; a Parquet page mostly passes by. */
#define WRITE_BUFFER_SIZE (128 * 1024)

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
			local_fail("create directory", path);
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
			local_fail("create directory", path);
		return;
	}
	/* the server's umask took away what the root grants */
	if (chmod(path, mode) != 0)
		local_fail("set permissions of directory", path);
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
			local_fail("open warehouse", root);
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
		done = FileWrite(w->file, unconstify(char *, data), (int) Min(size, LOCAL_IO_SIZE),
						 w->offset, PG_WAIT_EXTENSION);
		if (done <= 0)
		{
			/* a write that stops without a reason found the disk full */
			if (errno == 0)
				errno = ENOSPC;
			local_fail("write", w->base.name);
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
		local_fail("sync", base->name);
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
				local_fail("replace", name);
			continue;
		}
		if (errno != ENOENT)
			break;
		directory = pstrdup(path);
		*strrchr(directory, '/') = '\0';
		make_directory(*directory ? directory : "/", store->dir_mode);
		pfree(directory);
	}
	local_fail("create", name);
	return -1;					/* not reached */
}

StoreWriter *
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
	w->path = local_file_path(base, name);
	w->buffer = palloc(WRITE_BUFFER_SIZE);
	w->file = -1;
	w->callback.func = local_writer_reset;
	w->callback.arg = w;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->callback);

	w->file = create_file(store, w->path, name, flags);
	if (chmod(w->path, store->file_mode) != 0)
		local_fail("set permissions of", name);
	return &w->base;
}
