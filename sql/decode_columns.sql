-- Column lists, replica identities, TOAST
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_columns;
SET search_path = decode_columns;
CREATE TABLE t (id int PRIMARY KEY, a text, b text, secret text);
CREATE TABLE g (id int PRIMARY KEY, a int, doubled int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE fullid (id int, a text);
ALTER TABLE fullid REPLICA IDENTITY FULL;
CREATE TABLE nokey (a text);
CREATE TABLE byindex (id int, code text NOT NULL, v text);
CREATE UNIQUE INDEX byindex_code ON byindex (code) INCLUDE (v);
ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_code;
CREATE TABLE toasted (id int PRIMARY KEY, big text, small text);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
CREATE TABLE toasted_full (id int PRIMARY KEY, big text, small text);
ALTER TABLE toasted_full ALTER big SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE TABLE toasted_key (id text PRIMARY KEY, v int);
ALTER TABLE toasted_key ALTER id SET STORAGE EXTERNAL;
CREATE PUBLICATION decode_narrow FOR TABLE t (id, a);
CREATE PUBLICATION decode_narrow_too FOR TABLE t (a, id);
CREATE PUBLICATION decode_other FOR TABLE t (id, b), fullid;
CREATE PUBLICATION decode_whole FOR TABLE t (id, a, b, secret);
CREATE PUBLICATION decode_all_of_it FOR TABLE t;
CREATE PUBLICATION decode_rest FOR TABLE g, fullid, byindex, toasted, toasted_full, toasted_key;
CREATE PUBLICATION decode_nokey FOR TABLE nokey WITH (publish = 'insert');
CREATE PUBLICATION decode_nokey_deletes FOR TABLE fullid WITH (publish = 'delete');
CREATE FUNCTION changes(publications text) RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT data::jsonb - '{schema,lsn,commit_lsn,end_lsn,xid,commit_time}'::text[]
	FROM pg_logical_slot_peek_changes('decode_columns', NULL, NULL, 'publications', publications, 'include_transactions', 'off')
$$;
SELECT 1 FROM pg_create_logical_replication_slot('decode_columns', 'tarn');

-- only listed columns leave
INSERT INTO t VALUES (1, 'a', 'b', 'secret');
UPDATE t SET secret = 'changed';
UPDATE t SET id = 2;
DELETE FROM t;
SELECT * FROM changes('decode_narrow');

-- lists of the same columns agree, and so do a list of all columns and no list
SELECT count(*) FROM changes('decode_narrow,decode_narrow_too');
SELECT count(*) FROM changes('decode_whole,decode_all_of_it');

-- different lists do not, and the error names the table
SELECT * FROM changes('decode_narrow,decode_other');
SELECT * FROM changes('decode_narrow,decode_all_of_it');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_columns', pg_current_wal_lsn());

-- generated columns stay, as in the server's own replication
INSERT INTO g VALUES (1, 21);
SELECT * FROM changes('decode_rest');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_columns', pg_current_wal_lsn());

-- FULL: the whole old row; an index: its key columns, not those it includes
INSERT INTO fullid VALUES (1, 'a');
UPDATE fullid SET a = 'b';
DELETE FROM fullid;
INSERT INTO byindex VALUES (1, 'x', 'v');
UPDATE byindex SET v = 'w';
UPDATE byindex SET code = 'y';
DELETE FROM byindex;
INSERT INTO nokey VALUES ('append only');
SELECT * FROM changes('decode_rest,decode_nokey');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_columns', pg_current_wal_lsn());

-- a TOAST value that an update left alone is not in WAL: it is named as unchanged; with FULL the old row has it
CREATE FUNCTION shorten(line jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT replace(replace(line::text, repeat('x', 5000), '5000 x'), repeat('y', 5000), '5000 y')::jsonb
$$;
INSERT INTO toasted VALUES (1, repeat('x', 5000), 's');
UPDATE toasted SET small = 't';
UPDATE toasted SET id = 2;
UPDATE toasted SET big = repeat('y', 5000);
UPDATE toasted SET big = NULL;
INSERT INTO toasted_full SELECT 1, repeat('x', 5000), 's';
UPDATE toasted_full SET small = 't';
DELETE FROM toasted_full;
SELECT shorten(line) AS line FROM changes('decode_rest') line;
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_columns', pg_current_wal_lsn());

-- a key in TOAST is in the old row, and so in the new
INSERT INTO toasted_key VALUES ((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 70) i), 1);
UPDATE toasted_key SET v = 2;
SELECT line ->> 'op' AS op, length(line -> 'before' ->> 'id') AS before, length(line -> 'after' ->> 'id') AS after,
	line -> 'unchanged' AS unchanged
FROM changes('decode_rest') line;

SELECT pg_drop_replication_slot('decode_columns');
DROP PUBLICATION decode_narrow, decode_narrow_too, decode_other, decode_whole, decode_all_of_it, decode_rest,
	decode_nokey, decode_nokey_deletes;
DROP SCHEMA decode_columns CASCADE;
