/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  The shape of a mirrored table: which column of the source is which field
 *	  of the lake table, and what becomes of it when the source changes.
 *
 * The lake table itself says what it mirrors, in properties that every commit
 * of a changed shape sets along with the schema: which attribute a field
 * comes from (tarn.attribute.<field id>), its type (tarn.column.<field id>,
 * and tarn.type and tarn.labels of user-defined ones), how many attributes
 * there were (tarn.attributes), the key, row filters, operations, partitions
 * and options.  So after a crash, or however far the catalogs
 * are ahead of the stream, what is compared is what the lake has and what
 * decoding says the source was at that place of the stream; the catalogs of
 * today are asked by the initial copy only.
 *
 * A field is an attribute number of one relation, never a name: a rename is a
 * rename, a column dropped and added again is another field.  Only between
 * two relations (a table created again, a restored dump) fields go by name.
 *
 * What no reader could tell from old files, or what changed rows without row
 * events, copies the table anew: a new column with a default other than null,
 * a type that is not a promotion, a label of an enum that was renamed, a
 * composite type kept as text that changed, an old attribute that is published only
 * now, another row filter, an operation published in addition, a partition
 * that went.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_SHAPE_H
#define TARN_PIPELINE_SHAPE_H

#include "postgres.h"

#include "decode/sink.h"
#include "pipeline/pipeline.h"

/* What a lake table has, or is going to have. */
struct TableShape
{
	const IcebergSchema *schema;
	int			nproperties;
	IcebergProperty *properties;	/* those named above, and no others */
	XLogRecPtr	lsn;			/* transactions that commit before it had an older shape, or none; 0: unknown */
	MemoryContext context;		/* holds all of it, and the columns of the table that has it */
};

typedef enum ShapeChange
{
	SHAPE_SAME,
	SHAPE_EVOLVES,				/* schema or properties change; the rows that are there stay as they are */
	SHAPE_COPY,					/* the rows must be copied anew */
	SHAPE_PROBLEM				/* the table cannot be mirrored as it is */
} ShapeChange;

/* What a description is worth. */
typedef enum ShapeView
{
	SHAPE_PRESENT,				/* what the source is, here in the stream */
	SHAPE_REWRITTEN,			/* the same; rows were rewritten by widening numbers */
	SHAPE_PAST,					/* of publications and names before the shape it is compared with: only types are taken */
	SHAPE_COPYING				/* all rows are about to be copied, nothing needs to be told from old ones */
} ShapeView;

/* The columns of a table as a description gives them, and the shape they make. */
typedef struct ShapeColumns
{
	TableShape *shape;
	int			ncolumns;
	TableColumn *columns;
	ParquetColumn *parquet;
	int			nkeys;
	int		   *keys;
	bool		wide_key;
	char		replica_identity;
	int			last_field_id;	/* the highest ever given to a field of the table */
	bool		rekeyed;		/* the key is another than that of `before` */
} ShapeColumns;

/* What the lake table has now. */
extern TableShape *shape_of_lake(const LakeTable *lake, MemoryContext parent);

/*
 * From a description to columns and shape, in a context of its own below
 * t->context.  `before`: the shape to go on from, NULL for a new lake table.
 * On SHAPE_COPY (which SHAPE_COPYING never gives) and SHAPE_PROBLEM *reason
 * says why, and nothing is in *out.
 */
extern ShapeChange shape_make(Pipeline *p, PipelineTable *t, const DecodeRelation *rel,
							  const TableShape *before, ShapeView view,
							  ShapeColumns *out, char **reason);

/* Makes them the table's; what it had is freed. */
extern void shape_install(PipelineTable *t, const ShapeColumns *columns);

/*
 * Gives the lake table schema and properties of a shape, and `last_field_id`;
 * lsn: its TableShape.lsn from then on.  The shape must live until the change
 * is written.
 */
extern void shape_change_lake(const TableShape *shape, int last_field_id, const LakeTable *lake,
							  LakeChange *change, XLogRecPtr lsn);

/* Are values kept as the table's options say?  A description makes it so. */
extern bool shape_has_options(const PipelineTable *t);

extern const char *shape_property(const TableShape *shape, const char *key);

/* "16/B374D848" as in properties and summaries; 0 when it is no position. */
extern XLogRecPtr shape_parse_lsn(const char *text);

/* A number that differs when shapes do: do two processes mean the same files? */
extern uint64 shape_fingerprint(const TableShape *shape);

#endif							/* TARN_PIPELINE_SHAPE_H */
