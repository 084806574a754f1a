/*-------------------------------------------------------------------------
 *
 * memory_io.h
 *	  Named objects in memory, for tests of what writes tables.
 *
 * Holds to the rules of a store: an object is written once, reading one that
 * is not there is an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_TEST_MEMORY_IO_H
#define TARN_TEST_MEMORY_IO_H

#include "postgres.h"

#include "iceberg/commit.h"

typedef struct MemoryObject
{
	char	   *name;
	char	   *data;
	size_t		size;
	bool		referenced;		/* for the caller */
} MemoryObject;

typedef struct MemoryIo
{
	int			n;
	int			capacity;
	MemoryObject *objects;		/* ordered by name */
	int64		reads;
	int64		writes;
	int64		write_bytes;
	MemoryContext context;
} MemoryIo;

extern MemoryIo *memory_io_create(IcebergIo *io);
extern MemoryObject *memory_io_find(MemoryIo *m, const char *name); /* or NULL */
extern void memory_io_put(MemoryIo *m, const char *name, const void *data, size_t size);
extern bool memory_io_remove(MemoryIo *m, const char *name);	/* was it there? */

#endif							/* TARN_TEST_MEMORY_IO_H */
