/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  TAP for unit tests in C.
 *
 *		int
 *		main(void)
 *		{
 *			ok(1 + 1 == 2, "sums");
 *			is_int(answer(), 42, "the answer");
 *			throws(ERRCODE_DATA_CORRUPTED, parse(bad), "exceeds", "bad input is refused");
 *			return done();
 *		}
 *
 * Each test runs in a memory context of its own when it likes; done() fails
 * the program when a case failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_TEST_TAP_H
#define TARN_TEST_TAP_H

#include "postgres.h"

#include "utils/memutils.h"

extern bool tap_ok(bool passed, const char *file, int line, const char *fmt,...) pg_attribute_printf(4, 5);
extern void tap_note(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	tap_done(void);

/* Keeps bytes as a seed for a fuzzer (under $TARN_CORPUS/<fuzzer>, when set). */
extern void tap_corpus(const char *fuzzer, const char *name, const void *data, size_t size);

/* A small generator (splitmix64), seeded by the caller so that failures repeat. */
extern uint64 tap_random(uint64 *state);

#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

#define is_int(got, expected, ...) \
	do { \
		int64		got_ = (int64) (got); \
		int64		expected_ = (int64) (expected); \
		if (!ok(got_ == expected_, __VA_ARGS__)) \
			tap_note("got " INT64_FORMAT ", expected " INT64_FORMAT, got_, expected_); \
	} while (0)

#define is_str(got, expected, ...) \
	do { \
		const char *got_ = (got); \
		const char *expected_ = (expected); \
		if (!ok(got_ && strcmp(got_, expected_) == 0, __VA_ARGS__)) \
			tap_note("got \"%s\", expected \"%s\"", got_ ? got_ : "(null)", expected_); \
	} while (0)

/* Fails unless the statement raises an error with that SQLSTATE and `part` in its message or detail. */
#define throws(sqlstate, statement, part, ...) \
	do { \
		MemoryContext context_ = CurrentMemoryContext; \
		ErrorData  *volatile error_ = NULL; \
		PG_TRY(); \
		{ \
			statement; \
		} \
		PG_CATCH(); \
		{ \
			MemoryContextSwitchTo(context_); \
			error_ = CopyErrorData(); \
			FlushErrorState(); \
		} \
		PG_END_TRY(); \
		tap_throws(error_, (sqlstate), (part), __FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

extern void tap_throws(ErrorData *error, int sqlstate, const char *part,
					   const char *file, int line, const char *fmt,...) pg_attribute_printf(6, 7);

#define done() tap_done()

#endif							/* TARN_TEST_TAP_H */
