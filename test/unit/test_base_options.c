/*-------------------------------------------------------------------------
 *
 * test_base_options.c
 *	  Options: values, limits, and the closest name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/options.h"
#include "tap.h"

static const char *const codecs[] = {"none", "zstd", "lz4", NULL};

static const OptionSpec specs[] = {
	{.name = "warehouse", .where = 1, .kind = OPTION_STRING},
	{.name = "path_style", .where = 1, .kind = OPTION_BOOL},
	{.name = "row_group_rows", .where = 2, .kind = OPTION_INT, .min = 1, .max = 1000},
	{.name = "memory_limit", .where = 3, .kind = OPTION_BYTES, .min = 1024, .max = INT64CONST(1) << 40},
	{.name = "compression", .where = 2, .kind = OPTION_ENUM, .values = codecs},
	{0}
};

static int64
value(const char *name, const char *text)
{
	return option_value(option_find(specs, 3, name), text);
}

int
main(void)
{
	static const char *const names[] = {"alpha", "beta", "gamma", NULL};

	is_int(value("path_style", "ON"), 1, "on");
	is_int(value("path_style", "false"), 0, "false");
	is_int(value("row_group_rows", "1000"), 1000, "the largest integer");
	is_int(value("memory_limit", "256MB"), 256 << 20, "megabytes");
	is_int(value("memory_limit", "4 kB"), 4096, "kilobytes after a blank");
	is_int(value("memory_limit", "2048"), 2048, "bytes");
	is_int(value("compression", "zstd"), 1, "index of a choice");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("row_group_rows", "1001"), "from 1 to 1000", "too large");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("row_group_rows", "10x"), "row_group_rows", "not a number");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("row_group_rows", ""), "row_group_rows", "empty");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("memory_limit", "9999999TB"), "memory_limit", "overflow");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("memory_limit", "1XB"), "valid units", "unknown unit");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("path_style", "maybe"), "on or off", "not a boolean");
	throws(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, value("compression", "zst"), "Perhaps you meant \"zstd\"",
		   "the closest choice");
	throws(ERRCODE_FDW_INVALID_OPTION_NAME, option_find(specs, 1, "warehose"),
		   "Perhaps you meant the option \"warehouse\"", "the closest option");
	throws(ERRCODE_FDW_INVALID_OPTION_NAME, option_find(specs, 1, "compression"),
		   "warehouse, path_style, memory_limit", "an option of another place");
	is_str(option_closest("gama", names), "gamma", "one letter is missing");
	is_str(option_closest("BETA", names), "beta", "case does not count");
	ok(option_closest("zzzzzzzz", names) == NULL, "nothing is close");
	ok(option_closest("a very long name, longer than any identifier of the server could be", names) == NULL,
	   "too long a name");
	return done();
}
