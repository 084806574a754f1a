/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The rows of tarn.pipeline and tarn.pipeline_table, read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/options.h"
#include "base/privileged.h"
#include "pipeline/registry.h"

const char *const table_state_names[] = {
	[TABLE_COPY] = "copy",
	[TABLE_CATCHUP] = "catchup",
	[TABLE_LIVE] = "live",
	[TABLE_STOPPED] = "stopped",
	[TABLE_SKIPPED] = "skipped",
};

#define PIPELINE_COLUMNS \
	"id, name::text, owner, lake::text, publications::text[], enabled, " \
	"(extract(epoch from flush_interval) * 1000)::bigint, memory_limit, options, " \
	"database, system_identifier, timeline, slot::text, lsn, last_commit, flush_token::text, " \
	"coalesce(fence::text, '')"

/* Column `n` (from 1) of row `row` of SPI's result as a Datum. */
static Datum
result_datum(uint64 row, int n, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, n, isnull);
}

/* The same as text in the context of the caller of privileged_begin; NULL for null. */
static char *
result_text(MemoryContext context, uint64 row, int n)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, n);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

static int64
result_int64(uint64 row, int n)
{
	bool		isnull;
	Datum		value = result_datum(row, n, &isnull);
	Oid			type = SPI_gettypeid(SPI_tuptable->tupdesc, n);

	if (isnull)
		return 0;
	switch (type)
	{
		case BOOLOID:
			return DatumGetBool(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		default:
			return DatumGetInt64(value);	/* int8, pg_lsn, timestamptz */
	}
}

/* A text[] as a List of char * in `context`. */
static List *
result_list(MemoryContext context, uint64 row, int n)
{
	MemoryContext old;
	bool		isnull;
	Datum		value = result_datum(row, n, &isnull);
	Datum	   *items;
	bool	   *nulls;
	int			nitems;
	List	   *list = NIL;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &nitems);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < nitems; i++)
	{
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(items[i]));
	}
	MemoryContextSwitchTo(old);
	return list;
}

/* Fills a Pipeline from row `row` of SPI's result (PIPELINE_COLUMNS). */
static Pipeline *
pipeline_from_row(MemoryContext parent, uint64 row)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn pipeline", ALLOCSET_DEFAULT_SIZES);
	Pipeline   *p = MemoryContextAllocZero(context, sizeof(Pipeline));

	p->context = context;
	p->id = (int32) result_int64(row, 1);
	p->name = result_text(context, row, 2);
	p->lake_label = MemoryContextStrdup(context, convert_name_to_lake(p->name));
	p->owner = (Oid) result_int64(row, 3);
	p->lake_name = result_text(context, row, 4);
	p->publications = result_list(context, row, 5);
	p->enabled = result_int64(row, 6) != 0;
	p->flush_interval_ms = result_int64(row, 7);
	p->memory_limit = result_int64(row, 8);
	p->options = result_list(context, row, 9);
	p->database = (Oid) result_int64(row, 10);
	p->system_identifier = (uint64) result_int64(row, 11);
	p->timeline = (uint32) result_int64(row, 12);
	p->slot = result_text(context, row, 13);
	p->lsn = (XLogRecPtr) result_int64(row, 14);
	p->last_commit = (TimestampTz) result_int64(row, 15);
	strlcpy(p->flush_token, result_text(context, row, 16), sizeof(p->flush_token));
	strlcpy(p->fence, result_text(context, row, 17), sizeof(p->fence));
	return p;
}

static TableState
state_by_name(const char *name)
{
	for (int i = 0; i < lengthof(table_state_names); i++)
	{
		if (strcmp(table_state_names[i], name) == 0)
			return (TableState) i;
	}
	elog(ERROR, "unknown table state \"%s\"", name);
}

static void
load_tables(Pipeline *p)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(p->id)};
	uint64		n;

	n = privileged_execute("SELECT relid, source_schema::text, source_table::text, namespace, table_name, "
						   "state, lsn, copy_token::text, options "
						   "FROM tarn.pipeline_table WHERE pipeline_id = $1 ORDER BY relid",
						   1, types, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(p->context);
		PipelineTable *t = palloc0(sizeof(PipelineTable));
		char	   *token;

		p->tables = lappend(p->tables, t);
		MemoryContextSwitchTo(old);
		t->relid = (Oid) result_int64(i, 1);
		t->schema = result_text(p->context, i, 2);
		t->table = result_text(p->context, i, 3);
		t->namespace = result_text(p->context, i, 4);
		t->name = result_text(p->context, i, 5);
		t->state = state_by_name(result_text(p->context, i, 6));
		t->lsn = (XLogRecPtr) result_int64(i, 7);
		token = result_text(p->context, i, 8);
		strlcpy(t->copy_token, token ? token : "", sizeof(t->copy_token));
		old = MemoryContextSwitchTo(p->context);
		registry_write_options(p->options, result_list(p->context, i, 9), &t->write);
		MemoryContextSwitchTo(old);
	}
}

bool
registry_table_now(int32 pipeline_id, Oid relid, TableState *state, HistoryMode *history)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid)};
	WriteOptions options = {.history = HISTORY_NONE};
	bool		found;

	privileged_begin(&scope);
	found = privileged_execute("SELECT p.options, t.options, t.state FROM tarn.pipeline_table t JOIN tarn.pipeline p ON p.id = t.pipeline_id "
							   "WHERE p.id = $1 AND t.relid = $2",
							   2, types, values, NULL, SPI_OK_SELECT) == 1;
	if (found)
	{
		registry_write_options(result_list(scope.context, 0, 1), result_list(scope.context, 0, 2), &options);
		*state = state_by_name(result_text(scope.context, 0, 3));
		*history = options.history;
	}
	privileged_end(&scope);
	return found;
}

Pipeline *
registry_load(int32 pipeline_id)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};
	Pipeline   *p = NULL;

	if (!OidIsValid(privileged_extension_owner()))
		return NULL;
	privileged_begin(&scope);
	if (privileged_execute("SELECT " PIPELINE_COLUMNS " FROM tarn.pipeline WHERE id = $1",
						   1, types, values, NULL, SPI_OK_SELECT) == 1)
	{
		p = pipeline_from_row(scope.context, 0);
		load_tables(p);
	}
	privileged_end(&scope);
	return p;
}

bool
registry_bound_here(const Pipeline *p)
{
	return p->database == MyDatabaseId && p->system_identifier == GetSystemIdentifier();
}

List *
registry_all(void)
{
	PrivilegedScope scope;
	List	   *list = NIL;
	uint64		n;

	if (!OidIsValid(privileged_extension_owner()))
		return NIL;
	privileged_begin(&scope);
	n = privileged_execute("SELECT " PIPELINE_COLUMNS " FROM tarn.pipeline ORDER BY id",
						   0, NULL, NULL, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		Pipeline   *p = pipeline_from_row(scope.context, i);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		list = lappend(list, p);
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return list;
}

int32
registry_find(const char *name)
{
	List	   *all = registry_all();
	const char **names = palloc0(sizeof(char *) * (list_length(all) + 1));
	const char *closest;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, all)
	{
		Pipeline   *p = lfirst(lc);

		if (strcmp(p->name, name) == 0)
			return p->id;
		names[i++] = p->name;
	}
	closest = option_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("pipeline \"%s\" does not exist", name),
			 closest ? errhint("Perhaps you meant the pipeline \"%s\".", closest) : 0));
}
