/*-------------------------------------------------------------------------
 *
 * convert_nested.c
 *	  Arrays, composites and hstore: what they consist of, and appending them.
 *
 * The leaves of a nested type are columns like others: each has a
 * ColumnConvert of its own, and its value goes through a vector of one row to
 * its place in the packed row.
 *
 * A list has neither dimensions nor bounds, so only arrays of one dimension
 * that begin at 1 are lists.  hstore is taken as an array of text, key
 * after value: how it lies in memory is its own business.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

static bool
is_hstore(Oid pg_type)
{
	char	   *name = convert_extension_type(pg_type, "hstore");

	return name != NULL && strcmp(name, "hstore") == 0;
}

/* The element's type of an array that is a list; int2vector and oidvector begin at 0. */
static Oid
array_element(Oid pg_type)
{
	if (pg_type == INT2VECTOROID || pg_type == OIDVECTOROID)
		return InvalidOid;
	return get_element_type(pg_type);
}

bool
convert_type_is_nested(Oid pg_type)
{
	return OidIsValid(array_element(pg_type)) || get_typtype(pg_type) == TYPTYPE_COMPOSITE ||
		is_hstore(pg_type);
}

/* --- what it consists of --- */

/* What is the same for all nodes of a column. */
typedef struct NestedInit
{
	const ColumnConvert *column;
	const ConvertOptions *options;	/* or NULL */
	MemoryContext context;
	char	  **reason;
} NestedInit;

static bool init_node(NestedConvert *n, LakeNode *node, const char *name, Oid pg_type, int32 typmod,
					  int depth, const NestedInit *init);

static void
make_children(NestedConvert *n, LakeNode *node, int nchildren)
{
	n->nchildren = node->nchildren = nchildren;
	n->children = palloc0(Max(nchildren, 1) * sizeof(NestedConvert));
	node->children = palloc0(Max(nchildren, 1) * sizeof(LakeNode));
}

static bool
init_array(NestedConvert *n, LakeNode *node, Oid element, int32 typmod, int depth, const NestedInit *init)
{
	n->form = NESTED_ARRAY;
	n->element = element;
	get_typlenbyvalalign(element, &n->typlen, &n->typbyval, &n->typalign);
	node->kind = LAKE_NODE_LIST;
	make_children(n, node, 1);
	/* an array's modifier is that of its elements */
	return init_node(&n->children[0], &node->children[0], "element", element, typmod, depth, init);
}

static bool
init_composite(NestedConvert *n, LakeNode *node, int32 typmod, int depth, const NestedInit *init)
{
	int			nchildren = 0;

	n->form = NESTED_COMPOSITE;
	n->desc = lookup_rowtype_tupdesc_copy(n->pg_type, typmod);
	n->attnums = palloc(Max(n->desc->natts, 1) * sizeof(AttrNumber));
	node->kind = LAKE_NODE_STRUCT;
	make_children(n, node, n->desc->natts);
	for (int i = 0; i < n->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(n->desc, i);

		if (att->attisdropped)
			continue;
		n->attnums[nchildren] = att->attnum;
		if (!init_node(&n->children[nchildren], &node->children[nchildren],
					   convert_name_to_lake(NameStr(att->attname)),
					   att->atttypid, att->atttypmod, depth, init))
			return false;
		node->children[nchildren].source = att->attnum;
		nchildren++;
	}
	n->nchildren = node->nchildren = nchildren;
	if (nchildren == 0)
		*init->reason = psprintf("type \"%s\" has no attributes, and a struct of the lake needs one",
								 format_type_be(n->pg_type));
	return nchildren > 0;
}

static bool
init_hstore(NestedConvert *n, LakeNode *node, int depth, const NestedInit *init)
{
	Oid			input;
	Oid			param;
	char	   *schema;
	Oid			array = TEXTARRAYOID;

	n->form = NESTED_HSTORE;
	getTypeInputInfo(n->pg_type, &input, &param);
	schema = get_namespace_name(get_func_namespace(input));
	fmgr_info_cxt(LookupFuncName(list_make2(makeString(schema), makeString("hstore_to_array")), 1, &n->pg_type, false),
				  &n->to_array, init->context);
	fmgr_info_cxt(LookupFuncName(list_make2(makeString(schema), makeString("hstore")), 1, &array, false),
				  &n->from_array, init->context);
	node->kind = LAKE_NODE_MAP;
	make_children(n, node, 2);
	if (!init_node(&n->children[0], &node->children[0], "key", TEXTOID, -1, depth, init) ||
		!init_node(&n->children[1], &node->children[1], "value", TEXTOID, -1, depth, init))
		return false;
	node->children[0].required = true;
	return true;
}

static bool
init_value(NestedConvert *n, LakeNode *node, int32 typmod, const NestedInit *init)
{
	ConvertOptions options;

	n->form = NESTED_VALUE;
	if (init->options != NULL)
	{
		options = *init->options;
		options.typed = false;
	}
	if (!convert_init(&n->convert, n->pg_type, typmod, init->column->name, init->column->relation,
					  init->options != NULL ? &options : NULL, init->context, init->reason))
		return false;
	node->kind = LAKE_NODE_VALUE;
	node->type = n->convert.type;
	n->values = column_vector_create(init->context, node->type, 1);
	return true;
}

static bool
init_node(NestedConvert *n, LakeNode *node, const char *name, Oid pg_type, int32 typmod,
		  int depth, const NestedInit *init)
{
	Oid			element;

	CHECK_FOR_INTERRUPTS();
	n->pg_type = getBaseTypeAndTypmod(pg_type, &typmod);
	n->node = node;
	node->id = -1;
	node->name = pstrdup(name);
	node->type.id = LAKE_NESTED;
	if (depth >= LAKE_NODE_MAX_DEPTH)
	{
		*init->reason = "its type is nested too deeply";
		return false;
	}
	element = array_element(n->pg_type);
	if (OidIsValid(element))
		return init_array(n, node, element, typmod, depth + 1, init);
	if (get_typtype(n->pg_type) == TYPTYPE_COMPOSITE)
		return init_composite(n, node, typmod, depth + 1, init);
	if (is_hstore(n->pg_type))
		return init_hstore(n, node, depth + 1, init);
	return init_value(n, node, typmod, init);
}

bool
convert_nested_init(ColumnConvert *c, const ConvertOptions *options, MemoryContext context, char **reason)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	NestedInit	init = {.column = c, .options = options, .context = context, .reason = reason};
	bool		ok;

	c->nested = palloc0(sizeof(NestedConvert));
	ok = init_node(c->nested, palloc0(sizeof(LakeNode)), c->name, c->pg_type, c->typmod, 0, &init);
	MemoryContextSwitchTo(old);
	return ok;
}

const LakeNode *
convert_node(const ColumnConvert *c)
{
	return c->nested != NULL ? c->nested->node : NULL;
}

/* --- appending --- */

/* One column's value being packed. */
typedef struct NestedPut
{
	const ColumnConvert *column;
	Datum		whole;			/* for messages */
	StringInfo	out;
	MemoryContext scratch;
} NestedPut;

static bool put_child(const NestedConvert *n, const NestedPut *put, Datum value, bool isnull);

/* False: what is not a list becomes null, by the policy. */
static bool
put_array(const NestedConvert *n, const NestedPut *put, Datum value)
{
	ArrayType  *array = (ArrayType *) convert_varlena(value, put->scratch);
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	const char *why = NULL;

	/* packed values may have short headers, arrays may not */
	array = DatumGetArrayTypeP(PointerGetDatum(array));
	if (ARR_NDIM(array) > 1)
		why = "it has more than one dimension";
	else if (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] != 1 && put->column->policy != CONVERT_CLAMP)
		why = "its subscripts do not begin at 1";
	if (why != NULL && put->column->policy == CONVERT_ERROR)
		convert_fail_value(put->column, put->whole, ERRCODE_ARRAY_SUBSCRIPT_ERROR, why);
	if (why != NULL)
		return false;
	deconstruct_array(array, n->element, n->typlen, n->typbyval, n->typalign, &elements, &nulls, &count);
	packed_put_count(put->out, (uint32) count);
	for (int i = 0; i < count; i++)
		(void) put_child(&n->children[0], put, elements[i], nulls[i]);
	return true;
}

/*
 * Attributes may have been added to the type since the column was set up, or
 * dropped.  In a copy that may happen at any time, and the next try sees it;
 * in the stream it is told before.
 */
static void
check_composite(const NestedConvert *n, const NestedPut *put)
{
	NestedConvert *own = unconstify(NestedConvert *, n);
	TypeCacheEntry *entry = lookup_type_cache(n->pg_type, TYPECACHE_TUPDESC);

	if (n->pg_type == RECORDOID || entry->tupDesc == NULL || entry->tupDesc_identifier == n->desc_identifier)
		return;
	if (!equalTupleDescs(entry->tupDesc, n->desc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("type \"%s\" of column \"%s\" of \"%s\" changed its attributes",
						format_type_be(n->pg_type), put->column->name, put->column->relation)));
	own->desc_identifier = entry->tupDesc_identifier;
}

static void
put_composite(const NestedConvert *n, const NestedPut *put, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(PointerGetDatum(convert_varlena(value, put->scratch)));
	HeapTupleData tuple;
	Datum	   *values = palloc(n->desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(n->desc->natts * sizeof(bool));

	check_composite(n, put);
	memset(&tuple, 0, sizeof(tuple));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;
	heap_deform_tuple(&tuple, n->desc, values, nulls);
	for (int i = 0; i < n->nchildren; i++)
	{
		int			att = n->attnums[i] - 1;

		(void) put_child(&n->children[i], put, values[att], nulls[att]);
	}
}

/* False: a key became null, by the policy, which no key of a map is. */
static bool
put_hstore(const NestedConvert *n, const NestedPut *put, Datum value)
{
	Datum		pairs = FunctionCall1(unconstify(FmgrInfo *, &n->to_array),
									  PointerGetDatum(convert_varlena(value, put->scratch)));
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(pairs), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	packed_put_count(put->out, (uint32) count / 2);
	for (int i = 0; i < count; i++)
	{
		if (!put_child(&n->children[i % 2], put, elements[i], nulls[i]) && i % 2 == 0)
			return false;
	}
	return true;
}

/* A value of a node; false when it becomes null. */
static bool
put_value(const NestedConvert *n, const NestedPut *put, Datum value)
{
	switch (n->form)
	{
		case NESTED_VALUE:
			column_vector_reset(n->values);
			convert_append(&n->convert, n->values, value, put->scratch);
			if (n->values->null_count > 0)
				return false;
			packed_put(put->out, n->values, 0);
			return true;
		case NESTED_ARRAY:
			return put_array(n, put, value);
		case NESTED_COMPOSITE:
			put_composite(n, put, value);
			return true;
		case NESTED_HSTORE:
			return put_hstore(n, put, value);
	}
	pg_unreachable();
}

/* False: it is null, or became so. */
static bool
put_child(const NestedConvert *n, const NestedPut *put, Datum value, bool isnull)
{
	int			at = put->out->len;

	appendStringInfoChar(put->out, 1);
	if (!isnull && put_value(n, put, value))
		return true;
	put->out->len = at;
	appendStringInfoChar(put->out, 0);
	return false;
}

void
convert_nested_append(const ColumnConvert *c, ColumnVector *v, Datum value, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	StringInfoData out;
	NestedPut	put = {.column = c, .whole = value, .out = &out, .scratch = scratch};

	initStringInfo(&out);
	if (put_value(c->nested, &put, value))
		column_append_bytes(v, out.data, (uint32) out.len);
	else
		column_append_null(v);
	MemoryContextSwitchTo(old);
}
