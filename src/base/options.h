/*-------------------------------------------------------------------------
 *
 * options.h
 *	  One table of names for every kind of option, with the closest valid name
 *	  as the hint of an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_OPTIONS_H
#define TARN_BASE_OPTIONS_H

#include "postgres.h"

typedef enum OptionKind
{
	OPTION_STRING,				/* anything */
	OPTION_BOOL,				/* on/off, true/false, yes/no, 1/0 */
	OPTION_INT,					/* min..max */
	OPTION_BYTES,				/* integer with kB, MB, GB; in bytes; min..max */
	OPTION_ENUM					/* one of `values` */
} OptionKind;

typedef struct OptionSpec
{
	const char *name;
	int			where;			/* bit mask of the places it may stand (caller's bits) */
	OptionKind	kind;
	int64		min;
	int64		max;
	const char *const *values;	/* OPTION_ENUM: NULL-terminated */
	const char *help;			/* one line, for the reference */
} OptionSpec;

/*
 * Finds `name` among specs (ended by a NULL name) valid at `where`.  Fails
 * with ERRCODE_FDW_INVALID_OPTION_NAME: invalid option "x", and the hint
 * 'Perhaps you meant the option "y".' or the list of valid ones.
 */
extern const OptionSpec *option_find(const OptionSpec *specs, int where, const char *name);

/* Checks a value; fails with ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE naming option, value and what is valid. */
extern void option_check(const OptionSpec *spec, const char *value);

/* The parsed value: OPTION_BOOL 0/1, OPTION_INT, OPTION_BYTES, index of OPTION_ENUM. */
extern int64 option_value(const OptionSpec *spec, const char *value);

/* The candidate closest to `name` (bounded edit distance), or NULL; candidates end with NULL. */
extern const char *option_closest(const char *name, const char *const *candidates);

#endif							/* TARN_BASE_OPTIONS_H */
