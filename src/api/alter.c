/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  tarn.alter_pipeline: settings of a pipeline that runs.
 *
 * What is not given stays.  The worker reads the row again; for all but the
 * flush interval and the options a new process takes over, which decodes
 * again what the old one had not written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/api.h"
#include "base/compat.h"
#include "base/privileged.h"
#include "decode/note.h"
#include "decode/sink.h"
#include "pipeline/registry.h"

PG_FUNCTION_INFO_V1(tarn_alter_pipeline);

/* Arguments of tarn.alter_pipeline, in their order; null ones stay as they are. */
enum
{
	ARG_NAME, ARG_FLUSH_INTERVAL, ARG_MEMORY_LIMIT, ARG_PUBLICATIONS, ARG_OPTIONS, ARG_OWNER, NARGS
};

/* Which of the publications publish this very table: their names, sorted by the list. */
static List *
publishing(Oid relid, List *publications)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, publications)
	{
		char	   *name = lfirst(lc);

		if (OidIsValid(get_publication_oid(name, true)) &&
			list_member_oid(decode_published_tables(list_make1(name)), relid))
			names = lappend(names, name);
	}
	return names;
}

static bool
names_subset(List *names, List *of)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		ListCell   *lc2;
		bool		found = false;

		foreach(lc2, of)
			found |= strcmp(lfirst(lc), lfirst(lc2)) == 0;
		if (!found)
			return false;
	}
	return true;
}

/*
 * A table that other publications publish than before may have other rows,
 * columns and operations in the lake from now on: it is copied anew.
 */
static void
change_publications(const Pipeline *p, List *publications)
{
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		PipelineTable *t = lfirst(lc);
		List	   *before = publishing(t->relid, p->publications);
		List	   *after = publishing(t->relid, publications);

		if (t->state != TABLE_SKIPPED && after != NIL &&
			!(names_subset(before, after) && names_subset(after, before)))
			(void) registry_copy_anew(p->id, t->relid, "other publications of the pipeline publish it");
	}
	(void) registry_sync_tables(p->id, p->lake_name, publications, true);
}

/* The role that shall own the pipeline; the caller must be able to become it. */
static Oid
new_owner(const char *name)
{
	Oid			owner = get_role_oid(name, false);

	compat_check_can_become(GetUserId(), owner);
	return owner;
}

static void
update_row(FunctionCallInfo fcinfo, int32 id, int64 memory_limit, Oid owner)
{
	PrivilegedScope scope;
	Oid			types[NARGS] = {INT4OID, INTERVALOID, INT8OID, NAMEARRAYOID, TEXTARRAYOID, OIDOID};
	Datum		values[NARGS];
	char		nulls[NARGS + 1] = "";

	for (int i = 0; i < NARGS; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	values[ARG_NAME] = Int32GetDatum(id);
	values[ARG_MEMORY_LIMIT] = Int64GetDatum(memory_limit);
	values[ARG_OWNER] = ObjectIdGetDatum(owner);
	privileged_begin(&scope);
	privileged_execute("UPDATE tarn.pipeline SET flush_interval = coalesce($2, flush_interval), "
					   "memory_limit = coalesce($3, memory_limit), publications = coalesce($4, publications), "
					   "options = coalesce($5, options), owner = coalesce($6, owner) WHERE id = $1",
					   NARGS, types, values, nulls, SPI_OK_UPDATE);
	privileged_end(&scope);
}

Datum
tarn_alter_pipeline(PG_FUNCTION_ARGS)
{
	Pipeline   *p;
	List	   *publications;
	int64		memory_limit = 0;
	Oid			owner;

	if (PG_ARGISNULL(ARG_NAME))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline name must not be null")));
	p = api_lock_pipeline(NameStr(*PG_GETARG_NAME(ARG_NAME)));
	publications = p->publications;
	owner = p->owner;
	if (!PG_ARGISNULL(ARG_FLUSH_INTERVAL))
		api_check_interval(PG_GETARG_INTERVAL_P(ARG_FLUSH_INTERVAL));
	if (!PG_ARGISNULL(ARG_MEMORY_LIMIT))
		memory_limit = api_memory_limit(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MEMORY_LIMIT)));
	if (!PG_ARGISNULL(ARG_OPTIONS))
		api_check_options(api_array_list(PG_GETARG_ARRAYTYPE_P(ARG_OPTIONS), "options"));
	if (!PG_ARGISNULL(ARG_PUBLICATIONS))
	{
		publications = api_array_list(PG_GETARG_ARRAYTYPE_P(ARG_PUBLICATIONS), "publications");
		api_check_publications(p->name, publications);
	}
	if (!PG_ARGISNULL(ARG_OWNER))
		owner = new_owner(NameStr(*PG_GETARG_NAME(ARG_OWNER)));
	if (!PG_ARGISNULL(ARG_PUBLICATIONS) || !PG_ARGISNULL(ARG_OWNER))
		api_check_owner(owner, p->lake_name, publications);

	update_row(fcinfo, p->id, memory_limit, owner);
	if (!PG_ARGISNULL(ARG_PUBLICATIONS))
		change_publications(p, publications);
	if (!PG_ARGISNULL(ARG_OPTIONS))
	{
		note_write(NOTE_OPTIONS);
		api_histories_changed(p);
	}
	api_scout_at_commit();
	PG_RETURN_VOID();
}
