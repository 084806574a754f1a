/*-------------------------------------------------------------------------
 *
 * failpoint.c
 *	  Named places where a test can make a process die, fail or hang.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/resource.h>
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

static Passage passages[128];

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
act_kill(const char *name, int argument)
{
	kill(MyProcPid, SIGKILL);
}

static void
act_panic_server(const char *name, int argument)
{
	kill(PostmasterPid, SIGKILL);
	kill(MyProcPid, SIGKILL);
}

static void
act_error(const char *name, int argument)
{
	/* of errors of one kind the log has the first only */
	ereport(LOG, (errmsg("failpoint \"%s\": fails", name)));
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("failpoint \"%s\"", name)));
}

static void
act_hang(const char *name, int argument)
{
	ereport(LOG, (errmsg("failpoint \"%s\": hangs", name)));
	for (int i = 0; i < (argument < 0 ? 30 : argument) * 10; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

static void
act_stop(const char *name, int argument)
{
	ereport(LOG, (errmsg("failpoint \"%s\": process %d stops", name, MyProcPid)));
	kill(MyProcPid, SIGSTOP);
}

/* As on a machine without memory: the next allocations that need more of it fail. */
static void
act_starve(const char *name, int argument)
{
	struct rlimit limit;
	unsigned long pages = 0;
	FILE	   *statm = fopen("/proc/self/statm", "r");

	if (statm == NULL || fscanf(statm, "%lu", &pages) != 1)
		elog(ERROR, "failpoint \"%s\": could not find the size of the process", name);
	fclose(statm);
	ereport(LOG, (errmsg("failpoint \"%s\": starves", name)));
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = (rlim_t) pages * sysconf(_SC_PAGESIZE) + (rlim_t) Max(argument, 0) * 1024;
	setrlimit(RLIMIT_AS, &limit);
}

static const struct
{
	const char *name;
	void		(*act) (const char *name, int argument);
}			actions[] = {
	{"kill", act_kill},
	{"panic-server", act_panic_server},
	{"error", act_error},
	{"hang", act_hang},
	{"stop", act_stop},
	{"starve", act_starve},
};

static void
act(const char *name, const char *action)
{
	size_t		length = strcspn(action, "(:,");

	for (int i = 0; i < lengthof(actions); i++)
	{
		if (strlen(actions[i].name) == length && strncmp(actions[i].name, action, length) == 0)
			actions[i].act(name, action[length] == '(' ? atoi(action + length + 1) : -1);
	}
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
