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
#include "parquet/assemble_internal.h"
#include "utils/memutils.h"

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
