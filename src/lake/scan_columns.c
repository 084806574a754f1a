/*-------------------------------------------------------------------------
 *
 * scan_columns.c
 *	  The projection of a scan bound to the columns of one Parquet file.
 *
 * Fields are found by field id; in a file without ids by the table's name
 * mapping (Iceberg spec, "Column Projection"), then by name.  A file that was
 * written before a type was promoted holds the narrower type: its values are
 * widened here, so that filters and consumers see one type per field.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"
#include "lake/scan_internal.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#define NAME_MAPPING_PROPERTY "schema.name-mapping.default"

/* --- finding the leaf --- */

static bool
mapping_has_name(const JsonNode *entry, const char *name)
{
	const JsonNode *names = json_get(entry, "names");

	if (names == NULL || names->kind != JSON_ARRAY)
		return false;
	for (const JsonNode *n = names->child; n != NULL; n = n->next)
	{
		if (n->kind == JSON_STRING && strcmp(n->text, name) == 0)
			return true;
	}
	return false;
}

/* Does the name mapping give leaf `name` to field `id`?  mapping NULL: names must be equal. */
static bool
leaf_is_field(const JsonNode *mapping, const char *object, const char *name, const IcebergField *field)
{
	if (mapping == NULL || mapping->kind != JSON_ARRAY)
		return strcmp(name, field->name) == 0;
	for (const JsonNode *e = mapping->child; e != NULL; e = e->next)
	{
		if (json_get_int64_opt(e, "field-id", -1, object) == field->id)
			return mapping_has_name(e, name);
	}
	return false;
}

static bool
file_has_ids(ParquetReader *parquet)
{
	for (int i = 0; i < parquet_reader_nleaves(parquet); i++)
	{
		if (parquet_reader_leaf(parquet, i)->field_id >= 0)
			return true;
	}
	return false;
}

static int
find_leaf(ParquetReader *parquet, bool by_id, const JsonNode *mapping, const char *object,
		  const IcebergField *field)
{
	for (int i = 0; i < parquet_reader_nleaves(parquet); i++)
	{
		const ParquetLeaf *leaf = parquet_reader_leaf(parquet, i);

		if (by_id ? leaf->field_id == field->id : leaf_is_field(mapping, object, leaf->name, field))
			return i;
	}
	return -1;
}

static void
check_leaf(const LakeTable *table, const ParquetLeaf *leaf, const char *path, const IcebergField *field)
{
	if (!leaf->supported)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read column \"%s\" of lake file \"%s\": %s",
						field->name, path, leaf->reason)));
	if (!lake_type_readable(leaf->type, field->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("cannot read column \"%s\" of lake file \"%s\": it has type %s, the table \"%s.%s\" says %s",
						field->name, path, lake_type_name(leaf->type),
						table->namespace, table->name, lake_type_name(field->type))));
}

/* A nested field: put together from the file's column, if it has one. */
static void
bind_nested(ScanColumn *c, const LakeTable *table, ParquetReader *parquet, const char *path,
			bool by_id, const JsonNode *mapping)
{
	const ParquetNode *node = parquet_reader_root(parquet)->children;
	const char *reason;

	while (node != NULL && !(by_id ? node->field_id == c->field->id :
							 leaf_is_field(mapping, table->metadata_location, node->name, c->field)))
		node = node->next;
	if (node == NULL)
		return;
	c->nested = parquet_nested_bind(parquet, node, c->field->node, by_id, &reason);
	if (c->nested == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read column \"%s\" of lake file \"%s\" as %s: %s",
						c->field->name, path, lake_node_text(c->field->node), reason)));
}

/* A field of one leaf. */
static void
bind_leaf(ScanColumn *c, const LakeTable *table, ParquetReader *parquet, const char *path,
		  bool by_id, const JsonNode *mapping)
{
	c->leaf = find_leaf(parquet, by_id, mapping, table->metadata_location, c->field);
	if (c->leaf < 0)
		c->has_default = scan_default_value(c->field, &c->default_value);
	else
	{
		const ParquetLeaf *leaf = parquet_reader_leaf(parquet, c->leaf);

		check_leaf(table, leaf, path, c->field);
		c->leaf_type = leaf->type;
	}
}

ScanColumn *
scan_columns_bind(const LakeTable *table, ParquetReader *parquet, const char *path,
				  const IcebergField **fields, int nfields)
{
	ScanColumn *columns = palloc0(Max(nfields, 1) * sizeof(ScanColumn));
	bool		by_id = file_has_ids(parquet);
	const JsonNode *mapping = NULL;

	if (!by_id)
	{
		const char *text = iceberg_metadata_property(table->metadata, NAME_MAPPING_PROPERTY);

		if (text != NULL)
			mapping = json_read(text, strlen(text), table->metadata_location);
	}
	for (int i = 0; i < nfields; i++)
	{
		ScanColumn *c = &columns[i];

		c->field = fields[i];
		c->leaf = -1;
		c->leaf_type = c->field->type;
		if (c->field->node != NULL)
			bind_nested(c, table, parquet, path, by_id, mapping);
		else
			bind_leaf(c, table, parquet, path, by_id, mapping);
		c->raw = column_vector_create(CurrentMemoryContext, c->leaf_type, 0);
		c->vector = c->raw;
		if (!lake_type_equal(c->leaf_type, c->field->type))
			c->vector = column_vector_create(CurrentMemoryContext, c->field->type, 0);
	}
	return columns;
}

/* --- defaults --- */

/* Text of a JSON default through the input rules of the type that it is written in. */
static void
default_from_text(const IcebergField *field, const char *text, LakeValue *value)
{
	switch (field->type.id)
	{
		case LAKE_STRING:
			value->u.bytes.data = text;
			value->u.bytes.size = strlen(text);
			return;
		case LAKE_DATE:
			value->u.i64 = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text))) +
				(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
			return;
		case LAKE_TIME:
			value->u.i64 = DatumGetTimeADT(DirectFunctionCall3(time_in, CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1)));
			return;
		case LAKE_TIMESTAMP:
		case LAKE_TIMESTAMPTZ:
			value->u.i64 = DatumGetTimestamp(DirectFunctionCall3(field->type.id == LAKE_TIMESTAMP ?
																 timestamp_in : timestamptz_in,
																 CStringGetDatum(text),
																 ObjectIdGetDatum(InvalidOid),
																 Int32GetDatum(-1))) +
				(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
			return;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read column \"%s\": a default of type %s is not supported",
							field->name, lake_type_name(field->type))));
	}
}

bool
scan_default_value(const IcebergField *field, LakeValue *value)
{
	const JsonNode *node;

	memset(value, 0, sizeof(LakeValue));
	if (field->initial_default == NULL)
		return false;
	node = json_read(field->initial_default, strlen(field->initial_default), field->name);
	switch (node->kind)
	{
		case JSON_NULL:
			return false;
		case JSON_BOOL:
			value->u.i64 = node->boolean;
			return true;
		case JSON_NUMBER:
			if (lake_type_layout(field->type) == LAYOUT_FLOAT || lake_type_layout(field->type) == LAYOUT_DOUBLE)
				value->u.f64 = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(node->text)));
			else
				value->u.i64 = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(node->text)));
			return true;
		case JSON_STRING:
			default_from_text(field, node->text, value);
			return true;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read column \"%s\": its default is not supported", field->name)));
	}
	return false;
}

/* --- reading --- */

/* A column the file lacks: its default, or nulls. */
static ColumnVector *
column_fill(ScanColumn *c, uint32 nrows)
{
	ColumnVector *v = c->vector;

	column_vector_reset(v);
	column_vector_reserve(v, nrows);
	for (uint32 i = 0; i < nrows; i++)
	{
		if (c->has_default)
			column_vector_append_value(v, &c->default_value);
		else
			column_append_null(v);
	}
	return v;
}

/* Values of a plain vector of a narrower type into one of the field's type. */
static void
widen_values(const ColumnVector *from, ColumnVector *to)
{
	uint32		n = from->length;

	column_vector_reset(to);
	column_vector_reserve(to, n);
	if (from->layout == to->layout)
	{
		/* the same bytes under another name: decimal(9,2) as decimal(15,2), binary as string */
		if (from->layout == LAYOUT_BYTES)
		{
			column_vector_reserve_bytes(to, from->offsets[n]);
			memcpy(to->offsets, from->offsets, ((size_t) n + 1) * sizeof(uint32));
			memcpy(to->bytes, from->bytes, from->offsets[n]);
		}
		else
			memcpy(to->values, from->values, (size_t) n * from->width);
	}
	else if (from->layout == LAYOUT_INT32 && to->layout == LAYOUT_INT64)
	{
		for (uint32 i = 0; i < n; i++)
			((int64 *) to->values)[i] = ((const int32 *) from->values)[i];
	}
	else if (from->layout == LAYOUT_INT64 && to->layout == LAYOUT_INT128)
	{
		for (uint32 i = 0; i < n; i++)
		{
			int128		wide = ((const int64 *) from->values)[i];

			memcpy(to->values + (size_t) i * sizeof(int128), &wide, sizeof(int128));
		}
	}
	else if (from->layout == LAYOUT_FLOAT && to->layout == LAYOUT_DOUBLE)
	{
		for (uint32 i = 0; i < n; i++)
			((double *) to->values)[i] = ((const float *) from->values)[i];
	}
	else
		elog(ERROR, "no widening from %s to %s", lake_type_name(from->type), lake_type_name(to->type));
	to->length = n;
}

/* In dictionary form only the dictionary is widened. */
static ColumnVector *
column_widen(ColumnVector *from, ColumnVector *to)
{
	/* codes and validity are the source's; forget those of the last time before arrays may grow */
	to->codes = NULL;
	to->valid = NULL;
	to->null_count = 0;
	if (from->codes != NULL)
	{
		if (to->dictionary == NULL)
			to->dictionary = column_vector_create(to->context, to->type, 0);
		widen_values(from->dictionary, to->dictionary);
		to->length = from->length;
		to->codes = from->codes;
	}
	else
		widen_values(from, to);
	to->null_count = from->null_count;
	to->valid = from->valid;
	return to;
}

ColumnVector *
scan_column_read(ScanColumn *c, ParquetReader *parquet, const char *path, int group,
				 const ScanRanges *ranges, uint32 nrows)
{
	if (c->leaf < 0 && c->nested == NULL)
		return column_fill(c, ranges != NULL ? ranges->rows : nrows);
	if (c->nested != NULL)
		parquet_nested_read(c->nested, group, ranges != NULL ? ranges->pairs : NULL,
							ranges != NULL ? ranges->n : 0, c->raw);
	else
		parquet_reader_column(parquet, group, c->leaf,
							  ranges != NULL ? ranges->pairs : NULL, ranges != NULL ? ranges->n : 0,
							  true, c->raw);
	if (c->raw->length != (ranges != NULL ? ranges->rows : nrows))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read lake file \"%s\": column \"%s\" has %u rows in row group %d instead of %u",
						path, c->field->name, c->raw->length, group,
						ranges != NULL ? ranges->rows : nrows)));
	return c->vector == c->raw ? c->raw : column_widen(c->raw, c->vector);
}

int
scan_column_nleaves(const ScanColumn *c)
{
	return c->nested != NULL ? parquet_nested_nleaves(c->nested) : c->leaf >= 0;
}

int
scan_column_leaf(const ScanColumn *c, int i)
{
	return c->nested != NULL ? parquet_nested_leaf(c->nested, i) : c->leaf;
}

/* --- bounds --- */

static void
widen_bound(LakeType from, LakeType to, LakeValue *value)
{
	if (lake_type_layout(from) != LAYOUT_INT128 && lake_type_layout(to) == LAYOUT_INT128)
		value->u.i128 = value->u.i64;
}

void
scan_column_bounds(const ScanColumn *c, const ParquetBounds *from, FilterBounds *to)
{
	scan_bounds_unknown(to);
	to->null_count = from->null_count;
	to->value_count = from->value_count;
	if (!from->has_bounds)
		return;
	to->known = true;
	to->lower = from->lower;
	to->upper = from->upper;
	widen_bound(c->leaf_type, c->field->type, &to->lower);
	widen_bound(c->leaf_type, c->field->type, &to->upper);
}

void
scan_column_missing_bounds(const ScanColumn *c, uint64 rows, FilterBounds *to)
{
	scan_bounds_unknown(to);
	/* of a nested column nothing is known */
	if (c->nested != NULL)
		return;
	to->value_count = rows;
	to->null_count = c->has_default ? 0 : rows;
	to->nan_count = 0;
	if (c->has_default)
	{
		to->known = true;
		to->lower = c->default_value;
		to->upper = c->default_value;
	}
}
