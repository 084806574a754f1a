/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What must hold before a pipeline is made or changed.
 *
 * The same for every function that makes or changes one: what
 * create_pipeline refuses, alter_pipeline refuses, for the owner who shall
 * be as for the one who is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "api/api.h"
#include "base/compat.h"
#include "base/privileged.h"
#include "decode/sink.h"
#include "lake/lake.h"
#include "pipeline/copy.h"
#include "pipeline/registry.h"
#include "pipeline/state.h"

#define MEMORY_LIMIT_MIN (INT64CONST(16) * 1024 * 1024)

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
	privileged_check_version();
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

void
api_check_server(void)
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
	if (tarn_shared->out_of_workers)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("all background workers are in use, and pipelines wait for one"),
				 errhint("Add to postgresql.conf: max_worker_processes = %d, and restart the server.",
						 max_worker_processes + 3 + copy_workers)));
}

/* Members of tarn_owner need no REPLICATION, which would let them stream all of the server's WAL. */
static void
check_replication(Oid owner)
{
	Oid			predefined = get_role_oid("tarn_owner", true);

	if (superuser_arg(owner) || has_rolreplication(owner) ||
		(OidIsValid(predefined) && has_privs_of_role(owner, predefined)))
		return;
	if (owner == GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create pipeline"),
				 errhint("Only superusers, members of tarn_owner and roles with the REPLICATION attribute may create pipelines.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" cannot own a pipeline", GetUserNameFromId(owner, false)),
			 errhint("Only superusers, members of tarn_owner and roles with the REPLICATION attribute may own pipelines.")));
}

static void
check_usage(Oid server, const char *lake_name, Oid owner)
{
	AclResult	aclresult = compat_server_aclcheck(server, owner, ACL_USAGE);

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_SERVER, lake_name);
}

static void
check_tables(List *relids, Oid owner)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		Oid			relid = lfirst_oid(lc);
		AclResult	aclresult = pg_class_aclcheck(relid, owner, ACL_SELECT);

		if (aclresult != ACLCHECK_OK)
			aclcheck_error(aclresult, OBJECT_TABLE, get_rel_name(relid));
	}
}

static void
check_login(Oid owner)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool		login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!login)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot own a pipeline because it is not permitted to log in",
						GetUserNameFromId(owner, false)),
				 errhint("The pipeline's worker connects as its owner. Run ALTER ROLE ... LOGIN.")));
}

void
api_check_store(Oid server, const char *lake_name, Oid owner)
{
	Lake	   *lake = lake_open(server, owner);

	if (strncmp(lake->warehouse, "file:", 5) == 0 &&
		!has_privs_of_role(owner, ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write the warehouse of lake \"%s\"", lake_name),
				 errhint("Only roles with privileges of pg_write_server_files may write files of the server.")));
	store_check_writable(lake->store);
}

void
api_check_owner(Oid owner, const char *lake_name, List *publications)
{
	Oid			server = lake_server_oid(lake_name);

	check_replication(owner);
	check_usage(server, lake_name, owner);
	check_login(owner);
	check_tables(decode_published_tables(publications), owner);
	api_check_store(server, lake_name, owner);
}

void
api_check_publications(const char *name, List *publications)
{
	if (publications == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pipeline \"%s\" needs at least one publication", name)));
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

void
api_check_options(List *options)
{
	registry_check_options(options);
	check_encoding(options);
}

List *
api_array_list(ArrayType *array, const char *what)
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

int64
api_memory_limit(const char *text)
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

void
api_check_interval(Interval *interval)
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
