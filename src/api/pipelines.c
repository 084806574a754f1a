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
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "api/api.h"
#include "base/compat.h"
#include "base/options.h"
#include "base/privileged.h"
#include "decode/sink.h"
#include "pipeline/copy.h"
#include "pipeline/registry.h"
#include "pipeline/state.h"

PG_FUNCTION_INFO_V1(tarn_create_pipeline);
PG_FUNCTION_INFO_V1(tarn_pause);
PG_FUNCTION_INFO_V1(tarn_resume);
PG_FUNCTION_INFO_V1(tarn_set_table_options);

#define MEMORY_LIMIT_MIN (INT64CONST(16) * 1024 * 1024)

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

void
api_check_loaded(void)
{
	const char *libraries = GetConfigOption("shared_preload_libraries", true, false);

	if (tarn_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipelines need tarn to be loaded at server start"),
				 errhint("Add to postgresql.conf: shared_preload_libraries = '%s%starn', and restart the server.",
						 libraries ? libraries : "", libraries && *libraries ? "," : "")));
}

/* Is `name` one of a comma-separated list of libraries? */
static bool
list_names(const char *list, const char *name)
{
	List	   *items;
	ListCell   *lc;

	if (!SplitGUCList(pstrdup(list), ',', &items))
		return false;
	foreach(lc, items)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

static int
free_slots(void)
{
	int			n = 0;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
		n += !ReplicationSlotCtl->replication_slots[i].in_use;
	LWLockRelease(ReplicationSlotControlLock);
	return n;
}

static void
check_server(void)
{
	const char *allowed = GetConfigOption("output_plugin_libraries", true, false);

	api_check_loaded();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipelines cannot be created during recovery")));
	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipelines need wal_level = logical"),
				 errhint("Add to postgresql.conf: wal_level = logical, and restart the server.")));
	if (allowed && !list_names(allowed, "tarn"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("library \"tarn\" may not be used as an output plugin"),
				 errhint("Add to postgresql.conf: output_plugin_libraries = '%s%starn', and reload.",
						 allowed, *allowed ? ", " : "")));
	if (free_slots() < 2)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("a pipeline needs two free replication slots: one to keep, one while tables are copied"),
				 errhint("Add to postgresql.conf: max_replication_slots = %d, and restart the server.",
						 max_replication_slots + 2)));
	if (max_worker_processes < 3 + copy_workers)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("a pipeline needs %d background workers: launcher, worker, copy and its %d helpers",
						3 + copy_workers, copy_workers),
				 errhint("Add to postgresql.conf: max_worker_processes = %d, and restart the server.",
						 max_worker_processes + 3 + copy_workers)));
}

/* The caller's rights on what the pipeline will use. */
static Oid
check_rights(const char *lake_name)
{
	Oid			server = lake_server_oid(lake_name);
	AclResult	aclresult;

	if (!superuser() && !has_rolreplication(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create pipeline"),
				 errhint("Only superusers and roles with the REPLICATION attribute may create pipelines.")));
	aclresult = compat_server_aclcheck(server, GetUserId(), ACL_USAGE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_SERVER, lake_name);
	return server;
}

static void
check_tables(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		Oid			relid = lfirst_oid(lc);
		AclResult	aclresult = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

		if (aclresult != ACLCHECK_OK)
			aclcheck_error(aclresult, OBJECT_TABLE, get_rel_name(relid));
	}
}

static void
check_owner_login(void)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool		login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	ReleaseSysCache(tuple);
	if (!login)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot own a pipeline because it is not permitted to log in",
						GetUserNameFromId(GetUserId(), false)),
				 errhint("The pipeline's worker connects as its owner. Run ALTER ROLE ... LOGIN.")));
}

static void
check_store(Oid server, const char *lake_name)
{
	Lake	   *lake = lake_open(server, GetUserId());

	if (strncmp(lake->warehouse, "file:", 5) == 0 &&
		!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write the warehouse of lake \"%s\"", lake_name),
				 errhint("Only roles with privileges of pg_write_server_files may write files of the server.")));
	store_check_writable(lake->store);
}

/* A name[] or text[] without nulls as a List of char *. */
static List *
array_list(ArrayType *array, const char *what)
{
	bool		names = ARR_ELEMTYPE(array) == NAMEOID;
	Datum	   *items;
	bool	   *nulls;
	int			n;
	List	   *list = NIL;

	deconstruct_array(array, ARR_ELEMTYPE(array), names ? NAMEDATALEN : -1, false,
					  names ? TYPALIGN_CHAR : TYPALIGN_INT, &items, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", what)));
		list = lappend(list, names ? pstrdup(NameStr(*DatumGetName(items[i]))) : TextDatumGetCString(items[i]));
	}
	return list;
}

static int64
memory_limit_bytes(const char *text)
{
	int			kb;
	const char *hint = NULL;

	if (!parse_int(text, &kb, GUC_UNIT_KB, &hint) || (int64) kb * 1024 < MEMORY_LIMIT_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for memory_limit: \"%s\"", text),
				 errdetail("It must be at least 16MB."),
				 hint ? errhint("%s", hint) : 0));
	return (int64) kb * 1024;
}

static void
check_interval(Interval *interval)
{
	Datum		minimum = DirectFunctionCall3(interval_in, CStringGetDatum("100 ms"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum		maximum = DirectFunctionCall3(interval_in, CStringGetDatum("1 day"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	if (DatumGetBool(DirectFunctionCall2(interval_lt, IntervalPGetDatum(interval), minimum)) ||
		DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(interval), maximum)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for flush_interval: \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)))),
				 errdetail("It must be between 100 ms and 1 day.")));
}

/* Text that may be in any encoding is only taken by somebody who says what to do with it. */
static void
check_encoding(List *options)
{
	WriteOptions write;

	registry_write_options(options, NIL, &write);
	if (GetDatabaseEncoding() == PG_SQL_ASCII && !write.text_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the text of a database with encoding \"SQL_ASCII\" may be in any encoding"),
				 errdetail("Strings of a lake are UTF-8."),
				 errhint("Set the option sql_ascii=bytes to keep text as binary.")));
}

static int32
insert_pipeline(FunctionCallInfo fcinfo, int64 memory_limit)
{
	PrivilegedScope scope;
	char		token[TOKEN_LENGTH + 1];
	Oid			types[] = {NAMEOID, OIDOID, NAMEOID, NAMEARRAYOID, INTERVALOID, INT8OID, TEXTARRAYOID,
	OIDOID, INT8OID, TEXTOID};
	Datum		values[10];
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
	privileged_begin(&scope);
	if (privileged_execute("SELECT FROM tarn.pipeline WHERE name = $1", 1, types, values, NULL, SPI_OK_SELECT) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already exists", NameStr(*PG_GETARG_NAME(0)))));
	privileged_execute("WITH n AS (SELECT pg_catalog.nextval("
					   "pg_catalog.pg_get_serial_sequence('tarn.pipeline', 'id'))::integer AS id) "
					   "INSERT INTO tarn.pipeline (id, name, owner, lake, publications, flush_interval, memory_limit, "
					   "options, database, system_identifier, slot, flush_token) OVERRIDING SYSTEM VALUE "
					   "SELECT n.id, $1, $2, $3, $4, $5, $6, $7, $8, $9, 'tarn_' || $8 || '_' || n.id, $10::uuid FROM n "
					   "RETURNING id", 10, types, values, NULL, SPI_OK_INSERT_RETURNING);
	id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	privileged_end(&scope);
	return id;
}

Datum
tarn_create_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	char	   *lake = NameStr(*PG_GETARG_NAME(1));
	List	   *publications = array_list(PG_GETARG_ARRAYTYPE_P(2), "publications");
	int64		memory_limit = memory_limit_bytes(text_to_cstring(PG_GETARG_TEXT_PP(4)));
	List	   *options = array_list(PG_GETARG_ARRAYTYPE_P(5), "options");
	Oid			server;
	int32		id;

	check_interval(PG_GETARG_INTERVAL_P(3));
	registry_check_options(options);
	check_encoding(options);
	check_server();
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("pipeline name must not be empty")));
	if (publications == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pipeline \"%s\" needs at least one publication", name)));
	server = check_rights(lake);
	check_owner_login();
	check_tables(decode_published_tables(publications));
	check_store(server, lake);
	id = insert_pipeline(fcinfo, memory_limit);
	(void) registry_sync_tables(id, lake, publications);
	api_scout_at_commit();
	PG_RETURN_VOID();
}

/* Id of a pipeline the caller may manage. */
int32
api_pipeline_for_owner(const char *name, Oid *owner)
{
	int32		id = registry_find(name);
	Pipeline   *p = registry_load(id);

	if (!has_privs_of_role(GetUserId(), p->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of pipeline \"%s\"", name)));
	if (owner)
		*owner = p->owner;
	return id;
}

static void
set_enabled(int32 id, bool enabled)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, BOOLOID};
	Datum		values[] = {Int32GetDatum(id), BoolGetDatum(enabled)};

	privileged_begin(&scope);
	privileged_execute("UPDATE tarn.pipeline SET enabled = $2 WHERE id = $1", 2, types, values, NULL, SPI_OK_UPDATE);
	if (enabled)
		privileged_execute("UPDATE tarn.pipeline_table SET state = 'copy', error = NULL, error_at = NULL "
						   "WHERE pipeline_id = $1 AND state = 'stopped'", 1, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
	api_scout_at_commit();
}

Datum
tarn_pause(PG_FUNCTION_ARGS)
{
	set_enabled(api_pipeline_for_owner(NameStr(*PG_GETARG_NAME(0)), NULL), false);
	PG_RETURN_VOID();
}

/* Also ends a back-off, and copies tables anew that were stopped by an error. */
Datum
tarn_resume(PG_FUNCTION_ARGS)
{
	int32		id = api_pipeline_for_owner(NameStr(*PG_GETARG_NAME(0)), NULL);
	PipelineState *state;

	api_check_loaded();
	set_enabled(id, true);
	state = state_find(MyDatabaseId, id);
	if (state)
	{
		state->restart_at = 0;
		state->failures = 0;
		if (state->pid == 0)
			state->activity = PIPELINE_BACKOFF;
	}
	PG_RETURN_VOID();
}

Datum
tarn_set_table_options(PG_FUNCTION_ARGS)
{
	PrivilegedScope scope;
	int32		id = api_pipeline_for_owner(NameStr(*PG_GETARG_NAME(0)), NULL);
	Oid			relid = PG_GETARG_OID(1);
	Oid			types[] = {INT4OID, OIDOID, TEXTARRAYOID};
	Datum		values[] = {Int32GetDatum(id), ObjectIdGetDatum(relid), PG_GETARG_DATUM(2)};
	uint64		n;

	registry_check_options(array_list(PG_GETARG_ARRAYTYPE_P(2), "options"));
	privileged_begin(&scope);
	n = privileged_execute("UPDATE tarn.pipeline_table SET options = $3 WHERE pipeline_id = $1 AND relid = $2",
						   3, types, values, NULL, SPI_OK_UPDATE);
	privileged_end(&scope);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s is not mirrored by pipeline \"%s\"",
						quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)),
						NameStr(*PG_GETARG_NAME(0)))));
	api_scout_at_commit();
	PG_RETURN_VOID();
}
