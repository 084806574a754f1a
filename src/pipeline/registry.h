/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  The rows of tarn.pipeline, tarn.pipeline_table and tarn.garbage: read in
 *	  registry.c, changed in registry_write.c and registry_garbage.c.
 *
 * All calls are made inside a transaction; writes happen as the extension's
 * owner.  What a function returns lives in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PIPELINE_REGISTRY_H
#define TARN_PIPELINE_REGISTRY_H

#include "postgres.h"

#include "pipeline/pipeline.h"

/* The options a pipeline or a table may have, as "name=value". */
extern void registry_check_options(List *options);
extern void registry_write_options(List *pipeline_options, List *table_options, WriteOptions *out);

/* `to` is a copy in `context` or all zeroes, and becomes one of `from`. */
extern void write_options_copy(WriteOptions *to, const WriteOptions *from, MemoryContext context);

/* Those that choose how values are kept, as text that differs when they do; NULL: none. */
extern char *write_options_values(const WriteOptions *w);

/* What they say of one column; with `exact`, its values are never replaced. */
extern void write_options_column(const WriteOptions *w, const char *name, bool exact, ConvertOptions *out);

/* By id, with its tables; NULL when there is no such row (or no extension). Its context is a child of the current one. */
extern Pipeline *registry_load(int32 pipeline_id);

/* Id by name; ERRCODE_UNDEFINED_OBJECT with the closest name as hint. */
extern int32 registry_find(const char *name);

/*
 * Was the pipeline made in this database of this server?  One that came with
 * a dump, a template or a clone must not write into the lake of its original.
 */
extern bool registry_bound_here(const Pipeline *p);

/* State of a table, and which lake tables it has, by what is on record now; false when it is not on record any more. */
extern bool registry_table_now(int32 pipeline_id, Oid relid, TableState *state, HistoryMode *history);

/* Every pipeline of this database: List of Pipeline * without tables. */
extern List *registry_all(void);

/*
 * Brings tarn.pipeline_table in line with what the publications publish now:
 * new tables begin in state copy (or stopped, with what is wrong with them),
 * tables that are not published any more are forgotten (their lake data
 * stay), once no copy has files of theirs.  Not so those that follow the
 * stream, which may not have come to the place where they left: the worker
 * knows (PipelineTable.leaving).  A new table whose lake name such a one still
 * has waits for that.  One whose lake name is another's for good is stopped
 * alone, without a lake table (pipeline_table_name); with `refuse`, a lake
 * table that another pipeline writes raises ERRCODE_OBJECT_IN_USE.  True when
 * something changed.
 */
extern bool registry_sync_tables(int32 pipeline_id, const char *lake, List *publications, bool refuse);

/*
 * Until the transaction ends, the pipeline and its tables are the caller's.
 * A flush writes the pipeline's row first and those of tables after it: who
 * writes rows of tables without this may wait for a flush that waits for him.
 */
extern void registry_lock(int32 pipeline_id);

/*
 * The pipeline has a new slot, which begins at lsn: every table that is not
 * stopped or skipped must be copied, since nothing before is in the stream.
 */
extern void registry_set_slot(int32 pipeline_id, XLogRecPtr lsn, uint32 timeline);

/* Has the pipeline make a new slot, and copies of its tables, at its next start; enables it. */
extern void registry_begin_anew(int32 pipeline_id);

/* Leaves a table out until it is copied anew. */
extern void registry_skip_table(int32 pipeline_id, Oid relid);

/*
 * Nothing of ours is in WAL up to lsn: recorded before the slot is moved
 * there, so that a slot beyond the record was made or moved by somebody
 * else.  Fails as registry_flush does.
 */
extern void registry_advance(const Pipeline *p, XLogRecPtr lsn);

/* Progress; each changes one row. */
extern void registry_copy_begin(int32 pipeline_id, Oid relid, const char *copy_token);
extern void registry_copy_given_up(int32 pipeline_id, Oid relid, const char *copy_token);	/* its files are gone */
extern void registry_copy_end(int32 pipeline_id, Oid relid, XLogRecPtr lsn, const LakeTable *lake);
extern void registry_stop_table(int32 pipeline_id, Oid relid, const char *error);

/*
 * Has a table copied anew: its state becomes `copy`, an error is forgotten,
 * `reason` is shown in tarn.tables.  Readers see the lake table as it is
 * until the new copy replaces all of it in one commit.  False when there is
 * no such table.  A process other than the pipeline's worker raises
 * REQUEST_RELOAD after it has committed.
 */
extern bool registry_copy_anew(int32 pipeline_id, Oid relid, const char *reason);

/* How far a table was followed that the flush has just stopped, or had copied anew: not as far as the pipeline. */
extern void registry_left_at(int32 pipeline_id, Oid relid, XLogRecPtr lsn);

/* A history begins, or begins again: how far the table was followed says nothing about it. */
extern void registry_history_begins(int32 pipeline_id, Oid relid);

/* New names of a table: at the source, and in the lake. */
extern void registry_rename_table(int32 pipeline_id, Oid relid, const char *schema, const char *table,
								  const char *namespace, const char *name);
extern bool registry_lake_table_taken(const char *lake, const char *namespace, const char *name);

/* The pipeline does not mirror the table any more; its lake table stays. */
extern void registry_forget_table(int32 pipeline_id, Oid relid);

/*
 * A flush: the pipeline's row from old_token to new_token (exactly one row
 * must match, else ERRCODE_T_R_SERIALIZATION_FAILURE: another writer took
 * over, or the pipeline is to begin anew), and the rows of tables that
 * changed or caught up.
 */
extern void registry_flush(Pipeline *p, XLogRecPtr lsn, const char *new_token);
extern void registry_catchup(int32 pipeline_id, Oid relid, bool live, XLogRecPtr lsn);

/* A flush that changed its lake table to `lake`: t->work is added to what is on record. */
extern void registry_table_progress(int32 pipeline_id, const PipelineTable *t, TableState state,
									XLogRecPtr lsn, const LakeTable *lake);

/* Another token for the flush to come, once what the last one left behind is removed. */
extern void registry_change_token(Pipeline *p);

/* The marker in the lake has this token and timeline now (fence.h); the row must have p's token. */
extern void registry_set_fence(const Pipeline *p, const char *fence, uint32 timeline);

/* The next start claims the lake, whoever wrote it; enables the pipeline. */
extern void registry_claim_lake(int32 pipeline_id);

/* The lake table is this one, as of `lsn`, again: the stream is read once more from there. */
extern void registry_put_back(int32 pipeline_id, Oid relid, XLogRecPtr lsn, const LakeTable *lake);

/* Files to be removed later; those below a location are these and no others. */
extern void registry_add_garbage(const char *lake, List *paths);
extern void registry_set_garbage(const char *lake, const char *location, List *paths);

/* The same without the time of grace: their table was dropped. */
extern void registry_add_dropped(const char *lake, List *paths);

/* For grace_seconds: only those. */
#define REGISTRY_DROPPED_ONLY INT_MAX

/* Paths whose time has come, at most `limit`; and their removal from the list. */
extern List *registry_take_garbage(const char *lake, int grace_seconds, int limit);

/* A new token. */
extern void registry_new_token(char token[TOKEN_LENGTH + 1]);

#endif							/* TARN_PIPELINE_REGISTRY_H */
