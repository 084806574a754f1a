/*-------------------------------------------------------------------------
 *
 * local.h
 *	  What the files of the driver of local directories share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_LOCAL_H
#define TARN_STORE_LOCAL_H

#include "postgres.h"

#include <sys/stat.h>

#include "storage/fd.h"
#include "store/internal.h"

/* One call to the kernel, so that a cancel is heard in between. */
#define LOCAL_IO_SIZE (4 * 1024 * 1024)

typedef struct LocalStore
{
	Store		base;
	const char *root_path;		/* inside base.root: "" is the root of the file system */
	mode_t		dir_mode;		/* 0 until the root has been looked at */
	mode_t		file_mode;
} LocalStore;

/* Path of an object in the file system. */
extern char *local_file_path(Store *store, const char *name);

/* Raises what errno says. */
extern void local_fail(const char *operation, const char *name);

/* Closes a file unless it is -1, and makes it -1. */
extern void local_close_file(File *file);

/* Of the other file, for the table. */
extern StoreWriter *local_create(Store *base, const char *name, int flags);

#endif							/* TARN_STORE_LOCAL_H */
