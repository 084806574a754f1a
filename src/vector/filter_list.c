/*-------------------------------------------------------------------------
 *
 * filter_list.c
 *	  A vector's values against a long list of constants.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "vector/filter_internal.h"

/* The list as a vector of v's type; what that type cannot hold equals none of its values. */
static ColumnVector *
list_vector(const Filter *f, const ColumnVector *v)
{
	ColumnVector *list = column_vector_create(CurrentMemoryContext, v->type, (uint32) f->nvalues);

	for (int i = 0; i < f->nvalues; i++)
	{
		LakeValue	value = f->values[i];
		int128		c;

		switch (v->layout)
		{
			case LAYOUT_BOOL:
			case LAYOUT_INT32:
			case LAYOUT_INT64:
			case LAYOUT_INT128:
				c = filter_integer(f->type, &value);
				if (v->layout == LAYOUT_INT128)
					value.u.i128 = c;
				else if (c < PG_INT64_MIN || c > PG_INT64_MAX ||
						 (v->layout != LAYOUT_INT64 && (c < PG_INT32_MIN || c > PG_INT32_MAX)) ||
						 (v->layout == LAYOUT_BOOL && (c < 0 || c > 1)))
					continue;
				else
					value.u.i64 = (int64) c;
				break;
			case LAYOUT_FLOAT:
				if (!isnan(value.u.f64) && (double) (float) value.u.f64 != value.u.f64)
					continue;
				break;
			case LAYOUT_FIXED:
				if (value.u.bytes.size != v->width)
					continue;
				break;
			default:
				break;
		}
		column_vector_append_value(list, &value);
	}
	return list;
}

/* Are row i of v and entry j of the list equal, their hashes being so? */
static bool
list_equal(const ColumnVector *v, uint32 i, const ColumnVector *list, uint32 j)
{
	LakeValue	a;
	LakeValue	b;

	if (v->layout <= LAYOUT_INT64)
		return true;			/* their hash is a permutation */
	column_vector_value(v, i, &a);
	column_vector_value(list, j, &b);
	return lake_value_compare(v->type, &a, &b) == 0;
}

/* A long list: hash both sides, probe an open table at most half full. */
void
filter_compare_list(const Filter *f, const ColumnVector *v, uint32 nrows,
					const uint64 *selection, uint64 *out)
{
	ColumnVector *list = list_vector(f, v);
	uint32		slots = pg_nextpower2_32(Max(list->length, 1) * 2);
	uint64	   *list_hashes = palloc(sizeof(uint64) * Max(list->length, 1));
	uint64	   *hashes = palloc_extended(sizeof(uint64) * Max((size_t) v->length, 1), MCXT_ALLOC_HUGE);
	uint32	   *table = palloc0(sizeof(uint32) * slots);	/* entry + 1 */

	column_vector_hash(list, list_hashes, false, 0);
	column_vector_hash(v, hashes, false, 0);
	for (uint32 j = 0; j < list->length; j++)
	{
		uint32		at = (uint32) list_hashes[j] & (slots - 1);

		while (table[at] != 0)
			at = (at + 1) & (slots - 1);
		table[at] = j + 1;
	}
	for (size_t w = 0; w < BITMAP_WORDS(nrows); w++)
	{
		uint64		word = 0;

		for (uint64 left = selection[w]; left != 0; left &= left - 1)
		{
			int			bit = pg_rightmost_one_pos64(left);
			uint32		i = (uint32) w * 64 + (uint32) bit;

			for (uint32 at = (uint32) hashes[i] & (slots - 1); table[at] != 0; at = (at + 1) & (slots - 1))
			{
				uint32		j = table[at] - 1;

				if (list_hashes[j] == hashes[i] && list_equal(v, i, list, j))
				{
					word |= UINT64CONST(1) << bit;
					break;
				}
			}
		}
		out[w] = word;
	}
	pfree(table);
	pfree(hashes);
	pfree(list_hashes);
	column_vector_free(list);
	pfree(list);
}
