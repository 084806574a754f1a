/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  A mirror of any moment, made from a history: the lake table, and its
 *	  commit.
 *
 * The batch, the key index and the commit are those of a pipeline; so the
 * rebuild has a pipeline of its own, in memory only, with one table and a
 * number that no pipeline has.
 *
 * Files are named after a token that the table's last commit left behind
 * (property tarn.next-token), or lie in a folder that no table has.  So what
 * a rebuild that failed has written is removed by that; by the pipeline's
 * worker if it could not (rebuild_mark.c), or by the next rebuild.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "pipeline/flush.h"
#include "pipeline/rebuild.h"
#include "pipeline/registry.h"
#include "pipeline/tables.h"

#define NAME_SUFFIX "__rebuilt"
#define PROPERTY_REBUILT "tarn.rebuilt" /* name of the history */
#define PROPERTY_NEXT_TOKEN "tarn.next-token"

typedef struct Rebuild
{
	Pipeline	pipeline;
	PipelineState state;
	PipelineTable table;
	Batch	   *batch;
	char	   *location;
	char		next_token[TOKEN_LENGTH + 1];
	bool		exists;
} Rebuild;

char *
rebuild_name(const char *mirror)
{
	return psprintf("%s%s", mirror, NAME_SUFFIX);
}

bool
rebuild_is(const LakeTable *lake, const char *history)
{
	const char *of = iceberg_metadata_property(lake->metadata, PROPERTY_REBUILT);

	return of != NULL && strcmp(of, history) == 0;
}

static Rebuild *
begin(const Pipeline *p, const PipelineTable *t, const char *name)
{
	Rebuild    *r = palloc0(sizeof(Rebuild));
	PipelineTable *target = &r->table;

	r->pipeline = *p;
	r->pipeline.id = REBUILD_PIPELINE_ID;
	r->pipeline.context = CurrentMemoryContext;
	r->pipeline.state = &r->state;
	r->pipeline.tables = list_make1(target);
	registry_new_token(r->next_token);
	registry_new_token(r->pipeline.flush_token);
	target->relid = t->relid;
	target->schema = t->schema;
	target->table = t->table;
	target->namespace = t->namespace;
	target->name = pstrdup(name);
	target->write = t->write;
	target->write.history = HISTORY_NONE;
	target->state = TABLE_LIVE;
	target->context = AllocSetContextCreate(CurrentMemoryContext, "tarn rebuilt table", ALLOCSET_DEFAULT_SIZES);
	target->opened = true;
	rebuild_clean(&r->pipeline, t->relid);
	return r;
}

/* The lake table that is there, or a new one; and the token for its files. */
static void
open_target(Rebuild *r, const char *history)
{
	PipelineTable *t = &r->table;
	Lake	   *lake = r->pipeline.lake;
	MemoryContext old = MemoryContextSwitchTo(t->context);
	const char *token;

	t->lake = lake_table_load(lake, t->namespace, t->name, true);
	r->exists = t->lake != NULL;
	if (t->lake && !rebuild_is(t->lake, history))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("lake table \"%s.%s\" already exists", t->namespace, t->name),
				 errdetail("It was not made by a rebuild of this table."),
				 errhint("Give another name with the argument \"lake_table\".")));
	if (t->lake)
	{
		r->location = t->lake->metadata->location;
		token = iceberg_metadata_property(t->lake->metadata, PROPERTY_NEXT_TOKEN);
		if (token && strlen(token) == TOKEN_LENGTH)
			strlcpy(r->pipeline.flush_token, token, sizeof(r->pipeline.flush_token));
		t->last_field_id = t->lake->metadata->last_column_id;
		rebuild_mark(&r->pipeline, t, r->location);
		(void) lake_table_remove_token(lake, r->location, r->pipeline.flush_token, t->lake);
	}
	else
	{
		r->location = lake_table_location(lake, t->namespace, t->name);
		if (lake_location_used(lake, r->location))
			r->location = psprintf("%s~%s", r->location, r->pipeline.flush_token);
		rebuild_mark(&r->pipeline, t, r->location);
	}
	MemoryContextSwitchTo(old);
}

static void
create_target(Rebuild *r, const TableShape *shape, const char *history)
{
	PipelineTable *t = &r->table;
	MemoryContext old = MemoryContextSwitchTo(t->context);
	IcebergSchema schema = *shape->schema;
	IcebergProperty rebuilt = {PROPERTY_REBUILT, pstrdup(history)};

	if (!r->exists)
		t->lake = lake_table_new(r->pipeline.lake, t->namespace, t->name, r->location, &schema, &rebuilt, 1);
	MemoryContextSwitchTo(old);
}

/* What it wrote, when it fails; an error in here must not hide the one that led here. */
static void
remove_files(Rebuild *r)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		/* without a look into the catalog: nothing of this token was in it before */
		if (r->location)
			(void) lake_table_remove_token(r->pipeline.lake, r->location, r->pipeline.flush_token, NULL);
		rebuild_remove_index(r->pipeline.database, r->table.relid);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

static int64
commit(Rebuild *r, XLogRecPtr until)
{
	PipelineTable *t = &r->table;
	List	   *garbage = NIL;
	LakeChange *change;
	LakeTable  *after;

	t->reshaped = true;
	change = pipeline_change_table(r->batch, t, until, &garbage);
	lake_change_property(change, PROPERTY_NEXT_TOKEN, r->next_token);
	after = lake_change_write(change, &garbage);
	FAILPOINT("rebuild-written");
	lake_commit(&t->lake, &after, 1);
	registry_add_garbage(r->pipeline.lake_name, garbage);
	return lake_table_rows(after);
}

static int64
run(Rebuild *r, const char *history_table, const RebuildUntil *until)
{
	PipelineTable *t = &r->table;
	LakeTable  *history = lake_table_load(r->pipeline.lake, t->namespace, history_table, true);
	RebuildPlan *plan;
	int64		rows;

	if (history == NULL || !history_is(history))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("lake table \"%s.%s\" does not exist", t->namespace, history_table),
				 errhint("A table has a history with the option history=true.")));
	plan = rebuild_plan(history, until);
	open_target(r, history_table);
	create_target(r, plan->first, history_table);
	rebuild_install(plan, NULL, t, plan->first, plan->base);
	r->batch = batch_create(&r->pipeline, (size_t) r->pipeline.memory_limit / 2);
	/* no encoder: a backend works for itself */
	r->batch->piece_bytes = SIZE_MAX;
	/* whatever the table had gives way */
	batch_table(t)->truncated = true;
	rebuild_replay(plan, r->batch, t);
	batch_write(r->batch, t);
	rows = commit(r, plan->until);
	pipeline_table_close(t);
	rebuild_remove_index(r->pipeline.database, t->relid);
	return rows;
}

int64
history_rebuild(const Pipeline *p, const PipelineTable *t, const char *name, const RebuildUntil *until)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn rebuild", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Rebuild    *r;
	int64		rows = 0;

	/* one at a time: a second would take the first's files for left behind */
	(void) rebuild_lock(t->relid, true);
	r = begin(p, t, name);
	PG_TRY();
	{
		rows = run(r, history_name(t->name), until);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (r->table.index)
			keyindex_close(r->table.index);
		r->table.index = NULL;
		remove_files(r);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return rows;
}
