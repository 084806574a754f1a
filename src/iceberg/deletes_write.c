/*-------------------------------------------------------------------------
 *
 * deletes_write.c
 *	  Position delete files, written.
 *
 * Rows are handed to the Parquet writer in blocks, each a row group that is
 * encoded where it lies: a file of any size takes the memory of one block,
 * which holds the path of each row in full, and readers that look for one
 * data file pass over the others.  When all positions are in one data file, the
 * path goes into the file's entry too (referenced_data_file), with which
 * readers need not open a delete file that concerns other data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/bounds.h"
#include "iceberg/deletes.h"
#include "utils/memutils.h"

/* Of a row group; fewer where the paths of so many come to more bytes than one may have. */
#define DELETE_BLOCK_ROWS 65536
#define DELETE_FIRST_ROWS 64

struct IcebergDeleteWriter
{
	ParquetWriter *parquet;
	ColumnVector *columns[2];
	uint64		block_bytes;	/* at most, of both columns */
	char	   *first_path;		/* lower bound */
	char	   *last_path;		/* upper bound */
	uint64		first_position;
	uint64		last_position;
	bool		any;
	MemoryContext context;
};

static const ParquetColumn delete_columns[] = {
	{.name = "file_path", .field_id = ICEBERG_DELETE_PATH_ID, .type = {.id = LAKE_STRING}, .required = true},
	{.name = "pos", .field_id = ICEBERG_DELETE_POS_ID, .type = {.id = LAKE_LONG}, .required = true},
};

/* The schema of position delete files, as the reference implementation notes it in the footer. */
static const char *const delete_metadata[] = {
	"delete-type", "position",
	"iceberg.schema",
	"{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
	"{\"id\":2147483546,\"name\":\"file_path\",\"required\":true,\"type\":\"string\"},"
	"{\"id\":2147483545,\"name\":\"pos\",\"required\":true,\"type\":\"long\"}]}",
	NULL
};

IcebergDeleteWriter *
iceberg_delete_writer_open(const ParquetWriterOptions *options, parquet_write_fn write, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "Iceberg delete writer",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IcebergDeleteWriter *w = palloc0(sizeof(IcebergDeleteWriter));

	w->context = context;
	w->parquet = parquet_writer_open(delete_columns, lengthof(delete_columns), options,
									 delete_metadata, write, arg);
	for (int i = 0; i < lengthof(delete_columns); i++)
		w->columns[i] = column_vector_create(context, delete_columns[i].type, DELETE_FIRST_ROWS);
	w->block_bytes = options->row_group_bytes;
	MemoryContextSwitchTo(old);
	return w;
}

/* Would the next row, with a path of this size, make a row group too large? */
static inline bool
block_full(const IcebergDeleteWriter *w, size_t size)
{
	uint32		n = w->columns[0]->length;
	uint64		bytes = w->columns[0]->offsets[n] + (uint64) n * (sizeof(uint32) + sizeof(int64));

	return n == DELETE_BLOCK_ROWS || bytes + size + sizeof(uint32) + sizeof(int64) > w->block_bytes;
}

static void
write_block(IcebergDeleteWriter *w)
{
	if (w->columns[0]->length == 0)
		return;
	parquet_writer_append_group(w->parquet, w->columns, w->columns[0]->length, NULL);
	for (int i = 0; i < lengthof(delete_columns); i++)
		column_vector_reset(w->columns[i]);
}

/* Keeps the bounds, and the order that readers rely on. */
static void
note_range(IcebergDeleteWriter *w, const char *path, const uint64 *positions, uint64 n)
{
	if (w->any && strcmp(path, w->last_path) < 0)
		elog(ERROR, "position deletes are not in the order of their files");
	if (!w->any)
		w->first_path = MemoryContextStrdup(w->context, path);
	if (!w->any || strcmp(path, w->last_path) != 0)
		w->last_path = MemoryContextStrdup(w->context, path);
	w->first_position = w->any ? Min(w->first_position, positions[0]) : positions[0];
	w->last_position = w->any ? Max(w->last_position, positions[n - 1]) : positions[n - 1];
	w->any = true;
}

void
iceberg_delete_writer_add(IcebergDeleteWriter *w, const char *path,
						  const uint64 *positions, uint64 n)
{
	size_t		size = strlen(path);

	if (n == 0)
		return;
	note_range(w, path, positions, n);
	for (uint64 i = 0; i < n; i++)
	{
		if (block_full(w, size))
			write_block(w);
		column_append_bytes(w->columns[0], path, (uint32) size);
		column_append_int64(w->columns[1], (int64) positions[i]);
	}
}

static void
set_metrics(IcebergMetrics *m, int field_id, const ParquetColumnSummary *summary,
			LakeType type, const LakeValue *lower, const LakeValue *upper)
{
	StringInfoData buf;

	memset(m, 0, sizeof(*m));
	m->field_id = field_id;
	m->column_size = (int64) summary->compressed_bytes;
	m->value_count = (int64) summary->value_count;
	m->null_count = 0;
	m->nan_count = -1;
	initStringInfo(&buf);
	iceberg_value_encode(type, lower, &buf);
	m->lower = buf.data;
	m->lower_size = buf.len;
	initStringInfo(&buf);
	iceberg_value_encode(type, upper, &buf);
	m->upper = buf.data;
	m->upper_size = buf.len;
}

static LakeValue
path_value(const char *path)
{
	LakeValue	v = {.isnull = false};

	v.u.bytes.data = path;
	v.u.bytes.size = (uint32) strlen(path);
	return v;
}

static LakeValue
position_value(uint64 position)
{
	LakeValue	v = {.isnull = false};

	v.u.i64 = (int64) position;
	return v;
}

/* Bounds of paths are whole: with truncated ones readers cannot tell which file is meant. */
static void
fill_metrics(const IcebergDeleteWriter *w, const ParquetFileSummary *summary, IcebergDataFile *file)
{
	LakeValue	lower_path = path_value(w->first_path);
	LakeValue	upper_path = path_value(w->last_path);
	LakeValue	lower_pos = position_value(w->first_position);
	LakeValue	upper_pos = position_value(w->last_position);

	file->nmetrics = 2;
	file->metrics = palloc(sizeof(IcebergMetrics) * 2);
	/* by field id: pos comes before file_path */
	set_metrics(&file->metrics[0], ICEBERG_DELETE_POS_ID, &summary->columns[1],
				delete_columns[1].type, &lower_pos, &upper_pos);
	set_metrics(&file->metrics[1], ICEBERG_DELETE_PATH_ID, &summary->columns[0],
				delete_columns[0].type, &lower_path, &upper_path);
	if (strcmp(w->first_path, w->last_path) == 0)
		file->referenced_data_file = pstrdup(w->first_path);
}

void
iceberg_delete_writer_finish(IcebergDeleteWriter *w, IcebergDataFile *file)
{
	ParquetFileSummary *summary;

	write_block(w);
	summary = parquet_writer_finish(w->parquet);
	iceberg_data_file_written(file, ICEBERG_POSITION_DELETES, summary);
	if (w->any)
		fill_metrics(w, summary, file);
	parquet_writer_free(w->parquet);
	MemoryContextDelete(w->context);
}
