/*-------------------------------------------------------------------------
 *
 * fuzz_parquet_page.c
 *	  Each decoder of Parquet's encodings over any bytes.
 *
 * The first three bytes choose the decoder, the number of values and the
 * width; the rest is the page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "parquet/decode.h"

static void
decode(int choice, uint32 n, uint32 width, const ParquetBlock *in)
{
	LakeType	binary = {.id = LAKE_BINARY};
	ColumnVector *strings = column_vector_create(CurrentMemoryContext, binary, n);
	uint64	   *valid = palloc0((BITMAP_WORDS(n) + 1) * sizeof(uint64));
	void	   *out = palloc((size_t) n * Max(width, 8) + PARQUET_PADDING);
	bool		wide = (width & 1) != 0;

	switch (choice)
	{
		case 0:
			parquet_decode_rle(in, width % 33, n, out);
			break;
		case 1:
			(void) parquet_decode_levels(in, width % 16, n, valid);
			break;
		case 2:
			(void) parquet_decode_levels_packed(in, width % 16, n, valid);
			break;
		case 3:
			parquet_decode_plain(in, width, n, out);
			break;
		case 4:
			parquet_decode_plain_bool(in, 1, n, out);
			break;
		case 5:
			parquet_decode_rle_bool(in, 1, n, out);
			break;
		case 6:
			parquet_decode_split(in, width, n, out);
			break;
		case 7:
			parquet_decode_delta(in, wide ? 8 : 4, n, out);
			break;
		case 8:
			parquet_decode_delta_fixed(in, width, n, out);
			break;
		case 9:
			parquet_decode_plain_bytes(in, n, strings);
			break;
		case 10:
			parquet_decode_delta_length(in, n, strings);
			break;
		default:
			parquet_decode_delta_bytes(in, n, strings);
	}
}

static void
decode_page(const uint8 *data, size_t size)
{
	ParquetPlace place = {.file = "fuzz", .column = "c"};
	ParquetBlock block = {.place = &place};
	uint8	   *copy;

	if (size < 3)
		return;
	copy = palloc0(size + PARQUET_PADDING);
	memcpy(copy, data + 3, size - 3);
	block.data = copy;
	block.size = size - 3;
	decode(data[0] % 12, data[1] * 5, data[2], &block);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(decode_page, data, size);
}
