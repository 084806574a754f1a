/*-------------------------------------------------------------------------
 *
 * history_shape.c
 *	  What a history looks like: its schema from a mirror's, and back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pipeline/history.h"
#include "pipeline/shape_internal.h"

#define NAME_SUFFIX "__history"
#define PARTITION_NAME "commit_day"

/* Property of a history: the version of what is said in history.h. */
#define PROPERTY_HISTORY "tarn.history"

/* Element of the column `unchanged`. */
#define UNCHANGED_ELEMENT_ID (HISTORY_FIELD_ID(HISTORY_NCOLUMNS))

typedef struct HistoryColumn
{
	const char *name;
	LakeTypeId	type;
	bool		required;
	const char *doc;
} HistoryColumn;

static const HistoryColumn history_columns[HISTORY_NCOLUMNS] = {
	[HISTORY_OP] = {"op", LAKE_STRING, true,
	"c insert, u update, d delete, t truncate; r read by a copy, b a copy begins, e what came before it ends, s another shape"},
	[HISTORY_COMMIT_LSN] = {"commit_lsn", LAKE_LONG, true, "end of the commit record in WAL"},
	[HISTORY_COMMIT_TIME] = {"commit_time", LAKE_TIMESTAMPTZ, true, NULL},
	[HISTORY_XID] = {"xid", LAKE_LONG, false, NULL},
	[HISTORY_SEQUENCE] = {"sequence", LAKE_LONG, true, "of the change in its transaction"},
	[HISTORY_BEFORE] = {"before", LAKE_NESTED, false, "the old row, as far as the replica identity tells it"},
	[HISTORY_AFTER] = {"after", LAKE_NESTED, false, "the new row"},
	[HISTORY_UNCHANGED] = {"unchanged", LAKE_NESTED, false, "attribute numbers of values that stayed as they were and are null in after"},
	[HISTORY_SHAPE_TEXT] = {"shape", LAKE_STRING, false, "of the table, in b and s"},
};

char *
history_name(const char *mirror)
{
	return psprintf("%s%s", mirror, NAME_SUFFIX);
}

char *
history_mirror_name(const char *history)
{
	size_t		length = strlen(history);
	size_t		suffix = strlen(NAME_SUFFIX);

	return length > suffix && strcmp(history + length - suffix, NAME_SUFFIX) == 0 ? pnstrdup(history, length - suffix) : NULL;
}

bool
history_is(const LakeTable *lake)
{
	return iceberg_metadata_property(lake->metadata, PROPERTY_HISTORY) != NULL;
}

/* --- from the mirror --- */

/* Ids of a field and all below, in another space. */
static void
shift_ids(LakeNode *node, bool after)
{
	if (node->id >= 0)
		node->id = after ? HISTORY_AFTER_ID(node->id) : HISTORY_BEFORE_ID(node->id);
	for (int i = 0; i < node->nchildren; i++)
		shift_ids(&node->children[i], after);
}

static LakeNode *
image_node(const IcebergSchema *mirror, bool after)
{
	LakeNode   *node = palloc0(sizeof(LakeNode));

	node->kind = LAKE_NODE_STRUCT;
	node->type.id = LAKE_NESTED;
	node->nchildren = mirror->nfields;
	node->children = palloc0(sizeof(LakeNode) * mirror->nfields);
	for (int i = 0; i < mirror->nfields; i++)
	{
		const IcebergField *f = &mirror->fields[i];
		LakeNode   *child = &node->children[i];

		if (f->node)
			*child = *lake_node_copy(f->node);
		else
			child->kind = LAKE_NODE_VALUE;
		child->id = f->id;
		child->name = pstrdup(f->name);
		child->type = f->type;
		child->required = false;
		shift_ids(child, after);
	}
	node->id = HISTORY_FIELD_ID(after ? HISTORY_AFTER : HISTORY_BEFORE);
	return node;
}

static LakeNode *
unchanged_node(void)
{
	LakeNode   *node = palloc0(sizeof(LakeNode));

	node->kind = LAKE_NODE_LIST;
	node->type.id = LAKE_NESTED;
	node->id = HISTORY_FIELD_ID(HISTORY_UNCHANGED);
	node->nchildren = 1;
	node->children = palloc0(sizeof(LakeNode));
	node->children[0].kind = LAKE_NODE_VALUE;
	node->children[0].id = UNCHANGED_ELEMENT_ID;
	node->children[0].name = "element";
	node->children[0].required = true;
	node->children[0].type.id = LAKE_INT;
	return node;
}

static IcebergSchema *
make_schema(const IcebergSchema *mirror)
{
	IcebergSchema *schema = palloc0(sizeof(IcebergSchema));

	schema->nfields = HISTORY_NCOLUMNS;
	schema->fields = palloc0(sizeof(IcebergField) * HISTORY_NCOLUMNS);
	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
	{
		IcebergField *f = &schema->fields[i];

		f->id = HISTORY_FIELD_ID(i);
		f->name = pstrdup(history_columns[i].name);
		f->type.id = history_columns[i].type;
		f->required = history_columns[i].required;
		f->doc = history_columns[i].doc ? pstrdup(history_columns[i].doc) : NULL;
		f->supported = true;
	}
	schema->fields[HISTORY_BEFORE].node = image_node(mirror, false);
	schema->fields[HISTORY_AFTER].node = image_node(mirror, true);
	schema->fields[HISTORY_UNCHANGED].node = unchanged_node();
	return schema;
}

/* The field whose type the property notes, or 0. */
static int
typed_field(const char *key)
{
	size_t		length = strlen(SHAPE_COLUMN_PREFIX);

	return strncmp(key, SHAPE_COLUMN_PREFIX, length) == 0 ? atoi(key + length) : 0;
}

/* Properties of fields are those of the fields of `after`; but types are noted of both images, for who reads them. */
static char *
translate_key(const char *key, bool to_mirror)
{
	static const char *const prefixes[] = {SHAPE_ATTRIBUTE_PREFIX, SHAPE_COLUMN_PREFIX, SHAPE_TYPE_PREFIX,
	SHAPE_LABELS_PREFIX};

	for (int i = 0; i < lengthof(prefixes); i++)
	{
		size_t		length = strlen(prefixes[i]);

		if (strncmp(key, prefixes[i], length) == 0)
		{
			int			id = atoi(key + length);

			return psprintf("%s%d", prefixes[i], to_mirror ? HISTORY_MIRROR_ID(id) : HISTORY_AFTER_ID(id));
		}
	}
	return pstrdup(key);
}

static TableShape *
translate(const TableShape *shape, bool to_mirror)
{
	TableShape *out = palloc0(sizeof(TableShape));

	out->context = CurrentMemoryContext;
	out->lsn = shape->lsn;
	for (int i = 0; i < shape->nproperties; i++)
	{
		const char *key = shape->properties[i].key;
		const char *value = shape->properties[i].value;
		int			typed = typed_field(key);

		if (to_mirror && typed != 0 && typed != HISTORY_AFTER_ID(HISTORY_MIRROR_ID(typed)))
			continue;
		shape_set_property(out, translate_key(key, to_mirror), value);
		if (!to_mirror && typed != 0)
			shape_set_property(out, psprintf("%s%d", SHAPE_COLUMN_PREFIX, HISTORY_BEFORE_ID(typed)), value);
	}
	return out;
}

TableShape *
history_from_mirror(const TableShape *mirror, MemoryContext parent)
{
	MemoryContext old = MemoryContextSwitchTo(AllocSetContextCreate(parent, "tarn history shape",
																	ALLOCSET_SMALL_SIZES));
	TableShape *shape = translate(mirror, false);

	shape->schema = make_schema(mirror->schema);
	MemoryContextSwitchTo(old);
	return shape;
}

/* --- back --- */

static void
unshift_ids(LakeNode *node)
{
	node->id = HISTORY_MIRROR_ID(node->id);
	for (int i = 0; i < node->nchildren; i++)
		unshift_ids(&node->children[i]);
}

static IcebergSchema *
mirror_schema(const LakeNode *after)
{
	IcebergSchema *schema = palloc0(sizeof(IcebergSchema));

	schema->nfields = after->nchildren;
	schema->fields = palloc0(sizeof(IcebergField) * Max(after->nchildren, 1));
	for (int i = 0; i < after->nchildren; i++)
	{
		IcebergField *f = &schema->fields[i];
		LakeNode   *node = lake_node_copy(&after->children[i]);

		unshift_ids(node);
		f->id = node->id;
		f->name = node->name;
		f->type = node->type;
		f->supported = true;
		f->node = node->kind == LAKE_NODE_VALUE ? NULL : node;
	}
	return schema;
}

/* Does it have the columns of a history, with the ids that they have? */
static bool
has_columns(const IcebergSchema *schema)
{
	for (int i = 0; i < HISTORY_NCOLUMNS; i++)
	{
		const IcebergField *f = iceberg_schema_field(schema, HISTORY_FIELD_ID(i));

		if (f == NULL || !f->supported || f->type.id != history_columns[i].type)
			return false;
		if ((i == HISTORY_BEFORE || i == HISTORY_AFTER) && f->node->kind != LAKE_NODE_STRUCT)
			return false;
	}
	return true;
}

TableShape *
history_to_mirror(const TableShape *history, MemoryContext parent)
{
	MemoryContext old;
	TableShape *shape;

	if (!has_columns(history->schema))
		return NULL;
	old = MemoryContextSwitchTo(AllocSetContextCreate(parent, "tarn table shape", ALLOCSET_SMALL_SIZES));
	shape = translate(history, true);
	shape->schema = mirror_schema(iceberg_schema_field(history->schema, HISTORY_FIELD_ID(HISTORY_AFTER))->node);
	MemoryContextSwitchTo(old);
	return shape;
}

/* --- in rows --- */

char *
history_shape_text(const TableShape *mirror)
{
	StringInfoData buf;
	JsonWriter	w;

	initStringInfo(&buf);
	json_writer_init(&w, &buf);
	json_open(&w, NULL, '{');
	json_raw(&w, "schema", iceberg_schema_text(mirror->schema));
	json_open(&w, "properties", '{');
	for (int i = 0; i < mirror->nproperties; i++)
		json_string(&w, mirror->properties[i].key, mirror->properties[i].value);
	json_close(&w, '}');
	json_close(&w, '}');
	return buf.data;
}

TableShape *
history_shape_read(const char *text, size_t size, const char *object, MemoryContext parent)
{
	MemoryContext old = MemoryContextSwitchTo(AllocSetContextCreate(parent, "tarn table shape",
																	ALLOCSET_SMALL_SIZES));
	TableShape *shape = palloc0(sizeof(TableShape));
	const JsonNode *node = json_read(text, size, object);
	const JsonNode *properties = json_get(node, "properties");

	shape->context = CurrentMemoryContext;
	shape->schema = iceberg_schema_read(json_get(node, "schema"), object);
	for (properties = properties ? properties->child : NULL; properties; properties = properties->next)
	{
		if (properties->kind == JSON_STRING)
			shape_set_property(shape, properties->key, properties->text);
	}
	MemoryContextSwitchTo(old);
	return shape;
}

LakeTable *
history_lake_new(Lake *lake, const char *namespace, const char *name, const char *location,
				 const TableShape *shape)
{
	IcebergSchema schema = *shape->schema;
	IcebergProperty *properties = palloc(sizeof(IcebergProperty) * (shape->nproperties + 1));
	LakeTable  *t;

	if (shape->nproperties > 0)
		memcpy(properties, shape->properties, sizeof(IcebergProperty) * shape->nproperties);
	properties[shape->nproperties].key = PROPERTY_HISTORY;
	properties[shape->nproperties].value = "1";
	t = lake_table_new(lake, namespace, name, location, &schema, properties, shape->nproperties + 1);
	lake_table_partition_by_day(t, HISTORY_FIELD_ID(HISTORY_COMMIT_TIME), PARTITION_NAME);
	pfree(properties);
	return t;
}
