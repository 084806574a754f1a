/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Opening a Parquet file and answering what its footer knows.
 *
 * The footer is read with one request where it is small (the common case):
 * the last PARQUET_FOOTER_GUESS bytes of the file, which on an object store costs as
 * much as the eight bytes that tell its length.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"
#include "parquet/metadata_read.h"
#include "parquet/reader_internal.h"
#include "utils/memutils.h"

/* Rows of a row group beyond which a file is not believed; writers stay near a million. */
#define MAX_GROUP_ROWS (1 << 28)

static void
parquet_report(const ParquetPlace *place, int code, const char *problem)
{
	if (place->column == NULL)
		ereport(ERROR,
				(errcode(code),
				 errmsg("could not read Parquet file \"%s\": %s", place->file, problem),
				 errdetail("Offset " UINT64_FORMAT ".", place->offset)));
	ereport(ERROR,
			(errcode(code),
			 errmsg("could not read Parquet file \"%s\": %s", place->file, problem),
			 errdetail("Column \"%s\", row group %d, offset " UINT64_FORMAT ".",
					   place->column, place->group, place->offset)));
}

void
parquet_fail(const ParquetPlace *place, const char *fmt,...)
{
	char		problem[256];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	parquet_report(place, ERRCODE_DATA_CORRUPTED, problem);
	pg_unreachable();
}

void
parquet_refuse(const ParquetPlace *place, const char *fmt,...)
{
	char		problem[256];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	parquet_report(place, ERRCODE_FEATURE_NOT_SUPPORTED, problem);
	pg_unreachable();
}

void *
reader_buffer_reserve(ParquetReader *r, ReaderBuffer *buffer, size_t size)
{
	if (buffer->size < size || buffer->data == NULL)
	{
		size_t		grown = Max(size, Min(buffer->size * 2, (size_t) 64 << 20));

		if (buffer->data != NULL)
			pfree(buffer->data);
		buffer->data = NULL;
		buffer->size = 0;
		buffer->data = MemoryContextAllocHuge(r->context, grown + PARQUET_PADDING);
		buffer->size = grown;
		/* what is read there has no effect, but is better the same every time */
		memset((char *) buffer->data + grown, 0, PARQUET_PADDING);
	}
	return buffer->data;
}

void
reader_place(const ParquetReader *r, int group, int leaf, uint64 offset, ParquetPlace *place)
{
	place->file = r->input.name;
	place->column = (leaf >= 0) ? r->leaves[leaf].pub.name : NULL;
	place->group = group;
	place->offset = offset;
}

/* Finds the footer's bytes, which stay in the reader's context: statistics point into them. */
static const uint8 *
read_footer(ParquetReader *r, size_t *size, uint64 *offset)
{
	ParquetPlace place = {.file = r->input.name, .group = -1};
	uint64		file_size = r->input.size;
	size_t		tail_size = (size_t) Min(file_size, PARQUET_FOOTER_GUESS);
	uint8	   *tail;
	uint8	   *footer;
	uint32		footer_size;

	if (file_size < PARQUET_MAGIC_SIZE + PARQUET_TRAILER_SIZE)
		parquet_fail(&place, "file of " UINT64_FORMAT " bytes is too short", file_size);
	tail = palloc(tail_size);
	r->input.read(r->input.arg, file_size - tail_size, tail_size, tail);
	place.offset = file_size - PARQUET_MAGIC_SIZE;
	if (memcmp(tail + tail_size - PARQUET_MAGIC_SIZE, "PARE", PARQUET_MAGIC_SIZE) == 0)
		parquet_refuse(&place, "its footer is encrypted");
	if (memcmp(tail + tail_size - PARQUET_MAGIC_SIZE, PARQUET_MAGIC, PARQUET_MAGIC_SIZE) != 0)
		parquet_fail(&place, "it does not end with the magic bytes \"PAR1\"");
	place.offset = file_size - PARQUET_TRAILER_SIZE;
	memcpy(&footer_size, tail + tail_size - PARQUET_TRAILER_SIZE, 4);
	if (footer_size > file_size - PARQUET_MAGIC_SIZE - PARQUET_TRAILER_SIZE)
		parquet_fail(&place, "footer of %u bytes exceeds the file of " UINT64_FORMAT, footer_size, file_size);
	*size = footer_size;
	*offset = file_size - PARQUET_TRAILER_SIZE - footer_size;
	if (footer_size <= tail_size - PARQUET_TRAILER_SIZE)
		return tail + tail_size - PARQUET_TRAILER_SIZE - footer_size;
	pfree(tail);
	footer = MemoryContextAllocHuge(CurrentMemoryContext, footer_size);
	r->input.read(r->input.arg, *offset, footer_size, footer);
	return footer;
}

/* Row counts add up, and every row group has every column. */
static void
check_row_groups(ParquetReader *r)
{
	ParquetPlace place = {.file = r->input.name, .group = -1};
	uint64		rows = 0;

	place.offset = r->input.size - PARQUET_TRAILER_SIZE;
	r->first_rows = palloc_extended((r->meta.nrow_groups + 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (uint32 g = 0; g < r->meta.nrow_groups; g++)
	{
		const ParquetRowGroup *group = &r->meta.row_groups[g];

		if (group->ncolumns != (uint32) r->nleaves)
			parquet_fail(&place, "row group %u has %u columns, the schema %d",
						 g, group->ncolumns, r->nleaves);
		if (group->num_rows < 0 || group->num_rows > MAX_GROUP_ROWS)
			parquet_fail(&place, "row group %u has " INT64_FORMAT " rows", g, group->num_rows);
		r->first_rows[g] = rows;
		rows += (uint64) group->num_rows;
	}
	if (r->meta.num_rows < 0 || rows != (uint64) r->meta.num_rows)
		parquet_fail(&place, "row groups have " UINT64_FORMAT " rows, the file " INT64_FORMAT,
					 rows, r->meta.num_rows);
}

ParquetReader *
parquet_reader_open(const ParquetInput *input)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "Parquet reader",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ParquetReader *r = palloc0(sizeof(ParquetReader));
	Cursor		cursor;
	const uint8 *footer;
	size_t		size;
	uint64		offset;

	r->context = context;
	r->input = *input;
	r->input.name = pstrdup(input->name);
	footer = read_footer(r, &size, &offset);
	cursor_init(&cursor, footer, size, "footer of Parquet file", r->input.name, offset);
	parquet_read_file_meta(&cursor, &r->meta);
	if (r->meta.encrypted)
	{
		ParquetPlace place = {.file = r->input.name, .group = -1, .offset = offset};

		parquet_refuse(&place, "it is encrypted");
	}
	reader_read_schema(r);
	check_row_groups(r);
	/* at most one pointer for each column chunk of the footer */
	r->pages = palloc_extended(Max((size_t) r->meta.nrow_groups * (size_t) r->nleaves, 1) * sizeof(ReaderPages *),
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	MemoryContextSwitchTo(old);
	return r;
}

void
parquet_reader_close(ParquetReader *r)
{
	MemoryContextDelete(r->context);
}

const ParquetColumnMetaData *
reader_chunk(ParquetReader *r, int group, int leaf, uint64 *start)
{
	const ParquetColumnChunk *chunk = &r->meta.row_groups[group].columns[leaf];
	const ParquetColumnMetaData *m = &chunk->meta_data;
	ParquetPlace place;
	int64		first = m->data_page_offset;

	reader_place(r, group, leaf, (uint64) Max(m->data_page_offset, 0), &place);
	if (chunk->encrypted)
		parquet_refuse(&place, "column is encrypted");
	if (chunk->file_path != NULL && chunk->file_path[0] != '\0')
		parquet_refuse(&place, "column lies in another file, \"%.100s\"", chunk->file_path);
	if (!chunk->has_meta_data)
		parquet_fail(&place, "column chunk has no metadata");
	if (m->type != r->leaves[leaf].physical)
		parquet_fail(&place, "column chunk has physical type %d, the schema %d",
					 (int) m->type, (int) r->leaves[leaf].physical);
	if (r->leaves[leaf].pub.supported && m->num_values != r->meta.row_groups[group].num_rows)
		parquet_fail(&place, "column chunk has " INT64_FORMAT " values, the row group " INT64_FORMAT " rows",
					 m->num_values, r->meta.row_groups[group].num_rows);
	/* a dictionary comes first; old writers left 0 for "none" */
	if (m->dictionary_page_offset > 0 && m->dictionary_page_offset < first)
		first = m->dictionary_page_offset;
	if (first < 0 || m->total_compressed_size < 0 || (uint64) first > r->input.size ||
		(uint64) m->total_compressed_size > r->input.size - (uint64) first)
		parquet_fail(&place, "column chunk of " INT64_FORMAT " bytes at " INT64_FORMAT
					 " exceeds the file of " UINT64_FORMAT,
					 m->total_compressed_size, first, r->input.size);
	*start = (uint64) first;
	return m;
}

int
parquet_reader_nleaves(const ParquetReader *r)
{
	return r->nleaves;
}

const ParquetLeaf *
parquet_reader_leaf(const ParquetReader *r, int leaf)
{
	return &r->leaves[leaf].pub;
}

int64
parquet_reader_chunk_values(const ParquetReader *r, int group, int leaf)
{
	return r->meta.row_groups[group].columns[leaf].meta_data.num_values;
}

const ParquetNode *
parquet_reader_root(const ParquetReader *r)
{
	return r->root;
}

int
parquet_reader_nrow_groups(const ParquetReader *r)
{
	return (int) r->meta.nrow_groups;
}

uint64
parquet_reader_group_rows(const ParquetReader *r, int group)
{
	return (uint64) r->meta.row_groups[group].num_rows;
}

uint64
parquet_reader_group_first_row(const ParquetReader *r, int group)
{
	return r->first_rows[group];
}

uint64
parquet_reader_chunk_bytes(const ParquetReader *r, int group, int leaf)
{
	return (uint64) Max(r->meta.row_groups[group].columns[leaf].meta_data.total_compressed_size, 0);
}

uint64
parquet_reader_chunk_start(const ParquetReader *r, int group, int leaf)
{
	const ParquetColumnMetaData *m = &r->meta.row_groups[group].columns[leaf].meta_data;
	int64		first = m->data_page_offset;

	if (m->dictionary_page_offset > 0 && m->dictionary_page_offset < first)
		first = m->dictionary_page_offset;
	return (uint64) Max(first, 0);
}

const char *
parquet_reader_meta(const ParquetReader *r, const char *key)
{
	for (uint32 i = 0; i < r->meta.nkey_values; i++)
	{
		if (strcmp(r->meta.key_values[i].key, key) == 0)
			return r->meta.key_values[i].value;
	}
	return NULL;
}
