/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Bounded reads from bytes that came out of a file.
 *
 * Every parser of tarn reads through a Cursor, so that there is one place
 * where a length from a file meets the bytes that remain.  Reads never pass
 * `end`; a read that would raises ERRCODE_DATA_CORRUPTED with the cursor's
 * `what` and `object` in the message and the byte offset in the detail.
 *
 * Thread safety: none needed.  Allocation: none.  Byte order: the names say
 * it (le = little endian, be = big endian).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_CURSOR_H
#define TARN_BASE_CURSOR_H

#include "postgres.h"

#include "base/compat.h"

typedef struct Cursor
{
	const uint8 *start;			/* first byte of the block */
	const uint8 *pos;			/* next byte to read */
	const uint8 *end;			/* one past the last byte */
	uint64		file_offset;	/* offset of `start` in the object */
	const char *what;			/* "Parquet page header", for messages */
	const char *object;			/* name of the file, or NULL */
} Cursor;

extern void cursor_init(Cursor *c, const void *data, size_t size,
						const char *what, const char *object, uint64 file_offset);

/* Raise ERRCODE_DATA_CORRUPTED: could not read <what> in "<object>": <problem> */
pg_noreturn extern void cursor_fail(const Cursor *c, const char *fmt,...) pg_attribute_printf(2, 3);

/* Fails unless `size` more bytes are there; the slow half of the readers. */
pg_noreturn extern void cursor_short(const Cursor *c, uint64 size);

static inline size_t
cursor_left(const Cursor *c)
{
	return (size_t) (c->end - c->pos);
}

static inline void
cursor_need(const Cursor *c, uint64 size)
{
	if (unlikely(size > cursor_left(c)))
		cursor_short(c, size);
}

/* Returns the next `size` bytes in place, and passes them. */
static inline const uint8 *
cursor_bytes(Cursor *c, uint64 size)
{
	const uint8 *p = c->pos;

	cursor_need(c, size);
	c->pos += size;
	return p;
}

static inline uint8
cursor_u8(Cursor *c)
{
	return *cursor_bytes(c, 1);
}

static inline uint32
cursor_u32le(Cursor *c)
{
	uint32		v;

	memcpy(&v, cursor_bytes(c, 4), 4);
	return v;
}

static inline uint64
cursor_u64le(Cursor *c)
{
	uint64		v;

	memcpy(&v, cursor_bytes(c, 8), 8);
	return v;
}

/* ULEB128 of at most 10 bytes; more, or bits past 64, is corruption. */
extern uint64 cursor_varint(Cursor *c);

/* The zigzag form of the same (Thrift compact, Avro). */
static inline int64
cursor_zigzag(Cursor *c)
{
	uint64		v = cursor_varint(c);

	return (int64) (v >> 1) ^ -(int64) (v & 1);
}

#endif							/* TARN_BASE_CURSOR_H */
