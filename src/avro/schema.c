/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  Avro schemas from their JSON (Avro 1.11 spec, "Schema Declaration").
 *
 * A named type may be used again by its name, also inside itself, so a
 * schema is a graph.  Names are matched in full and, failing that, by their
 * last part: Iceberg's writers use no namespaces, and those that do qualify
 * the definition and not the use.  Implementing Avro's namespace scopes
 * would bring nothing for manifests.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/value.h"
#include "base/json.h"

typedef struct NamedType
{
	const char *name;
	AvroSchema *schema;
	struct NamedType *next;
} NamedType;

typedef struct SchemaParser
{
	const char *object;
	NamedType  *names;
} SchemaParser;

static const struct
{
	const char *name;
	AvroKind	kind;
}			primitives[] = {
	{"null", AVRO_NULL},
	{"boolean", AVRO_BOOLEAN},
	{"int", AVRO_INT},
	{"long", AVRO_LONG},
	{"float", AVRO_FLOAT},
	{"double", AVRO_DOUBLE},
	{"bytes", AVRO_BYTES},
	{"string", AVRO_STRING},
	{"fixed", AVRO_FIXED},
	{"enum", AVRO_ENUM},
	{"array", AVRO_ARRAY},
	{"map", AVRO_MAP},
	{"record", AVRO_RECORD},
	{"error", AVRO_RECORD},
};

static AvroSchema *parse_schema(SchemaParser *p, const JsonNode *node);

static void
schema_fail(const SchemaParser *p, const char *problem, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Avro schema of \"%s\": %s \"%s\"",
					p->object ? p->object : "", problem, name ? name : "")));
}

static const char *
last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

static AvroSchema *
find_named(const SchemaParser *p, const char *name)
{
	for (NamedType *t = p->names; t != NULL; t = t->next)
		if (strcmp(t->name, name) == 0)
			return t->schema;
	for (NamedType *t = p->names; t != NULL; t = t->next)
		if (strcmp(last_part(t->name), last_part(name)) == 0)
			return t->schema;
	return NULL;
}

/* Registered before its fields are parsed, so that they may refer to it. */
static void
add_named(SchemaParser *p, AvroSchema *schema)
{
	NamedType  *t = palloc(sizeof(NamedType));

	t->name = schema->name;
	t->schema = schema;
	t->next = p->names;
	p->names = t;
}

/* The kind called `name`, or -1. */
static int
kind_by_name(const char *name)
{
	for (size_t i = 0; i < lengthof(primitives); i++)
		if (strcmp(primitives[i].name, name) == 0)
			return primitives[i].kind;
	return -1;
}

static AvroSchema *
parse_name(SchemaParser *p, const char *name)
{
	int			kind = kind_by_name(name);
	AvroSchema *schema;

	if (kind < 0 || kind == AVRO_FIXED || kind >= AVRO_ENUM)
	{
		schema = find_named(p, name);
		if (schema == NULL)
			schema_fail(p, "unknown type", name);
		return schema;
	}
	schema = palloc0(sizeof(AvroSchema));
	schema->kind = (AvroKind) kind;
	return schema;
}

static int
parse_int(SchemaParser *p, const JsonNode *node, const char *key, int max)
{
	int64		value = json_get_int64_opt(node, key, 0, p->object);

	if (value < 0 || value > max)
		schema_fail(p, "value out of range for", key);
	return (int) value;
}

static AvroSchema *
parse_union(SchemaParser *p, const JsonNode *node)
{
	AvroSchema *schema = palloc0(sizeof(AvroSchema));
	int			n = json_length(node);
	int			i = 0;

	schema->kind = AVRO_UNION;
	schema->nbranches = n;
	schema->branches = palloc(sizeof(AvroSchema *) * Max(n, 1));
	for (const JsonNode *branch = node->child; branch != NULL; branch = branch->next)
	{
		schema->branches[i] = parse_schema(p, branch);
		if (schema->branches[i]->kind == AVRO_UNION)
			schema_fail(p, "union in a union in", "");
		i++;
	}
	return schema;
}

static void
parse_record_fields(SchemaParser *p, const JsonNode *node, AvroSchema *schema)
{
	JsonNode   *fields = json_get(node, "fields");
	int			n;
	int			i = 0;

	if (fields == NULL || fields->kind != JSON_ARRAY)
		schema_fail(p, "no fields in record", schema->name);
	n = json_length(fields);
	schema->branches = palloc0(sizeof(AvroSchema *) * Max(n, 1));
	schema->field_names = palloc0(sizeof(char *) * Max(n, 1));
	schema->field_ids = palloc0(sizeof(int) * Max(n, 1));
	for (const JsonNode *field = fields->child; field != NULL; field = field->next)
	{
		JsonNode   *type = json_get(field, "type");

		if (type == NULL)
			schema_fail(p, "field without a type in record", schema->name);
		schema->field_names[i] = json_get_string(field, "name", p->object);
		schema->field_ids[i] = parse_int(p, field, "field-id", PG_INT32_MAX);
		schema->branches[i] = parse_schema(p, type);
		i++;
	}
	/* only now: a reader of a half-parsed record must see no fields */
	schema->nbranches = n;
}

static void
parse_enum_symbols(SchemaParser *p, const JsonNode *node, AvroSchema *schema)
{
	JsonNode   *symbols = json_get(node, "symbols");
	int			i = 0;

	if (symbols == NULL || symbols->kind != JSON_ARRAY)
		schema_fail(p, "no symbols in enum", schema->name);
	schema->nbranches = json_length(symbols);
	schema->field_names = palloc0(sizeof(char *) * Max(schema->nbranches, 1));
	for (const JsonNode *symbol = symbols->child; symbol != NULL; symbol = symbol->next)
	{
		if (symbol->kind != JSON_STRING)
			schema_fail(p, "symbol is not a string in enum", schema->name);
		schema->field_names[i++] = symbol->text;
	}
}

static void
parse_item(SchemaParser *p, const JsonNode *node, const char *key, AvroSchema *schema)
{
	JsonNode   *item = json_get(node, key);

	if (item == NULL)
		schema_fail(p, "missing attribute", key);
	schema->branches = palloc(sizeof(AvroSchema *));
	schema->branches[0] = parse_schema(p, item);
	schema->nbranches = 1;
}

static AvroSchema *
parse_complex(SchemaParser *p, const JsonNode *node)
{
	const JsonNode *type = json_get(node, "type");
	AvroSchema *schema;
	int			kind;

	/* {"type": {"type": "record", ...}} and {"type": [...]} wrap another schema */
	if (type != NULL && (type->kind == JSON_OBJECT || type->kind == JSON_ARRAY))
		return parse_schema(p, type);
	if (type == NULL || type->kind != JSON_STRING)
		schema_fail(p, "missing attribute", "type");
	kind = kind_by_name(type->text);
	if (kind < 0)
		return parse_name(p, type->text);

	schema = palloc0(sizeof(AvroSchema));
	schema->kind = (AvroKind) kind;
	schema->logical = json_get_string_opt(node, "logicalType", NULL, p->object);
	schema->precision = parse_int(p, node, "precision", PG_INT32_MAX);
	schema->scale = parse_int(p, node, "scale", PG_INT32_MAX);
	schema->element_id = parse_int(p, node, "element-id", PG_INT32_MAX);
	if (kind == AVRO_RECORD || kind == AVRO_FIXED || kind == AVRO_ENUM)
	{
		schema->name = json_get_string(node, "name", p->object);
		add_named(p, schema);
	}
	if (kind == AVRO_RECORD)
		parse_record_fields(p, node, schema);
	else if (kind == AVRO_FIXED)
		schema->size = parse_int(p, node, "size", PG_INT32_MAX);
	else if (kind == AVRO_ENUM)
		parse_enum_symbols(p, node, schema);
	else if (kind == AVRO_ARRAY)
		parse_item(p, node, "items", schema);
	else if (kind == AVRO_MAP)
		parse_item(p, node, "values", schema);
	return schema;
}

/* Depth is bounded by that of the JSON reader. */
static AvroSchema *
parse_schema(SchemaParser *p, const JsonNode *node)
{
	if (node->kind == JSON_STRING)
		return parse_name(p, node->text);
	if (node->kind == JSON_ARRAY)
		return parse_union(p, node);
	if (node->kind != JSON_OBJECT)
		schema_fail(p, "neither name, union nor object:", node->text);
	return parse_complex(p, node);
}

AvroSchema *
avro_schema_parse(const char *json, size_t size, const char *object)
{
	SchemaParser p = {object, NULL};

	return parse_schema(&p, json_read(json, size, object));
}
