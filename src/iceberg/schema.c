/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  Iceberg schemas from and to JSON (Iceberg spec, "Appendix C: JSON
 *	  serialization", Schemas).
 *
 * A field of a nested or unknown type keeps its type as JSON text: tarn does
 * not read such a column, and writes the schema back as it was.
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
	if (!f->supported)
		f->type_json = node_text(type);
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
	if (f->supported)
		json_string(w, "type", lake_type_name(f->type));
	else
		json_raw(w, "type", f->type_json);
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

const IcebergField *
iceberg_schema_field_named(const IcebergSchema *schema, const char *name)
{
	for (int i = 0; i < schema->nfields; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return &schema->fields[i];
	return NULL;
}
