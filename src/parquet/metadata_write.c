/*-------------------------------------------------------------------------
 *
 * metadata_write.c
 *	  Footer, page headers and page indexes in their Thrift form.
 *
 * Field numbers are those of parquet.thrift; every struct has one function,
 * in the order of the format's file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/format.h"
#include "parquet/thrift.h"

static void
put_bytes(ThriftWriter *w, int id, const ParquetBytes *bytes)
{
	if (bytes->data != NULL)
		thrift_put_binary(w, id, bytes->data, bytes->size);
}

/* A count, offset or length that is absent when negative. */
static void
put_optional_i64(ThriftWriter *w, int id, int64 value)
{
	if (value >= 0)
		thrift_put_i64(w, id, value);
}

static void
put_optional_i32(ThriftWriter *w, int id, int32 value)
{
	if (value >= 0)
		thrift_put_i32(w, id, value);
}

static void
put_i64_list(ThriftWriter *w, int id, const int64 *values, uint32 n)
{
	if (values == NULL || n == 0)
		return;
	thrift_put_list(w, id, THRIFT_I64, n);
	for (uint32 i = 0; i < n; i++)
		thrift_element_i64(w, values[i]);
}

static void
put_statistics(ThriftWriter *w, int id, const ParquetStatistics *s)
{
	thrift_begin(w, id);
	put_bytes(w, 1, &s->max);
	put_bytes(w, 2, &s->min);
	put_optional_i64(w, 3, s->null_count);
	put_optional_i64(w, 4, s->distinct_count);
	put_bytes(w, 5, &s->max_value);
	put_bytes(w, 6, &s->min_value);
	if (s->has_exact)
	{
		thrift_put_bool(w, 7, s->is_max_value_exact);
		thrift_put_bool(w, 8, s->is_min_value_exact);
	}
	put_optional_i64(w, 9, s->nan_count);
	thrift_end(w);
}

static void
put_size_statistics(ThriftWriter *w, int id, const ParquetSizeStatistics *s)
{
	thrift_begin(w, id);
	put_optional_i64(w, 1, s->unencoded_bytes);
	put_i64_list(w, 2, s->repetition, s->nrepetition);
	put_i64_list(w, 3, s->definition, s->ndefinition);
	thrift_end(w);
}

static void
put_time(ThriftWriter *w, const ParquetLogicalType *t)
{
	thrift_put_bool(w, 1, t->adjusted_to_utc);
	thrift_begin(w, 2);
	thrift_begin(w, t->unit);
	thrift_end(w);
	thrift_end(w);
}

static void
put_logical_type(ThriftWriter *w, int id, const ParquetLogicalType *t)
{
	thrift_begin(w, id);
	thrift_begin(w, t->kind);
	switch (t->kind)
	{
		case PARQUET_LOGICAL_DECIMAL:
			thrift_put_i32(w, 1, t->scale);
			thrift_put_i32(w, 2, t->precision);
			break;
		case PARQUET_LOGICAL_TIME:
		case PARQUET_LOGICAL_TIMESTAMP:
			put_time(w, t);
			break;
		case PARQUET_LOGICAL_INTEGER:
			thrift_put_byte(w, 1, t->bit_width);
			thrift_put_bool(w, 2, t->is_signed);
			break;
		default:				/* the others have no fields */
			break;
	}
	thrift_end(w);
	thrift_end(w);
}

static void
put_schema_element(ThriftWriter *w, const ParquetSchemaElement *e)
{
	thrift_begin(w, 0);
	put_optional_i32(w, 1, e->type);
	put_optional_i32(w, 2, e->type_length);
	put_optional_i32(w, 3, e->repetition);
	thrift_put_string(w, 4, e->name);
	put_optional_i32(w, 5, e->num_children);
	put_optional_i32(w, 6, e->converted);
	put_optional_i32(w, 7, e->scale);
	put_optional_i32(w, 8, e->precision);
	if (e->has_field_id)
		thrift_put_i32(w, 9, e->field_id);
	if (e->logical.kind != PARQUET_LOGICAL_NONE)
		put_logical_type(w, 10, &e->logical);
	thrift_end(w);
}

static void
put_encoding_stats(ThriftWriter *w, int id, const ParquetColumnMetaData *c)
{
	thrift_put_list(w, id, THRIFT_STRUCT, c->nencoding_stats);
	for (uint32 i = 0; i < c->nencoding_stats; i++)
	{
		thrift_begin(w, 0);
		thrift_put_i32(w, 1, c->encoding_stats[i].page_type);
		thrift_put_i32(w, 2, c->encoding_stats[i].encoding);
		thrift_put_i32(w, 3, c->encoding_stats[i].count);
		thrift_end(w);
	}
}

static void
put_column_meta(ThriftWriter *w, int id, const ParquetColumnMetaData *c)
{
	thrift_begin(w, id);
	thrift_put_i32(w, 1, c->type);
	thrift_put_list(w, 2, THRIFT_I32, c->nencodings);
	for (uint32 i = 0; i < c->nencodings; i++)
		thrift_element_i32(w, c->encodings[i]);
	thrift_put_list(w, 3, THRIFT_BINARY, c->npath);
	for (uint32 i = 0; i < c->npath; i++)
		thrift_element_binary(w, c->path[i], strlen(c->path[i]));
	thrift_put_i32(w, 4, c->codec);
	thrift_put_i64(w, 5, c->num_values);
	thrift_put_i64(w, 6, c->total_uncompressed_size);
	thrift_put_i64(w, 7, c->total_compressed_size);
	thrift_put_i64(w, 9, c->data_page_offset);
	put_optional_i64(w, 10, c->index_page_offset);
	put_optional_i64(w, 11, c->dictionary_page_offset);
	if (c->has_statistics)
		put_statistics(w, 12, &c->statistics);
	if (c->nencoding_stats > 0)
		put_encoding_stats(w, 13, c);
	put_optional_i64(w, 14, c->bloom_filter_offset);
	put_optional_i32(w, 15, c->bloom_filter_length);
	if (c->has_size_statistics)
		put_size_statistics(w, 16, &c->size_statistics);
	thrift_end(w);
}

static void
put_column_chunk(ThriftWriter *w, const ParquetColumnChunk *c)
{
	thrift_begin(w, 0);
	if (c->file_path != NULL)
		thrift_put_string(w, 1, c->file_path);
	thrift_put_i64(w, 2, c->file_offset);
	if (c->has_meta_data)
		put_column_meta(w, 3, &c->meta_data);
	put_optional_i64(w, 4, c->offset_index_offset);
	put_optional_i32(w, 5, c->offset_index_length);
	put_optional_i64(w, 6, c->column_index_offset);
	put_optional_i32(w, 7, c->column_index_length);
	thrift_end(w);
}

static void
put_row_group(ThriftWriter *w, const ParquetRowGroup *g)
{
	thrift_begin(w, 0);
	thrift_put_list(w, 1, THRIFT_STRUCT, g->ncolumns);
	for (uint32 i = 0; i < g->ncolumns; i++)
		put_column_chunk(w, &g->columns[i]);
	thrift_put_i64(w, 2, g->total_byte_size);
	thrift_put_i64(w, 3, g->num_rows);
	put_optional_i64(w, 5, g->file_offset);
	put_optional_i64(w, 6, g->total_compressed_size);
	if (g->ordinal >= 0)
		thrift_put_i16(w, 7, (int16) g->ordinal);
	thrift_end(w);
}

static void
put_key_values(ThriftWriter *w, int id, const ParquetFileMetaData *meta)
{
	thrift_put_list(w, id, THRIFT_STRUCT, meta->nkey_values);
	for (uint32 i = 0; i < meta->nkey_values; i++)
	{
		thrift_begin(w, 0);
		thrift_put_string(w, 1, meta->key_values[i].key);
		if (meta->key_values[i].value != NULL)
			thrift_put_string(w, 2, meta->key_values[i].value);
		thrift_end(w);
	}
}

static void
put_column_orders(ThriftWriter *w, int id, const ParquetFileMetaData *meta)
{
	thrift_put_list(w, id, THRIFT_STRUCT, meta->ncolumn_orders);
	for (uint32 i = 0; i < meta->ncolumn_orders; i++)
	{
		thrift_begin(w, 0);
		thrift_begin(w, meta->column_orders[i]);
		thrift_end(w);
		thrift_end(w);
	}
}

void
parquet_write_file_meta(StringInfo out, const ParquetFileMetaData *meta)
{
	ThriftWriter w;

	thrift_writer_init(&w, out);
	thrift_put_i32(&w, 1, meta->version);
	thrift_put_list(&w, 2, THRIFT_STRUCT, meta->nschema);
	for (uint32 i = 0; i < meta->nschema; i++)
		put_schema_element(&w, &meta->schema[i]);
	thrift_put_i64(&w, 3, meta->num_rows);
	thrift_put_list(&w, 4, THRIFT_STRUCT, meta->nrow_groups);
	for (uint32 i = 0; i < meta->nrow_groups; i++)
		put_row_group(&w, &meta->row_groups[i]);
	if (meta->nkey_values > 0)
		put_key_values(&w, 5, meta);
	if (meta->created_by != NULL)
		thrift_put_string(&w, 6, meta->created_by);
	if (meta->ncolumn_orders > 0)
		put_column_orders(&w, 7, meta);
	thrift_end(&w);
}

static void
put_data_page_header(ThriftWriter *w, const ParquetPageHeader *h)
{
	thrift_begin(w, 5);
	thrift_put_i32(w, 1, h->num_values);
	thrift_put_i32(w, 2, h->encoding);
	thrift_put_i32(w, 3, h->definition_encoding);
	thrift_put_i32(w, 4, h->repetition_encoding);
	if (h->has_statistics)
		put_statistics(w, 5, &h->statistics);
	thrift_end(w);
}

static void
put_dictionary_page_header(ThriftWriter *w, const ParquetPageHeader *h)
{
	thrift_begin(w, 7);
	thrift_put_i32(w, 1, h->num_values);
	thrift_put_i32(w, 2, h->encoding);
	thrift_put_bool(w, 3, h->is_sorted);
	thrift_end(w);
}

static void
put_data_page_header_v2(ThriftWriter *w, const ParquetPageHeader *h)
{
	thrift_begin(w, 8);
	thrift_put_i32(w, 1, h->num_values);
	thrift_put_i32(w, 2, h->num_nulls);
	thrift_put_i32(w, 3, h->num_rows);
	thrift_put_i32(w, 4, h->encoding);
	thrift_put_i32(w, 5, h->definition_bytes);
	thrift_put_i32(w, 6, h->repetition_bytes);
	thrift_put_bool(w, 7, h->is_compressed);
	if (h->has_statistics)
		put_statistics(w, 8, &h->statistics);
	thrift_end(w);
}

void
parquet_write_page_header(StringInfo out, const ParquetPageHeader *header)
{
	ThriftWriter w;

	thrift_writer_init(&w, out);
	thrift_put_i32(&w, 1, header->type);
	thrift_put_i32(&w, 2, header->uncompressed_size);
	thrift_put_i32(&w, 3, header->compressed_size);
	if (header->has_crc)
		thrift_put_i32(&w, 4, (int32) header->crc);
	switch (header->type)
	{
		case PARQUET_DATA_PAGE:
			put_data_page_header(&w, header);
			break;
		case PARQUET_DICTIONARY_PAGE:
			put_dictionary_page_header(&w, header);
			break;
		case PARQUET_DATA_PAGE_V2:
			put_data_page_header_v2(&w, header);
			break;
		default:
			elog(ERROR, "cannot write a Parquet page of type %d", (int) header->type);
	}
	thrift_end(&w);
}

void
parquet_write_offset_index(StringInfo out, const ParquetOffsetIndex *index)
{
	ThriftWriter w;

	thrift_writer_init(&w, out);
	thrift_put_list(&w, 1, THRIFT_STRUCT, index->npages);
	for (uint32 i = 0; i < index->npages; i++)
	{
		thrift_begin(&w, 0);
		thrift_put_i64(&w, 1, index->locations[i].offset);
		thrift_put_i32(&w, 2, index->locations[i].compressed_page_size);
		thrift_put_i64(&w, 3, index->locations[i].first_row_index);
		thrift_end(&w);
	}
	put_i64_list(&w, 2, index->unencoded_bytes, index->npages);
	thrift_end(&w);
}

void
parquet_write_column_index(StringInfo out, const ParquetColumnIndex *index)
{
	ThriftWriter w;

	thrift_writer_init(&w, out);
	thrift_put_list(&w, 1, THRIFT_TRUE, index->npages);
	for (uint32 i = 0; i < index->npages; i++)
		thrift_element_bool(&w, index->null_pages[i]);
	thrift_put_list(&w, 2, THRIFT_BINARY, index->npages);
	for (uint32 i = 0; i < index->npages; i++)
		thrift_element_binary(&w, index->min_values[i].data, index->min_values[i].size);
	thrift_put_list(&w, 3, THRIFT_BINARY, index->npages);
	for (uint32 i = 0; i < index->npages; i++)
		thrift_element_binary(&w, index->max_values[i].data, index->max_values[i].size);
	thrift_put_i32(&w, 4, index->boundary_order);
	put_i64_list(&w, 5, index->null_counts, index->npages);
	put_i64_list(&w, 7, index->definition, index->ndefinition);
	put_i64_list(&w, 8, index->nan_counts, index->npages);
	thrift_end(&w);
}
