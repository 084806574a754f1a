/*-------------------------------------------------------------------------
 *
 * dictionary.c
 *	  The dictionary of a column chunk: distinct values and a code for each row.
 *
 * Integers in a small range are mapped directly, which also sorts them.
 * Everything else goes through a hash table with open addressing whose slots
 * hold half of the hash and the code, so that the keys themselves are
 * touched once a hit.  Strings are compared by length, first and last eight
 * bytes, and by the rest only when longer than 16.
 *
 * The table starts small and doubles: most dictionaries are small, and
 * clearing a table of the largest size would cost more than filling it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "base/hash.h"
#include "parquet/write_internal.h"

/* Widest range of integers that is mapped directly: 4 MB of map. */
#define DIRECT_RANGE (1 << 20)
#define FIRST_SLOTS 1024
/* Larger dictionaries are left in order of appearance. */
#define SORT_ENTRIES 65536

typedef struct Entry
{
	uint64		first;			/* the integer, or the first 8 bytes */
	uint64		last;			/* the last 8 bytes */
	const char *data;
	uint32		size;			/* 0 for integers */
	uint32		code;
} Entry;

typedef struct Table
{
	uint64	   *slots;			/* hash's upper half and code + 1; 0 is free */
	uint32		nslots;
	Entry	   *entries;
	uint32		n;
	uint32		max_entries;
	uint64		bytes;
	uint64		max_bytes;
	ParquetScratch *scratch;
} Table;

static inline int64
int_at(const ParquetDense *d, uint32 i)
{
	return d->width == 4 ? ((const int32 *) d->values)[i] : ((const int64 *) d->values)[i];
}

static inline uint64
word_at(const char *p)
{
	uint64		word;

	memcpy(&word, p, 8);
	return word;
}

/* Of what lies between the first and the last eight bytes; two words hold it up to a size of 32. */
static inline uint64
middle_hash(const Entry *e)
{
	uint64		h = word_at(e->data + 8) * UINT64CONST(0x165667b19e3779f9) ^
		word_at(e->data + e->size - 16) * UINT64CONST(0x27d4eb2f165667c5);

	if (e->size > 32)
		h ^= hash_bytes64(e->data + 16, e->size - 32, 0);
	return h ^ (h >> 32);
}

static inline bool
middle_equal(const Entry *a, const Entry *b)
{
	return word_at(a->data + 8) == word_at(b->data + 8) &&
		word_at(a->data + a->size - 16) == word_at(b->data + b->size - 16) &&
		(a->size <= 32 || memcmp(a->data + 16, b->data + 16, a->size - 32) == 0);
}

/*
 * Values often differ in their last bytes alone, which are the upper ones of
 * `last`: a product carries upwards only, so it is turned round before it is
 * folded, or slots would be used in strides.
 */
static inline uint64
entry_hash(const Entry *e)
{
	uint64		h = e->first * UINT64CONST(0x9e3779b97f4a7c15);
	uint64		l = e->last * UINT64CONST(0xc2b2ae3d27d4eb4f);

	h ^= (l << 32 | l >> 32) ^ e->size;
	if (e->size > 16)
		h ^= middle_hash(e);
	h ^= h >> 32;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	return h ^ (h >> 29);
}

static inline bool
entry_equal(const Entry *a, const Entry *b)
{
	return a->first == b->first && a->last == b->last && a->size == b->size &&
		(a->size <= 16 || middle_equal(a, b));
}

static void
string_entry(Entry *e, const char *data, uint32 size)
{
	e->data = data;
	e->size = size;
	memcpy(&e->first, data, 8); /* 64 readable bytes follow every value */
	if (size >= 8)
		memcpy(&e->last, data + size - 8, 8);
	else
	{
#ifdef WORDS_BIGENDIAN
		e->first &= size == 0 ? 0 : ~UINT64CONST(0) << (64 - 8 * size);
#else
		e->first &= (UINT64CONST(1) << (8 * size)) - 1;
#endif
		e->last = 0;
	}
}

static void
table_grow(Table *t)
{
	uint32		nslots = t->nslots * 2;

	t->slots = parquet_buffer_scratch(&t->scratch->table, (size_t) nslots * sizeof(uint64));
	memset(t->slots, 0, (size_t) nslots * sizeof(uint64));
	t->nslots = nslots;
	for (uint32 i = 0; i < t->n; i++)
	{
		uint64		h = entry_hash(&t->entries[i]);
		uint32		at = (uint32) h & (nslots - 1);

		while (t->slots[at] != 0)
			at = (at + 1) & (nslots - 1);
		t->slots[at] = (h & ~UINT64CONST(0xffffffff)) | (i + 1);
	}
	t->scratch->order.size = (size_t) t->n * sizeof(Entry);
	parquet_buffer_room(&t->scratch->order, (size_t) nslots / 2 * sizeof(Entry));
	t->entries = (Entry *) t->scratch->order.data;
}

/* The code of a value, or -1 when the dictionary would grow too large. */
static inline int64
table_code(Table *t, Entry *key, uint32 entry_bytes)
{
	uint64		h = entry_hash(key);
	uint32		at = (uint32) h & (t->nslots - 1);

	for (;;)
	{
		uint64		slot = t->slots[at];

		if (slot == 0)
			break;
		if (((slot ^ h) >> 32) == 0 && entry_equal(&t->entries[(uint32) slot - 1], key))
			return (int64) (uint32) slot - 1;
		at = (at + 1) & (t->nslots - 1);
	}
	t->bytes += entry_bytes;
	if (t->n >= t->max_entries || t->bytes > t->max_bytes)
		return -1;
	key->code = t->n;
	t->entries[t->n] = *key;
	t->slots[at] = (h & ~UINT64CONST(0xffffffff)) | (t->n + 1);
	if (++t->n * 2 > t->nslots)
		table_grow(t);
	return t->n - 1;
}

static bool
hash_codes(Table *t, const ParquetDense *d, uint32 *codes)
{
	bool		integers = d->width == 4 || d->width == 8;
	bool		fixed = d->physical == PARQUET_FIXED_LEN_BYTE_ARRAY;
	Entry		key = {0};

	for (uint32 i = 0; i < d->count; i++)
	{
		int64		code;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (integers && !fixed)
		{
			key.first = (uint64) int_at(d, i);
			code = table_code(t, &key, d->width);
		}
		else
		{
			if (fixed)
				string_entry(&key, d->values + (size_t) i * d->width, d->width);
			else
				string_entry(&key, d->bytes + d->offsets[i], d->offsets[i + 1] - d->offsets[i]);
			code = table_code(t, &key, key.size + 4);
		}
		if (code < 0)
			return false;
		codes[i] = (uint32) code;
	}
	return true;
}

static int
compare_integers(const void *a, const void *b)
{
	int64		x = (int64) ((const Entry *) a)->first;
	int64		y = (int64) ((const Entry *) b)->first;

	return (x > y) - (x < y);
}

static int
compare_strings(const void *a, const void *b)
{
	const Entry *x = a;
	const Entry *y = b;
	int			c = memcmp(x->data, y->data, Min(x->size, y->size));

	return c != 0 ? c : (x->size > y->size) - (x->size < y->size);
}

/* Entries in order, and the codes to match. */
static void
sort_entries(Table *t, bool integers, uint32 *codes, uint32 ncodes)
{
	uint32	   *rank = parquet_buffer_scratch(&t->scratch->table, (size_t) t->n * sizeof(uint32));

	qsort(t->entries, t->n, sizeof(Entry), integers ? compare_integers : compare_strings);
	for (uint32 i = 0; i < t->n; i++)
		rank[t->entries[i].code] = i;
	for (uint32 i = 0; i < ncodes; i++)
		codes[i] = rank[codes[i]];
}

static void
emit_entries(const Table *t, const ParquetDense *d, ParquetDense *entries)
{
	ParquetScratch *scratch = t->scratch;
	ParquetBuffer *out = &scratch->entries;

	parquet_buffer_scratch(out, t->bytes);
	if (d->physical == PARQUET_BYTE_ARRAY)
	{
		uint32	   *offsets = parquet_buffer_scratch(&scratch->entry_offsets,
													 ((size_t) t->n + 1) * sizeof(uint32));

		offsets[0] = 0;
		for (uint32 i = 0; i < t->n; i++)
		{
			parquet_buffer_append(out, t->entries[i].data, t->entries[i].size);
			offsets[i + 1] = (uint32) out->size;
		}
		entries->offsets = offsets;
		entries->bytes = out->data;
		return;
	}
	for (uint32 i = 0; i < t->n; i++)
	{
		int32		narrow = (int32) t->entries[i].first;

		if (d->physical == PARQUET_FIXED_LEN_BYTE_ARRAY)
			parquet_buffer_append(out, t->entries[i].data, d->width);
		else if (d->width == 4)
			parquet_buffer_append(out, &narrow, 4);
		else
			parquet_buffer_append(out, &t->entries[i].first, 8);
	}
	entries->values = out->data;
}

/* Which values occur, then their rank: two passes without a branch. */
static bool
direct_build(const ParquetDense *d, int64 min, uint64 range, uint32 max_entries,
			 ParquetScratch *scratch, ParquetDictionary *dict)
{
	uint32	   *map = parquet_buffer_scratch(&scratch->table, (range + 1) * sizeof(uint32));
	char	   *values;
	uint32		n = 0;

	memset(map, 0, (range + 1) * sizeof(uint32));
	for (uint32 i = 0; i < d->count; i++)
		map[(uint64) int_at(d, i) - (uint64) min] = 1;
	for (uint64 k = 0; k <= range; k++)
		n += map[k];
	if (n > max_entries)
		return false;
	values = parquet_buffer_scratch(&scratch->entries, (size_t) n * d->width);
	n = 0;
	for (uint64 k = 0; k <= range; k++)
	{
		int64		value = (int64) ((uint64) min + k);
		int32		narrow = (int32) value;

		if (map[k] == 0)
			continue;
		memcpy(values + (size_t) n * d->width, d->width == 4 ? (void *) &narrow : (void *) &value, d->width);
		map[k] = n++;
	}
	for (uint32 i = 0; i < d->count; i++)
		dict->codes[i] = map[(uint64) int_at(d, i) - (uint64) min];
	dict->entries.values = values;
	dict->entries.count = n;
	dict->sorted = true;
	return true;
}

bool
parquet_dictionary_build(const ParquetDense *d, LakeType type, uint32 max_entries, uint64 max_bytes,
						 ParquetScratch *scratch, ParquetDictionary *dict)
{
	bool		integers = d->physical == PARQUET_INT32 || d->physical == PARQUET_INT64;
	Table		t = {0};
	bool		done = false;

	dict->codes = parquet_buffer_scratch(&scratch->codes, (size_t) d->count * sizeof(uint32));
	dict->entries = *d;
	dict->entries.wide = NULL;
	dict->sorted = false;
	if (integers)
	{
		ParquetRange r;
		uint64		range;

		parquet_range_values(&r, type, d, 0, d->count);
		range = (uint64) r.upper.u.i64 - (uint64) r.lower.u.i64;
		if (d->count > 0 && range < DIRECT_RANGE && range / 16 <= d->count)
		{
			if (!direct_build(d, r.lower.u.i64, range, Min(max_entries, max_bytes / d->width),
							  scratch, dict))
				return false;
			done = true;
		}
	}
	if (!done)
	{
		t.scratch = scratch;
		t.max_entries = max_entries;
		t.max_bytes = max_bytes;
		t.nslots = FIRST_SLOTS / 2;
		table_grow(&t);
		if (!hash_codes(&t, d, dict->codes))
			return false;
		/* floats have no order by their bits, and wide decimals are bytes here */
		if (t.n <= SORT_ENTRIES && d->wide == NULL &&
			d->physical != PARQUET_FLOAT && d->physical != PARQUET_DOUBLE)
		{
			sort_entries(&t, integers, dict->codes, d->count);
			dict->sorted = true;
		}
		emit_entries(&t, d, &dict->entries);
		dict->entries.count = t.n;
	}
	/* some readers refuse codes of no bits */
	dict->bit_width = Max(1, parquet_bit_width(dict->entries.count - 1));
	return true;
}
