/*-------------------------------------------------------------------------
 *
 * convert_nested_form.c
 *	  Packed values to arrays, composites, hstore and jsonb.
 *
 * In two walks over the rows of a call: the first gathers the values of each
 * leaf in a vector, which convert_form then turns into Datums all at once;
 * the second builds the arrays and tuples from those.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "column/convert_internal.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* --- binding --- */

static bool bind_node(NestedConvert *n, const LakeNode *lake, char **reason);

static bool
bind_struct(NestedConvert *n, const LakeNode *lake, char **reason)
{
	n->fields = palloc(Max(lake->nchildren, 1) * sizeof(int));
	for (int i = 0; i < lake->nchildren; i++)
	{
		n->fields[i] = -1;
		for (int k = 0; k < n->nchildren; k++)
		{
			if (strcmp(n->children[k].node->name, lake->children[i].name) == 0)
				n->fields[i] = k;
		}
		if (n->fields[i] >= 0 && !bind_node(&n->children[n->fields[i]], &lake->children[i], reason))
			return false;
	}
	return true;
}

static bool
bind_node(NestedConvert *n, const LakeNode *lake, char **reason)
{
	if (n->node->kind != lake->kind ||
		(lake->kind == LAKE_NODE_VALUE && !convert_reads(&n->convert, lake->type)))
	{
		*reason = psprintf("type %s cannot show %s", format_type_be(n->pg_type), lake_node_text(lake));
		return false;
	}
	n->lake = lake;
	if (lake->kind == LAKE_NODE_STRUCT)
		return bind_struct(n, lake, reason);
	if (lake->kind == LAKE_NODE_VALUE)
	{
		MemoryContext context = n->values->context;

		column_vector_free(n->values);
		column_vector_init(n->values, context, lake->type, 1);
	}
	for (int i = 0; i < lake->nchildren; i++)
	{
		if (!bind_node(&n->children[i], &lake->children[i], reason))
			return false;
	}
	return true;
}

bool
convert_bind_node(ColumnConvert *c, const LakeNode *node, char **reason)
{
	return bind_node(c->nested, node, reason);
}

/* --- gathering the leaves --- */

static void
start_leaves(NestedConvert *n)
{
	if (n->form == NESTED_VALUE && n->lake != NULL)
		column_vector_reset(n->values);
	for (int i = 0; i < n->nchildren; i++)
		start_leaves(&n->children[i]);
}

static void gather_child(NestedConvert *n, const LakeNode *lake, PackedCursor *cursor);

static void
gather_value(NestedConvert *n, PackedCursor *cursor)
{
	uint32		count = 1;

	if (n->form == NESTED_VALUE)
	{
		packed_append(cursor, n->values);
		return;
	}
	if (n->form == NESTED_COMPOSITE)
	{
		for (int i = 0; i < n->lake->nchildren; i++)
			gather_child(n->fields[i] >= 0 ? &n->children[n->fields[i]] : NULL, &n->lake->children[i], cursor);
		return;
	}
	count = packed_count(cursor);
	for (uint32 k = 0; k < count; k++)
	{
		for (int i = 0; i < n->nchildren; i++)
			gather_child(&n->children[i], &n->lake->children[i], cursor);
	}
}

/* n NULL: a field that nobody asks for. */
static void
gather_child(NestedConvert *n, const LakeNode *lake, PackedCursor *cursor)
{
	if (!packed_present(cursor))
		return;
	if (n == NULL)
		packed_skip(cursor, lake);
	else
		gather_value(n, cursor);
}

/* Datums of all leaves. */
static void
form_leaves(NestedConvert *n)
{
	uint32		count;
	uint32	   *rows;
	bool	   *isnull;

	for (int i = 0; i < n->nchildren; i++)
		form_leaves(&n->children[i]);
	if (n->form != NESTED_VALUE || n->lake == NULL)
		return;
	count = n->values->length;
	n->at = 0;
	n->datums = MemoryContextAllocHuge(CurrentMemoryContext, ((size_t) count + 1) * sizeof(Datum));
	rows = MemoryContextAllocHuge(CurrentMemoryContext, ((size_t) count + 1) * sizeof(uint32));
	isnull = MemoryContextAllocHuge(CurrentMemoryContext, (size_t) count + 1);
	for (uint32 i = 0; i < count; i++)
		rows[i] = i;
	convert_form(&n->convert, n->values, rows, count, n->datums, isnull, 1);
	pfree(rows);
	pfree(isnull);
}

/* --- building --- */

static Datum build_value(NestedConvert *n, PackedCursor *cursor);

static Datum
build_child(NestedConvert *n, PackedCursor *cursor, bool *isnull)
{
	*isnull = !packed_present(cursor);
	return *isnull ? (Datum) 0 : build_value(n, cursor);
}

static Datum
build_array(NestedConvert *n, PackedCursor *cursor)
{
	uint32		count = packed_count(cursor);
	int			dims = (int) count;
	int			lower = 1;
	Datum	   *elements;
	bool	   *nulls;
	ArrayType  *array;

	if (count == 0)
		return PointerGetDatum(construct_empty_array(n->element));
	if (count > MaxArraySize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a list of %u elements exceeds the size of an array", count)));
	elements = palloc(count * sizeof(Datum));
	nulls = palloc(count * sizeof(bool));
	for (uint32 i = 0; i < count; i++)
		elements[i] = build_child(&n->children[0], cursor, &nulls[i]);
	array = construct_md_array(elements, nulls, 1, &dims, &lower, n->element,
							   n->typlen, n->typbyval, n->typalign);
	pfree(elements);
	pfree(nulls);
	return PointerGetDatum(array);
}

static Datum
build_composite(NestedConvert *n, PackedCursor *cursor)
{
	Datum	   *values = palloc0(n->desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(n->desc->natts * sizeof(bool));
	HeapTuple	tuple;

	memset(nulls, true, n->desc->natts * sizeof(bool));
	for (int i = 0; i < n->lake->nchildren; i++)
	{
		int			child = n->fields[i];
		int			att = child >= 0 ? n->attnums[child] - 1 : 0;

		if (child >= 0)
			values[att] = build_child(&n->children[child], cursor, &nulls[att]);
		else if (packed_present(cursor))
			packed_skip(cursor, &n->lake->children[i]);
	}
	tuple = heap_form_tuple(n->desc, values, nulls);
	pfree(values);
	pfree(nulls);
	return HeapTupleGetDatum(tuple);
}

static Datum
build_hstore(NestedConvert *n, PackedCursor *cursor)
{
	uint32		count = packed_count(cursor);
	int			dims = (int) count * 2;
	int			lower = 1;
	Datum	   *elements;
	bool	   *nulls;

	if (count > MaxArraySize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a map of %u entries exceeds the size of hstore", count)));
	if (count == 0)
		return FunctionCall1(&n->from_array, PointerGetDatum(construct_empty_array(TEXTOID)));
	elements = palloc(count * 2 * sizeof(Datum));
	nulls = palloc(count * 2 * sizeof(bool));
	for (uint32 i = 0; i < count * 2; i++)
		elements[i] = build_child(&n->children[i % 2], cursor, &nulls[i]);
	return FunctionCall1(&n->from_array,
						 PointerGetDatum(construct_md_array(elements, nulls, 1, &dims, &lower,
															TEXTOID, -1, false, TYPALIGN_INT)));
}

static Datum
build_value(NestedConvert *n, PackedCursor *cursor)
{
	switch (n->form)
	{
		case NESTED_VALUE:
			return nested_next_value(n, cursor);
		case NESTED_ARRAY:
			return build_array(n, cursor);
		case NESTED_COMPOSITE:
			return build_composite(n, cursor);
		case NESTED_HSTORE:
			return build_hstore(n, cursor);
	}
	pg_unreachable();
}

void
convert_nested_form(const ColumnConvert *c, const ColumnVector *v, const uint32 *rows, uint32 n,
					Datum *values, const bool *isnull, int stride)
{
	NestedConvert *nested = c->nested;
	MemoryContext scratch = NULL;
	PackedCursor cursor;

	if (nested->json)
		scratch = AllocSetContextCreate(CurrentMemoryContext, "tarn json", ALLOCSET_DEFAULT_SIZES);
	start_leaves(nested);
	for (uint32 i = 0; i < n; i++)
	{
		if (isnull[(size_t) i * stride])
			continue;
		packed_begin(&cursor, v, rows[i]);
		gather_value(nested, &cursor);
	}
	form_leaves(nested);
	for (uint32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		values[(size_t) i * stride] = (Datum) 0;
		if (isnull[(size_t) i * stride])
			continue;
		packed_begin(&cursor, v, rows[i]);
		values[(size_t) i * stride] = scratch ? convert_nested_json(nested, &cursor, scratch) :
			build_value(nested, &cursor);
	}
	if (scratch)
		MemoryContextDelete(scratch);
}
