/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  tarn.rebuild, tarn.rebuild_history: a lake table with the rows of a table
 *	  at any moment of its history, which is meant by the table, or by its own
 *	  name in the lake.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "api/api.h"
#include "base/privileged.h"
#include "pipeline/rebuild.h"
#include "pipeline/registry.h"
#include "pipeline/tables.h"

PG_FUNCTION_INFO_V1(tarn_rebuild);
PG_FUNCTION_INFO_V1(tarn_rebuild_time);
PG_FUNCTION_INFO_V1(tarn_rebuild_text);

/* Arguments: of tarn.rebuild a table, of tarn.rebuild_history where its history is; the last two are the same. */
enum
{
	ARG_SOURCE
};
enum
{
	ARG_LAKE, ARG_NAMESPACE, ARG_HISTORY
};
#define ARG_UNTIL (PG_NARGS() - 2)
#define ARG_LAKE_TABLE (PG_NARGS() - 1)

/* Of a rebuild for which there is no pipeline to ask. */
#define MEMORY_LIMIT "256MB"

/* The name of the pipeline whose table it is, and that keeps a history of it. */
static char *
find_pipeline(Oid relid)
{
	PrivilegedScope scope;
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	List	   *names = NIL;
	ListCell   *lc;
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute("SELECT p.name::text FROM tarn.pipeline_table t JOIN tarn.pipeline p ON p.id = t.pipeline_id "
						   "WHERE t.relid = $1 ORDER BY p.id", 1, types, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		names = lappend(names, pstrdup(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1)));
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	foreach(lc, names)
	{
		Pipeline   *p = registry_load(registry_find(lfirst(lc)));
		PipelineTable *t = p ? pipeline_find_table(p, relid) : NULL;

		if (t && t->write.history != HISTORY_NONE)
			return lfirst(lc);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s has no history",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid))),
			 errhint("Keep one with tarn.set_table_options(pipeline, table, '{history=true}'). "
					 "One that is kept no more can be rebuilt with tarn.rebuild_history.")));
	return NULL;
}

/* Up to where the lake has everything of the table, and up to which time. */
static void
find_complete(const Pipeline *p, const PipelineTable *t, RebuildUntil *until)
{
	PipelineState *state = state_find(MyDatabaseId, p->id);

	until->complete = t->state == TABLE_CATCHUP ? t->lsn : InvalidXLogRecPtr;
	if (t->state == TABLE_LIVE)
		until->complete = Max(p->lsn, state ? pg_atomic_read_u64(&state->flushed) : 0);
	if (t->state != TABLE_LIVE && t->state != TABLE_CATCHUP)
		until->complete = history_complete(p->lake, t);
	if (!until->by_time || (t->state == TABLE_LIVE && state &&
							Max(state->current_at, state->committed_time) >= until->time))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the lake may lack changes of table %s from before %s",
					quote_qualified_identifier(t->schema, t->table), timestamptz_to_str(until->time)),
			 errhint("Wait for them with tarn.flush(%s), or give a position.", quote_literal_cstr(p->name))));
}

/* A table that a pipeline follows. */
static PipelineTable *
find_table(Oid relid, Pipeline **p, RebuildUntil *until)
{
	PipelineTable *t;

	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid)));
	*p = api_pipeline_for_owner(find_pipeline(relid));
	api_check_bound(*p);
	t = pipeline_find_table(*p, relid);
	(*p)->lake = lake_open(lake_server_oid((*p)->lake_name), (*p)->owner);
	find_complete(*p, t, until);
	return t;
}

/* For a history whose pipeline is gone. */
static Pipeline *
no_pipeline(const LakeTable *history)
{
	Pipeline   *p = palloc0(sizeof(Pipeline));
	const char *writer = iceberg_snapshot_summary(history->snapshot, "tarn.pipeline");

	p->id = REBUILD_PIPELINE_ID;
	p->lake_label = pstrdup(writer ? writer : "");
	p->name = convert_name_from_lake(p->lake_label);
	p->owner = GetUserId();
	p->lake_name = history->lake->name;
	p->database = MyDatabaseId;
	p->system_identifier = GetSystemIdentifier();
	p->timeline = GetWALInsertionTimeLine();
	p->memory_limit = api_memory_limit(MEMORY_LIMIT);
	p->context = CurrentMemoryContext;
	return p;
}

/* A table that nobody follows any more, as far as it matters to a rebuild of its history. */
static PipelineTable *
no_table(const Pipeline *p, const ApiLakeTable *history, const char *mirror)
{
	PipelineTable *t = palloc0(sizeof(PipelineTable));

	t->relid = history->source;
	t->schema = t->namespace = history->lake->namespace;
	t->table = t->name = pstrdup(mirror);
	registry_write_options(p->options, NIL, &t->write);
	return t;
}

/* The table of a history, also when it is gone. */
static PipelineTable *
find_history(const char *lake_name, const char *namespace, const char *name, Pipeline **p, RebuildUntil *until)
{
	ApiLakeTable history;
	char	   *mirror;

	api_lake_table(lake_name, namespace, name, &history);
	mirror = history_mirror_name(name);
	if (mirror == NULL || !history_is(history.lake) || history.lake->snapshot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("lake table \"%s.%s\" is not a history", namespace, name)));
	*p = history.pipeline ? history.pipeline : no_pipeline(history.lake);
	(*p)->lake = history.lake->lake;
	if (history.kept && history.kept->write.history != HISTORY_NONE && strcmp(history.kept->name, mirror) == 0)
	{
		find_complete(*p, history.kept, until);
		return history.kept;
	}
	until->ended = true;
	return history.kept && strcmp(history.kept->name, mirror) == 0 ? history.kept : no_table(*p, &history, mirror);
}

static bool
source_is_null(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < ARG_UNTIL; i++)
	{
		if (PG_ARGISNULL(i))
			return true;
	}
	return false;
}

static Datum
rebuild(FunctionCallInfo fcinfo, RebuildUntil *until)
{
	bool		by_table = ARG_UNTIL == ARG_SOURCE + 1;
	const char *command = by_table ? "tarn.rebuild" : "tarn.rebuild_history";
	Pipeline   *p;
	PipelineTable *t;
	char	   *name;

	/* files of a transaction that is rolled back later would be nobody's */
	PreventInTransactionBlock(true, command);
	PreventCommandDuringRecovery(command);
	if (by_table)
		t = find_table(PG_GETARG_OID(ARG_SOURCE), &p, until);
	else
		t = find_history(NameStr(*PG_GETARG_NAME(ARG_LAKE)),
						 convert_name_to_lake(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAMESPACE))),
						 convert_name_to_lake(text_to_cstring(PG_GETARG_TEXT_PP(ARG_HISTORY))), &p, until);
	name = PG_ARGISNULL(ARG_LAKE_TABLE) ? rebuild_name(t->name) : convert_name_to_lake(text_to_cstring(PG_GETARG_TEXT_PP(ARG_LAKE_TABLE)));
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of the lake table must not be empty")));
	PG_RETURN_INT64(history_rebuild(p, t, name, until));
}

static void
set_lsn(RebuildUntil *until, XLogRecPtr lsn)
{
	until->lsn = lsn;
	if (lsn == InvalidXLogRecPtr)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("position \"0/0\" is before any history")));
}

static void
set_time(RebuildUntil *until, TimestampTz time)
{
	until->by_time = true;
	until->time = time;
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to rebuild until must be finite")));
}

/* Text that is not a time is perhaps not meant to be one. */
static void
text_hint(void *arg)
{
	if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_DATA_EXCEPTION)
		errhint("Give a position of WAL, such as \"0/16B3748\", or a time, such as \"2026-11-21 12:00+00\".");
}

static void
set_text(RebuildUntil *until, char *text)
{
	Datum		value = CStringGetDatum(text);
	ErrorContextCallback callback = {.callback = text_hint,.previous = error_context_stack};
	size_t		digits = strspn(text, "0123456789abcdefABCDEF");

	error_context_stack = &callback;
	if (digits > 0 && text[digits] == '/' && text[digits + 1 + strspn(text + digits + 1, "0123456789abcdefABCDEF")] == '\0')
		set_lsn(until, DatumGetLSN(DirectFunctionCall1(pg_lsn_in, value)));
	else
		set_time(until, DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, value, ObjectIdGetDatum(InvalidOid),
																Int32GetDatum(-1))));
	error_context_stack = callback.previous;
}

Datum
tarn_rebuild(PG_FUNCTION_ARGS)
{
	RebuildUntil until = {InvalidXLogRecPtr};

	if (source_is_null(fcinfo))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(ARG_UNTIL))
		set_lsn(&until, PG_GETARG_LSN(ARG_UNTIL));
	return rebuild(fcinfo, &until);
}

/*
 * A literal has no type yet, and of functions of one name it takes the one
 * for text, if there is one.
 */
Datum
tarn_rebuild_text(PG_FUNCTION_ARGS)
{
	RebuildUntil until = {InvalidXLogRecPtr};

	if (source_is_null(fcinfo))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(ARG_UNTIL))
		set_text(&until, text_to_cstring(PG_GETARG_TEXT_PP(ARG_UNTIL)));
	return rebuild(fcinfo, &until);
}

Datum
tarn_rebuild_time(PG_FUNCTION_ARGS)
{
	RebuildUntil until = {InvalidXLogRecPtr};

	if (source_is_null(fcinfo) || PG_ARGISNULL(ARG_UNTIL))
		PG_RETURN_NULL();
	set_time(&until, PG_GETARG_TIMESTAMPTZ(ARG_UNTIL));
	return rebuild(fcinfo, &until);
}
