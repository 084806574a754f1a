/*-------------------------------------------------------------------------
 *
 * pushdown.c
 *	  Which clauses a lake filter can stand for.
 *
 * A clause is matched twice by the same code: when planning, to decide
 * whether it leaves the plan's quals, and when a scan begins, over
 * fdw_recheck_quals, to get at its values.  So nothing but the clause itself
 * has to travel in the plan.
 *
 * What may be pushed depends on PostgreSQL's types, operators and collations
 * only: comparisons of the default btree family of a type whose order the
 * filter shares.  Text is compared by bytes: equality under a deterministic
 * collation, order under C only; char(n) by equality only, because its order
 * disregards trailing blanks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "base/compat.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

/* text ^@ text; not in the headers by a name */
#define TEXT_STARTS_WITH_OP 3877

static PushNode *match_clause(Index varno, Node *clause, bool negated);

static PushNode *
push_make(PushKind kind)
{
	PushNode   *node = palloc0(sizeof(PushNode));

	node->kind = kind;
	return node;
}

/* The column of `varno` that an expression is, seen through relabelling, or NULL. */
static Var *
match_column(Index varno, Node *expr)
{
	Var		   *var;

	while (expr != NULL && IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	if (expr == NULL || !IsA(expr, Var))
		return NULL;
	var = (Var *) expr;
	return var->varno == varno && var->varlevelsup == 0 && var->varattno > 0 ? var : NULL;
}

/*
 * Is the expression a value that is constant during a scan?  Columns of
 * other relations become parameters of a nested loop.
 */
static bool
match_value(Index varno, Node *expr)
{
	List	   *vars;
	ListCell   *lc;

	if (contain_volatile_functions(expr) || contain_subplans(expr))
		return false;
	vars = pull_var_clause(expr, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
						   PVC_INCLUDE_PLACEHOLDERS);
	foreach(lc, vars)
	{
		Node	   *var = lfirst(lc);

		if (!IsA(var, Var) || ((Var *) var)->varno == varno)
			return false;
	}
	return true;
}

/* Types whose equality and order the filter shares, under the collation rules below. */
static bool
type_is_comparable(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
		case BYTEAOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			/* lake strings are UTF-8; elsewhere constants would not be the same bytes */
			return GetDatabaseEncoding() == PG_UTF8;
		default:
			return false;
	}
}

static bool
type_is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID;
}

/* May text be compared by bytes with this operator under this collation? */
static bool
collation_allows(Oid type, int strategy, Oid collation)
{
	if (!type_is_text(type))
		return true;
	if (!OidIsValid(collation) || !get_collation_isdeterministic(collation))
		return false;
	if (strategy == BTEqualStrategyNumber)
		return true;
	return type != BPCHAROID && collation_is_c(collation);
}

/* Is a value of `value_type` comparable with a column of `type`, in pushdown_filter.c? */
static bool
types_match(Oid type, Oid value_type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return value_type == INT2OID || value_type == INT4OID || value_type == INT8OID;
		case FLOAT4OID:
		case FLOAT8OID:
			return value_type == FLOAT4OID || value_type == FLOAT8OID;
		case TEXTOID:
		case VARCHAROID:
			return value_type == TEXTOID;
		case NAMEOID:
			return value_type == NAMEOID || value_type == TEXTOID;
		default:
			return value_type == type;
	}
}

static const FilterOp strategy_ops[BTMaxStrategyNumber + 1] = {
	[BTLessStrategyNumber] = FILTER_LT,
	[BTLessEqualStrategyNumber] = FILTER_LE,
	[BTEqualStrategyNumber] = FILTER_EQ,
	[BTGreaterEqualStrategyNumber] = FILTER_GE,
	[BTGreaterStrategyNumber] = FILTER_GT,
};

/* The comparison that an operator (column on its left) makes, if the filter can make it too. */
static bool
match_operator(Oid opno, const Var *column, Oid collation, FilterOp *op, Oid *value_type)
{
	Oid			type = getBaseType(column->vartype);
	TypeCacheEntry *cache;
	int			strategy;
	Oid			left;
	bool		negated = false;

	if (!type_is_comparable(type))
		return false;
	cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(cache->btree_opf))
		return false;
	if (!op_in_opfamily(opno, cache->btree_opf))
	{
		/* "<>" is the negator of a member */
		opno = get_negator(opno);
		negated = true;
		if (!OidIsValid(opno) || !op_in_opfamily(opno, cache->btree_opf))
			return false;
	}
	get_op_opfamily_properties(opno, cache->btree_opf, false, &strategy, &left, value_type);
	if (strategy < 1 || strategy > BTMaxStrategyNumber ||
		(negated && strategy != BTEqualStrategyNumber))
		return false;
	if (!types_match(type, *value_type) || !collation_allows(type, strategy, collation))
		return false;
	*op = negated ? FILTER_NE : strategy_ops[strategy];
	return true;
}

/* column op value; or value op column, commuted. */
static PushNode *
match_comparison(Index varno, OpExpr *expr, bool negated)
{
	Node	   *left = linitial(expr->args);
	Node	   *right = lsecond(expr->args);
	Oid			opno = expr->opno;
	Var		   *column = match_column(varno, left);
	PushNode   *node;

	if (column == NULL || !match_value(varno, right))
	{
		opno = get_commutator(opno);
		column = match_column(varno, right);
		if (column == NULL || !OidIsValid(opno) || !match_value(varno, left))
			return NULL;
		right = left;
	}
	node = push_make(PUSH_COMPARE);
	node->attno = column->varattno;
	node->value = (Expr *) right;
	if (!match_operator(opno, column, expr->inputcollid, &node->op, &node->value_type))
		return NULL;
	if (negated)
		(void) filter_negate(node->op, &node->op);
	return node;
}

static bool
is_like_operator(Oid opno)
{
	return opno == OID_TEXT_LIKE_OP || opno == OID_BPCHAR_LIKE_OP || opno == OID_NAME_LIKE_OP;
}

/* column LIKE pattern, column NOT LIKE pattern, column ^@ prefix. */
static PushNode *
match_like(Index varno, OpExpr *expr, bool negated)
{
	Var		   *column = match_column(varno, linitial(expr->args));
	Oid			opno = expr->opno;
	PushNode   *node;

	if (column == NULL || !match_value(varno, lsecond(expr->args)))
		return NULL;
	if (!is_like_operator(opno) && opno != TEXT_STARTS_WITH_OP)
	{
		opno = get_negator(opno);
		negated = !negated;
	}
	if (!is_like_operator(opno) && opno != TEXT_STARTS_WITH_OP)
		return NULL;
	if (!type_is_text(getBaseType(column->vartype)) || GetDatabaseEncoding() != PG_UTF8 ||
		!collation_allows(TEXTOID, BTEqualStrategyNumber, expr->inputcollid))
		return NULL;
	node = push_make(opno == TEXT_STARTS_WITH_OP ? PUSH_STARTS : PUSH_LIKE);
	node->negated = negated;
	node->attno = column->varattno;
	node->value = lsecond(expr->args);
	node->value_type = TEXTOID;
	return node;
}

static PushNode *
match_op_expr(Index varno, OpExpr *expr, bool negated)
{
	PushNode   *node;

	if (list_length(expr->args) != 2)
		return NULL;
	node = match_comparison(varno, expr, negated);
	return node != NULL ? node : match_like(varno, expr, negated);
}

/* IS DISTINCT FROM: the node of the equality behind it. */
static PushNode *
match_distinct(Index varno, DistinctExpr *expr, bool negated)
{
	PushNode   *node = match_comparison(varno, expr, false);

	/* expr->opno is the equality operator */
	if (node == NULL || node->op != FILTER_EQ)
		return NULL;
	node->kind = PUSH_DISTINCT;
	node->negated = negated;
	return node;
}

static PushNode *
match_array(Index varno, ScalarArrayOpExpr *expr, bool negated)
{
	Var		   *column = match_column(varno, linitial(expr->args));
	Node	   *array = lsecond(expr->args);
	PushNode   *node;

	if (column == NULL || !match_value(varno, array))
		return NULL;
	node = push_make(PUSH_ARRAY);
	node->attno = column->varattno;
	node->value = (Expr *) array;
	node->any = expr->useOr;
	if (!match_operator(expr->opno, column, expr->inputcollid, &node->op, &node->value_type))
		return NULL;
	/* elements may be of a binary-compatible type: varchar[] for text */
	if (!OidIsValid(get_element_type(getBaseType(exprType(array)))))
		return NULL;
	if (negated)
	{
		(void) filter_negate(node->op, &node->op);
		node->any = !node->any;
	}
	return node;
}

static PushNode *
match_null_test(Index varno, NullTest *test, bool negated)
{
	Var		   *column = match_column(varno, (Node *) test->arg);
	PushNode   *node;

	if (column == NULL || test->argisrow)
		return NULL;
	node = push_make(PUSH_NULL);
	node->attno = column->varattno;
	node->negated = negated != (test->nulltesttype == IS_NOT_NULL);
	return node;
}

/* column = true or column = false, of a boolean column */
static PushNode *
match_boolean_column(const Var *column, bool value)
{
	PushNode   *node;

	if (getBaseType(column->vartype) != BOOLOID)
		return NULL;
	node = push_make(PUSH_COMPARE);
	node->attno = column->varattno;
	node->op = FILTER_EQ;
	node->value = (Expr *) makeBoolConst(value, false);
	node->value_type = BOOLOID;
	return node;
}

/* "IS NOT TRUE" of a column is "false or null". */
static PushNode *
match_boolean_or_null(const Var *column, bool value)
{
	PushNode   *node;
	PushNode   *is_value = match_boolean_column(column, value);
	PushNode   *is_null;

	if (is_value == NULL)
		return NULL;
	is_null = push_make(PUSH_NULL);
	is_null->attno = column->varattno;
	node = push_make(PUSH_OR);
	node->args = list_make2(is_value, is_null);
	return node;
}

static PushNode *
match_boolean_test(Index varno, BooleanTest *test, bool negated)
{
	Var		   *column = match_column(varno, (Node *) test->arg);
	PushNode   *node;

	switch (test->booltesttype)
	{
		case IS_TRUE:
		case IS_FALSE:
			if (!negated)
				return match_clause(varno, (Node *) test->arg, test->booltesttype == IS_FALSE);
			return column == NULL ? NULL : match_boolean_or_null(column, test->booltesttype == IS_FALSE);
		case IS_NOT_TRUE:
		case IS_NOT_FALSE:
			if (negated)
				return match_clause(varno, (Node *) test->arg, test->booltesttype == IS_NOT_FALSE);
			return column == NULL ? NULL :
				match_boolean_or_null(column, test->booltesttype == IS_NOT_FALSE);
		case IS_UNKNOWN:
		case IS_NOT_UNKNOWN:
			if (column == NULL)
				return NULL;
			node = push_make(PUSH_NULL);
			node->attno = column->varattno;
			node->negated = negated != (test->booltesttype == IS_NOT_UNKNOWN);
			return node;
	}
	return NULL;
}

/* AND and OR change places under NOT. */
static PushNode *
match_bool_expr(Index varno, BoolExpr *expr, bool negated)
{
	PushNode   *node;
	ListCell   *lc;

	if (expr->boolop == NOT_EXPR)
		return match_clause(varno, linitial(expr->args), !negated);
	node = push_make((expr->boolop == AND_EXPR) != negated ? PUSH_AND : PUSH_OR);
	foreach(lc, expr->args)
	{
		PushNode   *arg = match_clause(varno, lfirst(lc), negated);

		if (arg == NULL)
			return NULL;
		node->args = lappend(node->args, arg);
	}
	return node;
}

static PushNode *
match_clause(Index varno, Node *clause, bool negated)
{
	Var		   *column;

	check_stack_depth();
	switch (nodeTag(clause))
	{
		case T_OpExpr:
			return match_op_expr(varno, (OpExpr *) clause, negated);
		case T_DistinctExpr:
			return match_distinct(varno, (DistinctExpr *) clause, negated);
		case T_ScalarArrayOpExpr:
			return match_array(varno, (ScalarArrayOpExpr *) clause, negated);
		case T_NullTest:
			return match_null_test(varno, (NullTest *) clause, negated);
		case T_BooleanTest:
			return match_boolean_test(varno, (BooleanTest *) clause, negated);
		case T_BoolExpr:
			return match_bool_expr(varno, (BoolExpr *) clause, negated);
		case T_Var:
		case T_RelabelType:
			column = match_column(varno, clause);
			return column == NULL ? NULL : match_boolean_column(column, !negated);
		default:
			return NULL;
	}
}

PushNode *
push_match(Index varno, Node *clause)
{
	return match_clause(varno, clause, false);
}

Bitmapset *
push_attributes(const PushNode *node, Bitmapset *attnos)
{
	ListCell   *lc;

	foreach(lc, node->args)
		attnos = push_attributes(lfirst(lc), attnos);
	if (node->attno > 0)
		attnos = bms_add_member(attnos, node->attno - FirstLowInvalidHeapAttributeNumber);
	return attnos;
}

void
push_init(PushNode *node, PlanState *parent)
{
	ListCell   *lc;

	foreach(lc, node->args)
		push_init(lfirst(lc), parent);
	if (node->value != NULL)
		node->state = ExecInitExpr(node->value, parent);
}
