/*-------------------------------------------------------------------------
 *
 * failpoint.c
 *	  Named places where a test can make a process die, fail or hang.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "base/failpoint.h"

#ifdef TARN_FAILPOINTS

static char *failpoints = NULL;

/* Passages of each name in this process. */
typedef struct Passage
{
	char		name[64];
	int			count;
} Passage;

static Passage passages[64];

static int
count_passage(const char *name)
{
	for (int i = 0; i < lengthof(passages); i++)
	{
		if (passages[i].name[0] == '\0')
			strlcpy(passages[i].name, name, sizeof(passages[i].name));
		if (strcmp(passages[i].name, name) == 0)
			return ++passages[i].count;
	}
	return 0;
}

static void
hang(void)
{
	for (int i = 0; i < 300; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

static void
act(const char *name, const char *action)
{
	if (strncmp(action, "kill", 4) == 0)
		kill(MyProcPid, SIGKILL);
	else if (strncmp(action, "panic-server", 12) == 0)
	{
		kill(PostmasterPid, SIGKILL);
		kill(MyProcPid, SIGKILL);
	}
	else if (strncmp(action, "error", 5) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("failpoint \"%s\"", name)));
	else if (strncmp(action, "hang", 4) == 0)
		hang();
}

void
failpoint_pass(const char *name)
{
	const char *p = failpoints;
	size_t		length = strlen(name);
	int			passage;

	if (p == NULL || *p == '\0')
		return;
	passage = count_passage(name);
	while (p && *p)
	{
		while (*p == ' ' || *p == ',')
			p++;
		if (strncmp(p, name, length) == 0 && p[length] == '=')
		{
			const char *action = p + length + 1;
			const char *colon = action + strcspn(action, ":,");

			if (*colon != ':' || atoi(colon + 1) == passage)
				act(name, action);
		}
		p = strchr(p, ',');
	}
}

/* Passages are counted from the last setting on: what an earlier one counted is of no use. */
static void
restart_count(const char *newval, void *extra)
{
	memset(passages, 0, sizeof(passages));
}

void
failpoint_init(void)
{
	DefineCustomStringVariable("tarn.failpoints",
							   "Makes processes die, fail or hang at named places, for tests.",
							   NULL, &failpoints, "", PGC_SUSET, 0, NULL, restart_count, NULL);
}

#else

void
failpoint_init(void)
{
}

#endif
