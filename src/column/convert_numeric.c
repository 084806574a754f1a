/*-------------------------------------------------------------------------
 *
 * convert_numeric.c
 *	  numeric to scaled integers and back, without arithmetic on numerics.
 *
 * This knows how a numeric lies in memory, which utils/numeric.h keeps to
 * itself.  It is an on-disk format, the same from 9.1 to 18, and going through
 * numeric_mul and numeric_int8 costs twenty times as much.
 *
 * After the varlena header comes a 16-bit word.  Its two high bits are 10 for
 * the short form (1 bit sign, 6 bits display scale, 7 bits weight in two's
 * complement), 11 for NaN and infinities, else they are sign bits (00, 01) of
 * the long form, whose other 14 bits are the display scale and which has a
 * 16-bit weight after it.  Then digits of base 10000, 16 bits each, the first
 * of value 10000^weight; leading and trailing zero digits are left out.
 * Values in tuples may have one-byte headers, so nothing is aligned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "column/convert_internal.h"

#define BASE 10000
#define BASE_DIGITS 4			/* decimal digits of one */

#define FORM_MASK 0xC000
#define FORM_LONG_NEGATIVE 0x4000
#define FORM_SHORT 0x8000
#define FORM_SPECIAL 0xC000
#define SHORT_SIGN 0x2000
#define SHORT_SCALE_SHIFT 7
#define SHORT_WEIGHT_SIGN 0x0040
#define SHORT_WEIGHT_MASK 0x003F

/* Decimal digits that an int64, an int128 holds whatever they are. */
#define INT64_DIGITS 18
#define INT128_DIGITS 38

static const int64 powers64[INT64_DIGITS + 1] = {
	INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000), INT64CONST(10000),
	INT64CONST(100000), INT64CONST(1000000), INT64CONST(10000000), INT64CONST(100000000),
	INT64CONST(1000000000), INT64CONST(10000000000), INT64CONST(100000000000),
	INT64CONST(1000000000000), INT64CONST(10000000000000), INT64CONST(100000000000000),
	INT64CONST(1000000000000000), INT64CONST(10000000000000000),
	INT64CONST(100000000000000000), INT64CONST(1000000000000000000)
};

static inline int128
power128(int exponent)
{
	Assert(exponent >= 0 && exponent <= INT128_DIGITS);
	if (exponent <= INT64_DIGITS)
		return powers64[exponent];
	if (exponent <= 2 * INT64_DIGITS)
		return (int128) powers64[INT64_DIGITS] * powers64[exponent - INT64_DIGITS];
	return (int128) powers64[INT64_DIGITS] * powers64[INT64_DIGITS] *
		powers64[exponent - 2 * INT64_DIGITS];
}

bool
decimal_fits(int128 value, int precision)
{
	int128		limit = power128(precision);

	return value < limit && value > -limit;
}

/* A numeric taken apart. */
typedef struct NumericParts
{
	const char *digits;			/* not aligned */
	int			ndigits;
	int			weight;
	bool		negative;
} NumericParts;

static inline int
digit_at(const NumericParts *p, int i)
{
	int16		digit;

	memcpy(&digit, p->digits + i * sizeof(digit), sizeof(digit));
	return digit;
}

static inline bool
take_apart(const char *data, size_t size, NumericParts *p)
{
	uint16		header;

	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	size -= sizeof(header);
	if ((header & FORM_MASK) == FORM_SHORT)
	{
		p->negative = (header & SHORT_SIGN) != 0;
		p->weight = header & SHORT_WEIGHT_MASK;
		if (header & SHORT_WEIGHT_SIGN)
			p->weight |= ~SHORT_WEIGHT_MASK;
	}
	else if ((header & FORM_MASK) == FORM_SPECIAL)
		return false;
	else
	{
		int16		weight;

		p->negative = (header & FORM_MASK) == FORM_LONG_NEGATIVE;
		memcpy(&weight, data, sizeof(weight));
		data += sizeof(weight);
		size -= sizeof(weight);
		p->weight = weight;
	}
	p->digits = data;
	p->ndigits = (int) (size / sizeof(int16));
	return true;
}

/*
 * The last digit has value 10^exponent once scaled.  When that is negative,
 * *drop is how many of its decimal digits lie past the scale; they must be 0.
 */
static inline bool
check_scale(const NumericParts *p, int exponent, int *drop)
{
	*drop = 0;
	if (exponent >= 0)
		return true;
	/* a stored last digit is not 0, so that a whole one past the scale is inexact */
	if (exponent <= -BASE_DIGITS)
		return false;
	*drop = -exponent;
	return digit_at(p, p->ndigits - 1) % powers64[*drop] == 0;
}

DecimalResult
numeric_to_decimal64(const char *data, size_t size, int precision, int scale, int64 *result)
{
	NumericParts p;
	int64		v = 0;
	int			places;			/* decimal places from the first digit's top to the scale */
	int			exponent;
	int			drop;

	if (unlikely(!take_apart(data, size, &p)))
		return DECIMAL_SPECIAL;
	*result = 0;
	if (p.ndigits == 0)
		return DECIMAL_OK;
	places = BASE_DIGITS * (p.weight + 1) + scale;
	if (unlikely(places > INT64_DIGITS))
	{
		int128		wide;
		DecimalResult r = numeric_to_decimal128(data, size, precision, scale, &wide);

		if (r == DECIMAL_OK)
			*result = (int64) wide;
		return r;
	}
	exponent = places - BASE_DIGITS * p.ndigits;
	if (unlikely(!check_scale(&p, exponent, &drop)))
		return DECIMAL_INEXACT;
	for (int i = 0; i < p.ndigits - 1; i++)
		v = v * BASE + digit_at(&p, i);
	/* the last digit, without what lies past the scale */
	v = v * powers64[BASE_DIGITS - drop] + digit_at(&p, p.ndigits - 1) / powers64[drop];
	if (exponent > 0)
		v *= powers64[exponent];
	if (unlikely(v >= powers64[precision]))
		return DECIMAL_OVERFLOW;
	*result = p.negative ? -v : v;
	return DECIMAL_OK;
}

DecimalResult
numeric_to_decimal128(const char *data, size_t size, int precision, int scale, int128 *result)
{
	NumericParts p;
	int128		v = 0;
	int			places;
	int			exponent;
	int			drop;

	if (unlikely(!take_apart(data, size, &p)))
		return DECIMAL_SPECIAL;
	*result = 0;
	if (p.ndigits == 0)
		return DECIMAL_OK;
	places = BASE_DIGITS * (p.weight + 1) + scale;
	/* the first digit has at least one decimal digit */
	if (places - (BASE_DIGITS - 1) > precision)
		return DECIMAL_OVERFLOW;
	exponent = places - BASE_DIGITS * p.ndigits;
	if (unlikely(!check_scale(&p, exponent, &drop)))
		return DECIMAL_INEXACT;

	/* up to 41 places: only the checked operations below can pass 2^127 */
	for (int i = 0; i < p.ndigits - 1; i++)
		if (unlikely(__builtin_mul_overflow(v, (int128) BASE, &v) ||
					 __builtin_add_overflow(v, (int128) digit_at(&p, i), &v)))
			return DECIMAL_OVERFLOW;
	if (unlikely(__builtin_mul_overflow(v, (int128) powers64[BASE_DIGITS - drop], &v) ||
				 __builtin_add_overflow(v, (int128) (digit_at(&p, p.ndigits - 1) / powers64[drop]), &v)))
		return DECIMAL_OVERFLOW;
	/* exponent <= places - 4 <= 37 */
	if (exponent > 0 && unlikely(__builtin_mul_overflow(v, power128(exponent), &v)))
		return DECIMAL_OVERFLOW;
	if (!decimal_fits(v, precision))
		return DECIMAL_OVERFLOW;
	*result = p.negative ? -v : v;
	return DECIMAL_OK;
}

/*
 * Digits of a numeric, found from the last to the first: `end` is past the
 * buffer, groups are put in front of it.
 */
typedef struct DigitBuffer
{
	int16		digits[16];
	int			first;			/* index of the first in use */
} DigitBuffer;

static inline void
put_digits64(DigitBuffer *b, uint64 v)
{
	while (v > 0)
	{
		b->digits[--b->first] = (int16) (v % BASE);
		v /= BASE;
	}
}

static inline void
put_numeric(DigitBuffer *b, int scale, bool negative, char *out)
{
	int			end = lengthof(b->digits);
	int			after = (scale + BASE_DIGITS - 1) / BASE_DIGITS;	/* digits past the point */
	int			weight = end - b->first - 1 - after;
	int			n;
	uint16		header;

	while (b->first < end && b->digits[b->first] == 0)
	{
		b->first++;
		weight--;
	}
	while (end > b->first && b->digits[end - 1] == 0)
		end--;
	n = end - b->first;
	if (n == 0)
	{
		weight = 0;
		negative = false;
	}
	/* scale <= 38 and weight -10..9 always fit the short form */
	header = (uint16) (FORM_SHORT | (negative ? SHORT_SIGN : 0) |
					   (scale << SHORT_SCALE_SHIFT) |
					   (weight < 0 ? SHORT_WEIGHT_SIGN : 0) | (weight & SHORT_WEIGHT_MASK));
	SET_VARSIZE(out, VARHDRSZ + sizeof(header) + n * sizeof(int16));
	memcpy(out + VARHDRSZ, &header, sizeof(header));
	memcpy(out + VARHDRSZ + sizeof(header), b->digits + b->first, n * sizeof(int16));
}

void
decimal64_to_numeric(int64 value, int scale, char *out)
{
	DigitBuffer b;
	uint64		v = value < 0 ? -(uint64) value : (uint64) value;
	int			partial = scale % BASE_DIGITS;

	b.first = lengthof(b.digits);
	if (partial > 0)
	{
		/* decimal places that fill only the upper part of the last digit */
		uint64		power = (uint64) powers64[partial];

		b.digits[--b.first] = (int16) (v % power * (uint64) powers64[BASE_DIGITS - partial]);
		v /= power;
	}
	put_digits64(&b, v);
	put_numeric(&b, scale, value < 0, out);
}

void
decimal128_to_numeric(int128 value, int scale, char *out)
{
	const uint64 four = UINT64CONST(10000000000000000);	/* four digits */
	DigitBuffer b;
	uint128		v = value < 0 ? -(uint128) value : (uint128) value;
	int			partial = scale % BASE_DIGITS;

	if (v <= PG_INT64_MAX)
	{
		decimal64_to_numeric((int64) value, scale, out);
		return;
	}
	b.first = lengthof(b.digits);
	if (partial > 0)
	{
		uint64		power = (uint64) powers64[partial];

		b.digits[--b.first] = (int16) ((uint64) (v % power) * (uint64) powers64[BASE_DIGITS - partial]);
		v /= power;
	}
	while (v > PG_UINT64_MAX)
	{
		uint64		low = (uint64) (v % four);
		int			stop = b.first - 4;

		v /= four;
		put_digits64(&b, low);
		while (b.first > stop)
			b.digits[--b.first] = 0;
	}
	put_digits64(&b, (uint64) v);
	put_numeric(&b, scale, value < 0, out);
}
