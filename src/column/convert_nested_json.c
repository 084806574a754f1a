/*-------------------------------------------------------------------------
 *
 * convert_nested_json.c
 *	  Packed values to jsonb.
 *
 * A struct or a map becomes an object, a list an array.  The leaves are made
 * Datums of a PostgreSQL type, all of a column's at once as for other nested
 * types, and each goes into the value as to_jsonb() would have it: numbers
 * and booleans as such, dates and times in ISO's form, json and jsonb
 * embedded, NULL as null, the rest as the text of its type.
 *
 * What the text of a leaf means is known when its type was noted: digits of a
 * numeric are a number, json is json.  Other types that the lake keeps as
 * text are not called upon: the text is what they would give back, and is
 * there still when a label of an enum, or the type, is not.  Casts to json
 * are not looked for, other than by to_jsonb(): a function that any user may
 * have made should not run because somebody reads a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

/* --- what it consists of --- */

typedef struct JsonInit
{
	const ColumnConvert *column;
	convert_noted_fn noted;
	void	   *arg;
	MemoryContext context;
	char	  **reason;
} JsonInit;

/* Is the lake's text as good as the type's own? */
static bool
text_alone(const ColumnConvert *c)
{
	return c->kind == CONVERT_OUTPUT && c->pg_type != NUMERICOID && c->pg_type != JSONBOID;
}

static bool
init_leaf(NestedConvert *n, const LakeNode *lake, Oid type, const JsonInit *init)
{
	const ColumnConvert *column = init->column;
	int32		typmod = -1;
	char	   *reason;

	n->form = NESTED_VALUE;
	n->values = column_vector_create(init->context, lake->type, 1);
	if (OidIsValid(type) &&
		convert_init(&n->convert, type, -1, column->name, column->relation, NULL, init->context, &reason) &&
		convert_reads(&n->convert, lake->type) && !text_alone(&n->convert))
		return true;
	type = convert_default_type(lake->type, &typmod);
	return convert_init(&n->convert, type, typmod, column->name, column->relation, NULL, init->context, init->reason);
}

/* The type of a composite's attribute, by the name that the lake has. */
static Oid
attribute_type(Oid composite, const char *name)
{
	TupleDesc	desc;
	Oid			type = InvalidOid;

	if (!OidIsValid(composite) || get_typtype(composite) != TYPTYPE_COMPOSITE)
		return InvalidOid;
	desc = lookup_rowtype_tupdesc(composite, -1);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(convert_name_to_lake(NameStr(att->attname)), name) == 0)
			type = att->atttypid;
	}
	ReleaseTupleDesc(desc);
	return type;
}

/* The type of a node's child, where it can be told from the node's. */
static Oid
child_type(const LakeNode *lake, Oid type, const LakeNode *child, const JsonInit *init)
{
	Oid			noted = InvalidOid;

	if (lake->kind == LAKE_NODE_LIST)
		return OidIsValid(type) ? get_element_type(type) : InvalidOid;
	if (lake->kind != LAKE_NODE_STRUCT)
		return InvalidOid;
	if (init->noted)
		noted = init->noted(child->id, init->arg);
	return OidIsValid(noted) ? noted : attribute_type(type, child->name);
}

/* `type`: that the node's values came from, or InvalidOid. */
static bool
init_node(NestedConvert *n, const LakeNode *lake, Oid type, const JsonInit *init)
{
	static const NestedForm forms[] = {
		[LAKE_NODE_VALUE] = NESTED_VALUE,
		[LAKE_NODE_LIST] = NESTED_ARRAY,
		[LAKE_NODE_STRUCT] = NESTED_COMPOSITE,
		[LAKE_NODE_MAP] = NESTED_HSTORE
	};

	CHECK_FOR_INTERRUPTS();
	n->node = n->lake = lake;
	n->json = true;
	if (OidIsValid(type))
		type = getBaseType(type);
	if (lake->kind == LAKE_NODE_VALUE)
		return init_leaf(n, lake, type, init);
	n->form = forms[lake->kind];
	n->nchildren = lake->nchildren;
	n->children = palloc0(sizeof(NestedConvert) * Max(lake->nchildren, 1));
	n->fields = palloc(sizeof(int) * Max(lake->nchildren, 1));
	for (int i = 0; i < lake->nchildren; i++)
	{
		const LakeNode *child = &lake->children[i];

		n->fields[i] = i;
		n->children[i].key = pstrdup(convert_name_from_lake(child->name));
		if (!init_node(&n->children[i], child, child_type(lake, type, child, init), init))
			return false;
	}
	return true;
}

bool
convert_init_json(ColumnConvert *c, const LakeNode *node, convert_noted_fn noted, void *arg,
				  const char *column, const char *relation, MemoryContext context, char **reason)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	JsonInit	init = {.column = c, .noted = noted, .arg = arg, .context = context, .reason = reason};
	bool		ok;

	memset(c, 0, sizeof(*c));
	c->kind = CONVERT_NESTED;
	c->type.id = LAKE_NESTED;
	c->pg_type = JSONBOID;
	c->typmod = -1;
	c->relation = relation;
	strlcpy(c->name, column, NAMEDATALEN);
	c->nested = palloc0(sizeof(NestedConvert));
	c->nested->pg_type = JSONBOID;
	ok = init_node(c->nested, node, noted ? noted(node->id, arg) : InvalidOid, &init);
	MemoryContextSwitchTo(old);
	return ok;
}

/* --- values --- */

static void
set_string(JsonbValue *value, const char *data, int size)
{
	value->type = jbvString;
	value->val.string.val = unconstify(char *, data);
	value->val.string.len = size;
}

static void
set_cstring(JsonbValue *value, const char *text)
{
	set_string(value, text, (int) strlen(text));
}

/* The text of a number. */
static void
set_digits(JsonbValue *value, const char *text)
{
	value->type = jbvNumeric;
	value->val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
															 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
set_float(JsonbValue *value, double number, bool single)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(number))
		set_cstring(value, "NaN");
	else if (isinf(number))
		set_cstring(value, number > 0 ? "Infinity" : "-Infinity");
	else
	{
		/* all digits, whatever extra_float_digits wants to see */
		if (single)
			(void) float_to_shortest_decimal_buf((float) number, text);
		else
			(void) double_to_shortest_decimal_buf(number, text);
		set_digits(value, text);
	}
}

static void
set_numeric(JsonbValue *value, Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number))
		set_cstring(value, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
	else
	{
		value->type = jbvNumeric;
		value->val.numeric = number;
	}
}

static void
set_integer(JsonbValue *value, int64 number)
{
	value->type = jbvNumeric;
	value->val.numeric = int64_to_numeric(number);
}

static void
set_time(JsonbValue *value, Datum time, Oid type)
{
	char	   *text = palloc(MAXDATELEN + 1);

	set_cstring(value, JsonEncodeDateTime(text, time, type, NULL));
}

static void
set_embedded(JsonbValue *value, Jsonb *jsonb)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		(void) JsonbExtractScalar(&jsonb->root, value);
		return;
	}
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}

static void
set_text(JsonbValue *value, const ColumnConvert *c, Datum datum)
{
	struct varlena *data = PG_DETOAST_DATUM_PACKED(datum);

	if (c->pg_type == JSONOID)
		set_embedded(value, DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															   CStringGetDatum(text_to_cstring((text *) data)))));
	else
		set_string(value, VARDATA_ANY(data), (int) VARSIZE_ANY_EXHDR(data));
}

static void
set_output(JsonbValue *value, const ColumnConvert *c, Datum datum)
{
	set_cstring(value, OutputFunctionCall(unconstify(FmgrInfo *, &c->output), datum));
}

/* A leaf's Datum; in the current context, or still where the Datum is. */
static void
set_leaf(JsonbValue *value, const ColumnConvert *c, Datum datum)
{
	switch (c->kind)
	{
		case CONVERT_BOOL:
			value->type = jbvBool;
			value->val.boolean = DatumGetBool(datum);
			break;
		case CONVERT_INT2:
			set_integer(value, DatumGetInt16(datum));
			break;
		case CONVERT_INT4:
			set_integer(value, DatumGetInt32(datum));
			break;
		case CONVERT_INT8:
			set_integer(value, DatumGetInt64(datum));
			break;
		case CONVERT_FLOAT4:
			set_float(value, DatumGetFloat4(datum), true);
			break;
		case CONVERT_FLOAT8:
			set_float(value, DatumGetFloat8(datum), false);
			break;
		case CONVERT_DATE:
		case CONVERT_TIMESTAMP:
			set_time(value, datum, c->pg_type);
			break;
		case CONVERT_TEXT:
			if (c->pg_type == BYTEAOID)
				set_output(value, c, datum);
			else
				set_text(value, c, datum);
			break;
		case CONVERT_NUMERIC:
			set_numeric(value, DatumGetNumeric(datum));
			break;
		case CONVERT_OUTPUT:
			/* the others are text: text_alone() */
			if (c->pg_type == NUMERICOID)
				set_numeric(value, DatumGetNumeric(datum));
			else
				set_embedded(value, DatumGetJsonbP(datum));
			break;
		default:
			set_output(value, c, datum);
	}
}

/* --- building --- */

static JsonbValue *push_value(JsonbParseState **state, JsonbIteratorToken token, NestedConvert *n, PackedCursor *cursor);

static void
push_child(JsonbParseState **state, JsonbIteratorToken token, NestedConvert *n, PackedCursor *cursor)
{
	JsonbValue	null = {.type = jbvNull};

	if (packed_present(cursor))
		(void) push_value(state, token, n, cursor);
	else
		(void) pushJsonbValue(state, token, &null);
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	set_cstring(&key, name);
	(void) pushJsonbValue(state, WJB_KEY, &key);
}

/* A map's key is a string, whatever its type. */
static void
push_map_key(JsonbParseState **state, NestedConvert *n, PackedCursor *cursor)
{
	JsonbValue	key;
	Datum		datum;

	if (!packed_present(cursor) || n->form != NESTED_VALUE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a map whose key is null or nested cannot be shown as jsonb")));
	datum = nested_next_value(n, cursor);
	if (n->convert.kind == CONVERT_TEXT && n->convert.pg_type == TEXTOID)
		set_text(&key, &n->convert, datum);
	else
		set_output(&key, &n->convert, datum);
	(void) pushJsonbValue(state, WJB_KEY, &key);
}

static JsonbValue *
push_object(JsonbParseState **state, NestedConvert *n, PackedCursor *cursor)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n->nchildren; i++)
	{
		push_key(state, n->children[i].key);
		push_child(state, WJB_VALUE, &n->children[i], cursor);
	}
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static JsonbValue *
push_map(JsonbParseState **state, NestedConvert *n, PackedCursor *cursor)
{
	uint32		count = packed_count(cursor);

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (uint32 i = 0; i < count; i++)
	{
		push_map_key(state, &n->children[0], cursor);
		push_child(state, WJB_VALUE, &n->children[1], cursor);
	}
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static JsonbValue *
push_list(JsonbParseState **state, NestedConvert *n, PackedCursor *cursor)
{
	uint32		count = packed_count(cursor);

	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < count; i++)
		push_child(state, WJB_ELEM, &n->children[0], cursor);
	return pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* What the outermost call returns is the whole. */
static JsonbValue *
push_value(JsonbParseState **state, JsonbIteratorToken token, NestedConvert *n, PackedCursor *cursor)
{
	JsonbValue	value;

	switch (n->form)
	{
		case NESTED_VALUE:
			set_leaf(&value, &n->convert, nested_next_value(n, cursor));
			return pushJsonbValue(state, token, &value);
		case NESTED_ARRAY:
			return push_list(state, n, cursor);
		case NESTED_COMPOSITE:
			return push_object(state, n, cursor);
		case NESTED_HSTORE:
			return push_map(state, n, cursor);
	}
	pg_unreachable();
}

Datum
convert_nested_json(NestedConvert *n, PackedCursor *cursor, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	JsonbParseState *state = NULL;
	JsonbValue *whole = push_value(&state, WJB_VALUE, n, cursor);
	Jsonb	   *jsonb = JsonbValueToJsonb(whole);
	Jsonb	   *result;

	MemoryContextSwitchTo(old);
	result = palloc(VARSIZE(jsonb));
	memcpy(result, jsonb, VARSIZE(jsonb));
	MemoryContextReset(scratch);
	return JsonbPGetDatum(result);
}
