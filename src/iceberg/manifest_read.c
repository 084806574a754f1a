/*-------------------------------------------------------------------------
 *
 * manifest_read.c
 *	  Manifests of any version, read.
 *
 * Fields are found by their ids.  One datum is decoded at a time in a
 * context that is reset after it: what a caller keeps of a manifest with
 * many columns is often a small part of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/file.h"
#include "iceberg/manifest.h"
#include "utils/memutils.h"

typedef struct EntryReader
{
	const char *object;
	const int  *wanted_ids;
	int			nwanted;		/* -1: all */
	IcebergMetrics *metrics;	/* of the open entry, ordered by field id */
	int			nmetrics;
	int			capacity;
	int			hint;			/* where the last one was */
} EntryReader;

static void
entry_fail(const EntryReader *r, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Iceberg manifest \"%s\": %s",
					r->object ? r->object : "", problem)));
}

/* An optional field of a kind; NULL when it is absent or null. */
static const AvroValue *
get_field(const EntryReader *r, const AvroValue *record, int id, const char *name, AvroKind kind)
{
	const AvroValue *v = avro_field(record, id, name);

	if (v == NULL || v->kind == AVRO_NULL)
		return NULL;
	if (v->kind != kind && !(kind == AVRO_LONG && v->kind == AVRO_INT))
		entry_fail(r, psprintf("field \"%s\" has another type", name));
	return v;
}

static int64
get_long(const EntryReader *r, const AvroValue *record, int id, const char *name, int64 dflt)
{
	const AvroValue *v = get_field(r, record, id, name, AVRO_LONG);

	return v != NULL ? v->u.i64 : dflt;
}

static int64
get_required_long(const EntryReader *r, const AvroValue *record, int id, const char *name)
{
	const AvroValue *v = get_field(r, record, id, name, AVRO_LONG);

	if (v == NULL)
		entry_fail(r, psprintf("field \"%s\" is missing", name));
	if (v->u.i64 < 0)
		entry_fail(r, psprintf("field \"%s\" is negative", name));
	return v->u.i64;
}

static char *
get_text(const EntryReader *r, const AvroValue *record, int id, const char *name)
{
	const AvroValue *v = get_field(r, record, id, name, AVRO_STRING);

	if (v == NULL)
		return NULL;
	if (memchr(v->u.bytes.data, '\0', v->u.bytes.size) != NULL)
		entry_fail(r, psprintf("field \"%s\" has a zero byte", name));
	return pnstrdup(v->u.bytes.data, v->u.bytes.size);
}

static bool
is_wanted(const EntryReader *r, int64 field_id)
{
	if (r->nwanted < 0)
		return true;
	for (int i = 0; i < r->nwanted; i++)
		if (r->wanted_ids[i] == field_id)
			return true;
	return false;
}

/* The metrics of a column, made when they are not there.  Maps come in the same order, mostly. */
static IcebergMetrics *
metrics_of(EntryReader *r, int field_id)
{
	int			low = 0;
	int			high = r->nmetrics;
	IcebergMetrics *m;

	if (r->hint + 1 < r->nmetrics && r->metrics[r->hint + 1].field_id == field_id)
		return &r->metrics[++r->hint];
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (r->metrics[middle].field_id < field_id)
			low = middle + 1;
		else
			high = middle;
	}
	r->hint = low;
	m = &r->metrics[low];
	if (low < r->nmetrics && m->field_id == field_id)
		return m;
	if (r->nmetrics == r->capacity)
	{
		r->capacity = Max(r->capacity * 2, 16);
		r->metrics = r->metrics ? repalloc(r->metrics, sizeof(IcebergMetrics) * r->capacity) :
			palloc(sizeof(IcebergMetrics) * r->capacity);
		m = &r->metrics[low];
	}
	memmove(m + 1, m, sizeof(IcebergMetrics) * (r->nmetrics - low));
	r->nmetrics++;
	memset(m, 0, sizeof(*m));
	m->field_id = field_id;
	m->column_size = m->value_count = m->null_count = m->nan_count = -1;
	return m;
}

/*
 * One pair of a map with integer keys, which is an array of records with
 * fields key and value.  NULL when the caller does not want it.
 */
static const AvroValue *
map_pair(const EntryReader *r, const AvroValue *pair, AvroKind kind, int64 *key)
{
	const AvroValue *k = avro_field(pair, 0, "key");
	const AvroValue *v = avro_field(pair, 0, "value");

	if (k == NULL || v == NULL || (k->kind != AVRO_INT && k->kind != AVRO_LONG))
		entry_fail(r, "a map of metrics has another form");
	if (v->kind != kind && v->kind != AVRO_NULL && !(kind == AVRO_LONG && v->kind == AVRO_INT))
		entry_fail(r, "a map of metrics has another type");
	*key = k->u.i64;
	return v->kind == AVRO_NULL || *key != (int) *key || !is_wanted(r, *key) ? NULL : v;
}

static void
read_counts(EntryReader *r, const AvroValue *file, int id, const char *name, size_t member)
{
	const AvroValue *map = get_field(r, file, id, name, AVRO_ARRAY);

	r->hint = -1;
	for (int i = 0; map != NULL && i < map->u.list.nitems; i++)
	{
		int64		key;
		const AvroValue *v = map_pair(r, &map->u.list.items[i], AVRO_LONG, &key);

		if (v != NULL)
			*(int64 *) ((char *) metrics_of(r, (int) key) + member) = v->u.i64;
	}
}

/* Bounds stay in the datum's memory; copy_file() takes them out of it. */
static void
read_bounds(EntryReader *r, const AvroValue *file, int id, const char *name, bool upper)
{
	const AvroValue *map = get_field(r, file, id, name, AVRO_ARRAY);

	r->hint = -1;
	for (int i = 0; map != NULL && i < map->u.list.nitems; i++)
	{
		int64		key;
		const AvroValue *v = map_pair(r, &map->u.list.items[i], AVRO_BYTES, &key);
		IcebergMetrics *m;

		if (v == NULL || v->u.bytes.size > PG_INT32_MAX)
			continue;
		m = metrics_of(r, (int) key);
		if (upper)
		{
			m->upper = unconstify(char *, v->u.bytes.data);
			m->upper_size = (int) v->u.bytes.size;
		}
		else
		{
			m->lower = unconstify(char *, v->u.bytes.data);
			m->lower_size = (int) v->u.bytes.size;
		}
	}
}

static void
read_metrics(EntryReader *r, const AvroValue *file, IcebergDataFile *f, MemoryContext keep)
{
	MemoryContext old;

	r->metrics = NULL;
	r->nmetrics = r->capacity = 0;
	read_counts(r, file, 108, "column_sizes", offsetof(IcebergMetrics, column_size));
	read_counts(r, file, 109, "value_counts", offsetof(IcebergMetrics, value_count));
	read_counts(r, file, 110, "null_value_counts", offsetof(IcebergMetrics, null_count));
	read_counts(r, file, 137, "nan_value_counts", offsetof(IcebergMetrics, nan_count));
	read_bounds(r, file, 125, "lower_bounds", false);
	read_bounds(r, file, 128, "upper_bounds", true);
	if (r->nmetrics == 0)
		return;

	old = MemoryContextSwitchTo(keep);
	f->nmetrics = r->nmetrics;
	f->metrics = palloc(sizeof(IcebergMetrics) * r->nmetrics);
	memcpy(f->metrics, r->metrics, sizeof(IcebergMetrics) * r->nmetrics);
	for (int i = 0; i < f->nmetrics; i++)
	{
		f->metrics[i].lower = iceberg_copy_bytes(f->metrics[i].lower, f->metrics[i].lower_size);
		f->metrics[i].upper = iceberg_copy_bytes(f->metrics[i].upper, f->metrics[i].upper_size);
	}
	MemoryContextSwitchTo(old);
}

static void
read_lists(EntryReader *r, const AvroValue *file, IcebergDataFile *f)
{
	const AvroValue *offsets = get_field(r, file, 132, "split_offsets", AVRO_ARRAY);
	const AvroValue *ids = get_field(r, file, 135, "equality_ids", AVRO_ARRAY);

	if (offsets != NULL && offsets->u.list.nitems > 0)
	{
		f->nsplit_offsets = offsets->u.list.nitems;
		f->split_offsets = palloc(sizeof(int64) * f->nsplit_offsets);
		for (int i = 0; i < f->nsplit_offsets; i++)
		{
			if (offsets->u.list.items[i].kind != AVRO_LONG)
				entry_fail(r, "a split offset is not a long");
			f->split_offsets[i] = offsets->u.list.items[i].u.i64;
		}
	}
	if (ids != NULL && ids->u.list.nitems > 0)
	{
		f->nequality_ids = ids->u.list.nitems;
		f->equality_ids = palloc(sizeof(int) * f->nequality_ids);
		for (int i = 0; i < f->nequality_ids; i++)
		{
			/* PyIceberg writes longs */
			if (ids->u.list.items[i].kind != AVRO_INT && ids->u.list.items[i].kind != AVRO_LONG)
				entry_fail(r, "an equality id is not an int");
			f->equality_ids[i] = (int) ids->u.list.items[i].u.i64;
		}
	}
}

static void
put_partition_value(StringInfo out, const AvroValue *v)
{
	avro_put_long(out, v->kind == AVRO_NULL ? 0 : 1);
	switch (v->kind)
	{
		case AVRO_BOOLEAN:
			avro_put_boolean(out, v->u.boolean);
			break;
		case AVRO_INT:
		case AVRO_LONG:
		case AVRO_ENUM:
			avro_put_long(out, v->u.i64);
			break;
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			appendBinaryStringInfo(out, (const char *) &v->u.f64, sizeof(v->u.f64));
			break;
		case AVRO_BYTES:
		case AVRO_STRING:
		case AVRO_FIXED:
			avro_put_bytes(out, v->u.bytes.data, v->u.bytes.size);
			break;
		default:
			break;
	}
}

/* The partition tuple in a form that is equal exactly when the tuples are. */
static void
read_partition(const EntryReader *r, const AvroValue *file, IcebergDataFile *f)
{
	const AvroValue *tuple = get_field(r, file, 102, "partition", AVRO_RECORD);
	StringInfoData buf;

	if (tuple == NULL || tuple->u.list.nitems == 0)
		return;
	initStringInfo(&buf);
	for (int i = 0; i < tuple->u.list.nitems; i++)
		put_partition_value(&buf, &tuple->u.list.items[i]);
	f->partition = buf.data;
	f->partition_size = buf.len;
}

static void
read_file(EntryReader *r, const AvroValue *file, IcebergDataFile *f, MemoryContext keep)
{
	MemoryContext scratch = MemoryContextSwitchTo(keep);
	int64		content = get_long(r, file, 134, "content", 0);

	if (content < ICEBERG_DATA || content > ICEBERG_EQUALITY_DELETES)
		entry_fail(r, psprintf("unknown content %lld", (long long) content));
	f->content = (IcebergContent) content;
	f->path = get_text(r, file, 100, "file_path");
	f->format = get_text(r, file, 101, "file_format");
	if (f->path == NULL || f->format == NULL)
		entry_fail(r, "a file has no path or no format");
	f->record_count = get_required_long(r, file, 103, "record_count");
	f->file_size = get_required_long(r, file, 104, "file_size_in_bytes");
	f->referenced_data_file = get_text(r, file, 143, "referenced_data_file");
	f->content_offset = get_long(r, file, 144, "content_offset", -1);
	f->content_size = get_long(r, file, 145, "content_size_in_bytes", -1);
	read_lists(r, file, f);
	read_partition(r, file, f);
	MemoryContextSwitchTo(scratch);
	read_metrics(r, file, f, keep);
}

/*
 * Inheritance (Iceberg spec, "Sequence Number Inheritance"): nulls of added
 * entries take the manifest's values; all entries of a manifest written by
 * version 1 have sequence number 0.
 */
static void
inherit(const EntryReader *r, IcebergManifestEntry *e, const IcebergManifest *manifest)
{
	bool		inherits = e->status == ICEBERG_ADDED || manifest->sequence_number == 0;

	if (e->snapshot_id < 0)
		e->snapshot_id = manifest->added_snapshot_id;
	if (e->sequence_number < 0 && inherits)
		e->sequence_number = manifest->sequence_number;
	if (e->file_sequence_number < 0 && inherits)
		e->file_sequence_number = manifest->sequence_number;
	/* older writers left out the file sequence number of existing entries */
	if (e->file_sequence_number < 0)
		e->file_sequence_number = e->sequence_number;
	if (e->sequence_number < 0 && e->status == ICEBERG_EXISTING)
		entry_fail(r, "an existing file has no sequence number");
}

static void
read_entry(EntryReader *r, const AvroValue *datum, IcebergManifestEntry *e, MemoryContext keep)
{
	const AvroValue *file = get_field(r, datum, 2, "data_file", AVRO_RECORD);
	int64		status = get_required_long(r, datum, 0, "status");

	if (file == NULL)
		entry_fail(r, "an entry has no data file");
	if (status < 0 || status > ICEBERG_DELETED)
		entry_fail(r, psprintf("unknown status %lld", (long long) status));
	memset(e, 0, sizeof(*e));
	e->status = (IcebergStatus) status;
	e->snapshot_id = get_long(r, datum, 1, "snapshot_id", -1);
	e->sequence_number = get_long(r, datum, 3, "sequence_number", -1);
	e->file_sequence_number = get_long(r, datum, 4, "file_sequence_number", -1);
	read_file(r, file, &e->file, keep);
}

/*
 * The list says how many entries of each status a manifest has.  Avro blocks
 * carry no checksum: a lost or changed entry would be a wrong answer.
 */
static void
check_counts(const char *object, const IcebergManifest *manifest,
			 const IcebergManifestEntry *entries, int n)
{
	int			found[3] = {0};
	int			listed[3];

	listed[ICEBERG_EXISTING] = manifest->existing_files;
	listed[ICEBERG_ADDED] = manifest->added_files;
	listed[ICEBERG_DELETED] = manifest->deleted_files;
	for (int i = 0; i < n; i++)
		found[entries[i].status]++;
	for (int i = 0; i < lengthof(found); i++)
	{
		if (listed[i] >= 0 && listed[i] != found[i])
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read manifest \"%s\": it does not hold the files that its list counts", object),
					 errdetail("%d entries of status %d were found, %d are listed.", found[i], i, listed[i])));
	}
}

IcebergManifestEntry *
iceberg_manifest_read(const void *data, size_t size, const char *object,
					  const IcebergManifest *manifest,
					  const int *wanted_ids, int nwanted, int *nentries)
{
	MemoryContext keep = CurrentMemoryContext;
	MemoryContext datum_context = AllocSetContextCreate(keep, "Iceberg manifest datum",
														ALLOCSET_DEFAULT_SIZES);
	AvroFile   *f = avro_file_open(data, size, object);
	EntryReader r = {.object = object, .wanted_ids = wanted_ids, .nwanted = nwanted};
	int			capacity = 16;
	IcebergManifestEntry *entries = palloc(sizeof(IcebergManifestEntry) * capacity);
	int			n = 0;

	for (;;)
	{
		AvroValue	datum;

		/* an expanded block belongs to `keep`: it outlives many data */
		if (f->left == 0 && !avro_file_more(f))
			break;
		MemoryContextSwitchTo(datum_context);
		avro_file_next(f, &datum);
		if (n == capacity)
		{
			capacity *= 2;
			entries = repalloc(entries, sizeof(IcebergManifestEntry) * capacity);
		}
		read_entry(&r, &datum, &entries[n], keep);
		if (manifest != NULL)
			inherit(&r, &entries[n], manifest);
		n++;
		MemoryContextSwitchTo(keep);
		MemoryContextReset(datum_context);
	}
	MemoryContextDelete(datum_context);
	if (manifest != NULL)
		check_counts(object, manifest, entries, n);
	*nentries = n;
	return entries;
}
