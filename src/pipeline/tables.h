/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  From a published table to its lake table: columns, key, schema.
 *
 * All calls are made inside a transaction, in the current catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_TABLES_H
#define TARN_PIPELINE_TABLES_H

#include "postgres.h"

#include "decode/sink.h"
#include "pipeline/pipeline.h"

/*
 * For the copy: sets up columns and shape of a table from the source's
 * catalogs of today, and its lake table at the catalog's current state
 * (t->lake NULL when it has none, or pipeline_table_lake() makes it).  Does
 * nothing when it is open.  False when the table cannot be mirrored as it is:
 * *problem says why, naming table, column and type; or NULL, when it has just
 * left the publications, or is gone: the worker will see.
 */
extern bool pipeline_table_open(Pipeline *p, PipelineTable *t, char **problem);

/*
 * For following the stream: the lake table and the shape it has.  Columns
 * come with the first description that decoding gives.  False when the lake
 * table is not there any more.
 */
extern bool pipeline_table_follow(Pipeline *p, PipelineTable *t);

/*
 * A table that was stopped because its lake table is another's has none of
 * its own, with an empty namespace: gives it one, if the name is free now.
 * Else *problem says why not.
 */
extern bool pipeline_table_name(Pipeline *p, PipelineTable *t, char **problem);

/* Forget what was set up; index and batch too. */
extern void pipeline_table_close(PipelineTable *t);

/* Where a new lake table of this name lies; own_folder: beside another's that has the folder of the name. */
extern char *pipeline_table_location(const Pipeline *p, const PipelineTable *t, const char *name, bool own_folder);

/*
 * The lake table to write into: t->lake, or a new one with the columns'
 * schema and properties.  For the copy.
 */
extern LakeTable *pipeline_table_lake(Pipeline *p, PipelineTable *t);

/*
 * What is wrong with a published table, before anything is tried; NULL when
 * it can be mirrored: columns without a mapping, a kind of relation that has no
 * rows.  Without a usable replica identity it is append only: the server
 * refuses updates and deletes of it.
 */
extern char *pipeline_table_problem(Oid relid, List *publications);

extern PipelineTable *pipeline_find_table(const Pipeline *p, Oid relid);

#endif							/* TARN_PIPELINE_TABLES_H */
