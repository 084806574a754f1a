/*-------------------------------------------------------------------------
 *
 * test_column_types.c
 *	  The table of lake types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "column/types.h"
#include "tap.h"

static LakeType
type(const char *name)
{
	LakeType	t;

	if (!lake_type_parse(name, &t))
		elog(ERROR, "type \"%s\" was not parsed", name);
	return t;
}

static void
test_names(void)
{
	static const char *const good[] = {
		"boolean", "int", "long", "float", "double", "decimal(38, 10)", "date", "time", "timestamp",
		"timestamptz", "string", "uuid", "fixed[16]", "binary", "decimal(1, 0)"
	};
	static const char *const bad[] = {
		"", "integer", "decimal", "decimal(39, 0)", "decimal(0, 0)", "decimal(5, 6)", "decimal(5)", "decimal(5, 2",
		"decimal(5, 2)x", "decimal(9999999999, 2)", "fixed", "fixed[0]", "fixed[x]", "fixed[4]]", "list<int>", "decimal(-1, 0)"
	};
	LakeType	t;

	for (size_t i = 0; i < lengthof(good); i++)
		is_str(lake_type_name(type(good[i])), good[i], "%s", good[i]);
	for (size_t i = 0; i < lengthof(bad); i++)
		ok(!lake_type_parse(bad[i], &t), "no type: \"%s\"", bad[i]);
	ok(lake_type_equal(type("decimal(9,2)"), type("decimal( 9 , 2 )")), "blanks do not matter");
}

static void
test_layouts(void)
{
	is_int(lake_type_layout(type("decimal(18, 2)")), LAYOUT_INT64, "18 digits in 64 bits");
	is_int(lake_type_layout(type("decimal(19, 2)")), LAYOUT_INT128, "19 in 128");
	is_int(lake_type_width(type("decimal(19, 2)")), 16, "width of 128 bits");
	is_int(lake_type_width(type("fixed[7]")), 7, "width of fixed");
	is_int(lake_type_width(type("string")), 0, "strings have none");
	ok(lake_decimal_bytes(1) == 1 && lake_decimal_bytes(2) == 1 && lake_decimal_bytes(3) == 2 &&
	   lake_decimal_bytes(4) == 2 && lake_decimal_bytes(5) == 3 && lake_decimal_bytes(9) == 4 &&
	   lake_decimal_bytes(10) == 5 && lake_decimal_bytes(18) == 8 && lake_decimal_bytes(19) == 9 &&
	   lake_decimal_bytes(38) == 16, "bytes of decimals");
}

static void
test_promotion(void)
{
	ok(lake_type_promotes(type("int"), type("long")), "int to long");
	ok(!lake_type_promotes(type("long"), type("int")), "not long to int");
	ok(lake_type_promotes(type("float"), type("double")), "float to double");
	ok(lake_type_promotes(type("decimal(9, 2)"), type("decimal(20, 2)")), "a wider decimal");
	ok(!lake_type_promotes(type("decimal(9, 2)"), type("decimal(20, 3)")), "not of another scale");
	ok(!lake_type_promotes(type("decimal(9, 2)"), type("decimal(8, 2)")), "not a narrower one");
	ok(!lake_type_promotes(type("date"), type("timestamp")), "not date to timestamp (v2)");
}

static int
compare_doubles(double a, double b)
{
	LakeValue	x = {.u.f64 = a};
	LakeValue	y = {.u.f64 = b};

	return lake_value_compare(type("double"), &x, &y);
}

static int
compare_strings(const char *a, const char *b)
{
	LakeValue	x = {.u.bytes = {a, (uint32) strlen(a)}};
	LakeValue	y = {.u.bytes = {b, (uint32) strlen(b)}};

	return lake_value_compare(type("string"), &x, &y);
}

int
main(void)
{
	test_names();
	test_layouts();
	test_promotion();
	ok(compare_doubles(NAN, INFINITY) > 0 && compare_doubles(NAN, NAN) == 0 && compare_doubles(-1, NAN) < 0,
	   "NaN is the largest and equals itself");
	is_int(compare_doubles(-0.0, 0.0), 0, "-0 equals 0");
	ok(compare_strings("a", "b") < 0 && compare_strings("a", "aa") < 0 && compare_strings("\xff", "a") > 0 &&
	   compare_strings("", "") == 0, "strings by unsigned bytes");
	return done();
}
