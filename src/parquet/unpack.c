/*-------------------------------------------------------------------------
 *
 * unpack.c
 *	  Bit-packed integers to arrays.
 *
 * Eight values of w bits take w bytes, so that every group of eight starts
 * on a byte.  The portable kernels are one per width, made by a macro:
 * constant shifts of an unaligned 64-bit load.  With AVX2 one kernel serves
 * all widths up to 25: a byte shuffle brings each value's four bytes to its
 * lane, a variable shift and a mask finish it, at a quarter of the portable
 * kernels' time.  target_clones does not get there: compilers do not find
 * the shuffle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define UNPACK_AVX2
#include <immintrin.h>
#endif

#include "parquet/decode.h"

static inline uint64
load64(const uint8 *p)
{
	uint64		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#define UNPACK_ONE(w, i) \
	out[i] = (uint32) (load64(in + ((i) * (w)) / 8) >> (((i) * (w)) % 8)) & (uint32) ((UINT64CONST(1) << (w)) - 1)

#define UNPACK_KERNEL(w) \
static void \
unpack32_##w(const uint8 *in, uint32 n, uint32 *out) \
{ \
	for (uint32 done = 0; done < n; done += 8) \
	{ \
		UNPACK_ONE(w, 0); \
		UNPACK_ONE(w, 1); \
		UNPACK_ONE(w, 2); \
		UNPACK_ONE(w, 3); \
		UNPACK_ONE(w, 4); \
		UNPACK_ONE(w, 5); \
		UNPACK_ONE(w, 6); \
		UNPACK_ONE(w, 7); \
		in += (w); \
		out += 8; \
	} \
}

#define FOR_EACH_WIDTH(X) \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)

FOR_EACH_WIDTH(UNPACK_KERNEL)

static void
unpack32_0(const uint8 *in, uint32 n, uint32 *out)
{
	memset(out, 0, ((size_t) n + 7) / 8 * 8 * sizeof(uint32));
}

typedef void (*unpack32_fn) (const uint8 *in, uint32 n, uint32 *out);

#define UNPACK_ENTRY(w) unpack32_##w,

static const unpack32_fn unpack32_kernels[33] = {
	unpack32_0,
	FOR_EACH_WIDTH(UNPACK_ENTRY)
};

#ifdef UNPACK_AVX2

/* Value 3 ends at most (4 + 3 * 25 + 25 + 7) / 8 = 13 bytes into its half. */
#define AVX2_MAX_WIDTH 25

__attribute__((target("avx2")))
static void
unpack32_avx2(const uint8 *in, uint32 width, uint32 n, uint32 *out)
{
	uint32		half = (4 * width) / 8; /* byte where values 4..7 begin */
	uint8		shuffle[32];
	uint32		shifts[8];
	__m256i		shuffle_v;
	__m256i		shifts_v;
	__m256i		mask = _mm256_set1_epi32((int) (((uint32) 1 << width) - 1));

	for (uint32 i = 0; i < 8; i++)
	{
		uint32		bit = i * width - (i < 4 ? 0 : half * 8);

		shifts[i] = bit % 8;
		for (uint32 b = 0; b < 4; b++)
			shuffle[i * 4 + b] = (uint8) (bit / 8 + b);
	}
	shuffle_v = _mm256_loadu_si256((const __m256i *) shuffle);
	shifts_v = _mm256_loadu_si256((const __m256i *) shifts);

	for (uint32 done = 0; done < n; done += 8)
	{
		__m128i		lo = _mm_loadu_si128((const __m128i *) in);
		__m128i		hi = _mm_loadu_si128((const __m128i *) (in + half));
		__m256i		v = _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);

		v = _mm256_shuffle_epi8(v, shuffle_v);
		v = _mm256_and_si256(_mm256_srlv_epi32(v, shifts_v), mask);
		_mm256_storeu_si256((__m256i *) out, v);
		in += width;
		out += 8;
	}
}

static bool
have_avx2(void)
{
	static int	known = -1;

	if (unlikely(known < 0))
	{
		__builtin_cpu_init();
		known = __builtin_cpu_supports("avx2") ? 1 : 0;
	}
	return known == 1;
}
#endif							/* UNPACK_AVX2 */

void
parquet_unpack32(const uint8 *in, uint32 width, uint32 n, uint32 *out)
{
	Assert(width <= 32);
#ifdef UNPACK_AVX2
	if (width > 0 && width <= AVX2_MAX_WIDTH && n >= 32 && have_avx2())
	{
		unpack32_avx2(in, width, n, out);
		return;
	}
#endif
	unpack32_kernels[width] (in, n, out);
}

void
parquet_unpack64(const uint8 *in, uint32 width, uint32 n, uint64 *out)
{
	uint64		mask = (width == 64) ? PG_UINT64_MAX : (UINT64CONST(1) << width) - 1;
	uint64		bit = 0;

	Assert(width <= 64);
	n = (n + 7) / 8 * 8;
	if (width <= 57)
	{
		/* a value and the bits before it in its first byte fit one load */
		for (uint32 i = 0; i < n; i++, bit += width)
			out[i] = (load64(in + bit / 8) >> (bit % 8)) & mask;
		return;
	}
	for (uint32 i = 0; i < n; i++, bit += width)
	{
		const uint8 *p = in + bit / 8;
		uint32		shift = bit % 8;
		uint64		v = load64(p) >> shift;

		if (shift > 0)
			v |= (uint64) p[8] << (64 - shift);
		out[i] = v & mask;
	}
}
