/*-------------------------------------------------------------------------
 *
 * bounds_read.c
 *	  Statistics of a column chunk, in the leaf's type.
 *
 * Statistics may only ever lose a row group that has no match, so what
 * cannot be trusted is left out, not reported: bounds of another size than
 * the type's, NaN, min above max, min_value and max_value where the file does
 * not declare the column's order, and the deprecated min and max but for
 * signed integers (writers disagreed on the order of everything else).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "parquet/reader_internal.h"

/* Nanoseconds to microseconds, outwards: a bound need not be exact. */
static int64
nanos_to_micros(int64 nanos, bool upper)
{
	int64		micros = nanos / 1000;
	int64		rest = nanos % 1000;

	if (rest < 0 && !upper)
		micros--;
	else if (rest > 0 && upper)
		micros++;
	return micros;
}

/* A bound whose form in the file differs from the vector's. */
static bool
convert_bound(const ReaderLeaf *leaf, const ParquetBytes *b, bool upper, LakeValue *value)
{
	uint32		offsets[2] = {0, b->size};
	bool		variable = (leaf->physical == PARQUET_BYTE_ARRAY);
	union
	{
		int64		i64;
		char		bytes[16];
	}			in = {0},
				out;

	if (leaf->conversion == CONVERT_INT96)
		return false;			/* its order was never defined */
	if (leaf->conversion == CONVERT_NANOS64)
	{
		memcpy(&out.i64, b->data, sizeof(int64));
		value->u.i64 = nanos_to_micros(out.i64, upper);
		return true;
	}
	if (b->size <= sizeof(in))
		memcpy(in.bytes, b->data, b->size);	/* aligned for the integer conversions */
	if (reader_convert(leaf, b->size <= sizeof(in) ? in.bytes : b->data,
					   variable ? offsets : NULL, 1, out.bytes) != 1)
		return false;
	if (leaf->conversion == CONVERT_BIG_ENDIAN_128)
		memcpy(&value->u.i128, out.bytes, sizeof(int128));
	else
		value->u.i64 = out.i64;
	return true;
}

static bool
decode_bound(const ReaderLeaf *leaf, const ParquetBytes *b, bool upper, LakeValue *value)
{
	int32		i32;
	float		f32;

	memset(value, 0, sizeof(*value));
	if (b->data == NULL || (leaf->width != 0 && b->size != leaf->width))
		return false;
	if (leaf->conversion != CONVERT_NONE)
		return convert_bound(leaf, b, upper, value);
	switch (lake_type_layout(leaf->pub.type))
	{
		case LAYOUT_BOOL:
			value->u.i64 = (b->data[0] != 0);
			return true;
		case LAYOUT_INT32:
			memcpy(&i32, b->data, 4);
			value->u.i64 = i32;
			return true;
		case LAYOUT_INT64:
			memcpy(&value->u.i64, b->data, 8);
			return true;
		case LAYOUT_FLOAT:
			memcpy(&f32, b->data, 4);
			value->u.f64 = f32;
			return !isnan(f32);
		case LAYOUT_DOUBLE:
			memcpy(&value->u.f64, b->data, 8);
			return !isnan(value->u.f64);
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			value->u.bytes.data = b->data;
			value->u.bytes.size = b->size;
			return true;
		case LAYOUT_INT128:
			break;				/* always converted */
	}
	return false;
}

bool
reader_decode_bounds(const ReaderLeaf *leaf, const ParquetBytes *min, const ParquetBytes *max,
					 LakeValue *lower, LakeValue *upper)
{
	if (!leaf->pub.supported ||
		!decode_bound(leaf, min, false, lower) ||
		!decode_bound(leaf, max, true, upper))
		return false;
	return lake_value_compare(leaf->pub.type, lower, upper) <= 0;
}

void
parquet_reader_bounds(ParquetReader *r, int group, int leaf, ParquetBounds *bounds)
{
	const ReaderLeaf *l = &r->leaves[leaf];
	const ParquetStatistics *s;
	bool		signed_int;
	uint64		start;
	const ParquetColumnMetaData *m = reader_chunk(r, group, leaf, &start);

	memset(bounds, 0, sizeof(*bounds));
	bounds->null_count = -1;
	bounds->value_count = m->num_values;
	if (!m->has_statistics)
		return;
	s = &m->statistics;
	if (s->null_count >= 0 && s->null_count <= m->num_values)
		bounds->null_count = s->null_count;
	else if (l->max_level == 0)
		bounds->null_count = 0;
	signed_int = !l->is_unsigned && (l->physical == PARQUET_INT32 || l->physical == PARQUET_INT64);
	if (l->ordered && s->min_value.data != NULL && s->max_value.data != NULL)
		bounds->has_bounds = reader_decode_bounds(l, &s->min_value, &s->max_value,
												  &bounds->lower, &bounds->upper);
	else if (signed_int && s->min.data != NULL && s->max.data != NULL)
		bounds->has_bounds = reader_decode_bounds(l, &s->min, &s->max,
												  &bounds->lower, &bounds->upper);
	if (s->has_exact)
		bounds->exact = s->is_min_value_exact && s->is_max_value_exact;
	else
		bounds->exact = (l->physical != PARQUET_BYTE_ARRAY &&
						 l->physical != PARQUET_FIXED_LEN_BYTE_ARRAY &&
						 l->conversion != CONVERT_NANOS64);
}
