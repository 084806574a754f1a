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

/* No byte above 127?  (The loop vectorises.) */
static inline bool
utf8_is_ascii(const char *data, size_t size)
{
	uint8		all = 0;

	for (size_t i = 0; i < size; i++)
		all |= (uint8) data[i];
	return all < 0x80;
}

/* Writes a code point (at most U+10FFFF, no surrogate) as one to four bytes; returns what follows them. */
extern char *utf8_put(char *out, uint32 code);

/* Characters of valid UTF-8: bytes that do not continue one.  (The loop vectorises; pg_mbstrlen goes by characters.) */
static inline uint32
utf8_length(const char *data, uint32 size)
{
	uint32		n = 0;

	for (uint32 i = 0; i < size; i++)
		n += ((uint8) data[i] & 0xc0) != 0x80;
	return n;
}

#endif							/* TARN_BASE_UTF8_H */
