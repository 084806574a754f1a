/*-------------------------------------------------------------------------
 *
 * scan_deletes.c
 *	  Position deletes to a bitmap of deleted rows for each data file.
 *
 * A delete file of a flush names rows of many data files.  It is read once
 * per scan and split over the bitmaps of the files that will be read: one bit
 * a row bounds the memory, whatever the number of deletes.  When only one
 * task needs it, only that file's part of it is read.
 *
 * A delete applies to data files of the same or an older sequence number
 * (Iceberg spec, "Scan Planning").  Partitions are not compared: a position
 * delete names its file, so that it cannot apply elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/bounds.h"
#include "iceberg/deletes.h"
#include "lake/scan_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Delete files under way at a time. */
#define DELETES_AHEAD 7

static const LakeType string_type = {.id = LAKE_STRING};

/* Decodes the path bounds of a delete file, once. */
static void
deletes_prepare(ScanDelete *d)
{
	const IcebergDataFile *file = &d->entry.file;

	for (int i = 0; i < file->nmetrics; i++)
	{
		const IcebergMetrics *m = &file->metrics[i];

		if (m->field_id == ICEBERG_DELETE_PATH_ID && m->lower != NULL && m->upper != NULL)
			d->has_bounds =
				iceberg_value_decode(string_type, m->lower, m->lower_size, &d->lower) &&
				iceberg_value_decode(string_type, m->upper, m->upper_size, &d->upper);
	}
}

static bool
delete_may_apply(const ScanDelete *d, const ScanFile *file)
{
	const char *path = file->entry.file.path;
	LakeValue	value = {0};

	if (file->entry.sequence_number > d->entry.sequence_number)
		return false;
	if (d->entry.file.referenced_data_file != NULL)
		return strcmp(d->entry.file.referenced_data_file, path) == 0;
	if (!d->has_bounds)
		return true;
	value.u.bytes.data = path;
	value.u.bytes.size = strlen(path);
	return lake_value_compare(string_type, &d->lower, &value) <= 0 &&
		lake_value_compare(string_type, &value, &d->upper) <= 0;
}

void
scan_deletes_match(LakeScan *scan, ScanFile *file)
{
	LakeScanFiles *files = scan->files;
	int			n = 0;

	if (file->ndeletes >= 0)
		return;
	for (int i = 0; i < files->ndeletes; i++)
	{
		ScanDelete *d = &files->deletes[i];

		if (!d->has_bounds)
			deletes_prepare(d);
		n += delete_may_apply(d, file);
	}
	file->deletes = MemoryContextAlloc(scan->context, Max(n, 1) * sizeof(*file->deletes));
	file->ndeletes = 0;
	for (int i = 0; i < files->ndeletes; i++)
	{
		if (delete_may_apply(&files->deletes[i], file))
			file->deletes[file->ndeletes++] = &files->deletes[i].entry;
	}
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp((*(ScanFile *const *) a)->entry.file.path, (*(ScanFile *const *) b)->entry.file.path);
}

void
scan_deletes_replan(LakeScan *scan)
{
	LakeScanFiles *files = scan->files;
	bool		covered = true;

	files->by_path = palloc(Max(scan->ntasks, 1) * sizeof(ScanFile *));
	files->nby_path = scan->ntasks;
	for (int i = 0; i < scan->ntasks; i++)
	{
		files->by_path[i] = &files->files[scan->tasks[i].index];
		covered &= files->by_path[i]->covered;
	}
	qsort(files->by_path, files->nby_path, sizeof(ScanFile *), compare_paths);
	if (covered)
		return;

	MemoryContextReset(files->deleted_context);
	for (int i = 0; i < files->ndeletes; i++)
		files->deletes[i].loaded = false;
	for (int i = 0; i < files->nfiles; i++)
	{
		files->files[i].deleted = NULL;
		files->files[i].covered = false;
	}
	for (int i = 0; i < files->nby_path; i++)
		files->by_path[i]->covered = true;
}

/* The file of the tasks with that path, or NULL. */
static ScanFile *
deletes_find_file(const LakeScanFiles *files, const char *path, size_t size)
{
	int			low = 0;
	int			high = files->nby_path;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const char *candidate = files->by_path[middle]->entry.file.path;
		int			order = strncmp(candidate, path, size);

		if (order == 0 && candidate[size] != '\0')
			order = 1;
		if (order == 0)
			return files->by_path[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

typedef struct DeleteLoad
{
	LakeScan   *scan;
	const ScanDelete *delete;
} DeleteLoad;

/* Called for the positions of one data file. */
static void
deletes_take(const char *path, size_t path_size, const uint64 *positions, uint32 n, void *arg)
{
	DeleteLoad *load = arg;
	LakeScanFiles *files = load->scan->files;
	ScanFile   *file = deletes_find_file(files, path, path_size);
	uint64		rows;

	if (file == NULL || file->entry.sequence_number > load->delete->entry.sequence_number)
		return;
	rows = file->entry.file.record_count;
	if (file->deleted == NULL)
	{
		size_t		size = BITMAP_WORDS(rows) * sizeof(uint64);

		file->deleted = MemoryContextAllocHuge(files->deleted_context, size);
		memset(file->deleted, 0, size);
	}
	for (uint32 i = 0; i < n; i++)
	{
		if (positions[i] >= rows)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("lake file \"%s\" deletes row " UINT64_FORMAT " of \"%s\", which has " UINT64_FORMAT " rows",
							load->delete->entry.file.path, positions[i],
							file->entry.file.path, rows)));
		bitmap_set(file->deleted, positions[i]);
	}
}

/* How many tasks may need a delete file: 0, 1, or 2 for more. */
static int
deletes_count_users(const LakeScanFiles *files, const ScanDelete *d)
{
	int			n = 0;

	for (int i = 0; i < files->nby_path && n < 2; i++)
		n += delete_may_apply(d, files->by_path[i]);
	return n;
}

/* Begins to fetch the next delete files of `file`, so that one does not wait for the other. */
static void
deletes_ahead(LakeScan *scan, const ScanFile *file, int from)
{
	for (int i = from, n = 0; i < file->ndeletes && n < DELETES_AHEAD; i++)
	{
		const ScanDelete *d = (const ScanDelete *) file->deletes[i];

		if (d->loaded)
			continue;
		scan_ahead(scan, &d->entry.file);
		n++;
	}
}

void
scan_deletes_load(LakeScan *scan, ScanFile *file)
{
	LakeScanFiles *files = scan->files;

	for (int i = 0; i < file->ndeletes; i++)
	{
		/* entries are the first member of the ScanDelete they came from */
		ScanDelete *d = (ScanDelete *) file->deletes[i];
		const char *only_path = NULL;
		DeleteLoad	load = {scan, d};
		ScanParquet *parquet;

		CHECK_FOR_INTERRUPTS();
		if (d->loaded)
			continue;
		if (deletes_count_users(files, d) == 1)
			only_path = file->entry.file.path;
		deletes_ahead(scan, file, i + 1);
		parquet = scan_ahead_open(scan, &d->entry.file, false);
		iceberg_deletes_read(&parquet->input, only_path, deletes_take, &load);
		scan_parquet_close(parquet);
		d->loaded = true;
		scan->counters.delete_files++;
	}
}
