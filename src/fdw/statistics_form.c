/*-------------------------------------------------------------------------
 *
 * statistics_form.c
 *	  Column statistics as a row of pg_statistic.
 *
 * The server's functions know how to use such a row for comparisons, BETWEEN,
 * IN, IS NULL, LIKE, joins and groups alike; estimating the selectivity of
 * pushed clauses here, without it, would serve the scan and leave joins and
 * groups in the dark.
 *
 * Distinct values.  Of whole numbers there are no more than the range has;
 * drawing n of w numbers at random leaves w * (1 - exp(-n / w)) different
 * ones, summed over the stretches of the sweep.  Of text, floats and decimals
 * the size tells: no code for d equally frequent values needs less than
 * log2(d) bits for each, and zstd over a dictionary comes near that.  (Whole
 * numbers and times are often in order, and ordered values take less.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "fdw/fdw.h"
#include "fdw/statistics.h"
#include "fdw/sweep.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* What a column takes in a file whatever its values: page headers, a small dictionary. */
#define FILE_OVERHEAD 150.0

/* Files with fewer values are mostly overhead. */
#define FILE_VALUES 2000.0

/* --- distinct values --- */

/* By the bits a value takes; 0 unknown.  There are two at least: the bounds differ, or it would not be asked. */
static double
distinct_by_size(const FdwColumnStatistics *c)
{
	double		present = c->sized - c->nulls;
	double		bits;

	if (c->sized_files == 0 || present / c->sized_files < FILE_VALUES)
		return 0;
	bits = 8 * Max(c->bytes - FILE_OVERHEAD * c->sized_files, 0) / present;
	return bits < 60 ? Max(exp2(bits), 2) : present;
}

double
statistics_distinct(const FdwColumnStatistics *c, double rows)
{
	double		present = c->values > 0 ? rows * (1 - c->nulls / c->values) : rows;
	double		distinct = 0;

	if (c->unique || c->type.id == LAKE_UUID)
		return rows > 0 ? -present / rows : 0;
	if (c->bounded && lake_value_compare(c->type, &c->lower, &c->upper) == 0)
		return 1;
	switch (c->type.id)
	{
		case LAKE_FLOAT:
		case LAKE_DOUBLE:
		case LAKE_STRING:
		case LAKE_BINARY:
		case LAKE_FIXED:
			distinct = distinct_by_size(c);
			break;
		default:
			if (c->nintervals > 0)
			{
				Sweep		sweep;

				sweep_init(&sweep, c);
				distinct = sweep_distinct(&sweep);
				if (c->type.id == LAKE_DECIMAL && distinct_by_size(c) > 0)
					distinct = Min(distinct, distinct_by_size(c));
				pfree(sweep.events);
			}
			break;
	}
	if (distinct <= 0 || rows <= 0)
		return 0;
	distinct = Max(Min(distinct, present), 1);

	/* as ANALYZE does: what seems to grow with the table is a share of it */
	return distinct > 0.1 * rows ? -distinct / rows : rint(distinct);
}

/* --- histogram --- */

static LakeValue
number_value(LakeType type, double number)
{
	LakeValue	value = {0};

	switch (lake_type_layout(type))
	{
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			value.u.f64 = number;
			break;
		case LAYOUT_INT128:
			value.u.i128 = (int128) rint(number);
			break;
		default:
			number = rint(number);
			/* the largest that a double has is one more than fits */
			value.u.i64 = number >= 9223372036854775807.0 ? PG_INT64_MAX
				: number <= -9223372036854775808.0 ? PG_INT64_MIN : (int64) number;
			break;
	}
	return value;
}

/* Datums of the column's type; false when a value is none of it: then the files are read with an error, too. */
static bool
form_values(const FdwColumnStatistics *c, const LakeValue *lake, int n, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	ColumnVector *v = column_vector_create(context, c->type, n);
	uint32		rows[STATISTICS_MAX_HISTOGRAM];
	bool		isnull[STATISTICS_MAX_HISTOGRAM];
	volatile bool formed = true;

	for (int i = 0; i < n; i++)
	{
		column_vector_append_value(v, &lake[i]);
		rows[i] = i;
	}

	/* plain computing: nothing is held or changed that an error would leave behind */
	PG_TRY();
	{
		convert_form(&c->column.convert, v, rows, n, values, isnull, 1);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
		formed = false;
	}
	PG_END_TRY();
	return formed;
}

/* Is a bound's text a value of the column's type too?  Cut documents, for one, are none. */
static bool
forms_bounds(const FdwColumnStatistics *c)
{
	switch (c->column.convert.kind)
	{
		case CONVERT_BOOL:
		case CONVERT_INT2:
		case CONVERT_INT4:
		case CONVERT_INT8:
		case CONVERT_FLOAT4:
		case CONVERT_FLOAT8:
		case CONVERT_DATE:
		case CONVERT_TIME:
		case CONVERT_TIMESTAMP:
		case CONVERT_NUMERIC:
		case CONVERT_TEXT:
			return true;
		default:
			return false;
	}
}

int
statistics_histogram(FdwColumnStatistics *c, Datum *values)
{
	LakeValue	lake[STATISTICS_MAX_HISTOGRAM];
	int			n = c->nintervals > 1 ? STATISTICS_MAX_HISTOGRAM : 2;

	if (!c->bounded || !forms_bounds(c))
		return 0;
	if (n > 2)
	{
		double		quantiles[STATISTICS_MAX_HISTOGRAM];
		Sweep		sweep;

		sweep_init(&sweep, c);
		sweep_quantiles(&sweep, quantiles, n);
		pfree(sweep.events);
		for (int i = 1; i < n - 1; i++)
		{
			lake[i] = number_value(c->type, quantiles[i]);
			if (lake_value_compare(c->type, &lake[i], &c->lower) < 0)
				lake[i] = c->lower;
			if (lake_value_compare(c->type, &lake[i], &c->upper) > 0)
				lake[i] = c->upper;
		}
	}
	lake[0] = c->lower;
	lake[n - 1] = c->upper;
	return form_values(c, lake, n, values) ? n : 0;
}

void
statistics_hit(const FdwColumnStatistics *c, int nfiles, double *files, double *rows)
{
	double		quantiles[STATISTICS_MAX_HISTOGRAM];
	double		values = 0;
	Sweep		sweep;

	*files = 1;
	*rows = 1;
	/* a file without bounds is always read */
	if (c->nintervals < nfiles || nfiles < 2)
		return;
	sweep_init(&sweep, c);
	sweep_quantiles(&sweep, quantiles, STATISTICS_MAX_HISTOGRAM);
	pfree(sweep.events);
	for (int i = 0; i < nfiles; i++)
		values += c->intervals[i].values;
	*files = 0;
	*rows = 0;
	for (int i = 0; i < nfiles; i++)
	{
		const FdwInterval *v = &c->intervals[i];
		double		hit = sweep_share_below(quantiles, STATISTICS_MAX_HISTOGRAM, v->upper) -
			sweep_share_below(quantiles, STATISTICS_MAX_HISTOGRAM, v->lower);

		/* its own values hit it at least */
		hit = Min(Max(hit, v->values / values), 1);
		*files += hit / nfiles;
		*rows += hit * v->values / values;
	}
}

/* --- the row --- */

/* The histogram as slot 1 of a row of pg_statistic. */
static void
set_histogram(FdwColumnStatistics *c, Datum *row, bool *isnull)
{
	Oid			type = c->column.convert.pg_type;
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_LT_OPR | TYPECACHE_CMP_PROC_FINFO);
	Datum		values[STATISTICS_MAX_HISTOGRAM];
	int			n;

	if (!OidIsValid(entry->lt_opr) || !OidIsValid(entry->cmp_proc_finfo.fn_oid))
		return;
	n = statistics_histogram(c, values);
	if (n == 0)
		return;

	/* bounds of text are in the order of bytes */
	if (n == 2 && DatumGetInt32(FunctionCall2Coll(&entry->cmp_proc_finfo, c->collation,
												  values[0], values[1])) > 0)
	{
		Datum		first = values[0];

		values[0] = values[1];
		values[1] = first;
	}
	row[Anum_pg_statistic_stakind1 - 1] = Int16GetDatum(STATISTIC_KIND_HISTOGRAM);
	row[Anum_pg_statistic_staop1 - 1] = ObjectIdGetDatum(entry->lt_opr);
	row[Anum_pg_statistic_stacoll1 - 1] = ObjectIdGetDatum(c->collation);
	row[Anum_pg_statistic_stavalues1 - 1] =
		PointerGetDatum(construct_array(values, n, type, entry->typlen, entry->typbyval,
										entry->typalign));
	isnull[Anum_pg_statistic_stavalues1 - 1] = false;
}

static HeapTuple
form_tuple(FdwStatistics *s, FdwColumnStatistics *c)
{
	Relation	catalog;
	Datum		row[Natts_pg_statistic] = {0};
	bool		isnull[Natts_pg_statistic] = {0};
	HeapTuple	tuple;

	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		isnull[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		isnull[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	row[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(s->relid);
	row[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(c->column.attno);
	row[Anum_pg_statistic_stanullfrac - 1] =
		Float4GetDatum(c->values > 0 ? (float4) (c->nulls / c->values) : 0);
	row[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(statistics_width(c));
	row[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum((float4) statistics_distinct(c, s->rows));
	set_histogram(c, row, isnull);

	catalog = table_open(StatisticRelationId, AccessShareLock);
	tuple = heap_form_tuple(RelationGetDescr(catalog), row, isnull);
	table_close(catalog, AccessShareLock);
	return tuple;
}

HeapTuple
statistics_tuple(FdwStatistics *s, FdwColumnStatistics *c)
{
	MemoryContext scratch;
	MemoryContext old;

	if (c->formed)
		return c->tuple;
	c->formed = true;
	if (c->values == 0 && !c->bounded)
		return NULL;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "tarn statistics", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	c->tuple = form_tuple(s, c);
	MemoryContextSwitchTo(s->context);
	c->tuple = heap_copytuple(c->tuple);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return c->tuple;
}
