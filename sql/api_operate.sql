-- A DBA's day: alter a pipeline, skip a table, copy tables anew
\set topic api_operate
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 10) i;
INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 10) i;
INSERT INTO c SELECT i, 'c' || i FROM generate_series(1, 10) i;
CREATE PUBLICATION operate_ab FOR TABLE a, b;
CREATE PUBLICATION operate_c FOR TABLE c;
CREATE PUBLICATION operate_few FOR TABLE a WHERE (id <= 5);
SELECT tarn.create_pipeline('operate', 'regress_lake', '{operate_ab}', flush_interval => '1 s', memory_limit => '64MB');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA api_operate FROM SERVER regress_lake INTO regress_read;

-- settings: what is not given stays
SELECT tarn.alter_pipeline('operate', flush_interval => '2 s');
SELECT flush_interval, memory_limit, publications, options FROM tarn.pipelines;
SELECT pid AS before FROM tarn.pipelines \gset
INSERT INTO a VALUES (11, 'not flushed yet');
SELECT tarn.alter_pipeline('operate', memory_limit => '32MB', options => '{codec=lz4}');
SELECT flush_interval, memory_limit, publications, options FROM tarn.pipelines;
-- another process takes over, and has lost nothing
SELECT regress_read.wait_until('SELECT pid IS NOT NULL AND pid <> ' || :before || ' FROM tarn.pipelines');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('a');
SELECT failures, last_error FROM tarn.pipelines;

-- publications: tables come and go, one is published by another and gets its rows
SELECT tarn.alter_pipeline('operate', publications => '{operate_ab, operate_c}');
INSERT INTO c VALUES (11, 'more');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
IMPORT FOREIGN SCHEMA api_operate LIMIT TO (c) FROM SERVER regress_lake INTO regress_read;
SELECT * FROM regress_read.differing('c');
SELECT tarn.alter_pipeline('operate', publications => '{operate_few, operate_c}');
UPDATE a SET v = v || '+';
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT count(*), max(id) FROM regress_read.a;
SELECT tarn.alter_pipeline('operate', publications => '{operate_ab, operate_c}');
UPDATE b SET v = v || '+';
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.differing('a');
SELECT * FROM regress_read.differing('b');
SELECT * FROM regress_read.differing('c');

-- what is refused, leaving everything as it was
SELECT tarn.alter_pipeline(NULL);
SELECT tarn.alter_pipeline('operates', flush_interval => '1 s');
SELECT tarn.alter_pipeline('operate', flush_interval => '1 ms');
SELECT tarn.alter_pipeline('operate', memory_limit => '1MB');
SELECT tarn.alter_pipeline('operate', memory_limit => 'much');
SELECT tarn.alter_pipeline('operate', options => '{codex=zstd}');
SELECT tarn.alter_pipeline('operate', options => '{codec=zstd, codec=lz4}');
SELECT tarn.alter_pipeline('operate', publications => '{}');
SELECT tarn.alter_pipeline('operate', publications => '{operate_ab, NULL}');
SELECT tarn.alter_pipeline('operate', publications => '{operate_abc}');
SELECT tarn.alter_pipeline('operate', owner => 'nobody of the kind');
CREATE ROLE regress_operate_owner LOGIN;
SELECT tarn.alter_pipeline('operate', owner => 'regress_operate_owner');
ALTER ROLE regress_operate_owner REPLICATION;
SELECT tarn.alter_pipeline('operate', owner => 'regress_operate_owner');
GRANT USAGE ON FOREIGN SERVER regress_lake TO regress_operate_owner;
SELECT tarn.alter_pipeline('operate', owner => 'regress_operate_owner');
SELECT name, flush_interval, memory_limit, publications, options, owner = current_user AS mine FROM tarn.pipelines;

-- another owner: the worker is that role's
GRANT USAGE ON SCHEMA api_operate TO regress_operate_owner;
GRANT SELECT ON a, b, c TO regress_operate_owner;
GRANT pg_write_server_files TO regress_operate_owner;
CREATE USER MAPPING FOR regress_operate_owner SERVER regress_lake :lake_keys;
INSERT INTO a VALUES (12, 'not flushed yet');
SELECT pid AS before FROM tarn.pipelines \gset
SELECT tarn.alter_pipeline('operate', owner => 'regress_operate_owner');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('a');
SELECT owner FROM tarn.pipelines;
SELECT regress_read.wait_until('SELECT count(*) = 1 FROM pg_stat_activity a JOIN tarn.pipelines p ON p.pid = a.pid WHERE a.usename IS NOT NULL AND p.pid <> ' || :before);
SELECT a.usename FROM pg_stat_activity a JOIN tarn.pipelines p ON p.pid = a.pid;
-- who is not a member of a role cannot give it the pipeline, nor a pipeline that is not theirs
CREATE ROLE regress_operate_other LOGIN REPLICATION;
SET ROLE regress_operate_other;
SELECT tarn.alter_pipeline('operate', flush_interval => '1 s');
SELECT tarn.skip('operate', 0);
SELECT tarn.resync('operate');
SELECT tarn.resync('operate', 0);
SELECT tarn.resume('operate', 0);
SELECT tarn.take_over('operate');
RESET ROLE;
SET ROLE regress_operate_owner;
-- the words differ from PostgreSQL 16 on
\set VERBOSITY sqlstate
SELECT tarn.alter_pipeline('operate', owner => 'regress_operate_other');
\set VERBOSITY default
SELECT tarn.alter_pipeline('operate', flush_interval => '1 s');
RESET ROLE;
SELECT tarn.alter_pipeline('operate', owner => current_user);
SELECT tarn.flush('operate') IS NOT NULL AS flushed;

-- skip: the table stays as it is, the others go on
SELECT tarn.skip('operate', 'b');
UPDATE a SET v = 'a, b is skipped';
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.differing('a');
-- also when the pipeline is resumed
SELECT tarn.pause('operate');
SELECT regress_read.wait_until('SELECT pid IS NULL FROM tarn.pipelines');
SELECT tarn.resume('operate');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
UPDATE a SET v = 'a, b is skipped still';
UPDATE b SET v = 'b, skipped';
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.differing('a');
SELECT count(*) FROM regress_read.b WHERE v = 'b, skipped';
SELECT tarn.resume('operate', 'b');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.differing('b');
-- a table that follows needs no resume
SELECT tarn.resume('operate', 'b');
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT tarn.skip('operate', 'pg_class');
SELECT tarn.skip('operat', 'b');
SELECT tarn.resume('operate', 'pg_class');
SELECT tarn.resync('operate', 'pg_class');
SELECT tarn.resync('operate', 'no_such_table');
SELECT tarn.skip('operate', 1);

-- resync: of one table, and of all; readers see the old state until the new one is there
SELECT tarn.resync('operate', 'c');
SELECT count(*) > 0 AS readable FROM regress_read.c;
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT * FROM regress_read.differing('c');
SELECT tarn.skip('operate', 'b');
SELECT slot, confirmed_lsn AS before FROM tarn.pipelines \gset
UPDATE a SET v = 'before the resync';
SELECT tarn.resync('operate');
UPDATE a SET v = 'after the resync' WHERE id > 3;
SELECT tarn.flush('operate') IS NOT NULL AS flushed;
SELECT "table", state, rows, copy_reason FROM tarn.tables ORDER BY 1;
SELECT slot = :'slot' AS same_slot, confirmed_lsn > :'before' AS later FROM tarn.pipelines;
SELECT * FROM regress_read.differing('a');
SELECT * FROM regress_read.differing('c');
SELECT failures FROM tarn.pipelines;

-- a pipeline of this database needs no take-over
SELECT tarn.take_over('operate');

-- rolled back, nothing of it stays
BEGIN;
SELECT tarn.alter_pipeline('operate', flush_interval => '5 s', publications => '{operate_c}');
SELECT tarn.skip('operate', 'c');
SELECT tarn.resync('operate');
ROLLBACK;
SELECT flush_interval, publications FROM tarn.pipelines;
SELECT "table", state FROM tarn.tables ORDER BY 1;

SELECT tarn.drop_pipeline('operate', drop_data => true);
DROP PUBLICATION operate_ab, operate_c, operate_few;
DROP OWNED BY regress_operate_owner, regress_operate_other;
DROP ROLE regress_operate_owner, regress_operate_other;
\i :end
