/*-------------------------------------------------------------------------
 *
 * restored.c
 *	  Pipelines that came with a dump, and tarn.take_over.
 *
 * A dump has the rows of the pipelines.  Restored, they must not write into
 * the lake of the original: a trigger disables each row that is inserted
 * (create_pipeline enables its own afterwards), and a pipeline belongs to
 * the database and the server it was made in (registry_bound_here), which
 * also holds for templates, clones and pg_upgrade, where no row is inserted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "api/api.h"
#include "base/compat.h"
#include "base/privileged.h"
#include "lake/lake.h"
#include "pipeline/fence.h"
#include "pipeline/registry.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_disable_restored);
PG_FUNCTION_INFO_V1(tarn_take_over);

/* BEFORE INSERT ON tarn.pipeline FOR EACH ROW */
Datum
tarn_disable_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int			column;
	Datum		value = BoolGetDatum(false);
	bool		isnull = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"tarn_disable_restored\" must be called as a trigger before insert")));
	column = SPI_fnumber(RelationGetDescr(trigger->tg_relation), "enabled");
	if (column <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"enabled\" does not exist")));
	return PointerGetDatum(heap_modify_tuple_by_cols(trigger->tg_trigtuple,
													 RelationGetDescr(trigger->tg_relation),
													 1, &column, &value, &isnull));
}

/* What the tables of the pipeline were set to, by their names: oids do not survive a dump. */
typedef struct TableSettings
{
	char	   *schema;
	char	   *table;
	char	   *state;
	char	   *options;		/* text[] as text */
} TableSettings;

static List *
forget_tables(int32 id)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};
	List	   *list = NIL;
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute("DELETE FROM tarn.pipeline_table WHERE pipeline_id = $1 "
						   "RETURNING source_schema::text, source_table::text, state, options::text",
						   1, types, values, NULL, SPI_OK_DELETE_RETURNING);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(scope.context);
		TableSettings *t = palloc(sizeof(TableSettings));
		char	  **fields[] = {&t->schema, &t->table, &t->state, &t->options};

		for (int f = 0; f < lengthof(fields); f++)
			*fields[f] = pstrdup(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, f + 1));
		list = lappend(list, t);
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return list;
}

static void
restore_settings(int32 id, List *settings)
{
	ListCell   *lc;

	foreach(lc, settings)
	{
		TableSettings *t = lfirst(lc);
		PrivilegedScope scope;
		Oid			types[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
		Datum		values[] = {Int32GetDatum(id), CStringGetTextDatum(t->schema), CStringGetTextDatum(t->table),
		CStringGetTextDatum(t->state), CStringGetTextDatum(t->options)};

		privileged_begin(&scope);
		privileged_execute("UPDATE tarn.pipeline_table SET options = $5::text[], "
						   "state = CASE WHEN $4 = 'skipped' THEN $4 ELSE state END "
						   "WHERE pipeline_id = $1 AND source_schema = $2::name AND source_table = $3::name",
						   5, types, values, NULL, SPI_OK_UPDATE);
		privileged_end(&scope);
	}
}

/* Files outside of the warehouse are the original's: the server may name another warehouse now. */
static void
adopt_lake(const Pipeline *p)
{
	Lake	   *lake = lake_open(lake_server_oid(p->lake_name), GetUserId());
	char	   *below = psprintf("%s/", lake->warehouse);
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(p->lake_name), CStringGetTextDatum(below)};
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);
		char	   *location = catalog_load(lake->catalog, t->namespace, t->name);

		if (location && strncmp(location, below, strlen(below)) != 0)
			catalog_drop(lake->catalog, t->namespace, t->name);
	}
	/* transaction ids of another server say nothing here */
	privileged_begin(&scope);
	privileged_execute("DELETE FROM tarn.garbage WHERE lake = $1::name AND NOT pg_catalog.starts_with(path, $2)",
					   2, types, values, NULL, SPI_OK_DELETE);
	privileged_execute("UPDATE tarn.garbage SET xid = DEFAULT, since = DEFAULT WHERE lake = $1::name",
					   1, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
}

/* A token of our own: files named after the recorded one may belong to an original that runs after all. */
static void
bind_row(int32 id)
{
	PrivilegedScope scope;
	char		token[TOKEN_LENGTH + 1];
	Oid			types[] = {INT4OID, OIDOID, INT8OID, OIDOID, TEXTOID};
	Datum		values[5];

	registry_new_token(token);
	values[0] = Int32GetDatum(id);
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = Int64GetDatum((int64) GetSystemIdentifier());
	values[3] = ObjectIdGetDatum(GetUserId());
	values[4] = CStringGetTextDatum(token);
	privileged_begin(&scope);
	privileged_execute("UPDATE tarn.pipeline SET database = $2, system_identifier = $3, owner = $4, "
					   "slot = 'tarn_' || $2 || '_' || id, lsn = NULL, timeline = NULL, last_commit = NULL, "
					   "flush_token = $5::uuid, fence = NULL, enabled = true WHERE id = $1",
					   5, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
}

/* Did its worker find that something is wrong, such as another server's marker in the lake? */
static bool
is_in_trouble(int32 id)
{
	PipelineState *state = state_find(MyDatabaseId, id);

	return state != NULL && (state->activity == PIPELINE_STOPPED || state->failures > 0);
}

/*
 * A copy of this server's own database (a template, a dump that was restored
 * here) has its original's lake tables: copying them anew would put the
 * original's files on the list of what is removed.
 */
static void
check_original(const Pipeline *p, Lake *lake)
{
	char	   *below = psprintf("%s/", lake->warehouse);
	bool		shared = fence_look(lake, p->slot, "") != FENCE_NONE;
	char	   *original;
	ListCell   *lc;

	if (p->system_identifier != GetSystemIdentifier() ||
		(SearchNamedReplicationSlot(p->slot, true) == NULL && state_find(p->database, p->id) == NULL))
		return;
	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);
		char	   *location = catalog_load(lake->catalog, t->namespace, t->name);

		shared |= location && strncmp(location, below, strlen(below)) == 0;
	}
	if (!shared)
		return;
	original = get_database_name(p->database);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("lake \"%s\" is written by pipeline \"%s\" of database \"%s\", of which this is a copy",
					p->lake_name, p->name, original ? original : "?"),
			 errhint("Let this one write elsewhere: ALTER SERVER %s OPTIONS (SET warehouse '...'). Or run SELECT tarn.drop_pipeline(%s) there first.",
					 quote_identifier(p->lake_name), quote_literal_cstr(p->name))));
}

Datum
tarn_take_over(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	Pipeline   *p;
	Lake	   *lake;
	List	   *settings;

	/* the owner in the row is a number of another server, and says nothing */
	if (!compat_database_ownercheck(MyDatabaseId, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of the database to take over pipeline \"%s\"", name)));
	p = registry_load(registry_find(name));
	if (p != NULL && registry_bound_here(p) && is_in_trouble(p->id))
	{
		registry_claim_lake(p->id);
		api_start_at_commit(p->id);
		PG_RETURN_VOID();
	}
	if (p == NULL || registry_bound_here(p))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" belongs to this database", name),
				 errhint("To start it run SELECT tarn.resume(%s), to copy its tables anew tarn.resync(%s).",
						 quote_literal_cstr(name), quote_literal_cstr(name))));
	api_check_server();
	api_check_owner(GetUserId(), p->lake_name, p->publications);
	lake = lake_open(lake_server_oid(p->lake_name), GetUserId());
	check_original(p, lake);
	/* its original is known to the caller, and if it lives it learns of this */
	fence_check_warehouse(lake, p->system_identifier);
	adopt_lake(p);
	bind_row(p->id);
	settings = forget_tables(p->id);
	(void) registry_sync_tables(p->id, p->lake_name, p->publications, false);
	restore_settings(p->id, settings);
	api_start_at_commit(p->id);
	PG_RETURN_VOID();
}
