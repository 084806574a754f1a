/*-------------------------------------------------------------------------
 *
 * keyhash.c
 *	  Hashing keys, column after column, a block of rows at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/hash.h"
#include "pipeline/keyhash.h"

bool
keyhash_is_wide(const LakeType *types, int n)
{
	if (n != 1)
		return true;
	switch (lake_type_layout(types[0]))
	{
		case LAYOUT_BOOL:
		case LAYOUT_INT32:
		case LAYOUT_INT64:
			return false;
		default:
			return true;
	}
}

/*
 * Floats are hashed by their bits.  As a key, or in the full row, -0 and 0
 * are two values: an UPDATE of one to the other changes what the lake has to
 * show, and the server logs the old key then.
 */
static void
hash_column(const ColumnVector *v, uint64 *hashes, bool combine, uint64 seed)
{
	ColumnVector bits = *v;

	if (v->layout == LAYOUT_FLOAT)
		bits.layout = LAYOUT_INT32;
	else if (v->layout == LAYOUT_DOUBLE)
		bits.layout = LAYOUT_INT64;
	column_vector_hash(&bits, hashes, combine, seed);
}

void
keyhash_rows(ColumnVector *const *columns, int ncolumns, bool wide, uint64 seed, KeyHash *out)
{
	uint32		n = columns[0]->length;
	uint64	   *hashes = palloc_extended((Size) Max(n, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);

	if (!wide)
	{
		if (ncolumns != 1 || (columns[0]->layout == LAYOUT_INT64 && columns[0]->null_count > 0))
			elog(ERROR, "keys of several columns, or with nulls, must be hashed as wide ones");
		seed = 0;
	}

	for (int i = 0; i < ncolumns; i++)
		hash_column(columns[i], hashes, i > 0, seed);
	for (uint32 i = 0; i < n; i++)
	{
		out[i].hash = hashes[i];
		out[i].check = 0;
	}
	if (wide)
	{
		/* a second hash of the same values; its own seed makes it independent of the first */
		for (int i = 0; i < ncolumns; i++)
			hash_column(columns[i], hashes, i > 0, hash_mix64(seed + 1));
		for (uint32 i = 0; i < n; i++)
			out[i].check = (uint32) (hashes[i] >> 32);
	}
	pfree(hashes);
}
