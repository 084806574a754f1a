/*-------------------------------------------------------------------------
 *
 * test_codec_blocks.c
 *	  Every codec: a valid block, a wrong size, garbage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec/codec.h"
#include "tap.h"

#define SIZE_MAX_TESTED 300000

static uint8 plain[SIZE_MAX_TESTED];
static uint8 back[SIZE_MAX_TESTED + 64];

/* Half text-like, half noise: something to find, something that does not shrink. */
static void
fill_plain(void)
{
	uint64		state = 1;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = i % 2000 < 1000 ? (uint8) ('a' + i % 7) : (uint8) tap_random(&state);
}

static size_t
compress(const Codec *codec, int level, size_t size, uint8 **packed)
{
	size_t		bound = codec->bound(size);
	size_t		n;

	*packed = palloc(bound + 1);
	n = codec->compress(level, plain, size, *packed, bound);
	if (n > bound)
		elog(ERROR, "bound exceeded");
	return n;
}

static void
test_valid(const Codec *codec)
{
	static const size_t sizes[] = {0, 1, 2, 63, 1000, 65536, SIZE_MAX_TESTED};

	for (size_t i = 0; i < lengthof(sizes); i++)
		for (int level = codec->min_level; level <= Min(codec->max_level, codec->min_level + 8); level++)
		{
			uint8	   *packed;
			size_t		n = compress(codec, level, sizes[i], &packed);

			memset(back, 0xee, sizeof(back));
			if (!codec->decompress(packed, n, back, sizes[i]) ||
				memcmp(back, plain, sizes[i]) != 0 || back[sizes[i]] != 0xee)
			{
				ok(false, "%s gives back %zu bytes at level %d", codec->name, sizes[i], level);
				return;
			}
			pfree(packed);
		}
	ok(true, "%s gives back what was written", codec->name);
}

static void
test_sizes(const Codec *codec)
{
	uint8	   *packed;
	size_t		n = compress(codec, codec->default_level, 1000, &packed);

	ok(!codec->decompress(packed, n, back, 999), "%s: output one byte short", codec->name);
	memset(back, 0xee, sizeof(back));
	ok(!codec->decompress(packed, n, back, 1001), "%s: output one byte long", codec->name);
	ok(back[1001] == 0xee, "%s: nothing past the output", codec->name);
	ok(!codec->decompress(packed, n - 1, back, 1000), "%s: input cut by a byte", codec->name);
	ok(!codec->decompress(packed, 0, back, 1000), "%s: no input", codec->name);
	throws(ERRCODE_DATA_CORRUPTED,
		   codec_decompress(codec, packed, n, back, 999, "page", "f.parquet"),
		   "could not decompress page of \"f.parquet\"", "%s: the error names the file", codec->name);
}

/* Damage is either found or gives that many bytes; sanitizers watch the bounds. */
static void
test_garbage(const Codec *codec)
{
	uint64		state = 7;
	int			found = 0;

	for (int round = 0; round < 500; round++)
	{
		size_t		size = 1000;
		uint8	   *packed;
		size_t		n = compress(codec, codec->default_level, size, &packed);

		/* a copy of exact size, so that reads past the end are seen */
		uint8	   *exact = palloc(Max(n, 1));
		uint8	   *out = palloc(size);

		memcpy(exact, packed, n);
		if (round % 2)
			for (size_t i = 0; i < n; i++)
				exact[i] = (uint8) tap_random(&state);
		else
			exact[tap_random(&state) % n] ^= (uint8) (1 + tap_random(&state) % 255);
		if (!codec->decompress(exact, n, out, size))
			found++;
		pfree(packed);
		pfree(exact);
		pfree(out);
	}
	if (codec->id == CODEC_NONE)
		is_int(found, 0, "none: nothing to find");
	else
		ok(found >= 250, "%s: noise is refused (%d of 500)", codec->name, found);
	test_valid(codec);
}

/* Hadoop's framing: big-endian lengths before each block; also a bare block under that number. */
static void
test_hadoop(void)
{
	const Codec *raw = codec_by_id(CODEC_LZ4_RAW);
	const Codec *hadoop = codec_by_id(CODEC_LZ4_HADOOP);
	uint8	   *packed;
	size_t		n = compress(raw, 0, 1000, &packed);
	uint8	   *framed = palloc(2 * (n + 8));

	for (int i = 0; i < 2; i++)
	{
		uint8	   *at = framed + i * (n + 8);

		memset(at, 0, 8);
		at[2] = 1000 >> 8;
		at[3] = 1000 & 0xff;
		at[6] = (uint8) (n >> 8);
		at[7] = (uint8) n;
		memcpy(at + 8, packed, n);
	}
	ok(hadoop->decompress(framed, n + 8, back, 1000) && memcmp(back, plain, 1000) == 0,
	   "lz4_hadoop: one frame");
	ok(hadoop->decompress(framed, 2 * (n + 8), back, 2000) && memcmp(back + 1000, plain, 1000) == 0,
	   "lz4_hadoop: two frames");
	ok(!hadoop->decompress(framed, 2 * (n + 8) - 1, back, 2000), "lz4_hadoop: cut");
	ok(!hadoop->decompress(framed, n + 8, back, 999), "lz4_hadoop: wrong size");
	ok(hadoop->decompress(packed, n, back, 1000), "lz4_hadoop: a bare block");
	ok(hadoop->compress == NULL, "lz4_hadoop is not written");
}

int
main(void)
{
	const char *const *names = codec_names();
	int			n = 0;

	fill_plain();
	for (; names[n]; n++)
	{
		const Codec *codec = codec_by_name(names[n]);

		ok(codec && codec_by_id(codec->id) == codec, "%s is found by name and number", names[n]);
		test_valid(codec);
		test_sizes(codec);
		test_garbage(codec);
	}
	is_int(n, 6, "six codecs are written");
	test_hadoop();
	ok(codec_by_id(CODEC_LZO) == NULL, "there is no LZO");
	ok(codec_by_name("zst") == NULL, "an unknown name is not found");
	return done();
}
