/*-------------------------------------------------------------------------
 *
 * filter_bounds.c
 *	  Can any row within these bounds pass?
 *
 * The same passing down of the truth wanted as in filter.c: "can f be true
 * for a row", "can f be false for a row".  A wrong "no" loses rows, so
 * whatever is not known answers yes: missing bounds, unknown counts, and
 * NaN, which bounds leave out although it is larger than all else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "vector/filter_internal.h"

static bool
is_float(LakeType type)
{
	return type.id == LAKE_FLOAT || type.id == LAKE_DOUBLE;
}

/* May there be NaNs? */
static bool
may_have_nan(const Filter *f, const FilterBounds *b)
{
	return is_float(f->type) && b->nan_count != 0;
}

static bool
all_null(const FilterBounds *b)
{
	return b->value_count >= 0 && b->null_count == b->value_count;
}

/* A NaN, as a value. */
static LakeValue
nan_value(void)
{
	LakeValue	v;

	memset(&v, 0, sizeof(v));
	v.u.f64 = NAN;
	return v;
}

/* Is every non-null value the same, known one? */
static bool
is_single(const Filter *f, const FilterBounds *b)
{
	return lake_value_compare(f->type, &b->lower, &b->upper) == 0;
}

/* Can a value between the bounds be equal to c? */
static bool
may_equal(const Filter *f, const FilterBounds *b, const LakeValue *c)
{
	return lake_value_compare(f->type, &b->lower, c) <= 0 &&
		lake_value_compare(f->type, c, &b->upper) <= 0;
}

/* Some byte string between the bounds begins with c, or might. */
static bool
may_begin_with(const FilterBounds *b, const LakeValue *c)
{
	uint32		n = c->u.bytes.size;
	uint32		low = Min(b->lower.u.bytes.size, n);
	uint32		high = Min(b->upper.u.bytes.size, n);

	/* the smallest value must not be beyond all strings with the prefix, */
	if (low > 0 && memcmp(b->lower.u.bytes.data, c->u.bytes.data, low) > 0)
		return false;
	/* nor the largest before all of them */
	if (high > 0)
	{
		int			cmp = memcmp(b->upper.u.bytes.data, c->u.bytes.data, high);

		if (cmp != 0)
			return cmp > 0;
	}
	return high == n;
}

/* Do all values between the bounds begin with c? */
static bool
all_begin_with(const FilterBounds *b, const LakeValue *c)
{
	uint32		n = c->u.bytes.size;

	return n == 0 ||
		(b->lower.u.bytes.size >= n && b->upper.u.bytes.size >= n &&
		 memcmp(b->lower.u.bytes.data, c->u.bytes.data, n) == 0 &&
		 memcmp(b->upper.u.bytes.data, c->u.bytes.data, n) == 0);
}

static bool
in_list(const Filter *f, const LakeValue *v)
{
	for (int i = 0; i < f->nvalues; i++)
	{
		if (lake_value_compare(f->type, v, &f->values[i]) == 0)
			return true;
	}
	return false;
}

/* Can a comparison be true for some value within known bounds (NaN apart)? */
static bool
compare_may_pass(const Filter *f, FilterOp op, const FilterBounds *b)
{
	const LakeValue *c = f->values;

	switch (op)
	{
		case FILTER_EQ:
			return may_equal(f, b, c);
		case FILTER_NE:
			return !(is_single(f, b) && lake_value_compare(f->type, &b->lower, c) == 0);
		case FILTER_LT:
			return lake_value_compare(f->type, &b->lower, c) < 0;
		case FILTER_LE:
			return lake_value_compare(f->type, &b->lower, c) <= 0;
		case FILTER_GT:
			return lake_value_compare(f->type, &b->upper, c) > 0;
		case FILTER_GE:
			return lake_value_compare(f->type, &b->upper, c) >= 0;
		case FILTER_IN:
			for (int i = 0; i < f->nvalues; i++)
			{
				if (may_equal(f, b, &f->values[i]))
					return true;
			}
			return false;
		case FILTER_NOT_IN:
			return !(is_single(f, b) && in_list(f, &b->lower));
		case FILTER_PREFIX:
			return may_begin_with(b, c);
		default:
			return true;
	}
}

bool
filter_negate(FilterOp op, FilterOp *negated)
{
	static const FilterOp negations[] = {
		[FILTER_EQ] = FILTER_NE,
		[FILTER_NE] = FILTER_EQ,
		[FILTER_LT] = FILTER_GE,
		[FILTER_LE] = FILTER_GT,
		[FILTER_GT] = FILTER_LE,
		[FILTER_GE] = FILTER_LT,
		[FILTER_IN] = FILTER_NOT_IN,
		[FILTER_NOT_IN] = FILTER_IN,
	};

	if (op >= lengthof(negations))
		return false;
	*negated = negations[op];
	return true;
}

static bool
comparison_may(const Filter *f, bool truth, const FilterBounds *b)
{
	FilterOp	op = f->op;

	if (all_null(b))
		return false;
	if (may_have_nan(f, b))
	{
		LakeValue	nan = nan_value();

		if (filter_value_passes(f, &nan) == truth)
			return true;
	}
	if (!b->known)
		return true;
	if (truth)
		return compare_may_pass(f, op, b);
	if (filter_negate(op, &op))
		return compare_may_pass(f, op, b);
	return !all_begin_with(b, f->values);
}

static bool
null_may(bool wanted, const FilterBounds *b)
{
	return wanted ? b->null_count != 0 : !all_null(b);
}

static bool
may(const Filter *f, bool truth, const FilterBounds *bounds)
{
	bool		every;

	switch (f->op)
	{
		case FILTER_NOT:
			return may(f->args[0], !truth, bounds);
		case FILTER_AND:
		case FILTER_OR:
			/* rows of different kinds may satisfy the parts of a conjunction: yes if each may */
			every = (f->op == FILTER_AND) == truth;
			for (int i = 0; i < f->nargs; i++)
			{
				if (may(f->args[i], truth, bounds) != every)
					return !every;
			}
			return every;
		case FILTER_FALSE:
			return false;
		case FILTER_IS_NULL:
			return null_may(truth, &bounds[f->column]);
		case FILTER_IS_NOT_NULL:
			return null_may(!truth, &bounds[f->column]);
		default:
			return comparison_may(f, truth, &bounds[f->column]);
	}
}

bool
filter_may_match(const Filter *f, const FilterBounds *bounds)
{
	return may(f, true, bounds);
}
