/*-------------------------------------------------------------------------
 *
 * shape_internal.h
 *	  Between shape.c, shape_make.c, shape_note.c and shape_types.c: the
 *	  properties of a lake table that tell of its source.
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
#define SHAPE_OPTIONS "tarn.options"	/* those that choose how values are kept */
#define SHAPE_ATTRIBUTE_PREFIX "tarn.attribute."	/* ... of a struct's field, too */
#define SHAPE_COLUMN_PREFIX "tarn.column."	/* name of the type */
#define SHAPE_TYPE_PREFIX "tarn.type."	/* its oid; absent: one of the server's own */
#define SHAPE_LABELS_PREFIX "tarn.labels."	/* of the enums in it, and what else is text: see shape_types.c */
#define SHAPE_LSN "tarn.shape-lsn"	/* not part of the shape: since when */

/* One shape in the making. */
typedef struct ShapeMaker
{
	const PipelineTable *t;
	const DecodeRelation *rel;
	const TableShape *before;	/* or NULL */
	bool		same_source;	/* before is of this very relation */
	ShapeView	view;
	const char *name;			/* of the source, for messages */
	char	   *copy;			/* why the rows must be copied; the first reason */
	ShapeColumns *out;
} ShapeMaker;

/* The rows must be copied anew: the first reason counts. */
extern void shape_must_copy(ShapeMaker *m, char *reason);

/* Property "<prefix><id>", or NULL. */
extern const char *shape_field_property(const TableShape *shape, const char *prefix, int id);

/* Which relation of which database of which server. */
extern char *shape_source_id(const Pipeline *p, const PipelineTable *t);

/* Sets all properties; the columns are made.  A renamed label asks for a copy. */
extern void shape_note(ShapeMaker *m, const Pipeline *p);

/* Is a property the same before and after? */
extern bool shape_property_same(const ShapeMaker *m, const char *key);

/* Asks for a copy where properties tell of rows that changed without being decoded. */
extern void shape_check_rows(ShapeMaker *m);

/* In the current context. */
extern void shape_set_property(TableShape *shape, const char *key, const char *value);
extern bool shape_equal(const TableShape *a, const TableShape *b);

/*
 * Gives a nested column and all below the ids of the lake's field that it
 * goes on from, and new ones to what that has not.  False, with no id of use:
 * what the lake has does not stand for the same values; or, with `exact`, it
 * is not the same to the last attribute.
 */
extern bool shape_follow_node(const TableShape *before, bool same_source, bool copying,
							  LakeNode *node, const LakeNode *lake, bool exact, int *last_field_id);

/* Sets the properties of a column's struct fields. */
extern void shape_note_attributes(TableShape *shape, const LakeNode *node);

/*
 * The enums, and the composite types kept as text, that the type consists of,
 * as a property has them; NULL: there are none.  text: all of the column is.
 * *changed: one whose labels or attributes that were noted `before` (or NULL)
 * are not the same any more, or InvalidOid.
 */
extern char *shape_texts(Oid type, bool text, const char *before, Oid *changed);

#endif							/* TARN_PIPELINE_SHAPE_INTERNAL_H */
