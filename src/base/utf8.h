/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  Validity of UTF-8 (RFC 3629: no surrogates, no overlong forms, at most
 *	  U+10FFFF), without the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_UTF8_H
#define TARN_BASE_UTF8_H

#include "postgres.h"

/*
 * Bytes at the front of `data` that are valid: `size` when all are.  With
 * `text`, a NUL byte ends the valid part as well: PostgreSQL's text has none.
 */
extern size_t utf8_valid_prefix(const char *data, size_t size, bool text);

static inline bool
utf8_is_valid(const char *data, size_t size)
{
	return utf8_valid_prefix(data, size, false) == size;
}

#endif							/* TARN_BASE_UTF8_H */
