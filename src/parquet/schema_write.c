/*-------------------------------------------------------------------------
 *
 * schema_write.c
 *	  The Parquet type of a lake type.
 *
 * Both the logical type and, where one exists, the older converted type are
 * written: engines differ in which of them they read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/write_internal.h"

static void
leaf_decimal(ParquetSchemaElement *e, LakeType type)
{
	if (type.precision <= 9)
		e->type = PARQUET_INT32;
	else if (type.precision <= 18)
		e->type = PARQUET_INT64;
	else
	{
		e->type = PARQUET_FIXED_LEN_BYTE_ARRAY;
		e->type_length = (int32) lake_decimal_bytes(type.precision);
	}
	e->converted = PARQUET_CONVERTED_DECIMAL;
	e->scale = type.scale;
	e->precision = type.precision;
	e->logical.kind = PARQUET_LOGICAL_DECIMAL;
	e->logical.scale = type.scale;
	e->logical.precision = type.precision;
}

static void
leaf_time(ParquetSchemaElement *e, ParquetLogicalKind kind, ParquetConvertedType converted, bool utc)
{
	e->type = PARQUET_INT64;
	/* the converted type means an instant in UTC, so a local one has none */
	if (utc)
		e->converted = converted;
	e->logical.kind = kind;
	e->logical.adjusted_to_utc = utc;
	e->logical.unit = PARQUET_MICROS;
}

static void
leaf_fixed(ParquetSchemaElement *e, uint32 length)
{
	e->type = PARQUET_FIXED_LEN_BYTE_ARRAY;
	e->type_length = (int32) length;
}

static void
leaf_type(ParquetSchemaElement *e, LakeType type)
{
	switch (type.id)
	{
		case LAKE_BOOLEAN:
			e->type = PARQUET_BOOLEAN;
			break;
		case LAKE_INT:
			e->type = PARQUET_INT32;
			break;
		case LAKE_LONG:
			e->type = PARQUET_INT64;
			break;
		case LAKE_FLOAT:
			e->type = PARQUET_FLOAT;
			break;
		case LAKE_DOUBLE:
			e->type = PARQUET_DOUBLE;
			break;
		case LAKE_DECIMAL:
			leaf_decimal(e, type);
			break;
		case LAKE_DATE:
			e->type = PARQUET_INT32;
			e->converted = PARQUET_CONVERTED_DATE;
			e->logical.kind = PARQUET_LOGICAL_DATE;
			break;
		case LAKE_TIME:
			leaf_time(e, PARQUET_LOGICAL_TIME, PARQUET_CONVERTED_TIME_MICROS, false);
			break;
		case LAKE_TIMESTAMP:
			leaf_time(e, PARQUET_LOGICAL_TIMESTAMP, PARQUET_CONVERTED_TIMESTAMP_MICROS, false);
			break;
		case LAKE_TIMESTAMPTZ:
			leaf_time(e, PARQUET_LOGICAL_TIMESTAMP, PARQUET_CONVERTED_TIMESTAMP_MICROS, true);
			break;
		case LAKE_STRING:
			e->type = PARQUET_BYTE_ARRAY;
			e->converted = PARQUET_CONVERTED_UTF8;
			e->logical.kind = PARQUET_LOGICAL_STRING;
			break;
		case LAKE_UUID:
			leaf_fixed(e, 16);
			e->logical.kind = PARQUET_LOGICAL_UUID;
			break;
		case LAKE_FIXED:
			leaf_fixed(e, type.length);
			break;
		case LAKE_BINARY:
		case LAKE_NESTED:		/* never a leaf */
			e->type = PARQUET_BYTE_ARRAY;
			break;
	}
}

void
parquet_schema_leaf(ParquetSchemaElement *e, const ParquetColumn *column)
{
	parquet_schema_element_init(e);
	e->name = pstrdup(column->name);
	e->repetition = column->required ? PARQUET_REQUIRED : PARQUET_OPTIONAL;
	e->has_field_id = column->field_id >= 0;
	e->field_id = column->field_id;
	leaf_type(e, column->type);
}
