/*-------------------------------------------------------------------------
 *
 * sweep.h
 *	  How the values of a column are spread, from the bounds of its files.
 *
 * The values of a file are taken to be spread evenly between its bounds.  A
 * sweep over the bounds of all files gives the density between any two
 * neighbours, and so the values that cut the whole in equal parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_FDW_SWEEP_H
#define TARN_FDW_SWEEP_H

#include "postgres.h"

#include "fdw/statistics.h"

typedef struct SweepEvent
{
	double		at;
	double		density;		/* added from here on */
} SweepEvent;

typedef struct Sweep
{
	SweepEvent *events;
	int			nevents;
	double		unit;			/* distance of neighbours: 1, or 0 for floats */
} Sweep;

/* Of a column with intervals; events are palloc'd. */
extern void sweep_init(Sweep *sweep, const FdwColumnStatistics *c);

/* Different values to be expected, when they are drawn at random. */
extern double sweep_distinct(const Sweep *sweep);

/* The n numbers (at least 2) that cut the whole in equal parts, its ends being the first and the last. */
extern void sweep_quantiles(const Sweep *sweep, double *quantiles, int n);

/* Share of the values below `x`, by quantiles. */
extern double sweep_share_below(const double *quantiles, int n, double x);

#endif							/* TARN_FDW_SWEEP_H */
