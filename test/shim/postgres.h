/*-------------------------------------------------------------------------
 *
 * postgres.h
 *	  A stand-in for the server's postgres.h, for code that builds without it.
 *
 * The parsers and encoders of tarn (base, codec, column vectors, avro,
 * iceberg, parquet, vector, key index) know palloc, memory contexts, ereport
 * and StringInfo of the server and nothing else.  Unit tests and fuzzers
 * build them against this directory, under sanitizers that a whole server
 * would not bear.
 *
 * Semantics kept: contexts form a tree and free what they hold; reset
 * callbacks run; ereport(ERROR) jumps; palloc aligns to 8 bytes and no more
 * (on purpose: a chunk is never aligned to 16, so that UBSan finds what the
 * server would not guarantee).  An ERROR without PG_TRY ends the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_POSTGRES_H
#define TARN_SHIM_POSTGRES_H

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>
#include <unistd.h>

#define TARN_STANDALONE 1		/* built against this shim */
#define PG_VERSION_NUM 150000
#define USE_ASSERT_CHECKING 1
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define MAXIMUM_ALIGNOF 8
#define NAMEDATALEN 64
#define MAXPGPATH 1024
#define BITS_PER_BYTE 8
#define HAVE_INT128 1
#define FLEXIBLE_ARRAY_MEMBER	/* empty */

typedef int8_t int8;
typedef int16_t int16;
typedef int32_t int32;
typedef int64_t int64;
typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef __int128 int128 __attribute__((aligned(MAXIMUM_ALIGNOF)));
typedef unsigned __int128 uint128 __attribute__((aligned(MAXIMUM_ALIGNOF)));
typedef float float4;
typedef double float8;
typedef size_t Size;
typedef unsigned int Index;
typedef unsigned int Oid;
typedef uintptr_t Datum;
typedef char *Pointer;
typedef uint32 TransactionId;
typedef uint64 XLogRecPtr;
typedef uint8 bits8;

typedef struct nameData
{
	char		data[NAMEDATALEN];
} NameData;
typedef NameData *Name;
#define NameStr(name) ((name).data)

#define InvalidOid ((Oid) 0)
#define OidIsValid(oid) ((oid) != InvalidOid)
#define InvalidXLogRecPtr ((XLogRecPtr) 0)

#define INT64CONST(x) INT64_C(x)
#define UINT64CONST(x) UINT64_C(x)
#define INT64_FORMAT "%" PRId64
#define UINT64_FORMAT "%" PRIu64
#define INT64_MODIFIER "l"
#define PG_INT8_MIN INT8_MIN
#define PG_INT8_MAX INT8_MAX
#define PG_UINT8_MAX UINT8_MAX
#define PG_INT16_MIN INT16_MIN
#define PG_INT16_MAX INT16_MAX
#define PG_UINT16_MAX UINT16_MAX
#define PG_INT32_MIN INT32_MIN
#define PG_INT32_MAX INT32_MAX
#define PG_UINT32_MAX UINT32_MAX
#define PG_INT64_MIN INT64_MIN
#define PG_INT64_MAX INT64_MAX
#define PG_UINT64_MAX UINT64_MAX

#define likely(x) __builtin_expect((x) != 0, 1)
#define unlikely(x) __builtin_expect((x) != 0, 0)
#define pg_attribute_unused() __attribute__((unused))
#define pg_attribute_printf(f, a) __attribute__((format(printf, f, a)))
#define pg_attribute_noreturn() __attribute__((noreturn))
#define pg_attribute_packed() __attribute__((packed))
#define pg_attribute_aligned(a) __attribute__((aligned(a)))
#define pg_attribute_always_inline __attribute__((always_inline)) inline
#define pg_noinline __attribute__((noinline))
#define pg_unreachable() __builtin_unreachable()
#define pg_attribute_no_sanitize_alignment() __attribute__((no_sanitize("alignment")))
#define PG_USED_FOR_ASSERTS_ONLY
#define PGDLLIMPORT
#define PGDLLEXPORT
#define HAVE__BUILTIN_TYPES_COMPATIBLE_P 1

#define Assert(condition) assert(condition)
#define AssertMacro(condition) ((void) assert(condition))
#define AssertArg(condition) assert(condition)
#define StaticAssertStmt(condition, message) do { _Static_assert(condition, message); } while (0)
#define StaticAssertDecl(condition, message) _Static_assert(condition, message)

#define Min(x, y) ((x) < (y) ? (x) : (y))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define unconstify(type, expr) ((type) (expr))
#define TYPEALIGN(a, len) (((uintptr_t) (len) + ((a) - 1)) & ~((uintptr_t) ((a) - 1)))
#define TYPEALIGN_DOWN(a, len) (((uintptr_t) (len)) & ~((uintptr_t) ((a) - 1)))
#define MAXALIGN(len) TYPEALIGN(MAXIMUM_ALIGNOF, (len))
#define INTALIGN(len) TYPEALIGN(sizeof(int), (len))
#define MemSet(start, val, len) memset((start), (val), (len))
#define MemSetAligned(start, val, len) memset((start), (val), (len))
#define IS_HIGHBIT_SET(ch) ((unsigned char) (ch) & 0x80)
#define HIGHBIT 0x80
#define pg_fallthrough __attribute__((fallthrough))

#define PointerGetDatum(x) ((Datum) (x))
#define DatumGetPointer(x) ((Pointer) (x))
#define Int32GetDatum(x) ((Datum) (x))
#define DatumGetInt32(x) ((int32) (x))
#define Int64GetDatum(x) ((Datum) (x))
#define DatumGetInt64(x) ((int64) (x))

#define strtoi64(str, endptr, base) ((int64) strtol(str, endptr, base))
#define strtou64(str, endptr, base) ((uint64) strtoul(str, endptr, base))

#define strlcpy shim_strlcpy
#define strlcat shim_strlcat
extern size_t shim_strlcpy(char *dst, const char *src, size_t size);
extern size_t shim_strlcat(char *dst, const char *src, size_t size);
extern int	pg_strcasecmp(const char *a, const char *b);
extern int	pg_strncasecmp(const char *a, const char *b, size_t n);
extern unsigned char pg_tolower(unsigned char ch);
extern unsigned char pg_toupper(unsigned char ch);

typedef int (*qsort_arg_comparator) (const void *a, const void *b, void *arg);
extern void qsort_arg(void *base, size_t nel, size_t elsize, qsort_arg_comparator cmp, void *arg);

#include "utils/elog.h"
#include "utils/palloc.h"

#endif							/* TARN_SHIM_POSTGRES_H */
