/*-------------------------------------------------------------------------
 *
 * api.h
 *	  What the SQL functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_API_API_H
#define TARN_API_API_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "pipeline/pipeline.h"
#include "pipeline/state.h"

/* Fails with the line to add when the library was not loaded at server start. */
extern void api_check_loaded(void);

/* ... or with the setting that the server lacks to run pipelines. */
extern void api_check_server(void);

/* What a pipeline's settings may be; each fails with what is wrong.  The limit is in bytes. */
extern void api_check_interval(Interval *interval);
extern int64 api_memory_limit(const char *text);
extern void api_check_options(List *options);
extern void api_check_publications(const char *name, List *publications);

/*
 * May this role own a pipeline of these publications into this lake, and
 * does the warehouse take a file from it?
 */
extern void api_check_owner(Oid owner, const char *lake_name, List *publications);

/* The second of these alone. */
extern void api_check_store(Oid server, const char *lake_name, Oid role);

/*
 * After options changed: tables that are to have a history or a mirror which
 * they had not are copied anew, for both begin with a copy.
 */
extern void api_histories_changed(const Pipeline *before);

/* A name[] or text[] without nulls as a List of char *. */
extern List *api_array_list(ArrayType *array, const char *what);

/* The launcher looks at this database's pipelines when the transaction ends. */
extern void api_scout_at_commit(void);

/* The same, and a back-off of this pipeline ends. */
extern void api_start_at_commit(int32 id);

/*
 * Stops the worker, before something is changed under it.  The launcher
 * starts it again when the transaction ends, if the pipeline is enabled then.
 */
extern void api_stop_worker(PipelineState *state, const char *name);

/* The pipeline's table that is meant; an error when it has none of the kind. */
extern PipelineTable *api_find_mirrored(const Pipeline *p, Oid relid);

/* Fails when the current user may not manage the pipeline. */
extern void api_check_pipeline_owner(const Pipeline *p);

/* A pipeline that the current user may manage. */
extern Pipeline *api_pipeline_for_owner(const char *name);

/* The same, with its row locked: of two callers the second sees what the first did. */
extern Pipeline *api_lock_pipeline(const char *name);

/* Fails when the lake is another server's by now: this one was restored or copied, or the other took over. */
extern void api_check_writer(const Pipeline *p, Lake *lake);

/* Fails on a pipeline that was made in another database or server: its original may be at work. */
extern void api_check_bound(const Pipeline *p);

/* A lake table that is meant by its own name. */
typedef struct ApiLakeTable
{
	LakeTable  *lake;
	Oid			source;			/* it was made of; perhaps gone */
	Pipeline   *pipeline;		/* that keeps it, or wrote it last; NULL: there is none any more */
	PipelineTable *kept;		/* of the pipeline: the table whose mirror or history has this name; NULL: none has */
} ApiLakeTable;

/* Finds one that the current user may manage. */
extern void api_lake_table(const char *lake_name, const char *namespace, const char *name, ApiLakeTable *out);

/* Looks again who keeps it: the pipeline that does, or else the one that wrote it last, of those into this lake. */
extern void api_lake_table_keeper(const char *lake_name, const char *namespace, const char *name, ApiLakeTable *out);

/* From _PG_init: hooks by which workers let go of a database or extension that is dropped. */
extern void guard_init(void);

#endif							/* TARN_API_API_H */
