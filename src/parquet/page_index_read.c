/*-------------------------------------------------------------------------
 *
 * page_index_read.c
 *	  The page indexes of a Parquet file, from Thrift: where the pages of a
 *	  column chunk are, and what bounds they have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/metadata_read.h"
#include "parquet/thrift.h"

/* A list of 64-bit integers, as an array. */
static int64 *
read_int64_list(ThriftReader *r, const ThriftField *f, uint32 *count)
{
	int64	   *values;

	*count = thrift_read_list(r, f, THRIFT_I64);
	values = thrift_list_alloc(*count, sizeof(int64));
	for (uint32 i = 0; i < *count; i++)
		values[i] = thrift_item_i64(r);
	return values;
}

static void
read_page_location(ThriftReader *r, ParquetPageLocation *l)
{
	ThriftField f;

	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		if (f.id == 1)
			l->offset = thrift_read_i64(r, &f);
		else if (f.id == 2)
			l->compressed_page_size = thrift_read_i32(r, &f);
		else if (f.id == 3)
			l->first_row_index = thrift_read_i64(r, &f);
		else
			thrift_skip_field(r, &f);
	}
}

void
parquet_read_offset_index(Cursor *c, ParquetOffsetIndex *index)
{
	ThriftReader r;
	ThriftField f;

	memset(index, 0, sizeof(*index));
	thrift_reader_init(&r, c);
	thrift_struct_begin(&r);
	while (thrift_next_field(&r, &f))
	{
		if (f.id == 1)
		{
			index->npages = thrift_read_list(&r, &f, THRIFT_STRUCT);
			index->locations = thrift_list_alloc(index->npages, sizeof(ParquetPageLocation));
			for (uint32 i = 0; i < index->npages; i++)
				read_page_location(&r, &index->locations[i]);
		}
		else
			thrift_skip_field(&r, &f);
	}
	thrift_require(&r, index->locations != NULL, "OffsetIndex.page_locations");
}

/* min_values or max_values: one byte string for each page. */
static ParquetBytes *
read_bytes_list(ThriftReader *r, const ThriftField *f, uint32 *count)
{
	ParquetBytes *values;

	*count = thrift_read_list(r, f, THRIFT_BINARY);
	values = thrift_list_alloc(*count, sizeof(ParquetBytes));
	for (uint32 i = 0; i < *count; i++)
		values[i].data = thrift_item_binary(r, &values[i].size);
	return values;
}

void
parquet_read_column_index(Cursor *c, ParquetColumnIndex *index)
{
	uint32		nmin = 0;
	uint32		nmax = 0;
	uint32		nnull_counts = 0;
	ThriftReader r;
	ThriftField f;

	memset(index, 0, sizeof(*index));
	thrift_reader_init(&r, c);
	thrift_struct_begin(&r);
	while (thrift_next_field(&r, &f))
	{
		switch (f.id)
		{
			case 1:
				index->npages = thrift_read_list(&r, &f, THRIFT_TRUE);
				index->null_pages = thrift_list_alloc(index->npages, sizeof(bool));
				for (uint32 i = 0; i < index->npages; i++)
					index->null_pages[i] = thrift_item_bool(&r);
				break;
			case 2:
				index->min_values = read_bytes_list(&r, &f, &nmin);
				break;
			case 3:
				index->max_values = read_bytes_list(&r, &f, &nmax);
				break;
			case 4:
				index->boundary_order = (ParquetBoundaryOrder) thrift_read_i32(&r, &f);
				break;
			case 5:
				index->null_counts = read_int64_list(&r, &f, &nnull_counts);
				break;
			default:
				thrift_skip_field(&r, &f);
		}
	}
	if (index->null_pages == NULL || nmin != index->npages || nmax != index->npages ||
		(index->null_counts != NULL && nnull_counts != index->npages))
		cursor_fail(c, "column index has %u null pages, %u minima, %u maxima and %u null counts",
					index->npages, nmin, nmax, nnull_counts);
}
