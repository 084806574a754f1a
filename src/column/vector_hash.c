/*-------------------------------------------------------------------------
 *
 * vector_hash.c
 *	  Hashes of the rows of a ColumnVector.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/hash.h"
#include "column/vector.h"

/* What a null hashes as, before the seed: some constant. */
#define NULL_HASH UINT64CONST(0x7461726e6e756c6c)

static inline uint64
hash_float(double value, uint64 seed)
{
	uint64		bits;

	if (value == 0)
		value = 0;				/* -0 is +0 */
	else if (value != value)
		value = __builtin_nan("");	/* one NaN for all */
	memcpy(&bits, &value, sizeof(bits));
	return hash_mix64(bits ^ seed);
}

/* Hash of a value of a plain vector.  Always inlined into a loop whose layout is a constant. */
static pg_attribute_always_inline uint64
hash_slot(const ColumnVector *v, ColumnLayout layout, uint32 i, uint64 seed)
{
	switch (layout)
	{
		case LAYOUT_BOOL:
			return hash_mix64(((const uint8 *) v->values)[i] ^ seed);
		case LAYOUT_INT32:
			return hash_mix64((uint64) (int64) ((const int32 *) v->values)[i] ^ seed);
		case LAYOUT_INT64:
			return hash_mix64((uint64) ((const int64 *) v->values)[i] ^ seed);
		case LAYOUT_FLOAT:
			return hash_float(((const float *) v->values)[i], seed);
		case LAYOUT_DOUBLE:
			return hash_float(((const double *) v->values)[i], seed);
		case LAYOUT_INT128:
		case LAYOUT_FIXED:
			return hash_bytes64(v->values + (size_t) i * v->width, v->width, seed);
		case LAYOUT_BYTES:
			return hash_bytes64(v->bytes + v->offsets[i], v->offsets[i + 1] - v->offsets[i], seed);
	}
	pg_unreachable();
}

static pg_attribute_always_inline void
hash_rows(const ColumnVector *v, ColumnLayout layout, uint64 *hashes, bool combine, uint64 seed)
{
	const ColumnVector *plain = v->codes ? v->dictionary : v;

	for (uint32 i = 0; i < v->length; i++)
	{
		uint64		h;

		if (column_vector_isnull(v, i))
			h = hash_mix64(NULL_HASH ^ seed);
		else
			h = hash_slot(plain, layout, v->codes ? v->codes[i] : i, seed);
		hashes[i] = combine ? hash_combine64(hashes[i], h) : h;
	}
}

void
column_vector_hash(const ColumnVector *v, uint64 *hashes, bool combine, uint64 seed)
{
#define HASH_LAYOUT(layout) \
	case layout: \
		hash_rows(v, layout, hashes, combine, seed); \
		break

	switch (v->layout)
	{
			HASH_LAYOUT(LAYOUT_BOOL);
			HASH_LAYOUT(LAYOUT_INT32);
			HASH_LAYOUT(LAYOUT_INT64);
			HASH_LAYOUT(LAYOUT_INT128);
			HASH_LAYOUT(LAYOUT_FLOAT);
			HASH_LAYOUT(LAYOUT_DOUBLE);
			HASH_LAYOUT(LAYOUT_FIXED);
			HASH_LAYOUT(LAYOUT_BYTES);
	}
#undef HASH_LAYOUT
}
