/*-------------------------------------------------------------------------
 *
 * range.h
 *	  Few large reads in place of many small ones, for stores where a request
 *	  costs more than the bytes it brings.
 *
 * A small object is fetched whole at the first read.  Of a larger one, the
 * ranges announced by range_want() that lie close together are fetched with
 * one request when the first of them is read.  Anything else is read as asked.
 * At most one fetched stretch is kept: RANGE_MERGED_SIZE bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_RANGE_H
#define TARN_STORE_RANGE_H

#include "postgres.h"

/* Objects up to this size are fetched whole. */
#define RANGE_WHOLE_SIZE (1024 * 1024)

/* A gap that is cheaper to read over than to make two requests for. */
#define RANGE_GAP_SIZE (256 * 1024)

/* No merged request is larger. */
#define RANGE_MERGED_SIZE (8 * 1024 * 1024)

typedef void (*range_fetch) (void *arg, uint64 offset, size_t size, void *buffer);

typedef struct RangeCache RangeCache;

/* In the current memory context; `size` is the object's. */
extern RangeCache *range_open(range_fetch fetch, void *arg, uint64 size);

/* These bytes will be read soon.  Forgotten when there are too many. */
extern void range_want(RangeCache *c, uint64 offset, size_t size);

/* The range lies inside the object. */
extern void range_read(RangeCache *c, uint64 offset, size_t size, void *buffer);

/* Frees what it keeps. */
extern void range_close(RangeCache *c);

#endif							/* TARN_STORE_RANGE_H */
