/*-------------------------------------------------------------------------
 *
 * drop_table.c
 *	  tarn.drop_lake_table: a lake table that no pipeline keeps any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api.h"
#include "column/convert.h"
#include "pipeline/remover.h"

PG_FUNCTION_INFO_V1(tarn_drop_lake_table);

enum
{
	ARG_LAKE, ARG_NAMESPACE, ARG_NAME
};

/* Does the pipeline still write it?  Not when the table's options leave out this one of its two. */
static bool
is_written(const ApiLakeTable *found, const char *name)
{
	const PipelineTable *t = found->kept;

	if (t == NULL)
		return false;
	return strcmp(t->name, name) == 0 ? table_mirrored(t) : t->write.history != HISTORY_NONE;
}

static void
check_unwritten(const ApiLakeTable *found, const char *name)
{
	const PipelineTable *t = found->kept;

	if (!is_written(found, name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("lake table \"%s.%s\" is written by pipeline \"%s\"", t->namespace, name, found->pipeline->name),
			 errdetail("It is the %s of table %s.", strcmp(t->name, name) == 0 ? "mirror" : "history",
					   quote_qualified_identifier(t->schema, t->table)),
			 errhint("Take the table out of its publications first, then wait with tarn.flush(%s).",
					 quote_literal_cstr(found->pipeline->name))));
}

/* Its worker may have rows of the table yet, from before an option took it out. */
static void
stop_worker(const Pipeline *p)
{
	PipelineState *state = state_find(MyDatabaseId, p->id);

	PreventInTransactionBlock(true, "tarn.drop_lake_table of a table that is mirrored");
	if (state)
		api_stop_worker(state, p->name);
	api_start_at_commit(p->id);
}

Datum
tarn_drop_lake_table(PG_FUNCTION_ARGS)
{
	const char *lake = NameStr(*PG_GETARG_NAME(ARG_LAKE));
	const char *namespace = convert_name_to_lake(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAMESPACE)));
	const char *name = convert_name_to_lake(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME)));
	ApiLakeTable found;

	PreventCommandDuringRecovery("tarn.drop_lake_table");
	api_lake_table(lake, namespace, name, &found);
	check_unwritten(&found, name);
	if (found.pipeline)
		api_check_writer(found.pipeline, found.lake->lake);
	if (found.kept)
		stop_worker(found.pipeline);
	remover_drop_table(found.lake);

	/* a pipeline may have begun with it meanwhile; one that begins from here on finds that it is gone */
	api_lake_table_keeper(lake, namespace, name, &found);
	check_unwritten(&found, name);
	PG_RETURN_VOID();
}
