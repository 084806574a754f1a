/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  The encodings of Parquet pages, decoding side.
 *
 * A decoder turns a block of bytes into `n` dense values (nulls have none in
 * the page).  Fixed-width values go to a flat array, byte strings to the end
 * of a ColumnVector.
 *
 * Padding.  Every block is followed by PARQUET_PADDING readable bytes, and
 * every output array by as many writable ones: kernels work in groups of
 * eight values and never look where exactly the end is.  What they read
 * there does not reach the result.
 *
 * Errors: damage raises ERRCODE_DATA_CORRUPTED through parquet_fail().  No
 * decoder allocates by a number from the file that the block or `n` does not
 * bound, but for DELTA_BYTE_ARRAY, whose values may share bytes: there
 * PARQUET_MAX_PAGE is the limit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_DECODE_H
#define TARN_PARQUET_DECODE_H

#include "postgres.h"

#include "base/compat.h"
#include "column/vector.h"
#include "parquet/format.h"

#define PARQUET_PADDING 64

/* Largest page taken, decompressed; the format's own limit is 2 GB, writers stay near 1 MB. */
#define PARQUET_MAX_PAGE ((uint64) 0x3fffff00)

/* Where in which file, for messages. */
typedef struct ParquetPlace
{
	const char *file;
	const char *column;			/* NULL: the file as a whole */
	int			group;
	uint64		offset;
} ParquetPlace;

/*
 * Raise ERRCODE_DATA_CORRUPTED: could not read Parquet file "<file>": <problem>,
 * detail: Column "<column>", row group <group>, offset <offset>.
 */
pg_noreturn extern void parquet_fail(const ParquetPlace *place, const char *fmt,...)
			pg_attribute_printf(2, 3);

/* The same for sound bytes that tarn cannot represent: ERRCODE_FEATURE_NOT_SUPPORTED. */
pg_noreturn extern void parquet_refuse(const ParquetPlace *place, const char *fmt,...)
			pg_attribute_printf(2, 3);

typedef struct ParquetBlock
{
	const uint8 *data;
	size_t		size;
	const ParquetPlace *place;
} ParquetBlock;

/*
 * unpack.c: bit-packed integers of `width` bits, lowest bit first.  Writes n
 * values rounded up to a multiple of 8.
 */
extern void parquet_unpack32(const uint8 *in, uint32 width, uint32 n, uint32 *out);	/* width 0..32 */
extern void parquet_unpack64(const uint8 *in, uint32 width, uint32 n, uint64 *out);	/* width 0..64 */

/* decode_rle.c: the hybrid of runs and bit-packed groups, width 0..32. */
extern void parquet_decode_rle(const ParquetBlock *in, uint32 width, uint32 n, uint32 *out);

/*
 * decode_levels.c: n definition levels to a bitmap of the rows whose level
 * is max_level; returns how many there are.  The bitmap (BITMAP_WORDS(n)
 * words, zero on entry) is only complete when the result is less than n.
 */
extern uint32 parquet_decode_levels(const ParquetBlock *in, uint32 max_level, uint32 n, uint64 *valid);

/* The same from the deprecated BIT_PACKED encoding, highest bit first. */
extern uint32 parquet_decode_levels_packed(const ParquetBlock *in, uint32 max_level, uint32 n, uint64 *valid);

/* Bytes that BIT_PACKED levels take. */
extern size_t parquet_packed_levels_size(uint32 max_level, uint32 n);

/*
 * Copies n bits of src from bit `from` to dst from bit `at`; other bits of
 * dst stay.  Reads up to 8 bytes past the bits of src.
 */
extern void parquet_copy_bits(uint64 *dst, size_t at, const void *src, size_t from, size_t n);
extern void parquet_set_bits(uint64 *dst, size_t at, size_t n);

/*
 * Values of `width` bytes to out.  PLAIN and BYTE_STREAM_SPLIT take any
 * width, DELTA_BINARY_PACKED 4 and 8, the boolean ones write one byte each.
 */
extern void parquet_decode_plain(const ParquetBlock *in, uint32 width, uint32 n, void *out);
extern void parquet_decode_plain_bool(const ParquetBlock *in, uint32 width, uint32 n, void *out);
extern void parquet_decode_rle_bool(const ParquetBlock *in, uint32 width, uint32 n, void *out);
extern void parquet_decode_split(const ParquetBlock *in, uint32 width, uint32 n, void *out);
extern void parquet_decode_delta(const ParquetBlock *in, uint32 width, uint32 n, void *out);
extern void parquet_decode_delta_fixed(const ParquetBlock *in, uint32 width, uint32 n, void *out);

/*
 * Byte strings to the end of v: bytes and offsets[length + 1 .. length + n]
 * are written, v->length stays.  v has room for n more rows.
 */
extern void parquet_decode_plain_bytes(const ParquetBlock *in, uint32 n, ColumnVector *v);
extern void parquet_decode_delta_length(const ParquetBlock *in, uint32 n, ColumnVector *v);
extern void parquet_decode_delta_bytes(const ParquetBlock *in, uint32 n, ColumnVector *v);

#endif							/* TARN_PARQUET_DECODE_H */
