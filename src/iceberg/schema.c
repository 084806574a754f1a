/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  Iceberg schemas from and to JSON (Iceberg spec, "Appendix C: JSON
 *	  serialization", Schemas).
 *
 * A field of a nested or unknown type keeps its type as JSON text, and the
 * schema is written back as it was.  tarn does not read a column of a type
 * that it does not know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/schema.h"

/* The JSON text of a node, palloc'd. */
static char *
node_text(const JsonNode *node)
{
	StringInfoData buf;
	JsonWriter	w;

	initStringInfo(&buf);
	json_writer_init(&w, &buf);
	json_node(&w, NULL, node);
	return buf.data;
}

static void
schema_fail(const char *object, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Iceberg schema in \"%s\": %s", object ? object : "", problem)));
}

static int
checked_id(const JsonNode *node, const char *key, const char *object)
{
	int64		id = json_get_int64(node, key, object);

	if (id < PG_INT32_MIN || id > PG_INT32_MAX)
		schema_fail(object, psprintf("%s %lld is out of range", key, (long long) id));
	return (int) id;
}

static char *
optional_text(const JsonNode *node, const char *key)
{
	const JsonNode *member = json_get(node, key);

	return member != NULL && member->kind != JSON_NULL ? node_text(member) : NULL;
}

static bool read_type(LakeNode *n, const JsonNode *type, int depth, const char *object);

/* An element, key or value: `what` is its name and the prefix of its members. */
static bool
read_part(LakeNode *n, const JsonNode *type, const char *what, bool required, int depth, const char *object)
{
	const JsonNode *part = json_get(type, what);

	n->name = pstrdup(what);
	n->id = checked_id(type, psprintf("%s-id", what), object);
	n->required = required || json_get_bool_opt(type, psprintf("%s-required", what), false, object);
	return part != NULL && read_type(n, part, depth, object);
}

static bool
read_struct(LakeNode *n, const JsonNode *type, int depth, const char *object)
{
	const JsonNode *fields = json_get(type, "fields");
	bool		known = true;

	n->kind = LAKE_NODE_STRUCT;
	if (fields == NULL || fields->kind != JSON_ARRAY)
		schema_fail(object, "a struct has no fields");
	n->children = palloc0(sizeof(LakeNode) * Max(json_length(fields), 1));
	for (const JsonNode *field = fields->child; field != NULL; field = field->next)
	{
		LakeNode   *child = &n->children[n->nchildren++];
		const JsonNode *child_type = json_get(field, "type");

		child->id = checked_id(field, "id", object);
		child->name = json_get_string(field, "name", object);
		child->required = json_get_bool_opt(field, "required", false, object);
		child->doc = json_get_string_opt(field, "doc", NULL, object);
		known &= child_type != NULL && read_type(child, child_type, depth, object);
	}
	return known && n->nchildren > 0;
}

/* The node's kind, type and children; false when tarn does not know a type in it. */
static bool
read_type(LakeNode *n, const JsonNode *type, int depth, const char *object)
{
	char	   *kind;

	if (type->kind == JSON_STRING)
		return lake_type_parse(type->text, &n->type);
	if (depth >= LAKE_NODE_MAX_DEPTH || type->kind != JSON_OBJECT)
		return false;
	n->type.id = LAKE_NESTED;
	kind = json_get_string(type, "type", object);
	if (strcmp(kind, "struct") == 0)
		return read_struct(n, type, depth + 1, object);
	n->children = palloc0(sizeof(LakeNode) * 2);
	if (strcmp(kind, "list") == 0)
	{
		n->kind = LAKE_NODE_LIST;
		n->nchildren = 1;
		return read_part(&n->children[0], type, "element", false, depth + 1, object);
	}
	if (strcmp(kind, "map") != 0)
		return false;
	n->kind = LAKE_NODE_MAP;
	n->nchildren = 2;
	return read_part(&n->children[0], type, "key", true, depth + 1, object) &&
		read_part(&n->children[1], type, "value", false, depth + 1, object);
}

static void
read_field(IcebergField *f, const JsonNode *node, const char *object)
{
	const JsonNode *type = json_get(node, "type");

	f->id = checked_id(node, "id", object);
	f->name = json_get_string(node, "name", object);
	f->required = json_get_bool_opt(node, "required", false, object);
	f->doc = json_get_string_opt(node, "doc", NULL, object);
	f->initial_default = optional_text(node, "initial-default");
	f->write_default = optional_text(node, "write-default");
	if (type == NULL)
		schema_fail(object, psprintf("field \"%s\" has no type", f->name));
	f->supported = type->kind == JSON_STRING && lake_type_parse(type->text, &f->type);
	if (f->supported)
		return;
	f->type_json = node_text(type);
	if (type->kind == JSON_OBJECT)
	{
		LakeNode   *node = palloc0(sizeof(LakeNode));

		node->id = f->id;
		node->name = f->name;
		node->required = f->required;
		f->supported = read_type(node, type, 0, object);
		if (f->supported)
		{
			f->node = node;
			f->type.id = LAKE_NESTED;
		}
	}
}

static void write_node(JsonWriter *w, const char *key, const LakeNode *n);

static void
write_struct(JsonWriter *w, const LakeNode *n)
{
	json_open(w, "fields", '[');
	for (int i = 0; i < n->nchildren; i++)
	{
		const LakeNode *child = &n->children[i];

		json_open(w, NULL, '{');
		json_int64(w, "id", child->id);
		json_string(w, "name", child->name);
		json_bool(w, "required", child->required);
		write_node(w, "type", child);
		if (child->doc != NULL)
			json_string(w, "doc", child->doc);
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
write_node(JsonWriter *w, const char *key, const LakeNode *n)
{
	static const char *const kinds[] = {
		[LAKE_NODE_LIST] = "list", [LAKE_NODE_STRUCT] = "struct", [LAKE_NODE_MAP] = "map"
	};

	if (n->kind == LAKE_NODE_VALUE)
	{
		json_string(w, key, lake_type_name(n->type));
		return;
	}
	json_open(w, key, '{');
	json_string(w, "type", kinds[n->kind]);
	if (n->kind == LAKE_NODE_STRUCT)
		write_struct(w, n);
	else
	{
		for (int i = 0; i < n->nchildren; i++)
		{
			const LakeNode *child = &n->children[i];

			json_int64(w, psprintf("%s-id", child->name), child->id);
			write_node(w, child->name, child);
			/* a key is always required */
			if (n->kind == LAKE_NODE_LIST || i == 1)
				json_bool(w, psprintf("%s-required", child->name), child->required);
		}
	}
	json_close(w, '}');
}

IcebergSchema *
iceberg_schema_read(const JsonNode *node, const char *object)
{
	IcebergSchema *schema = palloc0(sizeof(IcebergSchema));
	const JsonNode *fields = json_get(node, "fields");
	const JsonNode *ids = json_get(node, "identifier-field-ids");
	int			i = 0;

	if (fields == NULL || fields->kind != JSON_ARRAY)
		schema_fail(object, "no fields");
	if (json_get(node, "schema-id") != NULL)
		schema->schema_id = checked_id(node, "schema-id", object);
	schema->nfields = json_length(fields);
	schema->fields = palloc0(sizeof(IcebergField) * Max(schema->nfields, 1));
	for (const JsonNode *field = fields->child; field != NULL; field = field->next)
		read_field(&schema->fields[i++], field, object);

	if (ids != NULL && ids->kind == JSON_ARRAY)
	{
		schema->identifiers = palloc0(sizeof(int) * Max(json_length(ids), 1));
		for (const JsonNode *id = ids->child; id != NULL; id = id->next)
		{
			if (id->kind != JSON_NUMBER)
				schema_fail(object, "an identifier field id is not a number");
			schema->identifiers[schema->nidentifiers++] = atoi(id->text);
		}
	}
	return schema;
}

static void
write_field(JsonWriter *w, const IcebergField *f)
{
	json_open(w, NULL, '{');
	json_int64(w, "id", f->id);
	json_string(w, "name", f->name);
	json_bool(w, "required", f->required);
	if (f->type_json != NULL)
		json_raw(w, "type", f->type_json);
	else if (f->node != NULL)
		write_node(w, "type", f->node);
	else
		json_string(w, "type", lake_type_name(f->type));
	if (f->doc != NULL)
		json_string(w, "doc", f->doc);
	if (f->initial_default != NULL)
		json_raw(w, "initial-default", f->initial_default);
	if (f->write_default != NULL)
		json_raw(w, "write-default", f->write_default);
	json_close(w, '}');
}

void
iceberg_schema_write(JsonWriter *w, const char *key, const IcebergSchema *schema)
{
	json_open(w, key, '{');
	json_string(w, "type", "struct");
	json_int64(w, "schema-id", schema->schema_id);
	if (schema->nidentifiers > 0)
	{
		json_open(w, "identifier-field-ids", '[');
		for (int i = 0; i < schema->nidentifiers; i++)
			json_int64(w, NULL, schema->identifiers[i]);
		json_close(w, ']');
	}
	json_open(w, "fields", '[');
	for (int i = 0; i < schema->nfields; i++)
		write_field(w, &schema->fields[i]);
	json_close(w, ']');
	json_close(w, '}');
}

char *
iceberg_schema_text(const IcebergSchema *schema)
{
	StringInfoData buf;
	JsonWriter	w;

	initStringInfo(&buf);
	json_writer_init(&w, &buf);
	iceberg_schema_write(&w, NULL, schema);
	return buf.data;
}

const IcebergField *
iceberg_schema_field(const IcebergSchema *schema, int id)
{
	for (int i = 0; i < schema->nfields; i++)
		if (schema->fields[i].id == id)
			return &schema->fields[i];
	return NULL;
}

bool
iceberg_schema_equal(const IcebergSchema *a, const IcebergSchema *b)
{
	IcebergSchema x = *a;
	IcebergSchema y = *b;

	if (a->nfields != b->nfields)
		return false;
	x.schema_id = y.schema_id = 0;
	return strcmp(iceberg_schema_text(&x), iceberg_schema_text(&y)) == 0;
}

const IcebergField *
iceberg_schema_field_named(const IcebergSchema *schema, const char *name)
{
	for (int i = 0; i < schema->nfields; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return &schema->fields[i];
	return NULL;
}
