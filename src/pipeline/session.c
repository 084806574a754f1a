/*-------------------------------------------------------------------------
 *
 * session.c
 *	  Starting background processes of tarn, and what each settles before it
 *	  works.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/lwlock.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "pipeline/session.h"

void
session_settle(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		COMPAT_SETTLED_PARAMETERS
		{"synchronous_commit", "on"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

void
session_reload(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
session_keep_memory(int64 limit)
{
#ifdef __GLIBC__
	/*
	 * Else each buffer would begin on fresh pages, which cost more than what
	 * is written to them.  Where little memory is allowed, holes in the heap
	 * would be too much of it.
	 */
	mallopt(M_TRIM_THRESHOLD, (int) Min(limit / 4, 64 * 1024 * 1024));
	mallopt(M_MMAP_THRESHOLD, (int) Min(limit / 8, 32 * 1024 * 1024));
	mallopt(M_TOP_PAD, (int) Min(limit / 32, 4 * 1024 * 1024));
#endif
}

BackgroundWorkerHandle *
session_start(const char *function, const char *type, const char *name,
			  Datum arg, const void *extra, size_t size)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	if (size > BGW_EXTRALEN)
		elog(ERROR, "arguments of %s are too large", type);
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = arg;
	strlcpy(worker.bgw_library_name, "tarn", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s %s", type, name);
	if (size > 0)
		memcpy(worker.bgw_extra, extra, size);
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

ErrorData *
session_take_error(MemoryContext context)
{
	ErrorData  *edata;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	MemoryContextSwitchTo(context);
	return edata;
}

char *
session_error_text(const ErrorData *edata)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, edata->message);
	if (edata->detail)
		appendStringInfo(&text, "; %s", edata->detail);
	if (edata->hint)
		appendStringInfo(&text, "; %s", edata->hint);
	return text.data;
}
