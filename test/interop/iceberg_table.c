/*-------------------------------------------------------------------------
 *
 * iceberg_table.c
 *	  Writes and reads tables on disk for the check against other engines
 *	  (iceberg_files.py): metadata only, data files come from elsewhere.
 *
 *	iceberg_table write LOCATION		commits as standard input says:
 *		schema JSON						once, first
 *		data PATH BYTES ROWS LOWER UPPER	a data file of the next commit; bounds of field 1, a long
 *		deletes PATH BYTES ROWS DATAFILE	position deletes
 *		drop							every file the table has
 *		commit							prints the metadata file
 *	iceberg_table read METADATA			prints snapshot, manifests, live files
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "iceberg/bounds.h"
#include "iceberg/commit.h"
#include "iceberg/deletes.h"
#include "utils/memutils.h"

#define LINE_BYTES (1024 * 1024)

static const char *
local_path(const char *name)
{
	return strncmp(name, "file://", 7) == 0 ? name + 7 : strncmp(name, "file:", 5) == 0 ? name + 5 : name;
}

static char *
disk_get(void *arg, const char *path, int64 length, bool missing_ok, size_t *size)
{
	FILE	   *f = fopen(local_path(path), "rb");
	char	   *data;

	if (f == NULL)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("could not open \"%s\"", path)));
	}
	fseek(f, 0, SEEK_END);
	*size = ftell(f);
	rewind(f);
	data = palloc(*size + 1);
	if (fread(data, 1, *size, f) != *size)
		ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("could not read \"%s\"", path)));
	fclose(f);
	return data;
}

static void
disk_put(void *arg, const char *path, const void *data, size_t size)
{
	FILE	   *f = fopen(local_path(path), "wbx");

	if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("could not write \"%s\"", path)));
}

static const IcebergIo disk = {disk_get, disk_put, NULL};

static IcebergTableState *
new_table(const char *location, const char *schema)
{
	IcebergTableState *state = palloc0(sizeof(IcebergTableState));
	IcebergMetadata *m = palloc0(sizeof(IcebergMetadata));

	m->format_version = 2;
	m->table_uuid = "0b5a7c2e-0000-4000-8000-000000000001";
	m->location = pstrdup(location);
	m->schemas = palloc(sizeof(IcebergSchema *));
	m->schemas[0] = iceberg_schema_read(json_read(schema, strlen(schema), "schema"), "schema");
	m->nschemas = 1;
	for (int i = 0; i < m->schemas[0]->nfields; i++)
		m->last_column_id = Max(m->last_column_id, m->schemas[0]->fields[i].id);
	m->last_partition_id = 999;
	m->current_snapshot_id = -1;
	state->metadata = m;
	return state;
}

static void
set_bounds(IcebergDataFile *f, int field_id, const char *lower, int lower_size, const char *upper, int upper_size)
{
	f->nmetrics = 1;
	f->metrics = palloc0(sizeof(IcebergMetrics));
	f->metrics[0].field_id = field_id;
	f->metrics[0].column_size = f->metrics[0].nan_count = -1;
	f->metrics[0].value_count = f->record_count;
	f->metrics[0].lower = unconstify(char *, lower);
	f->metrics[0].lower_size = lower_size;
	f->metrics[0].upper = unconstify(char *, upper);
	f->metrics[0].upper_size = upper_size;
}

static char *
long_bound(int64 value)
{
	StringInfoData buf;
	LakeValue	v = {.isnull = false};
	LakeType	type = {.id = LAKE_LONG};

	v.u.i64 = value;
	initStringInfo(&buf);
	iceberg_value_encode(type, &v, &buf);
	return buf.data;
}

static void
parse_file(IcebergDataFile *f, char *line)
{
	static char path[4096];
	static char data_file[4096];
	long long	bytes;
	long long	rows;
	long long	lower;
	long long	upper;

	memset(f, 0, sizeof(*f));
	f->format = "PARQUET";
	f->content_offset = f->content_size = -1;
	if (sscanf(line, "data %4095s %lld %lld %lld %lld", path, &bytes, &rows, &lower, &upper) == 5)
	{
		f->record_count = rows;
		set_bounds(f, 1, long_bound(lower), 8, long_bound(upper), 8);
	}
	else if (sscanf(line, "deletes %4095s %lld %lld %4095s", path, &bytes, &rows, data_file) == 4)
	{
		f->content = ICEBERG_POSITION_DELETES;
		f->record_count = rows;
		f->referenced_data_file = pstrdup(data_file);
		set_bounds(f, ICEBERG_DELETE_PATH_ID, f->referenced_data_file, strlen(data_file),
				   f->referenced_data_file, strlen(data_file));
	}
	else
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("cannot read line: %s", line)));
	f->path = pstrdup(path);
	f->file_size = bytes;
}

static int64
now_ms(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

static void
write_table(const char *location)
{
	char	   *line = palloc(LINE_BYTES);
	IcebergTableState *state = NULL;
	IcebergDataFile *files = palloc(sizeof(IcebergDataFile) * 1024);
	IcebergChange change = {.files = files};
	IcebergPaths garbage = {0};
	int			commits = 0;

	while (fgets(line, LINE_BYTES, stdin) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "schema ", 7) == 0)
			state = new_table(location, line + 7);
		else if (strcmp(line, "drop") == 0)
			change.drop_all = true;
		else if (strcmp(line, "commit") == 0)
		{
			change.token = psprintf("0b5a7c2e-0000-4000-8000-%012d", ++commits);
			change.now_ms = now_ms();
			state = iceberg_commit(state, &change, &disk, &garbage);
			printf("%s\n", state->metadata_location);
			memset(&change, 0, sizeof(change));
			change.files = files;
		}
		else
			parse_file(&files[change.nfiles++], line);
	}
}

static void
print_file(const IcebergManifestEntry *e)
{
	printf("file %d %d %lld %lld %lld %s", e->file.content, e->status, (long long) e->sequence_number,
		   (long long) e->file.record_count, (long long) e->file.file_size, e->file.path);
	for (int i = 0; i < e->file.nmetrics; i++)
	{
		const IcebergMetrics *m = &e->file.metrics[i];

		printf(" %d:%lld:%lld:", m->field_id, (long long) m->value_count, (long long) m->null_count);
		for (int b = 0; m->lower != NULL && b < m->lower_size; b++)
			printf("%02x", (uint8) m->lower[b]);
		printf(":");
		for (int b = 0; m->upper != NULL && b < m->upper_size; b++)
			printf("%02x", (uint8) m->upper[b]);
	}
	printf("\n");
}

static void
read_table(const char *path)
{
	size_t		size;
	char	   *data = disk_get(NULL, path, -1, false, &size);
	IcebergMetadata *m = iceberg_metadata_read(data, size, path);
	const IcebergSnapshot *s = iceberg_metadata_snapshot(m, m->current_snapshot_id);
	const IcebergSchema *schema = iceberg_metadata_schema(m, m->current_schema_id);
	IcebergManifest *manifests;
	StringInfoData again;
	int			n;

	/* what is written must be what was read */
	initStringInfo(&again);
	iceberg_metadata_write(&again, m);
	printf("metadata %s\n", again.data);
	printf("schema %s\n", iceberg_schema_text(schema));
	if (s == NULL)
		return;
	printf("snapshot %lld %s\n", (long long) s->snapshot_id, s->operation);
	data = disk_get(NULL, s->manifest_list, -1, false, &size);
	manifests = iceberg_manifest_list_read(data, size, s->manifest_list, &n);
	for (int i = 0; i < n; i++)
	{
		int			nentries;
		IcebergManifestEntry *entries = iceberg_commit_read(&disk, &manifests[i], true, &nentries);

		printf("manifest %d %lld %lld %s\n", manifests[i].content, (long long) manifests[i].length,
			   (long long) manifests[i].min_sequence_number, manifests[i].path);
		for (int e = 0; e < nentries; e++)
			print_file(&entries[e]);
	}
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "write") == 0)
		write_table(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "read") == 0)
		read_table(argv[2]);
	else
	{
		fprintf(stderr, "usage: iceberg_table write LOCATION | read METADATA\n");
		return 2;
	}
	return 0;
}
