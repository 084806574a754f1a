/*-------------------------------------------------------------------------
 *
 * row_group_read.c
 *	  A row group of a Parquet file's footer, with its column chunks, from
 *	  Thrift.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/metadata_read.h"
#include "parquet/thrift.h"

static ParquetBytes
read_bytes(ThriftReader *r, const ThriftField *f)
{
	ParquetBytes b;

	b.data = thrift_read_binary(r, f, &b.size);
	return b;
}

static void
read_statistics(ThriftReader *r, const ThriftField *field, ParquetStatistics *s)
{
	ThriftField f;

	parquet_statistics_init(s);
	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				s->max = read_bytes(r, &f);
				break;
			case 2:
				s->min = read_bytes(r, &f);
				break;
			case 3:
				s->null_count = thrift_read_i64(r, &f);
				break;
			case 4:
				s->distinct_count = thrift_read_i64(r, &f);
				break;
			case 5:
				s->max_value = read_bytes(r, &f);
				break;
			case 6:
				s->min_value = read_bytes(r, &f);
				break;
			case 7:
				s->is_max_value_exact = thrift_read_bool(r, &f);
				s->has_exact = true;
				break;
			case 8:
				s->is_min_value_exact = thrift_read_bool(r, &f);
				s->has_exact = true;
				break;
			case 9:
				s->nan_count = thrift_read_i64(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
}

static void
read_column_meta_data(ThriftReader *r, const ThriftField *field, ParquetColumnMetaData *m)
{
	ThriftField f;
	uint32		seen = 0;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		if (f.id > 0 && f.id < 32)
			seen |= (uint32) 1 << f.id;
		switch (f.id)
		{
			case 1:
				m->type = (ParquetType) thrift_read_i32(r, &f);
				break;
			case 4:
				m->codec = thrift_read_i32(r, &f);
				break;
			case 5:
				m->num_values = thrift_read_i64(r, &f);
				break;
			case 6:
				m->total_uncompressed_size = thrift_read_i64(r, &f);
				break;
			case 7:
				m->total_compressed_size = thrift_read_i64(r, &f);
				break;
			case 9:
				m->data_page_offset = thrift_read_i64(r, &f);
				break;
			case 10:
				m->index_page_offset = thrift_read_i64(r, &f);
				break;
			case 11:
				m->dictionary_page_offset = thrift_read_i64(r, &f);
				break;
			case 12:
				read_statistics(r, &f, &m->statistics);
				m->has_statistics = true;
				break;
			case 14:
				m->bloom_filter_offset = thrift_read_i64(r, &f);
				break;
			case 15:
				m->bloom_filter_length = thrift_read_i32(r, &f);
				break;
			default:
				/* encodings and path: the pages and the schema say the same */
				thrift_skip_field(r, &f);
		}
	}
	thrift_require(r, (seen & (1 << 1)) != 0, "ColumnMetaData.type");
	thrift_require(r, (seen & (1 << 4)) != 0, "ColumnMetaData.codec");
	thrift_require(r, (seen & (1 << 5)) != 0, "ColumnMetaData.num_values");
	thrift_require(r, (seen & (1 << 7)) != 0, "ColumnMetaData.total_compressed_size");
	thrift_require(r, (seen & (1 << 9)) != 0, "ColumnMetaData.data_page_offset");
}

static void
read_column_chunk(ThriftReader *r, ParquetColumnChunk *c)
{
	ThriftField f;

	parquet_column_chunk_init(c);
	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				c->file_path = thrift_read_string(r, &f);
				break;
			case 2:
				c->file_offset = thrift_read_i64(r, &f);
				break;
			case 3:
				read_column_meta_data(r, &f, &c->meta_data);
				c->has_meta_data = true;
				break;
			case 4:
				c->offset_index_offset = thrift_read_i64(r, &f);
				break;
			case 5:
				c->offset_index_length = thrift_read_i32(r, &f);
				break;
			case 6:
				c->column_index_offset = thrift_read_i64(r, &f);
				break;
			case 7:
				c->column_index_length = thrift_read_i32(r, &f);
				break;
			case 8:
			case 9:
				c->encrypted = true;
				thrift_skip_field(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
}

void
parquet_read_row_group(ThriftReader *r, ParquetRowGroup *g)
{
	bool		has_rows = false;
	ThriftField f;

	parquet_row_group_init(g);
	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				g->ncolumns = thrift_read_list(r, &f, THRIFT_STRUCT);
				g->columns = thrift_list_alloc(g->ncolumns, sizeof(ParquetColumnChunk));
				for (uint32 i = 0; i < g->ncolumns; i++)
					read_column_chunk(r, &g->columns[i]);
				break;
			case 2:
				g->total_byte_size = thrift_read_i64(r, &f);
				break;
			case 3:
				g->num_rows = thrift_read_i64(r, &f);
				has_rows = true;
				break;
			case 5:
				g->file_offset = thrift_read_i64(r, &f);
				break;
			case 6:
				g->total_compressed_size = thrift_read_i64(r, &f);
				break;
			case 7:
				g->ordinal = thrift_read_i16(r, &f);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
	thrift_require(r, g->columns != NULL, "RowGroup.columns");
	thrift_require(r, has_rows, "RowGroup.num_rows");
}
