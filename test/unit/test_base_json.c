/*-------------------------------------------------------------------------
 *
 * test_base_json.c
 *	  The JSON reader and writer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"
#include "tap.h"

static JsonNode *
parse(const char *text)
{
	return json_read(text, strlen(text), "v1.metadata.json");
}

static char *
rewrite(const char *text)
{
	JsonWriter	w;
	StringInfo	out = makeStringInfo();

	json_writer_init(&w, out);
	json_node(&w, NULL, parse(text));
	return out->data;
}

static void
test_valid(void)
{
	JsonNode   *n = parse(" { \"a\" : 9223372036854775807 , \"b\":[true,false,null,-1.5e+3],\"c\":{},"
						  "\"s\":\"\\u00e4\\n\\ud83d\\ude00\\/\", \"a2\":[] } ");

	is_int(json_get_int64(n, "a", "f"), PG_INT64_MAX, "64-bit integers are exact");
	is_int(json_length(json_get(n, "b")), 4, "elements are counted");
	is_str(json_get(n, "b")->child->next->next->next->text, "-1.5e+3", "numbers keep their text");
	is_str(json_get_string(n, "s", "f"), "\303\244\n\360\237\230\200/", "escapes become UTF-8");
	ok(json_get(n, "zzz") == NULL && json_get(NULL, "a") == NULL, "absent members");
	is_int(json_get_int64_opt(n, "zzz", 7, "f"), 7, "default of an absent number");
	is_str(json_get_string_opt(n, "zzz", "d", "f"), "d", "default of an absent string");
	ok(json_get_bool_opt(n, "zzz", true, "f"), "default of an absent boolean");
	is_int(json_get_int64(parse("{\"a\":1,\"a\":2}"), "a", "f"), 2, "the last of equal names counts");
}

static void
test_invalid(void)
{
	static const char *const bad[] = {
		"", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "tru", "nul",
		"01", "-", "1.", "1e", "1e+", ".5", "+1", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u00zz\"",
		"\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\u0000\"", "\"a\nb\"", "1 2", "{} x", "[1 2]",
		"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""
	};

	for (size_t i = 0; i < lengthof(bad); i++)
		throws(ERRCODE_DATA_CORRUPTED, parse(bad[i]), "v1.metadata.json", "refused: case %zu", i);
	throws(ERRCODE_DATA_CORRUPTED, parse("[1,x]"), "Byte offset 3", "the offset is told");
	throws(ERRCODE_DATA_CORRUPTED, json_get_int64(parse("{\"a\":\"x\"}"), "a", "f"),
		   "member \"a\" is not a number", "wrong kind");
	throws(ERRCODE_DATA_CORRUPTED, json_get_int64(parse("{\"a\":1.5}"), "a", "f"),
		   "not a 64-bit integer", "a fraction is no integer");
	throws(ERRCODE_DATA_CORRUPTED, json_get_int64(parse("{\"a\":9223372036854775808}"), "a", "f"),
		   "not a 64-bit integer", "too large");
	throws(ERRCODE_DATA_CORRUPTED, json_get_string(parse("{}"), "a", "f"), "is missing", "missing");
}

static void
test_depth(void)
{
	char		text[2 * JSON_MAX_DEPTH + 3];

	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	text[2 * JSON_MAX_DEPTH] = '\0';
	ok(parse(text)->kind == JSON_ARRAY, "the deepest allowed");
	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	text[2 * JSON_MAX_DEPTH + 2] = '\0';
	throws(ERRCODE_DATA_CORRUPTED, parse(text), "nested deeper than", "one deeper");
}

static void
test_write(void)
{
	static const char *const texts[] = {
		"{}", "[]", "null", "[1,2.50,-3e7]", "{\"a\":{\"b\":[{}]},\"c\":\"x\"}",
		"\"\\u0001\\n\\t\\r\\\"\\\\\303\244\"", "{\"\":true,\"b\":false}",
		"{\"pipeline\":\"p\",\"system-identifier\":\"7\",\"timeline\":1,\"token\":\"t\",\"previous\":null,\"position\":3}"
	};
	JsonWriter	w;
	StringInfo	out = makeStringInfo();

	for (size_t i = 0; i < lengthof(texts); i++)
	{
		is_str(rewrite(texts[i]), texts[i], "comes back as it was: %s", texts[i]);
		tap_corpus("fuzz_json", psprintf("text%zu", i), texts[i], strlen(texts[i]));
	}
	json_writer_init(&w, out);
	json_open(&w, NULL, '{');
	json_int64(&w, "i", PG_INT64_MIN);
	json_open(&w, "a", '[');
	json_bool(&w, NULL, true);
	json_null(&w, NULL);
	json_close(&w, ']');
	json_raw(&w, "r", "{\"x\":1}");
	json_string(&w, "s", "q\"");
	json_close(&w, '}');
	is_str(out->data, "{\"i\":-9223372036854775808,\"a\":[true,null],\"r\":{\"x\":1},\"s\":\"q\\\"\"}", "commas");
}

int
main(void)
{
	test_valid();
	test_invalid();
	test_depth();
	test_write();
	return done();
}
