/*-------------------------------------------------------------------------
 *
 * metadata_read.c
 *	  Table metadata files, read (Iceberg spec, "Table Metadata Fields" and
 *	  "Appendix C: JSON serialization").
 *
 * Missing members get the defaults that the specification gives to files of
 * version 1; a member that tarn has no field for goes to `extra`.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/deflate.h"
#include "iceberg/metadata.h"

/* A compressed metadata file may not expand to more than this. */
#define METADATA_MAX_BYTES ((size_t) 512 * 1024 * 1024)

/* Members that have a field in IcebergMetadata, or that version 1 repeats for old readers. */
static const char *const known_members[] = {
	"format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
	"last-column-id", "schema", "schemas", "current-schema-id", "partition-spec",
	"partition-specs", "default-spec-id", "last-partition-id", "properties",
	"current-snapshot-id", "snapshots", "snapshot-log", "metadata-log", "sort-orders",
	"default-sort-order-id", "refs"
};

static void
metadata_fail(const char *object, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Iceberg metadata file \"%s\": %s",
					object ? object : "", problem)));
}

static int
int_member(const JsonNode *node, const char *key, int dflt, const char *object)
{
	int64		value = json_get_int64_opt(node, key, dflt, object);

	if (value < PG_INT32_MIN || value > PG_INT32_MAX)
		metadata_fail(object, psprintf("%s %lld is out of range", key, (long long) value));
	return (int) value;
}

/* The array called `key`, or NULL when it is absent; anything else is damage. */
static const JsonNode *
array_member(const JsonNode *node, const char *key, const char *object)
{
	const JsonNode *member = json_get(node, key);

	if (member == NULL || member->kind == JSON_NULL)
		return NULL;
	if (member->kind != JSON_ARRAY)
		metadata_fail(object, psprintf("%s is not an array", key));
	return member;
}

static IcebergProperty *
read_properties(const JsonNode *map, const char *skip, int *n, const char *object)
{
	IcebergProperty *properties;

	*n = 0;
	if (map == NULL || map->kind == JSON_NULL)
		return NULL;
	if (map->kind != JSON_OBJECT)
		metadata_fail(object, "properties are not an object");
	properties = palloc(sizeof(IcebergProperty) * Max(json_length(map), 1));
	for (const JsonNode *member = map->child; member != NULL; member = member->next)
	{
		if (skip != NULL && strcmp(member->key, skip) == 0)
			continue;
		if (member->kind != JSON_STRING)
			metadata_fail(object, psprintf("property \"%s\" is not a string", member->key));
		properties[*n].key = member->key;
		properties[*n].value = member->text;
		(*n)++;
	}
	return properties;
}

static void
read_schemas(IcebergMetadata *m, const JsonNode *root, const char *object)
{
	const JsonNode *schemas = array_member(root, "schemas", object);

	if (schemas != NULL && schemas->child != NULL)
	{
		m->schemas = palloc(sizeof(IcebergSchema *) * json_length(schemas));
		for (const JsonNode *s = schemas->child; s != NULL; s = s->next)
			m->schemas[m->nschemas++] = iceberg_schema_read(s, object);
		m->current_schema_id = int_member(root, "current-schema-id", 0, object);
	}
	else
	{
		const JsonNode *schema = json_get(root, "schema");

		if (schema == NULL)
			metadata_fail(object, "no schema");
		m->schemas = palloc(sizeof(IcebergSchema *));
		m->schemas[0] = iceberg_schema_read(schema, object);
		m->nschemas = 1;
		m->current_schema_id = m->schemas[0]->schema_id;
	}
	if (iceberg_metadata_schema(m, m->current_schema_id) == NULL)
		metadata_fail(object, psprintf("no schema with id %d", m->current_schema_id));
}

/* Version 1 has one spec, as an array of fields: put into the form of version 2. */
static JsonNode *
specs_from_v1(JsonNode *fields)
{
	JsonNode   *specs = palloc0(sizeof(JsonNode));
	JsonNode   *spec = palloc0(sizeof(JsonNode));
	JsonNode   *id = palloc0(sizeof(JsonNode));
	JsonNode   *copy = palloc(sizeof(JsonNode));

	specs->kind = JSON_ARRAY;
	specs->key = "partition-specs";
	specs->child = spec;
	spec->kind = JSON_OBJECT;
	spec->child = id;
	id->kind = JSON_NUMBER;
	id->key = "spec-id";
	id->text = "0";
	*copy = *fields;
	copy->key = "fields";
	copy->next = NULL;
	id->next = copy;
	return specs;
}

static void
read_specs(IcebergMetadata *m, const JsonNode *root, const char *object)
{
	JsonNode   *fields = json_get(root, "partition-spec");

	m->partition_specs = unconstify(JsonNode *, array_member(root, "partition-specs", object));
	if (m->partition_specs == NULL && fields != NULL && fields->kind == JSON_ARRAY)
		m->partition_specs = specs_from_v1(fields);
	m->default_spec_id = int_member(root, "default-spec-id", 0, object);
	m->last_partition_id = int_member(root, "last-partition-id", 999, object);
	m->sort_orders = unconstify(JsonNode *, array_member(root, "sort-orders", object));
	m->default_sort_order_id = int_member(root, "default-sort-order-id", 0, object);
}

static void
read_snapshot(IcebergSnapshot *s, const JsonNode *node, const char *object)
{
	const JsonNode *summary = json_get(node, "summary");

	s->snapshot_id = json_get_int64(node, "snapshot-id", object);
	s->parent_id = json_get_int64_opt(node, "parent-snapshot-id", -1, object);
	s->sequence_number = json_get_int64_opt(node, "sequence-number", 0, object);
	s->timestamp_ms = json_get_int64(node, "timestamp-ms", object);
	s->schema_id = int_member(node, "schema-id", -1, object);
	s->manifest_list = json_get_string_opt(node, "manifest-list", NULL, object);
	s->operation = json_get_string_opt(summary, "operation", NULL, object);
	s->summary = read_properties(summary, "operation", &s->nsummary, object);
}

static void
read_snapshots(IcebergMetadata *m, const JsonNode *root, const char *object)
{
	const JsonNode *snapshots = array_member(root, "snapshots", object);
	const JsonNode *current = json_get(root, "current-snapshot-id");

	m->current_snapshot_id = -1;
	if (current != NULL && current->kind != JSON_NULL)
		m->current_snapshot_id = json_get_int64(root, "current-snapshot-id", object);
	if (snapshots != NULL)
	{
		m->snapshots = palloc0(sizeof(IcebergSnapshot) * Max(json_length(snapshots), 1));
		for (const JsonNode *s = snapshots->child; s != NULL; s = s->next)
			read_snapshot(&m->snapshots[m->nsnapshots++], s, object);
	}
	if (m->current_snapshot_id != -1 &&
		iceberg_metadata_snapshot(m, m->current_snapshot_id) == NULL)
		metadata_fail(object, psprintf("the current snapshot %lld is missing",
									   (long long) m->current_snapshot_id));
}

static IcebergLogEntry *
read_log(const JsonNode *root, const char *key, bool files, int *n, const char *object)
{
	const JsonNode *log = array_member(root, key, object);
	IcebergLogEntry *entries;

	*n = 0;
	if (log == NULL)
		return NULL;
	entries = palloc0(sizeof(IcebergLogEntry) * Max(json_length(log), 1));
	for (const JsonNode *node = log->child; node != NULL; node = node->next)
	{
		IcebergLogEntry *e = &entries[(*n)++];

		e->timestamp_ms = json_get_int64(node, "timestamp-ms", object);
		if (files)
			e->metadata_file = json_get_string(node, "metadata-file", object);
		else
			e->snapshot_id = json_get_int64(node, "snapshot-id", object);
	}
	return entries;
}

static bool
is_known(const char *key)
{
	for (size_t i = 0; i < lengthof(known_members); i++)
		if (strcmp(known_members[i], key) == 0)
			return true;
	return false;
}

/* The members without a field, as an object of their own. */
static JsonNode *
collect_extra(const JsonNode *root)
{
	JsonNode   *extra = palloc0(sizeof(JsonNode));
	JsonNode  **tail = &extra->child;

	extra->kind = JSON_OBJECT;
	for (const JsonNode *member = root->child; member != NULL; member = member->next)
	{
		if (is_known(member->key))
			continue;
		*tail = palloc(sizeof(JsonNode));
		**tail = *member;
		(*tail)->next = NULL;
		tail = &(*tail)->next;
	}
	return extra;
}

/* Metadata may be compressed (property write.metadata.compression-codec). */
static const char *
expand(const char *data, size_t *size, const char *object)
{
	Cursor		c;

	if (*size < 2 || (uint8) data[0] != 0x1f || (uint8) data[1] != 0x8b)
		return data;
	cursor_init(&c, data, *size, "Iceberg metadata file", object, 0);
	return avro_inflate(&c, data, *size, true, METADATA_MAX_BYTES, size);
}

IcebergMetadata *
iceberg_metadata_read(const char *data, size_t size, const char *object)
{
	IcebergMetadata *m = palloc0(sizeof(IcebergMetadata));
	const char *text = expand(data, &size, object);
	const JsonNode *root = json_read(text, size, object);

	if (root->kind != JSON_OBJECT)
		metadata_fail(object, "not a JSON object");
	m->format_version = int_member(root, "format-version", 0, object);
	if (m->format_version < 1 || m->format_version > 3)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read Iceberg metadata file \"%s\": format version %d is not supported",
						object ? object : "", m->format_version),
				 errdetail("Versions 1 to 3 are read.")));
	m->table_uuid = json_get_string_opt(root, "table-uuid", NULL, object);
	m->location = json_get_string(root, "location", object);
	m->last_sequence_number = json_get_int64_opt(root, "last-sequence-number", 0, object);
	m->last_updated_ms = json_get_int64_opt(root, "last-updated-ms", 0, object);
	m->last_column_id = int_member(root, "last-column-id", 0, object);
	read_schemas(m, root, object);
	read_specs(m, root, object);
	m->properties = read_properties(json_get(root, "properties"), NULL, &m->nproperties, object);
	read_snapshots(m, root, object);
	m->snapshot_log = read_log(root, "snapshot-log", false, &m->nsnapshot_log, object);
	m->metadata_log = read_log(root, "metadata-log", true, &m->nmetadata_log, object);
	m->refs = json_get(root, "refs");
	m->extra = collect_extra(root);
	return m;
}
