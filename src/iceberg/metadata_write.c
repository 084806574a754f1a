/*-------------------------------------------------------------------------
 *
 * metadata_write.c
 *	  Table metadata files, written, members in the order of the reference
 *	  implementation (Iceberg spec, "Table Metadata Fields", version 2).
 *
 * The rules readers check: refs.main is the current snapshot, the last entry
 * of the snapshot log is it too, logs are in order of time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/metadata.h"

static void
write_properties(JsonWriter *w, const IcebergProperty *properties, int n)
{
	for (int i = 0; i < n; i++)
		json_string(w, properties[i].key, properties[i].value);
}

static void
write_schemas(JsonWriter *w, const IcebergMetadata *m)
{
	json_int64(w, "current-schema-id", m->current_schema_id);
	json_open(w, "schemas", '[');
	for (int i = 0; i < m->nschemas; i++)
		iceberg_schema_write(w, NULL, m->schemas[i]);
	json_close(w, ']');
}

static void
write_specs(JsonWriter *w, const IcebergMetadata *m)
{
	json_int64(w, "default-spec-id", m->default_spec_id);
	if (m->partition_specs != NULL)
		json_node(w, "partition-specs", m->partition_specs);
	else
		json_raw(w, "partition-specs", "[{\"spec-id\":0,\"fields\":[]}]");
	json_int64(w, "last-partition-id", m->last_partition_id);
	json_int64(w, "default-sort-order-id", m->default_sort_order_id);
	if (m->sort_orders != NULL)
		json_node(w, "sort-orders", m->sort_orders);
	else
		json_raw(w, "sort-orders", "[{\"order-id\":0,\"fields\":[]}]");
}

/* Retention set on the main branch by another engine stays with it. */
static void
write_main_ref(JsonWriter *w, const IcebergMetadata *m)
{
	const JsonNode *main_ref = json_get(m->refs, "main");

	json_open(w, "main", '{');
	json_int64(w, "snapshot-id", m->current_snapshot_id);
	json_string(w, "type", "branch");
	for (const JsonNode *member = main_ref ? main_ref->child : NULL; member != NULL;
		 member = member->next)
		if (strcmp(member->key, "snapshot-id") != 0 && strcmp(member->key, "type") != 0)
			json_node(w, member->key, member);
	json_close(w, '}');
}

static void
write_refs(JsonWriter *w, const IcebergMetadata *m)
{
	json_open(w, "refs", '{');
	if (m->current_snapshot_id != -1)
		write_main_ref(w, m);
	if (m->refs != NULL && m->refs->kind == JSON_OBJECT)
	{
		for (const JsonNode *ref = m->refs->child; ref != NULL; ref = ref->next)
			if (strcmp(ref->key, "main") != 0)
				json_node(w, ref->key, ref);
	}
	json_close(w, '}');
}

static void
write_snapshot(JsonWriter *w, const IcebergSnapshot *s)
{
	json_open(w, NULL, '{');
	if (s->sequence_number > 0)
		json_int64(w, "sequence-number", s->sequence_number);
	json_int64(w, "snapshot-id", s->snapshot_id);
	if (s->parent_id != -1)
		json_int64(w, "parent-snapshot-id", s->parent_id);
	json_int64(w, "timestamp-ms", s->timestamp_ms);
	if (s->operation != NULL)
	{
		json_open(w, "summary", '{');
		json_string(w, "operation", s->operation);
		write_properties(w, s->summary, s->nsummary);
		json_close(w, '}');
	}
	if (s->manifest_list != NULL)
		json_string(w, "manifest-list", s->manifest_list);
	if (s->schema_id != -1)
		json_int64(w, "schema-id", s->schema_id);
	json_close(w, '}');
}

static void
write_log(JsonWriter *w, const char *key, const IcebergLogEntry *log, int n)
{
	json_open(w, key, '[');
	for (int i = 0; i < n; i++)
	{
		json_open(w, NULL, '{');
		json_int64(w, "timestamp-ms", log[i].timestamp_ms);
		if (log[i].metadata_file != NULL)
			json_string(w, "metadata-file", log[i].metadata_file);
		else
			json_int64(w, "snapshot-id", log[i].snapshot_id);
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void
write_extra(JsonWriter *w, const IcebergMetadata *m)
{
	if (json_get(m->extra, "statistics") == NULL)
		json_raw(w, "statistics", "[]");
	if (json_get(m->extra, "partition-statistics") == NULL)
		json_raw(w, "partition-statistics", "[]");
	for (const JsonNode *member = m->extra ? m->extra->child : NULL; member != NULL;
		 member = member->next)
		json_node(w, member->key, member);
}

void
iceberg_metadata_write(StringInfo out, const IcebergMetadata *m)
{
	JsonWriter	w;

	json_writer_init(&w, out);
	json_open(&w, NULL, '{');
	json_int64(&w, "format-version", m->format_version);
	if (m->table_uuid != NULL)
		json_string(&w, "table-uuid", m->table_uuid);
	json_string(&w, "location", m->location);
	json_int64(&w, "last-sequence-number", m->last_sequence_number);
	json_int64(&w, "last-updated-ms", m->last_updated_ms);
	json_int64(&w, "last-column-id", m->last_column_id);
	write_schemas(&w, m);
	write_specs(&w, m);
	json_open(&w, "properties", '{');
	write_properties(&w, m->properties, m->nproperties);
	json_close(&w, '}');
	json_int64(&w, "current-snapshot-id", m->current_snapshot_id);
	write_refs(&w, m);
	json_open(&w, "snapshots", '[');
	for (int i = 0; i < m->nsnapshots; i++)
		write_snapshot(&w, &m->snapshots[i]);
	json_close(&w, ']');
	write_extra(&w, m);
	write_log(&w, "snapshot-log", m->snapshot_log, m->nsnapshot_log);
	write_log(&w, "metadata-log", m->metadata_log, m->nmetadata_log);
	json_close(&w, '}');
}
