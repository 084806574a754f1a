/*-------------------------------------------------------------------------
 *
 * dense.c
 *	  From a ColumnVector to the values Parquet stores: slices, gaps of nulls
 *	  closed, decimals in big-endian bytes; and the buffers for it.
 *
 * A vector without nulls is used in place.  Strings with nulls need new
 * offsets only, because a null's string is empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "base/bits.h"
#include "parquet/write_internal.h"

/* Readable in place of a vector that never got a byte. */
static const char no_bytes[COLUMN_PADDING];
static const uint32 no_offsets[1];

char *
parquet_buffer_room(ParquetBuffer *b, size_t more)
{
	size_t		need = b->size + more + COLUMN_PADDING;

	if (need > b->capacity)
	{
		size_t		capacity = Max(need, b->capacity * 2);

		capacity = Max(capacity, 1024);
		if (b->data == NULL)
			b->data = MemoryContextAllocHuge(b->context, capacity);
		else
			b->data = repalloc_huge(b->data, capacity);
		b->capacity = capacity;
	}
	return b->data + b->size;
}

void *
parquet_buffer_scratch(ParquetBuffer *b, size_t size)
{
	if (size + COLUMN_PADDING > b->capacity)
	{
		/* not repalloc, which would copy what nobody needs */
		if (b->data != NULL)
			pfree(b->data);
		b->data = NULL;
		b->capacity = 0;
	}
	b->size = 0;
	return parquet_buffer_room(b, size);
}

void
parquet_scratch_init(ParquetScratch *s, MemoryContext context)
{
	ParquetBuffer *buffers = (ParquetBuffer *) s;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < sizeof(*s) / sizeof(ParquetBuffer); i++)
		buffers[i].context = context;
}

/* Bits first .. first + n - 1 of `from` to 0 .. n - 1 of `to`, tail cleared. */
void
parquet_bits_slice(uint64 *to, const uint64 *from, uint32 first, uint32 n)
{
	size_t		words = BITMAP_WORDS(n);
	int			shift = first & 63;
	const uint64 *p = from + first / 64;
	size_t		last = ((size_t) first + n + 63) / 64 - first / 64;

	if (n == 0)
		return;
	for (size_t w = 0; w < words; w++)
	{
		to[w] = p[w] >> shift;
		if (shift != 0 && w + 1 < last)
			to[w] |= p[w + 1] << (64 - shift);
	}
	bitmap_clear_tail(to, n);
}

/*
 * A view of rows from .. from + rows - 1; `bitmap` has room for their
 * validity.  It shares the arrays of v, and only reading it is allowed.
 */
void
parquet_slice(ColumnVector *slice, const ColumnVector *v, uint32 from, uint32 rows, uint64 *bitmap)
{
	*slice = *v;
	slice->length = rows;
	slice->capacity = rows;
	if (v->layout == LAYOUT_BYTES)
		slice->offsets = v->offsets != NULL ? v->offsets + from : NULL;
	else
		slice->values = v->values != NULL ? v->values + (size_t) from * v->width : NULL;
	slice->null_count = 0;
	if (v->null_count > 0)
	{
		parquet_bits_slice(bitmap, v->valid, from, rows);
		slice->valid = bitmap;
		slice->null_count = rows - (uint32) bitmap_count(bitmap, rows);
	}
}

/*
 * Copy the valid ones of n values.  Inlined with a constant width; a run of
 * 64 valid rows is one copy.
 */
static pg_attribute_always_inline void
compact_width(const char *from, const uint64 *valid, uint32 n, size_t width, char *to)
{
	for (uint32 base = 0; base < n; base += 64)
	{
		uint64		word = valid[base / 64];

		if (word == ~UINT64CONST(0))
		{
			memcpy(to, from + base * width, 64 * width);
			to += 64 * width;
			continue;
		}
		while (word != 0)
		{
			memcpy(to, from + (base + pg_rightmost_one_pos64(word)) * width, width);
			to += width;
			word &= word - 1;
		}
	}
}

static void
compact(const char *from, const uint64 *valid, uint32 n, uint32 width, char *to)
{
	switch (width)
	{
		case 1:
			compact_width(from, valid, n, 1, to);
			break;
		case 4:
			compact_width(from, valid, n, 4, to);
			break;
		case 8:
			compact_width(from, valid, n, 8, to);
			break;
		case 16:
			compact_width(from, valid, n, 16, to);
			break;
		default:
			compact_width(from, valid, n, width, to);
	}
}

static void
dense_bytes(ParquetDense *d, const ColumnVector *v, ParquetScratch *scratch)
{
	d->bytes = v->bytes != NULL ? v->bytes : no_bytes;
	d->offsets = v->offsets != NULL ? v->offsets : no_offsets;
	if (v->null_count > 0)
	{
		uint32	   *offsets = parquet_buffer_scratch(&scratch->offsets,
													 ((size_t) d->count + 1) * sizeof(uint32));

		compact((const char *) v->offsets, v->valid, v->length, sizeof(uint32), (char *) offsets);
		offsets[d->count] = v->offsets[v->length];
		d->offsets = offsets;
	}
}

/* int128s in native order to the last `width` bytes of big-endian ones. */
static void
decimals_to_fixed(const char *from, uint32 n, uint32 width, char *to)
{
	for (uint32 i = 0; i < n; i++)
	{
		uint64		half[2];
		uint64		big[2];

		memcpy(half, from + (size_t) i * 16, 16);
#ifdef WORDS_BIGENDIAN
		memcpy(big, half, 16);
#else
		big[0] = pg_bswap64(half[1]);
		big[1] = pg_bswap64(half[0]);
#endif
		memcpy(to + (size_t) i * width, (char *) big + 16 - width, width);
	}
}

/* Decimals of up to 9 digits are int64 in vectors, int32 in the file. */
static void
narrow_decimals(const int64 *from, uint32 n, int32 *to)
{
	for (uint32 i = 0; i < n; i++)
		to[i] = (int32) from[i];
}

static bool
is_short_decimal(LakeType type)
{
	return type.id == LAKE_DECIMAL && type.precision <= 9;
}

static ParquetType
physical_type(const ColumnVector *v)
{
	if (is_short_decimal(v->type))
		return PARQUET_INT32;
	switch (v->layout)
	{
		case LAYOUT_BOOL:
			return PARQUET_BOOLEAN;
		case LAYOUT_INT32:
			return PARQUET_INT32;
		case LAYOUT_INT64:
			return PARQUET_INT64;
		case LAYOUT_FLOAT:
			return PARQUET_FLOAT;
		case LAYOUT_DOUBLE:
			return PARQUET_DOUBLE;
		case LAYOUT_INT128:
		case LAYOUT_FIXED:
			return PARQUET_FIXED_LEN_BYTE_ARRAY;
		case LAYOUT_BYTES:
			return PARQUET_BYTE_ARRAY;
	}
	elog(ERROR, "unrecognized column layout: %d", (int) v->layout);
	return PARQUET_BYTE_ARRAY;
}

void
parquet_dense_init(ParquetDense *d, const ColumnVector *v, ParquetScratch *scratch)
{
	memset(d, 0, sizeof(*d));
	d->physical = physical_type(v);
	d->count = v->length - v->null_count;
	if (v->layout == LAYOUT_BYTES)
	{
		dense_bytes(d, v, scratch);
		return;
	}
	d->width = v->width;
	d->values = v->values != NULL ? v->values : no_bytes;
	if (v->null_count > 0)
	{
		char	   *values = parquet_buffer_scratch(&scratch->values, (size_t) d->count * v->width);

		compact(v->values, v->valid, v->length, v->width, values);
		d->values = values;
	}
	if (is_short_decimal(v->type))
	{
		int32	   *narrow = parquet_buffer_scratch(&scratch->wide, (size_t) d->count * sizeof(int32));

		narrow_decimals((const int64 *) d->values, d->count, narrow);
		d->values = (const char *) narrow;
		d->width = sizeof(int32);
	}
	if (v->layout == LAYOUT_INT128)
	{
		char	   *fixed;

		d->wide = d->values;
		d->width = lake_decimal_bytes(v->type.precision);
		fixed = parquet_buffer_scratch(&scratch->wide, (size_t) d->count * d->width);
		decimals_to_fixed(d->wide, d->count, d->width, fixed);
		d->values = fixed;
	}
}

/* Bytes of those values in PLAIN. */
uint64
parquet_dense_plain_bytes(const ParquetDense *d, uint32 from, uint32 to)
{
	uint64		n = to - from;

	if (d->physical == PARQUET_BYTE_ARRAY)
		return (uint64) d->offsets[to] - d->offsets[from] + 4 * n;
	if (d->physical == PARQUET_BOOLEAN)
		return (n + 7) / 8;
	return n * d->width;
}
