/*-------------------------------------------------------------------------
 *
 * test_iceberg_metadata.c
 *	  Table metadata of all versions, read and written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/metadata.h"
#include "tap.h"

static const char v1[] =
"{\"format-version\":1,\"location\":\"s3://b/t\",\"last-updated-ms\":5,\"last-column-id\":2,"
"\"schema\":{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"x\",\"required\":true,\"type\":\"long\"}]},"
"\"partition-spec\":[{\"source-id\":1,\"field-id\":1000,\"name\":\"x_bucket\",\"transform\":\"bucket[16]\"}],"
"\"properties\":{\"a\":\"b\"},\"current-snapshot-id\":-1,\"snapshots\":[]}";

static const char v3[] =
"{\"format-version\":3,\"table-uuid\":\"u\",\"location\":\"file:///t\",\"last-sequence-number\":34,"
"\"last-updated-ms\":1602638573590,\"last-column-id\":4,\"next-row-id\":99,\"current-schema-id\":1,\"schemas\":["
"{\"type\":\"struct\",\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"x\",\"required\":true,\"type\":\"long\"}]},"
"{\"type\":\"struct\",\"schema-id\":1,\"identifier-field-ids\":[1,2],\"fields\":["
"{\"id\":1,\"name\":\"x\",\"required\":true,\"type\":\"long\"},"
"{\"id\":2,\"name\":\"y \\\"q\\\" \\u00e9\",\"required\":true,\"type\":\"decimal(9, 2)\",\"doc\":\"comment\"},"
"{\"id\":3,\"name\":\"z\",\"required\":false,\"type\":\"int\",\"initial-default\":7,\"write-default\":8},"
"{\"id\":4,\"name\":\"n\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":5,\"element\":\"string\",\"element-required\":false}}]}],"
"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":1000,"
"\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
"\"properties\":{\"read.split.target.size\":\"134217728\"},\"current-snapshot-id\":3055729675574597004,"
"\"refs\":{\"main\":{\"snapshot-id\":3055729675574597004,\"type\":\"branch\",\"max-ref-age-ms\":9},"
"\"tag\":{\"snapshot-id\":3051729675574597004,\"type\":\"tag\"}},"
"\"snapshots\":[{\"snapshot-id\":3051729675574597004,\"timestamp-ms\":1515100955770,\"sequence-number\":33,"
"\"summary\":{\"operation\":\"append\"},\"manifest-list\":\"s3://a/b/1.avro\"},"
"{\"snapshot-id\":3055729675574597004,\"parent-snapshot-id\":3051729675574597004,\"timestamp-ms\":1555100955770,"
"\"sequence-number\":34,\"summary\":{\"operation\":\"overwrite\",\"total-records\":\"5\"},"
"\"manifest-list\":\"s3://a/b/2.avro\",\"schema-id\":1}],"
"\"snapshot-log\":[{\"snapshot-id\":3051729675574597004,\"timestamp-ms\":1515100955770},"
"{\"snapshot-id\":3055729675574597004,\"timestamp-ms\":1555100955770}],"
"\"metadata-log\":[{\"timestamp-ms\":1515100955770,\"metadata-file\":\"s3://a/v1.json\"}],"
"\"future\":{\"kept\":[1,2.5,null,true]}}";

static IcebergMetadata *
parse(const char *json)
{
	return iceberg_metadata_read(json, strlen(json), "t.metadata.json");
}

static void
test_v1(void)
{
	IcebergMetadata *m = parse(v1);
	StringInfoData out;

	is_int(m->format_version, 1, "v1: version");
	is_int(m->current_snapshot_id, -1, "v1: no snapshot");
	is_int(m->nschemas, 1, "v1: the one schema");
	is_int(m->default_spec_id, 0, "v1: spec 0");
	is_int(json_length(m->partition_specs), 1, "v1: its fields became a spec");
	is_str(iceberg_metadata_property(m, "a"), "b", "v1: property");
	initStringInfo(&out);
	iceberg_metadata_write(&out, m);
	ok(strstr(out.data, "bucket[16]") != NULL, "v1: the transform is kept");
	tap_corpus("fuzz_metadata", "v1", v1, strlen(v1));
}

static void
test_v3(void)
{
	IcebergMetadata *m = parse(v3);
	const IcebergSchema *schema = iceberg_metadata_schema(m, m->current_schema_id);
	const IcebergSnapshot *s = iceberg_metadata_snapshot(m, m->current_snapshot_id);
	const IcebergField *f;
	StringInfoData out;
	StringInfoData again;

	is_int(schema->nfields, 4, "v3: fields");
	is_int(schema->nidentifiers, 2, "v3: identifiers");
	f = iceberg_schema_field(schema, 2);
	is_str(f->name, "y \"q\" é", "v3: a name with escapes");
	ok(f->supported && f->type.id == LAKE_DECIMAL && f->type.precision == 9 && f->type.scale == 2, "v3: decimal");
	is_str(iceberg_schema_field(schema, 3)->initial_default, "7", "v3: default");
	f = iceberg_schema_field_named(schema, "n");
	ok(f != NULL && f->supported && f->type.id == LAKE_NESTED && f->node->kind == LAKE_NODE_LIST &&
	   f->node->children[0].id > 0 && strstr(f->type_json, "element-id") != NULL, "v3: a list");
	ok(iceberg_schema_field(schema, 9) == NULL, "no such field");
	is_str(s->operation, "overwrite", "v3: operation");
	is_int(s->parent_id, INT64CONST(3051729675574597004), "v3: parent");
	is_int(m->snapshots[0].schema_id, -1, "v3: a snapshot without a schema");
	is_str(iceberg_snapshot_summary(s, "total-records"), "5", "v3: summary");
	ok(iceberg_snapshot_summary(s, "operation") == NULL, "the operation is no entry of the summary");
	is_str(m->metadata_log[0].metadata_file, "s3://a/v1.json", "v3: metadata log");

	initStringInfo(&out);
	iceberg_metadata_write(&out, m);
	ok(strstr(out.data, "\"next-row-id\":99") != NULL, "an unknown number is kept");
	ok(strstr(out.data, "\"future\":{\"kept\":[1,2.5,null,true]}") != NULL, "an unknown object is kept");
	ok(strstr(out.data, "\"max-ref-age-ms\":9") != NULL, "the main branch keeps its retention");
	ok(strstr(out.data, "\"tag\":{\"snapshot-id\":3051729675574597004,\"type\":\"tag\"}") != NULL, "a tag is kept");
	initStringInfo(&again);
	iceberg_metadata_write(&again, parse(out.data));
	is_str(again.data, out.data, "what is written is read the same");
	tap_corpus("fuzz_metadata", "v3", v3, strlen(v3));
}

static void
test_properties(void)
{
	IcebergMetadata *m = parse(v1);

	iceberg_metadata_set_property(m, "a", "c");
	iceberg_metadata_set_property(m, "new", "d");
	is_str(iceberg_metadata_property(m, "a"), "c", "a property is replaced");
	is_str(iceberg_metadata_property(m, "new"), "d", "a property is added");
	ok(iceberg_metadata_property(m, "none") == NULL, "a property that is not there");
}

static void
test_names(void)
{
	is_str(iceberg_metadata_file_name(12, "u-u"), "0000000012-u-u.metadata.json", "a padded name");
	is_int(iceberg_metadata_version("s3://b/1-2/metadata/0000000012-u.metadata.json"), 12, "its version");
	is_int(iceberg_metadata_version("00001-x.metadata.json"), 1, "another writer's name");
	is_int(iceberg_metadata_version("v7.metadata.json"), 0, "a name without a version");
	is_int(iceberg_metadata_version("99999999999999999999-x"), 0, "a version that is none");
	is_int(iceberg_metadata_version("12"), 0, "a number alone");
}

#define REFUSES(json, part, name) throws(ERRCODE_DATA_CORRUPTED, parse(json), part, "%s", name)

static void
test_damage(void)
{
	REFUSES("", "", "an empty file");
	REFUSES("[]", "not a JSON object", "an array");
	REFUSES("{\"format-version\":2}", "location", "no location");
	REFUSES("{\"format-version\":2,\"location\":\"l\"}", "no schema", "no schema");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[]}],\"current-schema-id\":3}",
			"no schema with id 3", "a current schema that is missing");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[]}],\"snapshots\":7}",
			"not an array", "snapshots that are a number");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[]}],\"current-snapshot-id\":7}",
			"current snapshot 7 is missing", "a current snapshot that is missing");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[]}],\"last-column-id\":99999999999}",
			"out of range", "a number out of range");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[{\"id\":1,\"name\":\"x\"}]}]}",
			"no type", "a field without a type");
	REFUSES("{\"format-version\":2,\"location\":\"l\",\"schemas\":[{\"fields\":[]}],\"properties\":{\"a\":1}}",
			"not a string", "a property that is a number");
	throws(ERRCODE_FEATURE_NOT_SUPPORTED, parse("{\"format-version\":4}"), "version 4", "a later version");
	for (size_t size = 0; size < strlen(v3); size++)
	{
		PG_TRY();
		{
			iceberg_metadata_read(v3, size, "short");
			ok(false, "a file cut at %zu is refused", size);
		}
		PG_CATCH();
		{
			FlushErrorState();
		}
		PG_END_TRY();
	}
	ok(true, "a file cut anywhere crashes nothing");
}

int
main(void)
{
	test_v1();
	test_v3();
	test_properties();
	test_names();
	test_damage();
	return done();
}
