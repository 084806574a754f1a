-- Row filters, published operations, and updates that cross a filter
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_filter;
SET search_path = decode_filter;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE f (id int, country text, v text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE PUBLICATION decode_low FOR TABLE t WHERE (id < 10);
CREATE PUBLICATION decode_high FOR TABLE t WHERE (id > 100);
CREATE PUBLICATION decode_inserts FOR TABLE t WHERE (id = 50) WITH (publish = 'insert');
CREATE PUBLICATION decode_deletes FOR TABLE t WITH (publish = 'delete');
CREATE PUBLICATION decode_countries FOR TABLE f WHERE (country <> 'test');
CREATE FUNCTION changes(publications text, slot text DEFAULT 'decode_filter') RETURNS SETOF jsonb LANGUAGE sql
SET client_min_messages = warning AS $$
	SELECT data::jsonb - '{schema,table,lsn,commit_lsn,end_lsn,xid,commit_time}'::text[]
	FROM pg_logical_slot_peek_changes(slot, NULL, NULL, 'publications', publications, 'include_transactions', 'off')
$$;
SELECT 1 FROM pg_create_logical_replication_slot('decode_filter', 'tarn');

INSERT INTO t SELECT i, 'v' || i FROM unnest('{1,2,50,101}'::int[]) i;
UPDATE t SET v = 'changed';
-- across the filter: out of it, into it, and from one filter to the other
UPDATE t SET id = 60 WHERE id = 1;
UPDATE t SET id = 3 WHERE id = 50;
UPDATE t SET id = 102 WHERE id = 2;
DELETE FROM t;

-- one filter
SELECT * FROM changes('decode_low');

-- two publications: either lets a row pass, and an update between them stays an update
SELECT * FROM changes('decode_low,decode_high');

-- operations and filters belong to their publication
SELECT * FROM changes('decode_inserts');
SELECT * FROM changes('decode_deletes');
SELECT * FROM changes('decode_low,decode_deletes');

SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_filter', pg_current_wal_lsn());

-- a null in the filter counts as false; with FULL all columns may be filtered on
INSERT INTO f VALUES (1, 'de', 'a'), (2, 'test', 'b'), (3, NULL, 'c');
UPDATE f SET country = 'test' WHERE id = 1;
UPDATE f SET country = 'fr' WHERE id = 2;
UPDATE f SET v = 'd';
DELETE FROM f;
SELECT * FROM changes('decode_countries');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_filter', pg_current_wal_lsn());

-- the filter of the time of the change is what counts
INSERT INTO t VALUES (1, 'below'), (20, 'above');
ALTER PUBLICATION decode_low SET TABLE t WHERE (id >= 10);
INSERT INTO t VALUES (2, 'below'), (21, 'above');
ALTER PUBLICATION decode_low SET TABLE t;
INSERT INTO t VALUES (3, 'below'), (22, 'above');
SELECT * FROM changes('decode_low');

-- an error in a filter names the slot and where, and the session lives
ALTER PUBLICATION decode_low SET TABLE t WHERE (10 / id > 0);
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_filter', pg_current_wal_lsn());
INSERT INTO t VALUES (0, 'zero');
\set VERBOSITY terse
SELECT * FROM changes('decode_low');
\set VERBOSITY default
SELECT * FROM changes('decode_high');

SELECT pg_drop_replication_slot('decode_filter');
DROP PUBLICATION decode_low, decode_high, decode_inserts, decode_deletes, decode_countries;
DROP SCHEMA decode_filter CASCADE;
