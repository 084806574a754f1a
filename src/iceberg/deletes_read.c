/*-------------------------------------------------------------------------
 *
 * deletes_read.c
 *	  Position delete files, read.
 *
 * Rows are sorted by path and position, so the rows of one data file are one
 * run: a caller that wants one file reads only the row groups and pages
 * whose bounds can hold its path.  Files that are not sorted (some writers
 * do not hold to it) yield more runs, nothing worse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/deletes.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct DeletesReader
{
	ParquetReader *parquet;
	const char *object;
	int			path_leaf;
	int			pos_leaf;
	const char *only_path;
	size_t		only_size;
	ColumnVector *paths;
	ColumnVector *positions;
	uint32	   *ranges;
	iceberg_delete_cb cb;
	void	   *arg;
} DeletesReader;

static void
deletes_fail(const DeletesReader *r, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read position delete file \"%s\": %s", r->object, problem)));
}

static int
find_leaf(const DeletesReader *r, int field_id, const char *name, LakeTypeId type)
{
	for (int i = 0; i < parquet_reader_nleaves(r->parquet); i++)
	{
		const ParquetLeaf *leaf = parquet_reader_leaf(r->parquet, i);

		if (leaf->field_id != field_id && !(leaf->field_id < 0 && strcmp(leaf->name, name) == 0))
			continue;
		if (!leaf->supported || leaf->type.id != type)
			deletes_fail(r, psprintf("column \"%s\" has another type", name));
		return i;
	}
	deletes_fail(r, psprintf("no column \"%s\"", name));
	return -1;					/* not reached */
}

static bool
may_hold(const DeletesReader *r, const ParquetBounds *bounds)
{
	LakeValue	path = {.isnull = false};
	LakeType	type = {.id = LAKE_STRING};

	if (r->only_path == NULL || !bounds->has_bounds)
		return true;
	path.u.bytes.data = r->only_path;
	path.u.bytes.size = (uint32) r->only_size;
	return lake_value_compare(type, &bounds->lower, &path) <= 0 &&
		lake_value_compare(type, &path, &bounds->upper) <= 0;
}

/*
 * Row ranges of a group to read: pairs in r->ranges, their number returned;
 * -1 means all rows (no page index, or nothing to leave out).
 */
static int
choose_ranges(DeletesReader *r, int group)
{
	const uint32 *first_rows;
	const ParquetBounds *bounds;
	uint32		rows = (uint32) parquet_reader_group_rows(r->parquet, group);
	int			npages;
	int			n = 0;

	if (r->only_path == NULL)
		return -1;
	npages = parquet_reader_pages(r->parquet, group, r->path_leaf, &first_rows, &bounds);
	if (npages <= 1)
		return -1;
	r->ranges = palloc(sizeof(uint32) * 2 * npages);
	for (int i = 0; i < npages; i++)
	{
		uint32		end = i + 1 < npages ? first_rows[i + 1] : rows;

		if (!may_hold(r, &bounds[i]))
			continue;
		if (n > 0 && r->ranges[2 * n - 2] + r->ranges[2 * n - 1] == first_rows[i])
			r->ranges[2 * n - 1] += end - first_rows[i];
		else
		{
			r->ranges[2 * n] = first_rows[i];
			r->ranges[2 * n + 1] = end - first_rows[i];
			n++;
		}
	}
	return n;
}

/* Does row i have the path of row j? */
static bool
same_path(const ColumnVector *v, uint32 i, uint32 j)
{
	uint32		size;

	if (v->codes != NULL)
		return v->codes[i] == v->codes[j];
	size = v->offsets[i + 1] - v->offsets[i];
	return size == v->offsets[j + 1] - v->offsets[j] &&
		memcmp(v->bytes + v->offsets[i], v->bytes + v->offsets[j], size) == 0;
}

/* Hands over rows [from, to), all of one path. */
static void
give_run(DeletesReader *r, uint32 from, uint32 to)
{
	const int64 *positions = (const int64 *) r->positions->values + from;
	LakeValue	path;

	column_vector_value(r->paths, from, &path);
	if (r->only_path != NULL &&
		(path.u.bytes.size != r->only_size ||
		 memcmp(path.u.bytes.data, r->only_path, r->only_size) != 0))
		return;
	for (uint32 i = 0; i < to - from; i++)
		if (positions[i] < 0)
			deletes_fail(r, "negative position");
	r->cb(path.u.bytes.data, path.u.bytes.size, (const uint64 *) positions, to - from, r->arg);
}

static void
read_group(DeletesReader *r, int group)
{
	int			nranges = choose_ranges(r, group);
	const uint32 *ranges = nranges < 0 ? NULL : r->ranges;
	uint32		from = 0;
	uint32		n;

	if (nranges == 0)
		return;
	parquet_reader_column(r->parquet, group, r->path_leaf, ranges, Max(nranges, 0), true, r->paths);
	parquet_reader_column(r->parquet, group, r->pos_leaf, ranges, Max(nranges, 0), false, r->positions);
	n = r->paths->length;
	if (n != r->positions->length || r->paths->null_count > 0 || r->positions->null_count > 0)
		deletes_fail(r, "columns do not match");
	for (uint32 i = 1; i <= n; i++)
	{
		if (i < n && same_path(r->paths, from, i))
			continue;
		give_run(r, from, i);
		from = i;
	}
}

void
iceberg_deletes_read(const ParquetInput *input, const char *only_path,
					 iceberg_delete_cb cb, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "Iceberg delete reader",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DeletesReader r = {.object = input->name, .only_path = only_path, .cb = cb, .arg = arg};

	r.only_size = only_path ? strlen(only_path) : 0;
	r.parquet = parquet_reader_open(input);
	r.path_leaf = find_leaf(&r, ICEBERG_DELETE_PATH_ID, "file_path", LAKE_STRING);
	r.pos_leaf = find_leaf(&r, ICEBERG_DELETE_POS_ID, "pos", LAKE_LONG);
	r.paths = column_vector_create(context, parquet_reader_leaf(r.parquet, r.path_leaf)->type, 0);
	r.positions = column_vector_create(context, parquet_reader_leaf(r.parquet, r.pos_leaf)->type, 0);
	for (int group = 0; group < parquet_reader_nrow_groups(r.parquet); group++)
	{
		ParquetBounds bounds;

		CHECK_FOR_INTERRUPTS();
		parquet_reader_bounds(r.parquet, group, r.path_leaf, &bounds);
		if (may_hold(&r, &bounds))
			read_group(&r, group);
	}
	parquet_reader_close(r.parquet);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
