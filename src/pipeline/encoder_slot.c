/*-------------------------------------------------------------------------
 *
 * encoder_slot.c
 *	  Rows of ColumnVectors in shared memory, and back.
 *
 * A slot holds a SlotHeader, a SlotColumn for each column, and the arrays,
 * each aligned for vector instructions and padded as vectors are.  Vectors
 * hold no pointers, so arrays are copied as they are; only offsets are moved
 * to begin at zero.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pipeline/encoder_shared.h"

#define SLOT_ALIGN 64

typedef struct SlotHeader
{
	uint64		rows;			/* where the bitmap lies; 0: none */
} SlotHeader;

/* Positions are bytes from the slot's begin; 0: there is none. */
typedef struct SlotColumn
{
	uint64		valid;
	uint64		values;
	uint64		offsets;
	uint64		bytes;
	uint64		null_count;
} SlotColumn;

static inline Size
array_room(Size size)
{
	return TYPEALIGN(SLOT_ALIGN, size + COLUMN_PADDING);
}

static inline Size
head_room(int ncolumns)
{
	return TYPEALIGN(SLOT_ALIGN, sizeof(SlotHeader) + sizeof(SlotColumn) * ncolumns);
}

Size
encoder_rows_bytes(ColumnVector *const *columns, int ncolumns, uint32 first, uint32 last, bool bitmap)
{
	Size		words = BITMAP_WORDS(last - first) * sizeof(uint64);
	Size		total = head_room(ncolumns);

	if (bitmap)
		total += array_room(words);
	for (int i = 0; i < ncolumns; i++)
	{
		const ColumnVector *v = columns[i];

		if (v->null_count > 0)
			total += array_room(words);
		if (v->layout == LAYOUT_BYTES)
			total += array_room(((Size) last - first + 1) * sizeof(uint32)) +
				array_room(v->offsets[last] - v->offsets[first]);
		else
			total += array_room(((Size) last - first) * v->width);
	}
	return total;
}

/* The next array of a slot. */
static uint64
put_array(char *slot, Size *used, const void *data, Size size)
{
	uint64		at = *used;

	memcpy(slot + at, data, size);
	*used += array_room(size);
	return at;
}

static uint64
put_offsets(char *slot, Size *used, const uint32 *offsets, uint32 n)
{
	uint64		at = *used;
	uint32	   *to = (uint32 *) (slot + at);
	uint32		base = offsets[0];

	for (uint32 i = 0; i <= n; i++)
		to[i] = offsets[i] - base;
	*used += array_room(((Size) n + 1) * sizeof(uint32));
	return at;
}

/* A bitmap from bit `first`, a multiple of 64, with no bits after the last row's. */
static uint64
put_bitmap(char *slot, Size *used, const uint64 *bitmap, uint32 first, uint32 n)
{
	uint64		at = put_array(slot, used, bitmap + first / 64, BITMAP_WORDS(n) * sizeof(uint64));

	if (n % 64 != 0)
		((uint64 *) (slot + at))[n / 64] &= (UINT64CONST(1) << (n % 64)) - 1;
	return at;
}

static uint64
count_nulls(const ColumnVector *v, uint32 first, const uint64 *valid, uint32 n)
{
	if (first == 0 && n == v->length)
		return v->null_count;
	return n - bitmap_count(valid, n);
}

void
encoder_rows_put(char *slot, ColumnVector *const *columns, int ncolumns,
				 uint32 first, uint32 last, const uint64 *rows)
{
	SlotHeader *header = (SlotHeader *) slot;
	SlotColumn *out = (SlotColumn *) (header + 1);
	uint32		n = last - first;
	Size		used = head_room(ncolumns);

	Assert(first % 64 == 0);
	header->rows = rows ? put_bitmap(slot, &used, rows, first, n) : 0;
	for (int i = 0; i < ncolumns; i++, out++)
	{
		const ColumnVector *v = columns[i];

		memset(out, 0, sizeof(*out));
		if (v->null_count > 0)
		{
			out->valid = put_bitmap(slot, &used, v->valid, first, n);
			out->null_count = count_nulls(v, first, (uint64 *) (slot + out->valid), n);
		}
		if (v->layout == LAYOUT_BYTES)
		{
			out->offsets = put_offsets(slot, &used, v->offsets + first, n);
			out->bytes = put_array(slot, &used, v->bytes + v->offsets[first],
								   v->offsets[last] - v->offsets[first]);
		}
		else
			out->values = put_array(slot, &used, v->values + (Size) first * v->width, (Size) n * v->width);
	}
}

static void *
slot_array(char *slot, uint64 at)
{
	return at ? slot + at : NULL;
}

void
encoder_rows_get(char *slot, ColumnVector *columns, int ncolumns, uint32 nrows, const uint64 **rows)
{
	const SlotHeader *header = (SlotHeader *) slot;
	const SlotColumn *in = (const SlotColumn *) (header + 1);

	*rows = slot_array(slot, header->rows);
	for (int i = 0; i < ncolumns; i++, in++)
	{
		ColumnVector *v = &columns[i];

		v->length = v->capacity = nrows;
		v->null_count = (uint32) in->null_count;
		v->valid = slot_array(slot, in->valid);
		v->values = slot_array(slot, in->values);
		v->offsets = slot_array(slot, in->offsets);
		v->bytes = slot_array(slot, in->bytes);
	}
}
