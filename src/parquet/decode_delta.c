/*-------------------------------------------------------------------------
 *
 * decode_delta.c
 *	  DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY.
 *
 * Integers: a header (block size, miniblocks in a block, count, first
 * value), then blocks of a smallest delta, a bit width for each miniblock,
 * and the miniblocks' bit-packed deltas above the smallest.  Arithmetic
 * wraps, by the specification.
 *
 * Byte strings of the second kind are their lengths as such integers, then
 * all bytes; of the third, the lengths of the prefixes shared with the value
 * before as integers, then the suffixes in the second form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "parquet/decode.h"

/* Deltas unpacked at a time; a multiple of 8, so that each batch starts on a byte. */
#define DELTA_BATCH 256

/* More values in a block than any writer uses (128 to 2048); keeps products small. */
#define DELTA_MAX_BLOCK (1 << 24)

typedef struct DeltaReader
{
	const ParquetBlock *block;
	const uint8 *pos;
	const uint8 *end;
	uint32		miniblocks;		/* in a block */
	uint32		miniblock_values;
	uint64		value;			/* the last one */
} DeltaReader;

static uint64
delta_varint(DeltaReader *r)
{
	uint64		v = 0;

	for (int shift = 0; shift < 70; shift += 7)
	{
		uint8		b;

		if (r->pos >= r->end)
			parquet_fail(r->block->place, "delta-encoded data end early");
		b = *r->pos++;
		v |= (uint64) (b & 0x7f) << shift;
		if (b < 0x80)
			return v;
	}
	parquet_fail(r->block->place, "delta-encoded data have an integer of more than ten bytes");
}

static uint64
delta_zigzag(DeltaReader *r)
{
	uint64		v = delta_varint(r);

	return (v >> 1) ^ -(v & 1);
}

/* The header; the count must be the `n` the page has. */
static void
delta_begin(DeltaReader *r, const ParquetBlock *in, uint32 n)
{
	uint64		block_size;
	uint64		miniblocks;
	uint64		count;

	r->block = in;
	r->pos = in->data;
	r->end = in->data + in->size;
	block_size = delta_varint(r);
	miniblocks = delta_varint(r);
	count = delta_varint(r);
	r->value = delta_zigzag(r);
	if (count != n)
		parquet_fail(in->place, "delta-encoded data have " UINT64_FORMAT " values instead of %u", count, n);
	if (block_size == 0 || block_size > DELTA_MAX_BLOCK || miniblocks == 0 ||
		block_size % miniblocks != 0 || block_size / miniblocks % 8 != 0)
		parquet_fail(in->place, "delta-encoded block of " UINT64_FORMAT " values in " UINT64_FORMAT " miniblocks",
					 block_size, miniblocks);
	r->miniblocks = (uint32) miniblocks;
	r->miniblock_values = (uint32) (block_size / miniblocks);
}

/* Adds up `n` deltas of one width from r->pos. */
#define DELTA_KERNEL(suffix, type, unpacked, unpack) \
static void \
delta_miniblock_##suffix(DeltaReader *r, uint32 width, uint64 min_delta, uint32 n, type *out) \
{ \
	unpacked	deltas[DELTA_BATCH + 8]; \
	const uint8 *in = r->pos; \
	type		value = (type) r->value; \
	type		least = (type) min_delta; \
	\
	for (uint32 done = 0; done < n; done += DELTA_BATCH) \
	{ \
		uint32		take = Min(DELTA_BATCH, n - done); \
		\
		unpack(in + (size_t) done / 8 * width, width, take, deltas); \
		for (uint32 i = 0; i < take; i++) \
		{ \
			value += (type) deltas[i] + least; \
			out[done + i] = value; \
		} \
	} \
	r->value = value; \
}

DELTA_KERNEL(32, uint32, uint32, parquet_unpack32)
DELTA_KERNEL(narrow, uint64, uint32, parquet_unpack32)
DELTA_KERNEL(64, uint64, uint64, parquet_unpack64)

/* One miniblock's first n values, `done` values into out. */
static void
delta_miniblock(DeltaReader *r, uint32 width, uint64 min_delta, uint32 n,
				bool wide, void *out, uint32 done)
{
	uint64		full = (uint64) r->miniblock_values / 8 * width;
	uint64		need = ((uint64) n * width + 7) / 8;
	size_t		left = (size_t) (r->end - r->pos);

	if (width > (wide ? 64 : 32))
		parquet_fail(r->block->place, "delta bit width %u", width);
	if (need > left)
		parquet_fail(r->block->place, "%u deltas of %u bits exceed %zu bytes remaining", n, width, left);
	if (!wide)
		delta_miniblock_32(r, width, min_delta, n, (uint32 *) out + done);
	else if (width <= 32)
		delta_miniblock_narrow(r, width, min_delta, n, (uint64 *) out + done);
	else
		delta_miniblock_64(r, width, min_delta, n, (uint64 *) out + done);
	/* the last miniblock may lack its padding */
	r->pos += Min(full, left);
}

/* The values after the header, to 4-byte or 8-byte (wide) slots. */
static void
delta_values(DeltaReader *r, uint32 n, bool wide, void *out)
{
	uint32		done = 0;

	if (n == 0)
		return;
	if (wide)
		((uint64 *) out)[done++] = r->value;
	else
		((uint32 *) out)[done++] = (uint32) r->value;
	while (done < n)
	{
		uint64		min_delta = delta_zigzag(r);
		const uint8 *widths = r->pos;

		if (r->miniblocks > (size_t) (r->end - r->pos))
			parquet_fail(r->block->place, "delta-encoded data end early");
		r->pos += r->miniblocks;
		for (uint32 m = 0; m < r->miniblocks && done < n; m++)
		{
			uint32		take = Min(r->miniblock_values, n - done);

			delta_miniblock(r, widths[m], min_delta, take, wide, out, done);
			done += take;
		}
	}
}

void
parquet_decode_delta(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	DeltaReader r;

	Assert(width == 4 || width == 8);
	delta_begin(&r, in, n);
	delta_values(&r, n, width == 8, out);
}

/*
 * n lengths, all non-negative; `rest` is the block behind them.  Allocated
 * by the page's own count of values, which its row group bounds.
 */
static int32 *
delta_lengths(const ParquetBlock *in, uint32 n, ParquetBlock *rest, uint64 *total)
{
	DeltaReader r;
	int32	   *lengths;

	delta_begin(&r, in, n);
	lengths = MemoryContextAllocExtended(CurrentMemoryContext,
										 (size_t) n * sizeof(int32) + PARQUET_PADDING, MCXT_ALLOC_HUGE);
	delta_values(&r, n, false, lengths);
	*total = 0;
	for (uint32 i = 0; i < n; i++)
	{
		if (lengths[i] < 0)
			parquet_fail(in->place, "byte string of %d bytes", lengths[i]);
		*total += (uint64) lengths[i];
	}
	rest->data = r.pos;
	rest->size = (size_t) (r.end - r.pos);
	rest->place = in->place;
	return lengths;
}

void
parquet_decode_delta_length(const ParquetBlock *in, uint32 n, ColumnVector *v)
{
	ParquetBlock bytes;
	uint64		total;
	int32	   *lengths = delta_lengths(in, n, &bytes, &total);
	uint32		at = v->offsets[v->length];
	uint32	   *offsets = v->offsets + v->length;

	if (total > bytes.size)
		parquet_fail(in->place, "byte strings of " UINT64_FORMAT " bytes exceed %zu remaining",
					 total, bytes.size);
	column_vector_reserve_bytes(v, total);
	memcpy(v->bytes + at, bytes.data, total);
	for (uint32 i = 0; i < n; i++)
	{
		at += (uint32) lengths[i];
		offsets[i + 1] = at;
	}
	pfree(lengths);
}

/* Glues each value from its prefix of the one before and its suffix. */
static void
delta_join(const ParquetBlock *suffixes, const int32 *prefixes, const int32 *lengths,
		   uint32 n, ColumnVector *v)
{
	const uint8 *suffix = suffixes->data;
	uint32	   *offsets = v->offsets + v->length;
	uint32		at = offsets[0];
	uint32		previous = at;	/* where the value before begins */

	for (uint32 i = 0; i < n; i++)
	{
		uint32		prefix = (uint32) prefixes[i];
		uint32		size = (uint32) lengths[i];

		if (prefix > at - previous)
			parquet_fail(suffixes->place, "prefix of %u bytes of a byte string of %u",
						 prefix, at - previous);
		memcpy(v->bytes + at, v->bytes + previous, prefix);
		memcpy(v->bytes + at + prefix, suffix, size);
		suffix += size;
		previous = at;
		at += prefix + size;
		offsets[i + 1] = at;
		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
	}
}

void
parquet_decode_delta_bytes(const ParquetBlock *in, uint32 n, ColumnVector *v)
{
	ParquetBlock rest;
	ParquetBlock suffixes;
	uint64		shared;
	uint64		own;
	int32	   *prefixes = delta_lengths(in, n, &rest, &shared);
	int32	   *lengths = delta_lengths(&rest, n, &suffixes, &own);

	if (own > suffixes.size)
		parquet_fail(in->place, "suffixes of " UINT64_FORMAT " bytes exceed %zu remaining",
					 own, suffixes.size);
	if (shared + own > PARQUET_MAX_PAGE)
		parquet_fail(in->place, "page decodes to " UINT64_FORMAT " bytes", shared + own);
	column_vector_reserve_bytes(v, shared + own);
	delta_join(&suffixes, prefixes, lengths, n, v);
	pfree(lengths);
	pfree(prefixes);
}

/* DELTA_BYTE_ARRAY of FIXED_LEN_BYTE_ARRAY: through a vector, each value of that width. */
void
parquet_decode_delta_fixed(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	LakeType	binary = {.id = LAKE_BINARY};
	ColumnVector v;

	column_vector_init(&v, CurrentMemoryContext, binary, n);
	parquet_decode_delta_bytes(in, n, &v);
	for (uint32 i = 0; i < n; i++)
	{
		if (v.offsets[i + 1] - v.offsets[i] != width)
			parquet_fail(in->place, "value of %u bytes in a column of %u",
						 v.offsets[i + 1] - v.offsets[i], width);
	}
	memcpy(out, v.bytes, (size_t) n * width);
	column_vector_free(&v);
}
