/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Planning a scan: manifests to files, files to tasks.
 *
 * Manifests are read once per scan, because a rescan of a nested loop comes
 * with another filter and the same snapshot.  Pruning by bounds and the
 * matching of deletes run again for each filter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/bounds.h"
#include "iceberg/deletes.h"
#include "lake/internal.h"
#include "lake/scan_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Manifests on their way at a time, and their bytes when there is more than one. */
#define MANIFESTS_AHEAD 8
#define MANIFEST_BYTES_AHEAD (32 * 1024 * 1024)

static void scan_read_manifests(LakeScan *scan);
static void scan_read_manifest(LakeScan *scan, StoreGet *get, const IcebergManifest *manifest,
							   const int *wanted_ids, int nwanted);
static void scan_add_entry(LakeScan *scan, const IcebergManifestEntry *entry);
static bool scan_file_may_match(LakeScan *scan, const ScanFile *file, const bool *used,
								FilterBounds *bounds);

LakeScan *
lake_scan_plan(LakeTable *table, const int *field_ids, int nfields, Filter *filter)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn lake scan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LakeScan   *scan = palloc0(sizeof(LakeScan));

	scan->context = context;
	scan->table = table;
	scan->nfields = nfields;
	scan->fields = palloc(Max(nfields, 1) * sizeof(*scan->fields));
	for (int i = 0; i < nfields; i++)
	{
		const IcebergField *field = iceberg_schema_field(table->schema, field_ids[i]);

		if (field == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("lake table \"%s.%s\" has no field with id %d",
							table->namespace, table->name, field_ids[i])));
		if (!field->supported)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read column \"%s\" of lake table \"%s.%s\": its type is not supported",
							field->name, table->namespace, table->name)));
		scan->fields[i] = field;
	}

	scan->files = palloc0(sizeof(LakeScanFiles));
	scan->files->deleted_context = AllocSetContextCreate(context, "tarn deleted rows",
														 ALLOCSET_DEFAULT_SIZES);
	scan->files->task_context = AllocSetContextCreate(context, "tarn scan tasks",
													  ALLOCSET_DEFAULT_SIZES);
	if (table->snapshot != NULL)
		scan_read_manifests(scan);
	MemoryContextSwitchTo(old);

	lake_scan_replan(scan, filter);
	return scan;
}

void
lake_scan_replan(LakeScan *scan, Filter *filter)
{
	LakeScanFiles *files = scan->files;
	bool	   *used;
	FilterBounds *bounds;
	MemoryContext old;

	scan_ahead_clear(scan);
	MemoryContextReset(files->task_context);
	old = MemoryContextSwitchTo(files->task_context);

	scan->filter = filter;
	scan->tasks = palloc0(Max(files->nfiles, 1) * sizeof(LakeScanTask));
	scan->ntasks = 0;
	used = palloc0(Max(scan->nfields, 1) * sizeof(bool));
	bounds = palloc0(Max(scan->nfields, 1) * sizeof(FilterBounds));
	if (filter != NULL)
		filter_columns(filter, used);

	for (int i = 0; i < files->nfiles; i++)
	{
		ScanFile   *file = &files->files[i];
		LakeScanTask *task;

		CHECK_FOR_INTERRUPTS();
		scan->counters.files++;
		if (file->entry.file.record_count == 0 || !scan_file_may_match(scan, file, used, bounds))
		{
			scan->counters.files_pruned++;
			continue;
		}
		scan_deletes_match(scan, file);
		task = &scan->tasks[scan->ntasks++];
		task->file = &file->entry.file;
		task->sequence_number = file->entry.sequence_number;
		task->deletes = file->deletes;
		task->ndeletes = file->ndeletes;
		task->index = i;
	}
	scan_deletes_replan(scan);
	MemoryContextSwitchTo(old);
}

void
lake_scan_end(LakeScan *scan)
{
	/* reset callbacks of the store's readers close what is open */
	MemoryContextDelete(scan->context);
}

/*
 * Reads every manifest, some of them ahead: on a store of objects each is a
 * request.  Metrics are kept only for the projection (it names the filter's
 * columns too) and for the path column of delete files.
 */
static void
scan_read_manifests(LakeScan *scan)
{
	LakeTable  *table = scan->table;
	int		   *wanted = palloc((scan->nfields + 1) * sizeof(int));
	StoreGet   *gets[MANIFESTS_AHEAD];
	int			begun = 0;
	int64		bytes = 0;		/* of those begun */

	for (int i = 0; i < scan->nfields; i++)
		wanted[i] = scan->fields[i]->id;
	wanted[scan->nfields] = ICEBERG_DELETE_PATH_ID;

	for (int i = 0; i < table->nmanifests; i++)
	{
		CHECK_FOR_INTERRUPTS();
		while (begun < table->nmanifests && begun - i < MANIFESTS_AHEAD &&
			   (begun == i || bytes + table->manifests[begun].length <= MANIFEST_BYTES_AHEAD))
		{
			gets[begun % MANIFESTS_AHEAD] = store_get_start(table->lake->store,
															table->manifests[begun].path,
															LAKE_MAX_METADATA);
			bytes += table->manifests[begun++].length;
		}
		bytes -= table->manifests[i].length;
		scan_read_manifest(scan, gets[i % MANIFESTS_AHEAD], &table->manifests[i],
						   wanted, scan->nfields + 1);
	}
	pfree(wanted);
}

static void
scan_read_manifest(LakeScan *scan, StoreGet *get, const IcebergManifest *manifest,
				   const int *wanted_ids, int nwanted)
{
	size_t		size = 0;
	char	   *data = lake_get_finish(get, manifest->path, &size);
	IcebergManifestEntry *entries;
	int			nentries;

	entries = iceberg_manifest_read(data, size, manifest->path, manifest,
									wanted_ids, nwanted, &nentries);
	scan->counters.bytes += size;
	pfree(data);
	for (int i = 0; i < nentries; i++)
	{
		if (entries[i].status != ICEBERG_DELETED)
			scan_add_entry(scan, &entries[i]);
	}
	pfree(entries);
}

/* Grows an array by doubling: the new capacity for n entries, or 0 when there is room. */
static int
scan_grow(int n)
{
	if (n != 0 && (n < 16 || (n & (n - 1)) != 0))
		return 0;
	if (n > PG_INT32_MAX / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lake table has too many files")));
	return n == 0 ? 16 : n * 2;
}

static void
scan_add_entry(LakeScan *scan, const IcebergManifestEntry *entry)
{
	LakeScanFiles *files = scan->files;
	const IcebergDataFile *file = &entry->file;
	int			capacity;

	if (file->record_count < 0 || file->record_count > PG_INT64_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("lake file \"%s\" has an impossible row count " INT64_FORMAT,
						file->path, file->record_count)));
	if (file->content == ICEBERG_DATA)
	{
		if ((capacity = scan_grow(files->nfiles)) > 0)
			files->files = files->nfiles == 0 ? palloc(capacity * sizeof(ScanFile))
				: repalloc_huge(files->files, capacity * sizeof(ScanFile));
		memset(&files->files[files->nfiles], 0, sizeof(ScanFile));
		files->files[files->nfiles].ndeletes = -1;
		files->files[files->nfiles++].entry = *entry;
		return;
	}

	/* Deletes that cannot be applied must not be passed over: that would give wrong rows. */
	if (file->content == ICEBERG_EQUALITY_DELETES)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read lake table \"%s.%s\": file \"%s\" holds equality deletes",
						scan->table->namespace, scan->table->name, file->path),
				 errhint("Compact the table with the engine that wrote it.")));
	if (file->content_offset >= 0 || pg_strcasecmp(file->format, "PUFFIN") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read lake table \"%s.%s\": file \"%s\" holds deletion vectors",
						scan->table->namespace, scan->table->name, file->path),
				 errhint("Compact the table with the engine that wrote it.")));

	if ((capacity = scan_grow(files->ndeletes)) > 0)
		files->deletes = files->ndeletes == 0 ? palloc(capacity * sizeof(ScanDelete))
			: repalloc_huge(files->deletes, capacity * sizeof(ScanDelete));
	memset(&files->deletes[files->ndeletes], 0, sizeof(ScanDelete));
	files->deletes[files->ndeletes++].entry = *entry;
}

int
lake_scan_nfiles(const LakeScan *scan)
{
	return scan->files->nfiles;
}

const IcebergDataFile *
lake_scan_file(const LakeScan *scan, int i)
{
	return &scan->files->files[i].entry.file;
}

const IcebergMetrics *
lake_file_metrics(const IcebergDataFile *file, int field_id)
{
	for (int i = 0; i < file->nmetrics; i++)
	{
		if (file->metrics[i].field_id == field_id)
			return &file->metrics[i];
	}
	return NULL;
}

void
scan_bounds_unknown(FilterBounds *bounds)
{
	memset(bounds, 0, sizeof(FilterBounds));
	bounds->null_count = -1;
	bounds->nan_count = -1;
	bounds->value_count = -1;
}

static bool
scan_file_may_match(LakeScan *scan, const ScanFile *file, const bool *used, FilterBounds *bounds)
{
	if (scan->filter == NULL)
		return true;
	for (int i = 0; i < scan->nfields; i++)
	{
		const IcebergField *field = scan->fields[i];
		FilterBounds *b = &bounds[i];
		const IcebergMetrics *m;

		scan_bounds_unknown(b);
		if (!used[i] || (m = lake_file_metrics(&file->entry.file, field->id)) == NULL)
			continue;
		b->null_count = m->null_count;
		b->nan_count = m->nan_count;
		b->value_count = m->value_count;

		/*
		 * Java writers have ordered uuids as two signed integers: such bounds
		 * are wrong in the order of bytes that everybody else uses, and the
		 * manifest does not tell which it is.
		 */
		if (field->type.id == LAKE_UUID || m->lower == NULL || m->upper == NULL)
			continue;
		b->known = iceberg_value_decode(field->type, m->lower, m->lower_size, &b->lower) &&
			iceberg_value_decode(field->type, m->upper, m->upper_size, &b->upper);
	}
	return filter_may_match(scan->filter, bounds);
}
