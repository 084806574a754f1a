/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Workers let go of a database or an extension that is being dropped.
 *
 * DROP DATABASE fails at once while a logical slot of the database is in
 * use, and waits in vain for a connected worker; CREATE DATABASE ... TEMPLATE
 * waits in vain too.  So the command is seen before it runs, and the workers
 * of that database are asked to leave; if it fails in the end, the launcher
 * starts them again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "api/api.h"
#include "base/compat.h"
#include "pipeline/copy.h"
#include "pipeline/remover.h"
#include "pipeline/state.h"
#include "pipeline/upkeep.h"

#define LET_GO_MS 5000
#define RESTART_AFTER_MS 10000

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* Asks the workers of a database to leave, and waits for them. */
static void
let_go(Oid database)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, LET_GO_MS);
	bool		waiting = true;

	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];

		if (!state->used || state->database != database)
			continue;
		state->restart_at = TimestampTzPlusMilliseconds(now, RESTART_AFTER_MS);
		state_request(state, REQUEST_LET_GO);
	}
	while (waiting && GetCurrentTimestamp() < end)
	{
		waiting = copy_running_in(database);
		waiting |= remover_let_go(database, TimestampTzPlusMilliseconds(now, RESTART_AFTER_MS));
		for (int i = 0; i < tarn_shared->npipelines; i++)
		{
			PipelineState *state = &tarn_shared->pipelines[i];

			waiting |= state->used && state->database == database &&
				(state->pid != 0 || state->encoder_pid != 0);
		}
		if (waiting)
		{
			CHECK_FOR_INTERRUPTS();
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	}
}

/* The command has ended, well or not: the launcher need not wait any longer. */
static void
come_back(Oid database)
{
	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];

		if (state->used && state->database == database)
			state->restart_at = 0;
	}
	(void) remover_let_go(database, 0);
	state_wake_launcher();
}

/* May the user drop or copy this database at all? */
static bool
guard_allowed(Oid database)
{
	return superuser() || compat_database_ownercheck(database, GetUserId());
}

/* The database is gone, and its slots with it. */
static void
forget_database(Oid database)
{
	for (int i = 0; i < tarn_shared->npipelines; i++)
	{
		PipelineState *state = &tarn_shared->pipelines[i];

		if (state->used && state->database == database)
			state_forget(state);
	}
	remover_forget(database);
	upkeep_remove_database(database);
}

/* The database that a command needs for itself, or InvalidOid. */
static Oid
wanted_database(Node *statement)
{
	ListCell   *lc;

	if (IsA(statement, DropdbStmt))
		return get_database_oid(((DropdbStmt *) statement)->dbname, true);
	if (!IsA(statement, CreatedbStmt))
		return InvalidOid;
	foreach(lc, ((CreatedbStmt *) statement)->options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, "template") == 0 && option->arg)
			return get_database_oid(defGetString(option), true);
	}
	return InvalidOid;
}

/* Does the command take away what files are removed with that were dropped before? */
static bool
ends_lakes(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *lc;

	if (!IsA(statement, DropStmt))
		return false;
	if (drop->removeType == OBJECT_FOREIGN_SERVER)
		return true;
	if (drop->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, drop->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "tarn") == 0)
			return true;
	}
	return false;
}

/* Until they are removed; then it goes on all the same: the store may be gone for good. */
static void
wait_for_remover(Oid database)
{
	if (!remover_wait(database))
		ereport(WARNING,
				(errmsg("files of dropped lake tables are not all removed"),
				 errdetail("They are removed by a process that needs the server and the database of the lake, and stay without these.")));
}

static void
guard_utility(PlannedStmt *pstmt, const char *query, bool read_only, ProcessUtilityContext context,
			  ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Oid			database = InvalidOid;

	/* the rights are checked by the command; without them nothing is asked of the workers */
	if (context == PROCESS_UTILITY_TOPLEVEL)
		database = wanted_database(pstmt->utilityStmt);
	if (OidIsValid(database) && database != MyDatabaseId && guard_allowed(database))
	{
		if (IsA(pstmt->utilityStmt, DropdbStmt))
			wait_for_remover(database);
		let_go(database);
	}
	if (ends_lakes(pstmt->utilityStmt))
		wait_for_remover(MyDatabaseId);
	PG_TRY();
	{
		if (previous_utility)
			previous_utility(pstmt, query, read_only, context, params, env, dest, qc);
		else
			standard_ProcessUtility(pstmt, query, read_only, context, params, env, dest, qc);
		if (OidIsValid(database) && IsA(pstmt->utilityStmt, DropdbStmt) && get_database_name(database) == NULL)
			forget_database(database);
	}
	PG_FINALLY();
	{
		if (OidIsValid(database))
			come_back(database);
	}
	PG_END_TRY();
}

static void
guard_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);
	/* dropped, or updated: the workers look whether it still fits */
	if ((access == OAT_DROP || access == OAT_POST_ALTER) && class_id == ExtensionRelationId)
	{
		char	   *name = get_extension_name(object_id);

		if (name && strcmp(name, "tarn") == 0)
			api_scout_at_commit();
	}
}

void
guard_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
	previous_access = object_access_hook;
	object_access_hook = guard_access;
}
