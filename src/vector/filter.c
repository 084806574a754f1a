/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Trees of filters, and their evaluation over bitmaps.
 *
 * Three-valued logic with one bit a row: what is computed is "is true" or
 * "is false", never "unknown" itself.  The truth wanted is passed down: NOT
 * asks its child for the other one, AND and OR change places under it (De
 * Morgan), and a comparison with a null is neither.  So no second bitmap for
 * unknowns is needed, and every node only looks at rows still undecided.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "vector/filter_internal.h"

Filter *
filter_make(FilterOp op, int column, LakeType type, const LakeValue *values, int nvalues)
{
	Filter	   *f = palloc0(sizeof(Filter));

	f->op = op;
	f->column = column;
	f->type = type;
	f->nvalues = nvalues;
	if (nvalues > 0)
	{
		f->values = palloc(sizeof(LakeValue) * (size_t) nvalues);
		memcpy(f->values, values, sizeof(LakeValue) * (size_t) nvalues);
	}
	return f;
}

Filter *
filter_combine(FilterOp op, Filter **args, int nargs)
{
	Filter	   *f = palloc0(sizeof(Filter));

	Assert(op == FILTER_AND || op == FILTER_OR || (op == FILTER_NOT && nargs == 1));
	f->op = op;
	f->column = -1;
	f->nargs = nargs;
	f->args = palloc(sizeof(Filter *) * (size_t) Max(nargs, 1));
	memcpy(f->args, args, sizeof(Filter *) * (size_t) nargs);
	return f;
}

void
filter_columns(const Filter *f, bool *used)
{
	if (f->column >= 0 && f->op != FILTER_FALSE)
		used[f->column] = true;
	for (int i = 0; i < f->nargs; i++)
		filter_columns(f->args[i], used);
}

static bool
bitmap_is_empty(const uint64 *map, size_t nwords)
{
	for (size_t w = 0; w < nwords; w++)
	{
		if (map[w] != 0)
			return false;
	}
	return true;
}

static void evaluate(const Filter *f, bool truth, ColumnVector *const *columns,
					 uint32 nrows, uint64 *selection);

/* Rows for which all arguments have that truth: the selection shrinks. */
static void
evaluate_all(const Filter *f, bool truth, ColumnVector *const *columns,
			 uint32 nrows, uint64 *selection)
{
	size_t		nwords = BITMAP_WORDS(nrows);

	for (int i = 0; i < f->nargs; i++)
	{
		evaluate(f->args[i], truth, columns, nrows, selection);
		if (bitmap_is_empty(selection, nwords))
			return;
	}
}

/* Rows for which some argument has that truth: each is asked about the rows left over. */
static void
evaluate_any(const Filter *f, bool truth, ColumnVector *const *columns,
			 uint32 nrows, uint64 *selection)
{
	size_t		nwords = BITMAP_WORDS(nrows);
	uint64	   *found;
	uint64	   *left;

	if (nwords == 0)
		return;
	found = palloc0(nwords * sizeof(uint64));
	left = palloc(nwords * sizeof(uint64));
	for (int i = 0; i < f->nargs; i++)
	{
		bool		any = false;

		for (size_t w = 0; w < nwords; w++)
		{
			left[w] = selection[w] & ~found[w];
			any |= left[w] != 0;
		}
		if (!any)
			break;
		evaluate(f->args[i], truth, columns, nrows, left);
		for (size_t w = 0; w < nwords; w++)
			found[w] |= left[w];
	}
	memcpy(selection, found, nwords * sizeof(uint64));
	pfree(left);
	pfree(found);
}

/* IS NULL when `nulls`, IS NOT NULL otherwise; never unknown. */
static void
select_nulls(const ColumnVector *v, bool nulls, uint32 nrows, uint64 *selection)
{
	size_t		nwords = BITMAP_WORDS(nrows);

	if (v->null_count == 0)
	{
		if (nulls)
			memset(selection, 0, nwords * sizeof(uint64));
		return;
	}
	for (size_t w = 0; w < nwords; w++)
		selection[w] &= nulls ? ~v->valid[w] : v->valid[w];
}

static void
evaluate_comparison(const Filter *f, bool truth, const ColumnVector *v,
					uint32 nrows, uint64 *selection)
{
	size_t		nwords = BITMAP_WORDS(nrows);
	uint64	   *passed;

	if (nwords == 0)
		return;
	if (v->null_count > 0)
		select_nulls(v, false, nrows, selection);
	passed = palloc(nwords * sizeof(uint64));
	filter_compare(f, v, nrows, selection, passed);
	if (truth)
	{
		for (size_t w = 0; w < nwords; w++)
			selection[w] &= passed[w];
	}
	else
	{
		for (size_t w = 0; w < nwords; w++)
			selection[w] &= ~passed[w];
	}
	pfree(passed);
}

/* Leaves in `selection` the rows for which f is true, or is false. */
static void
evaluate(const Filter *f, bool truth, ColumnVector *const *columns,
		 uint32 nrows, uint64 *selection)
{
	switch (f->op)
	{
		case FILTER_AND:
			(truth ? evaluate_all : evaluate_any) (f, truth, columns, nrows, selection);
			break;
		case FILTER_OR:
			(truth ? evaluate_any : evaluate_all) (f, truth, columns, nrows, selection);
			break;
		case FILTER_NOT:
			evaluate(f->args[0], !truth, columns, nrows, selection);
			break;
		case FILTER_FALSE:
			/* unknown, as a comparison with NULL is: its negation is not true either */
			memset(selection, 0, BITMAP_WORDS(nrows) * sizeof(uint64));
			break;
		case FILTER_IS_NULL:
			select_nulls(columns[f->column], truth, nrows, selection);
			break;
		case FILTER_IS_NOT_NULL:
			select_nulls(columns[f->column], !truth, nrows, selection);
			break;
		default:
			evaluate_comparison(f, truth, columns[f->column], nrows, selection);
	}
}

void
filter_rows(const Filter *f, ColumnVector *const *columns, uint32 nrows, uint64 *selection)
{
	evaluate(f, true, columns, nrows, selection);
}
