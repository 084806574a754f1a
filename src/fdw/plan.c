/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planning a scan of a lake table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "base/compat.h"
#include "fdw/fdw.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

/*
 * Columns come from the relation's target and the local clauses, not from the
 * plan's target list: that may be the physical one, of all columns, when the
 * nodes above do not care what they get.
 */
static Bitmapset *
plan_needed(RelOptInfo *rel, List *local)
{
	Bitmapset  *needed = NULL;
	ListCell   *lc;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &needed);
	foreach(lc, local)
	{
		Node	   *clause = lfirst(lc);

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		pull_varattnos(clause, rel->relid, &needed);
	}
	return needed;
}

void
fdw_get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	FdwPlan    *plan = palloc0(sizeof(FdwPlan));
	Relation	relation;
	ListCell   *lc;

	rel->fdw_private = plan;
	plan->user = compat_rel_user(root, rel);
	if (!OidIsValid(plan->user))
		plan->user = GetUserId();
	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (push_match(rel->relid, (Node *) rinfo->clause) != NULL)
			plan->pushed = lappend(plan->pushed, rinfo);
		else
			plan->local = lappend(plan->local, rinfo);
	}
	plan->needed = plan_needed(rel, plan->local);

	/* the planner holds the lock */
	relation = table_open(relid, NoLock);
	fdw_estimate(root, rel, relation, plan);
	table_close(relation, NoLock);
}

/* The attributes of a set made by pull_varattnos, as a list; all when the whole row is wanted. */
static List *
plan_attributes(Relation relation, const Bitmapset *needed)
{
	TupleDesc	desc = RelationGetDescr(relation);
	bool		whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed);
	List	   *attributes = NIL;

	for (int i = 1; i <= desc->natts; i++)
	{
		if (TupleDescAttr(desc, i - 1)->attisdropped)
			continue;
		if (whole || bms_is_member(i - FirstLowInvalidHeapAttributeNumber, needed))
			attributes = lappend_int(attributes, i);
	}
	return attributes;
}

ForeignScan *
fdw_get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			 List *tlist, List *clauses, Plan *outer_plan)
{
	List	   *pushed = NIL;
	List	   *local = NIL;
	List	   *attributes;
	Relation	relation;
	ListCell   *lc;

	/* matched anew, because the clauses of a parameterised path are among them */
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (rinfo->pseudoconstant)
			continue;
		if (push_match(rel->relid, (Node *) rinfo->clause) != NULL)
			pushed = lappend(pushed, rinfo->clause);
		else
			local = lappend(local, rinfo->clause);
	}
	relation = table_open(relid, NoLock);
	attributes = plan_attributes(relation, plan_needed(rel, local));
	table_close(relation, NoLock);

	/*
	 * The pushed clauses travel as fdw_recheck_quals: EvalPlanQual needs them
	 * there, and there their parameters and subexpressions get all that
	 * setrefs.c does.
	 */
	return make_foreignscan(tlist, local, rel->relid, NIL,
							list_make2(attributes, list_make1_int(root->tuple_fraction > 0)),
							NIL, pushed, outer_plan);
}

List *
fdw_plan_attributes(ForeignScan *plan)
{
	return linitial(plan->fdw_private);
}

bool
fdw_plan_stops_early(ForeignScan *plan)
{
	return linitial_int(lsecond(plan->fdw_private)) != 0;
}
