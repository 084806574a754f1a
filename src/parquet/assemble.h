/*-------------------------------------------------------------------------
 *
 * assemble.h
 *	  Nested columns of a Parquet file as packed values (column/nested.h).
 *
 * A column of the file is bound to the tree that the table's schema gives:
 * fields of structs by field id (by name in files without ids); what the
 * file lacks is null; lists may have the two levels of old writers; values
 * of a narrower type are widened.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_ASSEMBLE_H
#define TARN_PARQUET_ASSEMBLE_H

#include "postgres.h"

#include "column/nested.h"
#include "parquet/reader.h"

typedef struct ParquetNested ParquetNested;

/*
 * In the current context; both trees must outlive it.  NULL when the column
 * cannot be read as that, with the reason.
 */
extern ParquetNested *parquet_nested_bind(ParquetReader *r, const ParquetNode *column, const LakeNode *node,
										  bool by_id, const char **reason);

/* Rows of a row group, as parquet_reader_column gives them: packed, in `v` of LAKE_NESTED. */
extern void parquet_nested_read(ParquetNested *n, int group, const uint32 *ranges, int nranges, ColumnVector *v);

/* The leaves that are read for it, for costs and hints. */
extern int	parquet_nested_nleaves(const ParquetNested *n);
extern int	parquet_nested_leaf(const ParquetNested *n, int i);

#endif							/* TARN_PARQUET_ASSEMBLE_H */
