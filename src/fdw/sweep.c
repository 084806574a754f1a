/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  How the values of a column are spread, from the bounds of its files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fdw/sweep.h"
#include "utils/memutils.h"

static int
compare_events(const void *a, const void *b)
{
	double		x = ((const SweepEvent *) a)->at;
	double		y = ((const SweepEvent *) b)->at;

	return x < y ? -1 : x > y;
}

void
sweep_init(Sweep *sweep, const FdwColumnStatistics *c)
{
	ColumnLayout layout = lake_type_layout(c->type);
	double		least = c->intervals[0].lower;
	double		most = c->intervals[0].upper;
	double		narrowest;

	sweep->unit = layout == LAYOUT_FLOAT || layout == LAYOUT_DOUBLE ? 0 : 1;
	sweep->nevents = c->nintervals * 2;
	sweep->events = MemoryContextAllocHuge(CurrentMemoryContext,
										   (Size) sweep->nevents * sizeof(SweepEvent));
	for (int i = 1; i < c->nintervals; i++)
	{
		least = Min(least, c->intervals[i].lower);
		most = Max(most, c->intervals[i].upper);
	}

	/* no interval is so narrow that its density drowns the others' */
	narrowest = Max(Max(most - least, Max(fabs(most), fabs(least)) * 1e-6) * 1e-9, 1e-100);
	for (int i = 0; i < c->nintervals; i++)
	{
		const FdwInterval *v = &c->intervals[i];
		double		width = Max(v->upper - v->lower + sweep->unit, narrowest);
		SweepEvent *e = &sweep->events[i * 2];

		e[0].at = v->lower;
		e[0].density = v->values / width;
		e[1].at = v->lower + width;
		e[1].density = -e[0].density;
	}
	qsort(sweep->events, sweep->nevents, sizeof(SweepEvent), compare_events);
}

/* Values between event i and the next, `density` being that before event i, and updated. */
static double
sweep_step(const Sweep *sweep, int i, double *density)
{
	*density = Max(*density + sweep->events[i].density, 0);
	return *density * (sweep->events[i + 1].at - sweep->events[i].at);
}

double
sweep_distinct(const Sweep *sweep)
{
	double		density = 0;
	double		distinct = 0;

	for (int i = 0; i < sweep->nevents - 1; i++)
	{
		double		mass = sweep_step(sweep, i, &density);
		double		places;

		if (sweep->unit == 0)
		{
			distinct += mass;
			continue;
		}
		places = (sweep->events[i + 1].at - sweep->events[i].at) / sweep->unit;
		if (places > 0)
			distinct += places * -expm1(-mass / places);
	}
	return distinct;
}

void
sweep_quantiles(const Sweep *sweep, double *quantiles, int n)
{
	double		density = 0;
	double		total = 0;
	double		below = 0;
	int			k = 0;

	for (int i = 0; i < sweep->nevents - 1; i++)
		total += sweep_step(sweep, i, &density);
	density = 0;
	for (int i = 0; i < sweep->nevents - 1; i++)
	{
		double		mass = sweep_step(sweep, i, &density);

		while (k < n && mass > 0 && total * k / (n - 1) <= below + mass)
		{
			double		into = (total * k / (n - 1) - below) / mass;
			double		from = sweep->events[i].at;

			quantiles[k++] = from + Max(into, 0) * (sweep->events[i + 1].at - from);
		}
		below += mass;
	}
	/* what rounding has left over */
	while (k < n)
		quantiles[k++] = sweep->events[sweep->nevents - 1].at;
}

double
sweep_share_below(const double *quantiles, int n, double x)
{
	int			low = 0;
	int			high = n - 1;
	double		width;

	if (x <= quantiles[0])
		return 0;
	if (x >= quantiles[n - 1])
		return 1;
	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (quantiles[middle] <= x)
			low = middle;
		else
			high = middle;
	}
	width = quantiles[high] - quantiles[low];
	return (low + (width > 0 ? (x - quantiles[low]) / width : 0)) / (n - 1);
}
