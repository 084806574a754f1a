/*-------------------------------------------------------------------------
 *
 * types.c
 *	  The table of lake types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "column/types.h"

#define DECIMAL_MAX_PRECISION 38
#define DECIMAL_INT64_PRECISION 18	/* digits that always fit an int64 */

static const struct
{
	const char *name;
	ColumnLayout layout;
	uint32		width;
}			types[LAKE_NTYPES] = {
	[LAKE_BOOLEAN] = {"boolean", LAYOUT_BOOL, 1},
	[LAKE_INT] = {"int", LAYOUT_INT32, 4},
	[LAKE_LONG] = {"long", LAYOUT_INT64, 8},
	[LAKE_FLOAT] = {"float", LAYOUT_FLOAT, 4},
	[LAKE_DOUBLE] = {"double", LAYOUT_DOUBLE, 8},
	[LAKE_DECIMAL] = {"decimal", LAYOUT_INT64, 8},	/* or INT128, by precision */
	[LAKE_DATE] = {"date", LAYOUT_INT32, 4},
	[LAKE_TIME] = {"time", LAYOUT_INT64, 8},
	[LAKE_TIMESTAMP] = {"timestamp", LAYOUT_INT64, 8},
	[LAKE_TIMESTAMPTZ] = {"timestamptz", LAYOUT_INT64, 8},
	[LAKE_STRING] = {"string", LAYOUT_BYTES, 0},
	[LAKE_UUID] = {"uuid", LAYOUT_FIXED, 16},
	[LAKE_FIXED] = {"fixed", LAYOUT_FIXED, 0},	/* by length */
	[LAKE_BINARY] = {"binary", LAYOUT_BYTES, 0},
	[LAKE_NESTED] = {"nested", LAYOUT_BYTES, 0}	/* no name of Iceberg's: lake_node_text() gives that */
};

ColumnLayout
lake_type_layout(LakeType type)
{
	if (type.id == LAKE_DECIMAL && type.precision > DECIMAL_INT64_PRECISION)
		return LAYOUT_INT128;
	return types[type.id].layout;
}

uint32
lake_type_width(LakeType type)
{
	if (type.id == LAKE_FIXED)
		return type.length;
	if (type.id == LAKE_DECIMAL && type.precision > DECIMAL_INT64_PRECISION)
		return sizeof(int128);
	return types[type.id].width;
}

char *
lake_type_name(LakeType type)
{
	if (type.id == LAKE_DECIMAL)
		return psprintf("decimal(%u, %u)", type.precision, type.scale);
	if (type.id == LAKE_FIXED)
		return psprintf("fixed[%u]", type.length);
	return pstrdup(types[type.id].name);
}

/* A number of at most nine digits, spaces around it, then `after`; moves *p past that. */
static bool
parse_number(const char **p, char after, uint32 *number)
{
	int			digits = 0;

	*number = 0;
	while (**p == ' ')
		(*p)++;
	for (; **p >= '0' && **p <= '9'; (*p)++)
	{
		if (++digits > 9)
			return false;
		*number = *number * 10 + (uint32) (**p - '0');
	}
	while (**p == ' ')
		(*p)++;
	if (digits == 0 || **p != after)
		return false;
	(*p)++;
	return true;
}

bool
lake_type_parse(const char *name, LakeType *type)
{
	uint32		precision;
	uint32		scale;

	memset(type, 0, sizeof(*type));
	if (strncmp(name, "decimal(", 8) == 0)
	{
		name += 8;
		if (!parse_number(&name, ',', &precision) || !parse_number(&name, ')', &scale) ||
			*name != '\0' || precision < 1 || precision > DECIMAL_MAX_PRECISION ||
			scale > precision)
			return false;
		type->id = LAKE_DECIMAL;
		type->precision = (uint8) precision;
		type->scale = (uint8) scale;
		return true;
	}
	if (strncmp(name, "fixed[", 6) == 0)
	{
		name += 6;
		type->id = LAKE_FIXED;
		return parse_number(&name, ']', &type->length) && *name == '\0' && type->length > 0;
	}
	for (int id = 0; id < LAKE_NTYPES; id++)
	{
		if (id == LAKE_DECIMAL || id == LAKE_FIXED || id == LAKE_NESTED || strcmp(types[id].name, name) != 0)
			continue;
		type->id = (LakeTypeId) id;
		return true;
	}
	return false;
}

bool
lake_type_equal(LakeType a, LakeType b)
{
	if (a.id != b.id)
		return false;
	if (a.id == LAKE_DECIMAL)
		return a.precision == b.precision && a.scale == b.scale;
	return a.id != LAKE_FIXED || a.length == b.length;
}

bool
lake_type_promotes(LakeType from, LakeType to)
{
	if (lake_type_equal(from, to))
		return true;
	if (from.id == LAKE_INT)
		return to.id == LAKE_LONG;
	if (from.id == LAKE_FLOAT)
		return to.id == LAKE_DOUBLE;
	return from.id == LAKE_DECIMAL && to.id == LAKE_DECIMAL &&
		from.scale == to.scale && from.precision <= to.precision;
}

bool
lake_type_readable(LakeType leaf, LakeType field)
{
	if (lake_type_equal(leaf, field) || lake_type_promotes(leaf, field))
		return true;
	if (lake_type_layout(leaf) == LAYOUT_BYTES && lake_type_layout(field) == LAYOUT_BYTES)
		return true;
	if (lake_type_layout(leaf) == LAYOUT_FIXED && lake_type_layout(field) == LAYOUT_FIXED)
		return lake_type_width(leaf) == lake_type_width(field);
	return (leaf.id == LAKE_TIMESTAMP || leaf.id == LAKE_TIMESTAMPTZ) &&
		(field.id == LAKE_TIMESTAMP || field.id == LAKE_TIMESTAMPTZ);
}

uint32
lake_decimal_bytes(int precision)
{
	int128		limit = 1;		/* 10^precision: the first that need not fit */
	uint32		bytes = 1;

	for (int i = 0; i < precision; i++)
		limit *= 10;
	/* 10^38 < 2^127, so the shift below stays in range */
	while (bytes < sizeof(int128) && limit > ((int128) 1 << (8 * bytes - 1)))
		bytes++;
	return bytes;
}

static int
compare_floats(double a, double b)
{
	if (isnan(a) || isnan(b))
		return (int) isnan(a) - (int) isnan(b);
	return (a > b) - (a < b);
}

static int
compare_bytes(const LakeValue *a, const LakeValue *b)
{
	uint32		size = Min(a->u.bytes.size, b->u.bytes.size);
	int			cmp = size > 0 ? memcmp(a->u.bytes.data, b->u.bytes.data, size) : 0;

	if (cmp != 0)
		return cmp;
	return (a->u.bytes.size > b->u.bytes.size) - (a->u.bytes.size < b->u.bytes.size);
}

int
lake_value_compare(LakeType type, const LakeValue *a, const LakeValue *b)
{
	switch (lake_type_layout(type))
	{
		case LAYOUT_BOOL:
		case LAYOUT_INT32:
		case LAYOUT_INT64:
			return (a->u.i64 > b->u.i64) - (a->u.i64 < b->u.i64);
		case LAYOUT_INT128:
			return (a->u.i128 > b->u.i128) - (a->u.i128 < b->u.i128);
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			return compare_floats(a->u.f64, b->u.f64);
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			return compare_bytes(a, b);
	}
	pg_unreachable();
}
