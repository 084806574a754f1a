/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Loading a lake table, and making a new one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/partition.h"
#include "lake/internal.h"
#include "lake/table.h"
#include "utils/memutils.h"

/*
 * Properties of every new table.  Other engines that commit to it or clean
 * it up then keep to the same bounds as tarn.
 */
static const IcebergProperty default_properties[] = {
	{"write.format.default", "parquet"},
	{"write.parquet.compression-codec", "zstd"},
	{"write.delete.mode", "merge-on-read"},
	{"write.update.mode", "merge-on-read"},
	{"write.merge.mode", "merge-on-read"},
	{ICEBERG_PROPERTY_DELETE_METADATA, "true"},
	{ICEBERG_PROPERTY_PREVIOUS_VERSIONS, CppAsString2(ICEBERG_DEFAULT_PREVIOUS_VERSIONS)},
	{ICEBERG_PROPERTY_MIN_SNAPSHOTS, CppAsString2(ICEBERG_DEFAULT_MIN_SNAPSHOTS)},
	{ICEBERG_PROPERTY_MAX_AGE, "3600000"},
};

/*
 * Reads an object that may be gone, without an error then.  The error is
 * swallowed without a subtransaction: the store has only memory and files
 * open at that point, which belong to memory contexts.
 */
static char *
get_if_there(Lake *lake, const char *path, size_t *size)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *volatile data = NULL;

	PG_TRY();
	{
		data = store_get(lake->store, path, LAKE_MAX_METADATA, size);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNDEFINED_FILE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return data;
}

static char *
io_get(void *arg, const char *path, int64 length, bool missing_ok, size_t *size)
{
	Lake	   *lake = arg;

	if (missing_ok)
		return get_if_there(lake, path, size);
	return lake_get(lake, path, size);
}

/*
 * Names hold a token that is used once: whatever is there already belongs to
 * a state that may be committed.
 */
static void
io_put(void *arg, const char *path, const void *data, size_t size)
{
	Lake	   *lake = arg;

	store_put(lake->store, path, data, size, STORE_IF_ABSENT);
}

void
lake_io(IcebergIo *io, Lake *lake)
{
	io->get = io_get;
	io->put = io_put;
	io->arg = lake;
}

LakeTable *
lake_table_create(Lake *lake, const char *namespace, const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake table",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LakeTable  *t = palloc0(sizeof(LakeTable));

	t->lake = lake;
	t->namespace = pstrdup(namespace);
	t->name = pstrdup(name);
	t->context = context;
	MemoryContextSwitchTo(old);
	return t;
}

void
lake_table_point(LakeTable *t)
{
	t->schema = iceberg_metadata_schema(t->metadata, t->metadata->current_schema_id);
	t->snapshot = iceberg_metadata_snapshot(t->metadata, t->metadata->current_snapshot_id);
}

/* False when they are gone, which is an error unless missing_ok. */
static bool
load_manifests(LakeTable *t, bool missing_ok)
{
	const char *path = t->snapshot->manifest_list;
	MemoryContext old;
	char	   *data;
	size_t		size;

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read lake table \"%s.%s\": its snapshot has no manifest list",
						t->namespace, t->name),
				 errdetail("Manifests listed in the metadata file itself (format version 1) are not supported.")));
	data = missing_ok ? get_if_there(t->lake, path, &size) : lake_get(t->lake, path, &size);
	if (data == NULL)
		return false;
	old = MemoryContextSwitchTo(t->context);
	t->manifests = iceberg_manifest_list_read(data, size, path, &t->nmanifests);
	MemoryContextSwitchTo(old);
	pfree(data);
	return true;
}

static LakeTable *
load_state(Lake *lake, const char *namespace, const char *name, const char *metadata_location, bool missing_ok)
{
	LakeTable  *t;
	MemoryContext old;
	size_t		size;
	char	   *data = missing_ok ? get_if_there(lake, metadata_location, &size) :
		lake_get(lake, metadata_location, &size);

	if (data == NULL)
		return NULL;
	t = lake_table_create(lake, namespace, name);
	old = MemoryContextSwitchTo(t->context);
	t->metadata_location = pstrdup(metadata_location);
	t->metadata = iceberg_metadata_read(data, size, t->metadata_location);
	MemoryContextSwitchTo(old);
	pfree(data);
	lake_table_point(t);
	if (t->snapshot != NULL && !load_manifests(t, missing_ok))
	{
		lake_table_free(t);
		return NULL;
	}
	return t;
}

LakeTable *
lake_table_load_at(Lake *lake, const char *namespace, const char *name, const char *metadata_location)
{
	return load_state(lake, namespace, name, metadata_location, false);
}

LakeTable *
lake_table_load_before(const LakeTable *t, int i)
{
	return load_state(t->lake, t->namespace, t->name, t->metadata->metadata_log[i].metadata_file, true);
}

LakeTable *
lake_table_load(Lake *lake, const char *namespace, const char *name, bool missing_ok)
{
	char	   *location = catalog_load(lake->catalog, namespace, name);
	LakeTable  *t;

	if (location == NULL)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("lake table \"%s.%s\" does not exist on server \"%s\"",
						namespace, name, lake->name)));
	}
	t = lake_table_load_at(lake, namespace, name, location);
	pfree(location);
	return t;
}

/* A random (version 4) UUID. */
static char *
make_uuid(void)
{
	uint8		b[16];

	if (!pg_strong_random(b, sizeof(b)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	return psprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
					b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
					b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static int
last_column_id(const IcebergSchema *schema)
{
	int			last = 0;

	for (int i = 0; i < schema->nfields; i++)
	{
		last = Max(last, schema->fields[i].id);
		if (schema->fields[i].node != NULL)
			last = Max(last, lake_node_max_id(schema->fields[i].node));
	}
	return last;
}

char *
lake_table_location(const Lake *lake, const char *namespace, const char *name)
{
	return psprintf("%s/%s/%s", lake->warehouse,
					store_encode_segment(namespace), store_encode_segment(name));
}

bool
lake_location_used(Lake *lake, const char *location)
{
	size_t		length = strlen(location);
	ListCell   *lc;

	foreach(lc, catalog_list(lake->catalog, NULL))
	{
		const char *metadata = ((CatalogTable *) lfirst(lc))->metadata_location;

		if (metadata && strncmp(metadata, location, length) == 0 && metadata[length] == '/')
			return true;
	}
	return false;
}

LakeTable *
lake_table_new(Lake *lake, const char *namespace, const char *name,
			   const char *location, IcebergSchema *schema, const IcebergProperty *properties, int nproperties)
{
	LakeTable  *t = lake_table_create(lake, namespace, name);
	IcebergMetadata m = {.format_version = 2, .last_partition_id = 999, .current_snapshot_id = -1};
	StringInfoData json;
	MemoryContext old;

	m.table_uuid = make_uuid();
	m.location = pstrdup(location);
	m.last_column_id = last_column_id(schema);
	m.nschemas = 1;
	m.schemas = &schema;
	m.current_schema_id = schema->schema_id;
	for (int i = 0; i < lengthof(default_properties); i++)
		iceberg_metadata_set_property(&m, default_properties[i].key, default_properties[i].value);
	for (int i = 0; i < nproperties; i++)
		iceberg_metadata_set_property(&m, properties[i].key, properties[i].value);

	/* through its JSON: the table shares nothing with the caller's schema */
	initStringInfo(&json);
	iceberg_metadata_write(&json, &m);
	old = MemoryContextSwitchTo(t->context);
	t->metadata = iceberg_metadata_read(json.data, json.len, m.location);
	MemoryContextSwitchTo(old);
	pfree(json.data);
	lake_table_point(t);
	return t;
}

void
lake_table_partition_by_day(LakeTable *t, int field_id, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(t->context);

	iceberg_partition_by_day(t->metadata, field_id, name);
	MemoryContextSwitchTo(old);
}

void
lake_table_free(LakeTable *t)
{
	MemoryContextDelete(t->context);
}

char *
lake_data_path(const LakeTable *t, const char *token, int n)
{
	return psprintf("%s/data/%s-%d.parquet", t->metadata->location, token, n);
}

/* A number in the current snapshot's summary, or -1. */
static int64
summary_number(const LakeTable *t, const char *key)
{
	const char *text = iceberg_snapshot_summary(t->snapshot, key);
	char	   *end;
	int64		value;

	if (text == NULL)
		return -1;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' ? value : -1;
}

int64
lake_table_rows(const LakeTable *t)
{
	int64		records;
	int64		deletes;

	if (t->snapshot == NULL)
		return 0;
	records = summary_number(t, "total-records");
	deletes = summary_number(t, "total-position-deletes");
	return records < 0 ? -1 : Max(records - Max(deletes, 0), 0);
}

int64
lake_table_files(const LakeTable *t)
{
	return t->snapshot == NULL ? 0 : summary_number(t, "total-data-files");
}

int64
lake_table_bytes(const LakeTable *t)
{
	return t->snapshot == NULL ? 0 : summary_number(t, "total-files-size");
}
