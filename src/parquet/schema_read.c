/*-------------------------------------------------------------------------
 *
 * schema_read.c
 *	  The leaves of a Parquet schema and the lake type each of them means.
 *
 * The schema is a tree written depth first.  The walk keeps an explicit
 * stack, bounded by PARQUET_MAX_NESTING, so that a hostile file cannot
 * exhaust the process's.
 *
 * A leaf that tarn cannot read exactly is listed with the reason; the file's
 * other columns stay readable.  Logical types win over the older converted
 * types, as LogicalTypes.md has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/reader_internal.h"

#define PARQUET_MAX_NESTING 64

/* Longest fixed-length value taken. */
#define PARQUET_MAX_FIXED (1 << 20)

/* An open group of the walk. */
typedef struct SchemaGroup
{
	int32		children_left;
	bool		optional;		/* it, or one around it */
	char	   *path;			/* NULL for the root */
	ParquetNode *node;
	ParquetNode **last;			/* where its next child is linked */
} SchemaGroup;

/* What logical and converted type say, in one form. */
typedef struct LeafMeaning
{
	ParquetLogicalKind kind;
	int32		precision;
	int32		scale;
	int			bits;			/* INTEGER */
	bool		is_signed;
	bool		utc;
	ParquetTimeUnit unit;
} LeafMeaning;

/* Converted types without parameters of their own; see converted_meaning for DECIMAL. */
static const struct
{
	ParquetConvertedType converted;
	LeafMeaning meaning;
}			converted_types[] =
{
	{PARQUET_CONVERTED_UTF8, {.kind = PARQUET_LOGICAL_STRING}},
	{PARQUET_CONVERTED_ENUM, {.kind = PARQUET_LOGICAL_ENUM}},
	{PARQUET_CONVERTED_DATE, {.kind = PARQUET_LOGICAL_DATE}},
	{PARQUET_CONVERTED_TIME_MILLIS, {.kind = PARQUET_LOGICAL_TIME, .utc = true, .unit = PARQUET_MILLIS}},
	{PARQUET_CONVERTED_TIME_MICROS, {.kind = PARQUET_LOGICAL_TIME, .utc = true, .unit = PARQUET_MICROS}},
	{PARQUET_CONVERTED_TIMESTAMP_MILLIS, {.kind = PARQUET_LOGICAL_TIMESTAMP, .utc = true, .unit = PARQUET_MILLIS}},
	{PARQUET_CONVERTED_TIMESTAMP_MICROS, {.kind = PARQUET_LOGICAL_TIMESTAMP, .utc = true, .unit = PARQUET_MICROS}},
	{PARQUET_CONVERTED_UINT_8, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 8}},
	{PARQUET_CONVERTED_UINT_16, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 16}},
	{PARQUET_CONVERTED_UINT_32, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 32}},
	{PARQUET_CONVERTED_UINT_64, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 64}},
	{PARQUET_CONVERTED_INT_8, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 8, .is_signed = true}},
	{PARQUET_CONVERTED_INT_16, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 16, .is_signed = true}},
	{PARQUET_CONVERTED_INT_32, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 32, .is_signed = true}},
	{PARQUET_CONVERTED_INT_64, {.kind = PARQUET_LOGICAL_INTEGER, .bits = 64, .is_signed = true}},
	{PARQUET_CONVERTED_JSON, {.kind = PARQUET_LOGICAL_JSON}},
	{PARQUET_CONVERTED_BSON, {.kind = PARQUET_LOGICAL_BSON}},
};

static LeafMeaning
leaf_meaning(const ParquetSchemaElement *e)
{
	LeafMeaning m = {.kind = e->logical.kind};

	if (e->logical.kind != PARQUET_LOGICAL_NONE)
	{
		m.precision = e->logical.precision;
		m.scale = e->logical.scale;
		m.bits = e->logical.bit_width;
		m.is_signed = e->logical.is_signed;
		m.utc = e->logical.adjusted_to_utc;
		m.unit = e->logical.unit;
		return m;
	}
	if (e->converted == PARQUET_CONVERTED_DECIMAL)
	{
		m.kind = PARQUET_LOGICAL_DECIMAL;
		m.precision = e->precision;
		m.scale = Max(e->scale, 0);
	}
	for (size_t i = 0; i < lengthof(converted_types); i++)
	{
		if (converted_types[i].converted == e->converted)
			return converted_types[i].meaning;
	}
	return m;
}

static void
leaf_set(ReaderLeaf *leaf, LakeTypeId id, ValueConversion conversion)
{
	leaf->pub.type.id = id;
	leaf->conversion = conversion;
	leaf->pub.supported = true;
}

static void
leaf_refuse(ReaderLeaf *leaf, const char *reason)
{
	leaf->pub.reason = reason;
	leaf->pub.supported = false;
}

static void
leaf_decimal(ReaderLeaf *leaf, const LeafMeaning *m)
{
	bool		bytes = (leaf->physical == PARQUET_BYTE_ARRAY ||
						 leaf->physical == PARQUET_FIXED_LEN_BYTE_ARRAY);
	bool		wide = m->precision > 18;

	if (m->precision < 1 || m->precision > 38 || m->scale < 0 || m->scale > m->precision)
	{
		leaf_refuse(leaf, "its decimal precision or scale is outside 1 to 38 digits");
		return;
	}
	leaf->pub.type.precision = (uint8) m->precision;
	leaf->pub.type.scale = (uint8) m->scale;
	if (bytes)
		leaf_set(leaf, LAKE_DECIMAL, wide ? CONVERT_BIG_ENDIAN_128 : CONVERT_BIG_ENDIAN_64);
	else if (leaf->physical == PARQUET_INT32 && !wide)
		leaf_set(leaf, LAKE_DECIMAL, CONVERT_INT32_INT64);
	else if (leaf->physical == PARQUET_INT64 && !wide)
		leaf_set(leaf, LAKE_DECIMAL, CONVERT_NONE);
	else
		leaf_refuse(leaf, "its physical type cannot hold a decimal of that precision");
}

static void
leaf_integer(ReaderLeaf *leaf, const LeafMeaning *m)
{
	leaf->is_unsigned = !m->is_signed;
	if (leaf->physical == PARQUET_INT32 && m->bits <= 32)
		leaf_set(leaf, m->is_signed ? LAKE_INT : LAKE_LONG,
				 m->is_signed ? CONVERT_NONE : CONVERT_UINT32_INT64);
	else if (leaf->physical == PARQUET_INT64 && m->is_signed)
		leaf_set(leaf, LAKE_LONG, CONVERT_NONE);
	else if (leaf->physical == PARQUET_INT64)
		leaf_refuse(leaf, "it is an unsigned 64-bit integer, which no lake type holds");
	else
		leaf_refuse(leaf, "its logical type does not fit its physical type");
}

static void
leaf_time(ReaderLeaf *leaf, const LeafMeaning *m)
{
	if (leaf->physical == PARQUET_INT32 && m->unit == PARQUET_MILLIS)
		leaf_set(leaf, LAKE_TIME, CONVERT_MILLIS32);
	else if (leaf->physical == PARQUET_INT64 && m->unit == PARQUET_MICROS)
		leaf_set(leaf, LAKE_TIME, CONVERT_NONE);
	else if (leaf->physical == PARQUET_INT64 && m->unit == PARQUET_NANOS)
		leaf_refuse(leaf, "it is a time in nanoseconds");
	else
		leaf_refuse(leaf, "its logical type does not fit its physical type");
}

static void
leaf_timestamp(ReaderLeaf *leaf, const LeafMeaning *m)
{
	LakeTypeId	id = m->utc ? LAKE_TIMESTAMPTZ : LAKE_TIMESTAMP;

	if (leaf->physical != PARQUET_INT64)
		leaf_refuse(leaf, "its logical type does not fit its physical type");
	else if (m->unit == PARQUET_MILLIS)
		leaf_set(leaf, id, CONVERT_MILLIS64);
	else if (m->unit == PARQUET_MICROS)
		leaf_set(leaf, id, CONVERT_NONE);
	else if (m->unit == PARQUET_NANOS)
		leaf_set(leaf, id, CONVERT_NANOS64);
	else
		leaf_refuse(leaf, "its timestamp has an unknown unit");
}

/* A leaf whose logical type adds nothing to the physical one. */
static void
leaf_physical(ReaderLeaf *leaf)
{
	static const struct
	{
		LakeTypeId	id;
		ValueConversion conversion;
	}			types[] = {
		[PARQUET_BOOLEAN] = {LAKE_BOOLEAN, CONVERT_NONE},
		[PARQUET_INT32] = {LAKE_INT, CONVERT_NONE},
		[PARQUET_INT64] = {LAKE_LONG, CONVERT_NONE},
		[PARQUET_INT96] = {LAKE_TIMESTAMP, CONVERT_INT96},
		[PARQUET_FLOAT] = {LAKE_FLOAT, CONVERT_NONE},
		[PARQUET_DOUBLE] = {LAKE_DOUBLE, CONVERT_NONE},
		[PARQUET_BYTE_ARRAY] = {LAKE_BINARY, CONVERT_NONE},
		[PARQUET_FIXED_LEN_BYTE_ARRAY] = {LAKE_FIXED, CONVERT_NONE},
	};

	leaf_set(leaf, types[leaf->physical].id, types[leaf->physical].conversion);
	if (leaf->physical == PARQUET_FIXED_LEN_BYTE_ARRAY)
		leaf->pub.type.length = leaf->width;
}

/* Logical types over byte strings. */
static void
leaf_bytes(ReaderLeaf *leaf, LakeTypeId id)
{
	if (leaf->physical == PARQUET_BYTE_ARRAY)
		leaf_set(leaf, id, CONVERT_NONE);
	else
		leaf_refuse(leaf, "its logical type does not fit its physical type");
}

static void
leaf_type(ReaderLeaf *leaf, const ParquetSchemaElement *e)
{
	LeafMeaning m = leaf_meaning(e);

	switch (m.kind)
	{
		case PARQUET_LOGICAL_STRING:
		case PARQUET_LOGICAL_ENUM:
		case PARQUET_LOGICAL_JSON:
			leaf_bytes(leaf, LAKE_STRING);
			break;
		case PARQUET_LOGICAL_BSON:
		case PARQUET_LOGICAL_GEOMETRY:
		case PARQUET_LOGICAL_GEOGRAPHY:
			leaf_bytes(leaf, LAKE_BINARY);
			break;
		case PARQUET_LOGICAL_DECIMAL:
			leaf_decimal(leaf, &m);
			break;
		case PARQUET_LOGICAL_INTEGER:
			leaf_integer(leaf, &m);
			break;
		case PARQUET_LOGICAL_DATE:
			if (leaf->physical == PARQUET_INT32)
				leaf_set(leaf, LAKE_DATE, CONVERT_NONE);
			else
				leaf_refuse(leaf, "its logical type does not fit its physical type");
			break;
		case PARQUET_LOGICAL_TIME:
			leaf_time(leaf, &m);
			break;
		case PARQUET_LOGICAL_TIMESTAMP:
			leaf_timestamp(leaf, &m);
			break;
		case PARQUET_LOGICAL_UUID:
			if (leaf->physical == PARQUET_FIXED_LEN_BYTE_ARRAY && leaf->width == 16)
				leaf_set(leaf, LAKE_UUID, CONVERT_NONE);
			else
				leaf_refuse(leaf, "its logical type does not fit its physical type");
			break;
		case PARQUET_LOGICAL_FLOAT16:
			leaf_refuse(leaf, "it is a 16-bit float, which no lake type holds");
			break;
		case PARQUET_LOGICAL_NONE:
		case PARQUET_LOGICAL_UNKNOWN:	/* always null */
			if (e->converted == PARQUET_CONVERTED_INTERVAL)
				leaf_refuse(leaf, "it is an interval of months, days and milliseconds, which no lake type holds");
			else
				leaf_physical(leaf);
			break;
		default:
			leaf_refuse(leaf, "its logical type is not known to tarn");
	}
}

static uint32
physical_width(const ParquetReader *r, const ParquetSchemaElement *e, const ParquetPlace *place)
{
	static const uint32 widths[] = {
		[PARQUET_BOOLEAN] = 1,
		[PARQUET_INT32] = 4,
		[PARQUET_INT64] = 8,
		[PARQUET_INT96] = 12,
		[PARQUET_FLOAT] = 4,
		[PARQUET_DOUBLE] = 8,
		[PARQUET_BYTE_ARRAY] = 0,
	};

	if (e->type < PARQUET_BOOLEAN || e->type > PARQUET_FIXED_LEN_BYTE_ARRAY)
		parquet_fail(place, "unknown physical type %d", e->type);
	if (e->type != PARQUET_FIXED_LEN_BYTE_ARRAY)
		return widths[e->type];
	if (e->type_length < 1 || e->type_length > PARQUET_MAX_FIXED)
		parquet_fail(place, "fixed length of %d bytes", e->type_length);
	return (uint32) e->type_length;
}

static void
read_leaf(ParquetReader *r, const ParquetSchemaElement *e, const SchemaGroup *group, ParquetNode *node, char *path)
{
	ReaderLeaf *leaf = &r->leaves[r->nleaves];
	ParquetPlace place = {.file = r->input.name, .column = path, .group = -1};

	leaf->pub.name = path;
	leaf->pub.field_id = e->has_field_id ? e->field_id : -1;
	leaf->pub.required = (e->repetition == PARQUET_REQUIRED && !group->optional);
	leaf->width = physical_width(r, e, &place);
	leaf->physical = (ParquetType) e->type;
	leaf->ordered = ((uint32) r->nleaves < r->meta.ncolumn_orders &&
					 r->meta.column_orders[r->nleaves] == 1);
	leaf->max_level = (uint32) node->definition;
	leaf->max_repetition = (uint32) node->depth;
	leaf_type(leaf, e);
	leaf->pub.entries = leaf->pub.supported;
	if (leaf->pub.supported && leaf->max_repetition > 0)
		leaf_refuse(leaf, "it is part of a list or map");
	node->leaf = r->nleaves++;
}

/* The element as a node below the group's. */
static ParquetNode *
add_node(ParquetReader *r, const ParquetSchemaElement *e, SchemaGroup *group)
{
	ParquetNode *node = MemoryContextAllocZero(r->context, sizeof(ParquetNode));

	node->name = e->name;
	node->field_id = e->has_field_id ? e->field_id : -1;
	node->optional = (e->repetition == PARQUET_OPTIONAL);
	node->repeated = (e->repetition == PARQUET_REPEATED);
	node->list = (e->logical.kind == PARQUET_LOGICAL_LIST || e->converted == PARQUET_CONVERTED_LIST);
	node->map = (e->logical.kind == PARQUET_LOGICAL_MAP || e->converted == PARQUET_CONVERTED_MAP ||
				 e->converted == PARQUET_CONVERTED_MAP_KEY_VALUE);
	node->definition = group->node->definition + (node->optional || node->repeated);
	node->depth = group->node->depth + node->repeated;
	node->leaf = -1;
	*group->last = node;
	group->last = &node->next;
	return node;
}

void
reader_read_schema(ParquetReader *r)
{
	const ParquetFileMetaData *meta = &r->meta;
	ParquetPlace place = {.file = r->input.name, .group = -1};
	SchemaGroup stack[PARQUET_MAX_NESTING];
	int			depth = 0;

	if (meta->nschema == 0 || meta->schema[0].num_children < 0)
		parquet_fail(&place, "schema has no root");
	r->leaves = MemoryContextAllocZero(r->context, meta->nschema * sizeof(ReaderLeaf));
	memset(&stack[0], 0, sizeof(stack[0]));
	r->root = MemoryContextAllocZero(r->context, sizeof(ParquetNode));
	r->root->name = "";
	r->root->field_id = -1;
	r->root->leaf = -1;
	stack[0].node = r->root;
	stack[0].last = &r->root->children;
	stack[0].children_left = meta->schema[0].num_children;
	for (uint32 i = 1; i < meta->nschema; i++)
	{
		const ParquetSchemaElement *e = &meta->schema[i];
		SchemaGroup *group;
		ParquetNode *node;
		char	   *path;

		while (depth >= 0 && stack[depth].children_left == 0)
			depth--;
		if (depth < 0)
			parquet_fail(&place, "schema has more elements than its groups have children");
		group = &stack[depth];
		group->children_left--;
		if (e->repetition < PARQUET_REQUIRED || e->repetition > PARQUET_REPEATED)
			parquet_fail(&place, "schema element \"%s\" has repetition %d", e->name, (int) e->repetition);
		path = group->path ? psprintf("%s.%s", group->path, e->name) : e->name;
		node = add_node(r, e, group);
		if (e->num_children <= 0 && e->type >= 0)
		{
			read_leaf(r, e, group, node, path);
			continue;
		}
		if (e->num_children < 0)
			parquet_fail(&place, "schema element \"%s\" is neither a group nor a leaf", e->name);
		if (++depth >= PARQUET_MAX_NESTING)
			parquet_fail(&place, "schema nested deeper than %d", PARQUET_MAX_NESTING);
		stack[depth].children_left = e->num_children;
		stack[depth].node = node;
		stack[depth].last = &node->children;
		stack[depth].optional = group->optional || e->repetition != PARQUET_REQUIRED;
		stack[depth].path = path;
	}
	while (depth >= 0 && stack[depth].children_left == 0)
		depth--;
	if (depth >= 0)
		parquet_fail(&place, "schema ends early");
}
