/*-------------------------------------------------------------------------
 *
 * privileged.c
 *	  Fixed SQL on tarn's own tables, run as the extension's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/privileged.h"

/* Owner and version (in the current context) of the extension here; false when it is not installed. */
static bool
look_up_extension(Oid *owner, char **version)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("tarn"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		*version = isnull ? pstrdup("") : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

Oid
privileged_extension_owner(void)
{
	Oid			owner;
	char	   *version;

	return look_up_extension(&owner, &version) ? owner : InvalidOid;
}

void
privileged_check_version(void)
{
	size_t		length = strlen(TARN_VERSION);
	Oid			owner;
	char	   *version;

	if (!look_up_extension(&owner, &version) ||
		(strncmp(version, TARN_VERSION, length) == 0 && (version[length] == '\0' || version[length] == '.')))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"tarn\" is of version %s, but the server has loaded the library of version %s",
					version, TARN_VERSION),
			 errhint("Install the library of that version and restart the server, or run ALTER EXTENSION tarn UPDATE.")));
}

void
privileged_begin(PrivilegedScope *scope)
{
	Oid			owner = privileged_extension_owner();

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"tarn\" is not installed in this database")));
	scope->context = CurrentMemoryContext;
	scope->pushed_snapshot = !ActiveSnapshotSet();
	if (scope->pushed_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&scope->user, &scope->sec_context);
	SetUserIdAndSecContext(owner, scope->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
privileged_end(PrivilegedScope *scope)
{
	SPI_finish();
	AtEOXact_GUC(true, scope->guc_level);
	SetUserIdAndSecContext(scope->user, scope->sec_context);
	if (scope->pushed_snapshot)
		PopActiveSnapshot();
	MemoryContextSwitchTo(scope->context);
}

uint64
privileged_execute(const char *sql, int nargs, Oid *types, Datum *values,
				   const char *nulls, int expected)
{
	int			rc = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);

	if (rc != expected)
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(rc), sql);
	return SPI_processed;
}
