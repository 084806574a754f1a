/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The foreign data wrapper's entry points: handler and validator.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "fdw/fdw.h"

PG_FUNCTION_INFO_V1(tarn_fdw_handler);
PG_FUNCTION_INFO_V1(tarn_fdw_validator);

Datum
tarn_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = fdw_get_rel_size;
	routine->GetForeignPaths = fdw_get_paths;
	routine->GetForeignPlan = fdw_get_plan;
	routine->BeginForeignScan = fdw_begin_scan;
	routine->IterateForeignScan = fdw_iterate_scan;
	routine->ReScanForeignScan = fdw_rescan;
	routine->EndForeignScan = fdw_end_scan;
	routine->ExplainForeignScan = fdw_explain_scan;
	routine->AnalyzeForeignTable = fdw_analyze;
	routine->ImportForeignSchema = fdw_import_schema;
	PG_RETURN_POINTER(routine);
}

/* Where options of a catalog's objects may stand; 0: nowhere (the wrapper itself). */
static int
validator_where(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return LAKE_OPTION_SERVER;
		case UserMappingRelationId:
			return LAKE_OPTION_USER;
		case ForeignTableRelationId:
			return LAKE_OPTION_TABLE;
		case AttributeRelationId:
			return LAKE_OPTION_COLUMN;
		default:
			return 0;
	}
}

Datum
tarn_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));

	lake_options_check(options, validator_where(PG_GETARG_OID(1)));
	PG_RETURN_VOID();
}
