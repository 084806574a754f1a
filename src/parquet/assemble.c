/*-------------------------------------------------------------------------
 *
 * assemble.c
 *	  Leaf columns with levels to packed rows.
 *
 * All entries of the leaves of a row group are decoded; then rows are walked
 * down the tree, each leaf with a place of its own.  Leaves of a damaged
 * file may disagree about where rows and lists end: each step checks that
 * there is an entry, and each row that all leaves have come to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "parquet/assemble.h"
#include "parquet/reader_internal.h"

/* A node of the table's tree as it lies in the file. */
typedef struct BoundNode
{
	const LakeNode *lake;
	bool		missing;		/* the file lacks it: null */
	bool		optional;
	int			definition;		/* level where it is there */
	int			entry_definition;	/* list, map: level where it has an element */
	int			depth;			/* list, map: repetition level of its elements; struct: of its own */
	bool		probe;			/* a struct whose only leaf is read to see where it is */
	int			first;			/* of its leaves in ParquetNested.leaves; a value: its own */
	int			nleaves;
	struct BoundNode *children;
} BoundNode;

typedef struct BoundLeaf
{
	int			leaf;			/* of the reader */
	ParquetEntries entries;
	uint32		at;				/* next entry */
} BoundLeaf;

struct ParquetNested
{
	ParquetReader *reader;
	BoundNode	root;
	int			nleaves;
	BoundLeaf  *leaves;
	StringInfoData row;
	ParquetPlace place;
};

/* --- binding --- */

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

/* --- rows --- */

static inline bool
leaf_ended(const BoundLeaf *l)
{
	return l->at >= l->entries.v->length;
}

pg_noreturn static void
fail_levels(const ParquetNested *n)
{
	parquet_fail(&n->place, "the levels of its leaves do not fit together");
	pg_unreachable();
}

/* Definition level of the entry at hand of the node's first leaf. */
static inline int
node_level(const ParquetNested *n, const BoundNode *b)
{
	const BoundLeaf *l = &n->leaves[b->first];

	if (unlikely(leaf_ended(l)))
		fail_levels(n);
	return l->entries.definition[l->at];
}

/* Past the one entry that each leaf below the node has for a null or an empty list. */
static void
pass_entry(ParquetNested *n, const BoundNode *b)
{
	for (int i = b->first; i < b->first + b->nleaves; i++)
	{
		if (unlikely(leaf_ended(&n->leaves[i])))
			fail_levels(n);
		n->leaves[i].at++;
	}
}

/* A value of the file's type in the table's. */
static void
put_value(StringInfo out, const ColumnVector *v, uint32 i, LakeType type)
{
	ColumnLayout layout = lake_type_layout(type);

	if (v->layout == layout)
		packed_put(out, v, i);
	else if (v->layout == LAYOUT_INT32 && layout == LAYOUT_INT64)
	{
		int64		wide = ((const int32 *) v->values)[i];

		appendBinaryStringInfo(out, (const char *) &wide, sizeof(wide));
	}
	else if (v->layout == LAYOUT_INT64 && layout == LAYOUT_INT128)
	{
		int128		wide = ((const int64 *) v->values)[i];

		appendBinaryStringInfo(out, (const char *) &wide, sizeof(wide));
	}
	else if (v->layout == LAYOUT_FLOAT && layout == LAYOUT_DOUBLE)
	{
		double		wide = ((const float *) v->values)[i];

		appendBinaryStringInfo(out, (const char *) &wide, sizeof(wide));
	}
	else
		elog(ERROR, "no widening from %s to %s", lake_type_name(v->type), lake_type_name(type));
}

static void read_child(ParquetNested *n, const BoundNode *b);

/* Elements of a list, entries of a map: as long as the first leaf goes on at that depth. */
static void
read_repeated(ParquetNested *n, const BoundNode *b)
{
	const BoundLeaf *first = &n->leaves[b->first];
	int			count_at = n->row.len;
	uint32		count = 0;

	packed_put_count(&n->row, 0);
	if (node_level(n, b) < b->entry_definition)
	{
		pass_entry(n, b);
		return;
	}
	do
	{
		for (int i = 0; i < b->lake->nchildren; i++)
			read_child(n, &b->children[i]);
		count++;
	} while (!leaf_ended(first) && first->entries.repetition[first->at] >= b->depth);
	memcpy(n->row.data + count_at, &count, sizeof(count));
}

/* Past all entries of a struct's probe. */
static void
pass_probe(ParquetNested *n, const BoundNode *b)
{
	BoundLeaf  *l = &n->leaves[b->first];

	pass_entry(n, b);
	while (!leaf_ended(l) && l->entries.repetition[l->at] > b->depth)
		l->at++;
}

/* The value of a node that is there. */
static void
read_value(ParquetNested *n, const BoundNode *b)
{
	BoundLeaf  *l = &n->leaves[b->first];

	switch (b->lake->kind)
	{
		case LAKE_NODE_VALUE:
			put_value(&n->row, l->entries.v, l->at, b->lake->type);
			l->at++;
			return;
		case LAKE_NODE_STRUCT:
			for (int i = 0; i < b->lake->nchildren; i++)
				read_child(n, &b->children[i]);
			if (b->probe)
				pass_probe(n, b);
			return;
		case LAKE_NODE_LIST:
		case LAKE_NODE_MAP:
			read_repeated(n, b);
			return;
	}
}

static inline bool
node_present(const ParquetNested *n, const BoundNode *b)
{
	return node_level(n, b) >= b->definition || !b->optional;
}

static void
read_child(ParquetNested *n, const BoundNode *b)
{
	if (b->missing)
	{
		appendStringInfoChar(&n->row, 0);
		return;
	}
	if (!node_present(n, b))
	{
		appendStringInfoChar(&n->row, 0);
		pass_entry(n, b);
		return;
	}
	appendStringInfoChar(&n->row, 1);
	read_value(n, b);
}

/* Past a row that nobody wants. */
static void
pass_row(ParquetNested *n)
{
	for (int i = 0; i < n->nleaves; i++)
	{
		BoundLeaf  *l = &n->leaves[i];

		if (leaf_ended(l))
			fail_levels(n);
		do
			l->at++;
		while (!leaf_ended(l) && l->entries.repetition[l->at] != 0);
	}
}

static void
read_row(ParquetNested *n, ColumnVector *v)
{
	if (!node_present(n, &n->root))
	{
		pass_entry(n, &n->root);
		column_append_null(v);
	}
	else
	{
		resetStringInfo(&n->row);
		read_value(n, &n->root);
		column_append_bytes(v, n->row.data, (uint32) n->row.len);
	}
	for (int i = 0; i < n->nleaves; i++)
	{
		const BoundLeaf *l = &n->leaves[i];

		if (unlikely(!leaf_ended(l) && l->entries.repetition[l->at] != 0))
			fail_levels(n);
	}
}

void
parquet_nested_read(ParquetNested *n, int group, const uint32 *ranges, int nranges, ColumnVector *v)
{
	uint32		rows = (uint32) parquet_reader_group_rows(n->reader, group);
	int			range = 0;

	n->place.group = group;
	for (int i = 0; i < n->nleaves; i++)
	{
		parquet_reader_entries(n->reader, group, n->leaves[i].leaf, &n->leaves[i].entries);
		n->leaves[i].at = 0;
	}
	column_vector_reset(v);
	for (uint32 i = 0; i < rows; i++)
	{
		if (unlikely((i & 1023) == 0))
			CHECK_FOR_INTERRUPTS();
		while (ranges != NULL && range < nranges && (uint64) ranges[range * 2] + ranges[range * 2 + 1] <= i)
			range++;
		if (ranges == NULL || (range < nranges && ranges[range * 2] <= i))
			read_row(n, v);
		else if (range == nranges)
			break;
		else
			pass_row(n);
	}
	for (int i = 0; i < n->nleaves; i++)
	{
		if (range == nranges && ranges != NULL)
			break;
		if (!leaf_ended(&n->leaves[i]))
			fail_levels(n);
	}
}
