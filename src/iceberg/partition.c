/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Partition specs that tarn writes, and the tuples of files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/value.h"
#include "base/cursor.h"
#include "base/json.h"
#include "iceberg/partition.h"

/* Ids of partition fields begin here; metadata of a table without any says one less. */
#define FIRST_FIELD_ID 1000

#define MICROSECONDS_A_DAY INT64CONST(86400000000)

static char *
spec_fields(int source_id, int field_id, const char *name)
{
	StringInfoData buf;
	JsonWriter	w;

	initStringInfo(&buf);
	json_writer_init(&w, &buf);
	json_open(&w, NULL, '[');
	json_open(&w, NULL, '{');
	json_string(&w, "name", name);
	json_string(&w, "transform", "day");
	json_int64(&w, "source-id", source_id);
	json_int64(&w, "field-id", field_id);
	json_close(&w, '}');
	json_close(&w, ']');
	return buf.data;
}

void
iceberg_partition_by_day(IcebergMetadata *m, int source_id, const char *name)
{
	char	   *json = psprintf("[{\"spec-id\":0,\"fields\":%s}]", spec_fields(source_id, FIRST_FIELD_ID, name));

	m->partition_specs = json_read(json, strlen(json), "partition spec");
	m->default_spec_id = 0;
	m->last_partition_id = FIRST_FIELD_ID;
}

/* One spec's fields; false when they are not those of a table that we write. */
static bool
read_fields(const JsonNode *fields, IcebergPartition *out, const char *object)
{
	const JsonNode *field = fields ? fields->child : NULL;

	out->by_day = field != NULL;
	if (field == NULL)
		return true;
	if (field->next != NULL || strcmp(json_get_string_opt(field, "transform", "", object), "day") != 0)
		return false;
	out->source_id = (int) json_get_int64(field, "source-id", object);
	out->field_id = (int) json_get_int64(field, "field-id", object);
	out->name = json_get_string(field, "name", object);
	return true;
}

bool
iceberg_partition_get(const IcebergMetadata *m, IcebergPartition *out, const char **reason)
{
	const JsonNode *spec = m->partition_specs ? m->partition_specs->child : NULL;
	IcebergPartition other;
	const IcebergField *source;

	memset(out, 0, sizeof(*out));
	out->spec_id = m->default_spec_id;
	for (; spec != NULL; spec = spec->next)
	{
		bool		ours = json_get_int64_opt(spec, "spec-id", 0, m->location) == m->default_spec_id;

		if (read_fields(json_get(spec, "fields"), ours ? out : &other, m->location) && (ours || !other.by_day))
			continue;
		*reason = "it is partitioned by something else than the day of one column";
		return false;
	}
	if (!out->by_day)
		return true;
	source = iceberg_schema_field(iceberg_metadata_schema(m, m->current_schema_id), out->source_id);
	if (source != NULL && (source->type.id == LAKE_TIMESTAMP || source->type.id == LAKE_TIMESTAMPTZ))
		return true;
	*reason = "the column it is partitioned by is no timestamp";
	return false;
}

int32
iceberg_day(int64 microseconds)
{
	int64		day = microseconds / MICROSECONDS_A_DAY;

	return (int32) (microseconds % MICROSECONDS_A_DAY < 0 ? day - 1 : day);
}

/* A record of one optional int: the branch of the union, the value. */
void
iceberg_partition_set_day(IcebergDataFile *file, int32 day)
{
	StringInfoData buf;

	initStringInfo(&buf);
	avro_put_long(&buf, 1);
	avro_put_long(&buf, day);
	file->partition = buf.data;
	file->partition_size = buf.len;
}

/* The day of a tuple; false when it has another form, or none. */
static bool
get_day(const IcebergDataFile *file, int32 *day)
{
	Cursor		in;
	int64		branch;

	if (file->partition_size < 2)
		return false;
	cursor_init(&in, file->partition, file->partition_size, "partition tuple", NULL, 0);
	branch = cursor_zigzag(&in);
	*day = (int32) cursor_zigzag(&in);
	return branch == 1;
}

char *
iceberg_partition_json(const IcebergPartition *p)
{
	return p->by_day ? spec_fields(p->source_id, p->field_id, p->name) : pstrdup("[]");
}

/* As the reference implementation has it: a day is shown as a date. */
char *
iceberg_partition_avro(const IcebergPartition *p)
{
	StringInfoData name;

	if (!p->by_day)
		return pstrdup("[]");
	initStringInfo(&name);
	json_escape(&name, p->name, strlen(p->name));
	return psprintf("[{\"name\":%s,\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}],"
					"\"default\":null,\"field-id\":%d}]", name.data, p->field_id);
}

/* A bound: the single-value form of a date. */
static void
put_bound(StringInfo out, int32 day)
{
	uint8		bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8) ((uint32) day >> (8 * i));
	avro_put_long(out, 1);
	avro_put_bytes(out, (const char *) bytes, sizeof(bytes));
}

void
iceberg_partition_summarize(const IcebergPartition *p, const IcebergManifestEntry *entries,
							int nentries, IcebergManifest *out)
{
	int32		lower = PG_INT32_MAX;
	int32		upper = PG_INT32_MIN;
	StringInfoData buf;

	if (!p->by_day)
		return;
	for (int i = 0; i < nentries; i++)
	{
		int32		day;

		if (!get_day(&entries[i].file, &day))
			elog(ERROR, "manifest entry for \"%s\" has no partition", entries[i].file.path);
		lower = Min(lower, day);
		upper = Max(upper, day);
	}
	initStringInfo(&buf);
	avro_put_long(&buf, 1);
	avro_put_boolean(&buf, false);	/* contains_null */
	avro_put_long(&buf, 0);		/* contains_nan: null */
	if (nentries > 0)
	{
		put_bound(&buf, lower);
		put_bound(&buf, upper);
	}
	else
	{
		avro_put_long(&buf, 0);
		avro_put_long(&buf, 0);
	}
	avro_put_long(&buf, 0);
	out->partitions = buf.data;
	out->partitions_size = buf.len;
}

static bool
same_partition(const IcebergDataFile *a, const IcebergDataFile *b)
{
	return a->partition_size == b->partition_size &&
		(a->partition_size == 0 || memcmp(a->partition, b->partition, a->partition_size) == 0);
}

int
iceberg_partition_count(const IcebergDataFile *files, int nfiles)
{
	int		   *first = palloc(sizeof(int) * Max(nfiles, 1));
	int			n = 0;

	/* days are few, however many the files */
	for (int i = 0; i < nfiles; i++)
	{
		int			k = 0;

		while (k < n && !same_partition(&files[first[k]], &files[i]))
			k++;
		if (k == n)
			first[n++] = i;
	}
	pfree(first);
	return n;
}
