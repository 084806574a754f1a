/*-------------------------------------------------------------------------
 *
 * json_write.c
 *	  Writing JSON text into a StringInfo.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/json.h"

void
json_writer_init(JsonWriter *w, StringInfo out)
{
	w->out = out;
	w->comma = false;
}

void
json_escape(StringInfo out, const char *s, size_t size)
{
	size_t		from = 0;

	appendStringInfoChar(out, '"');
	for (size_t i = 0; i < size; i++)
	{
		unsigned char ch = (unsigned char) s[i];

		if (ch >= 0x20 && ch != '"' && ch != '\\')
			continue;
		appendBinaryStringInfo(out, s + from, (int) (i - from));
		from = i + 1;
		switch (ch)
		{
			case '"':
				appendStringInfoString(out, "\\\"");
				break;
			case '\\':
				appendStringInfoString(out, "\\\\");
				break;
			case '\n':
				appendStringInfoString(out, "\\n");
				break;
			case '\r':
				appendStringInfoString(out, "\\r");
				break;
			case '\t':
				appendStringInfoString(out, "\\t");
				break;
			default:
				appendStringInfo(out, "\\u%04x", ch);
				break;
		}
	}
	appendBinaryStringInfo(out, s + from, (int) (size - from));
	appendStringInfoChar(out, '"');
}

/* What stands before an item: the comma, and its name in an object. */
static void
begin_item(JsonWriter *w, const char *key)
{
	if (w->comma)
		appendStringInfoChar(w->out, ',');
	w->comma = true;
	if (key)
	{
		json_escape(w->out, key, strlen(key));
		appendStringInfoChar(w->out, ':');
	}
}

void
json_open(JsonWriter *w, const char *key, char bracket)
{
	begin_item(w, key);
	appendStringInfoChar(w->out, bracket);
	w->comma = false;
}

void
json_close(JsonWriter *w, char bracket)
{
	appendStringInfoChar(w->out, bracket);
	w->comma = true;
}

void
json_string(JsonWriter *w, const char *key, const char *value)
{
	begin_item(w, key);
	json_escape(w->out, value, strlen(value));
}

void
json_int64(JsonWriter *w, const char *key, int64 value)
{
	begin_item(w, key);
	appendStringInfo(w->out, INT64_FORMAT, value);
}

void
json_bool(JsonWriter *w, const char *key, bool value)
{
	begin_item(w, key);
	appendStringInfoString(w->out, value ? "true" : "false");
}

void
json_null(JsonWriter *w, const char *key)
{
	begin_item(w, key);
	appendStringInfoString(w->out, "null");
}

void
json_raw(JsonWriter *w, const char *key, const char *json)
{
	begin_item(w, key);
	appendStringInfoString(w->out, json);
}

void
json_node(JsonWriter *w, const char *key, const JsonNode *node)
{
	bool		object = node->kind == JSON_OBJECT;

	switch (node->kind)
	{
		case JSON_NULL:
			json_null(w, key);
			break;
		case JSON_BOOL:
			json_bool(w, key, node->boolean);
			break;
		case JSON_NUMBER:
			json_raw(w, key, node->text);
			break;
		case JSON_STRING:
			json_string(w, key, node->text);
			break;
		case JSON_ARRAY:
		case JSON_OBJECT:
			json_open(w, key, object ? '{' : '[');
			for (const JsonNode *child = node->child; child; child = child->next)
				json_node(w, object ? child->key : NULL, child);
			json_close(w, object ? '}' : ']');
			break;
	}
}
