/*-------------------------------------------------------------------------
 *
 * test_iceberg_bounds.c
 *	  Single-value forms and truncated bounds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/bounds.h"
#include "tap.h"

static char *
hex(const void *data, size_t size)
{
	char	   *out = palloc(size * 2 + 1);

	out[0] = '\0';
	for (size_t i = 0; i < size; i++)
		snprintf(out + 2 * i, 3, "%02x", ((const uint8 *) data)[i]);
	return out;
}

/* Encodes, compares with what the specification says, and decodes again. */
static void
check(LakeType type, LakeValue value, const char *expected)
{
	StringInfoData buf;
	LakeValue	back;
	char	   *name = lake_type_name(type);

	initStringInfo(&buf);
	iceberg_value_encode(type, &value, &buf);
	is_str(hex(buf.data, buf.len), expected, "%s is %s", name, expected);
	ok(iceberg_value_decode(type, buf.data, buf.len, &back) &&
	   lake_value_compare(type, &value, &back) == 0, "%s %s comes back", name, expected);
}

#define TYPE(...) ((LakeType) {__VA_ARGS__})
#define INTEGER(v) ((LakeValue) {.u.i64 = (v)})
#define WIDE(v) ((LakeValue) {.u.i128 = (v)})
#define FLOATING(v) ((LakeValue) {.u.f64 = (v)})
#define BYTES(s, n) ((LakeValue) {.u.bytes = {(s), (n)}})
#define TEXT(s) BYTES(s, strlen(s))

static void
test_values(void)
{
	LakeType	small = TYPE(.id = LAKE_DECIMAL, .precision = 14, .scale = 2);
	LakeType	wide = TYPE(.id = LAKE_DECIMAL, .precision = 38, .scale = 10);

	check(TYPE(.id = LAKE_BOOLEAN), INTEGER(1), "01");
	check(TYPE(.id = LAKE_INT), INTEGER(-2), "feffffff");
	check(TYPE(.id = LAKE_LONG), INTEGER(34), "2200000000000000");
	check(TYPE(.id = LAKE_FLOAT), FLOATING(1.5), "0000c03f");
	check(TYPE(.id = LAKE_DOUBLE), FLOATING(-1), "000000000000f0bf");
	check(TYPE(.id = LAKE_DATE), INTEGER(-1), "ffffffff");
	check(TYPE(.id = LAKE_TIMESTAMPTZ), INTEGER(1), "0100000000000000");
	check(TYPE(.id = LAKE_STRING), TEXT("ABC"), "414243");
	check(TYPE(.id = LAKE_UUID), BYTES("0123456789abcdef", 16), "30313233343536373839616263646566");
	check(TYPE(.id = LAKE_BINARY), BYTES("\0\xff", 2), "00ff");
	/* 14.20 of the specification's example */
	check(small, INTEGER(1420), "058c");
	check(small, INTEGER(0), "00");
	check(small, INTEGER(127), "7f");
	check(small, INTEGER(128), "0080");
	check(small, INTEGER(-128), "80");
	check(small, INTEGER(-129), "ff7f");
	check(wide, WIDE((int128) 1 << 100), "10000000000000000000000000");
	check(wide, WIDE(-((int128) 1 << 100) - 1), "efffffffffffffffffffffffff");
}

static void
test_promotion(void)
{
	LakeValue	v;

	ok(iceberg_value_decode(TYPE(.id = LAKE_LONG), "\xfe\xff\xff\xff", 4, &v) && v.u.i64 == -2,
	   "an int's bound is read for a long");
	ok(iceberg_value_decode(TYPE(.id = LAKE_DOUBLE), "\0\0\xc0\x3f", 4, &v) && v.u.f64 == 1.5,
	   "a float's bound is read for a double");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_INT), "12345678", 8, &v), "a long's bound is not for an int");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_LONG), "123", 3, &v), "three bytes are no long");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_UUID), "123", 3, &v), "three bytes are no uuid");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_DECIMAL, .precision = 5), "123456789", 9, &v),
	   "nine bytes are no small decimal");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_DECIMAL, .precision = 38), "12345678901234567", 17, &v),
	   "seventeen bytes are no decimal");
	ok(!iceberg_value_decode(TYPE(.id = LAKE_BOOLEAN), "", 0, &v), "nothing is no boolean");
}

static void
check_truncated(LakeTypeId id, const char *data, size_t size, bool upper, const char *expected,
				size_t expected_size, const char *name)
{
	LakeType	type = {.id = id};
	LakeValue	v = BYTES(data, (uint32) size);
	bool		there = iceberg_bound_truncate(type, &v, upper);

	if (expected == NULL)
		ok(!there, "%s", name);
	else
		ok(there && v.u.bytes.size == expected_size &&
		   memcmp(v.u.bytes.data, expected, expected_size) == 0, "%s: %s", name,
		   hex(v.u.bytes.data, v.u.bytes.size));
}

#define TRUNCATES(id, in, upper, out, name) \
	check_truncated(id, in, sizeof(in) - 1, upper, out, sizeof(out) - 1, name)

static void
test_truncation(void)
{
	TRUNCATES(LAKE_STRING, "short", true, "short", "a short string stays");
	TRUNCATES(LAKE_STRING, "0123456789abcdef", true, "0123456789abcdef", "sixteen characters stay");
	TRUNCATES(LAKE_STRING, "0123456789abcdefg", false, "0123456789abcdef", "a lower bound is cut");
	TRUNCATES(LAKE_STRING, "0123456789abcdefg", true, "0123456789abcdeg", "an upper bound is cut and incremented");
	TRUNCATES(LAKE_STRING, "éééééééééééééééééé", false, "éééééééééééééééé", "characters are counted, not bytes");
	TRUNCATES(LAKE_STRING, "ééééééééééééééé\x7fx", true, "ééééééééééééééé\xc2\x80", "a character may grow");
	TRUNCATES(LAKE_STRING, "0123456789abcde\xed\x9f\xbfx", true, "0123456789abcde\xee\x80\x80",
			  "U+D7FF is followed by U+E000");
	TRUNCATES(LAKE_STRING, "0123456789abcde\xf4\x8f\xbf\xbfx", true, "0123456789abcdf",
			  "the last code point is dropped");
	TRUNCATES(LAKE_BINARY, "0123456789abcdefg", true, "0123456789abcdeg", "binary is cut and incremented");
	TRUNCATES(LAKE_BINARY, "0123456789abcde\xffx", true, "0123456789abcdf", "a byte 255 is dropped");
	check_truncated(LAKE_BINARY, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 17,
					true, NULL, 0, "nothing is above bytes of 255");
	check_truncated(LAKE_LONG, "12345678", 8, true, "12345678", 8, "other types are not cut");
}

/* Random strings: a bound is valid UTF-8 and on the right side. */
static void
test_random(void)
{
	static const char *const characters[] = {"a", "\x7f", "é", "\xdf\xbf", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"};
	LakeType	type = {.id = LAKE_STRING};
	uint64		seed = 1;
	bool		right = true;

	for (int i = 0; i < 20000; i++)
	{
		StringInfoData s;
		LakeValue	value;
		LakeValue	lower;
		LakeValue	upper;

		initStringInfo(&s);
		for (int n = (int) (tap_random(&seed) % 20); n > 0; n--)
			appendStringInfoString(&s, characters[tap_random(&seed) % lengthof(characters)]);
		value = lower = upper = BYTES(s.data, (uint32) s.len);
		right &= iceberg_bound_truncate(type, &lower, false) && lake_value_compare(type, &lower, &value) <= 0;
		if (iceberg_bound_truncate(type, &upper, true))
			right &= lake_value_compare(type, &value, &upper) <= 0 && upper.u.bytes.size <= 16 * 4;
		pfree(s.data);
	}
	ok(right, "random strings lie between their bounds");
}

int
main(void)
{
	test_values();
	test_promotion();
	test_truncation();
	test_random();
	return done();
}
