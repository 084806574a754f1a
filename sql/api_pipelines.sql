-- Pipelines: create, look, pause, resume, flush, options, drop
\set topic api_pipelines
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2));
CREATE TABLE "Odd Name" (id int PRIMARY KEY, "Some Column" text);
CREATE TABLE events (at timestamptz, what text);
INSERT INTO orders SELECT i, 'c' || i % 10, i * 1.5 FROM generate_series(1, 1000) i;
INSERT INTO "Odd Name" VALUES (1, 'one');
CREATE PUBLICATION api_keyed FOR TABLE orders, "Odd Name";
CREATE PUBLICATION api_events FOR TABLE events WITH (publish = 'insert, truncate');

-- defaults
SELECT tarn.create_pipeline('api', lake => 'regress_lake', publications => '{api_keyed, api_events}');
SELECT name, lake, publications, owner = current_user AS mine, flush_interval, memory_limit FROM tarn.pipelines;

-- a flush waits for the copies, too
SELECT tarn.flush('api') <= pg_current_wal_lsn() AS flushed;
SELECT schema, "table", lake, lake_namespace, lake_table, state, copied_percent, rows, files, options, error
FROM tarn.tables WHERE pipeline = 'api' ORDER BY "table";
SELECT state, detail, pid IS NOT NULL AS has_worker, lag_bytes >= 0 AS lag_bytes, lag_seconds >= 0 AS lag_seconds,
	committed_lsn >= confirmed_lsn AS confirmed_after_commit, retained_wal_bytes >= 0 AS retained,
	last_commit > now() - interval '1 min' AS recent, failures, last_error
FROM tarn.pipelines;

-- the slot is one of this database, by our plugin
SELECT plugin, slot_type, database = current_database() AS here, temporary
FROM pg_replication_slots WHERE slot_name = (SELECT slot FROM tarn.pipelines WHERE name = 'api');

-- the lake is read where its tables are imported
IMPORT FOREIGN SCHEMA api_pipelines FROM SERVER regress_lake INTO regress_read;
SELECT count(*), sum(amount) FROM regress_read.orders;
SELECT * FROM regress_read."Odd Name";
\d regress_read.orders

-- changes follow
INSERT INTO orders VALUES (1001, 'new', 1.25);
UPDATE orders SET amount = 0 WHERE id <= 100;
DELETE FROM orders WHERE id > 900 AND id <= 1000;
INSERT INTO events VALUES ('2024-02-29 12:00+00', 'leap');
UPDATE "Odd Name" SET "Some Column" = 'two';
SELECT tarn.flush(pipeline => 'api', timeout => '1 min') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('orders');
SELECT * FROM regress_read.differing('events');
SELECT * FROM regress_read.differing('"Odd Name"');
SELECT "table", rows FROM tarn.tables ORDER BY 1;
SELECT transactions >= 5 AS transactions, inserts, updates, deletes, truncates FROM tarn.pipelines;

-- nothing new: a flush returns, and nothing is written
SELECT written_bytes, flushes FROM tarn.pipelines \gset before_
SELECT tarn.flush('api') IS NOT NULL AS flushed;
SELECT written_bytes = :before_written_bytes AS same_bytes, flushes = :before_flushes AS same_flushes FROM tarn.pipelines;

-- paused: the worker goes, the view says so, WAL waits
SELECT tarn.pause('api');
SELECT state FROM tarn.pipelines;
SELECT regress_read.wait_until('SELECT pid IS NULL FROM tarn.pipelines');
INSERT INTO orders VALUES (2000, 'while paused', 2);
SELECT tarn.flush('api');
SELECT count(*) FROM regress_read.orders WHERE id = 2000;
SELECT tarn.pause('api');

-- resumed
SELECT tarn.resume('api');
SELECT tarn.flush('api') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('orders');
SELECT tarn.resume('api');

-- how files are written, by table
SELECT tarn.set_table_options('api', 'orders', '{codec=lz4, encoding=delta}');
SELECT "table", options FROM tarn.tables WHERE options <> '{}';
INSERT INTO orders SELECT i, 'c' || i % 10, i * 1.5 FROM generate_series(3001, 4000) i;
SELECT tarn.flush('api') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('orders');
SELECT tarn.set_table_options('api', 'orders', '{}');

-- a table added to the publication is copied; one taken out stays in the lake as it is
CREATE TABLE later (id int PRIMARY KEY, v text);
INSERT INTO later SELECT i, 'v' || i FROM generate_series(1, 100) i;
ALTER PUBLICATION api_keyed ADD TABLE later;
SELECT regress_read.wait_until($$SELECT count(*) = 1 FROM tarn.tables WHERE "table" = 'later' AND state = 'live'$$);
INSERT INTO later VALUES (101, 'after');
SELECT tarn.flush('api') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA api_pipelines LIMIT TO (later) FROM SERVER regress_lake INTO regress_read;
SELECT * FROM regress_read.differing('later');
ALTER PUBLICATION api_keyed DROP TABLE later;
INSERT INTO later VALUES (102, 'not published');
SELECT regress_read.wait_until($$SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'later'$$);
SELECT tarn.flush('api') IS NOT NULL AS flushed;
SELECT max(id) FROM regress_read.later;

-- all in a transaction that is undone: nothing stays
BEGIN;
SELECT tarn.drop_pipeline('api');
SELECT count(*) FROM tarn.pipelines;
ROLLBACK;
SELECT tarn.flush('api') IS NOT NULL AS flushed;
CREATE TABLE undone (id int PRIMARY KEY);
CREATE PUBLICATION api_undone FOR TABLE undone;
BEGIN;
SELECT tarn.create_pipeline('undone', 'regress_lake', '{api_undone}', '1 s', '64MB', '{codec=zstd, level=9}');
SELECT name, flush_interval, memory_limit FROM tarn.pipelines WHERE name = 'undone';
ROLLBACK;
SELECT name FROM tarn.pipelines;

-- dropped: the lake's data stay, unless told otherwise
SELECT tarn.drop_pipeline('api');
SELECT regress_read.wait_until('SELECT count(*) = 0 FROM pg_replication_slots WHERE plugin = ''tarn'' AND database = current_database()');
SELECT * FROM regress_read.differing('orders');
SELECT table_namespace, table_name FROM tarn_catalog.iceberg_tables WHERE catalog_name = 'regress_lake' ORDER BY 2;

-- a pipeline over tables that are in the lake already copies them anew
UPDATE orders SET customer = 'again' WHERE id < 10;
SELECT tarn.create_pipeline('api', 'regress_lake', '{api_keyed, api_events}');
SELECT tarn.flush('api') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('orders');
ALTER PUBLICATION api_keyed ADD TABLE later;
SELECT regress_read.wait_until($$SELECT count(*) = 1 FROM tarn.tables WHERE "table" = 'later' AND state = 'live'$$);
SELECT * FROM regress_read.differing('later');
BEGIN;
SELECT tarn.drop_pipeline('api', drop_data => true);
ROLLBACK;
SELECT tarn.drop_pipeline('api', drop_data => true);
SELECT count(*) FROM regress_read.orders;
DROP PUBLICATION api_keyed, api_events, api_undone;
\i :end
