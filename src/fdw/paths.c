/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  Paths of a scan: by itself, and with values of other relations.
 *
 * A path of the second kind is the inside of a nested loop: for each row of
 * the other relation the scan looks for "column = value" anew, over the files
 * and pages that bounds leave.  That beats reading the table once and hashing
 * it when few rows come and the column is ordered, as keys and times mostly
 * are.  The plan is made by the clauses that core puts into the path, so that
 * nothing but a cost is to be said here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "fdw/fdw.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"

/* Adds what would parameterise a scan by a clause to a list of ParamPathInfos. */
static List *
paths_add_info(PlannerInfo *root, RelOptInfo *rel, List *infos, const RestrictInfo *rinfo)
{
	Relids		outer;

	if (!join_clause_is_movable_to(unconstify(RestrictInfo *, rinfo), rel) ||
		push_match(rel->relid, (Node *) rinfo->clause) == NULL)
		return infos;
	outer = bms_del_member(bms_union(rinfo->clause_relids, rel->lateral_relids), rel->relid);
	if (bms_is_empty(outer))
		return infos;
	return list_append_unique_ptr(infos, get_baserel_parampathinfo(root, rel, outer));
}

/* Is the member of an equivalence class this column? */
static bool
paths_member_is(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
				EquivalenceMember *em, void *arg)
{
	const Var  *var = (const Var *) em->em_expr;

	while (IsA(var, RelabelType))
		var = (const Var *) ((const RelabelType *) var)->arg;
	return IsA(var, Var) && var->varno == rel->relid && var->varattno == *(AttrNumber *) arg;
}

/* Join clauses as the query has them, and equalities that follow from others. */
static List *
paths_infos(PlannerInfo *root, RelOptInfo *rel, const FdwPlan *plan)
{
	List	   *infos = NIL;
	ListCell   *lc;
	int			member = -1;

	foreach(lc, rel->joininfo)
		infos = paths_add_info(root, rel, infos, lfirst_node(RestrictInfo, lc));
	if (!rel->has_eclass_joins)
		return infos;
	while ((member = bms_next_member(plan->needed, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;
		List	   *clauses;

		if (attno <= 0)
			continue;
		clauses = generate_implied_equalities_for_column(root, rel, paths_member_is, &attno,
														 rel->lateral_referencers);
		foreach(lc, clauses)
			infos = paths_add_info(root, rel, infos, lfirst_node(RestrictInfo, lc));
	}
	return infos;
}

void
fdw_get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	const FdwPlan *plan = rel->fdw_private;
	ListCell   *lc;

	add_path(rel, (Path *)
			 compat_create_foreignscan_path(root, rel, rel->rows, plan->startup_cost,
											plan->total_cost, rel->lateral_relids));
	foreach(lc, paths_infos(root, rel, plan))
	{
		ParamPathInfo *info = lfirst(lc);
		Cost		startup_cost;
		Cost		total_cost;

		fdw_estimate_parameterized(root, rel, info->ppi_clauses, info->ppi_rows,
								   &startup_cost, &total_cost);
		add_path(rel, (Path *)
				 compat_create_foreignscan_path(root, rel, info->ppi_rows, startup_cost,
												total_cost, info->ppi_req_outer));
	}
}
