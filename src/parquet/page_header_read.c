/*-------------------------------------------------------------------------
 *
 * page_header_read.c
 *	  The header in front of every page of a Parquet file, from Thrift.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/metadata_read.h"
#include "parquet/thrift.h"

/* Which of the optional structs a header must have, by page type. */
#define SEEN_DATA (1 << PARQUET_DATA_PAGE)
#define SEEN_DICTIONARY (1 << PARQUET_DICTIONARY_PAGE)
#define SEEN_DATA_V2 (1 << PARQUET_DATA_PAGE_V2)

static void
read_data_page(ThriftReader *r, const ThriftField *field, ParquetPageHeader *h)
{
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				h->num_values = thrift_read_i32(r, &f);
				break;
			case 2:
				h->encoding = (ParquetEncoding) thrift_read_i32(r, &f);
				break;
			case 3:
				h->definition_encoding = (ParquetEncoding) thrift_read_i32(r, &f);
				break;
			case 4:
				h->repetition_encoding = (ParquetEncoding) thrift_read_i32(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
}

static void
read_data_page_v2(ThriftReader *r, const ThriftField *field, ParquetPageHeader *h)
{
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				h->num_values = thrift_read_i32(r, &f);
				break;
			case 2:
				h->num_nulls = thrift_read_i32(r, &f);
				break;
			case 3:
				h->num_rows = thrift_read_i32(r, &f);
				break;
			case 4:
				h->encoding = (ParquetEncoding) thrift_read_i32(r, &f);
				break;
			case 5:
				h->definition_bytes = thrift_read_i32(r, &f);
				break;
			case 6:
				h->repetition_bytes = thrift_read_i32(r, &f);
				break;
			case 7:
				h->is_compressed = thrift_read_bool(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
}

static void
read_dictionary_page(ThriftReader *r, const ThriftField *field, ParquetPageHeader *h)
{
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				h->num_values = thrift_read_i32(r, &f);
				break;
			case 2:
				h->encoding = (ParquetEncoding) thrift_read_i32(r, &f);
				break;
			case 3:
				h->is_sorted = thrift_read_bool(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
}

void
parquet_read_page_header(Cursor *c, ParquetPageHeader *h)
{
	uint32		seen = 0;
	uint32		needed;
	ThriftReader r;
	ThriftField f;

	parquet_page_header_init(h);
	h->uncompressed_size = -1;
	h->compressed_size = -1;
	thrift_reader_init(&r, c);
	thrift_struct_begin(&r);
	while (thrift_next_field(&r, &f))
	{
		switch (f.id)
		{
			case 1:
				h->type = (ParquetPageType) thrift_read_i32(&r, &f);
				break;
			case 2:
				h->uncompressed_size = thrift_read_i32(&r, &f);
				break;
			case 3:
				h->compressed_size = thrift_read_i32(&r, &f);
				break;
			case 4:
				h->crc = (uint32) thrift_read_i32(&r, &f);
				h->has_crc = true;
				break;
			case 5:
				read_data_page(&r, &f, h);
				seen |= SEEN_DATA;
				break;
			case 7:
				read_dictionary_page(&r, &f, h);
				seen |= SEEN_DICTIONARY;
				break;
			case 8:
				read_data_page_v2(&r, &f, h);
				seen |= SEEN_DATA_V2;
				break;
			default:
				thrift_skip_field(&r, &f);
		}
	}
	if (h->uncompressed_size < 0 || h->compressed_size < 0)
		cursor_fail(c, "page sizes %d and %d", h->compressed_size, h->uncompressed_size);
	needed = ((uint32) h->type <= PARQUET_DATA_PAGE_V2) ? (1u << h->type) : 0;
	if (needed != (1u << PARQUET_INDEX_PAGE) && (seen & needed) == 0)
		cursor_fail(c, "page of type %d has no header of that type", (int) h->type);
	if (h->num_values < 0)
		cursor_fail(c, "page has %d values", h->num_values);
}
