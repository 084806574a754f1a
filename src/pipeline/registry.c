/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The rows of tarn.pipeline and tarn.pipeline_table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/options.h"
#include "base/privileged.h"
#include "pipeline/registry.h"

const char *const table_state_names[] = {
	[TABLE_COPY] = "copy",
	[TABLE_CATCHUP] = "catchup",
	[TABLE_LIVE] = "live",
	[TABLE_STOPPED] = "stopped",
	[TABLE_SKIPPED] = "skipped",
};

#define PIPELINE_COLUMNS \
	"id, name::text, owner, lake::text, publications::text[], enabled, " \
	"(extract(epoch from flush_interval) * 1000)::bigint, memory_limit, options, " \
	"database, system_identifier, timeline, slot::text, lsn, last_commit, flush_token::text, " \
	"coalesce(fence::text, '')"

/* The state $3, unless somebody asked for a new copy meanwhile, or stopped the table. */
#define FOLLOWING_STATE "CASE WHEN state IN ('live', 'catchup') THEN $3 ELSE state END"

/* Column `n` (from 1) of row `row` of SPI's result as a Datum. */
static Datum
result_datum(uint64 row, int n, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, n, isnull);
}

/* The same as text in the context of the caller of privileged_begin; NULL for null. */
static char *
result_text(MemoryContext context, uint64 row, int n)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, n);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

static int64
result_int64(uint64 row, int n)
{
	bool		isnull;
	Datum		value = result_datum(row, n, &isnull);
	Oid			type = SPI_gettypeid(SPI_tuptable->tupdesc, n);

	if (isnull)
		return 0;
	switch (type)
	{
		case BOOLOID:
			return DatumGetBool(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		default:
			return DatumGetInt64(value);	/* int8, pg_lsn, timestamptz */
	}
}

/* A text[] as a List of char * in `context`. */
static List *
result_list(MemoryContext context, uint64 row, int n)
{
	MemoryContext old;
	bool		isnull;
	Datum		value = result_datum(row, n, &isnull);
	Datum	   *items;
	bool	   *nulls;
	int			nitems;
	List	   *list = NIL;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &nitems);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < nitems; i++)
	{
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(items[i]));
	}
	MemoryContextSwitchTo(old);
	return list;
}

void
registry_new_token(char token[TOKEN_LENGTH + 1])
{
	pg_uuid_t	uuid;

	if (!pg_strong_random(uuid.data, UUID_LEN))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	uuid.data[6] = (uuid.data[6] & 0x0f) | 0x40;
	uuid.data[8] = (uuid.data[8] & 0x3f) | 0x80;
	strlcpy(token, DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&uuid))),
			TOKEN_LENGTH + 1);
}

/* Fills a Pipeline from row `row` of SPI's result (PIPELINE_COLUMNS). */
static Pipeline *
pipeline_from_row(MemoryContext parent, uint64 row)
{
	MemoryContext context = AllocSetContextCreate(parent, "tarn pipeline", ALLOCSET_DEFAULT_SIZES);
	Pipeline   *p = MemoryContextAllocZero(context, sizeof(Pipeline));

	p->context = context;
	p->id = (int32) result_int64(row, 1);
	p->name = result_text(context, row, 2);
	p->lake_label = MemoryContextStrdup(context, convert_name_to_lake(p->name));
	p->owner = (Oid) result_int64(row, 3);
	p->lake_name = result_text(context, row, 4);
	p->publications = result_list(context, row, 5);
	p->enabled = result_int64(row, 6) != 0;
	p->flush_interval_ms = result_int64(row, 7);
	p->memory_limit = result_int64(row, 8);
	p->options = result_list(context, row, 9);
	p->database = (Oid) result_int64(row, 10);
	p->system_identifier = (uint64) result_int64(row, 11);
	p->timeline = (uint32) result_int64(row, 12);
	p->slot = result_text(context, row, 13);
	p->lsn = (XLogRecPtr) result_int64(row, 14);
	p->last_commit = (TimestampTz) result_int64(row, 15);
	strlcpy(p->flush_token, result_text(context, row, 16), sizeof(p->flush_token));
	strlcpy(p->fence, result_text(context, row, 17), sizeof(p->fence));
	return p;
}

static TableState
state_by_name(const char *name)
{
	for (int i = 0; i < lengthof(table_state_names); i++)
	{
		if (strcmp(table_state_names[i], name) == 0)
			return (TableState) i;
	}
	elog(ERROR, "unknown table state \"%s\"", name);
}

static void
load_tables(Pipeline *p)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(p->id)};
	uint64		n;

	n = privileged_execute("SELECT relid, source_schema::text, source_table::text, namespace, table_name, "
						   "state, lsn, copy_token::text, options "
						   "FROM tarn.pipeline_table WHERE pipeline_id = $1 ORDER BY relid",
						   1, types, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(p->context);
		PipelineTable *t = palloc0(sizeof(PipelineTable));
		char	   *token;

		p->tables = lappend(p->tables, t);
		MemoryContextSwitchTo(old);
		t->relid = (Oid) result_int64(i, 1);
		t->schema = result_text(p->context, i, 2);
		t->table = result_text(p->context, i, 3);
		t->namespace = result_text(p->context, i, 4);
		t->name = result_text(p->context, i, 5);
		t->state = state_by_name(result_text(p->context, i, 6));
		t->lsn = (XLogRecPtr) result_int64(i, 7);
		token = result_text(p->context, i, 8);
		strlcpy(t->copy_token, token ? token : "", sizeof(t->copy_token));
		old = MemoryContextSwitchTo(p->context);
		registry_write_options(p->options, result_list(p->context, i, 9), &t->write);
		MemoryContextSwitchTo(old);
	}
}

Pipeline *
registry_load(int32 pipeline_id)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};
	Pipeline   *p = NULL;

	if (!OidIsValid(privileged_extension_owner()))
		return NULL;
	privileged_begin(&scope);
	if (privileged_execute("SELECT " PIPELINE_COLUMNS " FROM tarn.pipeline WHERE id = $1",
						   1, types, values, NULL, SPI_OK_SELECT) == 1)
	{
		p = pipeline_from_row(scope.context, 0);
		load_tables(p);
	}
	privileged_end(&scope);
	return p;
}

bool
registry_bound_here(const Pipeline *p)
{
	return p->database == MyDatabaseId && p->system_identifier == GetSystemIdentifier();
}

List *
registry_all(void)
{
	PrivilegedScope scope;
	List	   *list = NIL;
	uint64		n;

	if (!OidIsValid(privileged_extension_owner()))
		return NIL;
	privileged_begin(&scope);
	n = privileged_execute("SELECT " PIPELINE_COLUMNS " FROM tarn.pipeline ORDER BY id",
						   0, NULL, NULL, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < n; i++)
	{
		Pipeline   *p = pipeline_from_row(scope.context, i);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		list = lappend(list, p);
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return list;
}

int32
registry_find(const char *name)
{
	List	   *all = registry_all();
	const char **names = palloc0(sizeof(char *) * (list_length(all) + 1));
	const char *closest;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, all)
	{
		Pipeline   *p = lfirst(lc);

		if (strcmp(p->name, name) == 0)
			return p->id;
		names[i++] = p->name;
	}
	closest = option_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("pipeline \"%s\" does not exist", name),
			 closest ? errhint("Perhaps you meant the pipeline \"%s\".", closest) : 0));
}

/* Runs one statement that must touch exactly `rows` rows (-1: any number); how many it did. */
static uint64
execute_write(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls,
			  int expected, int64 rows)
{
	PrivilegedScope scope;
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute(sql, nargs, types, values, nulls, expected);
	privileged_end(&scope);
	if (rows >= 0 && n != (uint64) rows)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("pipeline was changed by another process"),
				 errdetail("%llu rows matched where %lld were expected.",
						   (unsigned long long) n, (long long) rows)));
	return n;
}

void
registry_set_slot(int32 pipeline_id, XLogRecPtr lsn, uint32 timeline)
{
	Oid			types[] = {INT4OID, LSNOID, INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id), LSNGetDatum(lsn), Int32GetDatum((int32) timeline)};

	execute_write("UPDATE tarn.pipeline SET lsn = $2, timeline = $3 WHERE id = $1",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
	execute_write("UPDATE tarn.pipeline_table SET state = 'copy' WHERE pipeline_id = $1 AND state IN ('live', 'catchup')",
				  1, types, values, NULL, SPI_OK_UPDATE, -1);
}

void
registry_begin_anew(int32 pipeline_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};

	execute_write("UPDATE tarn.pipeline SET lsn = NULL, timeline = NULL, fence = NULL, enabled = true WHERE id = $1",
				  1, types, values, NULL, SPI_OK_UPDATE, 1);
	execute_write("UPDATE tarn.pipeline_table SET state = 'copy', copy_reason = 'tarn.resync', error = NULL, "
				  "error_at = NULL WHERE pipeline_id = $1 AND state <> 'skipped'",
				  1, types, values, NULL, SPI_OK_UPDATE, -1);
}

void
registry_skip_table(int32 pipeline_id, Oid relid)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid)};

	execute_write("UPDATE tarn.pipeline_table SET state = 'skipped', error = NULL, error_at = NULL "
				  "WHERE pipeline_id = $1 AND relid = $2",
				  2, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_advance(const Pipeline *p, XLogRecPtr lsn)
{
	Oid			types[] = {INT4OID, TEXTOID, LSNOID};
	Datum		values[] = {Int32GetDatum(p->id), CStringGetTextDatum(p->flush_token), LSNGetDatum(lsn)};

	execute_write("UPDATE tarn.pipeline SET lsn = greatest(lsn, $3) "
				  "WHERE id = $1 AND flush_token = $2::uuid AND lsn IS NOT NULL",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_copy_begin(int32 pipeline_id, Oid relid, const char *copy_token)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid),
	CStringGetTextDatum(copy_token)};

	execute_write("UPDATE tarn.pipeline_table SET state = 'copy', copy_token = $3::uuid "
				  "WHERE pipeline_id = $1 AND relid = $2",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_copy_end(int32 pipeline_id, Oid relid, XLogRecPtr lsn, const LakeTable *lake)
{
	Oid			types[] = {INT4OID, OIDOID, LSNOID, INT8OID, INT8OID, INT8OID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), LSNGetDatum(lsn),
		Int64GetDatum(lake_table_rows(lake)), Int64GetDatum(lake_table_files(lake)),
	Int64GetDatum(lake_table_bytes(lake))};

	execute_write("UPDATE tarn.pipeline_table SET state = 'catchup', lsn = $3, copy_token = NULL, "
				  "row_count = $4, file_count = $5, byte_count = $6, files_written = files_written + $5, "
				  "bytes_written = bytes_written + $6, copies = copies + 1, last_copy = pg_catalog.now(), "
				  "error = NULL, error_at = NULL "
				  "WHERE pipeline_id = $1 AND relid = $2 AND state = 'copy'",
				  6, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_stop_table(int32 pipeline_id, Oid relid, const char *error)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(error)};

	execute_write("UPDATE tarn.pipeline_table SET state = 'stopped', error = $3, "
				  "error_at = pg_catalog.clock_timestamp() "
				  "WHERE pipeline_id = $1 AND relid = $2 AND state <> 'skipped'",
				  3, types, values, NULL, SPI_OK_UPDATE, -1);
}

bool
registry_copy_anew(int32 pipeline_id, Oid relid, const char *reason)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(reason)};

	return execute_write("UPDATE tarn.pipeline_table SET state = 'copy', copy_reason = $3, error = NULL, "
						 "error_at = NULL WHERE pipeline_id = $1 AND relid = $2",
						 3, types, values, NULL, SPI_OK_UPDATE, -1) > 0;
}

void
registry_rename_table(int32 pipeline_id, Oid relid, const char *schema, const char *table,
					  const char *namespace, const char *name)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(schema),
		CStringGetTextDatum(table), CStringGetTextDatum(namespace),
	CStringGetTextDatum(name)};

	(void) execute_write("UPDATE tarn.pipeline_table SET source_schema = $3::name, source_table = $4::name, "
						 "namespace = $5, table_name = $6 WHERE pipeline_id = $1 AND relid = $2",
						 6, types, values, NULL, SPI_OK_UPDATE, -1);
}

bool
registry_lake_table_taken(const char *lake, const char *namespace, const char *name)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(lake), CStringGetTextDatum(namespace), CStringGetTextDatum(name)};

	return execute_write("SELECT FROM tarn.pipeline_table WHERE lake = $1::name AND namespace = $2 AND table_name = $3",
						 3, types, values, NULL, SPI_OK_SELECT, -1) > 0;
}

void
registry_forget_table(int32 pipeline_id, Oid relid)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid)};

	(void) execute_write("DELETE FROM tarn.pipeline_table WHERE pipeline_id = $1 AND relid = $2",
						 2, types, values, NULL, SPI_OK_DELETE, -1);
}

void
registry_flush(Pipeline *p, XLogRecPtr lsn, const char *new_token)
{
	Oid			types[] = {INT4OID, TEXTOID, LSNOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(p->id), CStringGetTextDatum(p->flush_token),
	LSNGetDatum(lsn), CStringGetTextDatum(new_token)};

	execute_write("UPDATE tarn.pipeline SET lsn = greatest(lsn, $3), last_commit = pg_catalog.now(), "
				  "flush_token = $4::uuid WHERE id = $1 AND flush_token = $2::uuid AND lsn IS NOT NULL",
				  4, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_change_token(Pipeline *p)
{
	char		token[TOKEN_LENGTH + 1];
	Oid			types[] = {INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(p->id), CStringGetTextDatum(p->flush_token), (Datum) 0};

	registry_new_token(token);
	values[2] = CStringGetTextDatum(token);
	execute_write("UPDATE tarn.pipeline SET flush_token = $3::uuid WHERE id = $1 AND flush_token = $2::uuid",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
	strlcpy(p->flush_token, token, sizeof(p->flush_token));
}

void
registry_set_fence(const Pipeline *p, const char *fence)
{
	Oid			types[] = {INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(p->id), CStringGetTextDatum(p->fence), CStringGetTextDatum(fence)};

	execute_write("UPDATE tarn.pipeline SET fence = $3::uuid "
				  "WHERE id = $1 AND fence IS NOT DISTINCT FROM nullif($2, '')::uuid",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_claim_lake(int32 pipeline_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};

	execute_write("UPDATE tarn.pipeline SET fence = NULL, enabled = true WHERE id = $1",
				  1, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_catchup(int32 pipeline_id, Oid relid, bool live, XLogRecPtr lsn)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID, LSNOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid),
		CStringGetTextDatum(table_state_names[live ? TABLE_LIVE : TABLE_CATCHUP]),
	LSNGetDatum(lsn)};

	execute_write("UPDATE tarn.pipeline_table SET state = " FOLLOWING_STATE ", lsn = $4 "
				  "WHERE pipeline_id = $1 AND relid = $2",
				  4, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_table_progress(int32 pipeline_id, const PipelineTable *t, TableState state,
						XLogRecPtr lsn, const LakeTable *lake)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID, LSNOID, INT8OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(t->relid),
		CStringGetTextDatum(table_state_names[state]), LSNGetDatum(lsn),
		Int64GetDatum(lake_table_rows(lake)), Int64GetDatum(lake_table_files(lake)),
		Int64GetDatum(lake_table_bytes(lake)), Int64GetDatum(t->work.inserts), Int64GetDatum(t->work.updates),
		Int64GetDatum(t->work.deletes), Int64GetDatum(t->work.truncates), Int64GetDatum(t->work.files),
	Int64GetDatum(t->work.bytes)};

	execute_write("UPDATE tarn.pipeline_table SET state = " FOLLOWING_STATE ", lsn = $4, row_count = $5, "
				  "file_count = $6, byte_count = $7, inserts = inserts + $8, updates = updates + $9, "
				  "deletes = deletes + $10, truncates = truncates + $11, files_written = files_written + $12, "
				  "bytes_written = bytes_written + $13, last_flush = pg_catalog.now() "
				  "WHERE pipeline_id = $1 AND relid = $2",
				  lengthof(values), types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_add_garbage(const char *lake, List *paths)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];
	Datum	   *items;
	ListCell   *lc;
	int			n = 0;

	if (paths == NIL)
		return;
	items = palloc(sizeof(Datum) * list_length(paths));
	foreach(lc, paths)
		items[n++] = CStringGetTextDatum((char *) lfirst(lc));
	values[0] = CStringGetTextDatum(lake);
	values[1] = PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT));
	privileged_begin(&scope);
	privileged_execute("INSERT INTO tarn.garbage (lake, path) SELECT $1::name, pg_catalog.unnest($2) "
					   "ON CONFLICT DO NOTHING",
					   2, types, values, NULL, SPI_OK_INSERT);
	privileged_end(&scope);
}

/*
 * The oldest transaction that some snapshot of this database may still see
 * as running, widened to 64 bits.  Asked for one of our own tables: the
 * horizon of shared or system catalogs is held back by replication slots.
 */
static uint64
oldest_visible_xid(void)
{
	Oid			relid = get_relname_relid("garbage", get_namespace_oid("tarn", false));
	Relation	rel = table_open(relid, AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(rel);
	FullTransactionId next = ReadNextFullTransactionId();

	table_close(rel, AccessShareLock);
	return U64FromFullTransactionId(next) - (uint32) (XidFromFullTransactionId(next) - horizon);
}

/*
 * A reader inside this database sees the catalog rows of its snapshot; once
 * no snapshot is older than the transaction that dropped a file from the
 * tables' current state, none can ask for it.  Readers outside have the
 * grace time.
 */
List *
registry_take_garbage(const char *lake, int grace_seconds, int limit)
{
	PrivilegedScope scope;
	Oid			types[] = {TEXTOID, INT4OID, INT4OID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(lake), Int32GetDatum(grace_seconds),
		Int32GetDatum(limit),
	CStringGetTextDatum(psprintf("%llu", (unsigned long long) oldest_visible_xid()))};
	List	   *paths = NIL;
	uint64		n;

	privileged_begin(&scope);
	n = privileged_execute("DELETE FROM tarn.garbage g USING ("
						   "SELECT ctid FROM tarn.garbage WHERE lake = $1::name "
						   "AND since < pg_catalog.now() - pg_catalog.make_interval(secs => $2) "
						   "AND xid < $4::xid8 "
						   "ORDER BY since LIMIT $3) d WHERE g.ctid = d.ctid RETURNING g.path",
						   4, types, values, NULL, SPI_OK_DELETE_RETURNING);
	for (uint64 i = 0; i < n; i++)
	{
		char	   *path = result_text(scope.context, i, 1);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		paths = lappend(paths, path);
		MemoryContextSwitchTo(old);
	}
	privileged_end(&scope);
	return paths;
}
