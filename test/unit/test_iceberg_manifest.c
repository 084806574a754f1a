/*-------------------------------------------------------------------------
 *
 * test_iceberg_manifest.c
 *	  Manifests and manifest lists: written, read, inherited, damaged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/partition.h"
#include "tap.h"

#define NCOLUMNS 5

static IcebergSchema schema = {
	.nfields = 1,
	.fields = (IcebergField[]) {{.id = 1, .name = "a", .type = {.id = LAKE_LONG}, .supported = true}}
};

static const IcebergPartition unpartitioned;

static IcebergManifestEntry
make_entry(int i, IcebergStatus status, IcebergContent content)
{
	IcebergManifestEntry e = {.status = status, .snapshot_id = status == ICEBERG_ADDED ? -1 : 70 + i,
		.sequence_number = status == ICEBERG_ADDED ? -1 : 3 + i, .file_sequence_number = status == ICEBERG_ADDED ? -1 : 4 + i};

	e.file.content = content;
	e.file.path = psprintf("s3://bucket/data/%d.parquet", i);
	e.file.format = "PARQUET";
	e.file.record_count = 100 + i;
	e.file.file_size = 100000 + i;
	e.file.content_offset = e.file.content_size = -1;
	e.file.nsplit_offsets = 2;
	e.file.split_offsets = palloc(sizeof(int64) * 2);
	e.file.split_offsets[0] = 4;
	e.file.split_offsets[1] = 50000;
	e.file.nmetrics = NCOLUMNS;
	e.file.metrics = palloc0(sizeof(IcebergMetrics) * NCOLUMNS);
	for (int k = 0; k < NCOLUMNS; k++)
	{
		IcebergMetrics *m = &e.file.metrics[k];

		m->field_id = k + 1;
		m->column_size = 1000 * i + k;
		m->value_count = 100 + i;
		m->null_count = k;
		m->nan_count = k == 2 ? 1 : -1;
		if (k != 3)
		{
			m->lower = "\1\2\0\4";
			m->lower_size = 4;
			m->upper = "\5\6";
			m->upper_size = 2;
		}
	}
	if (content != ICEBERG_DATA)
		e.file.referenced_data_file = "s3://bucket/data/x.parquet";
	return e;
}

static bool
same_file(const IcebergDataFile *a, const IcebergDataFile *b)
{
	bool		same = a->content == b->content && strcmp(a->path, b->path) == 0 &&
		strcmp(a->format, b->format) == 0 && a->record_count == b->record_count &&
		a->file_size == b->file_size && a->nmetrics == b->nmetrics &&
		a->nsplit_offsets == b->nsplit_offsets &&
		memcmp(a->split_offsets, b->split_offsets, sizeof(int64) * a->nsplit_offsets) == 0 &&
		(a->referenced_data_file == NULL) == (b->referenced_data_file == NULL);

	for (int i = 0; same && i < a->nmetrics; i++)
	{
		const IcebergMetrics *x = &a->metrics[i];
		const IcebergMetrics *y = &b->metrics[i];

		same = x->field_id == y->field_id && x->column_size == y->column_size &&
			x->value_count == y->value_count && x->null_count == y->null_count &&
			x->nan_count == y->nan_count && x->lower_size == y->lower_size &&
			x->upper_size == y->upper_size && (x->lower == NULL) == (y->lower == NULL) &&
			(x->lower == NULL || memcmp(x->lower, y->lower, x->lower_size) == 0) &&
			(x->upper == NULL || memcmp(x->upper, y->upper, x->upper_size) == 0);
	}
	return same;
}

static void
test_data_manifest(void)
{
	IcebergManifestEntry entries[300];
	IcebergManifestEntry *read;
	IcebergManifest m;
	StringInfoData buf;
	int			n;
	bool		same = true;
	int			wanted[] = {3};

	for (int i = 0; i < 300; i++)
		entries[i] = make_entry(i, i < 100 ? ICEBERG_ADDED : i < 200 ? ICEBERG_EXISTING : ICEBERG_DELETED, ICEBERG_DATA);
	initStringInfo(&buf);
	iceberg_manifest_write(&buf, &schema, &unpartitioned, 0, 77, 1000, entries, 300, &m);
	is_int(m.length, buf.len, "length");
	is_int(m.added_files, 100, "added files");
	is_int(m.existing_rows, 100 * 100 + (100 + 199) * 50, "existing rows");
	is_int(m.deleted_files, 100, "deleted files");
	is_int(m.min_sequence_number, 103, "least sequence number of a live file");
	is_int(m.added_snapshot_id, 77, "snapshot");

	read = iceberg_manifest_read(buf.data, buf.len, "m.avro", &m, NULL, -1, &n);
	is_int(n, 300, "all entries");
	for (int i = 0; i < n; i++)
		same &= same_file(&entries[i].file, &read[i].file) && read[i].status == entries[i].status;
	ok(same, "they are what was written");
	is_int(read[5].sequence_number, 1000, "an added file inherits the sequence number");
	is_int(read[5].file_sequence_number, 1000, "and that of the file");
	is_int(read[5].snapshot_id, 77, "and the snapshot");
	is_int(read[150].sequence_number, 153, "an existing one has its own");
	is_int(read[150].snapshot_id, 220, "and its own snapshot");

	read = iceberg_manifest_read(buf.data, buf.len, "m.avro", NULL, wanted, 1, &n);
	is_int(read[5].sequence_number, -1, "without a manifest nothing is inherited");
	ok(read[7].file.nmetrics == 1 && read[7].file.metrics[0].field_id == 3, "only the metrics that are wanted");
	read = iceberg_manifest_read(buf.data, buf.len, "m.avro", &m, NULL, 0, &n);
	is_int(read[7].file.nmetrics, 0, "no metrics");
}

static void
test_delete_manifest(void)
{
	IcebergManifestEntry e = make_entry(1, ICEBERG_ADDED, ICEBERG_POSITION_DELETES);
	IcebergManifestEntry *read;
	IcebergManifest m;
	StringInfoData buf;
	int			n;

	initStringInfo(&buf);
	iceberg_manifest_write(&buf, &schema, &unpartitioned, 1, 77, 9, &e, 1, &m);
	read = iceberg_manifest_read(buf.data, buf.len, "m.avro", &m, NULL, -1, &n);
	ok(n == 1 && same_file(&read[0].file, &e.file), "a delete file");
	is_str(read[0].file.referenced_data_file, "s3://bucket/data/x.parquet", "the data file it is for");
	is_int(m.content, 1, "the manifest's content");
	throws(ERRCODE_INTERNAL_ERROR, iceberg_manifest_write(&buf, &schema, &unpartitioned, 0, 77, 9, &e, 1, &m),
		   "wrong content", "a delete file has no place in a data manifest");
	e = make_entry(1, ICEBERG_EXISTING, ICEBERG_DATA);
	e.sequence_number = -1;
	throws(ERRCODE_INTERNAL_ERROR, iceberg_manifest_write(&buf, &schema, &unpartitioned, 0, 77, 9, &e, 1, &m),
		   "no sequence number", "an existing file without a sequence number is not written");
}

static void
keep_seed(const char *name, char kind, const StringInfoData *file)
{
	StringInfoData seed;

	initStringInfo(&seed);
	appendStringInfoChar(&seed, kind);
	appendBinaryStringInfo(&seed, file->data, file->len);
	tap_corpus("fuzz_manifest", name, seed.data, seed.len);
}

static void
test_list(void)
{
	IcebergManifest manifests[100];
	IcebergManifest *read;
	StringInfoData buf;
	int			n;
	bool		same = true;

	for (int i = 0; i < 100; i++)
	{
		manifests[i] = (IcebergManifest) {
			.path = psprintf("s3://b/m%d.avro", i), .length = 1000 + i, .content = i % 2,
			.sequence_number = i, .min_sequence_number = i / 2, .added_snapshot_id = INT64CONST(1) << 60,
			.added_files = i, .existing_files = 2 * i, .deleted_files = 3 * i,
			.added_rows = 4 * i, .existing_rows = 5 * i, .deleted_rows = 6 * i
		};
		if (i == 7)
		{
			manifests[i].partitions = "\x02\x01\x00\x00\x00\x00";
			manifests[i].partitions_size = 6;
		}
	}
	initStringInfo(&buf);
	iceberg_manifest_list_write(&buf, 5, -1, 9, manifests, 100);
	read = iceberg_manifest_list_read(buf.data, buf.len, "l.avro", &n);
	is_int(n, 100, "all manifests");
	for (int i = 0; i < n; i++)
	{
		same &= strcmp(read[i].path, manifests[i].path) == 0;
		read[i].path = manifests[i].path;
		same &= read[i].partitions_size == manifests[i].partitions_size;
		read[i].partitions = manifests[i].partitions;
		same &= memcmp(&read[i], &manifests[i], sizeof(IcebergManifest)) == 0;
	}
	ok(same, "they are what was written");
	keep_seed("list", 'L', &buf);
}

/* Each byte changed: an error or other values, never a crash. */
static void
test_any_byte(void)
{
	IcebergManifestEntry entries[3];
	IcebergManifest m;
	StringInfoData buf;
	int			refused = 0;

	for (int i = 0; i < 3; i++)
		entries[i] = make_entry(i, ICEBERG_ADDED, ICEBERG_DATA);
	initStringInfo(&buf);
	iceberg_manifest_write(&buf, &schema, &unpartitioned, 0, 77, 9, entries, 3, &m);
	keep_seed("manifest", 'M', &buf);
	for (int i = 0; i < buf.len; i++)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "attempt", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		int			n;

		buf.data[i] ^= 0x2a;
		PG_TRY();
		{
			(void) iceberg_manifest_read(buf.data, buf.len, "m.avro", &m, NULL, -1, &n);
		}
		PG_CATCH();
		{
			FlushErrorState();
			refused++;
		}
		PG_END_TRY();
		buf.data[i] ^= 0x2a;
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	ok(refused > buf.len / 3, "damage at any byte crashes nothing (%d of %d refused)", refused, buf.len);
}

static bool
holds(const char *data, int size, const char *part)
{
	int			n = (int) strlen(part);

	for (int i = 0; i + n <= size; i++)
	{
		if (memcmp(data + i, part, n) == 0)
			return true;
	}
	return false;
}

/* Tuples and their ranges, on both sides of 1970; and what is refused. */
static void
test_days(void)
{
	static const char spec[] = "{\"name\":\"t_day\",\"transform\":\"day\",\"source-id\":2,\"field-id\":1000}";
	static const int64 at[] = {INT64CONST(-1), INT64CONST(-86400000000), INT64CONST(-86400000001), 0, INT64CONST(86400000000)};
	static const int32 days[] = {-1, -1, -2, 0, 1};
	IcebergPartition p = {.spec_id = 0, .by_day = true, .source_id = 2, .field_id = 1000, .name = "t_day"};
	IcebergManifestEntry entries[5];
	IcebergManifestEntry *read;
	IcebergManifest m;
	IcebergManifest *list;
	StringInfoData buf;
	StringInfoData list_buf;
	bool		right = true;
	int			n;

	for (int i = 0; i < 5; i++)
	{
		entries[i] = make_entry(i, ICEBERG_ADDED, ICEBERG_DATA);
		right &= iceberg_day(at[i]) == days[i];
		iceberg_partition_set_day(&entries[i].file, iceberg_day(at[i]));
	}
	ok(right, "days are rounded down");
	ok(iceberg_partition_count(&entries[0].file, 1) == 1, "one file is in one partition");
	initStringInfo(&buf);
	iceberg_manifest_write(&buf, &schema, &p, 0, 77, 9, entries, 5, &m);
	m.path = "m";
	read = iceberg_manifest_read(buf.data, buf.len, "days", &m, NULL, -1, &n);
	right = n == 5;
	for (int i = 0; i < n; i++)
		right &= read[i].file.partition_size == entries[i].file.partition_size &&
			memcmp(read[i].file.partition, entries[i].file.partition, entries[i].file.partition_size) == 0;
	ok(right, "tuples are read as they were written");
	ok(holds(buf.data, buf.len, spec), "the manifest has the spec's fields");
	initStringInfo(&list_buf);
	iceberg_manifest_list_write(&list_buf, 77, -1, 9, &m, 1);
	list = iceberg_manifest_list_read(list_buf.data, list_buf.len, "list", &n);
	ok(n == 1 && list[0].partitions_size == m.partitions_size &&
	   memcmp(list[0].partitions, m.partitions, m.partitions_size) == 0 &&
	   holds(m.partitions, m.partitions_size, "\xfe\xff\xff\xff"), "the list has the range of days");
	throws(ERRCODE_INTERNAL_ERROR, iceberg_manifest_write(&buf, &schema, &unpartitioned, 0, 77, 9, entries, 5, &m),
		   "wrong partition", "a tuple has no place in a table without partitions");
	entries[1].file.partition_size = 0;
	throws(ERRCODE_INTERNAL_ERROR, iceberg_manifest_write(&buf, &schema, &p, 0, 77, 9, entries, 5, &m),
		   "wrong partition", "a partitioned table wants a tuple");
}

static bool
spec_accepted(const char *specs)
{
	IcebergMetadata m = {.location = "t", .nschemas = 1};
	IcebergSchema *schemas[1];
	IcebergPartition p;
	IcebergField fields[] = {{.id = 1, .name = "a", .type = {.id = LAKE_LONG}, .supported = true},
	{.id = 2, .name = "t", .type = {.id = LAKE_TIMESTAMPTZ}, .supported = true}};
	IcebergSchema two = {.nfields = 2, .fields = fields};
	const char *reason = NULL;

	schemas[0] = &two;
	m.schemas = schemas;
	m.partition_specs = specs ? json_read(specs, strlen(specs), "specs") : NULL;
	return iceberg_partition_get(&m, &p, &reason) && reason == NULL;
}

static void
test_specs(void)
{
#define FIELD(transform, source) "{\"name\":\"x\",\"transform\":\"" transform "\",\"source-id\":" #source ",\"field-id\":1000}"
	ok(spec_accepted(NULL), "no specs");
	ok(spec_accepted("[{\"spec-id\":0,\"fields\":[]}]"), "an empty spec");
	ok(spec_accepted("[{\"spec-id\":0,\"fields\":[" FIELD("day", 2) "]}]"), "the day of a timestamp");
	ok(!spec_accepted("[{\"spec-id\":0,\"fields\":[" FIELD("day", 1) "]}]"), "the day of a number is refused");
	ok(!spec_accepted("[{\"spec-id\":0,\"fields\":[" FIELD("month", 2) "]}]"), "another transform is refused");
	ok(!spec_accepted("[{\"spec-id\":0,\"fields\":[" FIELD("day", 2) "," FIELD("day", 2) "]}]"), "two fields are refused");
	ok(!spec_accepted("[{\"spec-id\":0,\"fields\":[]},{\"spec-id\":1,\"fields\":[" FIELD("day", 2) "]}]"),
	   "another spec that had days is refused");
#undef FIELD
}

int
main(void)
{
	test_data_manifest();
	test_delete_manifest();
	test_list();
	test_days();
	test_specs();
	test_any_byte();
	return done();
}
