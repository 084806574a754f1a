/*-------------------------------------------------------------------------
 *
 * metadata_read.c
 *	  The footer of a Parquet file, from Thrift.
 *
 * One function for each Thrift struct, in the order of parquet.thrift.  The
 * row groups of the footer are in row_group_read.c; what stands elsewhere in
 * the file is in page_header_read.c and page_index_read.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/metadata_read.h"
#include "parquet/thrift.h"

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
	thrift_require(r, e->name != NULL, "SchemaElement.name");
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
	thrift_require(r, kv->key != NULL, "KeyValue.key");
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
			meta->schema = thrift_list_alloc(n, sizeof(ParquetSchemaElement));
			for (uint32 i = 0; i < n; i++)
				read_schema_element(r, &meta->schema[i]);
			break;
		case 4:
			meta->nrow_groups = n;
			meta->row_groups = thrift_list_alloc(n, sizeof(ParquetRowGroup));
			for (uint32 i = 0; i < n; i++)
				parquet_read_row_group(r, &meta->row_groups[i]);
			break;
		case 5:
			meta->nkey_values = n;
			meta->key_values = thrift_list_alloc(n, sizeof(ParquetKeyValue));
			for (uint32 i = 0; i < n; i++)
				read_key_value(r, &meta->key_values[i]);
			break;
		case 7:
			meta->ncolumn_orders = n;
			meta->column_orders = thrift_list_alloc(n, sizeof(int32));
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
	thrift_require(&r, meta->schema != NULL, "FileMetaData.schema");
	thrift_require(&r, meta->row_groups != NULL, "FileMetaData.row_groups");
	thrift_require(&r, has_rows, "FileMetaData.num_rows");
}
