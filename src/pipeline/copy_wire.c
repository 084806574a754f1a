/*-------------------------------------------------------------------------
 *
 * copy_wire.c
 *	  A data file's entry as a message between processes of one server.
 *
 * Only what the writer fills in travels: path, counts, metrics, offsets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pipeline/copy_shared.h"

static void
put_int(StringInfo out, int64 value)
{
	appendBinaryStringInfo(out, (const char *) &value, sizeof(value));
}

/* NULL is a size of -1. */
static void
put_bytes(StringInfo out, const char *data, int64 size)
{
	put_int(out, data != NULL ? size : -1);
	if (data != NULL)
		appendBinaryStringInfo(out, data, (int) size);
}

static void
put_text(StringInfo out, const char *text)
{
	put_bytes(out, text, text != NULL ? (int64) strlen(text) : 0);
}

void
copy_wire_file(StringInfo out, const IcebergDataFile *file)
{
	put_int(out, file->content);
	put_text(out, file->path);
	put_text(out, file->format);
	put_int(out, file->record_count);
	put_int(out, file->file_size);
	put_int(out, file->nmetrics);
	for (int i = 0; i < file->nmetrics; i++)
	{
		const IcebergMetrics *m = &file->metrics[i];

		put_int(out, m->field_id);
		put_int(out, m->column_size);
		put_int(out, m->value_count);
		put_int(out, m->null_count);
		put_int(out, m->nan_count);
		put_bytes(out, m->lower, m->lower_size);
		put_bytes(out, m->upper, m->upper_size);
	}
	put_int(out, file->nsplit_offsets);
	for (int i = 0; i < file->nsplit_offsets; i++)
		put_int(out, file->split_offsets[i]);
	put_int(out, file->content_offset);
	put_int(out, file->content_size);
}

static int64
get_int(Cursor *in)
{
	int64		value;

	memcpy(&value, cursor_bytes(in, sizeof(value)), sizeof(value));
	return value;
}

/* A number of things of at least eight bytes each. */
static int
get_count(Cursor *in)
{
	int64		n = get_int(in);

	if (n < 0 || (uint64) n > cursor_left(in) / sizeof(int64))
		cursor_fail(in, "count of " INT64_FORMAT, n);
	return (int) n;
}

static char *
get_bytes(Cursor *in, int *size)
{
	int64		n = get_int(in);
	char	   *data;

	*size = 0;
	if (n < 0)
		return NULL;
	cursor_need(in, (uint64) n);
	data = palloc((Size) n + 1);
	memcpy(data, cursor_bytes(in, (uint64) n), (Size) n);
	data[n] = '\0';
	*size = (int) n;
	return data;
}

void
copy_wire_read_file(Cursor *in, IcebergDataFile *file)
{
	int			size;

	memset(file, 0, sizeof(*file));
	file->content = (IcebergContent) get_int(in);
	file->path = get_bytes(in, &size);
	file->format = get_bytes(in, &size);
	file->record_count = get_int(in);
	file->file_size = get_int(in);
	file->nmetrics = get_count(in);
	file->metrics = palloc0(Max(file->nmetrics, 1) * sizeof(IcebergMetrics));
	for (int i = 0; i < file->nmetrics; i++)
	{
		IcebergMetrics *m = &file->metrics[i];

		m->field_id = (int) get_int(in);
		m->column_size = get_int(in);
		m->value_count = get_int(in);
		m->null_count = get_int(in);
		m->nan_count = get_int(in);
		m->lower = get_bytes(in, &m->lower_size);
		m->upper = get_bytes(in, &m->upper_size);
	}
	file->nsplit_offsets = get_count(in);
	file->split_offsets = palloc0(Max(file->nsplit_offsets, 1) * sizeof(int64));
	for (int i = 0; i < file->nsplit_offsets; i++)
		file->split_offsets[i] = get_int(in);
	file->content_offset = get_int(in);
	file->content_size = get_int(in);
}
