/*-------------------------------------------------------------------------
 *
 * assemble_internal.h
 *	  A nested column bound to the leaves of a file: assemble_bind.c makes
 *	  it, assemble.c reads rows by it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_ASSEMBLE_INTERNAL_H
#define TARN_PARQUET_ASSEMBLE_INTERNAL_H

#include "postgres.h"

#include "lib/stringinfo.h"
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

#endif							/* TARN_PARQUET_ASSEMBLE_INTERNAL_H */
