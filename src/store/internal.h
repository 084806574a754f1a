/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the drivers of a store share; for files of this folder only.
 *
 * A driver gets names that store.c has checked: they lie under the root and
 * hold no ".." segment.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_INTERNAL_H
#define TARN_STORE_INTERNAL_H

#include "base/compat.h"
#include "store/store.h"

extern const StoreOps store_local_ops;
extern const StoreOps store_s3_ops;

/* The object's path below the root, without a slash in front; checks the name. */
extern const char *store_key(Store *store, const char *name);

/* Raises ERRCODE_PROGRAM_LIMIT_EXCEEDED. */
pg_noreturn extern void store_too_large(const char *name, uint64 size, size_t max_size);

#endif							/* TARN_STORE_INTERNAL_H */
