-- What the views show, and to whom: nothing secret
\set topic api_views
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 10) i;
CREATE PUBLICATION api_views FOR TABLE t;
SELECT tarn.create_pipeline('views', 'regress_lake', '{api_views}', flush_interval => '1 s', memory_limit => '64MB');
SELECT tarn.flush('views') IS NOT NULL AS flushed;
\d tarn.pipelines
\d tarn.tables

CREATE ROLE regress_tarn_monitor;
SET ROLE regress_tarn_monitor;
SELECT name FROM tarn.pipelines;
RESET ROLE;
GRANT pg_monitor TO regress_tarn_monitor;
SET ROLE regress_tarn_monitor;
SELECT name, state, flush_interval, memory_limit, last_error FROM tarn.pipelines;
SELECT pipeline, schema, "table", state, rows, files FROM tarn.tables;
SELECT count(*) FROM tarn.pipeline_status();
SELECT count(*) FROM tarn.copy_status();
-- but not what is behind them
SELECT * FROM tarn.pipeline;
SELECT * FROM tarn.pipeline_table;
SELECT * FROM tarn.garbage;
SELECT tarn.flush('views');
RESET ROLE;
DROP ROLE regress_tarn_monitor;

-- keys of a user mapping are in no view and no error
ALTER USER MAPPING FOR CURRENT_USER SERVER regress_lake OPTIONS (session_token 'regress-secret');
SELECT count(*) FROM tarn.pipelines p WHERE p::text LIKE '%regress-secret%';
SELECT count(*) FROM tarn.tables t WHERE t::text LIKE '%regress-secret%';
ALTER USER MAPPING FOR CURRENT_USER SERVER regress_lake OPTIONS (DROP session_token);

-- the fields move
SELECT flushes, inserts, written_bytes FROM tarn.pipelines \gset before_
INSERT INTO t SELECT i, 'v' || i FROM generate_series(11, 20) i;
SELECT tarn.flush('views') IS NOT NULL AS flushed;
SELECT flushes - :before_flushes AS flushes, inserts - :before_inserts AS inserts,
	written_bytes > :before_written_bytes AS more_bytes, buffered_bytes FROM tarn.pipelines;
SELECT rows, files FROM tarn.tables;
TRUNCATE t;
SELECT tarn.flush('views') IS NOT NULL AS flushed;
SELECT truncates FROM tarn.pipelines;
SELECT rows, files FROM tarn.tables;

-- lake tables are in the catalog that other engines read
SELECT table_namespace, table_name, iceberg_type, metadata_location LIKE '%.metadata.json' AS metadata,
	previous_metadata_location LIKE '%.metadata.json' AS previous
FROM tarn_catalog.iceberg_tables WHERE catalog_name = 'regress_lake';
SELECT namespace, property_key FROM tarn_catalog.iceberg_namespace_properties
WHERE catalog_name = 'regress_lake' AND namespace = 'api_views';
SELECT tarn.drop_pipeline('views', drop_data => true);
DROP PUBLICATION api_views;
\i :end
