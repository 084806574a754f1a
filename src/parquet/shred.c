/*-------------------------------------------------------------------------
 *
 * shred.c
 *	  Packed rows of a nested column to leaf columns with levels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "parquet/shred.h"
#include "parquet/write_internal.h"

/* --- schema --- */

static int
count_elements(const LakeNode *node)
{
	int			n = 1 + (node->kind == LAKE_NODE_LIST || node->kind == LAKE_NODE_MAP);

	for (int i = 0; i < node->nchildren; i++)
		n += count_elements(&node->children[i]);
	return n;
}

int
parquet_shred_nelements(const ParquetColumn *column)
{
	return count_elements(column->node);
}

static ParquetSchemaElement *
put_group(ParquetSchemaElement *e, const char *name, ParquetRepetition repetition, int id, int nchildren)
{
	parquet_schema_element_init(e);
	e->name = pstrdup(name);
	e->repetition = repetition;
	e->has_field_id = id >= 0;
	e->field_id = id;
	e->num_children = nchildren;
	return e + 1;
}

static ParquetSchemaElement *
put_elements(ParquetSchemaElement *e, const LakeNode *node, const char *name, int id, bool required,
			 ParquetEncodingChoice encoding)
{
	ParquetRepetition repetition = required ? PARQUET_REQUIRED : PARQUET_OPTIONAL;
	ParquetSchemaElement *first = e;

	if (node->kind == LAKE_NODE_VALUE)
	{
		ParquetColumn leaf = {.name = name, .field_id = id, .type = node->type,
		.required = required, .encoding = encoding};

		parquet_schema_leaf(e, &leaf);
		return e + 1;
	}
	e = put_group(e, name, repetition, id, node->kind == LAKE_NODE_STRUCT ? node->nchildren : 1);
	if (node->kind == LAKE_NODE_LIST)
	{
		first->converted = PARQUET_CONVERTED_LIST;
		first->logical.kind = PARQUET_LOGICAL_LIST;
		e = put_group(e, "list", PARQUET_REPEATED, -1, 1);
	}
	else if (node->kind == LAKE_NODE_MAP)
	{
		first->converted = PARQUET_CONVERTED_MAP;
		first->logical.kind = PARQUET_LOGICAL_MAP;
		e = put_group(e, "key_value", PARQUET_REPEATED, -1, 2);
	}
	for (int i = 0; i < node->nchildren; i++)
	{
		const LakeNode *child = &node->children[i];

		e = put_elements(e, child, child->name, child->id, child->required, encoding);
	}
	return e;
}

int
parquet_shred_schema(ParquetSchemaElement *elements, const ParquetColumn *column)
{
	return (int) (put_elements(elements, column->node, column->name, column->field_id,
							   column->required, column->encoding) - elements);
}

/* --- leaves --- */

/* Where a walk over the type has got to. */
typedef struct LeafPlace
{
	const char *path[3 * LAKE_NODE_MAX_DEPTH + 1];
	int			npath;
	int			repetition;
	int			definition;
} LeafPlace;

static void
add_leaf(ParquetShred *shred, const LakeNode *node, const LeafPlace *place, const ParquetColumn *column)
{
	ParquetShredLeaf *leaf = &shred->leaves[shred->nleaves++];

	leaf->column.name = pstrdup(place->path[place->npath - 1]);
	leaf->column.field_id = node->id;
	leaf->column.type = node->type;
	leaf->column.encoding = column->encoding;
	leaf->path = palloc(place->npath * sizeof(char *));
	leaf->npath = place->npath;
	for (int i = 0; i < place->npath; i++)
		leaf->path[i] = pstrdup(place->path[i]);
	leaf->max_repetition = (uint8) place->repetition;
	leaf->max_definition = (uint8) place->definition;
	column_vector_init(&leaf->values, shred->context, node->type, 0);
}

static void
add_leaves(ParquetShred *shred, const LakeNode *node, const char *name, bool required,
		   LeafPlace place, const ParquetColumn *column)
{
	if (place.npath + 2 >= lengthof(place.path))
		elog(ERROR, "type of column \"%s\" is nested too deeply", column->name);
	place.path[place.npath++] = name;
	place.definition += !required;
	if (node->kind == LAKE_NODE_VALUE)
	{
		add_leaf(shred, node, &place, column);
		return;
	}
	if (node->kind != LAKE_NODE_STRUCT)
	{
		place.path[place.npath++] = node->kind == LAKE_NODE_LIST ? "list" : "key_value";
		place.repetition++;
		place.definition++;
	}
	for (int i = 0; i < node->nchildren; i++)
		add_leaves(shred, &node->children[i], node->children[i].name, node->children[i].required, place, column);
}

ParquetShred *
parquet_shred_create(const ParquetColumn *column)
{
	ParquetShred *shred = palloc0(sizeof(ParquetShred));
	LeafPlace	place;

	memset(&place, 0, sizeof(place));
	shred->node = column->node;
	shred->required = column->required;
	shred->context = CurrentMemoryContext;
	shred->leaves = palloc0(Max(lake_node_nleaves(column->node), 1) * sizeof(ParquetShredLeaf));
	add_leaves(shred, column->node, column->name, column->required, place, column);
	return shred;
}

/* --- rows --- */

static void
put_entry(ParquetShred *shred, ParquetShredLeaf *leaf, int repetition, int definition)
{
	uint32		n = leaf->values.length;

	if (n >= leaf->room)
	{
		uint32		room = Max(leaf->room * 2, 1024);

		leaf->repetition = leaf->repetition ? repalloc_huge(leaf->repetition, room) :
			MemoryContextAllocHuge(shred->context, room);
		leaf->definition = leaf->definition ? repalloc_huge(leaf->definition, room) :
			MemoryContextAllocHuge(shred->context, room);
		leaf->room = room;
	}
	leaf->repetition[n] = (uint8) repetition;
	leaf->definition[n] = (uint8) definition;
}

/* Nothing is below the node here: an entry without a value in each of its leaves.  Returns the leaf after them. */
static ParquetShredLeaf *
shred_nothing(ParquetShred *shred, const LakeNode *node, ParquetShredLeaf *leaf, int repetition, int definition)
{
	if (node->kind == LAKE_NODE_VALUE)
	{
		put_entry(shred, leaf, repetition, definition);
		column_append_null(&leaf->values);
		return leaf + 1;
	}
	for (int i = 0; i < node->nchildren; i++)
		leaf = shred_nothing(shred, &node->children[i], leaf, repetition, definition);
	return leaf;
}

/* Levels at a place of a row: `depth` is how many repeated nodes are around it. */
typedef struct ShredLevels
{
	int			repetition;
	int			definition;
	int			depth;
} ShredLevels;

static ParquetShredLeaf *shred_child(ParquetShred *shred, const LakeNode *node, ParquetShredLeaf *leaf,
									 PackedCursor *c, ShredLevels at);

/* Elements of a list, entries of a map. */
static ParquetShredLeaf *
shred_repeated(ParquetShred *shred, const LakeNode *node, ParquetShredLeaf *leaf,
			   PackedCursor *c, ShredLevels at)
{
	uint32		count = packed_count(c);
	ParquetShredLeaf *end = leaf;

	if (count == 0)
	{
		for (int i = 0; i < node->nchildren; i++)
			end = shred_nothing(shred, &node->children[i], end, at.repetition, at.definition);
		return end;
	}
	at.definition++;
	at.depth++;
	for (uint32 n = 0; n < count; n++)
	{
		end = leaf;
		for (int i = 0; i < node->nchildren; i++)
			end = shred_child(shred, &node->children[i], end, c, at);
		at.repetition = at.depth;
	}
	return end;
}

/* The node's value, which is there; the definition level counts the node itself. */
static ParquetShredLeaf *
shred_value(ParquetShred *shred, const LakeNode *node, ParquetShredLeaf *leaf,
			PackedCursor *c, ShredLevels at)
{
	switch (node->kind)
	{
		case LAKE_NODE_VALUE:
			put_entry(shred, leaf, at.repetition, at.definition);
			packed_append(c, &leaf->values);
			return leaf + 1;
		case LAKE_NODE_STRUCT:
			for (int i = 0; i < node->nchildren; i++)
				leaf = shred_child(shred, &node->children[i], leaf, c, at);
			return leaf;
		case LAKE_NODE_LIST:
		case LAKE_NODE_MAP:
			break;
	}
	return shred_repeated(shred, node, leaf, c, at);
}

static ParquetShredLeaf *
shred_child(ParquetShred *shred, const LakeNode *node, ParquetShredLeaf *leaf,
			PackedCursor *c, ShredLevels at)
{
	if (packed_present(c))
	{
		at.definition += !node->required;
		return shred_value(shred, node, leaf, c, at);
	}
	if (node->required)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write null to required field \"%s\"", node->name)));
	return shred_nothing(shred, node, leaf, at.repetition, at.definition);
}

void
parquet_shred_rows(ParquetShred *shred, const ColumnVector *v)
{
	ShredLevels top = {.definition = !shred->required};

	for (int i = 0; i < shred->nleaves; i++)
		column_vector_reset(&shred->leaves[i].values);
	for (uint32 i = 0; i < v->length; i++)
	{
		PackedCursor c;

		if (unlikely((i & 1023) == 0))
			CHECK_FOR_INTERRUPTS();
		if (column_vector_isnull(v, i))
		{
			(void) shred_nothing(shred, shred->node, shred->leaves, 0, 0);
			continue;
		}
		packed_begin(&c, v, i);
		(void) shred_value(shred, shred->node, shred->leaves, &c, top);
	}
}
