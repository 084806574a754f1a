/*-------------------------------------------------------------------------
 *
 * rebuild.h
 *	  A mirror of any moment, made from a history.
 *
 * The changes from the last base on are sorted into their order and played
 * through the very batch that keeps the mirror: keys, moved keys, rows
 * without a key, values that an update left unchanged, TRUNCATE and changes
 * of shape mean the same there and here.  A plan that looks for the last
 * version of each key would write no row twice, but would have to follow
 * values through all versions and keys of a row on its own.
 *
 * Memory: maintenance_work_mem for sorting, the pipeline's memory_limit for
 * the batch, and a row group of the history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_REBUILD_H
#define TARN_PIPELINE_REBUILD_H

#include "postgres.h"

#include "lake/scan.h"
#include "pipeline/history.h"
#include "pipeline/pipeline.h"

/* Up to when: a position, or a time, or neither: all there is. */
typedef struct RebuildUntil
{
	XLogRecPtr	lsn;			/* commits that end there or before */
	bool		by_time;
	TimestampTz time;			/* commits before the first that is later */
	XLogRecPtr	complete;		/* nothing is missing before; what comes after is not in the lake yet */
	bool		ended;			/* nobody follows the table any more: complete up to its last row */
} RebuildUntil;

/* What is to be played. */
typedef struct RebuildPlan
{
	LakeTable  *history;		/* its schema has every field that the rows had */
	XLogRecPtr	base;
	XLogRecPtr	until;
	const LakeNode *image;		/* of `after` */
	IcebergSchema *fields;		/* the same as those of mirrors, each as the last shape has it */
	TableShape *first;			/* the shape at the base */
	MemoryContext context;
} RebuildPlan;

/*
 * rebuild_plan.c: finds base and shapes.  Fails with
 * ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE when the history does not have
 * that moment.  In the current context.
 */
extern RebuildPlan *rebuild_plan(LakeTable *history, const RebuildUntil *until);

/* A field of it, by the mirror's id. */
extern const IcebergField *rebuild_field(const RebuildPlan *plan, int id);

/* Calls `row` for each row of a lake table, with values by field; they are gone after the call. */
typedef void (*rebuild_row_fn) (const LakeValue *values, void *arg);
extern void rebuild_scan(LakeTable *t, const int *fields, int nfields, Filter *filter, rebuild_row_fn row, void *arg);

/* A comparison of a long column (a slot of the projection) with a constant. */
extern Filter *rebuild_filter(FilterOp op, int column, LakeTypeId type, int64 value);

/*
 * rebuild.c: makes the lake table `name` in the table's namespace, or makes
 * it anew when an earlier rebuild of this table has made it; any other lake
 * table of that name is an error.  In the caller's transaction.  How many
 * rows it has.
 */
extern int64 history_rebuild(const Pipeline *p, const PipelineTable *t, const char *name, const RebuildUntil *until);

/* Was the lake table made so, of a history of this name? */
extern bool rebuild_is(const LakeTable *lake, const char *history);

/* Its name unless another is given. */
extern char *rebuild_name(const char *mirror);

/* The number that rebuilds have where a pipeline has its own: their key indexes lie there, by table. */
#define REBUILD_PIPELINE_ID (-1)

/* --- rebuild_mark.c: what a rebuild that was killed has left behind --- */

/* One rebuild of a table at a time, until the transaction ends; false: there is one, and `wait` was not asked for. */
extern bool rebuild_lock(Oid relid, bool wait);

/* Says what files this rebuild will write: those of p->flush_token for the lake table t, at that location. */
extern void rebuild_mark(const Pipeline *p, const PipelineTable *t, const char *location);

/*
 * Removes what rebuilds into the pipeline's lake left behind that did not
 * commit: of one table, whose lock is held; or of all that nobody rebuilds,
 * in the caller's transaction.
 */
extern void rebuild_clean(const Pipeline *p, Oid relid);
extern void rebuild_clean_all(Pipeline *p);

/* The key index alone. */
extern void rebuild_remove_index(Oid database, Oid relid);

/* rebuild_replay.c: plays the changes into the batch of `t`, which is empty and has the shape of the base. */
extern void rebuild_replay(const RebuildPlan *plan, Batch *batch, PipelineTable *t);

/* Gives the table the columns of a shape: the first one, or another from `since` on. */
extern void rebuild_install(const RebuildPlan *plan, Batch *batch, PipelineTable *t, TableShape *shape, XLogRecPtr since);

#endif							/* TARN_PIPELINE_REBUILD_H */
