/*-------------------------------------------------------------------------
 *
 * test_parquet_nested.c
 *	  Packed values of random nested types through the Parquet writer and
 *	  back, whole and by ranges of rows; and other shapes of the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/assemble.h"
#include "parquet/writer.h"
#include "tap.h"

static const LakeType types[] = {
	{LAKE_BOOLEAN}, {LAKE_INT}, {LAKE_LONG}, {LAKE_DOUBLE}, {LAKE_DECIMAL, 9, 2}, {LAKE_DECIMAL, 38, 5},
	{LAKE_STRING}, {LAKE_UUID}, {LAKE_BINARY}
};

static uint64 state;

static uint32
below(uint32 n)
{
	return (uint32) (tap_random(&state) % n);
}

/* --- random types and values --- */

static void
random_node(LakeNode *n, int depth, int *next_id)
{
	uint32		kind = depth == 0 ? 1 + below(3) : depth >= 4 ? 0 : below(5);

	n->id = (*next_id)++;
	n->type.id = LAKE_NESTED;
	n->kind = kind < 4 ? (LakeNodeKind) kind : LAKE_NODE_VALUE;
	n->nchildren = n->kind == LAKE_NODE_LIST ? 1 : n->kind == LAKE_NODE_MAP ? 2 :
		n->kind == LAKE_NODE_STRUCT ? 1 + (int) below(4) : 0;
	n->children = palloc0(Max(n->nchildren, 1) * sizeof(LakeNode));
	if (n->kind == LAKE_NODE_VALUE)
		n->type = types[below(lengthof(types))];
	for (int i = 0; i < n->nchildren; i++)
	{
		LakeNode   *child = &n->children[i];

		random_node(child, depth + 1, next_id);
		child->name = n->kind == LAKE_NODE_LIST ? "element" : n->kind == LAKE_NODE_MAP ?
			(i == 0 ? "key" : "value") : psprintf("f%d", i);
		child->required = (n->kind == LAKE_NODE_MAP && i == 0) || below(4) == 0;
	}
}

static void
random_value(StringInfo out, const LakeNode *n)
{
	char		bytes[64];
	uint32		count = 1;

	if (n->kind == LAKE_NODE_VALUE)
	{
		uint32		width = lake_type_width(n->type);

		for (int i = 0; i < (int) sizeof(bytes); i++)
			bytes[i] = (char) ('a' + below(3));
		if (n->type.id == LAKE_BOOLEAN)
			bytes[0] = (char) below(2);
		if (n->type.id == LAKE_DECIMAL)
			memset(bytes, below(2) ? 0 : -1, sizeof(bytes));
		if (lake_type_layout(n->type) == LAYOUT_BYTES)
		{
			width = below(20);
			packed_put_count(out, width);
		}
		appendBinaryStringInfo(out, bytes, (int) width);
		return;
	}
	if (n->kind != LAKE_NODE_STRUCT)
	{
		count = below(4) == 0 ? 0 : below(5);
		packed_put_count(out, count);
	}
	for (uint32 k = 0; k < count; k++)
	{
		for (int i = 0; i < n->nchildren; i++)
		{
			bool		there = n->children[i].required || below(5) > 0;

			appendStringInfoChar(out, there ? 1 : 0);
			if (there)
				random_value(out, &n->children[i]);
		}
	}
}

static ColumnVector *
random_vector(const LakeNode *n, bool required, uint32 rows)
{
	LakeType	nested = {LAKE_NESTED};
	ColumnVector *v = column_vector_create(CurrentMemoryContext, nested, rows);
	StringInfoData value;

	initStringInfo(&value);
	for (uint32 i = 0; i < rows; i++)
	{
		if (!required && below(6) == 0)
		{
			column_append_null(v);
			continue;
		}
		resetStringInfo(&value);
		random_value(&value, n);
		column_append_bytes(v, value.data, (uint32) value.len);
	}
	return v;
}

/* --- files --- */

static void
take(void *arg, const void *data, size_t size)
{
	appendBinaryStringInfo((StringInfo) arg, data, (int) size);
}

static void
give(void *arg, uint64 offset, size_t size, void *buffer)
{
	memcpy(buffer, ((StringInfo) arg)->data + offset, size);
}

/* A flat column beside the nested one. */
static void
write_file(StringInfo out, const LakeNode *n, bool required, ColumnVector *v)
{
	ParquetColumn columns[2] = {
		{.name = "k", .field_id = 1, .type = {LAKE_INT}, .required = true},
		{.name = "v", .field_id = n->id, .type = {LAKE_NESTED}, .required = required, .node = n}
	};
	LakeType	integer = {LAKE_INT};
	ColumnVector *k = column_vector_create(CurrentMemoryContext, integer, v->length);
	ColumnVector *vectors[2] = {k, v};
	ParquetWriterOptions options;
	ParquetWriter *w;

	for (uint32 i = 0; i < v->length; i++)
		column_append_int32(k, (int32) i);
	parquet_writer_defaults(&options);
	options.page_bytes = 64 << below(6);
	options.page_rows = 10 + below(200);
	options.row_group_rows = 50 + below(400);
	options.dictionary_bytes = below(2) ? 0 : 4096;
	initStringInfo(out);
	w = parquet_writer_open(columns, 2, &options, NULL, take, out);
	parquet_writer_append(w, vectors, v->length, NULL);
	(void) parquet_writer_finish(w);
	parquet_writer_free(w);
}

static bool
same_row(const ColumnVector *a, uint32 i, const ColumnVector *b, uint32 k)
{
	LakeValue	x;
	LakeValue	y;

	column_vector_value(a, i, &x);
	column_vector_value(b, k, &y);
	if (x.isnull || y.isnull)
		return x.isnull == y.isnull;
	return x.u.bytes.size == y.u.bytes.size && memcmp(x.u.bytes.data, y.u.bytes.data, x.u.bytes.size) == 0;
}

static ParquetNested *
bind(ParquetReader *r, const LakeNode *n)
{
	const char *reason = "";
	ParquetNested *nested = parquet_nested_bind(r, parquet_reader_root(r)->children->next, n, true, &reason);

	if (nested == NULL)
		tap_note("%s", reason);
	return nested;
}

/* Rows that differ between the vector and the file. */
static int
differences(StringInfo file, const LakeNode *n, const ColumnVector *v, bool by_ranges)
{
	ParquetInput input = {.read = give, .arg = file, .size = (uint64) file->len, .name = "test"};
	ParquetReader *r = parquet_reader_open(&input);
	ParquetNested *nested = bind(r, n);
	LakeType	type = {LAKE_NESTED};
	ColumnVector *got = column_vector_create(CurrentMemoryContext, type, 0);
	int			bad = 0;
	uint32		at = 0;

	for (int g = 0; nested != NULL && g < parquet_reader_nrow_groups(r); g++)
	{
		uint32		rows = (uint32) parquet_reader_group_rows(r, g);
		uint32		ranges[4] = {rows / 5, rows / 4, rows / 2, rows / 3};
		uint32		k = 0;

		parquet_nested_read(nested, g, by_ranges ? ranges : NULL, by_ranges ? 2 : 0, got);
		for (uint32 i = 0; i < rows; i++)
		{
			bool		wanted = !by_ranges || (i >= ranges[0] && i < ranges[0] + ranges[1]) ||
				(i >= ranges[2] && i < ranges[2] + ranges[3]);

			if (wanted)
				bad += k >= got->length || !same_row(v, at + i, got, k++);
		}
		bad += k != got->length;
		at += rows;
	}
	bad += at != v->length;
	parquet_reader_close(r);
	return bad;
}

static void
test_random(int round)
{
	LakeNode	node = {0};
	int			next_id = 2;
	bool		required = below(4) == 0;
	ColumnVector *v;
	StringInfoData file;
	int			whole;
	int			ranges;

	random_node(&node, 0, &next_id);
	node.name = "v";
	v = random_vector(&node, required, 1 + below(1200));
	write_file(&file, &node, required, v);
	if (round < 8)
		tap_corpus("fuzz_parquet_file", psprintf("nested_%d", round), file.data, (size_t) file.len);
	whole = differences(&file, &node, v, false);
	ranges = differences(&file, &node, v, true);
	if (whole + ranges > 0 || round % 20 == 0)
		ok(whole + ranges == 0, "round %d: %u rows of %s come back", round, v->length, lake_node_text(&node));
}

/* --- a struct whose fields came and went --- */

static LakeNode
value_node(const char *name, int id, LakeTypeId type)
{
	LakeNode	n = {.kind = LAKE_NODE_VALUE, .id = id, .name = pstrdup(name), .type = {type}};

	return n;
}

static LakeNode
struct_node(int id, int nchildren, LakeNode *children)
{
	LakeNode	n = {.kind = LAKE_NODE_STRUCT, .id = id, .name = "v", .type = {LAKE_NESTED},
	.nchildren = nchildren, .children = children};

	return n;
}

static void
test_evolved(void)
{
	LakeNode	list = {.kind = LAKE_NODE_LIST, .id = 5, .name = "l", .type = {LAKE_NESTED}, .nchildren = 1};
	LakeNode	old[3];
	LakeNode	new[3];
	LakeNode	other[1];
	LakeNode	from;
	LakeNode	to;
	StringInfoData file;
	StringInfoData expected;
	ColumnVector *v;
	ColumnVector *got;
	ParquetInput input = {.read = give, .arg = &file, .name = "test"};
	ParquetReader *r;
	ParquetNested *nested;
	LakeType	type = {LAKE_NESTED};
	int32		seven = 7;
	int64		wide = 7;

	list.children = palloc(sizeof(LakeNode));
	list.children[0] = value_node("element", 6, LAKE_STRING);
	old[0] = list;
	old[1] = value_node("a", 3, LAKE_INT);
	old[2] = value_node("b", 4, LAKE_STRING);
	from = struct_node(2, 3, old);

	/* b is gone, a is wider and renamed, c is new */
	new[0] = value_node("c", 9, LAKE_INT);
	new[1] = value_node("renamed", 3, LAKE_LONG);
	to = struct_node(2, 2, new);

	initStringInfo(&expected);
	appendBinaryStringInfo(&expected, "\1\2\0\0\0\1\1\0\0\0x\0", 12);
	appendStringInfoChar(&expected, 1);
	appendBinaryStringInfo(&expected, (char *) &seven, 4);
	appendStringInfoChar(&expected, 0);
	v = column_vector_create(CurrentMemoryContext, type, 4);
	column_append_bytes(v, expected.data, (uint32) expected.len);
	column_append_null(v);
	column_append_bytes(v, expected.data, (uint32) expected.len);
	write_file(&file, &from, false, v);

	input.size = (uint64) file.len;
	r = parquet_reader_open(&input);
	nested = bind(r, &to);
	got = column_vector_create(CurrentMemoryContext, type, 0);
	parquet_nested_read(nested, 0, NULL, 0, got);
	resetStringInfo(&expected);
	appendStringInfoChar(&expected, 0);
	appendStringInfoChar(&expected, 1);
	appendBinaryStringInfo(&expected, (char *) &wide, 8);
	ok(got->length == 3 && column_vector_isnull(got, 1) && got->offsets[1] == 10 &&
	   memcmp(got->bytes, expected.data, 10) == 0, "fields by id, widened, missing ones null");

	/* none of its fields is in the file: where it is is seen from the list, entries of which are passed */
	other[0] = value_node("c", 9, LAKE_INT);
	to = struct_node(2, 1, other);
	nested = bind(r, &to);
	parquet_nested_read(nested, 0, NULL, 0, got);
	ok(got->length == 3 && !column_vector_isnull(got, 0) && column_vector_isnull(got, 1) &&
	   !column_vector_isnull(got, 2) && got->offsets[3] == 2, "a struct without known fields is there");

	/* what does not fit is refused */
	new[1] = value_node("a", 3, LAKE_DATE);
	to = struct_node(2, 2, new);
	ok(bind(r, &to) == NULL, "another type is refused");
	to = list;
	ok(bind(r, &to) == NULL, "a struct is no list");
	parquet_reader_close(r);
}

int
main(void)
{
	for (int round = 0; round <= 400; round++)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "round", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		state = (uint64) round + 1;
		test_random(round);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	test_evolved();
	return done();
}
