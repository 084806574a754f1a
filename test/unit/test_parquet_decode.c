/*-------------------------------------------------------------------------
 *
 * test_parquet_decode.c
 *	  Each decoder: what a plain encoder wrote, a wrong size, garbage.
 *
 * The encoders here are the specification's words turned into the simplest
 * code; they share nothing with the writer's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "parquet/decode.h"
#include "tap.h"

static uint64 state = 7;
static const ParquetPlace place = {.file = "f.parquet", .column = "c", .group = 2, .offset = 99};

static ParquetBlock
block_of(StringInfo s)
{
	ParquetBlock block = {.place = &place};
	uint8	   *copy = palloc0((size_t) s->len + PARQUET_PADDING);

	memcpy(copy, s->data, (size_t) s->len);
	block.data = copy;
	block.size = (size_t) s->len;
	return block;
}

static void
put_varint(StringInfo s, uint64 v)
{
	for (; v >= 0x80; v >>= 7)
		appendStringInfoChar(s, (char) (v | 0x80));
	appendStringInfoChar(s, (char) v);
}

static void
put_zigzag(StringInfo s, uint64 v)
{
	put_varint(s, (v << 1) ^ (uint64) ((int64) v >> 63));
}

/* n values of `width` bits, lowest first, padded to a byte. */
static void
put_packed(StringInfo s, const uint64 *values, uint32 n, uint32 width)
{
	uint32		total = n * width;
	char	   *bytes = palloc0(total / 8 + 1);

	for (uint32 bit = 0; bit < total; bit++)
	{
		if ((values[bit / width] >> (bit % width)) & 1)
			bytes[bit / 8] |= (char) (1 << (bit % 8));
	}
	appendBinaryStringInfo(s, bytes, (int) ((total + 7) / 8));
}

static uint64
random_bits(uint32 width)
{
	return width == 0 ? 0 : tap_random(&state) >> (64 - width);
}

static void
test_unpack(void)
{
	uint64		values[120];
	uint32		out32[120 + 16];
	uint64		out64[120 + 8];
	int			wrong = 0;

	for (uint32 width = 0; width <= 64; width++)
	{
		StringInfo	s = makeStringInfo();
		ParquetBlock block;

		for (uint32 i = 0; i < 120; i++)
			values[i] = random_bits(width);
		if (width > 0)
			put_packed(s, values, 120, width);
		block = block_of(s);
		parquet_unpack64(block.data, width, 120, out64);
		for (uint32 i = 0; i < 120; i++)
			wrong += out64[i] != values[i];
		for (uint32 n = 8; n <= 120 && width <= 32; n += 56)
		{
			parquet_unpack32(block.data, width, n, out32);
			for (uint32 i = 0; i < n; i++)
				wrong += out32[i] != values[i];
		}
	}
	is_int(wrong, 0, "bit-packed values of widths 0 to 64");
}

/* Runs of both kinds, of random lengths. */
static uint32
put_hybrid(StringInfo s, uint64 *values, uint32 width, uint64 limit)
{
	uint32		n = 0;

	for (int run = 0; run < 12; run++)
	{
		if (tap_random(&state) % 2)
		{
			uint32		count = 1 + (uint32) (tap_random(&state) % 90);
			uint64		value = random_bits(width) % limit;

			put_varint(s, (uint64) count << 1);
			appendBinaryStringInfo(s, (char *) &value, (int) ((width + 7) / 8));
			for (uint32 i = 0; i < count; i++)
				values[n++] = value;
		}
		else
		{
			uint32		groups = 1 + (uint32) (tap_random(&state) % 10);

			put_varint(s, groups << 1 | 1);
			for (uint32 i = 0; i < groups * 8; i++)
				values[n + i] = random_bits(width) % limit;
			if (width > 0)
				put_packed(s, values + n, groups * 8, width);
			n += groups * 8;
		}
	}
	return n;
}

static void
test_rle(void)
{
	uint64		values[1200];
	uint32		out[1200 + 16];
	int			wrong = 0;
	ParquetBlock block;
	StringInfo	s;

	for (uint32 width = 0; width <= 32; width++)
	{
		uint32		n;

		s = makeStringInfo();
		n = put_hybrid(s, values, width, PG_UINT64_MAX);
		block = block_of(s);
		parquet_decode_rle(&block, width, n, out);
		for (uint32 i = 0; i < n; i++)
			wrong += out[i] != values[i];
	}
	is_int(wrong, 0, "run-length encoded values of widths 0 to 32");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle(&block, 32, 1200, out), "end early", "runs that end early");
	block.size = 1;
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle(&block, 32, 8, out), "row group 2, offset 99", "a run cut short");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle(&block, 33, 8, out), "bit width 33", "a width of 33 bits");
	s = makeStringInfo();
	put_varint(s, 0);
	block = block_of(s);
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle(&block, 0, 1, out), "run of no values", "an empty run");
	s = makeStringInfo();
	appendStringInfoString(s, "\xff\xff\xff\xff\xff\xff");
	block = block_of(s);
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle(&block, 0, 1, out), "out of range", "a run header of 36 bits");
}

static void
test_levels(void)
{
	uint64		levels[1200];
	uint64		valid[20];
	int			wrong = 0;
	ParquetBlock block;
	StringInfo	s;

	for (uint32 max = 1; max <= 6; max++)
	{
		uint32		width = max == 1 ? 1 : max < 4 ? 2 : 3;
		uint32		present = 0;
		uint32		n;

		s = makeStringInfo();
		n = put_hybrid(s, levels, width, max + 1);
		block = block_of(s);
		memset(valid, 0, sizeof(valid));
		for (uint32 i = 0; i < n; i++)
			present += levels[i] == max;
		wrong += parquet_decode_levels(&block, max, n, valid) != present;
		for (uint32 i = 0; i < n && present < n; i++)
			wrong += bitmap_get(valid, i) != (levels[i] == max);
	}
	is_int(wrong, 0, "levels up to 6");
	s = makeStringInfo();
	put_varint(s, 500 << 1);
	appendStringInfoChar(s, 1);
	block = block_of(s);
	is_int(parquet_decode_levels(&block, 1, 500, valid), 500, "a page without nulls");
	s = makeStringInfo();
	appendStringInfoString(s, "\xa0\x80");	/* 1010 0000 1 */
	block = block_of(s);
	memset(valid, 0, sizeof(valid));
	is_int(parquet_decode_levels_packed(&block, 1, 9, valid), 3, "BIT_PACKED levels");
	is_int(valid[0], 0x105, "BIT_PACKED levels, highest bit first");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_levels_packed(&block, 1, 17, valid), "exceed", "too few BIT_PACKED levels");
}

static void
test_copy_bits(void)
{
	uint64		from[6];
	int			wrong = 0;

	for (int i = 0; i < 6; i++)
		from[i] = tap_random(&state);
	for (int round = 0; round < 2000; round++)
	{
		uint64		to[6];
		uint64		wanted[6];
		size_t		n = tap_random(&state) % 200;
		size_t		at = tap_random(&state) % 130;
		size_t		source = tap_random(&state) % 100;

		for (int i = 0; i < 6; i++)
			to[i] = wanted[i] = tap_random(&state);
		for (size_t i = 0; i < n; i++)
		{
			if (bitmap_get(from, source + i))
				bitmap_set(wanted, at + i);
			else
				bitmap_unset(wanted, at + i);
		}
		parquet_copy_bits(to, at, from, source, n);
		wrong += memcmp(to, wanted, sizeof(to)) != 0;
	}
	is_int(wrong, 0, "bits copied from and to any place");
}

/* DELTA_BINARY_PACKED in blocks of 128 values, 4 miniblocks. */
static void
put_delta(StringInfo s, const uint64 *values, uint32 n)
{
	put_varint(s, 128);
	put_varint(s, 4);
	put_varint(s, n);
	put_zigzag(s, n > 0 ? values[0] : 0);
	for (uint32 at = 1; at < n; at += 128)
	{
		uint64		deltas[128] = {0};
		uint32		count = Min(128, n - at);
		int64		least = PG_INT64_MAX;
		char		widths[4] = {0};

		for (uint32 i = 0; i < count; i++)
			least = Min(least, (int64) (values[at + i] - values[at + i - 1]));
		for (uint32 i = 0; i < count; i++)
		{
			deltas[i] = values[at + i] - values[at + i - 1] - (uint64) least;
			while (widths[i / 32] < 64 && deltas[i] >> widths[i / 32] != 0)
				widths[i / 32]++;
		}
		put_zigzag(s, (uint64) least);
		appendBinaryStringInfo(s, widths, 4);
		for (uint32 m = 0; m < 4 && m * 32 < count; m++)
		{
			if (widths[m] > 0)
				put_packed(s, deltas + m * 32, 32, (uint32) widths[m]);
		}
	}
}

static void
test_delta(void)
{
	uint64		values[700];
	uint64		out64[700 + 8];
	uint32		out32[700 + 16];
	int			wrong = 0;
	ParquetBlock block;
	StringInfo	s;

	for (uint32 width = 0; width < 64; width++)
	{
		uint32		n = (uint32) (tap_random(&state) % 700);

		s = makeStringInfo();
		for (uint32 i = 0; i < n; i++)
			values[i] = random_bits(width) - (width > 1 ? UINT64CONST(1) << (width - 1) : 0);
		put_delta(s, values, n);
		block = block_of(s);
		parquet_decode_delta(&block, 8, n, out64);
		for (uint32 i = 0; i < n; i++)
			wrong += out64[i] != values[i];
		if (width > 30)
			continue;
		parquet_decode_delta(&block, 4, n, out32);
		for (uint32 i = 0; i < n; i++)
			wrong += out32[i] != (uint32) values[i];
	}
	is_int(wrong, 0, "DELTA_BINARY_PACKED of widths 0 to 63");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_delta(&block, 8, 701, out64), "instead of 701", "another count of deltas");
	block.size = 3;
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_delta(&block, 8, 700, out64), "end early", "deltas cut short");
	s = makeStringInfo();
	put_varint(s, 100);
	put_varint(s, 3);
	put_varint(s, 5);
	put_varint(s, 0);
	block = block_of(s);
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_delta(&block, 8, 5, out64), "miniblocks", "miniblocks that do not divide");
}

static void
test_strings(void)
{
	static const char *const words[] = {"", "a", "apple", "applet", "banana, long enough to be copied in two blocks", "band"};
	LakeType	binary = {.id = LAKE_BINARY};
	uint64		lengths[6];
	uint64		prefixes[6] = {0};
	uint64		suffixes[6];
	StringInfo	plain = makeStringInfo();
	StringInfo	by_length = makeStringInfo();
	StringInfo	by_prefix = makeStringInfo();
	StringInfo	bytes = makeStringInfo();
	StringInfo	tails = makeStringInfo();
	ParquetBlock blocks[3];
	ColumnVector *v;
	int			wrong = 0;

	for (int i = 0; i < 6; i++)
	{
		uint32		size = (uint32) strlen(words[i]);

		lengths[i] = size;
		while (i > 0 && prefixes[i] < size && words[i][prefixes[i]] == words[i - 1][prefixes[i]])
			prefixes[i]++;
		suffixes[i] = size - prefixes[i];
		appendBinaryStringInfo(plain, (char *) &size, 4);
		appendStringInfoString(plain, words[i]);
		appendStringInfoString(bytes, words[i]);
		appendStringInfoString(tails, words[i] + prefixes[i]);
	}
	put_delta(by_length, lengths, 6);
	appendStringInfoString(by_length, bytes->data);
	put_delta(by_prefix, prefixes, 6);
	put_delta(by_prefix, suffixes, 6);
	appendStringInfoString(by_prefix, tails->data);
	blocks[0] = block_of(plain);
	blocks[1] = block_of(by_length);
	blocks[2] = block_of(by_prefix);
	for (int k = 0; k < 3; k++)
	{
		v = column_vector_create(CurrentMemoryContext, binary, 20);
		column_append_bytes(v, "before", 6);
		(k == 0 ? parquet_decode_plain_bytes : k == 1 ? parquet_decode_delta_length
		 : parquet_decode_delta_bytes) (&blocks[k], 6, v);
		v->length += 6;
		for (uint32 i = 0; i < 6; i++)
			wrong += v->offsets[i + 2] - v->offsets[i + 1] != lengths[i] ||
				memcmp(v->bytes + v->offsets[i + 1], words[i], lengths[i]) != 0;
	}
	is_int(wrong, 0, "byte strings in three encodings");
	v = column_vector_create(CurrentMemoryContext, binary, 20);
	blocks[0].size--;
	blocks[1].size--;
	blocks[2].size--;
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_plain_bytes(&blocks[0], 6, v), "exceeds", "a byte string cut short");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_delta_length(&blocks[1], 6, v), "exceed", "bytes cut short");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_delta_bytes(&blocks[2], 6, v), "exceed", "suffixes cut short");
}

static void
test_fixed(void)
{
	static const uint32 widths[] = {1, 4, 7, 8, 12, 16};
	StringInfo	s = makeStringInfo();
	uint8		values[100 * 16];
	uint8		out[100 * 16 + PARQUET_PADDING];
	ParquetBlock block;
	int			wrong = 0;

	for (size_t i = 0; i < sizeof(values); i++)
		values[i] = (uint8) tap_random(&state);
	for (size_t k = 0; k < lengthof(widths); k++)
	{
		uint32		width = widths[k];

		resetStringInfo(s);
		for (uint32 b = 0; b < width; b++)
		{
			for (uint32 i = 0; i < 100; i++)
				appendStringInfoChar(s, (char) values[i * width + b]);
		}
		block = block_of(s);
		parquet_decode_split(&block, width, 100, out);
		wrong += memcmp(out, values, (size_t) width * 100) != 0;
	}
	is_int(wrong, 0, "BYTE_STREAM_SPLIT of six widths");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_split(&block, 16, 99, out), "byte streams", "streams of another size");
	parquet_decode_plain(&block, 16, 100, out);
	ok(memcmp(out, s->data, 1600) == 0, "PLAIN");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_plain(&block, 16, 101, out), "101 values of 16 bytes", "one value too many");
	resetStringInfo(s);
	appendStringInfoString(s, "\x05\x01");
	block = block_of(s);
	parquet_decode_plain_bool(&block, 1, 9, out);
	ok(memcmp(out, "\1\0\1\0\0\0\0\0\1", 9) == 0, "PLAIN booleans");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_plain_bool(&block, 1, 17, out), "17 booleans", "too few booleans");
	throws(ERRCODE_DATA_CORRUPTED, parquet_decode_rle_bool(&block, 1, 9, out), "2 bytes", "run-length encoded booleans without a length");
}

int
main(void)
{
	test_unpack();
	test_rle();
	test_levels();
	test_copy_bits();
	test_delta();
	test_strings();
	test_fixed();
	return tap_done();
}
