/*-------------------------------------------------------------------------
 *
 * assemble_bind.c
 *	  The tree of a nested column of the table, found in a Parquet file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/assemble_internal.h"

static void
add_leaf(ParquetNested *n, int leaf)
{
	BoundLeaf  *l = &n->leaves[n->nleaves];
	const ParquetLeaf *pub = parquet_reader_leaf(n->reader, leaf);

	l->leaf = leaf;
	l->entries.v = column_vector_create(CurrentMemoryContext, pub->type, 0);
	n->nleaves++;
}

/* The first leaf below a group, to see from it where the group is. */
static const ParquetNode *
first_leaf(const ParquetNode *file)
{
	while (file->leaf < 0 && file->children != NULL)
		file = file->children;
	return file->leaf >= 0 ? file : NULL;
}

static bool bind_node(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node,
					  bool by_id, int depth, const char **reason);

static bool
bind_value(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node, const char **reason)
{
	const ParquetLeaf *leaf;

	if (file->leaf < 0)
	{
		*reason = psprintf("\"%s\" is a group in the file, and of type %s in the table",
						   file->name, lake_type_name(node->type));
		return false;
	}
	leaf = parquet_reader_leaf(n->reader, file->leaf);
	if (!leaf->entries)
	{
		*reason = leaf->reason;
		return false;
	}
	if (!lake_type_readable(leaf->type, node->type))
	{
		*reason = psprintf("\"%s\" has type %s in the file, and %s in the table",
						   file->name, lake_type_name(leaf->type), lake_type_name(node->type));
		return false;
	}
	add_leaf(n, file->leaf);
	return true;
}

static const ParquetNode *
find_child(const ParquetNode *file, const LakeNode *child, bool by_id)
{
	for (const ParquetNode *f = file->children; f != NULL; f = f->next)
	{
		if (by_id ? f->field_id == child->id : strcmp(f->name, child->name) == 0)
			return f;
	}
	return NULL;
}

static bool
bind_struct(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node,
			bool by_id, int depth, const char **reason)
{
	const ParquetNode *probe = first_leaf(file);

	b->depth = file->depth;
	if (file->leaf >= 0 || probe == NULL)
	{
		*reason = psprintf("\"%s\" is no struct in the file", file->name);
		return false;
	}
	for (int i = 0; i < node->nchildren; i++)
	{
		const ParquetNode *child = find_child(file, &node->children[i], by_id);

		b->children[i].lake = &node->children[i];
		b->children[i].missing = child == NULL;
		if (child != NULL && !bind_node(n, &b->children[i], child, &node->children[i], by_id, depth, reason))
			return false;
	}
	/* none of the fields asked for: another says where the struct is */
	if (n->nleaves == b->first)
	{
		if (!parquet_reader_leaf(n->reader, probe->leaf)->entries)
		{
			*reason = parquet_reader_leaf(n->reader, probe->leaf)->reason;
			return false;
		}
		add_leaf(n, probe->leaf);
		b->probe = true;
	}
	return true;
}

/*
 * The element of a list (Parquet specification, "Lists", with its rules for
 * files of old writers): `file` is the annotated group or a repeated field
 * that stands for a list by itself.
 */
static const ParquetNode *
list_element(const ParquetNode *file)
{
	const ParquetNode *repeated = file->repeated && !file->list ? file : file->children;

	if (repeated == NULL || !repeated->repeated)
		return NULL;
	if (repeated == file || repeated->leaf >= 0 || repeated->children == NULL || repeated->children->next != NULL ||
		strcmp(repeated->name, "array") == 0 ||
		strcmp(repeated->name, psprintf("%s_tuple", file->name)) == 0)
		return repeated;
	return repeated->children;
}

static bool
bind_list(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node,
		  bool by_id, int depth, const char **reason)
{
	const ParquetNode *element = file->leaf < 0 || file->repeated ? list_element(file) : NULL;
	const ParquetNode *repeated = element != NULL && element->repeated ? element : file->children;

	if (element == NULL)
	{
		*reason = psprintf("\"%s\" is no list in the file", file->name);
		return false;
	}
	b->depth = repeated->depth;
	b->entry_definition = repeated->definition;
	return bind_node(n, &b->children[0], element, &node->children[0], by_id, depth, reason);
}

static bool
bind_map(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node,
		 bool by_id, int depth, const char **reason)
{
	const ParquetNode *entry = file->leaf < 0 ? file->children : NULL;

	if (entry == NULL || !entry->repeated || entry->leaf >= 0 || entry->children == NULL)
	{
		*reason = psprintf("\"%s\" is no map in the file", file->name);
		return false;
	}
	b->depth = entry->depth;
	b->entry_definition = entry->definition;
	b->children[1].lake = &node->children[1];
	b->children[1].missing = entry->children->next == NULL;
	return bind_node(n, &b->children[0], entry->children, &node->children[0], by_id, depth, reason) &&
		(b->children[1].missing ||
		 bind_node(n, &b->children[1], entry->children->next, &node->children[1], by_id, depth, reason));
}

static bool
bind_node(ParquetNested *n, BoundNode *b, const ParquetNode *file, const LakeNode *node,
		  bool by_id, int depth, const char **reason)
{
	bool		ok = false;

	if (depth >= LAKE_NODE_MAX_DEPTH)
	{
		*reason = "it is nested too deeply";
		return false;
	}
	b->lake = node;
	b->optional = file->optional;
	b->definition = file->definition;
	b->first = n->nleaves;
	b->children = palloc0(Max(node->nchildren, 1) * sizeof(BoundNode));
	switch (node->kind)
	{
		case LAKE_NODE_VALUE:
			ok = bind_value(n, b, file, node, reason);
			break;
		case LAKE_NODE_STRUCT:
			ok = bind_struct(n, b, file, node, by_id, depth + 1, reason);
			break;
		case LAKE_NODE_LIST:
			ok = bind_list(n, b, file, node, by_id, depth + 1, reason);
			break;
		case LAKE_NODE_MAP:
			ok = bind_map(n, b, file, node, by_id, depth + 1, reason);
			break;
	}
	b->nleaves = n->nleaves - b->first;
	return ok;
}

/* A struct without a field that was asked for reads one more leaf, so there may be as many as nodes. */
static int
count_nodes(const LakeNode *node)
{
	int			n = 1;

	for (int i = 0; i < node->nchildren; i++)
		n += count_nodes(&node->children[i]);
	return n;
}

ParquetNested *
parquet_nested_bind(ParquetReader *r, const ParquetNode *column, const LakeNode *node,
					bool by_id, const char **reason)
{
	ParquetNested *n = palloc0(sizeof(ParquetNested));

	n->reader = r;
	n->leaves = palloc0(count_nodes(node) * sizeof(BoundLeaf));
	n->place.file = r->input.name;
	n->place.column = column->name;
	initStringInfo(&n->row);
	return bind_node(n, &n->root, column, node, by_id, 0, reason) ? n : NULL;
}

int
parquet_nested_nleaves(const ParquetNested *n)
{
	return n->nleaves;
}

int
parquet_nested_leaf(const ParquetNested *n, int i)
{
	return n->leaves[i].leaf;
}
