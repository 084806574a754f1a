/*-------------------------------------------------------------------------
 *
 * tap.c
 *	  TAP for unit tests in C.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "tap.h"

static int	run = 0;
static int	failed = 0;

static bool
report(bool passed, const char *file, int line, const char *fmt, va_list args)
{
	run++;
	printf("%sok %d - ", passed ? "" : "not ", run);
	vprintf(fmt, args);
	printf("\n");
	if (!passed)
	{
		failed++;
		tap_note("at %s line %d", file, line);
	}
	fflush(stdout);
	return passed;
}

bool
tap_ok(bool passed, const char *file, int line, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	report(passed, file, line, fmt, args);
	va_end(args);
	return passed;
}

void
tap_note(const char *fmt,...)
{
	va_list		args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

void
tap_throws(ErrorData *error, int sqlstate, const char *part,
		   const char *file, int line, const char *fmt,...)
{
	bool		passed = error && error->sqlerrcode == sqlstate;
	va_list		args;

	if (passed && part)
		passed = (error->message && strstr(error->message, part)) ||
			(error->detail && strstr(error->detail, part)) ||
			(error->hint && strstr(error->hint, part));
	va_start(args, fmt);
	report(passed, file, line, fmt, args);
	va_end(args);
	if (passed)
		return;
	if (error == NULL)
		tap_note("no error was raised");
	else
		tap_note("got %s: %s (detail: %s; hint: %s)", unpack_sql_state(error->sqlerrcode),
				 error->message, error->detail ? error->detail : "", error->hint ? error->hint : "");
}

int
tap_done(void)
{
	printf("1..%d\n", run);
	MemoryContextSwitchTo(TopMemoryContext);
	return failed == 0 ? 0 : 1;
}

void
tap_corpus(const char *fuzzer, const char *name, const void *data, size_t size)
{
	const char *root = getenv("TARN_CORPUS");
	char	   *dir;
	FILE	   *f;

	if (root == NULL)
		return;
	dir = psprintf("%s/%s", root, fuzzer);
	mkdir(root, 0777);
	mkdir(dir, 0777);
	f = fopen(psprintf("%s/%s", dir, name), "wb");
	if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		elog(ERROR, "could not write corpus file \"%s\" of \"%s\": %m", name, fuzzer);
}

uint64
tap_random(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
