/*-------------------------------------------------------------------------
 *
 * manifest_write.c
 *	  Manifests of v2 tables, written.
 *
 * The Avro schema is what the reference implementation writes, to the name
 * of each record: readers look fields up by id, some by name, and some
 * refuse a nullable field that the specification requires.  Maps with
 * integer keys are arrays of key-value records, for Avro's own maps have
 * string keys only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/file.h"
#include "iceberg/partition.h"

#define REQUIRED(name, type, id) \
	"{\"name\":\"" name "\",\"type\":" type ",\"field-id\":" #id "}"
#define OPTIONAL(name, type, id) \
	"{\"name\":\"" name "\",\"type\":[\"null\"," type "],\"default\":null,\"field-id\":" #id "}"
#define INT_MAP(value, key_id, value_id) \
	"{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"k" #key_id "_v" #value_id "\",\"fields\":[" \
	REQUIRED("key", "\"int\"", key_id) "," REQUIRED("value", value, value_id) "]},\"logicalType\":\"map\"}"
#define LIST_OF(value, element_id) \
	"{\"type\":\"array\",\"items\":" value ",\"element-id\":" #element_id "}"

/* Up to the fields of the partition record, and what follows them. */
static const char entry_schema_head[] =
"{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
REQUIRED("status", "\"int\"", 0) ","
OPTIONAL("snapshot_id", "\"long\"", 1) ","
OPTIONAL("sequence_number", "\"long\"", 3) ","
OPTIONAL("file_sequence_number", "\"long\"", 4) ","
"{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
REQUIRED("content", "\"int\"", 134) ","
REQUIRED("file_path", "\"string\"", 100) ","
REQUIRED("file_format", "\"string\"", 101) ","
"{\"name\":\"partition\",\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":";

static const char entry_schema_tail[] =
"},\"field-id\":102},"
REQUIRED("record_count", "\"long\"", 103) ","
REQUIRED("file_size_in_bytes", "\"long\"", 104) ","
OPTIONAL("column_sizes", INT_MAP("\"long\"", 117, 118), 108) ","
OPTIONAL("value_counts", INT_MAP("\"long\"", 119, 120), 109) ","
OPTIONAL("null_value_counts", INT_MAP("\"long\"", 121, 122), 110) ","
OPTIONAL("nan_value_counts", INT_MAP("\"long\"", 138, 139), 137) ","
OPTIONAL("lower_bounds", INT_MAP("\"bytes\"", 126, 127), 125) ","
OPTIONAL("upper_bounds", INT_MAP("\"bytes\"", 129, 130), 128) ","
OPTIONAL("key_metadata", "\"bytes\"", 131) ","
OPTIONAL("split_offsets", LIST_OF("\"long\"", 133), 132) ","
OPTIONAL("equality_ids", LIST_OF("\"int\"", 136), 135) ","
OPTIONAL("sort_order_id", "\"int\"", 140) ","
OPTIONAL("referenced_data_file", "\"string\"", 143)
"]},\"field-id\":2}]}";

static void
put_null(StringInfo out)
{
	avro_put_long(out, 0);
}

/* An optional long: null when negative. */
static void
put_optional(StringInfo out, int64 value)
{
	if (value < 0)
	{
		put_null(out);
		return;
	}
	avro_put_long(out, 1);
	avro_put_long(out, value);
}

static void
put_text(StringInfo out, const char *s)
{
	avro_put_bytes(out, s, strlen(s));
}

/* A map from field id to a count; null when no column has one. */
static void
put_counts(StringInfo out, const IcebergDataFile *f, size_t member)
{
	int			n = 0;

#define COUNT_OF(m) (*(const int64 *) ((const char *) (m) + member))
	for (int i = 0; i < f->nmetrics; i++)
		n += COUNT_OF(&f->metrics[i]) >= 0;
	avro_put_long(out, n > 0 ? 1 : 0);
	if (n == 0)
		return;
	avro_put_long(out, n);
	for (int i = 0; i < f->nmetrics; i++)
	{
		if (COUNT_OF(&f->metrics[i]) < 0)
			continue;
		avro_put_long(out, f->metrics[i].field_id);
		avro_put_long(out, COUNT_OF(&f->metrics[i]));
	}
	avro_put_long(out, 0);
#undef COUNT_OF
}

static void
put_bounds(StringInfo out, const IcebergDataFile *f, bool upper)
{
	int			n = 0;

	for (int i = 0; i < f->nmetrics; i++)
		n += (upper ? f->metrics[i].upper : f->metrics[i].lower) != NULL;
	avro_put_long(out, n > 0 ? 1 : 0);
	if (n == 0)
		return;
	avro_put_long(out, n);
	for (int i = 0; i < f->nmetrics; i++)
	{
		const IcebergMetrics *m = &f->metrics[i];
		const char *bound = upper ? m->upper : m->lower;

		if (bound == NULL)
			continue;
		avro_put_long(out, m->field_id);
		avro_put_bytes(out, bound, upper ? m->upper_size : m->lower_size);
	}
	avro_put_long(out, 0);
}

static void
put_split_offsets(StringInfo out, const IcebergDataFile *f)
{
	avro_put_long(out, f->nsplit_offsets > 0 ? 1 : 0);
	if (f->nsplit_offsets == 0)
		return;
	avro_put_long(out, f->nsplit_offsets);
	for (int i = 0; i < f->nsplit_offsets; i++)
		avro_put_long(out, f->split_offsets[i]);
	avro_put_long(out, 0);
}

static void
put_equality_ids(StringInfo out, const IcebergDataFile *f)
{
	avro_put_long(out, f->nequality_ids > 0 ? 1 : 0);
	if (f->nequality_ids == 0)
		return;
	avro_put_long(out, f->nequality_ids);
	for (int i = 0; i < f->nequality_ids; i++)
		avro_put_long(out, f->equality_ids[i]);
	avro_put_long(out, 0);
}

/* In the order of entry_schema. */
static void
put_data_file(StringInfo out, const IcebergDataFile *f)
{
	avro_put_long(out, f->content);
	put_text(out, f->path);
	put_text(out, f->format);
	/* a record: its fields one after the other, and nothing in an unpartitioned table */
	if (f->partition_size > 0)
		appendBinaryStringInfo(out, f->partition, f->partition_size);
	avro_put_long(out, f->record_count);
	avro_put_long(out, f->file_size);
	put_counts(out, f, offsetof(IcebergMetrics, column_size));
	put_counts(out, f, offsetof(IcebergMetrics, value_count));
	put_counts(out, f, offsetof(IcebergMetrics, null_count));
	put_counts(out, f, offsetof(IcebergMetrics, nan_count));
	put_bounds(out, f, false);
	put_bounds(out, f, true);
	put_null(out);				/* key_metadata */
	put_split_offsets(out, f);
	put_equality_ids(out, f);
	/* data files: order 0, unsorted; position deletes have an order of their own and must say null */
	put_optional(out, f->content == ICEBERG_DATA ? 0 : -1);
	avro_put_long(out, f->referenced_data_file != NULL ? 1 : 0);
	if (f->referenced_data_file != NULL)
		put_text(out, f->referenced_data_file);
}

static void
put_entry(StringInfo out, const IcebergManifestEntry *e, int64 snapshot_id)
{
	avro_put_long(out, e->status);
	put_optional(out, e->snapshot_id < 0 ? snapshot_id : e->snapshot_id);
	put_optional(out, e->sequence_number);
	put_optional(out, e->file_sequence_number);
	put_data_file(out, &e->file);
}

static void
count_entry(IcebergManifest *out, const IcebergManifestEntry *e, int64 sequence_number)
{
	int64		data_sequence = e->sequence_number < 0 ? sequence_number : e->sequence_number;

	switch (e->status)
	{
		case ICEBERG_ADDED:
			out->added_files++;
			out->added_rows += e->file.record_count;
			break;
		case ICEBERG_EXISTING:
			out->existing_files++;
			out->existing_rows += e->file.record_count;
			break;
		case ICEBERG_DELETED:
			out->deleted_files++;
			out->deleted_rows += e->file.record_count;
			return;
	}
	if (data_sequence < out->min_sequence_number)
		out->min_sequence_number = data_sequence;
}

void
iceberg_manifest_write(StringInfo buf, const IcebergSchema *schema, const IcebergPartition *partition,
					   int content, int64 snapshot_id, int64 sequence_number,
					   const IcebergManifestEntry *entries, int nentries,
					   IcebergManifest *out)
{
	const char *meta[] = {
		"schema", iceberg_schema_text(schema),
		"schema-id", psprintf("%d", schema->schema_id),
		"partition-spec", iceberg_partition_json(partition),
		"partition-spec-id", psprintf("%d", partition->spec_id),
		"format-version", "2",
		"content", content == 0 ? "data" : "deletes",
		NULL
	};
	char	   *entry_schema = psprintf("%s%s%s", entry_schema_head, iceberg_partition_avro(partition),
										entry_schema_tail);
	AvroWriter *w = avro_writer_create(entry_schema, true, meta);

	memset(out, 0, sizeof(*out));
	out->content = content;
	out->partition_spec_id = partition->spec_id;
	out->added_snapshot_id = snapshot_id;
	out->sequence_number = sequence_number;
	out->min_sequence_number = sequence_number;
	for (int i = 0; i < nentries; i++)
	{
		const IcebergManifestEntry *e = &entries[i];

		if (e->status != ICEBERG_ADDED && (e->sequence_number < 0 || e->file_sequence_number < 0))
			elog(ERROR, "manifest entry for \"%s\" has no sequence number", e->file.path);
		if ((e->file.content == ICEBERG_DATA) != (content == 0))
			elog(ERROR, "manifest entry for \"%s\" has the wrong content", e->file.path);
		if ((e->file.partition_size > 0) != partition->by_day)
			elog(ERROR, "manifest entry for \"%s\" has the wrong partition", e->file.path);
		put_entry(&w->block, e, snapshot_id);
		w->count++;
		avro_writer_end_datum(w);
		count_entry(out, e, sequence_number);
	}
	iceberg_partition_summarize(partition, entries, nentries, out);
	avro_writer_finish(w);
	out->length = w->out.len;
	appendBinaryStringInfo(buf, w->out.data, w->out.len);
}
