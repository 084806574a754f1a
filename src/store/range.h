/*-------------------------------------------------------------------------
 *
 * range.h
 *	  Few large reads in place of many small ones, begun before they are
 *	  needed, for stores where a request costs more than the bytes it brings.
 *
 * A small object is fetched whole at the first read.  Of a larger one, the
 * ranges announced by range_want() that lie close together are fetched with
 * one request: a stretch.  Stretches are begun at the next read or by
 * range_start(), several at a time, and go on while what came before is
 * decoded.  Anything else is read as asked.
 *
 * A stretch is let go when what was announced of it has been read.  All
 * stretches of a process together hold at most RANGE_BUDGET bytes, but for
 * the one that a read waits for.
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

/* No stretch is longer unless one range is. */
#define RANGE_MERGED_SIZE (8 * 1024 * 1024)

#define RANGE_BUDGET (32 * 1024 * 1024)

/* Where the bytes come from. */
typedef struct RangeSource
{
	/* brings the bytes */
	void		(*fetch) (void *arg, uint64 offset, size_t size, void *buffer);
	/* begins to bring them; what it returns is in the current memory context, whose deletion ends it */
	void	   *(*start) (void *arg, uint64 offset, size_t size, void *buffer);
	/* waits for the bytes, once */
	void		(*finish) (void *arg, void *started, uint64 offset, size_t size, void *buffer);
	/* moves on what was begun, without waiting */
	void		(*poll) (void *arg);
} RangeSource;

typedef struct RangeCache RangeCache;

/* In the current memory context; `size` is the object's. */
extern RangeCache *range_open(const RangeSource *source, void *arg, uint64 size);

/* These bytes will be read soon.  Forgotten when there are too many. */
extern void range_want(RangeCache *c, uint64 offset, size_t size);

/* Begins to fetch what is wanted, as far as the budget goes. */
extern void range_start(RangeCache *c);

/* The range lies inside the object. */
extern void range_read(RangeCache *c, uint64 offset, size_t size, void *buffer);

/* Ends what is under way and frees what it keeps. */
extern void range_close(RangeCache *c);

#endif							/* TARN_STORE_RANGE_H */
