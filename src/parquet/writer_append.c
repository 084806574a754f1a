/*-------------------------------------------------------------------------
 *
 * writer_append.c
 *	  Batches of rows to the row groups of a Parquet file.
 *
 * Batches smaller than a row group are gathered in vectors of the writer;
 * a batch that fills one is encoded where it lies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/bits.h"
#include "parquet/write_internal.h"

void
parquet_flush_pending(ParquetWriter *w)
{
	if (w->pending_rows == 0)
		return;
	parquet_write_group(w, NULL, w->pending, 0, w->pending_rows);
	for (int i = 0; i < w->ncolumns; i++)
		column_vector_reset(&w->pending[i]);
	w->pending_rows = 0;
}

static uint64
vector_bytes(const ColumnVector *v)
{
	if (v->layout == LAYOUT_BYTES)
		return (v->length > 0 ? v->offsets[v->length] : 0) + (uint64) v->length * sizeof(uint32);
	return (uint64) v->length * v->width;
}

uint64
parquet_pending_bytes(const ParquetWriter *w)
{
	uint64		total = 0;

	for (int i = 0; i < w->ncolumns; i++)
		total += vector_bytes(&w->pending[i]);
	return total;
}

/* Rows of the batch that fill an empty row group, by rows and by bytes. */
static uint32
group_rows(const ParquetWriter *w, ColumnVector *const *columns, uint32 nrows)
{
	uint64		total = 0;
	uint64		limit = w->options.row_group_rows;

	for (int i = 0; i < w->ncolumns; i++)
		total += vector_bytes(columns[i]);
	if (total > w->options.row_group_bytes)
		limit = Min(limit, (uint64) ((double) w->options.row_group_bytes / total * nrows));
	return (uint32) Max(1, limit);
}

/* Rows from `first` that hold `wanted` set bits, or all that are left. */
static uint32
rows_with_bits(const uint64 *rows, uint32 first, uint32 nrows, uint32 wanted, uint32 *found)
{
	uint32		i = first;

	*found = 0;
	while (i < nrows && *found < wanted)
	{
		uint32		span = Min(64, nrows - i);
		uint64		word;
		uint32		count;

		parquet_bits_slice(&word, rows, i, span);
		count = pg_popcount64(word);
		if (*found + count > wanted)
		{
			/* the last bits one by one */
			while (*found < wanted)
				*found += bitmap_get(rows, i++);
			break;
		}
		*found += count;
		i += span;
	}
	return i - first;
}

/* Copies a part of the batch to the gathered rows; returns how many rows of it were passed. */
static uint32
gather(ParquetWriter *w, ColumnVector *const *columns, uint32 first, uint32 nrows,
	   const uint64 *rows, uint32 limit)
{
	uint32		room = limit > w->pending_rows ? limit - w->pending_rows : 1;
	uint32		take = Min(room, nrows - first);
	uint32		taken = take;
	uint64	   *bits;
	uint64	   *selection = NULL;

	if (rows != NULL)
		take = rows_with_bits(rows, first, nrows, room, &taken);
	bits = parquet_buffer_scratch(&w->bits, 2 * (BITMAP_WORDS(take) + 1) * sizeof(uint64));
	if (rows != NULL)
	{
		selection = bits + BITMAP_WORDS(take) + 1;
		parquet_bits_slice(selection, rows, first, take);
	}
	for (int i = 0; i < w->ncolumns; i++)
	{
		ColumnVector slice;

		parquet_slice(&slice, columns[i], first, take, bits);
		column_vector_append_rows(&w->pending[i], &slice, selection);
	}
	w->pending_rows += taken;
	return take;
}

static void
check_vectors(const ParquetWriter *w, ColumnVector *const *columns, uint32 nrows)
{
	for (int i = 0; i < w->ncolumns; i++)
	{
		if (columns[i]->length != nrows || columns[i]->codes != NULL ||
			!lake_type_equal(columns[i]->type, w->columns[i].type))
			elog(ERROR, "vector does not fit Parquet column \"%s\"", w->columns[i].name);
	}
}

void
parquet_writer_append(ParquetWriter *w, ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	uint32		limit = group_rows(w, columns, nrows);
	uint32		first = 0;

	check_vectors(w, columns, nrows);
	while (first < nrows)
	{
		if (rows == NULL && w->pending_rows == 0 && nrows - first >= limit)
		{
			parquet_write_group(w, columns, NULL, first, limit);
					first += limit;
			continue;
		}
		first += gather(w, columns, first, nrows, rows, limit);
		if (w->pending_rows >= w->options.row_group_rows ||
			parquet_pending_bytes(w) >= w->options.row_group_bytes)
			parquet_flush_pending(w);
	}
}

void
parquet_writer_append_group(ParquetWriter *w, ColumnVector *const *columns, uint32 nrows, const uint64 *rows)
{
	uint32		limit = group_rows(w, columns, nrows);
	uint32		ngroups = nrows / limit + (nrows % limit != 0);

	if (rows != NULL || w->pending_rows > 0)
	{
		parquet_writer_append(w, columns, nrows, rows);
		parquet_flush_pending(w);
		return;
	}
	check_vectors(w, columns, nrows);
	for (uint32 g = 0; g < ngroups; g++)
	{
		uint32		first = (uint32) ((uint64) nrows * g / ngroups);
		uint32		n = (uint32) ((uint64) nrows * (g + 1) / ngroups) - first;

		parquet_write_group(w, columns, NULL, first, n);
		}
}
