/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options: which there are, what they may be, and what was meant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/options.h"
#include "lib/stringinfo.h"

/* Longer names have no close neighbour worth the work. */
#define CLOSEST_MAX_LENGTH 63

/* Levenshtein distance of two short strings, ignoring case. */
static int
edit_distance(const char *a, const char *b)
{
	int			row[CLOSEST_MAX_LENGTH + 1];
	int			alen = (int) strlen(a);
	int			blen = (int) strlen(b);

	for (int j = 0; j <= blen; j++)
		row[j] = j;
	for (int i = 1; i <= alen; i++)
	{
		int			diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= blen; j++)
		{
			int			above = row[j];
			int			change = pg_tolower((unsigned char) a[i - 1]) !=
				pg_tolower((unsigned char) b[j - 1]);

			row[j] = Min(Min(above, row[j - 1]) + 1, diagonal + change);
			diagonal = above;
		}
	}
	return row[blen];
}

const char *
option_closest(const char *name, const char *const *candidates)
{
	const char *best = NULL;
	int			best_distance = 0;

	if (strlen(name) > CLOSEST_MAX_LENGTH)
		return NULL;
	for (; *candidates; candidates++)
	{
		int			distance;
		int			limit;

		if (strlen(*candidates) > CLOSEST_MAX_LENGTH)
			continue;
		/* farther than half of the name away it is another word */
		limit = (int) Max(strlen(name), strlen(*candidates)) / 2;
		distance = edit_distance(name, *candidates);
		if (distance <= limit && (best == NULL || distance < best_distance))
		{
			best = *candidates;
			best_distance = distance;
		}
	}
	return best;
}

static char *
join_names(const char *const *names)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (; *names; names++)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", *names);
	return buf.data;
}

pg_noreturn static void
fail_unknown(const OptionSpec *specs, int where, const char *name)
{
	const char **names;
	const char *closest;
	int			n = 0;

	for (const OptionSpec *s = specs; s->name; s++)
		n++;
	names = palloc0(sizeof(char *) * (n + 1));
	n = 0;
	for (const OptionSpec *s = specs; s->name; s++)
		if (s->where & where)
			names[n++] = s->name;
	closest = option_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ? errhint("Perhaps you meant the option \"%s\".", closest) :
			 n > 0 ? errhint("Valid options in this context are: %s", join_names(names)) :
			 errhint("There are no valid options in this context.")));
	pg_unreachable();
}

const OptionSpec *
option_find(const OptionSpec *specs, int where, const char *name)
{
	for (const OptionSpec *s = specs; s->name; s++)
		if ((s->where & where) && strcmp(s->name, name) == 0)
			return s;
	fail_unknown(specs, where, name);
}

static int64
find_word(const char *value, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (pg_strcasecmp(value, words[i]) == 0)
			return i;
	return -1;
}

/* An integer and the unit after it, in *end. */
static bool
parse_integer(const char *value, int64 *result, const char **end)
{
	char	   *after;

	errno = 0;
	*result = strtoll(value, &after, 10);
	*end = after;
	return errno == 0 && after > value;
}

static bool
parse_bytes(const char *value, int64 *result)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", NULL};
	const char *unit;
	int64		shift;

	if (!parse_integer(value, result, &unit))
		return false;
	while (*unit == ' ')
		unit++;
	if (*unit == '\0')
		return true;
	shift = find_word(unit, units);
	if (shift < 0 || *result > (PG_INT64_MAX >> (10 * shift)) ||
		*result < (PG_INT64_MIN >> (10 * shift)))
		return false;
	*result *= INT64CONST(1) << (10 * shift);
	return true;
}

static bool
parse_value(const OptionSpec *spec, const char *value, int64 *result)
{
	static const char *const booleans[] = {
		"off", "on", "false", "true", "no", "yes", "0", "1", NULL
	};
	const char *end;

	*result = 0;
	switch (spec->kind)
	{
		case OPTION_STRING:
			return true;
		case OPTION_BOOL:
			*result = find_word(value, booleans);
			if (*result < 0)
				return false;
			*result &= 1;
			return true;
		case OPTION_ENUM:
			*result = find_word(value, spec->values);
			return *result >= 0;
		case OPTION_INT:
			return parse_integer(value, result, &end) && *end == '\0' &&
				*result >= spec->min && *result <= spec->max;
		case OPTION_BYTES:
			return parse_bytes(value, result) &&
				*result >= spec->min && *result <= spec->max;
	}
	return false;
}

pg_noreturn static void
fail_value(const OptionSpec *spec, const char *value)
{
	const char *closest = NULL;

	if (spec->kind == OPTION_ENUM)
		closest = option_closest(value, spec->values);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", spec->name, value),
			 spec->kind == OPTION_BOOL ? errdetail("The value must be on or off.") :
			 spec->kind == OPTION_ENUM ?
			 errdetail("The value must be one of: %s.", join_names(spec->values)) :
			 spec->kind == OPTION_BYTES ?
			 errdetail("The value must be from " INT64_FORMAT " to " INT64_FORMAT
					   " bytes; valid units are kB, MB, GB and TB.", spec->min, spec->max) :
			 errdetail("The value must be an integer from " INT64_FORMAT " to " INT64_FORMAT ".",
					   spec->min, spec->max),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) : 0));
	pg_unreachable();
}

void
option_check(const OptionSpec *spec, const char *value)
{
	(void) option_value(spec, value);
}

int64
option_value(const OptionSpec *spec, const char *value)
{
	int64		result;

	if (!parse_value(spec, value, &result))
		fail_value(spec, value);
	return result;
}
