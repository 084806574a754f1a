/*-------------------------------------------------------------------------
 *
 * registry_write.c
 *	  Changes to the rows of tarn.pipeline and tarn.pipeline_table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/uuid.h"

#include "base/privileged.h"
#include "pipeline/registry.h"

/* The state $3, unless somebody asked for a new copy meanwhile, or stopped the table. */
#define FOLLOWING_STATE "CASE WHEN state IN ('live', 'catchup') THEN $3 ELSE state END"
#define FOLLOWING_LSN "CASE WHEN state IN ('live', 'catchup') THEN $4 ELSE lsn END"

/* How far it was followed, for a table whose state is about to be another. */
#define LEFT_LSN "CASE state WHEN 'live' THEN (SELECT p.lsn FROM tarn.pipeline p WHERE p.id = pipeline_id) ELSE lsn END"

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
registry_lock(int32 pipeline_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};

	execute_write("SELECT FROM tarn.pipeline WHERE id = $1 FOR UPDATE", 1, types, values, NULL, SPI_OK_SELECT, -1);
}

void
registry_set_slot(int32 pipeline_id, XLogRecPtr lsn, uint32 timeline)
{
	Oid			types[] = {INT4OID, LSNOID, INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id), LSNGetDatum(lsn), Int32GetDatum((int32) timeline)};

	registry_lock(pipeline_id);
	execute_write("UPDATE tarn.pipeline_table SET state = 'copy', lsn = " LEFT_LSN " "
				  "WHERE pipeline_id = $1 AND state IN ('live', 'catchup')",
				  1, types, values, NULL, SPI_OK_UPDATE, -1);
	execute_write("UPDATE tarn.pipeline SET lsn = $2, timeline = $3 WHERE id = $1",
				  3, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_begin_anew(int32 pipeline_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pipeline_id)};

	registry_lock(pipeline_id);
	execute_write("UPDATE tarn.pipeline_table SET state = 'copy', lsn = " LEFT_LSN ", copy_reason = 'tarn.resync', "
				  "error = NULL, error_at = NULL WHERE pipeline_id = $1 AND state <> 'skipped'",
				  1, types, values, NULL, SPI_OK_UPDATE, -1);
	execute_write("UPDATE tarn.pipeline SET lsn = NULL, timeline = NULL, fence = NULL, enabled = true WHERE id = $1",
				  1, types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_skip_table(int32 pipeline_id, Oid relid)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid)};

	execute_write("UPDATE tarn.pipeline_table SET state = 'skipped', lsn = " LEFT_LSN ", error = NULL, error_at = NULL "
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
registry_copy_given_up(int32 pipeline_id, Oid relid, const char *copy_token)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid),
	CStringGetTextDatum(copy_token)};

	execute_write("UPDATE tarn.pipeline_table SET copy_token = NULL "
				  "WHERE pipeline_id = $1 AND relid = $2 AND copy_token = $3::uuid",
				  3, types, values, NULL, SPI_OK_UPDATE, -1);
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
registry_put_back(int32 pipeline_id, Oid relid, XLogRecPtr lsn, const LakeTable *lake)
{
	Oid			types[] = {INT4OID, OIDOID, LSNOID, INT8OID, INT8OID, INT8OID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), LSNGetDatum(lsn),
		Int64GetDatum(lake_table_rows(lake)), Int64GetDatum(lake_table_files(lake)),
	Int64GetDatum(lake_table_bytes(lake))};

	execute_write("UPDATE tarn.pipeline_table SET state = 'catchup', lsn = $3, row_count = $4, file_count = $5, "
				  "byte_count = $6 WHERE pipeline_id = $1 AND relid = $2",
				  lengthof(values), types, values, NULL, SPI_OK_UPDATE, 1);
}

void
registry_stop_table(int32 pipeline_id, Oid relid, const char *error)
{
	PrivilegedScope scope;
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(error)};

	registry_lock(pipeline_id);
	privileged_begin(&scope);
	/* tarn.tables shows it until somebody resumes the table; the log keeps it */
	if (privileged_execute("UPDATE tarn.pipeline_table SET state = 'stopped', lsn = " LEFT_LSN ", error = $3, "
						   "error_at = pg_catalog.clock_timestamp() "
						   "WHERE pipeline_id = $1 AND relid = $2 AND state <> 'skipped' "
						   "RETURNING pg_catalog.format('%I.%I', source_schema, source_table), "
						   "(SELECT name FROM tarn.pipeline WHERE id = $1)",
						   3, types, values, NULL, SPI_OK_UPDATE_RETURNING) > 0)
		ereport(LOG,
				(errmsg("table %s of pipeline \"%s\" is stopped: %s",
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2), error)));
	privileged_end(&scope);
}

bool
registry_copy_anew(int32 pipeline_id, Oid relid, const char *reason)
{
	Oid			types[] = {INT4OID, OIDOID, TEXTOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), CStringGetTextDatum(reason)};

	return execute_write("UPDATE tarn.pipeline_table SET state = 'copy', lsn = " LEFT_LSN ", copy_reason = $3, error = NULL, "
						 "error_at = NULL WHERE pipeline_id = $1 AND relid = $2",
						 3, types, values, NULL, SPI_OK_UPDATE, -1) > 0;
}

void
registry_left_at(int32 pipeline_id, Oid relid, XLogRecPtr lsn)
{
	Oid			types[] = {INT4OID, OIDOID, LSNOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid), LSNGetDatum(lsn)};

	execute_write("UPDATE tarn.pipeline_table SET lsn = $3 WHERE pipeline_id = $1 AND relid = $2 AND lsn > $3",
				  3, types, values, NULL, SPI_OK_UPDATE, -1);
}

void
registry_history_begins(int32 pipeline_id, Oid relid)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(pipeline_id), ObjectIdGetDatum(relid)};

	execute_write("UPDATE tarn.pipeline_table SET lsn = NULL WHERE pipeline_id = $1 AND relid = $2",
				  2, types, values, NULL, SPI_OK_UPDATE, 1);
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
registry_set_fence(const Pipeline *p, const char *fence, uint32 timeline)
{
	Oid			types[] = {INT4OID, TEXTOID, TEXTOID, INT4OID};
	Datum		values[] = {Int32GetDatum(p->id), CStringGetTextDatum(p->fence), CStringGetTextDatum(fence),
	Int32GetDatum((int32) timeline)};

	execute_write("UPDATE tarn.pipeline SET fence = $3::uuid, timeline = $4 "
				  "WHERE id = $1 AND fence IS NOT DISTINCT FROM nullif($2, '')::uuid",
				  4, types, values, NULL, SPI_OK_UPDATE, 1);
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

	execute_write("UPDATE tarn.pipeline_table SET state = " FOLLOWING_STATE ", lsn = " FOLLOWING_LSN " "
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

	execute_write("UPDATE tarn.pipeline_table SET state = " FOLLOWING_STATE ", lsn = " FOLLOWING_LSN ", row_count = $5, "
				  "file_count = $6, byte_count = $7, inserts = inserts + $8, updates = updates + $9, "
				  "deletes = deletes + $10, truncates = truncates + $11, files_written = files_written + $12, "
				  "bytes_written = bytes_written + $13, last_flush = pg_catalog.now() "
				  "WHERE pipeline_id = $1 AND relid = $2",
				  lengthof(values), types, values, NULL, SPI_OK_UPDATE, 1);
}
