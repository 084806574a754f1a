/*-------------------------------------------------------------------------
 *
 * file_wire.c
 *	  A data file's manifest entry as a message between processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pipeline/file_wire.h"

void
wire_put_int(StringInfo out, int64 value)
{
	appendBinaryStringInfo(out, (const char *) &value, sizeof(value));
}

/* NULL is a size of -1. */
void
wire_put_bytes(StringInfo out, const char *data, int64 size)
{
	wire_put_int(out, data != NULL ? size : -1);
	if (data != NULL)
		appendBinaryStringInfo(out, data, (int) size);
}

void
wire_put_text(StringInfo out, const char *text)
{
	wire_put_bytes(out, text, text != NULL ? (int64) strlen(text) : 0);
}

void
wire_put_file(StringInfo out, const IcebergDataFile *file)
{
	wire_put_int(out, file->content);
	wire_put_text(out, file->path);
	wire_put_text(out, file->format);
	wire_put_int(out, file->record_count);
	wire_put_int(out, file->file_size);
	wire_put_int(out, file->nmetrics);
	for (int i = 0; i < file->nmetrics; i++)
	{
		const IcebergMetrics *m = &file->metrics[i];

		wire_put_int(out, m->field_id);
		wire_put_int(out, m->column_size);
		wire_put_int(out, m->value_count);
		wire_put_int(out, m->null_count);
		wire_put_int(out, m->nan_count);
		wire_put_bytes(out, m->lower, m->lower_size);
		wire_put_bytes(out, m->upper, m->upper_size);
	}
	wire_put_int(out, file->nsplit_offsets);
	for (int i = 0; i < file->nsplit_offsets; i++)
		wire_put_int(out, file->split_offsets[i]);
	wire_put_int(out, file->content_offset);
	wire_put_int(out, file->content_size);
}

int64
wire_get_int(Cursor *in)
{
	int64		value;

	memcpy(&value, cursor_bytes(in, sizeof(value)), sizeof(value));
	return value;
}

int
wire_get_count(Cursor *in)
{
	int64		n = wire_get_int(in);

	if (n < 0 || (uint64) n > cursor_left(in) / sizeof(int64))
		cursor_fail(in, "count of " INT64_FORMAT, n);
	return (int) n;
}

char *
wire_get_bytes(Cursor *in, int *size)
{
	int64		n = wire_get_int(in);
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

char *
wire_get_text(Cursor *in)
{
	int			size;

	return wire_get_bytes(in, &size);
}

void
wire_get_file(Cursor *in, IcebergDataFile *file)
{
	memset(file, 0, sizeof(*file));
	file->content = (IcebergContent) wire_get_int(in);
	file->path = wire_get_text(in);
	file->format = wire_get_text(in);
	file->record_count = wire_get_int(in);
	file->file_size = wire_get_int(in);
	file->nmetrics = wire_get_count(in);
	file->metrics = palloc0(Max(file->nmetrics, 1) * sizeof(IcebergMetrics));
	for (int i = 0; i < file->nmetrics; i++)
	{
		IcebergMetrics *m = &file->metrics[i];

		m->field_id = (int) wire_get_int(in);
		m->column_size = wire_get_int(in);
		m->value_count = wire_get_int(in);
		m->null_count = wire_get_int(in);
		m->nan_count = wire_get_int(in);
		m->lower = wire_get_bytes(in, &m->lower_size);
		m->upper = wire_get_bytes(in, &m->upper_size);
	}
	file->nsplit_offsets = wire_get_count(in);
	file->split_offsets = palloc0(Max(file->nsplit_offsets, 1) * sizeof(int64));
	for (int i = 0; i < file->nsplit_offsets; i++)
		file->split_offsets[i] = wire_get_int(in);
	file->content_offset = wire_get_int(in);
	file->content_size = wire_get_int(in);
}

void
wire_put_node(StringInfo out, const LakeNode *node)
{
	wire_put_int(out, node->nchildren);
	wire_put_int(out, node->kind);
	wire_put_int(out, node->id);
	wire_put_int(out, node->required);
	wire_put_bytes(out, (const char *) &node->type, sizeof(node->type));
	wire_put_text(out, node->name);
	for (int i = 0; i < node->nchildren; i++)
		wire_put_node(out, &node->children[i]);
}

static void
get_node(Cursor *in, LakeNode *node)
{
	char	   *type;
	int			size;

	memset(node, 0, sizeof(*node));
	node->nchildren = wire_get_count(in);
	node->kind = (LakeNodeKind) wire_get_int(in);
	node->id = (int) wire_get_int(in);
	node->required = wire_get_int(in) != 0;
	type = wire_get_bytes(in, &size);
	if (type == NULL || size != sizeof(node->type))
		cursor_fail(in, "type of %d bytes", size);
	memcpy(&node->type, type, sizeof(node->type));
	node->name = wire_get_text(in);
	node->children = palloc0(Max(node->nchildren, 1) * sizeof(LakeNode));
	for (int i = 0; i < node->nchildren; i++)
		get_node(in, &node->children[i]);
}

LakeNode *
wire_get_node(Cursor *in)
{
	LakeNode   *node = palloc(sizeof(LakeNode));

	get_node(in, node);
	return node;
}
