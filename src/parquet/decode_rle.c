/*-------------------------------------------------------------------------
 *
 * decode_rle.c
 *	  RLE / bit-packing hybrid: dictionary codes and booleans.
 *
 * A sequence of runs, each headed by a varint: an even one is a repeated
 * value (count = header / 2, value in ceil(width / 8) bytes), an odd one is
 * header / 2 groups of eight bit-packed values.  (parquet-format,
 * Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parquet/decode.h"
#include "parquet/decode_run.h"

static inline void
fill32(uint32 *out, uint32 value, uint32 n)
{
	for (uint32 i = 0; i < n; i++)
		out[i] = value;
}

void
parquet_decode_rle(const ParquetBlock *in, uint32 width, uint32 n, uint32 *out)
{
	RleRun		run = {0};
	uint32		done = 0;

	if (width > 32)
		parquet_fail(in->place, "bit width %u", width);
	rle_begin(&run, in, width);
	while (done < n)
	{
		uint32		take;

		rle_next(&run, n - done);
		take = run.count;
		if (run.packed != NULL)
			parquet_unpack32(run.packed, width, take, out + done);
		else
			fill32(out + done, run.value, take);
		done += take;
	}
}

/*
 * Booleans as RLE: the length of the data (4 bytes) and the hybrid of width
 * 1.  Only data pages have it.
 */
void
parquet_decode_rle_bool(const ParquetBlock *in, uint32 width, uint32 n, void *out)
{
	ParquetBlock runs = *in;
	RleRun		run = {0};
	uint8	   *bools = out;
	uint32		done = 0;
	uint32		size;

	if (in->size < 4)
		parquet_fail(in->place, "%zu bytes of run-length encoded booleans", in->size);
	memcpy(&size, in->data, 4);
	if (size > in->size - 4)
		parquet_fail(in->place, "run-length encoded booleans of %u bytes exceed %zu remaining",
					 size, in->size - 4);
	runs.data += 4;
	runs.size = size;
	rle_begin(&run, &runs, 1);
	while (done < n)
	{
		rle_next(&run, n - done);
		if (run.packed != NULL)
		{
			for (uint32 i = 0; i < run.count; i++)
				bools[done + i] = (run.packed[i / 8] >> (i % 8)) & 1;
		}
		else
			memset(bools + done, (int) run.value, run.count);
		done += run.count;
	}
}
