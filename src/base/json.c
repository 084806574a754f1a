/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Reading JSON (RFC 8259) into a tree, and looking into the tree.
 *
 * A recursive descent whose depth is bounded by JSON_MAX_DEPTH.  Children are
 * linked in the order of the text; of members of the same name json_get()
 * finds the last, as most readers do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/cursor.h"
#include "base/json.h"
#include "base/utf8.h"
#include "miscadmin.h"

static JsonNode *read_value(Cursor *c, int depth);

static void
skip_space(Cursor *c)
{
	while (c->pos < c->end &&
		   (*c->pos == ' ' || *c->pos == '\t' || *c->pos == '\n' || *c->pos == '\r'))
		c->pos++;
}

/* The next byte without passing it; 0 at the end (no valid JSON token begins with it). */
static uint8
peek(Cursor *c)
{
	return c->pos < c->end ? *c->pos : 0;
}

static bool
accept(Cursor *c, uint8 byte)
{
	if (peek(c) != byte)
		return false;
	c->pos++;
	return true;
}

static void
expect_word(Cursor *c, const char *word)
{
	size_t		size = strlen(word);

	if (cursor_left(c) < size || memcmp(c->pos, word, size) != 0)
		cursor_fail(c, "\"%s\" expected", word);
	c->pos += size;
}

static uint32
read_hex4(Cursor *c)
{
	const uint8 *p = cursor_bytes(c, 4);
	uint32		v = 0;

	for (int i = 0; i < 4; i++)
	{
		uint8		ch = p[i];

		v <<= 4;
		if (ch >= '0' && ch <= '9')
			v |= ch - '0';
		else if (ch >= 'a' && ch <= 'f')
			v |= ch - 'a' + 10;
		else if (ch >= 'A' && ch <= 'F')
			v |= ch - 'A' + 10;
		else
			cursor_fail(c, "invalid \\u escape");
	}
	return v;
}

/* After "\u": one code point, of two escapes when it is a surrogate pair. */
static uint32
read_unicode(Cursor *c)
{
	uint32		code = read_hex4(c);

	if (code >= 0xd800 && code <= 0xdbff)
	{
		uint32		low;

		if (!accept(c, '\\') || !accept(c, 'u'))
			cursor_fail(c, "high surrogate without a low one");
		low = read_hex4(c);
		if (low < 0xdc00 || low > 0xdfff)
			cursor_fail(c, "high surrogate without a low one");
		return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	if (code >= 0xdc00 && code <= 0xdfff)
		cursor_fail(c, "low surrogate without a high one");
	/* values are NUL-terminated here and in PostgreSQL */
	if (code == 0)
		cursor_fail(c, "\\u0000 cannot be kept");
	return code;
}

static char *
read_escape(Cursor *c, char *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	uint8		ch = cursor_u8(c);
	const char *at;

	if (ch == 'u')
		return utf8_put(out, read_unicode(c));
	at = ch ? strchr(from, ch) : NULL;
	if (at == NULL)
		cursor_fail(c, "invalid escape");
	*out++ = to[at - from];
	return out;
}

/* A string in its quotes.  An escape is never shorter than what it means, so the raw length is room enough. */
static char *
read_string(Cursor *c)
{
	const uint8 *p;
	const uint8 *close;
	char	   *text;
	char	   *out;

	if (!accept(c, '"'))
		cursor_fail(c, "string expected");
	for (close = c->pos; close < c->end && *close != '"'; close++)
		if (*close == '\\' && ++close == c->end)
			break;
	if (close >= c->end)
		cursor_fail(c, "unterminated string");
	if (!utf8_is_valid((const char *) c->pos, (size_t) (close - c->pos)))
		cursor_fail(c, "string is not valid UTF-8");

	text = out = palloc((size_t) (close - c->pos) + 1);
	while (c->pos < close)
	{
		p = c->pos;
		while (p < close && *p != '\\' && *p >= 0x20)
			p++;
		memcpy(out, c->pos, (size_t) (p - c->pos));
		out += p - c->pos;
		c->pos = p;
		if (p == close)
			break;
		if (*p != '\\')
			cursor_fail(c, "control character in a string");
		c->pos++;
		out = read_escape(c, out);
	}
	*out = '\0';
	c->pos = close + 1;
	return text;
}

static bool
skip_digits(Cursor *c)
{
	const uint8 *start = c->pos;

	while (c->pos < c->end && *c->pos >= '0' && *c->pos <= '9')
		c->pos++;
	return c->pos > start;
}

static char *
read_number(Cursor *c)
{
	const uint8 *start = c->pos;
	bool		good;

	accept(c, '-');
	good = accept(c, '0') || skip_digits(c);
	if (good && accept(c, '.'))
		good = skip_digits(c);
	if (good && (peek(c) == 'e' || peek(c) == 'E'))
	{
		c->pos++;
		if (peek(c) == '+' || peek(c) == '-')
			c->pos++;
		good = skip_digits(c);
	}
	if (!good)
		cursor_fail(c, "invalid number");
	return pnstrdup((const char *) start, (size_t) (c->pos - start));
}

static void
read_children(Cursor *c, JsonNode *parent, int depth)
{
	uint8		close = parent->kind == JSON_OBJECT ? '}' : ']';
	JsonNode  **tail = &parent->child;

	if (depth >= JSON_MAX_DEPTH)
		cursor_fail(c, "nested deeper than %d levels", JSON_MAX_DEPTH);
	skip_space(c);
	if (accept(c, close))
		return;
	for (;;)
	{
		char	   *key = NULL;

		CHECK_FOR_INTERRUPTS();
		if (parent->kind == JSON_OBJECT)
		{
			skip_space(c);
			key = read_string(c);
			skip_space(c);
			if (!accept(c, ':'))
				cursor_fail(c, "\":\" expected");
		}
		*tail = read_value(c, depth + 1);
		(*tail)->key = key;
		tail = &(*tail)->next;
		skip_space(c);
		if (accept(c, close))
			return;
		if (!accept(c, ','))
			cursor_fail(c, "\",\" or \"%c\" expected", close);
	}
}

static JsonNode *
read_value(Cursor *c, int depth)
{
	JsonNode   *node = palloc0(sizeof(JsonNode));

	skip_space(c);
	switch (peek(c))
	{
		case '{':
		case '[':
			node->kind = cursor_u8(c) == '{' ? JSON_OBJECT : JSON_ARRAY;
			read_children(c, node, depth);
			break;
		case '"':
			node->kind = JSON_STRING;
			node->text = read_string(c);
			break;
		case 't':
			expect_word(c, "true");
			node->kind = JSON_BOOL;
			node->boolean = true;
			break;
		case 'f':
			expect_word(c, "false");
			node->kind = JSON_BOOL;
			break;
		case 'n':
			expect_word(c, "null");
			node->kind = JSON_NULL;
			break;
		default:
			node->kind = JSON_NUMBER;
			node->text = read_number(c);
			break;
	}
	return node;
}

JsonNode *
json_read(const char *data, size_t size, const char *object)
{
	Cursor		c;
	JsonNode   *node;

	cursor_init(&c, data, size, "JSON", object, 0);
	node = read_value(&c, 0);
	skip_space(&c);
	if (cursor_left(&c) > 0)
		cursor_fail(&c, "text after the value");
	return node;
}

JsonNode *
json_get(const JsonNode *node, const char *key)
{
	JsonNode   *found = NULL;

	if (node == NULL || node->kind != JSON_OBJECT)
		return NULL;
	for (JsonNode *member = node->child; member; member = member->next)
		if (strcmp(member->key, key) == 0)
			found = member;
	return found;
}

int
json_length(const JsonNode *node)
{
	int			n = 0;

	if (node)
		for (const JsonNode *child = node->child; child; child = child->next)
			n++;
	return n;
}

pg_noreturn static void
fail_member(const char *key, const char *object, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read JSON in \"%s\": member \"%s\" %s",
					object ? object : "", key, problem)));
	pg_unreachable();
}

/* The member, NULL when absent or null; any other kind than wanted fails. */
static const JsonNode *
get_kind(const JsonNode *node, const char *key, JsonKind kind, const char *object)
{
	static const char *const kinds[] = {
		"is not null", "is not a boolean", "is not a number", "is not a string",
		"is not an array", "is not an object"
	};
	const JsonNode *member = json_get(node, key);

	if (member == NULL || member->kind == JSON_NULL)
		return NULL;
	if (member->kind != kind)
		fail_member(key, object, kinds[kind]);
	return member;
}

static int64
number_value(const JsonNode *member, const char *key, const char *object)
{
	char	   *end;
	long long	v;

	errno = 0;
	v = strtoll(member->text, &end, 10);
	if (errno != 0 || *end != '\0')
		fail_member(key, object, "is not a 64-bit integer");
	return v;
}

int64
json_get_int64(const JsonNode *node, const char *key, const char *object)
{
	const JsonNode *member = get_kind(node, key, JSON_NUMBER, object);

	if (member == NULL)
		fail_member(key, object, "is missing");
	return number_value(member, key, object);
}

int64
json_get_int64_opt(const JsonNode *node, const char *key, int64 dflt, const char *object)
{
	const JsonNode *member = get_kind(node, key, JSON_NUMBER, object);

	return member ? number_value(member, key, object) : dflt;
}

char *
json_get_string(const JsonNode *node, const char *key, const char *object)
{
	const JsonNode *member = get_kind(node, key, JSON_STRING, object);

	if (member == NULL)
		fail_member(key, object, "is missing");
	return member->text;
}

char *
json_get_string_opt(const JsonNode *node, const char *key, const char *dflt, const char *object)
{
	const JsonNode *member = get_kind(node, key, JSON_STRING, object);

	if (member)
		return member->text;
	return dflt ? pstrdup(dflt) : NULL;
}

bool
json_get_bool_opt(const JsonNode *node, const char *key, bool dflt, const char *object)
{
	const JsonNode *member = get_kind(node, key, JSON_BOOL, object);

	return member ? member->boolean : dflt;
}
