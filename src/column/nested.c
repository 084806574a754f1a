/*-------------------------------------------------------------------------
 *
 * nested.c
 *	  Trees of nested types, and packed values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "column/nested.h"

static void
copy_node(LakeNode *to, const LakeNode *from)
{
	*to = *from;
	to->name = from->name != NULL ? pstrdup(from->name) : NULL;
	to->doc = from->doc != NULL ? pstrdup(from->doc) : NULL;
	to->children = palloc0(Max(from->nchildren, 1) * sizeof(LakeNode));
	for (int i = 0; i < from->nchildren; i++)
		copy_node(&to->children[i], &from->children[i]);
}

LakeNode *
lake_node_copy(const LakeNode *node)
{
	LakeNode   *copy = palloc0(sizeof(LakeNode));

	copy_node(copy, node);
	return copy;
}

int
lake_node_nleaves(const LakeNode *node)
{
	int			n = node->kind == LAKE_NODE_VALUE;

	for (int i = 0; i < node->nchildren; i++)
		n += lake_node_nleaves(&node->children[i]);
	return n;
}

int
lake_node_max_id(const LakeNode *node)
{
	int			max = node->id;

	for (int i = 0; i < node->nchildren; i++)
		max = Max(max, lake_node_max_id(&node->children[i]));
	return max;
}

void
lake_node_number(LakeNode *node, int *next)
{
	for (int i = 0; i < node->nchildren; i++)
		node->children[i].id = (*next)++;
	for (int i = 0; i < node->nchildren; i++)
		lake_node_number(&node->children[i], next);
}

static void
append_text(StringInfo out, const LakeNode *node)
{
	static const char *const names[] = {
		[LAKE_NODE_LIST] = "list", [LAKE_NODE_STRUCT] = "struct", [LAKE_NODE_MAP] = "map"
	};

	if (node->kind == LAKE_NODE_VALUE)
	{
		appendStringInfoString(out, lake_type_name(node->type));
		return;
	}
	appendStringInfo(out, "%s<", names[node->kind]);
	for (int i = 0; i < node->nchildren; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		if (node->kind == LAKE_NODE_STRUCT)
			appendStringInfo(out, "%s: ", node->children[i].name);
		append_text(out, &node->children[i]);
	}
	appendStringInfoChar(out, '>');
}

char *
lake_node_text(const LakeNode *node)
{
	StringInfoData out;

	initStringInfo(&out);
	append_text(&out, node);
	return out.data;
}

void
packed_put(StringInfo out, const ColumnVector *v, uint32 i)
{
	uint32		size;

	if (v->layout != LAYOUT_BYTES)
	{
		appendBinaryStringInfo(out, v->values + (size_t) i * v->width, (int) v->width);
		return;
	}
	size = v->offsets[i + 1] - v->offsets[i];
	packed_put_count(out, size);
	appendBinaryStringInfo(out, v->bytes + v->offsets[i], (int) size);
}

void
packed_append(PackedCursor *c, ColumnVector *v)
{
	uint32		size;

	if (v->layout == LAYOUT_BYTES)
	{
		size = packed_count(c);
		column_append_bytes(v, packed_take(c, size), size);
		return;
	}
	column_append_prepare(v);
	memcpy(v->values + (size_t) v->length * v->width, packed_take(c, v->width), v->width);
	v->length++;
}

static void
skip_child(PackedCursor *c, const LakeNode *node)
{
	if (packed_present(c))
		packed_skip(c, node);
}

void
packed_skip(PackedCursor *c, const LakeNode *node)
{
	uint32		count = 1;

	if (node->kind == LAKE_NODE_VALUE)
	{
		if (lake_type_layout(node->type) == LAYOUT_BYTES)
			(void) packed_take(c, packed_count(c));
		else
			(void) packed_take(c, lake_type_width(node->type));
		return;
	}
	if (node->kind != LAKE_NODE_STRUCT)
		count = packed_count(c);
	for (uint32 n = 0; n < count; n++)
	{
		for (int i = 0; i < node->nchildren; i++)
			skip_child(c, &node->children[i]);
	}
}
