-- tarn 1.0: lake tables (Apache Iceberg) written by change capture and read by a foreign data wrapper

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tarn" to load this file. \quit

-- Who owns the schema can put operators and functions beside ours, and have them run by whoever uses ours.
DO $$
BEGIN
	IF EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
		WHERE n.nspname OPERATOR(pg_catalog.=) 'tarn'
		AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER) THEN
		RAISE EXCEPTION 'schema "tarn" exists already and does not belong to a superuser'
			USING ERRCODE = 'duplicate_schema', HINT = 'Drop or rename it, and create the extension again.';
	END IF;
END
$$;

------------------------------------------------------------------------
-- The foreign data wrapper: a server is a lake
------------------------------------------------------------------------

CREATE FUNCTION tarn.fdw_handler() RETURNS fdw_handler
AS 'MODULE_PATHNAME', 'tarn_fdw_handler' LANGUAGE C STRICT;

CREATE FUNCTION tarn.fdw_validator(options text[], catalog oid) RETURNS void
AS 'MODULE_PATHNAME', 'tarn_fdw_validator' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER tarn HANDLER tarn.fdw_handler VALIDATOR tarn.fdw_validator;

------------------------------------------------------------------------
-- The embedded catalog: the Iceberg SQL catalog, schema version V1
------------------------------------------------------------------------

CREATE SCHEMA tarn_catalog;

CREATE TABLE tarn_catalog.iceberg_tables (
	catalog_name varchar(255) NOT NULL,
	table_namespace varchar(255) NOT NULL,
	table_name varchar(255) NOT NULL,
	metadata_location varchar(1000),
	previous_metadata_location varchar(1000),
	iceberg_type varchar(5),
	PRIMARY KEY (catalog_name, table_namespace, table_name)
) WITH (fillfactor = 70);

CREATE TABLE tarn_catalog.iceberg_namespace_properties (
	catalog_name varchar(255) NOT NULL,
	namespace varchar(255) NOT NULL,
	property_key varchar(255) NOT NULL,
	property_value varchar(1000),
	PRIMARY KEY (catalog_name, namespace, property_key)
);

SELECT pg_catalog.pg_extension_config_dump('tarn_catalog.iceberg_tables', '');
SELECT pg_catalog.pg_extension_config_dump('tarn_catalog.iceberg_namespace_properties', '');

------------------------------------------------------------------------
-- Pipelines
------------------------------------------------------------------------

-- One row a pipeline: what was asked for, and how far the lake is.
CREATE TABLE tarn.pipeline (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name name NOT NULL UNIQUE,
	owner oid NOT NULL,
	lake name NOT NULL,
	publications name[] NOT NULL,
	enabled boolean NOT NULL DEFAULT true,
	flush_interval interval NOT NULL,
	memory_limit bigint NOT NULL,
	options text[] NOT NULL DEFAULT '{}',
	-- identity of the source: a copy of this database must not write into the lake
	database oid NOT NULL,
	system_identifier bigint NOT NULL,
	timeline integer,
	-- the slot's name; lsn is NULL until the slot exists
	slot name NOT NULL,
	lsn pg_lsn,
	last_commit timestamptz,
	-- files of the flush under way are named after this token, so that a crash leaves no unknown file
	flush_token uuid NOT NULL,
	-- what the lake's marker says when this database is its writer; NULL: the next start claims the lake
	fence uuid
);

-- One row a mirrored table.  state: copy (waiting or being copied), catchup (copied up to lsn, behind the
-- pipeline), live (follows the pipeline's lsn), stopped (see error), skipped (left out until it is resumed)
CREATE TABLE tarn.pipeline_table (
	pipeline_id integer NOT NULL REFERENCES tarn.pipeline ON DELETE CASCADE,
	relid oid NOT NULL,
	source_schema name NOT NULL,
	source_table name NOT NULL,
	lake name NOT NULL,
	-- of the lake table; '' and a number of ours: none, since another table has its name
	namespace text NOT NULL,
	table_name text NOT NULL,
	state text NOT NULL CHECK (state IN ('copy', 'catchup', 'live', 'stopped', 'skipped')),
	lsn pg_lsn,
	copy_token uuid,
	row_count bigint,
	file_count bigint,
	byte_count bigint,
	-- what was done since the table came to the pipeline
	inserts bigint NOT NULL DEFAULT 0,
	updates bigint NOT NULL DEFAULT 0,
	deletes bigint NOT NULL DEFAULT 0,
	truncates bigint NOT NULL DEFAULT 0,
	files_written bigint NOT NULL DEFAULT 0,
	bytes_written bigint NOT NULL DEFAULT 0,
	last_flush timestamptz,
	copies bigint NOT NULL DEFAULT 0,
	last_copy timestamptz,
	options text[] NOT NULL DEFAULT '{}',
	-- why the table was copied anew, the last time
	copy_reason text,
	error text,
	error_at timestamptz,
	PRIMARY KEY (pipeline_id, relid),
	UNIQUE (lake, namespace, table_name)
) WITH (fillfactor = 70);

-- Files that no current snapshot references: removed when no reader can need them.
CREATE TABLE tarn.garbage (
	lake name NOT NULL,
	path text NOT NULL,
	xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (lake, path)
);
CREATE INDEX garbage_since ON tarn.garbage (lake, since);

-- What is to be done in a warehouse once a drop has committed: the marker of a pipeline (with slot), and the lake's
-- garbage.  Whose it is: a copy of this database leaves it alone.  Not dumped.
CREATE TABLE tarn.removal (
	lake name NOT NULL,
	owner oid NOT NULL,
	pipeline_id integer,
	slot name,
	fence uuid,
	database oid NOT NULL,
	system_identifier bigint NOT NULL,
	data_directory bigint NOT NULL
);

-- Rows that come with a dump are disabled, and stay so until somebody says otherwise.
CREATE FUNCTION tarn.disable_restored() RETURNS trigger
AS 'MODULE_PATHNAME', 'tarn_disable_restored' LANGUAGE C;
CREATE TRIGGER disable_restored BEFORE INSERT ON tarn.pipeline
	FOR EACH ROW EXECUTE FUNCTION tarn.disable_restored();

SELECT pg_catalog.pg_extension_config_dump('tarn.pipeline', '');
SELECT pg_catalog.pg_extension_config_dump('tarn.pipeline_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tarn.pipeline_table', '');
SELECT pg_catalog.pg_extension_config_dump('tarn.garbage', '');

------------------------------------------------------------------------
-- Functions
------------------------------------------------------------------------

CREATE FUNCTION tarn.create_pipeline(
	name name,
	lake name,
	publications name[],
	flush_interval interval DEFAULT '10 s',
	memory_limit text DEFAULT '256MB',
	options text[] DEFAULT '{}',
	history boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_create_pipeline' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.drop_pipeline(name name, drop_data boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_drop_pipeline' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.pause(pipeline name)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_pause' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.resume(pipeline name)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_resume' LANGUAGE C VOLATILE STRICT;

-- Returns when all that was committed before the call is in the lake: the position it waited for.
CREATE FUNCTION tarn.flush(pipeline name, timeout interval DEFAULT '5 min')
RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'tarn_flush' LANGUAGE C VOLATILE STRICT;

-- What is not given stays as it is.
CREATE FUNCTION tarn.alter_pipeline(
	name name,
	flush_interval interval DEFAULT NULL,
	memory_limit text DEFAULT NULL,
	publications name[] DEFAULT NULL,
	options text[] DEFAULT NULL,
	owner name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_alter_pipeline' LANGUAGE C VOLATILE;

-- Leaves one table out from now on; resume with the table brings it back by a copy.
CREATE FUNCTION tarn.skip(pipeline name, source regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_skip' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.resume(pipeline name, source regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_resume_table' LANGUAGE C VOLATILE STRICT;

-- Copies all tables, or one, anew; readers see the old state until a copy is complete.
CREATE FUNCTION tarn.resync(pipeline name)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_resync' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.resync(pipeline name, source regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_resync_table' LANGUAGE C VOLATILE STRICT;

-- A lake table with the rows that the table had: those of commits up to a position (the end of their commit
-- record), or before the first commit that is later than a time.  From its history; the number of rows.
CREATE FUNCTION tarn.rebuild(source regclass, until pg_lsn DEFAULT NULL, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild' LANGUAGE C VOLATILE;

CREATE FUNCTION tarn.rebuild(source regclass, until timestamptz, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild_time' LANGUAGE C VOLATILE;

-- For literals: either.
CREATE FUNCTION tarn.rebuild(source regclass, until text, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild_text' LANGUAGE C VOLATILE;

-- The same of a history that is meant by its own name: that of a table that was dropped, or is not mirrored any more.
CREATE FUNCTION tarn.rebuild_history(lake name, namespace text, history_table text, until pg_lsn DEFAULT NULL, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild' LANGUAGE C VOLATILE;

CREATE FUNCTION tarn.rebuild_history(lake name, namespace text, history_table text, until timestamptz, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild_time' LANGUAGE C VOLATILE;

CREATE FUNCTION tarn.rebuild_history(lake name, namespace text, history_table text, until text, lake_table text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'tarn_rebuild_text' LANGUAGE C VOLATILE;

-- Removes a lake table that no pipeline keeps any more, and its files.
CREATE FUNCTION tarn.drop_lake_table(lake name, namespace text, lake_table text)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_drop_lake_table' LANGUAGE C VOLATILE STRICT;

-- Makes a pipeline that came with a dump, a template or a clone one of this database.
CREATE FUNCTION tarn.take_over(pipeline name)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_take_over' LANGUAGE C VOLATILE STRICT;

-- Brings the lake tables of a pipeline, or one, back to their state at a position, and goes on from there without a copy.
CREATE FUNCTION tarn.rollback_lake(pipeline name, lsn pg_lsn DEFAULT NULL, source regclass DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_rollback_lake' LANGUAGE C VOLATILE;

-- How files of one table are written: '{codec=lz4, encoding=compact}'.
CREATE FUNCTION tarn.set_table_options(pipeline name, source regclass, options text[])
RETURNS void
AS 'MODULE_PATHNAME', 'tarn_set_table_options' LANGUAGE C VOLATILE STRICT;

-- Notes in WAL where the shape of tables changes, so that the lake follows in the right place.
CREATE FUNCTION tarn.note_command() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'tarn_note_command' LANGUAGE C;

CREATE FUNCTION tarn.note_drop() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'tarn_note_drop' LANGUAGE C;

CREATE FUNCTION tarn.note_rewrite() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'tarn_note_rewrite' LANGUAGE C;

CREATE EVENT TRIGGER tarn_note_command ON ddl_command_end
WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'ALTER SCHEMA', 'CREATE PUBLICATION', 'ALTER PUBLICATION', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER EXTENSION')
EXECUTE FUNCTION tarn.note_command();

CREATE EVENT TRIGGER tarn_note_drop ON sql_drop
EXECUTE FUNCTION tarn.note_drop();

CREATE EVENT TRIGGER tarn_note_rewrite ON table_rewrite
EXECUTE FUNCTION tarn.note_rewrite();

-- also in sessions that apply replicated changes
ALTER EVENT TRIGGER tarn_note_command ENABLE ALWAYS;
ALTER EVENT TRIGGER tarn_note_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER tarn_note_rewrite ENABLE ALWAYS;

-- What the processes know, for the views.
CREATE FUNCTION tarn.pipeline_status(
	OUT pipeline_id integer,
	OUT pid integer,
	OUT state text,
	OUT detail text,
	OUT received_lsn pg_lsn,
	OUT committed_lsn pg_lsn,
	OUT confirmed_lsn pg_lsn,
	OUT committed_time timestamptz,
	OUT lag_seconds double precision,
	OUT last_flush timestamptz,
	OUT flushes bigint,
	OUT transactions bigint,
	OUT inserts bigint,
	OUT updates bigint,
	OUT deletes bigint,
	OUT truncates bigint,
	OUT buffered_bytes bigint,
	OUT written_bytes bigint,
	OUT failures integer,
	OUT next_start timestamptz,
	OUT last_error text,
	OUT last_error_at timestamptz,
	OUT wal_alert boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tarn_pipeline_status' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION tarn.copy_status(
	OUT pipeline_id integer,
	OUT relid oid,
	OUT blocks_done bigint,
	OUT blocks_total bigint,
	OUT rows_copied bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tarn_copy_status' LANGUAGE C VOLATILE STRICT;

------------------------------------------------------------------------
-- Views
------------------------------------------------------------------------

CREATE VIEW tarn.pipelines AS
SELECT p.name,
	p.lake,
	p.publications,
	pg_catalog.pg_get_userbyid(p.owner) AS owner,
	CASE WHEN NOT h.here THEN 'disabled' WHEN NOT p.enabled THEN 'paused' ELSE coalesce(s.state, 'unknown') END AS state,
	CASE WHEN NOT h.here THEN 'made in another database or server: see tarn.take_over' ELSE s.detail END AS detail,
	s.pid,
	CASE WHEN pg_catalog.pg_is_in_recovery() OR NOT h.here THEN NULL
		ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), coalesce(s.committed_lsn, p.lsn)) END AS lag_bytes,
	s.lag_seconds,
	s.received_lsn,
	coalesce(s.committed_lsn, p.lsn) AS committed_lsn,
	r.confirmed_flush_lsn AS confirmed_lsn,
	CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
		ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.restart_lsn) END AS retained_wal_bytes,
	s.wal_alert,
	r.wal_status,
	p.last_commit,
	s.flushes,
	s.transactions,
	s.inserts,
	s.updates,
	s.deletes,
	s.truncates,
	s.buffered_bytes,
	g.spill_bytes AS spilled_bytes,
	s.written_bytes,
	s.failures,
	s.next_start,
	s.last_error,
	s.last_error_at,
	p.flush_interval,
	p.memory_limit,
	p.options,
	p.slot
FROM tarn.pipeline p
CROSS JOIN LATERAL (SELECT p.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
	AND p.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) AS here) h
LEFT JOIN tarn.pipeline_status() s ON s.pipeline_id = p.id
LEFT JOIN pg_catalog.pg_replication_slots r ON r.slot_name = p.slot AND h.here
LEFT JOIN LATERAL pg_catalog.pg_stat_get_replication_slot(r.slot_name::pg_catalog.text) g ON true;

CREATE VIEW tarn.tables AS
SELECT p.name AS pipeline,
	t.source_schema AS schema,
	t.source_table AS "table",
	t.lake,
	nullif(t.namespace, '') AS lake_namespace,
	CASE WHEN h.mode <> 'only' AND t.namespace <> '' THEN t.table_name END AS lake_table,
	CASE WHEN h.mode <> 'false' AND t.namespace <> '' THEN t.table_name || '__history' END AS history_table,
	CASE WHEN t.state = 'copy' AND c.relid IS NOT NULL THEN 'copying' ELSE t.state END AS state,
	CASE WHEN t.state <> 'copy' THEN 100.0
		WHEN c.blocks_total > 0 THEN pg_catalog.round(100.0 * c.blocks_done / c.blocks_total, 1)
		ELSE 0.0 END AS copied_percent,
	coalesce(t.row_count, c.rows_copied) AS rows,
	t.file_count AS files,
	t.byte_count AS bytes,
	CASE WHEN t.state = 'live' THEN p.lsn ELSE t.lsn END AS lsn,
	t.inserts,
	t.updates,
	t.deletes,
	t.truncates,
	t.files_written,
	t.bytes_written,
	t.last_flush,
	t.copies,
	t.last_copy,
	t.options,
	t.copy_reason,
	t.error,
	t.error_at
FROM tarn.pipeline_table t
JOIN tarn.pipeline p ON p.id = t.pipeline_id
CROSS JOIN LATERAL (SELECT coalesce(
	(SELECT pg_catalog.lower(pg_catalog.substr(o, 9)) FROM pg_catalog.unnest(t.options) o WHERE o LIKE 'history=%'),
	(SELECT pg_catalog.lower(pg_catalog.substr(o, 9)) FROM pg_catalog.unnest(p.options) o WHERE o LIKE 'history=%'),
	'false') AS mode) h
LEFT JOIN tarn.copy_status() c ON c.pipeline_id = t.pipeline_id AND c.relid = t.relid;

------------------------------------------------------------------------
-- Rights
------------------------------------------------------------------------

-- Roles belong to all databases: the first that has the extension makes them, and they stay when it goes.
DO $$
DECLARE
	role pg_catalog.name;
BEGIN
	FOREACH role IN ARRAY '{tarn_owner,tarn_monitor}'::pg_catalog.name[] LOOP
		IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) role) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
		END IF;
	END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tarn.pipeline_status(), tarn.copy_status() FROM PUBLIC;
GRANT USAGE ON SCHEMA tarn TO PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER tarn TO tarn_owner;
GRANT USAGE ON SCHEMA tarn_catalog TO tarn_monitor, pg_monitor;
GRANT EXECUTE ON FUNCTION tarn.pipeline_status(), tarn.copy_status() TO tarn_monitor, pg_monitor;
GRANT SELECT ON tarn.pipelines, tarn.tables TO tarn_monitor, pg_monitor;
