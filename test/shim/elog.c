/*-------------------------------------------------------------------------
 *
 * elog.c
 *	  ereport and its catchers.
 *
 * Messages live in ErrorContext until FlushErrorState.  Below ERROR a
 * message goes to stderr when TARN_SHIM_VERBOSE is set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define ERROR_STACK 5

ErrorContextCallback *error_context_stack = NULL;
sigjmp_buf *PG_exception_stack = NULL;
volatile int InterruptPending = 0;

static ErrorData errors[ERROR_STACK];
static int	depth = -1;

static ErrorData *
current(void)
{
	if (depth < 0)
	{
		fprintf(stderr, "errstart was not called\n");
		abort();
	}
	return &errors[depth];
}

bool
errstart(int elevel, const char *domain)
{
	if (elevel < ERROR && getenv("TARN_SHIM_VERBOSE") == NULL)
		return false;
	if (depth + 1 >= ERROR_STACK)
	{
		fprintf(stderr, "error stack exceeded: %s\n", errors[depth].message);
		abort();
	}
	depth++;
	memset(&errors[depth], 0, sizeof(ErrorData));
	errors[depth].elevel = elevel;
	errors[depth].sqlerrcode = elevel >= ERROR ? ERRCODE_INTERNAL_ERROR : ERRCODE_WARNING;
	errors[depth].saved_errno = errno;
	return true;
}

static void
print_error(const ErrorData *e)
{
	fprintf(stderr, "%s:%d: %s: %s: %s\n", e->filename, e->lineno,
			e->elevel >= ERROR ? "ERROR" : "NOTICE",
			unpack_sql_state(e->sqlerrcode), e->message ? e->message : "(no message)");
	if (e->detail)
		fprintf(stderr, "DETAIL: %s\n", e->detail);
	if (e->hint)
		fprintf(stderr, "HINT: %s\n", e->hint);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	ErrorData  *e = current();

	e->filename = filename;
	e->lineno = lineno;
	e->funcname = funcname;
	for (ErrorContextCallback *cb = error_context_stack; cb; cb = cb->previous)
		cb->callback(cb->arg);
	if (e->elevel >= ERROR)
		pg_re_throw();
	print_error(e);
	depth--;
}

void
pg_re_throw(void)
{
	if (PG_exception_stack == NULL)
	{
		fprintf(stderr, "uncaught error:\n");
		print_error(current());
		abort();
	}
	siglongjmp(*PG_exception_stack, 1);
}

int
errcode(int sqlerrcode)
{
	current()->sqlerrcode = sqlerrcode;
	return 0;
}

int
errcode_for_file_access(void)
{
	static const struct
	{
		int			number;
		int			code;
	}			map[] = {
		{EPERM, ERRCODE_INSUFFICIENT_PRIVILEGE},
		{EACCES, ERRCODE_INSUFFICIENT_PRIVILEGE},
		{EROFS, ERRCODE_INSUFFICIENT_PRIVILEGE},
		{ENOENT, ERRCODE_UNDEFINED_FILE},
		{EEXIST, ERRCODE_DUPLICATE_FILE},
		{ENOSPC, ERRCODE_DISK_FULL},
		{ENOMEM, ERRCODE_OUT_OF_MEMORY},
		{EIO, ERRCODE_IO_ERROR},
	};

	current()->sqlerrcode = ERRCODE_INTERNAL_ERROR;
	for (size_t i = 0; i < lengthof(map); i++)
		if (map[i].number == current()->saved_errno)
			current()->sqlerrcode = map[i].code;
	return 0;
}

static char *
format(const char *fmt, va_list args)
{
	ErrorData  *e = current();
	va_list		copy;
	char	   *text;
	int			n;

	errno = e->saved_errno;
	va_copy(copy, args);
	n = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	text = MemoryContextAlloc(ErrorContext, (Size) n + 1);
	errno = e->saved_errno;
	vsnprintf(text, (size_t) n + 1, fmt, args);
	return text;
}

#define ERROR_TEXT(function, field) \
	int \
	function(const char *fmt,...) \
	{ \
		va_list		args; \
		\
		va_start(args, fmt); \
		current()->field = format(fmt, args); \
		va_end(args); \
		return 0; \
	}

ERROR_TEXT(errmsg, message)
ERROR_TEXT(errmsg_internal, message)
ERROR_TEXT(errdetail, detail)
ERROR_TEXT(errdetail_internal, detail)
ERROR_TEXT(errdetail_log, detail_log)
ERROR_TEXT(errhint, hint)
ERROR_TEXT(errcontext, context)

int
errmsg_plural(const char *fmt_singular, const char *fmt_plural, unsigned long n,...)
{
	va_list		args;

	va_start(args, n);
	current()->message = format(n == 1 ? fmt_singular : fmt_plural, args);
	va_end(args);
	return 0;
}

int
geterrcode(void)
{
	return current()->sqlerrcode;
}

static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

static void
copy_texts(ErrorData *e)
{
	e->message = copy_text(e->message);
	e->detail = copy_text(e->detail);
	e->detail_log = copy_text(e->detail_log);
	e->hint = copy_text(e->hint);
	e->context = copy_text(e->context);
}

ErrorData *
CopyErrorData(void)
{
	ErrorData  *copy = palloc(sizeof(ErrorData));

	*copy = *current();
	copy_texts(copy);
	return copy;
}

void
FreeErrorData(ErrorData *edata)
{
	char	   *texts[] = {edata->message, edata->detail, edata->detail_log,
	edata->hint, edata->context};

	for (size_t i = 0; i < lengthof(texts); i++)
		if (texts[i])
			pfree(texts[i]);
	pfree(edata);
}

void
FlushErrorState(void)
{
	depth = -1;
	MemoryContextReset(ErrorContext);
}

void
ReThrowError(ErrorData *edata)
{
	MemoryContext old = MemoryContextSwitchTo(ErrorContext);

	errstart(edata->elevel, NULL);
	errors[depth] = *edata;
	copy_texts(&errors[depth]);
	MemoryContextSwitchTo(old);
	pg_re_throw();
}

char *
unpack_sql_state(int sql_state)
{
	static char buf[6];

	for (int i = 0; i < 5; i++)
	{
		buf[i] = (char) ((sql_state & 0x3F) + '0');
		sql_state >>= 6;
	}
	return buf;
}

void
ProcessInterrupts(void)
{
	InterruptPending = 0;
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling statement due to user request")));
}
