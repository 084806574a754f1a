-- What is refused, by whom and how: nothing is left behind by a refusal
\set topic api_errors
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE good (id int PRIMARY KEY, v text);
INSERT INTO good VALUES (1, 'one');
CREATE PUBLICATION errors_good FOR TABLE good;
SELECT tarn.create_pipeline('errors', 'regress_lake', '{errors_good}');
SELECT tarn.flush('errors') IS NOT NULL AS flushed;

-- names that do not exist, or are taken
SELECT tarn.create_pipeline('other', 'regress_lak', '{errors_good}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_goods}');
SELECT tarn.create_pipeline('errors', 'regress_lake', '{errors_good}');
SELECT tarn.create_pipeline('', 'regress_lake', '{errors_good}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good, NULL}');
SELECT tarn.flush('erors');
SELECT tarn.pause('erors');
SELECT tarn.resume('nothing of the kind');
SELECT tarn.drop_pipeline('erors');
SELECT tarn.set_table_options('erors', 'good', '{}');
SELECT tarn.set_table_options('errors', 'pg_class', '{}');
CREATE FOREIGN DATA WRAPPER errors_wrapper;
CREATE SERVER errors_server FOREIGN DATA WRAPPER errors_wrapper;
SELECT tarn.create_pipeline('other', 'errors_server', '{errors_good}');
DROP FOREIGN DATA WRAPPER errors_wrapper CASCADE;

-- unknown options and bad values
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{codex=zstd}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{codec=zsdt}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{codec}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{level=99}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{level=many}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{level=1, level=2}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', options => '{file_bytes=12 parsecs}');
SELECT tarn.set_table_options('errors', 'good', '{encodings=delta}');
SELECT tarn.set_table_options('errors', 'good', '{encoding=deltas}');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', memory_limit => '1MB');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', memory_limit => '256 MiB');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', memory_limit => '');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', flush_interval => '1 ms');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', flush_interval => '2 days');
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}', flush_interval => '-1 s');
SELECT tarn.flush('errors', timeout => 'soon');

-- a warehouse that cannot be one
SELECT regress_read.error_of(format('CREATE SERVER bad_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse %L)', w)) AS said
FROM unnest('{lake,./lake,/lake,file:lake,file://lake,file:///,s3://,file:///tmp/../lake,file:///tmp/lake?x}'::text[]) w;
DO $$ BEGIN
	EXECUTE format('CREATE SERVER bad_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse %L)',
		'file://' || current_setting('data_directory') || '/lake');
END $$;
SELECT regress_read.error_of($$SELECT tarn.create_pipeline('other', 'bad_lake', '{errors_good}')$$);
DO $$ BEGIN
	EXECUTE format('ALTER SERVER bad_lake OPTIONS (SET warehouse %L)', 'file://' || current_setting('data_directory'));
END $$;
SELECT regress_read.error_of($$SELECT tarn.create_pipeline('other', 'bad_lake', '{errors_good}')$$);
ALTER SERVER bad_lake OPTIONS (SET warehouse 'file:///dev/null/lake');
SELECT tarn.create_pipeline('other', 'bad_lake', '{errors_good}');
ALTER SERVER bad_lake OPTIONS (SET warehouse 'file:///proc/tarn_lake');
SELECT tarn.create_pipeline('other', 'bad_lake', '{errors_good}');
DROP SERVER bad_lake;

-- two pipelines on one lake table
SELECT tarn.create_pipeline('other', 'regress_lake', '{errors_good}');

-- nothing was left behind
SELECT name FROM tarn.pipelines;
SELECT count(*) FROM pg_replication_slots WHERE plugin = 'tarn' AND database = current_database();

-- tables that come later; one without a replica identity is append only
CREATE TABLE keyless (id int, v text);
CREATE TABLE points (id int PRIMARY KEY, place point);
CREATE TABLE fine (id int PRIMARY KEY, v text);
INSERT INTO keyless VALUES (1, 'one');
INSERT INTO points VALUES (1, '(1,2)');
INSERT INTO fine VALUES (1, 'one');
ALTER PUBLICATION errors_good ADD TABLE keyless, points, fine;
SELECT regress_read.wait_until('SELECT count(*) = 4 FROM tarn.tables');
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
SELECT "table", state, rows, error, error_at IS NOT NULL AS has_time FROM tarn.tables ORDER BY 1;
SELECT state, failures, last_error FROM tarn.pipelines;

-- the server refuses what could not be told of it
ALTER TABLE points DROP COLUMN place;
SELECT tarn.resume('errors');
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
UPDATE keyless SET v = 'two';
INSERT INTO keyless VALUES (1, 'one');
INSERT INTO points VALUES (2);
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA api_errors FROM SERVER regress_lake INTO regress_read;
SELECT * FROM regress_read.differing('keyless');
SELECT * FROM regress_read.differing('points');

-- a table whose shape changes goes on
ALTER TABLE fine ADD COLUMN more int;
INSERT INTO fine VALUES (2, 'two', 2);
UPDATE good SET v = 'goes on';
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.good;

-- values that the lake cannot hold stop their table alone
CREATE TABLE days (id int PRIMARY KEY, d date);
CREATE TABLE amounts (id int PRIMARY KEY, n numeric(10,2));
CREATE TABLE moments (id int PRIMARY KEY, t timestamptz);
ALTER PUBLICATION errors_good ADD TABLE days, amounts, moments;
SELECT regress_read.wait_until($$SELECT count(*) = 3 FROM tarn.tables WHERE "table" IN ('days', 'amounts', 'moments') AND state = 'live'$$);
INSERT INTO days VALUES (1, 'infinity');
INSERT INTO amounts VALUES (1, 'NaN');
INSERT INTO moments VALUES (1, '-infinity');
UPDATE good SET v = 'goes on still';
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables WHERE "table" IN ('days', 'amounts', 'moments') ORDER BY 1;
SELECT * FROM regress_read.good;
-- mended, they are copied anew
UPDATE days SET d = '2024-01-01';
UPDATE amounts SET n = 1;
UPDATE moments SET t = '2024-01-01 00:00+00';
SELECT tarn.resume('errors');
SELECT tarn.flush('errors') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables WHERE "table" IN ('days', 'amounts', 'moments') ORDER BY 1;

SELECT tarn.drop_pipeline('errors', drop_data => true);

-- rights, one after the other
CREATE ROLE regress_tarn_owner;
GRANT USAGE ON SCHEMA api_errors TO regress_tarn_owner;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'regress_lake', '{errors_good}');
RESET ROLE;
ALTER ROLE regress_tarn_owner REPLICATION;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'regress_lake', '{errors_good}');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER regress_lake TO regress_tarn_owner;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'regress_lake', '{errors_good}');
RESET ROLE;
ALTER ROLE regress_tarn_owner LOGIN;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'regress_lake', '{errors_good}');
RESET ROLE;
GRANT SELECT ON good, keyless, points, fine, days, amounts, moments TO regress_tarn_owner;
DO $$ BEGIN
	EXECUTE format('CREATE SERVER owned_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse %L)',
		'file://' || regexp_replace(current_setting('data_directory'), '/[^/]*$', '') || '/tarn_regress_owned');
END $$;
GRANT USAGE ON FOREIGN SERVER owned_lake TO regress_tarn_owner;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'owned_lake', '{errors_good}');
RESET ROLE;
GRANT pg_write_server_files TO regress_tarn_owner;
SET ROLE regress_tarn_owner;
SELECT tarn.create_pipeline('mine', 'owned_lake', '{errors_good}');
RESET ROLE;
SELECT tarn.flush('mine') IS NOT NULL AS flushed;
SELECT name, owner, failures, last_error FROM tarn.pipelines;

-- rights that are taken away later stop what needs them; others than the owner have none at all
CREATE ROLE regress_tarn_other;
SET ROLE regress_tarn_other;
SELECT tarn.flush('mine');
SELECT tarn.pause('mine');
SELECT tarn.resume('mine');
SELECT tarn.drop_pipeline('mine');
SELECT tarn.set_table_options('mine', 'pg_class', '{}');
SELECT * FROM tarn.pipelines;
SELECT * FROM tarn.tables;
SELECT * FROM tarn.pipeline_status();
SELECT * FROM tarn.copy_status();
SELECT * FROM tarn.pipeline;
SELECT * FROM tarn.garbage;
SELECT * FROM tarn_catalog.iceberg_tables;
RESET ROLE;
SET ROLE regress_tarn_owner;
SELECT tarn.flush('mine') IS NOT NULL AS flushed;
RESET ROLE;
SELECT tarn.drop_pipeline('mine', drop_data => true);
DROP SERVER owned_lake;
DROP PUBLICATION errors_good;
DROP OWNED BY regress_tarn_owner;
DROP ROLE regress_tarn_owner, regress_tarn_other;
\i :end
