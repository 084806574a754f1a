/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN shows of a scan: the lake table, the filter, and with
 *	  ANALYZE what was read and what was passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include COMPAT_EXPLAIN_HEADER
#include COMPAT_EXPLAIN_STATE_HEADER
#include "fdw/fdw.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"

static void
explain_clauses(const char *label, List *clauses, ForeignScanState *node, ExplainState *es)
{
	List	   *context;
	char	   *text;

	if (clauses == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	text = deparse_expression((Node *) make_ands_explicit(clauses), context,
							  list_length(es->rtable) > 1 || es->verbose, false);
	ExplainPropertyText(label, text, es);
}

/* Lines of what did not happen are left out of the text format. */
static void
explain_count(const char *label, uint64 value, ExplainState *es)
{
	if (value != 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyUInteger(label, NULL, value, es);
}

static void
explain_counters(const LakeScanCounters *c, ExplainState *es)
{
	ExplainPropertyUInteger("Files", NULL, c->files, es);
	explain_count("Files Pruned", c->files_pruned, es);
	ExplainPropertyUInteger("Row Groups", NULL, c->row_groups, es);
	explain_count("Row Groups Pruned", c->row_groups_pruned, es);
	explain_count("Pages Pruned", c->pages_pruned, es);
	explain_count("Delete Files", c->delete_files, es);
	explain_count("Rows Deleted", c->rows_deleted, es);
	explain_count("Rows Removed by Lake Filter", c->rows_filtered, es);
	ExplainPropertyUInteger("Bytes Read", es->format == EXPLAIN_FORMAT_TEXT ? NULL : "bytes",
							c->bytes, es);
}

void
fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	FdwScan    *fs = node->fdw_state;
	FdwNames	names;

	fdw_table_names(RelationGetRelid(node->ss.ss_currentRelation), &names);
	ExplainPropertyText("Lake Table", psprintf("%s.%s", names.namespace, names.table), es);
	explain_clauses("Lake Filter", ((ForeignScan *) node->ss.ps.plan)->fdw_recheck_quals, node, es);
	if (!es->analyze || fs == NULL || fs->scan == NULL)
		return;

	/* clauses that with these values have no exact form in the lake */
	explain_clauses("Lake Filter Recheck", fs->rechecked, node, es);
	explain_count("Rows Removed by Recheck", fs->rows_rechecked, es);
	explain_counters(&fs->scan->counters, es);
}
