/*-------------------------------------------------------------------------
 *
 * test_column_vector.c
 *	  ColumnVectors: appends, nulls, rows of another vector, hashes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "column/vector.h"
#include "tap.h"

static const char *const type_names[] = {
	"boolean", "int", "long", "float", "double", "decimal(10, 2)", "decimal(30, 2)", "date", "time",
	"timestamp", "timestamptz", "string", "uuid", "fixed[3]", "binary"
};

static LakeType
type(const char *name)
{
	LakeType	t;

	if (!lake_type_parse(name, &t))
		elog(ERROR, "type \"%s\" was not parsed", name);
	return t;
}

/* The k-th value of a type. */
static LakeValue
sample(LakeType t, uint32 k)
{
	LakeValue	v = {0};

	switch (lake_type_layout(t))
	{
		case LAYOUT_BOOL:
			v.u.i64 = k & 1;
			break;
		case LAYOUT_INT32:
			v.u.i64 = (int32) (k * 2654435761u);
			break;
		case LAYOUT_INT64:
			v.u.i64 = (int64) (k * UINT64CONST(0x9e3779b97f4a7c15));
			break;
		case LAYOUT_INT128:
			v.u.i128 = (int128) (int64) (k * UINT64CONST(0x9e3779b97f4a7c15)) * PG_INT64_MAX;
			break;
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			v.u.f64 = (float) k * 0.5f - 100;
			break;
		case LAYOUT_FIXED:
			v.u.bytes.data = psprintf("%016u", k) + (16 - lake_type_width(t));
			v.u.bytes.size = lake_type_width(t);
			break;
		case LAYOUT_BYTES:
			v.u.bytes.data = psprintf("value %u", k);
			v.u.bytes.size = k % 11 == 0 ? 0 : (uint32) strlen(v.u.bytes.data);
			break;
	}
	return v;
}

static bool
isnull_at(uint32 i, uint32 nulls)
{
	return nulls > 0 && i % nulls == nulls - 1;
}

/* Every `nulls`-th row null (0: none); row i has the value k(i) = i % distinct. */
static void
fill(ColumnVector *v, uint32 from, uint32 rows, uint32 nulls, uint32 distinct)
{
	for (uint32 i = from; i < from + rows; i++)
	{
		LakeValue	value = sample(v->type, i % distinct);

		value.isnull = isnull_at(i, nulls);
		column_vector_append_value(v, &value);
	}
}

static bool
same_row(const ColumnVector *v, uint32 row, uint32 i, uint32 nulls, uint32 distinct)
{
	LakeValue	got;
	LakeValue	expected = sample(v->type, i % distinct);

	column_vector_value(v, row, &got);
	if (isnull_at(i, nulls))
		return got.isnull;
	return !got.isnull && lake_value_compare(v->type, &got, &expected) == 0;
}

static bool
check(const ColumnVector *v, uint32 rows, uint32 nulls, uint32 distinct)
{
	uint32		count = 0;

	for (uint32 i = 0; i < rows; i++)
	{
		count += isnull_at(i, nulls);
		if (!same_row(v, i, i, nulls, distinct))
			return false;
	}
	return v->length == rows && v->null_count == count &&
		(count == 0 || bitmap_count(v->valid, v->capacity) == rows - count);
}

/* The dictionary form of what fill() makes. */
static ColumnVector *
coded(LakeType t, uint32 rows, uint32 nulls, uint32 distinct)
{
	ColumnVector *v = column_vector_create(CurrentMemoryContext, t, rows);

	v->dictionary = column_vector_create(CurrentMemoryContext, t, distinct);
	fill(v->dictionary, 0, distinct, 0, distinct);
	v->codes = palloc(Max(rows, 1) * sizeof(uint32));
	for (uint32 i = 0; i < rows; i++)
	{
		v->codes[i] = isnull_at(i, nulls) ? 0 : i % distinct;
		if (isnull_at(i, nulls))
			column_append_null(v);
		else
		{
			column_append_prepare(v);
			v->length++;
		}
	}
	return v;
}

static void
test_append(const char *name)
{
	ColumnVector v;

	for (uint32 nulls = 0; nulls < 4; nulls++)
	{
		column_vector_init(&v, CurrentMemoryContext, type(name), 0);
		fill(&v, 0, 1000, nulls, 100);
		ok(check(&v, 1000, nulls, 100), "%s: 1000 rows, a null each %u", name, nulls);
		column_vector_reset(&v);
		fill(&v, 0, 70, nulls == 0 ? 3 : 0, 7);
		ok(check(&v, 70, nulls == 0 ? 3 : 0, 7), "%s: used again", name);
		column_vector_free(&v);
	}
}

/* Rows of a plain and of a coded vector, chosen by a bitmap, behind rows that are there. */
static void
test_append_rows(const char *name, uint32 nulls, bool dictionary)
{
	uint64		bits[BITMAP_WORDS(1000)];
	uint64		state = 3;
	ColumnVector *from;
	bool		good = true;

	if (dictionary)
		from = coded(type(name), 1000, nulls, 50);
	else
	{
		from = column_vector_create(CurrentMemoryContext, type(name), 0);
		fill(from, 0, 1000, nulls, 50);
	}
	for (int round = 0; round < 6; round++)
	{
		ColumnVector *to = column_vector_create(CurrentMemoryContext, type(name), 0);
		uint32		row = 33;

		memset(bits, 0, sizeof(bits));
		for (uint32 i = 0; i < 1000; i++)
			if (round == 5 || tap_random(&state) % 16 < (uint64) round * 4)
				bitmap_set(bits, i);
		fill(to, 0, 33, round & 1 ? 4 : 0, 50);
		column_vector_append_rows(to, from, round == 5 ? NULL : bits);
		for (uint32 i = 0; i < 33; i++)
			good = good && same_row(to, i, i, round & 1 ? 4 : 0, 50);
		for (uint32 i = 0; i < 1000; i++)
			if (bitmap_get(bits, i))
				good = good && same_row(to, row++, i, nulls, 50);
		good = good && to->length == row;
		/* and it can be appended to */
		column_append_null(to);
		good = good && column_vector_isnull(to, row) &&
			bitmap_count(to->valid, to->capacity) == to->length - to->null_count;
	}
	ok(good, "%s: rows of a %s vector, a null each %u", name, dictionary ? "coded" : "plain", nulls);
}

static void
test_hash(const char *name)
{
	ColumnVector *plain = column_vector_create(CurrentMemoryContext, type(name), 0);
	ColumnVector *codes = coded(type(name), 500, 5, 50);
	uint64		a[500];
	uint64		b[500];
	bool		same = true;

	fill(plain, 0, 500, 5, 50);
	column_vector_hash(plain, a, false, 0);
	column_vector_hash(codes, b, false, 0);
	ok(memcmp(a, b, sizeof(a)) == 0, "%s: plain and coded hash alike", name);
	column_vector_hash(plain, a, true, 9);
	column_vector_hash(codes, b, true, 9);
	ok(memcmp(a, b, sizeof(a)) == 0, "%s: combined as well", name);
	for (uint32 i = 0; i + 50 < 500; i++)
		if (!isnull_at(i, 5) && !isnull_at(i + 50, 5) && a[i] != a[i + 50])
			same = false;
	ok(same && a[0] != a[1], "%s: equal values hash alike, others do not", name);
}

static void
test_special_hashes(void)
{
	ColumnVector *v = column_vector_create(CurrentMemoryContext, type("double"), 0);
	ColumnVector *f = column_vector_create(CurrentMemoryContext, type("float"), 0);
	uint64		a[4];
	uint64		b[2];

	column_append_double(v, 0.0);
	column_append_double(v, -0.0);
	column_append_double(v, NAN);
	column_append_double(v, -NAN);
	column_vector_hash(v, a, false, 0);
	ok(a[0] == a[1] && a[2] == a[3] && a[0] != a[2], "zeros hash alike, and NaNs");
	column_append_float(f, 0.0f);
	column_append_float(f, -0.0f);
	column_vector_hash(f, b, false, 0);
	ok(b[0] == b[1], "floats as well");
}

static void
test_limits(void)
{
	ColumnVector *v = column_vector_create(CurrentMemoryContext, type("string"), 0);
	size_t		before = column_vector_bytes(v);

	column_append_bytes(v, "x", 1);
	throws(ERRCODE_PROGRAM_LIMIT_EXCEEDED, column_vector_reserve_bytes(v, COLUMN_MAX_BYTES), "cannot hold",
		   "too many bytes");
	column_vector_reserve_bytes(v, 1000000);
	ok(column_vector_bytes(v) >= before + 900000, "growth is counted");
	is_int(v->offsets[1], 1, "the first value is still there");
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(type_names); i++)
	{
		test_append(type_names[i]);
		for (uint32 nulls = 0; nulls < 3; nulls++)
		{
			test_append_rows(type_names[i], nulls, false);
			test_append_rows(type_names[i], nulls, true);
		}
		test_hash(type_names[i]);
	}
	test_special_hashes();
	test_limits();
	return done();
}
