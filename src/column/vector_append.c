/*-------------------------------------------------------------------------
 *
 * vector_append.c
 *	  Appending rows of one ColumnVector to another.
 *
 * The selected rows are taken as runs of consecutive rows, so that a batch
 * with few rows left out is moved by memcpy.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "column/vector.h"

/* Finds the next run of set bits at or after *start; false when there is none. */
static bool
next_run(const uint64 *rows, uint32 nrows, uint32 *start, uint32 *length)
{
	uint32		i = *start;
	uint32		end;

	if (rows == NULL)
	{
		*length = nrows - i;
		return i < nrows;
	}
	while (i < nrows)
	{
		uint64		word = rows[i >> 6] >> (i & 63);

		if (word)
		{
			i += pg_rightmost_one_pos64(word);
			break;
		}
		i = (i | 63) + 1;
	}
	if (i >= nrows)
		return false;
	for (end = i; end < nrows;)
	{
		uint64		gaps = ~rows[end >> 6] >> (end & 63);

		if (gaps)
		{
			end += pg_rightmost_one_pos64(gaps);
			break;
		}
		end = (end | 63) + 1;
	}
	*start = i;
	*length = Min(end, nrows) - i;
	return true;
}

static void
append_validity(ColumnVector *to, const ColumnVector *from, uint32 start, uint32 n)
{
	uint32		nulls = 0;

	/* at to->length already there is room; bits past the length are zero */
	for (uint32 i = 0; i < n; i++)
	{
		if (from->null_count == 0 || bitmap_get(from->valid, start + i))
			bitmap_set(to->valid, to->length + i);
		else
			nulls++;
	}
	to->null_count += nulls;
}

static void
append_plain(ColumnVector *to, const ColumnVector *from, uint32 start, uint32 n)
{
	uint32		base;
	uint32		shift;
	uint32		size;

	if (to->layout != LAYOUT_BYTES)
	{
		memcpy(to->values + (size_t) to->length * to->width,
			   from->values + (size_t) start * to->width, (size_t) n * to->width);
		return;
	}
	base = from->offsets[start];
	size = from->offsets[start + n] - base;
	column_vector_reserve_bytes(to, size);
	memcpy(to->bytes + to->offsets[to->length], from->bytes + base, size);
	/* wraps around when the target's offset is the smaller; so does the sum below */
	shift = to->offsets[to->length] - base;
	for (uint32 i = 1; i <= n; i++)
		to->offsets[to->length + i] = from->offsets[start + i] + shift;
}

static void
append_coded(ColumnVector *to, const ColumnVector *from, uint32 start, uint32 n)
{
	const ColumnVector *d = from->dictionary;
	const uint32 *codes = from->codes + start;

	for (uint32 i = 0; i < n; i++)
	{
		bool		isnull = column_vector_isnull(from, start + i);

		if (to->layout != LAYOUT_BYTES)
		{
			char	   *slot = to->values + ((size_t) to->length + i) * to->width;

			if (isnull)
				memset(slot, 0, to->width);
			else
				memcpy(slot, d->values + (size_t) codes[i] * to->width, to->width);
		}
		else
		{
			uint32		at = to->offsets[to->length + i];
			uint32		size = isnull ? 0 : d->offsets[codes[i] + 1] - d->offsets[codes[i]];

			if (unlikely((uint64) at + size > to->bytes_capacity))
			{
				/* reserve_bytes counts from offsets[length] */
				column_vector_reserve_bytes(to, (uint64) (at - to->offsets[to->length]) + size);
			}
			if (size > 0)
				memcpy(to->bytes + at, d->bytes + d->offsets[codes[i]], size);
			to->offsets[to->length + i + 1] = at + size;
		}
	}
}

void
column_vector_append_rows(ColumnVector *to, const ColumnVector *from, const uint64 *rows)
{
	uint32		start = 0;
	uint32		n;

	Assert(to->codes == NULL && to->layout == from->layout && to->width == from->width);
	while (next_run(rows, from->length, &start, &n))
	{
		if (n > PG_UINT32_MAX - 64 - to->length)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("cannot hold more than %u rows in one batch", PG_UINT32_MAX - 64)));
		if (to->length + n > to->capacity)
			column_vector_reserve(to, (uint32) Max((uint64) to->length + n,
												   Min((uint64) to->capacity * 2, PG_UINT32_MAX / 2)));
		if (from->codes)
			append_coded(to, from, start, n);
		else
			append_plain(to, from, start, n);
		/* after the values: an error above must not leave bits past the length */
		if (from->null_count > 0 && to->null_count == 0)
			column_vector_start_valid(to);
		if (to->null_count > 0 || from->null_count > 0)
			append_validity(to, from, start, n);
		to->length += n;
		start += n;
	}
}
