/*-------------------------------------------------------------------------
 *
 * pipelines.c
 *	  SQL functions that make, drop, pause and resume pipelines.
 *
 * They change rows of schema tarn only; processes follow after the commit:
 * the launcher is asked to look at this database's pipelines again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/api.h"
#include "base/privileged.h"
#include "pipeline/crash_mark.h"
#include "pipeline/fence.h"
#include "pipeline/registry.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_create_pipeline);
PG_FUNCTION_INFO_V1(tarn_pause);
PG_FUNCTION_INFO_V1(tarn_resume);

static bool scout_wanted = false;

/* After an abort too: the row may say that a worker we stopped should run. */
static void
scout_at_end(XactEvent event, void *arg)
{
	if (!scout_wanted || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	scout_wanted = false;
	state_scout(MyDatabaseId);
}

void
api_scout_at_commit(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(scout_at_end, NULL);
	registered = true;
	scout_wanted = true;
}

static int32
insert_pipeline(FunctionCallInfo fcinfo, int64 memory_limit)
{
	PrivilegedScope scope;
	char		token[TOKEN_LENGTH + 1];
	Oid			types[] = {NAMEOID, OIDOID, NAMEOID, NAMEARRAYOID, INTERVALOID, INT8OID, TEXTARRAYOID,
	OIDOID, INT8OID, TEXTOID, BOOLOID};
	Datum		values[11];
	bool		isnull;
	int32		id;

	registry_new_token(token);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = ObjectIdGetDatum(GetUserId());
	values[2] = PG_GETARG_DATUM(1);
	values[3] = PG_GETARG_DATUM(2);
	values[4] = PG_GETARG_DATUM(3);
	values[5] = Int64GetDatum(memory_limit);
	values[6] = PG_GETARG_DATUM(5);
	values[7] = ObjectIdGetDatum(MyDatabaseId);
	values[8] = Int64GetDatum((int64) GetSystemIdentifier());
	values[9] = CStringGetTextDatum(token);
	values[10] = PG_GETARG_DATUM(6);
	privileged_begin(&scope);
	if (privileged_execute("SELECT FROM tarn.pipeline WHERE name = $1", 1, types, values, NULL, SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already exists", NameStr(*PG_GETARG_NAME(0)))));
	privileged_execute("WITH n AS (SELECT pg_catalog.nextval("
					   "pg_catalog.pg_get_serial_sequence('tarn.pipeline', 'id'))::integer AS id) "
					   "INSERT INTO tarn.pipeline (id, name, owner, lake, publications, flush_interval, memory_limit, "
					   "options, database, system_identifier, slot, flush_token) OVERRIDING SYSTEM VALUE "
					   "SELECT n.id, $1, $2, $3, $4, $5, $6, CASE WHEN $11 THEN $7 || '{history=true}' ELSE $7 END, $8, $9, 'tarn_' || $8 || '_' || n.id, $10::uuid FROM n "
					   "RETURNING id", 11, types, values, NULL, SPI_OK_INSERT_RETURNING);
	id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));

	/* rows come disabled (api/restored.c) */
	values[0] = Int32GetDatum(id);
	types[0] = INT4OID;
	privileged_execute("UPDATE tarn.pipeline SET enabled = true WHERE id = $1", 1, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
	return id;
}

Datum
tarn_create_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	char	   *lake = NameStr(*PG_GETARG_NAME(1));
	List	   *publications = api_array_list(PG_GETARG_ARRAYTYPE_P(2), "publications");
	int64		memory_limit = api_memory_limit(text_to_cstring(PG_GETARG_TEXT_PP(4)));
	List	   *options;
	int32		id;

	api_check_interval(PG_GETARG_INTERVAL_P(3));
	options = api_array_list(PG_GETARG_ARRAYTYPE_P(5), "options");
	if (PG_GETARG_BOOL(6))
		options = lappend(options, "history=true");
	api_check_options(options);
	api_check_server();
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("pipeline name must not be empty")));
	api_check_publications(name, publications);
	api_check_owner(GetUserId(), lake, publications);
	fence_check_warehouse(lake_open(lake_server_oid(lake), GetUserId()), 0);
	id = insert_pipeline(fcinfo, memory_limit);
	(void) registry_sync_tables(id, lake, publications, true);
	api_scout_at_commit();
	PG_RETURN_VOID();
}

void
api_check_pipeline_owner(const Pipeline *p)
{
	if (!has_privs_of_role(GetUserId(), p->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of pipeline \"%s\"", p->name)));
}

/* A pipeline the caller may manage. */
Pipeline *
api_pipeline_for_owner(const char *name)
{
	Pipeline   *p = registry_load(registry_find(name));

	if (p == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" was dropped", name)));
	api_check_pipeline_owner(p);
	return p;
}

Pipeline *
api_lock_pipeline(const char *name)
{
	registry_lock(api_pipeline_for_owner(name)->id);
	return api_pipeline_for_owner(name);
}

void
api_check_bound(const Pipeline *p)
{
	if (registry_bound_here(p))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pipeline \"%s\" was made in another database", p->name),
			 errdetail("It came with a dump, a template, pg_upgrade or a copy of the server, and its original may still write into lake \"%s\".",
					   p->lake_name),
			 errhint("If the original runs no more, or the lake's server now names another warehouse, run SELECT tarn.take_over(%s).",
					 quote_literal_cstr(p->name))));
}

void
api_start_at_commit(int32 id)
{
	PipelineState *state = state_find(MyDatabaseId, id);

	api_scout_at_commit();
	crash_marks_remove(MyDatabaseId, id);
	if (state == NULL)
		return;
	state->restart_at = 0;
	state->failures = 0;
	if (state->pid == 0)
		state->activity = PIPELINE_BACKOFF;
}

static void
set_enabled(int32 id, bool enabled)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, BOOLOID};
	Datum		values[] = {Int32GetDatum(id), BoolGetDatum(enabled)};

	privileged_begin(&scope);
	privileged_execute("UPDATE tarn.pipeline SET enabled = $2 WHERE id = $1", 2, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
}

Datum
tarn_pause(PG_FUNCTION_ARGS)
{
	set_enabled(api_pipeline_for_owner(NameStr(*PG_GETARG_NAME(0)))->id, false);
	api_scout_at_commit();
	PG_RETURN_VOID();
}

/* Also ends a back-off, and copies tables anew that were stopped by an error; skipped ones stay out. */
Datum
tarn_resume(PG_FUNCTION_ARGS)
{
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));
	ListCell   *lc;

	api_check_loaded();
	api_check_bound(p);
	set_enabled(p->id, true);
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);

		if (t->state == TABLE_STOPPED)
			(void) registry_copy_anew(p->id, t->relid, "resumed after an error");
	}
	api_start_at_commit(p->id);
	PG_RETURN_VOID();
}
