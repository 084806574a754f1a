/*-------------------------------------------------------------------------
 *
 * utf8.c
 *	  Validity of UTF-8, eight ASCII bytes at a time, and its writing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/utf8.h"

#define HIGH_BITS UINT64CONST(0x8080808080808080)
#define LOW_BITS UINT64CONST(0x0101010101010101)

/* Bytes of the valid character at p (not ASCII), or 0. */
static size_t
character_length(const uint8 *p, size_t left)
{
	uint8		lead = p[0];
	uint8		low = 0x80;		/* bounds of the second byte */
	uint8		high = 0xbf;
	size_t		size;

	if (lead >= 0xc2 && lead <= 0xdf)
		size = 2;
	else if (lead >= 0xe0 && lead <= 0xef)
	{
		size = 3;
		if (lead == 0xe0)
			low = 0xa0;
		else if (lead == 0xed)
			high = 0x9f;
	}
	else if (lead >= 0xf0 && lead <= 0xf4)
	{
		size = 4;
		if (lead == 0xf0)
			low = 0x90;
		else if (lead == 0xf4)
			high = 0x8f;
	}
	else
		return 0;
	if (left < size || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* Eight bytes at once: all ASCII, and none NUL when that matters. */
static inline bool
plain_block(const uint8 *p, bool text)
{
	uint64		block;

	memcpy(&block, p, 8);
	if (block & HIGH_BITS)
		return false;
	/* with all bytes below 0x80, a borrow reaches the high bit only from a NUL */
	return !text || ((block - LOW_BITS) & HIGH_BITS) == 0;
}

size_t
utf8_valid_prefix(const char *data, size_t size, bool text)
{
	const uint8 *p = (const uint8 *) data;
	size_t		i = 0;

	while (i < size)
	{
		size_t		n;

		while (size - i >= 8 && plain_block(p + i, text))
			i += 8;
		if (i == size)
			break;
		if (p[i] < 0x80)
		{
			if (text && p[i] == 0)
				return i;
			i++;
			continue;
		}
		n = character_length(p + i, size - i);
		if (n == 0)
			return i;
		i += n;
	}
	return size;
}

char *
utf8_put(char *out, uint32 code)
{
	if (code < 0x80)
		*out++ = (char) code;
	else if (code < 0x800)
	{
		*out++ = (char) (0xc0 | (code >> 6));
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	else if (code < 0x10000)
	{
		*out++ = (char) (0xe0 | (code >> 12));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3f));
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	else
	{
		*out++ = (char) (0xf0 | (code >> 18));
		*out++ = (char) (0x80 | ((code >> 12) & 0x3f));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3f));
		*out++ = (char) (0x80 | (code & 0x3f));
	}
	return out;
}
