/*-------------------------------------------------------------------------
 *
 * pushdown_filter.c
 *	  A pushed clause with its values to a Filter of the lake.
 *
 * Values are brought to the type of the lake field.  Where that has no exact
 * counterpart (an integer out of range, a numeric with more decimals), the
 * comparison is decided, or moved to the next value that has one.  A leaf is
 * never "true" for a null column: it is "is not null" at most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include <math.h>

static const PushResult push_unknown = {NULL, false};

static PushResult
result_leaf(const FdwColumn *c, FilterOp op, const LakeValue *value)
{
	PushResult	r = {NULL, true};

	r.filter = filter_make(op, c->slot, c->field->type, value, value == NULL ? 0 : 1);
	return r;
}

/* Decided whatever the value of the column: true for all but nulls, or for none. */
static PushResult
result_decided(const FdwColumn *c, bool value)
{
	return result_leaf(c, value ? FILTER_IS_NOT_NULL : FILTER_FALSE, NULL);
}

/* The value lies beyond all values of the column: below them or above. */
static PushResult
result_beyond(const FdwColumn *c, FilterOp op, bool above)
{
	switch (op)
	{
		case FILTER_EQ:
			return result_decided(c, false);
		case FILTER_NE:
			return result_decided(c, true);
		case FILTER_LT:
		case FILTER_LE:
			return result_decided(c, above);
		default:
			return result_decided(c, !above);
	}
}

static PushResult
compare_integer(const FdwColumn *c, FilterOp op, Datum datum, Oid type)
{
	LakeValue	value = {0};

	switch (type)
	{
		case INT2OID:
			value.u.i64 = DatumGetInt16(datum);
			break;
		case INT4OID:
			value.u.i64 = DatumGetInt32(datum);
			break;
		default:
			value.u.i64 = DatumGetInt64(datum);
			break;
	}
	if (c->field->type.id == LAKE_INT &&
		(value.u.i64 < PG_INT32_MIN || value.u.i64 > PG_INT32_MAX))
		return result_beyond(c, op, value.u.i64 > 0);
	return result_leaf(c, op, &value);
}

static PushResult
compare_float(const FdwColumn *c, FilterOp op, Datum datum, Oid type)
{
	LakeValue	value = {0};

	value.u.f64 = type == FLOAT4OID ? DatumGetFloat4(datum) : DatumGetFloat8(datum);

	/* a double between two floats: leave it to the executor */
	if (c->field->type.id == LAKE_FLOAT && !isnan(value.u.f64) &&
		(double) (float) value.u.f64 != value.u.f64)
		return push_unknown;
	return result_leaf(c, op, &value);
}

/*
 * A numeric without an exact decimal of the column's scale lies between two
 * of them; cut towards zero it is the one nearer to zero.
 */
static PushResult
compare_numeric(const FdwColumn *c, FilterOp op, Datum datum)
{
	LakeValue	value;
	Numeric		number = DatumGetNumeric(datum);
	Datum		cut;
	bool		negative;

	if (convert_constant(&c->convert, datum, &value))
		return result_leaf(c, op, &value);
	if (numeric_is_nan(number))
		return result_beyond(c, op, true);	/* larger than every number */
	negative = DatumGetInt32(DirectFunctionCall2(numeric_cmp, datum,
												 NumericGetDatum(int64_to_numeric(0)))) < 0;
	if (numeric_is_inf(number))
		return result_beyond(c, op, !negative);
	cut = DirectFunctionCall2(numeric_trunc, datum, Int32GetDatum(c->field->type.scale));
	if (!convert_constant(&c->convert, cut, &value))
		return push_unknown;
	if (DatumGetBool(DirectFunctionCall2(numeric_eq, cut, datum)))
		return result_leaf(c, op, &value);
	switch (op)
	{
		case FILTER_EQ:
			return result_decided(c, false);
		case FILTER_NE:
			return result_decided(c, true);
		case FILTER_LT:
		case FILTER_LE:
			return result_leaf(c, negative ? FILTER_LT : FILTER_LE, &value);
		default:
			return result_leaf(c, negative ? FILTER_GE : FILTER_GT, &value);
	}
}

/*
 * char(n) is kept with its blanks: the constant gets as many.  One that is
 * longer than n without its trailing blanks equals no value.
 */
static PushResult
compare_bpchar(const FdwColumn *c, FilterOp op, Datum datum)
{
	LakeValue	value = {0};
	text	   *t = DatumGetTextPP(datum);
	const char *data = VARDATA_ANY(t);
	int			size = VARSIZE_ANY_EXHDR(t);
	int			width = c->convert.typmod - (int) VARHDRSZ;
	int			chars;
	char	   *padded;

	if (width < 1 || (op != FILTER_EQ && op != FILTER_NE))
		return push_unknown;
	while (size > 0 && data[size - 1] == ' ')
		size--;
	chars = pg_mbstrlen_with_len(data, size);
	if (chars > width)
		return result_beyond(c, op, true);
	padded = palloc(size + (width - chars) + 1);
	memcpy(padded, data, size);
	memset(padded + size, ' ', width - chars);
	value.u.bytes.data = padded;
	value.u.bytes.size = size + (width - chars);
	return result_leaf(c, op, &value);
}

/* A text or name datum as bytes. */
static void
text_value(Datum datum, Oid type, LakeValue *value)
{
	memset(value, 0, sizeof(LakeValue));
	if (type == NAMEOID)
	{
		value->u.bytes.data = NameStr(*DatumGetName(datum));
		value->u.bytes.size = strlen(value->u.bytes.data);
	}
	else
	{
		text	   *t = DatumGetTextPP(datum);

		value->u.bytes.data = VARDATA_ANY(t);
		value->u.bytes.size = VARSIZE_ANY_EXHDR(t);
	}
}

static PushResult
compare_value(const FdwColumn *c, FilterOp op, Datum datum, Oid type)
{
	LakeValue	value;

	switch (c->convert.kind)
	{
		case CONVERT_INT2:
		case CONVERT_INT4:
		case CONVERT_INT8:
			return compare_integer(c, op, datum, type);
		case CONVERT_FLOAT4:
		case CONVERT_FLOAT8:
			return compare_float(c, op, datum, type);
		case CONVERT_NUMERIC:
			return compare_numeric(c, op, datum);
		case CONVERT_TEXT:
		case CONVERT_NAME:
			if (c->convert.pg_type == BPCHAROID)
				return compare_bpchar(c, op, datum);
			text_value(datum, type, &value);
			return result_leaf(c, op, &value);
		case CONVERT_OUTPUT:
			return push_unknown;
		default:
			if (type != c->convert.pg_type || !convert_constant(&c->convert, datum, &value))
				return push_unknown;
			return result_leaf(c, op, &value);
	}
}

static PushResult
result_combine(FilterOp op, Filter **args, int n, bool exact)
{
	PushResult	r = {NULL, exact};

	if (n == 1)
		r.filter = args[0];
	else if (n > 1)
		r.filter = filter_combine(op, args, n);
	return r;
}

/* The array's elements, nulls left out; *nulls tells whether there were any. */
static Datum *
array_elements(Datum datum, int *n, bool *nulls)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *elements;
	bool	   *isnull;
	int			all;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &elements, &isnull, &all);
	*n = 0;
	*nulls = false;
	for (int i = 0; i < all; i++)
	{
		if (isnull[i])
			*nulls = true;
		else
			elements[(*n)++] = elements[i];
	}
	return elements;
}

/* IN and NOT IN: the values that the column can have, as one leaf. */
static PushResult
array_membership(const PushNode *node, const FdwColumn *c, Datum *elements, int n)
{
	LakeValue  *values = palloc(Max(n, 1) * sizeof(LakeValue));
	int			nvalues = 0;
	PushResult	r = {NULL, true};

	for (int i = 0; i < n; i++)
	{
		PushResult	element = compare_value(c, node->op, elements[i], node->value_type);

		if (element.filter == NULL)
			return push_unknown;
		if (element.filter->op == node->op)
			values[nvalues++] = element.filter->values[0];
		/* else decided: false among ORs, "is not null" among ANDs; neither adds anything */
	}
	if (nvalues == 0)
		return result_decided(c, node->op == FILTER_NE);
	r.filter = filter_make(node->op == FILTER_EQ ? FILTER_IN : FILTER_NOT_IN, c->slot,
						   c->field->type, values, nvalues);
	return r;
}

static PushResult
filter_array(const PushNode *node, const FdwColumn *c, Datum array)
{
	int			n;
	bool		nulls;
	Datum	   *elements = array_elements(array, &n, &nulls);
	Filter	  **args;
	bool		exact = true;

	if (n == 0 && !nulls)
	{
		/* ANY of nothing is false, ALL of nothing true, for a null column too */
		PushResult	all = {NULL, true};

		return node->any ? result_decided(c, false) : all;
	}
	/* a null among them: ANY may still be true, ALL never is */
	if (nulls && (!node->any || n == 0))
		return result_decided(c, false);
	if ((node->op == FILTER_EQ && node->any) || (node->op == FILTER_NE && !node->any))
		return array_membership(node, c, elements, n);

	args = palloc(n * sizeof(Filter *));
	for (int i = 0; i < n; i++)
	{
		PushResult	element = compare_value(c, node->op, elements[i], node->value_type);

		if (element.filter == NULL)
			return push_unknown;
		exact &= element.exact;
		args[i] = element.filter;
	}
	return result_combine(node->any ? FILTER_OR : FILTER_AND, args, n, exact);
}

/*
 * LIKE: the pattern's bytes up to its first wildcard.  *rest is what follows:
 * 0 nothing, '%' only percent signs, '?' anything else.
 */
static void
like_prefix(const LakeValue *pattern, LakeValue *prefix, char *rest)
{
	const char *p = pattern->u.bytes.data;
	const char *end = p + pattern->u.bytes.size;
	char	   *out = palloc(pattern->u.bytes.size + 1);
	uint32		n = 0;

	*rest = 0;
	for (; p < end && *p != '%' && *p != '_'; p++)
	{
		if (*p == '\\' && ++p == end)
		{
			*rest = '?';		/* the executor raises the error */
			break;
		}
		out[n++] = *p;
	}
	if (p < end)
		*rest = '%';
	for (; p < end; p++)
	{
		if (*p != '%')
			*rest = '?';
	}
	memset(prefix, 0, sizeof(LakeValue));
	prefix->u.bytes.data = out;
	prefix->u.bytes.size = n;
}

static PushResult
filter_prefix(const PushNode *node, const FdwColumn *c, Datum datum)
{
	LakeValue	pattern;
	LakeValue	prefix;
	char		rest = '%';
	PushResult	r;

	if (c->convert.kind != CONVERT_TEXT && c->convert.kind != CONVERT_NAME)
		return push_unknown;
	text_value(datum, TEXTOID, &pattern);
	if (node->kind == PUSH_LIKE)
		like_prefix(&pattern, &prefix, &rest);
	else
		prefix = pattern;

	if (rest == '?' && (node->negated || prefix.u.bytes.size == 0))
		return push_unknown;
	if (rest == 0)
		return result_leaf(c, node->negated ? FILTER_NE : FILTER_EQ, &prefix);
	if (prefix.u.bytes.size == 0)
		return result_decided(c, !node->negated);
	r = result_leaf(c, FILTER_PREFIX, &prefix);
	r.exact = rest == '%';
	if (node->negated)
		r.filter = filter_combine(FILTER_NOT, &r.filter, 1);
	return r;
}

/* IS [NOT] DISTINCT FROM: equality that knows null. */
static PushResult
filter_distinct(const PushNode *node, const FdwColumn *c, Datum datum, bool isnull)
{
	PushResult	r;
	Filter	   *args[2];

	if (isnull)
		return result_leaf(c, node->negated ? FILTER_IS_NULL : FILTER_IS_NOT_NULL, NULL);
	r = compare_value(c, node->negated ? FILTER_EQ : FILTER_NE, datum, node->value_type);
	if (node->negated || r.filter == NULL)
		return r;
	args[0] = r.filter;
	args[1] = filter_make(FILTER_IS_NULL, c->slot, c->field->type, NULL, 0);
	return result_combine(FILTER_OR, args, 2, r.exact);
}

/* The right-hand side's value; false when it is not known now (planning). */
static bool
push_value(const PushNode *node, ExprContext *econtext, Datum *datum, bool *isnull)
{
	if (econtext != NULL)
	{
		int16		length;
		bool		by_value;

		/* a copy: a parameter's value may go away before the filter does */
		*datum = ExecEvalExpr(node->state, econtext, isnull);
		if (!*isnull)
		{
			get_typlenbyval(exprType((Node *) node->value), &length, &by_value);
			*datum = datumCopy(*datum, by_value, length);
		}
		return true;
	}
	if (!IsA(node->value, Const))
		return false;
	*datum = ((Const *) node->value)->constvalue;
	*isnull = ((Const *) node->value)->constisnull;
	return true;
}

static PushResult
filter_args(const PushNode *node, FdwColumn *const *columns, ExprContext *econtext)
{
	Filter	  **args = palloc(list_length(node->args) * sizeof(Filter *));
	int			n = 0;
	bool		exact = true;
	ListCell   *lc;

	foreach(lc, node->args)
	{
		PushResult	arg = push_filter(lfirst(lc), columns, econtext);

		exact &= arg.exact;
		if (arg.filter != NULL)
			args[n++] = arg.filter;
		else if (node->kind == PUSH_OR)
			return arg;			/* one alternative passes all rows: so does the whole */
	}
	return result_combine(node->kind == PUSH_AND ? FILTER_AND : FILTER_OR, args, n, exact);
}

PushResult
push_filter(const PushNode *node, FdwColumn *const *columns, ExprContext *econtext)
{
	FdwColumn  *c;
	Datum		datum = (Datum) 0;
	bool		isnull = false;

	check_stack_depth();
	if (node->kind == PUSH_AND || node->kind == PUSH_OR)
		return filter_args(node, columns, econtext);
	c = columns[node->attno - 1];
	if (c == NULL)
		return push_unknown;
	if (node->kind == PUSH_NULL)
		return result_leaf(c, node->negated ? FILTER_IS_NOT_NULL : FILTER_IS_NULL, NULL);
	if (!c->filterable || !push_value(node, econtext, &datum, &isnull))
		return push_unknown;
	if (node->kind == PUSH_DISTINCT)
		return filter_distinct(node, c, datum, isnull);
	if (isnull)
		return result_decided(c, false);
	if (node->kind == PUSH_ARRAY)
		return filter_array(node, c, datum);
	if (node->kind == PUSH_COMPARE)
		return compare_value(c, node->op, datum, node->value_type);
	return filter_prefix(node, c, datum);
}
