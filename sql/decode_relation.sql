-- The cache of relations: every change is seen with the table and the publications of its time
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_relation;
SET search_path = decode_relation;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE later (id int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE PUBLICATION decode_relation FOR TABLE t;
CREATE FUNCTION changes(publications text DEFAULT 'decode_relation') RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT data::jsonb - '{lsn,commit_lsn,end_lsn,xid,commit_time}'::text[]
	FROM pg_logical_slot_peek_changes('decode_relation', NULL, NULL, 'publications', publications, 'include_transactions', 'off')
$$;
SELECT 1 FROM pg_create_logical_replication_slot('decode_relation', 'tarn');

-- columns added, renamed, dropped, retyped, within one transaction too
INSERT INTO t VALUES (1, 'plain');
BEGIN;
ALTER TABLE t ADD COLUMN n int DEFAULT 5;
INSERT INTO t VALUES (2, 'added', 6);
ALTER TABLE t RENAME COLUMN v TO w;
INSERT INTO t VALUES (3, 'renamed', 7);
COMMIT;
UPDATE t SET w = 'short tuple' WHERE id = 1;
ALTER TABLE t ALTER COLUMN n TYPE text USING 'n' || n;
INSERT INTO t VALUES (4, 'retyped', 'text');
ALTER TABLE t DROP COLUMN w;
INSERT INTO t VALUES (5, 'dropped');

-- the table and its schema renamed
ALTER TABLE t RENAME TO moved;
INSERT INTO moved VALUES (6, 'renamed');
ALTER SCHEMA decode_relation RENAME TO decode_relation_new;
INSERT INTO decode_relation_new.moved VALUES (7, 'in a renamed schema');
ALTER SCHEMA decode_relation_new RENAME TO decode_relation;
ALTER TABLE moved RENAME TO t;

-- another replica identity
ALTER TABLE t REPLICA IDENTITY FULL;
DELETE FROM t WHERE id = 7;
ALTER TABLE t REPLICA IDENTITY DEFAULT;
DELETE FROM t WHERE id = 6;

-- tables come into and leave a publication
INSERT INTO later VALUES (1);
ALTER PUBLICATION decode_relation ADD TABLE later;
INSERT INTO later VALUES (2);
ALTER PUBLICATION decode_relation DROP TABLE t;
INSERT INTO t VALUES (8, 'not published');
ALTER PUBLICATION decode_relation SET TABLE t;
INSERT INTO later VALUES (3);
INSERT INTO t VALUES (9, 'published again');

-- operations come and go
ALTER PUBLICATION decode_relation SET (publish = 'delete');
INSERT INTO t VALUES (10, 'not published');
DELETE FROM t WHERE id = 9;
ALTER PUBLICATION decode_relation SET (publish = 'insert, update, delete, truncate');

-- a dropped table keeps its changes; one of the same name is another
DROP TABLE t;
CREATE TABLE t (k text PRIMARY KEY);
INSERT INTO t VALUES ('not published');
ALTER PUBLICATION decode_relation ADD TABLE t;
INSERT INTO t VALUES ('published');

-- a rewrite leaves no change
VACUUM FULL t;
SELECT * FROM changes();
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_relation', pg_current_wal_lsn());

-- whole schemas; unlogged and temporary tables, views and sequences have nothing to tell
CREATE PUBLICATION decode_schema FOR TABLES IN SCHEMA decode_relation;
CREATE TABLE fresh (id serial PRIMARY KEY);
INSERT INTO unlogged VALUES (1);
INSERT INTO fresh DEFAULT VALUES;
CREATE TEMP TABLE temporary (id int);
INSERT INTO temporary VALUES (1);
SELECT * FROM changes('decode_schema');

-- TRUNCATE of several tables: one line each
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_relation', pg_current_wal_lsn());
CREATE TABLE child (id int REFERENCES fresh);
TRUNCATE fresh, t RESTART IDENTITY CASCADE;
SELECT * FROM changes('decode_schema') line ORDER BY line ->> 'table';

-- several decodings in one session, one of them ended by an error
SELECT * FROM changes('decode_missing');
SELECT count(*) FROM changes('decode_schema');

-- a publication that is dropped is an error, for what was changed while it was gone
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_relation', pg_current_wal_lsn());
INSERT INTO fresh DEFAULT VALUES;
DROP PUBLICATION decode_schema;
SELECT count(*) FROM changes('decode_schema');
INSERT INTO fresh DEFAULT VALUES;
\set VERBOSITY terse
SELECT count(*) FROM changes('decode_schema');

SELECT pg_drop_replication_slot('decode_relation');
DROP PUBLICATION decode_relation;
DROP SCHEMA decode_relation CASCADE;
