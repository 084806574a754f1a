/*-------------------------------------------------------------------------
 *
 * page_values.c
 *	  The values of a page, decoded to their slots of the vector.
 *
 * A vector stays in dictionary form as long as every page has codes.  At the
 * first page with plain values (a writer whose dictionary grew too large)
 * what was read so far is looked up, and the vector is plain from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/page_internal.h"

typedef void (*decode_fixed_fn) (const ParquetBlock *in, uint32 width, uint32 n, void *out);
typedef void (*decode_bytes_fn) (const ParquetBlock *in, uint32 n, ColumnVector *v);

/* Which physical types an encoding may have: bits by ParquetType. */
#define TYPE_BIT(type) (1 << (type))
#define INTEGERS (TYPE_BIT(PARQUET_INT32) | TYPE_BIT(PARQUET_INT64))
#define NUMBERS (INTEGERS | TYPE_BIT(PARQUET_FLOAT) | TYPE_BIT(PARQUET_DOUBLE))
#define FIXED TYPE_BIT(PARQUET_FIXED_LEN_BYTE_ARRAY)

/* Decoders by encoding; the booleans' differ for PLAIN. */
static const struct
{
	int			types;			/* for which `fixed` is right */
	decode_fixed_fn fixed;
	decode_bytes_fn bytes;		/* BYTE_ARRAY */
}			decoders[] = {
	[PARQUET_PLAIN] = {NUMBERS | FIXED | TYPE_BIT(PARQUET_INT96), parquet_decode_plain, parquet_decode_plain_bytes},
	[PARQUET_RLE] = {TYPE_BIT(PARQUET_BOOLEAN), parquet_decode_rle_bool, NULL},
	[PARQUET_DELTA_BINARY_PACKED] = {INTEGERS, parquet_decode_delta, NULL},
	[PARQUET_DELTA_LENGTH_BYTE_ARRAY] = {0, NULL, parquet_decode_delta_length},
	[PARQUET_DELTA_BYTE_ARRAY] = {FIXED, parquet_decode_delta_fixed, parquet_decode_delta_bytes},
	[PARQUET_BYTE_STREAM_SPLIT] = {NUMBERS | FIXED, parquet_decode_split, NULL},
};

static bool
is_dictionary_encoding(ParquetEncoding encoding)
{
	return encoding == PARQUET_RLE_DICTIONARY || encoding == PARQUET_PLAIN_DICTIONARY;
}

/* Through a buffer: values whose layout in the vector is another one. */
static void
decode_converted(ChunkReader *c, const ParquetBlock *block, decode_fixed_fn fixed,
				 decode_bytes_fn bytes, uint32 n, char *out)
{
	const ReaderLeaf *leaf = c->leaf;
	uint32		done;

	if (bytes != NULL)
	{
		LakeType	binary = {.id = LAKE_BINARY};
		ColumnVector strings;

		column_vector_init(&strings, c->reader->context, binary, n);
		bytes(block, n, &strings);
		done = reader_convert(leaf, strings.bytes, strings.offsets, n, out);
		column_vector_free(&strings);
	}
	else
	{
		void	   *values = reader_buffer_reserve(c->reader, &c->reader->values, (size_t) n * leaf->width);

		fixed(block, leaf->width, n, values);
		done = reader_convert(leaf, values, NULL, n, out);
	}
	if (done == n)
		return;
	if (leaf->conversion == CONVERT_NANOS64 || leaf->conversion == CONVERT_INT96)
		parquet_refuse(&c->place, "a timestamp is outside the range of microseconds, or not a whole number of them");
	parquet_fail(&c->place, "value %u of a page is out of range", done);
}

void
page_decode_values(ChunkReader *c, const ParquetBlock *block, ParquetEncoding encoding,
			  uint32 n, ColumnVector *to)
{
	ParquetType physical = c->leaf->physical;
	decode_fixed_fn fixed = NULL;
	decode_bytes_fn bytes = NULL;
	char	   *out;

	if ((uint32) encoding < lengthof(decoders))
	{
		if (physical == PARQUET_BYTE_ARRAY)
			bytes = decoders[encoding].bytes;
		else if (physical == PARQUET_BOOLEAN && encoding == PARQUET_PLAIN)
			fixed = parquet_decode_plain_bool;
		else if (decoders[encoding].types & TYPE_BIT(physical))
			fixed = decoders[encoding].fixed;
	}
	if (fixed == NULL && bytes == NULL)
		parquet_fail(&c->place, "page of physical type %d has encoding %d", (int) physical, (int) encoding);
	if (n == 0)
		return;
	if (c->leaf->conversion == CONVERT_NONE && bytes != NULL)
	{
		bytes(block, n, to);
		return;
	}
	out = to->values + (size_t) to->length * to->width;
	if (c->leaf->conversion == CONVERT_NONE)
		fixed(block, c->leaf->width, n, out);
	else
		decode_converted(c, block, fixed, bytes, n, out);
}

/* What is in the vector so far leaves the dictionary form. */
static void
leave_dictionary(ChunkReader *c)
{
	ColumnVector *v = c->v;
	uint32	   *codes = v->codes;
	uint32		n = v->length;

	c->coded = false;
	v->codes = NULL;
	v->dictionary = NULL;
	if (codes == NULL)
		return;
	v->length = 0;
	if (c->dictionary != NULL && c->dictionary->length > 0)
		vector_gather(v, c->dictionary, codes, n, v->null_count > 0 ? v->valid : NULL);
	else if (v->layout == LAYOUT_BYTES)
		memset(v->offsets, 0, ((size_t) n + 1) * sizeof(uint32));
	else
		memset(v->values, 0, (size_t) n * v->width);
	v->length = n;
	pfree(codes);
}

/* n codes, checked against the dictionary. */
static void
decode_codes(ChunkReader *c, const ParquetBlock *block, uint32 n, uint32 *codes)
{
	ParquetBlock runs = *block;
	uint32		max;

	if (n == 0)
		return;
	if (block->size < 1)
		parquet_fail(&c->place, "page of dictionary codes is empty");
	runs.data++;
	runs.size--;
	parquet_decode_rle(&runs, block->data[0], n, codes);
	max = codes_max(codes, n);
	if (c->dictionary == NULL || max >= c->dictionary->length)
		parquet_fail(&c->place, "dictionary code %u, but the dictionary has %u entries",
					 max, c->dictionary ? c->dictionary->length : 0);
}

static void
spread_nulls(ColumnVector *v, const Page *page)
{
	if (v->layout == LAYOUT_BYTES)
		offsets_spread(v->offsets + v->length, page->rows, page->valid, page->present);
	else
		slots_spread(v->values + (size_t) v->length * v->width, v->width,
					 page->rows, page->valid, page->present);
}

void
page_fill_slots(ChunkReader *c, const Page *page)
{
	ColumnVector *v = c->v;
	bool		coded = is_dictionary_encoding(page->header.encoding);
	uint32	   *codes;

	if (c->coded && !coded)
		leave_dictionary(c);
	if (c->coded)
	{
		v->codes = vector_codes(v, v->capacity, v->codes);
		codes = v->codes + v->length;
		decode_codes(c, &page->values, page->present, codes);
		if (page->present < page->rows)
			slots_spread(codes, sizeof(uint32), page->rows, page->valid, page->present);
		return;
	}
	if (coded)
	{
		codes = reader_buffer_reserve(c->reader, &c->reader->codes, (size_t) page->present * sizeof(uint32));
		decode_codes(c, &page->values, page->present, codes);
		vector_gather(v, c->dictionary, codes, page->present, NULL);
	}
	else
		page_decode_values(c, &page->values, page->header.encoding, page->present, v);
	if (page->present < page->rows)
		spread_nulls(v, page);
}
