/*-------------------------------------------------------------------------
 *
 * deflate.h
 *	  Raw deflate (RFC 1951) as Avro blocks use it; the module's own header.
 *
 * zlib's memory comes from the current memory context, so that an ERROR
 * frees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_AVRO_DEFLATE_H
#define TARN_AVRO_DEFLATE_H

#include "postgres.h"

#include "base/cursor.h"

/*
 * Expands `in` (with gzip's header and trailer when `gzip`) to palloc'd
 * memory; fails through `c` (ERRCODE_DATA_CORRUPTED) when it is damaged or
 * would be larger than `limit`.
 */
extern char *avro_inflate(const Cursor *c, const void *in, size_t in_size, bool gzip,
						  size_t limit, size_t *size);

/* Compresses to palloc'd memory. */
extern char *avro_deflate(const void *in, size_t in_size, size_t *size);

/* Doubles *capacity up to `limit`, or fails through `c`. */
extern char *avro_grow(const Cursor *c, char *buffer, size_t *capacity, size_t limit);

#endif							/* TARN_AVRO_DEFLATE_H */
