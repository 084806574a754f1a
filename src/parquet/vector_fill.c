/*-------------------------------------------------------------------------
 *
 * vector_fill.c
 *	  Values to the slots of a vector: dictionary look-up, room for nulls,
 *	  and dropping rows that were not asked for.
 *
 * A page holds its non-null values densely; a vector has a slot for every
 * row.  Values are decoded where the page's rows begin and then spread from
 * the back, in place, so that nothing is copied for a page without nulls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/reader_internal.h"
#include "utils/memutils.h"

/* Short strings are copied in blocks of this size, into the padding too. */
#define COPY_BLOCK 32

/*
 * An array of codes for `rows` rows in the vector's context: the old one
 * when it is large enough, else a new one with the codes so far.
 */
uint32 *
vector_codes(ColumnVector *v, uint32 rows, uint32 *old_codes)
{
	size_t		need = (size_t) rows * sizeof(uint32) + PARQUET_PADDING;
	uint32	   *codes;

	if (old_codes != NULL && GetMemoryChunkSpace(old_codes) >= need + 64)
		return old_codes;
	codes = MemoryContextAllocHuge(v->context, need + 64);
	if (old_codes != NULL)
	{
		memcpy(codes, old_codes, (size_t) v->length * sizeof(uint32));
		pfree(old_codes);
	}
	return codes;
}

TARN_KERNEL uint32
codes_max(const uint32 *codes, uint32 n)
{
	uint32		max = 0;

	for (uint32 i = 0; i < n; i++)
		max = Max(max, codes[i]);
	return max;
}

#define GATHER_KERNEL(name, type) \
TARN_KERNEL static void \
name(const void *dictionary, const uint32 *codes, uint32 n, void *out) \
{ \
	const type *from = dictionary; \
	type	   *to = out; \
	\
	for (uint32 i = 0; i < n; i++) \
		to[i] = from[codes[i]]; \
}

GATHER_KERNEL(gather_1, uint8)
GATHER_KERNEL(gather_4, uint32)
GATHER_KERNEL(gather_8, uint64)

static void
gather_wide(const char *dictionary, uint32 width, const uint32 *codes, uint32 n, char *out)
{
	for (uint32 i = 0; i < n; i++)
		memcpy(out + (size_t) i * width, dictionary + (size_t) codes[i] * width, width);
}

/* Byte strings behind row v->length; rows without a bit in `valid` get none. */
static void
gather_bytes(ColumnVector *v, const ColumnVector *dictionary,
			 const uint32 *codes, uint32 n, const uint64 *valid)
{
	const uint32 *from = dictionary->offsets;
	uint32	   *offsets = v->offsets + v->length;
	uint32		at = offsets[0];
	uint64		total = 0;

	for (uint32 i = 0; i < n; i++)
		total += from[codes[i] + 1] - from[codes[i]];
	column_vector_reserve_bytes(v, total);
	for (uint32 i = 0; i < n; i++)
	{
		uint32		begin = from[codes[i]];
		uint32		size = from[codes[i] + 1] - begin;

		if (valid != NULL && !bitmap_get(valid, i))
			size = 0;
		if (size <= COPY_BLOCK)
			memcpy(v->bytes + at, dictionary->bytes + begin, COPY_BLOCK);
		else
			memcpy(v->bytes + at, dictionary->bytes + begin, size);
		at += size;
		offsets[i + 1] = at;
	}
}

static void
zero_slots(char *values, uint32 width, uint32 n, const uint64 *valid)
{
	for (uint32 i = 0; i < n; i++)
	{
		if (!bitmap_get(valid, i))
			memset(values + (size_t) i * width, 0, width);
	}
}

/*
 * Values of n codes to the slots behind row v->length, which there is room
 * for.  `valid` is NULL, or says which of them are null: their slots are
 * zeroed.  Codes are in range, and the dictionary is not empty, or n is 0.
 */
void
vector_gather(ColumnVector *v, const ColumnVector *dictionary,
			  const uint32 *codes, uint32 n, const uint64 *valid)
{
	char	   *out = v->values + (size_t) v->length * v->width;

	if (n == 0)
		return;
	if (v->layout == LAYOUT_BYTES)
	{
		gather_bytes(v, dictionary, codes, n, valid);
		return;
	}
	if (v->width == 4)
		gather_4(dictionary->values, codes, n, out);
	else if (v->width == 8)
		gather_8(dictionary->values, codes, n, out);
	else if (v->width == 1)
		gather_1(dictionary->values, codes, n, out);
	else if (v->width == 16)
		gather_wide(dictionary->values, 16, codes, n, out);
	else
		gather_wide(dictionary->values, v->width, codes, n, out);
	if (valid != NULL)
		zero_slots(out, v->width, n, valid);
}

/*
 * The value of a row is the one before position k if the row has one, and
 * zero otherwise; k never passes the row, so reading at k is always inside.
 * Words of one kind only are moved at once.
 */
#define SPREAD_KERNEL(name, type) \
static void \
name(type *values, uint32 n, const uint64 *valid, uint32 k) \
{ \
	for (uint32 w = (uint32) BITMAP_WORDS(n); w-- > 0;) \
	{ \
		uint32		begin = w * 64; \
		uint32		end = Min(begin + 64, n); \
		uint64		word = valid[w]; \
		\
		if (word == 0) \
		{ \
			memset(values + begin, 0, (end - begin) * sizeof(type)); \
			continue; \
		} \
		if (word == PG_UINT64_MAX) \
		{ \
			k -= 64; \
			memmove(values + begin, values + k, 64 * sizeof(type)); \
			continue; \
		} \
		for (uint32 i = end; i-- > begin;) \
		{ \
			uint32		bit = (uint32) (word >> (i - begin)) & 1; \
			\
			k -= bit; \
			values[i] = values[k] & (type) - (type) bit; \
		} \
	} \
}

SPREAD_KERNEL(spread_1, uint8)
SPREAD_KERNEL(spread_4, uint32)
SPREAD_KERNEL(spread_8, uint64)

static void
spread_wide(char *values, uint32 width, uint32 n, const uint64 *valid, uint32 k)
{
	for (uint32 i = n; i-- > 0;)
	{
		if (bitmap_get(valid, i))
			memmove(values + (size_t) i * width, values + (size_t) --k * width, width);
		else
			memset(values + (size_t) i * width, 0, width);
	}
}

/* `present` dense values of `width` bytes become n slots, those without a bit zero. */
void
slots_spread(void *values, uint32 width, uint32 n, const uint64 *valid, uint32 present)
{
	if (width == 4)
		spread_4(values, n, valid, present);
	else if (width == 8)
		spread_8(values, n, valid, present);
	else if (width == 1)
		spread_1(values, n, valid, present);
	else
		spread_wide(values, width, n, valid, present);
}

/* The same for offsets[0..present] of byte strings: a null begins and ends where the next value begins. */
void
offsets_spread(uint32 *offsets, uint32 n, const uint64 *valid, uint32 present)
{
	uint32		k = present;

	for (uint32 i = n; i-- > 0;)
	{
		offsets[i + 1] = offsets[k];
		k -= (uint32) bitmap_get(valid, i);
	}
}

/*
 * Moves the slots of n rows from row `from` down to row `to` <= from, in
 * whichever form the vector is.  `to` is what the vector keeps so far.
 */
void
vector_keep_slots(ColumnVector *v, uint32 to, uint32 from, uint32 n)
{
	uint32		begin;
	uint32		shift;

	if (to == from || n == 0)
		return;
	if (v->codes != NULL)
	{
		memmove(v->codes + to, v->codes + from, (size_t) n * sizeof(uint32));
		return;
	}
	if (v->layout != LAYOUT_BYTES)
	{
		memmove(v->values + (size_t) to * v->width, v->values + (size_t) from * v->width,
				(size_t) n * v->width);
		return;
	}
	begin = v->offsets[from];
	shift = begin - v->offsets[to];
	memmove(v->bytes + v->offsets[to], v->bytes + begin, v->offsets[from + n] - begin);
	for (uint32 i = 1; i <= n; i++)
		v->offsets[to + i] = v->offsets[from + i] - shift;
}
