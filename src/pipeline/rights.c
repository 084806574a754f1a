/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  May the pipeline's owner have all of a table?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "pipeline/rights.h"

static bool
may_select(const PipelineTable *t, Oid user)
{
	if (pg_class_aclcheck(t->relid, user, ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < t->ncolumns; i++)
	{
		if (pg_attribute_aclcheck(t->relid, t->columns[i].attnum, user, ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

static bool
has_row_security(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result = HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* As COPY would ask.  A lake table has no policies: what the owner may see all of, its readers would, too. */
char *
pipeline_table_forbidden(const PipelineTable *t)
{
	Oid			user = GetUserId();
	char	   *name = quote_qualified_identifier(t->schema, t->table);

	/* dropped meanwhile: others notice */
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(t->relid)))
		return NULL;
	if (!may_select(t, user))
		return psprintf("permission denied for table %s: the pipeline's owner \"%s\" needs SELECT",
						name, GetUserNameFromId(user, false));
	if (check_enable_rls(t->relid, user, true) == RLS_ENABLED)
		return psprintf("table %s has row-level security that applies to the pipeline's owner \"%s\"",
						name, GetUserNameFromId(user, false));
	if (!t->write.row_security_ignored && has_row_security(t->relid))
		return psprintf("table %s has row-level security, and its lake table has none; "
						"to mirror all rows all the same set its option row_security=ignore", name);
	return NULL;
}
