/*-------------------------------------------------------------------------
 *
 * json.h
 *	  A small JSON reader and writer (RFC 8259), for Iceberg metadata.
 *
 * PostgreSQL's own parser is not used because Iceberg code must build
 * without the server (unit tests, fuzzers).  The reader builds a tree in the
 * current memory context: depth is bounded (JSON_MAX_DEPTH), every string is
 * checked to be UTF-8, numbers keep their text so that 64-bit integers stay
 * exact.  Errors: ERRCODE_DATA_CORRUPTED naming the object and byte offset.
 *
 * The writer appends to a StringInfo and keeps track of commas itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_BASE_JSON_H
#define TARN_BASE_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define JSON_MAX_DEPTH 64

typedef enum JsonKind
{
	JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT
} JsonKind;

typedef struct JsonNode
{
	JsonKind	kind;
	char	   *key;			/* name in the enclosing object, or NULL */
	char	   *text;			/* string value, or the number as written */
	bool		boolean;
	struct JsonNode *child;		/* first element or member */
	struct JsonNode *next;		/* next sibling */
} JsonNode;

/* Parses exactly one value; `object` names the file for messages. */
extern JsonNode *json_read(const char *data, size_t size, const char *object);

/*
 * Member of an object: NULL when absent (or `node` is NULL or no object).
 * The typed forms fail (ERRCODE_DATA_CORRUPTED, naming key and object) when
 * the member has another kind or does not fit; the `_opt` forms return the
 * default when it is absent or null.
 */
extern JsonNode *json_get(const JsonNode *node, const char *key);
extern int64 json_get_int64(const JsonNode *node, const char *key, const char *object);
extern int64 json_get_int64_opt(const JsonNode *node, const char *key, int64 dflt, const char *object);
extern char *json_get_string(const JsonNode *node, const char *key, const char *object);
extern char *json_get_string_opt(const JsonNode *node, const char *key, const char *dflt, const char *object);
extern bool json_get_bool_opt(const JsonNode *node, const char *key, bool dflt, const char *object);
extern int	json_length(const JsonNode *node);	/* elements of an array, members of an object */

typedef struct JsonWriter
{
	StringInfo	out;
	bool		comma;			/* the next item needs one before it */
} JsonWriter;

extern void json_writer_init(JsonWriter *w, StringInfo out);
extern void json_open(JsonWriter *w, const char *key, char bracket);	/* '{' or '['; key NULL inside arrays */
extern void json_close(JsonWriter *w, char bracket);	/* '}' or ']' */
extern void json_string(JsonWriter *w, const char *key, const char *value);
extern void json_int64(JsonWriter *w, const char *key, int64 value);
extern void json_bool(JsonWriter *w, const char *key, bool value);
extern void json_null(JsonWriter *w, const char *key);
extern void json_raw(JsonWriter *w, const char *key, const char *json);	/* already JSON text */
extern void json_node(JsonWriter *w, const char *key, const JsonNode *node);	/* a tree, as read */
extern void json_escape(StringInfo out, const char *s, size_t size);	/* with the quotes */

#endif							/* TARN_BASE_JSON_H */
