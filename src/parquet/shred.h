/*-------------------------------------------------------------------------
 *
 * shred.h
 *	  A nested column as the leaf columns that Parquet keeps of it (Parquet
 *	  specification, "Nested Encoding").
 *
 * A leaf has an entry for each of its values, and for each place where a
 * value could have been but for a null or an empty list above it.  The
 * definition level of an entry counts how many of the optional and repeated
 * nodes on the way to it are there; the repetition level says which of the
 * repeated ones goes on with this entry, 0: a new row.
 *
 * Lists have three levels (optional group, repeated group "list", element),
 * maps a repeated group "key_value".
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_SHRED_H
#define TARN_PARQUET_SHRED_H

#include "postgres.h"

#include "column/nested.h"
#include "parquet/format.h"
#include "parquet/writer.h"

typedef struct ParquetShredLeaf
{
	ParquetColumn column;		/* name, id and type of the leaf */
	char	  **path;			/* names from the column down */
	int			npath;
	uint8		max_repetition;
	uint8		max_definition;
	uint8	   *repetition;		/* by entry */
	uint8	   *definition;
	uint32		room;			/* of both */
	ColumnVector values;		/* by entry: null where the definition level is not the highest */
} ParquetShredLeaf;

typedef struct ParquetShred
{
	const LakeNode *node;
	bool		required;
	int			nleaves;
	ParquetShredLeaf *leaves;
	MemoryContext context;
} ParquetShred;

/* For a nested column; in the current context.  column->node must outlive it. */
extern ParquetShred *parquet_shred_create(const ParquetColumn *column);

/* The rows of a vector to entries, in place of those before. */
extern void parquet_shred_rows(ParquetShred *shred, const ColumnVector *v);

/* Elements of the schema that a nested column takes, and how many there are. */
extern int	parquet_shred_schema(ParquetSchemaElement *elements, const ParquetColumn *column);
extern int	parquet_shred_nelements(const ParquetColumn *column);

#endif							/* TARN_PARQUET_SHRED_H */
