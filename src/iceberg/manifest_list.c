/*-------------------------------------------------------------------------
 *
 * manifest_list.c
 *	  Manifest lists, read in any version, written in v2.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/file.h"
#include "iceberg/manifest.h"

#define REQUIRED(name, type, id) \
	"{\"name\":\"" name "\",\"type\":" type ",\"field-id\":" #id "}"
#define OPTIONAL(name, type, id) \
	"{\"name\":\"" name "\",\"type\":[\"null\"," type "],\"default\":null,\"field-id\":" #id "}"

static const char list_schema[] =
"{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
REQUIRED("manifest_path", "\"string\"", 500) ","
REQUIRED("manifest_length", "\"long\"", 501) ","
REQUIRED("partition_spec_id", "\"int\"", 502) ","
REQUIRED("content", "\"int\"", 517) ","
REQUIRED("sequence_number", "\"long\"", 515) ","
REQUIRED("min_sequence_number", "\"long\"", 516) ","
REQUIRED("added_snapshot_id", "\"long\"", 503) ","
REQUIRED("added_files_count", "\"int\"", 504) ","
REQUIRED("existing_files_count", "\"int\"", 505) ","
REQUIRED("deleted_files_count", "\"int\"", 506) ","
REQUIRED("added_rows_count", "\"long\"", 512) ","
REQUIRED("existing_rows_count", "\"long\"", 513) ","
REQUIRED("deleted_rows_count", "\"long\"", 514) ","
OPTIONAL("partitions", "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"r508\",\"fields\":["
		 REQUIRED("contains_null", "\"boolean\"", 509) ","
		 OPTIONAL("contains_nan", "\"boolean\"", 518) ","
		 OPTIONAL("lower_bound", "\"bytes\"", 510) ","
		 OPTIONAL("upper_bound", "\"bytes\"", 511)
		 "]},\"element-id\":508}", 507) ","
OPTIONAL("key_metadata", "\"bytes\"", 519)
"]}";

static void
put_manifest(StringInfo out, const IcebergManifest *m)
{
	avro_put_bytes(out, m->path, strlen(m->path));
	avro_put_long(out, m->length);
	avro_put_long(out, m->partition_spec_id);
	avro_put_long(out, m->content);
	avro_put_long(out, m->sequence_number);
	avro_put_long(out, m->min_sequence_number);
	avro_put_long(out, m->added_snapshot_id);
	avro_put_long(out, m->added_files);
	avro_put_long(out, m->existing_files);
	avro_put_long(out, m->deleted_files);
	avro_put_long(out, m->added_rows);
	avro_put_long(out, m->existing_rows);
	avro_put_long(out, m->deleted_rows);
	/* an unpartitioned table has an empty list: some readers do not take a null */
	avro_put_long(out, 1);
	if (m->partitions != NULL)
		appendBinaryStringInfo(out, m->partitions, m->partitions_size);
	else
		avro_put_long(out, 0);
	avro_put_long(out, 0);		/* key_metadata: null */
}

void
iceberg_manifest_list_write(StringInfo buf, int64 snapshot_id, int64 parent_id,
							int64 sequence_number,
							const IcebergManifest *manifests, int n)
{
	const char *meta[] = {
		"snapshot-id", psprintf("%lld", (long long) snapshot_id),
		"parent-snapshot-id", parent_id < 0 ? "null" : psprintf("%lld", (long long) parent_id),
		"sequence-number", psprintf("%lld", (long long) sequence_number),
		"format-version", "2",
		NULL
	};
	AvroWriter *w = avro_writer_create(list_schema, true, meta);

	for (int i = 0; i < n; i++)
	{
		put_manifest(&w->block, &manifests[i]);
		w->count++;
		avro_writer_end_datum(w);
	}
	avro_writer_finish(w);
	appendBinaryStringInfo(buf, w->out.data, w->out.len);
}

static void
list_fail(const char *object, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Iceberg manifest list \"%s\": %s",
					object ? object : "", problem)));
}

/* By id, or by either of the names that versions 1 and 2 give the field. */
static int64
get_number(const AvroValue *datum, int id, const char *name, const char *old_name,
		   int64 dflt, int64 max, const char *object)
{
	const AvroValue *v = avro_field(datum, id, name);

	if (v == NULL && old_name != NULL)
		v = avro_field(datum, id, old_name);
	if (v == NULL || v->kind == AVRO_NULL)
		return dflt;
	if (v->kind != AVRO_INT && v->kind != AVRO_LONG)
		list_fail(object, psprintf("field \"%s\" has another type", name));
	if (v->u.i64 > max || v->u.i64 < 0)
		list_fail(object, psprintf("field \"%s\" is out of range", name));
	return v->u.i64;
}

static void
put_optional_bytes(StringInfo out, const AvroValue *v)
{
	bool		present = v != NULL && v->kind == AVRO_BYTES;

	avro_put_long(out, present ? 1 : 0);
	if (present)
		avro_put_bytes(out, v->u.bytes.data, v->u.bytes.size);
}

/* Field summaries, encoded anew in list_schema's form. */
static void
read_partitions(IcebergManifest *m, const AvroValue *datum)
{
	const AvroValue *list = avro_field(datum, 507, "partitions");
	StringInfoData buf;

	if (list == NULL || list->kind != AVRO_ARRAY || list->u.list.nitems == 0)
		return;
	initStringInfo(&buf);
	avro_put_long(&buf, list->u.list.nitems);
	for (int i = 0; i < list->u.list.nitems; i++)
	{
		const AvroValue *summary = &list->u.list.items[i];
		const AvroValue *null = avro_field(summary, 509, "contains_null");
		const AvroValue *nan = avro_field(summary, 518, "contains_nan");

		avro_put_boolean(&buf, null == NULL || null->kind != AVRO_BOOLEAN || null->u.boolean);
		avro_put_long(&buf, nan != NULL && nan->kind == AVRO_BOOLEAN ? 1 : 0);
		if (nan != NULL && nan->kind == AVRO_BOOLEAN)
			avro_put_boolean(&buf, nan->u.boolean);
		put_optional_bytes(&buf, avro_field(summary, 510, "lower_bound"));
		put_optional_bytes(&buf, avro_field(summary, 511, "upper_bound"));
	}
	avro_put_long(&buf, 0);
	m->partitions = buf.data;
	m->partitions_size = buf.len;
}

static void
read_manifest(IcebergManifest *m, const AvroValue *datum, const char *object)
{
	const AvroValue *path = avro_field(datum, 500, "manifest_path");

	memset(m, 0, sizeof(*m));
	if (path == NULL || path->kind != AVRO_STRING)
		list_fail(object, "a manifest has no path");
	if (memchr(path->u.bytes.data, '\0', path->u.bytes.size) != NULL)
		list_fail(object, "a path has a zero byte");
	m->path = pnstrdup(path->u.bytes.data, path->u.bytes.size);

#define NUMBER(id, name, old_name, dflt, max) get_number(datum, id, name, old_name, dflt, max, object)
	m->length = NUMBER(501, "manifest_length", NULL, -1, PG_INT64_MAX);
	m->partition_spec_id = (int) NUMBER(502, "partition_spec_id", NULL, 0, PG_INT32_MAX);
	m->content = (int) NUMBER(517, "content", NULL, 0, 1);
	m->sequence_number = NUMBER(515, "sequence_number", NULL, 0, PG_INT64_MAX);
	m->min_sequence_number = NUMBER(516, "min_sequence_number", NULL, 0, PG_INT64_MAX);
	m->added_snapshot_id = NUMBER(503, "added_snapshot_id", NULL, -1, PG_INT64_MAX);
	m->added_files = (int) NUMBER(504, "added_files_count", "added_data_files_count", -1, PG_INT32_MAX);
	m->existing_files = (int) NUMBER(505, "existing_files_count", "existing_data_files_count", -1, PG_INT32_MAX);
	m->deleted_files = (int) NUMBER(506, "deleted_files_count", "deleted_data_files_count", -1, PG_INT32_MAX);
	m->added_rows = NUMBER(512, "added_rows_count", NULL, -1, PG_INT64_MAX);
	m->existing_rows = NUMBER(513, "existing_rows_count", NULL, -1, PG_INT64_MAX);
	m->deleted_rows = NUMBER(514, "deleted_rows_count", NULL, -1, PG_INT64_MAX);
#undef NUMBER
	read_partitions(m, datum);
}

IcebergManifest *
iceberg_manifest_list_read(const void *data, size_t size, const char *object, int *n)
{
	AvroFile   *f = avro_file_open(data, size, object);
	int			capacity = 16;
	IcebergManifest *manifests = palloc(sizeof(IcebergManifest) * capacity);
	AvroValue	datum;

	*n = 0;
	while (avro_file_next(f, &datum))
	{
		if (*n == capacity)
		{
			capacity *= 2;
			manifests = repalloc(manifests, sizeof(IcebergManifest) * capacity);
		}
		read_manifest(&manifests[(*n)++], &datum, object);
	}
	return manifests;
}
