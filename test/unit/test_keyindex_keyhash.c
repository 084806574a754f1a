/*-------------------------------------------------------------------------
 *
 * test_keyindex_keyhash.c
 *	  Hashes of keys: narrow ones are a permutation, wide ones depend on
 *	  every column, its order, nulls and the seed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/hash.h"
#include "pipeline/keyhash.h"
#include "tap.h"

static ColumnVector *
longs(const int64 *values, uint32 n)
{
	LakeType	type = {.id = LAKE_LONG};
	ColumnVector *v = column_vector_create(CurrentMemoryContext, type, 4);

	for (uint32 i = 0; i < n; i++)
		column_append_int64(v, values[i]);
	return v;
}

static ColumnVector *
strings(const char *const *values, uint32 n)
{
	LakeType	type = {.id = LAKE_STRING};
	ColumnVector *v = column_vector_create(CurrentMemoryContext, type, 4);

	for (uint32 i = 0; i < n; i++)
	{
		if (values[i])
			column_append_bytes(v, values[i], strlen(values[i]));
		else
			column_append_null(v);
	}
	return v;
}

static void
release(ColumnVector *v)
{
	column_vector_free(v);
	pfree(v);
}

static bool
same(KeyHash a, KeyHash b)
{
	return a.hash == b.hash && a.check == b.check;
}

static void
test_is_wide(void)
{
	LakeType	types[2] = {{.id = LAKE_LONG}, {.id = LAKE_INT}};
	static const struct
	{
		LakeType	type;
		bool		wide;
	}			singles[] = {
		{{.id = LAKE_BOOLEAN}, false}, {{.id = LAKE_INT}, false}, {{.id = LAKE_DATE}, false},
		{{.id = LAKE_LONG}, false}, {{.id = LAKE_TIMESTAMPTZ}, false},
		{{.id = LAKE_DECIMAL, .precision = 18}, false}, {{.id = LAKE_DECIMAL, .precision = 19}, true},
		{{.id = LAKE_DOUBLE}, true}, {{.id = LAKE_STRING}, true}, {{.id = LAKE_UUID, .length = 16}, true}
	};

	for (int i = 0; i < lengthof(singles); i++)
		is_int(keyhash_is_wide(&singles[i].type, 1), singles[i].wide, "a single column of type %d",
			   (int) singles[i].type.id);
	ok(keyhash_is_wide(types, 2), "two columns are wide");
}

static void
test_narrow(void)
{
	int64		values[] = {0, 1, -1, PG_INT64_MAX, PG_INT64_MIN};
	ColumnVector *v = longs(values, lengthof(values));
	KeyHash		hashes[lengthof(values)];
	bool		right = true;

	keyhash_rows(&v, 1, false, 12345, hashes);
	for (int i = 0; i < lengthof(values); i++)
		right = right && hashes[i].hash == hash_mix64((uint64) values[i]) && hashes[i].check == 0;
	ok(right, "narrow hashes are the mix of the value, whatever the seed");
	column_append_null(v);
	throws(ERRCODE_INTERNAL_ERROR, keyhash_rows(&v, 1, false, 0, hashes), "wide",
		   "a null among 64-bit values has no narrow hash");
	release(v);
}

static void
test_wide(void)
{
	int64		numbers[] = {1, 2, 1, 1, 2, 1};
	const char *const words[] = {"a", "a", "b", "a", NULL, NULL};
	ColumnVector *columns[2];
	ColumnVector *swapped[2];
	KeyHash		hashes[6];
	KeyHash		other[6];
	int			equal = 0;

	columns[0] = swapped[1] = longs(numbers, 6);
	columns[1] = swapped[0] = strings(words, 6);
	keyhash_rows(columns, 2, true, 7, hashes);
	for (int i = 0; i < 6; i++)
	{
		for (int j = i + 1; j < 6; j++)
			equal += same(hashes[i], hashes[j]);
	}
	ok(same(hashes[0], hashes[3]), "equal rows have equal hashes");
	is_int(equal, 1, "and no others");
	ok(hashes[0].check != 0 && hashes[0].check != (uint32) hashes[0].hash, "there are check bits");

	keyhash_rows(columns, 2, true, 8, other);
	ok(other[0].hash != hashes[0].hash && other[0].check != hashes[0].check, "another seed, another hash");
	keyhash_rows(swapped, 2, true, 7, other);
	ok(!same(other[0], hashes[0]), "the order of columns matters");
	release(columns[0]);
	release(columns[1]);
}

int
main(void)
{
	test_is_wide();
	test_narrow();
	test_wide();
	return done();
}
