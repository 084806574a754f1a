/*-------------------------------------------------------------------------
 *
 * nested.h
 *	  Lists, structs and maps: what a nested column consists of, and how its
 *	  values lie in memory.
 *
 * A nested column is a ColumnVector of LAKE_NESTED like any column of
 * LAYOUT_BYTES: each row is a string of bytes, its value packed.  So batches,
 * keys, carried values, copies and shared memory treat it like text, and
 * only those look inside who must: the Parquet writer cuts rows into leaf
 * columns with levels (parquet/shred.c), the reader puts them together
 * (parquet/assemble.c), and column/convert_nested.c makes and reads them for
 * PostgreSQL.  The alternative, vectors with child vectors, would have made
 * every one of these paths know of children, the flat ones too.
 *
 * Packed form, not aligned, native byte order:
 *
 *	value		fixed width: its bytes as in ColumnVector.values;
 *				LAYOUT_BYTES: uint32 size, bytes
 *	list		uint32 count, then for each element a child
 *	map			uint32 count, then for each entry two children: key, value
 *	struct		each field's child, in order
 *	child		one byte, 0: null, or 1 and the value
 *
 * Equal values have equal bytes (but for -0 and +0, and NaNs), so that a
 * packed value may be hashed and compared as a key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_COLUMN_NESTED_H
#define TARN_COLUMN_NESTED_H

#include "postgres.h"

#include "column/vector.h"
#include "lib/stringinfo.h"

typedef enum LakeNodeKind
{
	LAKE_NODE_VALUE,
	LAKE_NODE_LIST,				/* one child: the element */
	LAKE_NODE_STRUCT,
	LAKE_NODE_MAP				/* two children: key, value */
} LakeNodeKind;

/* Deeper types are not taken. */
#define LAKE_NODE_MAX_DEPTH 16

typedef struct LakeNode
{
	LakeNodeKind kind;
	int			id;				/* field id; -1: none yet */
	char	   *name;			/* of a struct's field; "element", "key", "value" */
	bool		required;
	int			source;			/* of a struct's field: number of the attribute it was made from; 0: none */
	bool		added;			/* of a struct's field: there are files that have the struct without it */
	LakeType	type;			/* LAKE_NODE_VALUE: its type; else LAKE_NESTED */
	char	   *doc;			/* of a struct's field, or NULL */
	int			nchildren;
	struct LakeNode *children;
} LakeNode;

/* In the current context. */
extern LakeNode *lake_node_copy(const LakeNode *node);

/* Leaves below the node; 1 for a value. */
extern int	lake_node_nleaves(const LakeNode *node);

/* Highest id of the node and all below. */
extern int	lake_node_max_id(const LakeNode *node);

/* Gives ids to all below the node: children first, in the order Iceberg's own writers have. */
extern void lake_node_number(LakeNode *node, int *next);

/* "list<int>", "struct<a: int, b: map<string, string>>": for messages; palloc'd. */
extern char *lake_node_text(const LakeNode *node);

/* Value i, which is not null, of a plain vector to the end of `out`. */
extern void packed_put(StringInfo out, const ColumnVector *v, uint32 i);

/* A packed value being read. */
typedef struct PackedCursor
{
	const char *at;
	const char *end;
} PackedCursor;

static inline void
packed_begin(PackedCursor *c, const ColumnVector *v, uint32 i)
{
	c->at = v->bytes + v->offsets[i];
	c->end = v->bytes + v->offsets[i + 1];
}

/* The next bytes; packed values are our own, so a lack of them is a defect. */
static inline const char *
packed_take(PackedCursor *c, size_t size)
{
	const char *at = c->at;

	if (unlikely((size_t) (c->end - at) < size))
		elog(ERROR, "packed value ends early");
	c->at += size;
	return at;
}

static inline uint32
packed_count(PackedCursor *c)
{
	uint32		count;

	memcpy(&count, packed_take(c, sizeof(count)), sizeof(count));
	return count;
}

/* Is the next child not null? */
static inline bool
packed_present(PackedCursor *c)
{
	return *packed_take(c, 1) != 0;
}

static inline void
packed_put_count(StringInfo out, uint32 count)
{
	appendBinaryStringInfo(out, (const char *) &count, sizeof(count));
}

/* The next value to the end of a vector of its type. */
extern void packed_append(PackedCursor *c, ColumnVector *v);

/* Past the next value, which is of the node's type. */
extern void packed_skip(PackedCursor *c, const LakeNode *node);

#endif							/* TARN_COLUMN_NESTED_H */
