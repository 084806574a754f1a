/*-------------------------------------------------------------------------
 *
 * shape_internal.h
 *	  Between shape.c and shape_make.c: the properties of a lake table that
 *	  tell of its source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_SHAPE_INTERNAL_H
#define TARN_PIPELINE_SHAPE_INTERNAL_H

#include "postgres.h"

#include "pipeline/shape.h"

#define SHAPE_SOURCE "tarn.source"	/* qualified name */
#define SHAPE_SOURCE_ID "tarn.source-id"	/* system identifier, database, relation */
#define SHAPE_ATTRIBUTES "tarn.attributes"	/* attribute numbers ever used */
#define SHAPE_KEY "tarn.key"	/* what the key index hashes */
#define SHAPE_FILTER "tarn.row-filter"	/* a hash; absent: all rows */
#define SHAPE_OPERATIONS "tarn.operations"	/* those that are published: letters of insert, update, delete, truncate */
#define SHAPE_PARTITIONS "tarn.partitions"	/* relations, ascending */
#define SHAPE_ATTRIBUTE_PREFIX "tarn.attribute."
#define SHAPE_COLUMN_PREFIX "tarn.column."
#define SHAPE_LSN "tarn.shape-lsn"	/* not part of the shape: since when */

/* In the current context. */
extern void shape_set_property(TableShape *shape, const char *key, const char *value);
extern bool shape_equal(const TableShape *a, const TableShape *b);

#endif							/* TARN_PIPELINE_SHAPE_INTERNAL_H */
