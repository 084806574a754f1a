/*-------------------------------------------------------------------------
 *
 * metadata_read.c
 *	  The footer of a Parquet file and its page indexes, from Thrift.
 *
 * One function for each Thrift struct, in the order of parquet.thrift.  Page
 * headers, which are read far more often, are in page_header_read.c.
 *
 * A list is allocated by the count in its header, which thrift_read_list()
 * bounds by the bytes that remain; the structs here are at most some 300
 * bytes for one byte of input, so a hostile footer of n bytes costs 300 n.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/metadata_read.h"
#include "parquet/thrift.h"
#include "utils/memutils.h"

/* Zeroed memory for a list whose elements are structs. */
static void *
list_alloc(uint32 count, size_t size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max((size_t) count, 1) * size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Fails when a required field was not there. */
static void
require(ThriftReader *r, bool seen, const char *name)
{
	if (!seen)
		cursor_fail(r->cursor, "required field \"%s\" is missing", name);
}

static ParquetBytes
read_bytes(ThriftReader *r, const ThriftField *f)
{
	ParquetBytes b;

	b.data = thrift_read_binary(r, f, &b.size);
	return b;
}

/* union TimeUnit: empty structs, whose field number is the value. */
static ParquetTimeUnit
read_time_unit(ThriftReader *r, const ThriftField *field)
{
	ParquetTimeUnit unit = 0;
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		unit = (ParquetTimeUnit) f.id;
		thrift_skip_field(r, &f);
	}
	return unit;
}

/* The parameters of DECIMAL, TIME, TIMESTAMP and INTEGER. */
static void
read_logical_parameters(ThriftReader *r, const ThriftField *field, ParquetLogicalType *type)
{
	bool		decimal = (type->kind == PARQUET_LOGICAL_DECIMAL);
	bool		integer = (type->kind == PARQUET_LOGICAL_INTEGER);
	bool		timed = (type->kind == PARQUET_LOGICAL_TIME || type->kind == PARQUET_LOGICAL_TIMESTAMP);
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		if (decimal && f.id == 1)
			type->scale = thrift_read_i32(r, &f);
		else if (decimal && f.id == 2)
			type->precision = thrift_read_i32(r, &f);
		else if (timed && f.id == 1)
			type->adjusted_to_utc = thrift_read_bool(r, &f);
		else if (timed && f.id == 2)
			type->unit = read_time_unit(r, &f);
		else if (integer && f.id == 1)
			type->bit_width = thrift_read_byte(r, &f);
		else if (integer && f.id == 2)
			type->is_signed = thrift_read_bool(r, &f);
		else
			thrift_skip_field(r, &f);
	}
}

static void
read_logical_type(ThriftReader *r, const ThriftField *field, ParquetLogicalType *type)
{
	ThriftField f;

	thrift_enter(r, field);
	while (thrift_next_field(r, &f))
	{
		type->kind = (ParquetLogicalKind) f.id;
		read_logical_parameters(r, &f, type);
	}
}

static void
read_schema_element(ThriftReader *r, ParquetSchemaElement *e)
{
	ThriftField f;

	parquet_schema_element_init(e);
	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		switch (f.id)
		{
			case 1:
				e->type = thrift_read_i32(r, &f);
				break;
			case 2:
				e->type_length = thrift_read_i32(r, &f);
				break;
			case 3:
				e->repetition = (ParquetRepetition) thrift_read_i32(r, &f);
				break;
			case 4:
				e->name = thrift_read_string(r, &f);
				break;
			case 5:
				e->num_children = thrift_read_i32(r, &f);
				break;
			case 6:
				e->converted = (ParquetConvertedType) thrift_read_i32(r, &f);
				break;
			case 7:
				e->scale = thrift_read_i32(r, &f);
				break;
			case 8:
				e->precision = thrift_read_i32(r, &f);
				break;
			case 9:
				e->field_id = thrift_read_i32(r, &f);
				e->has_field_id = true;
				break;
			case 10:
				read_logical_type(r, &f, &e->logical);
				break;
			default:
				thrift_skip_field(r, &f);
		}
	}
	require(r, e->name != NULL, "SchemaElement.name");
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
	require(r, (seen & (1 << 1)) != 0, "ColumnMetaData.type");
	require(r, (seen & (1 << 4)) != 0, "ColumnMetaData.codec");
	require(r, (seen & (1 << 5)) != 0, "ColumnMetaData.num_values");
	require(r, (seen & (1 << 7)) != 0, "ColumnMetaData.total_compressed_size");
	require(r, (seen & (1 << 9)) != 0, "ColumnMetaData.data_page_offset");
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

static void
read_row_group(ThriftReader *r, ParquetRowGroup *g)
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
				g->columns = list_alloc(g->ncolumns, sizeof(ParquetColumnChunk));
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
	require(r, g->columns != NULL, "RowGroup.columns");
	require(r, has_rows, "RowGroup.num_rows");
}

static void
read_key_value(ThriftReader *r, ParquetKeyValue *kv)
{
	ThriftField f;

	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		if (f.id == 1)
			kv->key = thrift_read_string(r, &f);
		else if (f.id == 2)
			kv->value = thrift_read_string(r, &f);
		else
			thrift_skip_field(r, &f);
	}
	require(r, kv->key != NULL, "KeyValue.key");
}

/* union ColumnOrder: the field number of its one field. */
static int32
read_column_order(ThriftReader *r)
{
	int32		order = 0;
	ThriftField f;

	thrift_struct_begin(r);
	while (thrift_next_field(r, &f))
	{
		order = f.id;
		thrift_skip_field(r, &f);
	}
	return order;
}

/* The lists of the footer. */
static void
read_file_meta_list(ThriftReader *r, const ThriftField *f, ParquetFileMetaData *meta)
{
	uint32		n = thrift_read_list(r, f, THRIFT_STRUCT);

	switch (f->id)
	{
		case 2:
			meta->nschema = n;
			meta->schema = list_alloc(n, sizeof(ParquetSchemaElement));
			for (uint32 i = 0; i < n; i++)
				read_schema_element(r, &meta->schema[i]);
			break;
		case 4:
			meta->nrow_groups = n;
			meta->row_groups = list_alloc(n, sizeof(ParquetRowGroup));
			for (uint32 i = 0; i < n; i++)
				read_row_group(r, &meta->row_groups[i]);
			break;
		case 5:
			meta->nkey_values = n;
			meta->key_values = list_alloc(n, sizeof(ParquetKeyValue));
			for (uint32 i = 0; i < n; i++)
				read_key_value(r, &meta->key_values[i]);
			break;
		case 7:
			meta->ncolumn_orders = n;
			meta->column_orders = list_alloc(n, sizeof(int32));
			for (uint32 i = 0; i < n; i++)
				meta->column_orders[i] = read_column_order(r);
			break;
	}
}

void
parquet_read_file_meta(Cursor *c, ParquetFileMetaData *meta)
{
	bool		has_rows = false;
	ThriftReader r;
	ThriftField f;

	memset(meta, 0, sizeof(*meta));
	thrift_reader_init(&r, c);
	thrift_struct_begin(&r);
	while (thrift_next_field(&r, &f))
	{
		switch (f.id)
		{
			case 1:
				meta->version = thrift_read_i32(&r, &f);
				break;
			case 2:
			case 4:
			case 5:
			case 7:
				read_file_meta_list(&r, &f, meta);
				break;
			case 3:
				meta->num_rows = thrift_read_i64(&r, &f);
				has_rows = true;
				break;
			case 6:
				meta->created_by = thrift_read_string(&r, &f);
				break;
			case 8:
				meta->encrypted = true;
				thrift_skip_field(&r, &f);
				break;
			default:
				thrift_skip_field(&r, &f);
		}
	}
	require(&r, meta->schema != NULL, "FileMetaData.schema");
	require(&r, meta->row_groups != NULL, "FileMetaData.row_groups");
	require(&r, has_rows, "FileMetaData.num_rows");
}

/* A list of 64-bit integers, as an array. */
static int64 *
read_int64_list(ThriftReader *r, const ThriftField *f, uint32 *count)
{
	int64	   *values;

	*count = thrift_read_list(r, f, THRIFT_I64);
	values = list_alloc(*count, sizeof(int64));
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
			index->locations = list_alloc(index->npages, sizeof(ParquetPageLocation));
			for (uint32 i = 0; i < index->npages; i++)
				read_page_location(&r, &index->locations[i]);
		}
		else
			thrift_skip_field(&r, &f);
	}
	require(&r, index->locations != NULL, "OffsetIndex.page_locations");
}

/* min_values or max_values: one byte string for each page. */
static ParquetBytes *
read_bytes_list(ThriftReader *r, const ThriftField *f, uint32 *count)
{
	ParquetBytes *values;

	*count = thrift_read_list(r, f, THRIFT_BINARY);
	values = list_alloc(*count, sizeof(ParquetBytes));
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
				index->null_pages = list_alloc(index->npages, sizeof(bool));
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
