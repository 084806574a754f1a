/*-------------------------------------------------------------------------
 *
 * test_vector_filter.c
 *	  Row filters against a row-at-a-time evaluation in three-valued logic,
 *	  and bounds that must never lose a row that passes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "column/vector.h"
#include "tap.h"
#include "vector/filter.h"

#define NCOLUMNS 9
#define ROWS 331				/* no multiple of 64 */

typedef enum Truth
{
	IS_FALSE, IS_UNKNOWN, IS_TRUE
} Truth;

static const LakeType types[NCOLUMNS] = {
	{.id = LAKE_BOOLEAN}, {.id = LAKE_INT}, {.id = LAKE_LONG},
	{.id = LAKE_DECIMAL, .precision = 38, .scale = 2},
	{.id = LAKE_FLOAT}, {.id = LAKE_DOUBLE}, {.id = LAKE_STRING},
	{.id = LAKE_FIXED, .length = 3}, {.id = LAKE_DATE}
};

static uint64 state = 42;

static uint32
below(uint32 n)
{
	return (uint32) (tap_random(&state) % n);
}

/* A value out of few, so that comparisons hit. */
static LakeValue
random_value(LakeType type)
{
	static const char *const strings[] = {"", "a", "ab", "abc", "abd", "b", "ba\xff", "zzzzzzzzzzzzzzzzzzzz"};
	static const char *const fixed[] = {"aaa", "aab", "abb", "zzz"};
	static const double floats[] = {-1.5, -0.0, 0.0, 1, 2.5, 1e30};
	LakeValue	v;

	memset(&v, 0, sizeof(v));
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
			v.u.i64 = below(2);
			break;
		case LAYOUT_INT32:
		case LAYOUT_INT64:
			v.u.i64 = (int64) below(12) - 5;
			break;
		case LAYOUT_INT128:
			v.u.i128 = ((int128) below(9) - 4) << (below(2) * 80);
			break;
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			v.u.f64 = below(8) == 0 ? NAN : (double) (float) floats[below(lengthof(floats))];
			break;
		case LAYOUT_FIXED:
			v.u.bytes.data = fixed[below(lengthof(fixed))];
			v.u.bytes.size = 3;
			break;
		case LAYOUT_BYTES:
			v.u.bytes.data = strings[below(lengthof(strings))];
			v.u.bytes.size = (uint32) strlen(v.u.bytes.data);
			break;
	}
	return v;
}

static ColumnVector *
random_vector(LakeType type, uint32 rows, uint32 null_percent, bool coded)
{
	ColumnVector *v = column_vector_create(CurrentMemoryContext, type, rows);
	ColumnVector *dictionary = NULL;
	uint32	   *codes = NULL;

	if (coded)
	{
		uint32		n = 1 + below(9);

		dictionary = column_vector_create(CurrentMemoryContext, type, n);
		for (uint32 i = 0; i < n; i++)
		{
			LakeValue	value = random_value(type);

			column_vector_append_value(dictionary, &value);
		}
		codes = palloc0(sizeof(uint32) * (rows + 64));
	}
	for (uint32 i = 0; i < rows; i++)
	{
		LakeValue	value = random_value(type);

		value.isnull = below(100) < null_percent;
		column_vector_append_value(v, &value);
		if (coded && !value.isnull)
			codes[i] = below(dictionary->length);
	}
	v->codes = codes;
	v->dictionary = dictionary;
	return v;
}

static Filter *
random_filter(int depth)
{
	uint32		pick = below(depth > 0 ? 16 : 12);
	int			column = (int) below(NCOLUMNS);
	LakeValue	values[20];
	int			nvalues = 1;

	if (pick >= 12)
	{
		Filter	   *args[3];
		int			nargs = (pick == 15) ? 1 : 1 + (int) below(3);

		for (int i = 0; i < nargs; i++)
			args[i] = random_filter(depth - 1);
		return filter_combine(pick == 15 ? FILTER_NOT : pick == 14 ? FILTER_OR : FILTER_AND, args, nargs);
	}
	if (pick == FILTER_PREFIX)
		column = 6;
	if (pick == FILTER_AND)		/* the slot of the table without an operator of its own */
		pick = FILTER_FALSE;
	if (pick == FILTER_IS_NULL || pick == FILTER_IS_NOT_NULL || pick == FILTER_FALSE)
		nvalues = 0;
	if (pick == FILTER_IN || pick == FILTER_NOT_IN)
		nvalues = 1 + (int) below(lengthof(values));
	for (int i = 0; i < nvalues; i++)
		values[i] = random_value(types[column]);
	return filter_make((FilterOp) pick, column, types[column], values, nvalues);
}

static Truth
compare(const Filter *f, const LakeValue *value)
{
	int			cmp;

	if (value->isnull)
		return IS_UNKNOWN;
	if (f->op == FILTER_PREFIX)
		return value->u.bytes.size >= f->values[0].u.bytes.size &&
			memcmp(value->u.bytes.data, f->values[0].u.bytes.data, f->values[0].u.bytes.size) == 0
			? IS_TRUE : IS_FALSE;
	if (f->op == FILTER_IN || f->op == FILTER_NOT_IN)
	{
		bool		found = false;

		for (int i = 0; i < f->nvalues; i++)
			found |= lake_value_compare(f->type, value, &f->values[i]) == 0;
		return found == (f->op == FILTER_IN) ? IS_TRUE : IS_FALSE;
	}
	cmp = lake_value_compare(f->type, value, &f->values[0]);
	switch (f->op)
	{
		case FILTER_EQ:
			return cmp == 0 ? IS_TRUE : IS_FALSE;
		case FILTER_NE:
			return cmp != 0 ? IS_TRUE : IS_FALSE;
		case FILTER_LT:
			return cmp < 0 ? IS_TRUE : IS_FALSE;
		case FILTER_LE:
			return cmp <= 0 ? IS_TRUE : IS_FALSE;
		case FILTER_GT:
			return cmp > 0 ? IS_TRUE : IS_FALSE;
		default:
			return cmp >= 0 ? IS_TRUE : IS_FALSE;
	}
}

static Truth
row_truth(const Filter *f, ColumnVector **columns, uint32 row)
{
	Truth		result = (f->op == FILTER_AND) ? IS_TRUE : IS_FALSE;
	LakeValue	value;

	switch (f->op)
	{
		case FILTER_AND:
			for (int i = 0; i < f->nargs; i++)
				result = Min(result, row_truth(f->args[i], columns, row));
			return result;
		case FILTER_OR:
			for (int i = 0; i < f->nargs; i++)
				result = Max(result, row_truth(f->args[i], columns, row));
			return result;
		case FILTER_NOT:
			return (Truth) (IS_TRUE - row_truth(f->args[0], columns, row));
		case FILTER_FALSE:
			return IS_UNKNOWN;
		case FILTER_IS_NULL:
		case FILTER_IS_NOT_NULL:
			return column_vector_isnull(columns[f->column], row) == (f->op == FILTER_IS_NULL)
				? IS_TRUE : IS_FALSE;
		default:
			column_vector_value(columns[f->column], row, &value);
			return compare(f, &value);
	}
}

/* True bounds of a column's rows, some of it forgotten. */
static FilterBounds
bounds_of(const ColumnVector *v, bool forget)
{
	FilterBounds b;

	memset(&b, 0, sizeof(b));
	b.value_count = v->length;
	for (uint32 i = 0; i < v->length; i++)
	{
		LakeValue	value;

		column_vector_value(v, i, &value);
		if (value.isnull)
			b.null_count++;
		else if (v->layout >= LAYOUT_FLOAT && v->layout <= LAYOUT_DOUBLE && isnan(value.u.f64))
			b.nan_count++;
		else
		{
			if (!b.known || lake_value_compare(v->type, &value, &b.lower) < 0)
				b.lower = value;
			if (!b.known || lake_value_compare(v->type, &value, &b.upper) > 0)
				b.upper = value;
			b.known = true;
		}
	}
	if (forget && below(4) == 0)
		b.known = false;
	if (forget && below(4) == 0)
		b.null_count = -1;
	if (forget && below(4) == 0)
		b.nan_count = -1;
	if (forget && below(4) == 0)
		b.value_count = -1;
	return b;
}

static void
test_rows(bool coded, uint32 null_percent, const char *name)
{
	ColumnVector *columns[NCOLUMNS];
	int			wrong = 0;
	int			passing = 0;

	for (int round = 0; round < 20; round++)
	{
		for (int c = 0; c < NCOLUMNS; c++)
			columns[c] = random_vector(types[c], ROWS, null_percent, coded);
		for (int k = 0; k < 100; k++)
		{
			Filter	   *f = random_filter(3);
			uint64		selection[BITMAP_WORDS(ROWS)];
			uint64		wanted[BITMAP_WORDS(ROWS)] = {0};

			for (uint32 w = 0; w < BITMAP_WORDS(ROWS); w++)
				selection[w] = below(5) == 0 ? 0 : tap_random(&state) | tap_random(&state);
			bitmap_clear_tail(selection, ROWS);
			for (uint32 i = 0; i < ROWS; i++)
			{
				if (bitmap_get(selection, i) && row_truth(f, columns, i) == IS_TRUE)
					bitmap_set(wanted, i);
			}
			filter_rows(f, columns, ROWS, selection);
			passing += bitmap_count(wanted, ROWS) > 0;
			wrong += memcmp(selection, wanted, sizeof(wanted)) != 0;
		}
	}
	is_int(wrong, 0, "rows: %s", name);
	ok(passing > 400, "rows: %s, enough filters pass some row", name);
}

static void
test_may_match(bool forget, const char *name)
{
	ColumnVector *columns[NCOLUMNS];
	FilterBounds bounds[NCOLUMNS];
	int			lost = 0;
	int			pruned = 0;

	for (int round = 0; round < 300; round++)
	{
		uint32		rows = 1 + below(4);

		for (int c = 0; c < NCOLUMNS; c++)
		{
			columns[c] = random_vector(types[c], rows, 25, false);
			bounds[c] = bounds_of(columns[c], forget);
		}
		for (int k = 0; k < 30; k++)
		{
			Filter	   *f = random_filter(2);
			bool		any = false;
			bool		may = filter_may_match(f, bounds);

			for (uint32 i = 0; i < rows; i++)
				any |= row_truth(f, columns, i) == IS_TRUE;
			lost += any && !may;
			pruned += !may;
		}
	}
	is_int(lost, 0, "bounds: no row lost, %s", name);
	ok(pruned > 500, "bounds: %d of 9000 pruned, %s", pruned, name);
}

static LakeValue
string_value(const char *s)
{
	LakeValue	v;

	memset(&v, 0, sizeof(v));
	v.u.bytes.data = s;
	v.u.bytes.size = (uint32) strlen(s);
	return v;
}

static void
test_prefix_bounds(void)
{
	FilterBounds b = {.known = true, .null_count = 0, .nan_count = -1, .value_count = 10};
	LakeType	string = {.id = LAKE_STRING};
	LakeValue	prefix = string_value("mn");
	Filter	   *f = filter_make(FILTER_PREFIX, 0, string, &prefix, 1);
	Filter	   *negated = filter_combine(FILTER_NOT, &f, 1);

	b.lower = string_value("ma");
	b.upper = string_value("mz");
	ok(filter_may_match(f, &b), "prefix inside the bounds");
	b.lower = string_value("mo");
	ok(!filter_may_match(f, &b), "prefix below the bounds");
	b.lower = string_value("a");
	b.upper = string_value("mm");
	ok(!filter_may_match(f, &b), "prefix above the bounds");
	b.upper = string_value("m");
	ok(!filter_may_match(f, &b), "upper bound shorter than the prefix");
	b.lower = string_value("mna");
	b.upper = string_value("mnz");
	ok(!filter_may_match(negated, &b), "all values begin with the prefix");
}

static void
test_nan_bounds(void)
{
	FilterBounds b = {.known = true, .null_count = 0, .nan_count = -1, .value_count = 10};
	LakeType	dbl = {.id = LAKE_DOUBLE};
	LakeValue	five;
	Filter	   *f;

	memset(&five, 0, sizeof(five));
	five.u.f64 = 5;
	b.lower.u.f64 = 1;
	b.upper.u.f64 = 2;
	f = filter_make(FILTER_GT, 0, dbl, &five, 1);
	ok(filter_may_match(f, &b), "NaN may be above the upper bound");
	b.nan_count = 0;
	ok(!filter_may_match(f, &b), "without NaN the upper bound holds");
	b.nan_count = 3;
	f = filter_make(FILTER_LT, 0, dbl, &five, 1);
	b.lower.u.f64 = 6;
	b.upper.u.f64 = 7;
	ok(!filter_may_match(f, &b), "NaN is never below");
}

/* Constants of a promoted type meet vectors of the narrower one. */
static void
test_promoted(void)
{
	LakeType	narrow = {.id = LAKE_INT};
	LakeType	wide = {.id = LAKE_LONG};
	ColumnVector *v = column_vector_create(CurrentMemoryContext, narrow, 3);
	LakeValue	c[6];
	uint64		selection = 7;
	bool		used[1] = {false};
	Filter	   *f;

	column_append_int32(v, 0);
	column_append_int32(v, 1);
	column_append_int32(v, 2);
	memset(c, 0, sizeof(c));
	c[0].u.i64 = INT64CONST(1) << 32;
	c[1].u.i64 = 1;
	f = filter_make(FILTER_LT, 0, wide, c, 1);
	filter_rows(f, &v, 3, &selection);
	is_int(selection, 7, "a constant above the narrow type is above its values");
	f = filter_make(FILTER_EQ, 0, wide, c, 1);
	filter_rows(f, &v, 3, &selection);
	is_int(selection, 0, "and equal to none");
	for (int i = 2; i < 6; i++)
		c[i].u.i64 = 1000 + i;
	selection = 7;
	f = filter_make(FILTER_IN, 0, wide, c, 6);
	filter_rows(f, &v, 3, &selection);
	is_int(selection, 2, "a list with constants the narrow type cannot hold");
	filter_columns(f, used);
	ok(used[0], "columns of a filter are collected");
}

int
main(void)
{
	test_rows(false, 0, "plain");
	test_rows(false, 30, "plain with nulls");
	test_rows(true, 0, "dictionary form");
	test_rows(true, 30, "dictionary form with nulls");
	test_may_match(false, "everything known");
	test_may_match(true, "some unknown");
	test_prefix_bounds();
	test_nan_bounds();
	test_promoted();
	return tap_done();
}
