/*-------------------------------------------------------------------------
 *
 * encoding_choice.c
 *	  How a column chunk is encoded.
 *
 * A sample of 4,096 values tells how many distinct ones the chunk has: in s
 * values drawn from D, d differ, with d = D (1 - exp(-s / D)).  A dictionary
 * is built only when that promises a gain, so that columns of keys and
 * prices cost nothing.  Where plain and dictionary are close, compressing a
 * block of the plain values decides.
 *
 * PARQUET_ENCODING_COMPACT encodes and compresses a block in each encoding
 * that the type has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/hash.h"
#include "parquet/write_internal.h"

#define SAMPLE 4096
#define SAMPLE_SLOTS (SAMPLE * 2)
#define TRIAL_VALUES 8192
#define TRIAL_BYTES (64 * 1024)
/* Text longer than this on average gains from a higher level. */
#define LONG_TEXT 10

static uint64
value_hash(const ParquetDense *d, uint32 i)
{
	uint64		x = 0;

	if (d->physical == PARQUET_BYTE_ARRAY)
		return hash_bytes64(d->bytes + d->offsets[i], d->offsets[i + 1] - d->offsets[i], 0);
	if (d->width > 8)
		return hash_bytes64(d->values + (size_t) i * d->width, d->width, 0);
	memcpy(&x, d->values + (size_t) i * d->width, d->width);
	return hash_mix64(x + 1);
}

/* Distinct values of the sample, spread evenly. */
static uint32
sample_distinct(const ParquetDense *d, uint32 samples, ParquetScratch *scratch)
{
	uint64	   *slots = parquet_buffer_scratch(&scratch->table, SAMPLE_SLOTS * sizeof(uint64));
	uint32		distinct = 0;

	memset(slots, 0, SAMPLE_SLOTS * sizeof(uint64));
	for (uint32 s = 0; s < samples; s++)
	{
		uint64		h = value_hash(d, (uint32) ((uint64) s * d->count / samples)) | 1;
		uint32		at = (uint32) (h >> 40) & (SAMPLE_SLOTS - 1);

		while (slots[at] != 0 && slots[at] != h)
			at = (at + 1) & (SAMPLE_SLOTS - 1);
		if (slots[at] == 0)
		{
			slots[at] = h;
			distinct++;
		}
	}
	return distinct;
}

/* Distinct values of the whole chunk; infinity when the sample repeats none. */
static double
estimate_distinct(const ParquetDense *d, ParquetScratch *scratch)
{
	uint32		samples = Min(d->count, SAMPLE);
	uint32		distinct = sample_distinct(d, samples, scratch);
	double		low = distinct;
	double		high = 1e9;

	if (samples == d->count)
		return distinct;
	if (distinct == samples)
		return INFINITY;
	for (int i = 0; i < 40; i++)
	{
		double		mid = sqrt(low * high);

		if (mid * -expm1(-(double) samples / mid) < distinct)
			low = mid;
		else
			high = mid;
	}
	return low * -expm1(-(double) d->count / low);
}

/* Compressed bytes a value of a block from the middle in that encoding. */
static double
trial(const ParquetDense *d, parquet_encode_fn encode, const Codec *codec, int level,
	  ParquetScratch *scratch)
{
	uint32		n = Min(d->count, TRIAL_VALUES);
	uint32		from = (d->count - n) / 2;
	size_t		size;
	void	   *out;

	while (n > 64 && parquet_dense_plain_bytes(d, from, from + n) > TRIAL_BYTES)
		n /= 2;
	scratch->page.size = 0;
	encode(d, from, from + n, &scratch->page);
	size = scratch->page.size;
	if (codec->id != CODEC_NONE)
	{
		size_t		bound = codec->bound(size);

		out = parquet_buffer_scratch(&scratch->sample, bound);
		size = codec->compress(level, scratch->page.data, size, out, bound);
	}
	scratch->page.size = 0;
	return (double) size / n;
}

static double
dictionary_bytes(const ParquetDense *d, double distinct)
{
	double		width = parquet_dense_plain_bytes(d, 0, d->count) / (double) d->count;

	return distinct * width;
}

/*
 * Is a dictionary worth building?  `plain` is the compressed size of a plain
 * value, or negative when nobody has measured it.
 */
static bool
dictionary_promising(const ParquetDense *d, const ParquetWriterOptions *options,
					 double distinct, double plain, const Codec *codec, int level,
					 ParquetScratch *scratch)
{
	double		width = parquet_dense_plain_bytes(d, 0, d->count) / (double) d->count;
	double		entries = dictionary_bytes(d, distinct);
	double		codes;
	double		ratio;

	if (!isfinite(distinct) || entries > (double) options->dictionary_bytes)
		return false;
	codes = Max(1, parquet_bit_width((uint64) Max(distinct, 1) - 1)) / 8.0;
	if (entries / d->count + codes >= width)
		return false;
	if (plain < 0)
	{
		/* far apart: no need to measure */
		if (entries / d->count + codes < width * 0.25)
			return true;
		plain = trial(d, parquet_encode_plain, codec, level, scratch);
	}
	/* entries compress about as the values do */
	ratio = plain / width;
	return codes * 0.95 + Min(ratio, 1) * entries / d->count < plain;
}

static bool
try_dictionary(ParquetPlan *plan, const ParquetColumn *column, const ParquetWriterOptions *options,
			   const ParquetDense *d, double distinct, ParquetScratch *scratch)
{
	/* some slack above the estimate, so that a bad one does not cost a whole pass */
	uint32		limit = (uint32) Min((double) d->count, distinct * 1.5 + 1024);

	if (!parquet_dictionary_build(d, column->type, limit, options->dictionary_bytes, scratch, &plan->dict))
		return false;
	plan->encoding = PARQUET_RLE_DICTIONARY;
	plan->encode = NULL;
	return true;
}

static int
plan_level(const ParquetWriterOptions *options, const Codec *codec)
{
	if (options->level >= 0)
		return options->level;
	return codec->id == CODEC_ZSTD ? 1 : codec->default_level;
}

static void
set_encoding(ParquetPlan *plan, ParquetEncoding encoding, parquet_encode_fn encode)
{
	plan->encoding = encoding;
	plan->encode = encode;
}

/* The best of the encodings without a dictionary; returns compressed bytes a value. */
static double
plan_compact(ParquetPlan *plan, const ParquetDense *d, const Codec *codec, ParquetScratch *scratch)
{
	bool		integers = d->physical == PARQUET_INT32 || d->physical == PARQUET_INT64;
	double		best = trial(d, parquet_encode_plain, codec, plan->level, scratch);
	double		size;

	if (integers && (size = trial(d, parquet_encode_delta, codec, plan->level, scratch)) < best)
	{
		best = size;
		set_encoding(plan, PARQUET_DELTA_BINARY_PACKED, parquet_encode_delta);
	}
	if (d->physical == PARQUET_BYTE_ARRAY)
	{
		size = trial(d, parquet_encode_delta_length, codec, plan->level, scratch);
		if (size < best)
		{
			best = size;
			set_encoding(plan, PARQUET_DELTA_LENGTH_BYTE_ARRAY, parquet_encode_delta_length);
		}
	}
	else
	{
		size = trial(d, parquet_encode_split, codec, plan->level, scratch);
		if (size < best)
		{
			best = size;
			set_encoding(plan, PARQUET_BYTE_STREAM_SPLIT, parquet_encode_split);
		}
	}
	return best;
}

/* A wish that the type cannot fulfil falls back to PLAIN. */
static void
plan_wish(ParquetPlan *plan, ParquetEncodingChoice wish, const ParquetDense *d)
{
	if (wish == PARQUET_ENCODING_SPLIT && d->physical != PARQUET_BYTE_ARRAY)
		set_encoding(plan, PARQUET_BYTE_STREAM_SPLIT, parquet_encode_split);
	else if (wish == PARQUET_ENCODING_DELTA && d->physical == PARQUET_BYTE_ARRAY)
		set_encoding(plan, PARQUET_DELTA_LENGTH_BYTE_ARRAY, parquet_encode_delta_length);
	else if (wish == PARQUET_ENCODING_DELTA &&
			 (d->physical == PARQUET_INT32 || d->physical == PARQUET_INT64))
		set_encoding(plan, PARQUET_DELTA_BINARY_PACKED, parquet_encode_delta);
}

void
parquet_plan(ParquetPlan *plan, const ParquetColumn *column, const ParquetWriterOptions *options,
			 const Codec *codec, const ParquetDense *d, ParquetScratch *scratch)
{
	double		distinct;
	double		plain = -1;

	memset(plan, 0, sizeof(*plan));
	set_encoding(plan, PARQUET_PLAIN, parquet_encode_plain);
	plan->level = plan_level(options, codec);
	if (d->physical == PARQUET_BOOLEAN || d->count == 0)
		return;
	if (column->encoding == PARQUET_ENCODING_AUTO || column->encoding == PARQUET_ENCODING_COMPACT)
	{
		distinct = estimate_distinct(d, scratch);
		if (column->encoding == PARQUET_ENCODING_COMPACT)
			plain = plan_compact(plan, d, codec, scratch);
		if (dictionary_promising(d, options, distinct, plain, codec, plan->level, scratch) &&
			try_dictionary(plan, column, options, d, distinct, scratch))
			return;
	}
	else
		plan_wish(plan, column->encoding, d);
	if (options->level < 0 && codec->id == CODEC_ZSTD && d->physical == PARQUET_BYTE_ARRAY &&
		parquet_dense_plain_bytes(d, 0, d->count) / d->count >= LONG_TEXT + 4)
		plan->level = 3;
}
