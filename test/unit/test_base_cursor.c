/*-------------------------------------------------------------------------
 *
 * test_base_cursor.c
 *	  Bounded reads, hashes, UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "tap.h"

static void
test_reads(void)
{
	static const uint8 data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	Cursor		c;

	cursor_init(&c, data, sizeof(data), "block", "file.x", 100);
	is_int(cursor_u8(&c), 1, "a byte");
	is_int(cursor_u32le(&c), 0x05040302, "four bytes, little endian");
	is_int(cursor_left(&c), 4, "what is left");
	throws(ERRCODE_DATA_CORRUPTED, cursor_u64le(&c), "could not read block in \"file.x\": 8 bytes needed, 4 remain",
		   "a read past the end");
	throws(ERRCODE_DATA_CORRUPTED, cursor_bytes(&c, PG_UINT64_MAX), "Byte offset 105", "a huge length");
	is_int(*cursor_bytes(&c, 4), 6, "a failed read does not move");
	is_int(cursor_left(&c), 0, "the end");
	ok(cursor_bytes(&c, 0) == c.end, "nothing can always be read");
	cursor_init(&c, NULL, 0, "block", NULL, 0);
	throws(ERRCODE_DATA_CORRUPTED, cursor_u8(&c), "could not read block: 1 bytes needed", "without a name");
}

static uint64
varint(const char *bytes, size_t size)
{
	Cursor		c;

	cursor_init(&c, bytes, size, "varint", "f", 0);
	return cursor_varint(&c);
}

static void
test_varints(void)
{
	Cursor		c;

	ok(varint("\x00", 1) == 0 && varint("\x7f", 1) == 127 && varint("\x80\x01", 2) == 128, "small varints");
	ok(varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10) == PG_UINT64_MAX, "the largest");
	throws(ERRCODE_DATA_CORRUPTED, varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), "exceeds 64 bits", "a bit more");
	throws(ERRCODE_DATA_CORRUPTED, varint("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11), "exceeds 64 bits", "too long");
	throws(ERRCODE_DATA_CORRUPTED, varint("\x80", 1), "1 bytes needed", "cut");
	cursor_init(&c, "\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "varint", "f", 0);
	is_int(cursor_zigzag(&c), -1, "zigzag -1");
	is_int(cursor_zigzag(&c), 1, "zigzag 1");
	is_int(cursor_zigzag(&c), PG_INT64_MIN, "zigzag of the least");
}

static void
test_utf8(void)
{
	char		long_text[100];

	for (size_t at = 0; at < 40; at++)
	{
		memset(long_text, 'x', sizeof(long_text));
		long_text[at] = '\xff';
		if (utf8_valid_prefix(long_text, 40, false) != at)
			ok(false, "a bad byte at %zu", at);
		long_text[at] = '\0';
		if (utf8_valid_prefix(long_text, 40, true) != at || !utf8_is_valid(long_text, 40))
			ok(false, "a NUL at %zu", at);
	}
	ok(true, "bad bytes are found wherever they are");
	ok(utf8_is_valid("\303\244\342\202\254\360\237\230\200", 9), "two, three and four bytes");
	ok(utf8_is_valid("\356\200\200\357\277\277\364\217\277\277", 10), "the limits");
	ok(!utf8_is_valid("\303", 1) && !utf8_is_valid("\340\237\277", 3) && !utf8_is_valid("\360\217\277\277", 4) &&
	   !utf8_is_valid("\355\240\200", 3) && !utf8_is_valid("\365\200\200\200", 4) && !utf8_is_valid("\200", 1),
	   "cut, overlong, surrogate, too large, stray");
}

int
main(void)
{
	test_reads();
	test_varints();
	test_utf8();
	ok(hash_bytes64("abc", 3, 0) == hash_bytes64("abc", 3, 0) &&
	   hash_bytes64("abc", 3, 0) != hash_bytes64("abd", 3, 0) &&
	   hash_bytes64("abc", 3, 0) != hash_bytes64("abc", 3, 1), "hashes depend on bytes and seed");
	ok(hash_combine64(1, 2) != hash_combine64(2, 1), "combination depends on the order");
	return done();
}
