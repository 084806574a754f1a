/*-------------------------------------------------------------------------
 *
 * note.c
 *	  Event triggers: notes in WAL where the shape of tables changed.
 *
 * They run in the application's command and must not make it fail (invariant
 * I5): a note is a few dozen bytes of WAL in a transaction that writes
 * catalogs anyway, no table of ours is looked at, no right is asked for, and
 * what could raise an error is left alone.  Whether the tables are mirrored,
 * decoding finds out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/event_trigger.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "tcop/cmdtag.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "decode/note.h"

PG_FUNCTION_INFO_V1(tarn_note_command);
PG_FUNCTION_INFO_V1(tarn_note_drop);
PG_FUNCTION_INFO_V1(tarn_note_rewrite);

/* The table is rewritten for its values: see AT_REWRITE_*. */
#define REWRITE_VALUES (AT_REWRITE_DEFAULT_VAL | AT_REWRITE_COLUMN_REWRITE)

static EventTriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as an event trigger")));
	return (EventTriggerData *) fcinfo->context;
}

/* Has a table, or any of its partitions, a page? */
static bool
has_pages(Oid relid)
{
	List	   *all = find_all_inheritors(relid, NoLock, NULL);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, all)
	{
		/* ATTACH has locked it */
		Relation	rel = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (rel == NULL)
			continue;
		found |= RELKIND_HAS_STORAGE(rel->rd_rel->relkind) && RelationGetNumberOfBlocks(rel) > 0;
		relation_close(rel, NoLock);
	}
	return found;
}

/* Rows that come into a partitioned table with a partition are not told one by one. */
static void
note_attached(const AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);
		const RangeVar *partition;
		Oid			relid;

		if (command->subtype != AT_AttachPartition)
			continue;
		partition = ((PartitionCmd *) command->def)->name;
		relid = RangeVarGetRelid(partition, NoLock, true);
		if (OidIsValid(relid) && has_pages(relid))
			note_write(psprintf("%s%u partition \"%s\" was attached", NOTE_LOST,
								RangeVarGetRelid(statement->relation, NoLock, true), partition->relname));
		else if (OidIsValid(relid))
			note_write(psprintf("%s%u", NOTE_EMPTY, relid));
	}
}

/* Of new tables only partitions are a change of another's shape. */
static void
note_created(const CreateStmt *statement)
{
	Oid			relid;

	if (statement->partbound == NULL)
		return;
	relid = RangeVarGetRelid(statement->relation, NoLock, true);
	/* IF NOT EXISTS */
	if (OidIsValid(relid) && get_rel_relispartition(relid) && !has_pages(relid))
		note_write(psprintf("%s%u", NOTE_EMPTY, relid));
}

Datum
tarn_note_command(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);

	if (IsA(data->parsetree, CreateStmt))
	{
		note_created((CreateStmt *) data->parsetree);
		PG_RETURN_VOID();
	}
	if (IsA(data->parsetree, AlterTableStmt))
		note_attached((AlterTableStmt *) data->parsetree);
	/* any other command may change types, or what they are called */
	note_write(data->tag == CMDTAG_ALTER_TABLE || data->tag == CMDTAG_ALTER_PUBLICATION ||
			   data->tag == CMDTAG_CREATE_PUBLICATION ? NOTE_REFRESH : NOTE_TYPES);
	PG_RETURN_VOID();
}

Datum
tarn_note_drop(PG_FUNCTION_ARGS)
{
	(void) trigger_data(fcinfo);
	note_write(NOTE_REFRESH);
	PG_RETURN_VOID();
}

/* Does the command do more to the values than give them other types? */
static bool
computes_values(const Node *statement)
{
	ListCell   *lc;

	if (!IsA(statement, AlterTableStmt))
		return true;
	foreach(lc, ((const AlterTableStmt *) statement)->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);

		/* USING */
		if (command->subtype == AT_AlterColumnType &&
			(((ColumnDef *) command->def)->raw_default || ((ColumnDef *) command->def)->cooked_default))
			return true;
	}
	return false;
}

Datum
tarn_note_rewrite(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	Oid			relid;
	int			reason;

	relid = DatumGetObjectId(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID));
	reason = DatumGetInt32(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON));
	/* what was done to an unlogged table is not in WAL */
	if ((reason & AT_REWRITE_ALTER_PERSISTENCE) && get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED)
		note_write(psprintf("%s%u it was unlogged", NOTE_LOST, relid));
	else if ((reason & REWRITE_VALUES) == 0)
		note_write(psprintf("%s%u", NOTE_MOVED, relid));
	else if ((reason & AT_REWRITE_DEFAULT_VAL) || computes_values(data->parsetree))
		note_write(psprintf("%s%u its rows were rewritten by %s", NOTE_LOST, relid, GetCommandTagName(data->tag)));
	else
		note_write(psprintf("%s%u", NOTE_REWRITTEN, relid));
	PG_RETURN_VOID();
}
