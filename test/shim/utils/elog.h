/*-------------------------------------------------------------------------
 *
 * elog.h
 *	  ereport, PG_TRY and error data, as far as standalone code uses them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_SHIM_ELOG_H
#define TARN_SHIM_ELOG_H

#include "postgres.h"

#include "utils/errcodes.h"
#include "utils/palloc.h"

#define DEBUG5 10
#define DEBUG4 11
#define DEBUG3 12
#define DEBUG2 13
#define DEBUG1 14
#define LOG 15
#define COMMERROR 16
#define INFO 17
#define NOTICE 18
#define WARNING 19
#define ERROR 21
#define FATAL 22
#define PANIC 23

typedef struct ErrorData
{
	int			elevel;
	const char *filename;
	int			lineno;
	const char *funcname;
	int			sqlerrcode;
	char	   *message;
	char	   *detail;
	char	   *detail_log;
	char	   *hint;
	char	   *context;
	int			saved_errno;
} ErrorData;

typedef struct ErrorContextCallback
{
	struct ErrorContextCallback *previous;
	void		(*callback) (void *arg);
	void	   *arg;
} ErrorContextCallback;

extern ErrorContextCallback *error_context_stack;
extern sigjmp_buf *PG_exception_stack;

extern bool errstart(int elevel, const char *domain);
extern void errfinish(const char *filename, int lineno, const char *funcname);
extern int	errcode(int sqlerrcode);
extern int	errcode_for_file_access(void);
extern int	errmsg(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errmsg_internal(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errmsg_plural(const char *fmt_singular, const char *fmt_plural, unsigned long n,...)
			pg_attribute_printf(1, 4) pg_attribute_printf(2, 4);
extern int	errdetail(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errdetail_internal(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errdetail_log(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errhint(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	errcontext(const char *fmt,...) pg_attribute_printf(1, 2);
extern int	geterrcode(void);
extern ErrorData *CopyErrorData(void);
extern void FreeErrorData(ErrorData *edata);
extern void FlushErrorState(void);
extern void ReThrowError(ErrorData *edata) pg_attribute_noreturn();
extern void pg_re_throw(void) pg_attribute_noreturn();
extern char *unpack_sql_state(int sql_state);

#define ereport(elevel, ...) \
	do { \
		const int	elevel_ = (elevel); \
		if (errstart(elevel_, NULL)) \
			__VA_ARGS__, errfinish(__FILE__, __LINE__, __func__); \
		if (elevel_ >= ERROR) \
			pg_unreachable(); \
	} while (0)

#define elog(elevel, ...) ereport(elevel, errmsg_internal(__VA_ARGS__))

#define PG_TRY() \
	do { \
		sigjmp_buf *save_exception_stack_ = PG_exception_stack; \
		ErrorContextCallback *save_context_stack_ = error_context_stack; \
		sigjmp_buf	local_sigjmp_buf_; \
		bool		do_rethrow_ = false; \
		if (sigsetjmp(local_sigjmp_buf_, 0) == 0) \
		{ \
			PG_exception_stack = &local_sigjmp_buf_

#define PG_CATCH() \
		} \
		else \
		{ \
			PG_exception_stack = save_exception_stack_; \
			error_context_stack = save_context_stack_

#define PG_FINALLY() \
		} \
		else \
			do_rethrow_ = true; \
		{ \
			PG_exception_stack = save_exception_stack_; \
			error_context_stack = save_context_stack_

#define PG_END_TRY() \
		} \
		if (do_rethrow_) \
			PG_RE_THROW(); \
		PG_exception_stack = save_exception_stack_; \
		error_context_stack = save_context_stack_; \
	} while (0)

#define PG_RE_THROW() pg_re_throw()

#endif							/* TARN_SHIM_ELOG_H */
