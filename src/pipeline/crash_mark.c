/*-------------------------------------------------------------------------
 *
 * crash_mark.c
 *	  How often in a row a pipeline's processes crashed.
 *
 * The files are empty and not synced: they have to outlive processes, and a
 * machine that loses power is not what a worker did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#include "base/compat.h"
#include "pipeline/crash_mark.h"

#define MARK_PREFIX "running."

/* of this process */
static char mark[MAXPGPATH] = "";

static void
make_path(char *path, Oid database, int32 pipeline_id, const char *file)
{
	snprintf(path, MAXPGPATH, "%s/pg_tarn/%u/%d%s%s", DataDir, database, pipeline_id, *file ? "/" : "", file);
}

static void
remove_own(int code, Datum arg)
{
	(void) unlink(mark);
}

/* Another process crashed, or the server stops at once: it was not us. */
static void
end_for_another(SIGNAL_ARGS)
{
	(void) unlink(mark);
	SignalHandlerForCrashExit(postgres_signal_arg);
}

/* Where it cannot be written, disks are full: no reason not to work. */
void
crash_mark_set(Oid database, int32 pipeline_id)
{
	char		folder[MAXPGPATH];
	char		name[64];
	int			fd;

	make_path(folder, database, pipeline_id, "");
	(void) pg_mkdir_p(folder, pg_dir_create_mode);
	snprintf(name, sizeof(name), MARK_PREFIX "%d", (int) MyProcPid);
	make_path(mark, database, pipeline_id, name);
	on_proc_exit(remove_own, (Datum) 0);
	pqsignal(SIGQUIT, end_for_another);
	fd = open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, pg_file_create_mode);
	if (fd >= 0)
		(void) close(fd);
}

/* Counts the marks of processes that are gone, or removes them. */
static int
look_at_marks(Oid database, int32 pipeline_id, bool take)
{
	char		folder[MAXPGPATH];
	DIR		   *dir;
	struct dirent *entry;
	int			n = 0;

	make_path(folder, database, pipeline_id, "");
	dir = AllocateDir(folder);
	while (dir != NULL && (entry = ReadDirExtended(dir, folder, DEBUG1)) != NULL)
	{
		char		path[MAXPGPATH];
		int			pid;

		if (sscanf(entry->d_name, MARK_PREFIX "%d", &pid) != 1 || pid <= 0)
			continue;
		if (pid == MyProcPid || kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		n++;
		make_path(path, database, pipeline_id, entry->d_name);
		if (take)
			(void) unlink(path);
	}
	if (dir != NULL)
		FreeDir(dir);
	return n;
}

int
crash_marks_count(Oid database, int32 pipeline_id)
{
	return look_at_marks(database, pipeline_id, false);
}

/* The first is forgiven: somebody may have killed it. */
long
crash_marks_pause_ms(int crashes)
{
	return crashes < 2 ? 0 : 500L << Min(crashes - 1, CRASH_MARKS_MAX);
}

void
crash_marks_remove(Oid database, int32 pipeline_id)
{
	(void) look_at_marks(database, pipeline_id, true);
}
