/*-------------------------------------------------------------------------
 *
 * mirrored.c
 *	  SQL functions on the tables of a pipeline: skip, resync, resume, options.
 *
 * They change a table's state in the registry; the worker, told to read it
 * again, does the rest.  A table that is copied anew stays readable as it is
 * until the copy replaces it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/api.h"
#include "base/privileged.h"
#include "decode/note.h"
#include "pipeline/registry.h"
#include "pipeline/tables.h"

PG_FUNCTION_INFO_V1(tarn_set_table_options);
PG_FUNCTION_INFO_V1(tarn_skip);
PG_FUNCTION_INFO_V1(tarn_resume_table);
PG_FUNCTION_INFO_V1(tarn_resync);
PG_FUNCTION_INFO_V1(tarn_resync_table);

PipelineTable *
api_find_mirrored(const Pipeline *p, Oid relid)
{
	PipelineTable *t = pipeline_find_table(p, relid);
	char	   *name = get_rel_name(relid);

	if (t)
		return t;
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table %s is not mirrored by pipeline \"%s\"",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name), p->name)));
	return NULL;
}

void
api_histories_changed(const Pipeline *before)
{
	const Pipeline *after = registry_load(before->id);
	ListCell   *lc;

	foreach(lc, after->tables)
	{
		const PipelineTable *t = lfirst(lc);
		const PipelineTable *old = pipeline_find_table(before, t->relid);

		bool		begins = old && t->write.history != HISTORY_NONE && old->write.history == HISTORY_NONE;

		/* others are copied before they follow */
		if (old && (t->state == TABLE_LIVE || t->state == TABLE_CATCHUP))
		{
			if (begins)
				(void) registry_copy_anew(after->id, t->relid, "its history begins");
			else if (table_mirrored(t) && !table_mirrored(old))
				(void) registry_copy_anew(after->id, t->relid, "it was not mirrored, but for its history");
		}
		if (begins)
			registry_history_begins(after->id, t->relid);
	}
}

Datum
tarn_set_table_options(PG_FUNCTION_ARGS)
{
	PrivilegedScope scope;
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));
	PipelineTable *t;
	Oid			types[] = {INT4OID, OIDOID, TEXTARRAYOID};
	Datum		values[3];

	registry_check_options(api_array_list(PG_GETARG_ARRAYTYPE_P(2), "options"));
	t = api_find_mirrored(p, PG_GETARG_OID(1));
	values[0] = Int32GetDatum(p->id);
	values[1] = ObjectIdGetDatum(t->relid);
	values[2] = PG_GETARG_DATUM(2);
	privileged_begin(&scope);
	privileged_execute("UPDATE tarn.pipeline_table SET options = $3 WHERE pipeline_id = $1 AND relid = $2",
					   3, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
	/* they hold from this place of the stream on */
	note_write(NOTE_OPTIONS);
	api_histories_changed(p);
	api_scout_at_commit();
	PG_RETURN_VOID();
}

/* Its changes are passed over from now on, and its lake table stays as it is. */
Datum
tarn_skip(PG_FUNCTION_ARGS)
{
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));
	PipelineTable *t = api_find_mirrored(p, PG_GETARG_OID(1));

	registry_skip_table(p->id, t->relid);
	api_scout_at_commit();
	PG_RETURN_VOID();
}

/* What was missed meanwhile is not in the stream any more: a copy brings it back. */
Datum
tarn_resume_table(PG_FUNCTION_ARGS)
{
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));
	PipelineTable *t = api_find_mirrored(p, PG_GETARG_OID(1));

	api_check_bound(p);
	if (t->state == TABLE_SKIPPED || t->state == TABLE_STOPPED)
		(void) registry_copy_anew(p->id, t->relid,
								  t->state == TABLE_SKIPPED ? "resumed after it was skipped" : "resumed after an error");
	api_scout_at_commit();
	PG_RETURN_VOID();
}

Datum
tarn_resync_table(PG_FUNCTION_ARGS)
{
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));
	PipelineTable *t = api_find_mirrored(p, PG_GETARG_OID(1));

	api_check_bound(p);
	(void) registry_copy_anew(p->id, t->relid, "tarn.resync");
	api_scout_at_commit();
	PG_RETURN_VOID();
}

/*
 * Begins anew: a slot of its own time, and copies of all tables but the
 * skipped ones.  The one way on after the slot, or WAL, was lost.
 */
Datum
tarn_resync(PG_FUNCTION_ARGS)
{
	Pipeline   *p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(0)));

	api_check_server();
	api_check_bound(p);
	registry_begin_anew(p->id);
	api_start_at_commit(p->id);
	PG_RETURN_VOID();
}
