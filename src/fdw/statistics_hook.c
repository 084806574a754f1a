/*-------------------------------------------------------------------------
 *
 * statistics_hook.c
 *	  Statistics of lake tables to the server's selectivity functions.
 *
 * The hook is one for the process: others that took it before are asked for
 * relations that are not ours.  What ANALYZE has found is better than what
 * manifests tell, and is left to the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_statistic.h"
#include "fdw/fdw.h"
#include "fdw/statistics.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type previous_hook;

/* The relation of a range table entry while it is planned, or NULL when it is none of ours. */
static RelOptInfo *
hook_relation(PlannerInfo *root, const RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_FOREIGN_TABLE || rte->inh)
		return NULL;
	for (int i = 1; i < root->simple_rel_array_size; i++)
	{
		RelOptInfo *rel = root->simple_rel_array[i];

		if (root->simple_rte_array[i] == rte && rel != NULL && rel->fdwroutine != NULL &&
			rel->fdwroutine->GetForeignRelSize == fdw_get_rel_size)
			return rel;
	}
	return NULL;
}

/* May operators that leak their arguments see the values?  As for statistics of the server's own. */
static bool
hook_readable(const RangeTblEntry *rte, AttrNumber attno, Oid user)
{
	return rte->securityQuals == NIL &&
		(pg_class_aclcheck(rte->relid, user, ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(rte->relid, attno, user, ACL_SELECT) == ACLCHECK_OK);
}

/* The tuple lives as long as the plan is made. */
static void
hook_keep(HeapTuple tuple)
{
}

static bool
hook_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *vardata)
{
	RelOptInfo *rel = hook_relation(root, rte);
	FdwPlan    *plan = rel == NULL ? NULL : rel->fdw_private;
	FdwStatistics *s = plan == NULL ? NULL : plan->statistics;
	HeapTuple	tuple;

	if (s == NULL || attno < 1 || attno > s->natts || s->columns[attno - 1] == NULL)
		return false;
	if (SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(rte->relid),
							  Int16GetDatum(attno), BoolGetDatum(false)))
		return false;
	tuple = statistics_tuple(s, s->columns[attno - 1]);
	if (tuple == NULL)
		return false;
	vardata->statsTuple = tuple;
	vardata->freefunc = hook_keep;
	vardata->acl_ok = hook_readable(rte, attno, plan->user);
	return true;
}

static bool
hook_entry(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *vardata)
{
	return hook_statistics(root, rte, attno, vardata) ||
		(previous_hook != NULL && previous_hook(root, rte, attno, vardata));
}

void
fdw_init(void)
{
	previous_hook = get_relation_stats_hook;
	get_relation_stats_hook = hook_entry;
}
