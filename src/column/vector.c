/*-------------------------------------------------------------------------
 *
 * vector.c
 *	  ColumnVectors: memory, and single values.
 *
 * Arrays are allocated with COLUMN_PADDING bytes to spare, so that loops may
 * read and write in whole blocks.  `valid` has bits for `capacity` rows, all
 * zero past `length`, which lets appends of values set and appends of nulls
 * skip.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "column/vector.h"
#include "utils/memutils.h"

#define MIN_CAPACITY 64
#define MIN_BYTES 1024

static void *
allocate(const ColumnVector *v, size_t size)
{
	return MemoryContextAllocHuge(v->context, size + COLUMN_PADDING);
}

/* Grows an array to `size`, padding apart.  NULL is an array of none. */
static void *
grow_array(const ColumnVector *v, void *array, size_t size)
{
	if (array == NULL)
		return allocate(v, size);
	return repalloc_huge(array, size + COLUMN_PADDING);
}

void
column_vector_init(ColumnVector *v, MemoryContext context, LakeType type, uint32 capacity)
{
	memset(v, 0, sizeof(*v));
	v->type = type;
	v->layout = lake_type_layout(type);
	v->width = lake_type_width(type);
	v->context = context;
	/* offsets[0] must be there even for no rows, so that appends need no check */
	column_vector_reserve(v, Max(capacity, MIN_CAPACITY));
}

ColumnVector *
column_vector_create(MemoryContext context, LakeType type, uint32 capacity)
{
	ColumnVector *v = MemoryContextAlloc(context, sizeof(ColumnVector));

	column_vector_init(v, context, type, capacity);
	return v;
}

static void
free_array(void *array)
{
	if (array)
		pfree(array);
}

void
column_vector_free(ColumnVector *v)
{
	free_array(v->valid);
	free_array(v->values);
	free_array(v->offsets);
	free_array(v->bytes);
	free_array(v->codes);
	if (v->dictionary)
	{
		column_vector_free(v->dictionary);
		pfree(v->dictionary);
	}
	v->valid = NULL;
	v->values = NULL;
	v->offsets = NULL;
	v->bytes = NULL;
	v->codes = NULL;
	v->dictionary = NULL;
	v->length = 0;
	v->capacity = 0;
	v->null_count = 0;
	v->bytes_capacity = 0;
}

void
column_vector_reset(ColumnVector *v)
{
	/* the codes go: a vector that is filled anew is plain until somebody says otherwise */
	free_array(v->codes);
	if (v->dictionary)
	{
		column_vector_free(v->dictionary);
		pfree(v->dictionary);
	}
	v->codes = NULL;
	v->dictionary = NULL;
	v->length = 0;
	v->null_count = 0;
	if (v->offsets)
		v->offsets[0] = 0;
}

void
column_vector_reserve(ColumnVector *v, uint32 rows)
{
	uint32		capacity;

	if (rows <= v->capacity && v->capacity > 0)
		return;
	/* whole words of the bitmap */
	capacity = (uint32) Min((BITMAP_WORDS(rows)) * 64, (size_t) PG_UINT32_MAX - 63);
	if (capacity < rows)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot hold %u rows in one batch", rows)));
	if (v->layout == LAYOUT_BYTES)
	{
		bool		fresh = v->offsets == NULL;

		v->offsets = grow_array(v, v->offsets, ((size_t) capacity + 1) * sizeof(uint32));
		if (fresh)
			v->offsets[0] = 0;
		if (v->bytes == NULL)
		{
			v->bytes = allocate(v, MIN_BYTES);
			v->bytes_capacity = MIN_BYTES;
		}
	}
	else
		v->values = grow_array(v, v->values, (size_t) capacity * v->width);
	if (v->valid)
	{
		size_t		used = BITMAP_WORDS(v->capacity);
		size_t		words = BITMAP_WORDS(capacity);

		v->valid = grow_array(v, v->valid, words * sizeof(uint64));
		memset(v->valid + used, 0, (words - used) * sizeof(uint64));
	}
	v->capacity = capacity;
}

void
column_vector_grow(ColumnVector *v)
{
	uint64		wanted = Max((uint64) v->capacity * 2, MIN_CAPACITY);

	if (wanted > PG_UINT32_MAX - 63)
		wanted = (uint64) v->length + 1;
	column_vector_reserve(v, (uint32) Min(wanted, PG_UINT32_MAX));
}

void
column_vector_reserve_bytes(ColumnVector *v, uint64 more)
{
	uint64		used = v->offsets[v->length];
	uint64		capacity;

	if (more > COLUMN_MAX_BYTES - used)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot hold " UINT64_FORMAT " bytes of one column in one batch", used + more),
				 errdetail("The limit is " UINT64_FORMAT " bytes.", COLUMN_MAX_BYTES)));
	if (used + more <= v->bytes_capacity)
		return;
	capacity = Max(Max(v->bytes_capacity * 2, MIN_BYTES), used + more);
	capacity = Min(capacity, COLUMN_MAX_BYTES);
	v->bytes = grow_array(v, v->bytes, capacity);
	v->bytes_capacity = capacity;
}

size_t
column_vector_bytes(const ColumnVector *v)
{
	size_t		total = 0;

	if (v->values)
		total += (size_t) v->capacity * v->width;
	if (v->offsets)
		total += ((size_t) v->capacity + 1) * sizeof(uint32);
	if (v->bytes)
		total += v->bytes_capacity;
	if (v->valid)
		total += BITMAP_WORDS(v->capacity) * sizeof(uint64);
	if (v->codes)
		total += (size_t) v->length * sizeof(uint32);
	if (v->dictionary)
		total += column_vector_bytes(v->dictionary);
	return total;
}

void
column_vector_start_valid(ColumnVector *v)
{
	size_t		words = BITMAP_WORDS(v->capacity);

	if (v->valid == NULL)
		v->valid = allocate(v, words * sizeof(uint64));
	memset(v->valid, 0, words * sizeof(uint64));
	bitmap_fill(v->valid, v->length);
}

void
column_append_null(ColumnVector *v)
{
	if (v->length == v->capacity)
		column_vector_grow(v);
	if (v->null_count == 0)
		column_vector_start_valid(v);
	/* an append of a value that failed may have left the bit set */
	bitmap_unset(v->valid, v->length);
	v->null_count++;
	if (v->layout == LAYOUT_BYTES)
		v->offsets[v->length + 1] = v->offsets[v->length];
	else
		memset(v->values + (size_t) v->length * v->width, 0, v->width);
	v->length++;
}

void
column_vector_value(const ColumnVector *v, uint32 i, LakeValue *value)
{
	memset(value, 0, sizeof(*value));
	if (column_vector_isnull(v, i))
	{
		value->isnull = true;
		return;
	}
	if (v->codes)
	{
		column_vector_value(v->dictionary, v->codes[i], value);
		return;
	}
	switch (v->layout)
	{
		case LAYOUT_BOOL:
			value->u.i64 = ((const uint8 *) v->values)[i];
			break;
		case LAYOUT_INT32:
			value->u.i64 = ((const int32 *) v->values)[i];
			break;
		case LAYOUT_INT64:
			value->u.i64 = ((const int64 *) v->values)[i];
			break;
		case LAYOUT_INT128:
			memcpy(&value->u.i128, v->values + (size_t) i * sizeof(int128), sizeof(int128));
			break;
		case LAYOUT_FLOAT:
			value->u.f64 = ((const float *) v->values)[i];
			break;
		case LAYOUT_DOUBLE:
			value->u.f64 = ((const double *) v->values)[i];
			break;
		case LAYOUT_FIXED:
			value->u.bytes.data = v->values + (size_t) i * v->width;
			value->u.bytes.size = v->width;
			break;
		case LAYOUT_BYTES:
			value->u.bytes.data = v->bytes + v->offsets[i];
			value->u.bytes.size = v->offsets[i + 1] - v->offsets[i];
			break;
	}
}

void
column_vector_append_value(ColumnVector *v, const LakeValue *value)
{
	if (value->isnull)
	{
		column_append_null(v);
		return;
	}
	switch (v->layout)
	{
		case LAYOUT_BOOL:
			column_append_bool(v, value->u.i64 != 0);
			break;
		case LAYOUT_INT32:
			column_append_int32(v, (int32) value->u.i64);
			break;
		case LAYOUT_INT64:
			column_append_int64(v, value->u.i64);
			break;
		case LAYOUT_INT128:
			column_append_int128(v, value->u.i128);
			break;
		case LAYOUT_FLOAT:
			column_append_float(v, (float) value->u.f64);
			break;
		case LAYOUT_DOUBLE:
			column_append_double(v, value->u.f64);
			break;
		case LAYOUT_FIXED:
			column_append_fixed(v, value->u.bytes.data);
			break;
		case LAYOUT_BYTES:
			/* an empty value may have no address, which memcpy must not see */
			column_append_bytes(v, value->u.bytes.size > 0 ? value->u.bytes.data : "",
								value->u.bytes.size);
			break;
	}
}
