/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  Column statistics out of manifests: counts, bounds, sizes.
 *
 * A manifest has of each file and column the smallest and the largest value,
 * how many are null, and the bytes they take compressed.  Of a column whose
 * values have distances the bounds of every file are kept: files that follow
 * each other in time show how values are spread.  Of text only the bounds of
 * the whole table are.
 *
 * Files are counted as they were written: rows deleted since are taken to be
 * like the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fdw/fdw.h"
#include "fdw/statistics.h"
#include "iceberg/bounds.h"
#include "utils/memutils.h"

/*
 * Text of some length shrinks to about a third when it is compressed.  The
 * bytes of a column in dictionary form say nothing of its length, and are
 * so few that the bounds decide.
 */
#define TEXT_COMPRESSION 2.5

/* Are there distances between values of that type? */
static bool
type_measurable(LakeType type)
{
	switch (lake_type_layout(type))
	{
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			return false;
		default:
			return true;
	}
}

/* A value of such a type as a number; false when it is none. */
static bool
value_number(LakeType type, const LakeValue *value, double *number)
{
	switch (lake_type_layout(type))
	{
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			*number = value->u.f64;
			break;
		case LAYOUT_INT128:
			*number = (double) value->u.i128;
			break;
		default:
			*number = (double) value->u.i64;
			break;
	}
	return isfinite(*number);
}

/* The value with its bytes in the current context. */
static LakeValue
value_copy(LakeType type, const LakeValue *value)
{
	LakeValue	copy = *value;

	if (!type_measurable(type))
	{
		char	   *data = palloc(Max(value->u.bytes.size, 1));

		memcpy(data, value->u.bytes.data, value->u.bytes.size);
		copy.u.bytes.data = data;
	}
	return copy;
}

/* Widens the table's bounds by those of a file. */
static void
widen_bounds(FdwColumnStatistics *c, const LakeValue *lower, const LakeValue *upper)
{
	if (!c->bounded || lake_value_compare(c->type, lower, &c->lower) < 0)
		c->lower = value_copy(c->type, lower);
	if (!c->bounded || lake_value_compare(c->type, upper, &c->upper) > 0)
		c->upper = value_copy(c->type, upper);
	c->bounded = true;
}

static void
add_bounds(FdwColumnStatistics *c, const IcebergMetrics *m, double values)
{
	LakeValue	lower;
	LakeValue	upper;
	FdwInterval *interval;

	/* writers do not agree on the order of uuids, and they are random anyway */
	if (m->lower == NULL || m->upper == NULL || c->type.id == LAKE_UUID ||
		!iceberg_value_decode(c->type, m->lower, m->lower_size, &lower) ||
		!iceberg_value_decode(c->type, m->upper, m->upper_size, &upper) ||
		lake_value_compare(c->type, &lower, &upper) > 0)
		return;
	if (c->intervals != NULL)
	{
		interval = &c->intervals[c->nintervals];
		if (!value_number(c->type, &lower, &interval->lower) ||
			!value_number(c->type, &upper, &interval->upper))
			return;
		interval->values = values;
		c->nintervals++;
	}
	widen_bounds(c, &lower, &upper);
}

static void
add_file(FdwColumnStatistics *c, const IcebergDataFile *file, const IcebergMetrics *m)
{
	double		values = m->value_count >= 0 ? m->value_count : file->record_count;
	double		absent = Max(m->null_count, 0) + Max(m->nan_count, 0);

	if (m->null_count >= 0)
	{
		c->values += values;
		c->nulls += Min(m->null_count, values);
	}
	if (m->column_size > 0)
	{
		c->sized += values;
		c->sized_files++;
		c->bytes += m->column_size;
	}
	if (values > absent)
		add_bounds(c, m, values - absent);
}

static FdwColumnStatistics *
column_start(Relation relation, const FdwColumn *column, const LakeScan *scan)
{
	const IcebergSchema *schema = scan->table->schema;
	int			nfiles = lake_scan_nfiles(scan);
	FdwColumnStatistics *c = palloc0(sizeof(FdwColumnStatistics));

	c->column = *column;
	c->column.field = NULL;
	c->type = column->field->type;
	c->collation = TupleDescAttr(RelationGetDescr(relation), column->attno - 1)->attcollation;
	c->unique = schema->nidentifiers == 1 && schema->identifiers[0] == column->field->id;
	if (type_measurable(c->type))
		c->intervals = MemoryContextAllocHuge(CurrentMemoryContext,
											  (Size) Max(nfiles, 1) * sizeof(FdwInterval));
	return c;
}

FdwStatistics *
statistics_collect(Relation relation, const LakeScan *scan, FdwColumn *const *columns, double rows)
{
	int			natts = RelationGetDescr(relation)->natts;
	FdwStatistics *s = palloc0(sizeof(FdwStatistics));

	s->context = CurrentMemoryContext;
	s->relid = RelationGetRelid(relation);
	s->rows = rows;
	s->nfiles = lake_scan_nfiles(scan);
	s->natts = natts;
	s->columns = palloc0(Max(natts, 1) * sizeof(FdwColumnStatistics *));
	for (int i = 0; i < natts; i++)
	{
		int			id;

		if (columns[i] == NULL)
			continue;
		id = columns[i]->field->id;
		s->columns[i] = column_start(relation, columns[i], scan);
		for (int f = 0; f < lake_scan_nfiles(scan); f++)
		{
			const IcebergDataFile *file = lake_scan_file(scan, f);
			const IcebergMetrics *m = lake_file_metrics(file, id);

			if (m != NULL)
				add_file(s->columns[i], file, m);
		}
	}
	return s;
}

/* --- widths --- */

/* Bytes of a numeric in a tuple, by the larger bound: a byte, the header, and two for four digits. */
static int
numeric_width(const FdwColumnStatistics *c)
{
	int			scale = c->type.id == LAKE_DECIMAL ? c->type.scale : 0;
	double		lower;
	double		upper;
	int			digits;

	if (!value_number(c->type, &c->lower, &lower) || !value_number(c->type, &c->upper, &upper))
		return 0;
	digits = (int) Max(ceil(log10(Max(Max(fabs(lower), fabs(upper)), 1) + 1)) - scale, 0);
	return 1 + 2 + 2 * ((digits + 3) / 4 + (scale + 3) / 4);
}

/*
 * Bytes of text: bounds that were not cut are as long as values are; else
 * they tell the least, and what the column takes in the files tells more.
 */
static int
text_width(const FdwColumnStatistics *c)
{
	double		width = 0;
	bool		cut = true;

	if (c->bounded)
	{
		width = (c->lower.u.bytes.size + c->upper.u.bytes.size) / 2.0;
		cut = c->lower.u.bytes.size >= ICEBERG_BOUND_LENGTH ||
			c->upper.u.bytes.size >= ICEBERG_BOUND_LENGTH;
	}
	if (cut && c->sized > c->nulls)
		width = Max(width, c->bytes / (c->sized - c->nulls) * TEXT_COMPRESSION);
	if (width <= 0)
		return 0;
	width += width < 127 ? 1 : VARHDRSZ;
	return (int) Min(width, MaxAllocSize);
}

int
statistics_width(const FdwColumnStatistics *c)
{
	double		present = c->values > 0 ? 1 - c->nulls / c->values : 1;
	int			width = 0;

	if (lake_type_layout(c->type) == LAYOUT_BYTES)
		width = text_width(c);
	else if (c->column.convert.kind == CONVERT_NUMERIC && c->bounded)
		width = numeric_width(c);

	/* nulls take no place; ANALYZE counts the width of the others too, but a row has this on average */
	return width > 0 ? Max((int) (width * present), 1) : 0;
}
