/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  Rows, pages and costs of a scan, from the lake's metadata.
 *
 * The number of rows is known: the snapshot tells it, deletes included.  How
 * many files a filter leaves is known too, by pruning them the way the scan
 * will, with the constants known at planning time.  Selectivities are the
 * core's own guesses, from what the manifests tell of the columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/fdw.h"
#include "fdw/statistics.h"
#include "foreign/foreign.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * Costs, in the planner's unit; about 60 of them are a millisecond.  Opening
 * a file costs a footer and its parsing; a value that is fetched, decompressed
 * and decoded 15 to 20 ns where there is text among the columns; a row given
 * to the executor, and a value formed in it, what they did to measure.
 */
#define COST_OPEN_TABLE 30.0
#define COST_OPEN_FILE 10.0
#define COST_DECODE_VALUE 0.001
#define COST_FORM_ROW 0.009
#define COST_FORM_VALUE 0.0015

/* Looking at a file's bounds, at each rescan. */
#define COST_PRUNE_FILE 0.05

/* Rows that are decoded along with one that is found: about a page. */
#define ROWS_AROUND 16384.0

/* Snapshots with more files than this are not pruned for an estimate. */
#define MAX_PLANNED_FILES 20000

/*
 * The columns of the query, bound in `context`; by attribute number - 1.
 * Those that only clauses of joins or groups name are among the needed ones.
 */
static FdwColumn **
estimate_columns(Relation relation, const LakeTable *table, const FdwPlan *plan, List *nodes,
				 MemoryContext context, int **field_ids, int *n)
{
	int			natts = RelationGetDescr(relation)->natts;
	FdwColumn **columns = palloc0(Max(natts, 1) * sizeof(FdwColumn *));
	Bitmapset  *used = bms_copy(plan->needed);
	bool		whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	ListCell   *lc;

	*field_ids = palloc(Max(natts, 1) * sizeof(int));
	*n = 0;
	foreach(lc, nodes)
		used = push_attributes(lfirst(lc), used);
	for (int attno = 1; attno <= natts; attno++)
	{
		FdwColumn  *c;

		if (TupleDescAttr(RelationGetDescr(relation), attno - 1)->attisdropped ||
			!(whole || bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used)))
			continue;
		c = palloc0(sizeof(FdwColumn));
		if (!fdw_column_try(c, relation, attno, table, context))
			continue;
		c->slot = *n;
		(*field_ids)[(*n)++] = c->field->id;
		columns[attno - 1] = c;
	}
	return columns;
}

/* The pushed clauses with stable functions folded, as PushNodes. */
static List *
estimate_nodes(PlannerInfo *root, RelOptInfo *rel, FdwPlan *plan)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, plan->pushed)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Node	   *clause = estimate_expression_value(root, (Node *) rinfo->clause);
		PushNode   *node = push_match(rel->relid, clause);

		if (node != NULL)
			nodes = lappend(nodes, node);
	}
	return nodes;
}

/*
 * What the files tell: statistics of the columns, from all of them, in
 * `context`; scanned_rows, scanned_files and *bytes from those that the
 * filter leaves.
 */
static void
estimate_files(PlannerInfo *root, RelOptInfo *rel, Relation relation, LakeTable *table,
			   FdwPlan *plan, MemoryContext context, double *total_rows, double *bytes)
{
	List	   *nodes = estimate_nodes(root, rel, plan);
	int		   *field_ids;
	int			nfields;
	FdwColumn **columns = estimate_columns(relation, table, plan, nodes, context,
										   &field_ids, &nfields);
	Filter	  **args = palloc(Max(list_length(nodes), 1) * sizeof(Filter *));
	int			nargs = 0;
	LakeScan   *scan;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, nodes)
	{
		PushResult	r = push_filter(lfirst(lc), columns, NULL);

		if (r.filter != NULL)
			args[nargs++] = r.filter;
	}
	scan = lake_scan_plan(table, field_ids, nfields,
						  nargs == 0 ? NULL : filter_combine(FILTER_AND, args, nargs));
	plan->scanned_files = scan->ntasks;
	plan->scanned_rows = 0;
	*bytes = 0;
	for (int i = 0; i < scan->ntasks; i++)
	{
		plan->scanned_rows += scan->tasks[i].file->record_count;
		*bytes += scan->tasks[i].file->file_size;
	}
	if (*total_rows < 0)
	{
		*total_rows = 0;
		for (int i = 0; i < lake_scan_nfiles(scan); i++)
			*total_rows += lake_scan_file(scan, i)->record_count;
	}
	old = MemoryContextSwitchTo(context);
	plan->statistics = statistics_collect(relation, scan, columns, *total_rows);
	MemoryContextSwitchTo(old);
	lake_scan_end(scan);
}

/* Data files of the snapshot, by its manifest list. */
static double
estimate_file_count(const LakeTable *table)
{
	double		n = 0;

	for (int i = 0; i < table->nmanifests; i++)
		n += Max(table->manifests[i].added_files, 0) + Max(table->manifests[i].existing_files, 0);
	return n;
}

/*
 * Rights are checked when execution starts.  Who has none must not learn from
 * an error of planning what the lake holds.
 */
static bool
estimate_allowed(Oid relid, Oid user)
{
	return pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, user, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
}

/* Looks into the lake: rows in all, rows and files left by the filter, bytes of these. */
static void
estimate_table(PlannerInfo *root, RelOptInfo *rel, Relation relation, FdwPlan *plan,
			   double *rows, double *bytes)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn estimate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FdwNames	names;
	LakeTable  *table;

	fdw_table_names(RelationGetRelid(relation), &names);
	table = lake_table_load(lake_open(names.server, plan->user), names.namespace, names.table, false);
	*rows = table->snapshot == NULL ? 0 : lake_table_rows(table);
	plan->scanned_files = estimate_file_count(table);
	if (plan->scanned_files <= MAX_PLANNED_FILES)
		estimate_files(root, rel, relation, table, plan, old, rows, bytes);
	else
		plan->scanned_rows = Max(*rows, 0);
	lake_table_free(table);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Average widths of columns whose type does not say and that ANALYZE has not seen. */
static void
estimate_widths(RelOptInfo *rel, Relation relation, const FdwStatistics *s)
{
	for (int i = 0; s != NULL && i < s->natts; i++)
	{
		AttrNumber	attno = i + 1;
		int			width;

		if (s->columns[i] == NULL || TupleDescAttr(RelationGetDescr(relation), i)->attlen > 0 ||
			get_attavgwidth(RelationGetRelid(relation), attno) > 0)
			continue;
		width = statistics_width(s->columns[i]);
		if (width > 0)
			rel->attr_widths[attno - rel->min_attr] = width;
	}
}

void
fdw_estimate(PlannerInfo *root, RelOptInfo *rel, Relation relation, FdwPlan *plan)
{
	double		rows = 0;
	double		bytes = 0;
	int			nformed;
	QualCost	local_cost;

	if (estimate_allowed(RelationGetRelid(relation), plan->user))
		estimate_table(root, rel, relation, plan, &rows, &bytes);
	rel->tuples = Max(rows, 0);
	rel->pages = (BlockNumber) Min(bytes / BLCKSZ + 1, (double) MaxBlockNumber);
	estimate_widths(rel, relation, plan->statistics);
	set_baserel_size_estimates(root, rel);
	rel->rows = clamp_row_est(Min(rel->rows, plan->scanned_rows));

	nformed = bms_num_members(plan->needed);
	cost_qual_eval(&local_cost, plan->local, root);
	plan->startup_cost = COST_OPEN_TABLE + local_cost.startup + rel->reltarget->cost.startup;
	plan->total_cost = plan->startup_cost + COST_OPEN_FILE * plan->scanned_files +
		COST_DECODE_VALUE * plan->scanned_rows * (nformed + list_length(plan->pushed)) +
		rel->rows * (COST_FORM_ROW + COST_FORM_VALUE * nformed + rel->reltarget->cost.per_tuple);

	/* local clauses run over the rows that the pushed ones leave */
	if (plan->local != NIL)
		plan->total_cost += local_cost.per_tuple *
			clamp_row_est(rel->tuples * clauselist_selectivity(root, plan->pushed, 0, JOIN_INNER, NULL));
}

/* The best that an equality of the clauses prunes: shares of files and rows left. */
static void
estimate_hits(RelOptInfo *rel, const FdwPlan *plan, List *clauses, double *files, double *rows)
{
	const FdwStatistics *s = plan->statistics;
	ListCell   *lc;

	*files = 1;
	*rows = 1;
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		PushNode   *node = push_match(rel->relid, (Node *) rinfo->clause);
		double		hit_files;
		double		hit_rows;

		if (node == NULL || node->kind != PUSH_COMPARE || node->op != FILTER_EQ ||
			s == NULL || s->columns[node->attno - 1] == NULL)
			continue;
		statistics_hit(s->columns[node->attno - 1], s->nfiles, &hit_files, &hit_rows);
		*files = Min(*files, hit_files);
		*rows = Min(*rows, hit_rows);
	}
}

void
fdw_estimate_parameterized(PlannerInfo *root, RelOptInfo *rel, List *clauses, double rows,
						   Cost *startup_cost, Cost *total_cost)
{
	const FdwPlan *plan = rel->fdw_private;
	int			nformed = bms_num_members(plan->needed);
	int			nread = list_length(plan->pushed) + list_length(clauses);
	double		files;
	double		scanned;
	double		near;
	QualCost	local_cost;

	estimate_hits(rel, plan, clauses, &files, &scanned);
	files = Max(files * plan->scanned_files, 1);
	scanned = Max(scanned * plan->scanned_rows, rows);
	near = Min(scanned, rows * ROWS_AROUND);
	cost_qual_eval(&local_cost, plan->local, root);
	*startup_cost = plan->startup_cost;
	*total_cost = *startup_cost + COST_PRUNE_FILE * plan->scanned_files + COST_OPEN_FILE * files +
		COST_DECODE_VALUE * (scanned * nread + near * nformed) +
		rows * (COST_FORM_ROW + COST_FORM_VALUE * nformed + rel->reltarget->cost.per_tuple +
				local_cost.per_tuple);
}
