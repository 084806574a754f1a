/*-------------------------------------------------------------------------
 *
 * bounds.c
 *	  Single-value binary form of bounds, and their truncation.
 *
 * Upper bounds of strings are incremented code point by code point, from
 * the last: U+D7FF is followed by U+E000 (surrogates are no characters), and
 * a code point that is the last of all is dropped and the one before it
 * incremented.  Incrementing bytes would be shorter to write, but yields
 * invalid UTF-8, which other engines refuse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/bounds.h"

/* Encoded length of a value that lies in memory as a little-endian integer or float; 0 for others. */
static uint32
plain_width(LakeTypeId id)
{
	switch (id)
	{
		case LAKE_BOOLEAN:
			return 1;
		case LAKE_INT:
		case LAKE_DATE:
		case LAKE_FLOAT:
			return 4;
		case LAKE_LONG:
		case LAKE_TIME:
		case LAKE_TIMESTAMP:
		case LAKE_TIMESTAMPTZ:
		case LAKE_DOUBLE:
			return 8;
		default:
			return 0;
	}
}

static void
encode_little_endian(StringInfo out, uint64 bits, uint32 width)
{
	char		bytes[8];

	for (uint32 i = 0; i < width; i++)
		bytes[i] = (char) (bits >> (8 * i));
	appendBinaryStringInfo(out, bytes, width);
}

static uint64
decode_little_endian(const uint8 *data, size_t size)
{
	uint64		bits = 0;

	for (size_t i = 0; i < size; i++)
		bits |= (uint64) data[i] << (8 * i);
	return bits;
}

/* Big-endian two's complement of the fewest bytes that keep the sign. */
static void
encode_decimal(StringInfo out, int128 value)
{
	char		bytes[16];
	int			first = 0;

	for (int i = 0; i < 16; i++)
		bytes[i] = (char) (value >> (8 * (15 - i)));
	while (first < 15 &&
		   ((bytes[first] == 0 && (bytes[first + 1] & 0x80) == 0) ||
			((uint8) bytes[first] == 0xff && (bytes[first + 1] & 0x80) != 0)))
		first++;
	appendBinaryStringInfo(out, bytes + first, 16 - first);
}

static int128
decode_decimal(const uint8 *data, size_t size)
{
	int128		value = (data[0] & 0x80) ? -1 : 0;

	for (size_t i = 0; i < size; i++)
		value = (int128) (((unsigned __int128) value << 8) | data[i]);
	return value;
}

static uint64
float_bits(LakeTypeId id, double value)
{
	if (id == LAKE_FLOAT)
	{
		float		f = (float) value;
		uint32		bits;

		memcpy(&bits, &f, sizeof(bits));
		return bits;
	}
	else
	{
		uint64		bits;

		memcpy(&bits, &value, sizeof(bits));
		return bits;
	}
}

static double
bits_float(uint64 bits, size_t size)
{
	if (size == sizeof(float))
	{
		uint32		narrow = (uint32) bits;
		float		f;

		memcpy(&f, &narrow, sizeof(f));
		return f;
	}
	else
	{
		double		f;

		memcpy(&f, &bits, sizeof(f));
		return f;
	}
}

void
iceberg_value_encode(LakeType type, const LakeValue *value, StringInfo out)
{
	switch (lake_type_layout(type))
	{
		case LAYOUT_FLOAT:
		case LAYOUT_DOUBLE:
			encode_little_endian(out, float_bits(type.id, value->u.f64), plain_width(type.id));
			break;
		case LAYOUT_FIXED:
		case LAYOUT_BYTES:
			appendBinaryStringInfo(out, value->u.bytes.data, (int) value->u.bytes.size);
			break;
		case LAYOUT_INT128:
			encode_decimal(out, value->u.i128);
			break;
		default:
			if (type.id == LAKE_DECIMAL)
				encode_decimal(out, value->u.i64);
			else
				encode_little_endian(out, (uint64) value->u.i64, plain_width(type.id));
			break;
	}
}

static bool
decode_integer(LakeType type, const uint8 *data, size_t size, LakeValue *value)
{
	uint64		bits = decode_little_endian(data, size);

	switch (type.id)
	{
		case LAKE_BOOLEAN:
			value->u.i64 = bits != 0;
			return size == 1;
		case LAKE_LONG:
			/* was an int column */
			if (size == 4)
			{
				value->u.i64 = (int32) bits;
				return true;
			}
			break;
		default:
			break;
	}
	value->u.i64 = size == 4 ? (int64) (int32) bits : (int64) bits;
	return size == plain_width(type.id);
}

bool
iceberg_value_decode(LakeType type, const void *data, size_t size, LakeValue *value)
{
	ColumnLayout layout = lake_type_layout(type);

	value->isnull = false;
	if (layout == LAYOUT_FIXED || layout == LAYOUT_BYTES)
	{
		value->u.bytes.data = data;
		value->u.bytes.size = (uint32) size;
		return size <= PG_INT32_MAX &&
			(layout == LAYOUT_BYTES || size == lake_type_width(type));
	}
	if (size < 1 || size > 16)
		return false;
	if (type.id == LAKE_DECIMAL)
	{
		int128		v = decode_decimal(data, size);

		if (layout == LAYOUT_INT128)
			value->u.i128 = v;
		else
			value->u.i64 = (int64) v;
		return layout == LAYOUT_INT128 || v == (int128) (int64) v;
	}
	if (size > 8)
		return false;
	if (layout == LAYOUT_FLOAT || layout == LAYOUT_DOUBLE)
	{
		value->u.f64 = bits_float(decode_little_endian(data, size), size);
		return size == plain_width(type.id) || (type.id == LAKE_DOUBLE && size == 4);
	}
	return decode_integer(type, data, size, value);
}

/* Bytes of the UTF-8 character that begins with `lead`; 1 for what cannot begin one. */
static uint32
utf8_length(uint8 lead)
{
	return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

static uint32
utf8_decode(const uint8 *s, uint32 length)
{
	static const uint8 mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32		code = s[0] & mask[length];

	for (uint32 i = 1; i < length; i++)
		code = (code << 6) | (s[i] & 0x3f);
	return code;
}

static uint32
utf8_encode(uint32 code, uint8 *s)
{
	static const uint8 lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	uint32		length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (uint32 i = length - 1; i > 0; i--)
	{
		s[i] = 0x80 | (code & 0x3f);
		code >>= 6;
	}
	s[0] = lead[length] | code;
	return length;
}

/* Cuts after ICEBERG_BOUND_LENGTH characters and, for an upper bound, increments. */
static bool
truncate_string(LakeValue *value, bool upper)
{
	const uint8 *s = (const uint8 *) value->u.bytes.data;
	uint32		size = value->u.bytes.size;
	uint32		starts[ICEBERG_BOUND_LENGTH + 1];
	uint32		at = 0;
	int			n = 0;
	uint8	   *copy;

	while (at < size && n < ICEBERG_BOUND_LENGTH)
	{
		starts[n++] = at;
		at += Min(utf8_length(s[at]), size - at);
	}
	if (at >= size)
		return true;
	if (!upper)
	{
		value->u.bytes.size = at;
		return true;
	}
	starts[n] = at;
	copy = palloc(at + 4);
	memcpy(copy, s, at);
	for (; n > 0; n--)
	{
		uint32		code = utf8_decode(s + starts[n - 1], starts[n] - starts[n - 1]);

		if (code >= 0x10ffff)
			continue;
		code = code == 0xd7ff ? 0xe000 : code + 1;
		value->u.bytes.data = (const char *) copy;
		value->u.bytes.size = starts[n - 1] + utf8_encode(code, copy + starts[n - 1]);
		return true;
	}
	return false;
}

static bool
truncate_binary(LakeValue *value, bool upper)
{
	uint8	   *copy;

	if (value->u.bytes.size <= ICEBERG_BOUND_LENGTH)
		return true;
	if (!upper)
	{
		value->u.bytes.size = ICEBERG_BOUND_LENGTH;
		return true;
	}
	copy = palloc(ICEBERG_BOUND_LENGTH);
	memcpy(copy, value->u.bytes.data, ICEBERG_BOUND_LENGTH);
	for (int n = ICEBERG_BOUND_LENGTH; n > 0; n--)
	{
		if (copy[n - 1] == 0xff)
			continue;
		copy[n - 1]++;
		value->u.bytes.data = (const char *) copy;
		value->u.bytes.size = n;
		return true;
	}
	return false;
}

bool
iceberg_bound_truncate(LakeType type, LakeValue *value, bool upper)
{
	if (type.id == LAKE_STRING)
		return truncate_string(value, upper);
	if (type.id == LAKE_BINARY)
		return truncate_binary(value, upper);
	return true;
}
