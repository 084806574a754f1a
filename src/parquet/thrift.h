/*-------------------------------------------------------------------------
 *
 * thrift.h
 *	  Thrift's compact protocol, as far as Parquet uses it.
 *
 * The footer, page headers and page indexes of a Parquet file are Thrift
 * structs in the compact protocol.  The writer appends to a StringInfo; the
 * reader runs over a Cursor, so that every length is checked against what
 * remains (errors: ERRCODE_DATA_CORRUPTED, raised by the cursor).
 *
 * The reader is a pull parser: the caller loops over thrift_next_field() and
 * takes or skips each value.
 *
 *		thrift_struct_begin(&r);
 *		while (thrift_next_field(&r, &f))
 *		{
 *			switch (f.id)
 *			{
 *				case 1:
 *					x = thrift_read_i32(&r, &f);
 *					break;
 *				default:
 *					thrift_skip_field(&r, &f);
 *			}
 *		}
 *
 * thrift_next_field() returns false after it has read the stop byte, and has
 * then left the struct.  Nesting is limited to THRIFT_MAX_DEPTH, so that a
 * hostile file cannot exhaust the stack.
 *
 * A table of (field, offset in a C struct) was tried in thought and rejected:
 * it saves lines only while every field is plain, and Parquet's unions,
 * optional fields and lists of structs are half of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_PARQUET_THRIFT_H
#define TARN_PARQUET_THRIFT_H

#include "postgres.h"

#include "base/cursor.h"
#include "lib/stringinfo.h"

#define THRIFT_MAX_DEPTH 24

/* Types on the wire.  A boolean field carries its value in its type. */
typedef enum ThriftType
{
	THRIFT_STOP = 0,
	THRIFT_TRUE = 1,			/* element type of a list of booleans, too */
	THRIFT_FALSE = 2,
	THRIFT_BYTE = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_DOUBLE = 7,
	THRIFT_BINARY = 8,			/* and strings */
	THRIFT_LIST = 9,
	THRIFT_SET = 10,
	THRIFT_MAP = 11,
	THRIFT_STRUCT = 12,
	THRIFT_UUID = 13
} ThriftType;

/* ---- writing ---- */

typedef struct ThriftWriter
{
	StringInfo	out;
	int			depth;
	int16		last_id[THRIFT_MAX_DEPTH];
} ThriftWriter;

/* Starts with the outermost struct open; thrift_end() closes it. */
extern void thrift_writer_init(ThriftWriter *w, StringInfo out);

/* Fields of the current struct; ids ascend. */
extern void thrift_put_bool(ThriftWriter *w, int id, bool value);
extern void thrift_put_byte(ThriftWriter *w, int id, int8 value);
extern void thrift_put_i16(ThriftWriter *w, int id, int16 value);
extern void thrift_put_i32(ThriftWriter *w, int id, int32 value);
extern void thrift_put_i64(ThriftWriter *w, int id, int64 value);
extern void thrift_put_binary(ThriftWriter *w, int id, const void *data, size_t size);
extern void thrift_put_string(ThriftWriter *w, int id, const char *value);

/* A struct as a field, or (id 0) as the next element of a list. */
extern void thrift_begin(ThriftWriter *w, int id);
extern void thrift_end(ThriftWriter *w);

/* A list as a field; exactly `count` elements follow. */
extern void thrift_put_list(ThriftWriter *w, int id, ThriftType element, uint32 count);
extern void thrift_element_bool(ThriftWriter *w, bool value);
extern void thrift_element_i32(ThriftWriter *w, int32 value);
extern void thrift_element_i64(ThriftWriter *w, int64 value);
extern void thrift_element_binary(ThriftWriter *w, const void *data, size_t size);

/* ---- reading ---- */

typedef struct ThriftReader
{
	Cursor	   *cursor;
	int			depth;
	int16		last_id[THRIFT_MAX_DEPTH];
} ThriftReader;

typedef struct ThriftField
{
	int			id;
	ThriftType	type;
} ThriftField;

extern void thrift_reader_init(ThriftReader *r, Cursor *cursor);

/* Enters a struct: the outermost, an element of a list, or a field (then with thrift_enter). */
extern void thrift_struct_begin(ThriftReader *r);
extern bool thrift_next_field(ThriftReader *r, ThriftField *f);

/* The value of the field just returned; a type other than the expected one is corruption. */
extern bool thrift_read_bool(ThriftReader *r, const ThriftField *f);
extern int8 thrift_read_byte(ThriftReader *r, const ThriftField *f);
extern int16 thrift_read_i16(ThriftReader *r, const ThriftField *f);
extern int32 thrift_read_i32(ThriftReader *r, const ThriftField *f);
extern int64 thrift_read_i64(ThriftReader *r, const ThriftField *f);
extern const char *thrift_read_binary(ThriftReader *r, const ThriftField *f, uint32 *size); /* in place */
extern char *thrift_read_string(ThriftReader *r, const ThriftField *f);	/* palloc'd, NUL-terminated */
extern void thrift_enter(ThriftReader *r, const ThriftField *f);	/* field is a struct: enter it */
extern void thrift_skip_field(ThriftReader *r, const ThriftField *f);

/*
 * The header of a list field: returns the number of elements, which is
 * never more than the bytes that remain (each element takes at least one),
 * so that the caller may allocate by it: the structs of format.h are at most
 * some 300 bytes for one byte of input, so a hostile footer of n bytes costs
 * 300 n.  Elements of another type than `element` are corruption, but an
 * empty list may name any.
 */
extern uint32 thrift_read_list(ThriftReader *r, const ThriftField *f, ThriftType element);
extern void *thrift_list_alloc(uint32 count, size_t size);	/* zeroed, for that many structs */
extern bool thrift_item_bool(ThriftReader *r);
extern int32 thrift_item_i32(ThriftReader *r);
extern int64 thrift_item_i64(ThriftReader *r);
extern const char *thrift_item_binary(ThriftReader *r, uint32 *size);	/* in place */

/* Fails when a required field was not there. */
extern void thrift_require(ThriftReader *r, bool seen, const char *name);

#endif							/* TARN_PARQUET_THRIFT_H */
