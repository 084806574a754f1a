-- The output plugin: its options, its envelope, transaction boundaries
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_options;
SET search_path = decode_options;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY);
CREATE PUBLICATION decode_options FOR TABLE t;
CREATE PUBLICATION "decode, Odd ""name""" FOR TABLE other;
SELECT 1 FROM pg_create_logical_replication_slot('decode_options', 'tarn');

BEGIN;
INSERT INTO t VALUES (1, 'one');
UPDATE t SET v = 'two';
UPDATE t SET id = 2;
DELETE FROM t;
COMMIT;
TRUNCATE t RESTART IDENTITY;

-- publications are required
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL);
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL, 'publications', '');

-- an unknown option gets the closest as a hint
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL, 'publication', 'decode_options');

-- values are checked
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL,
	'publications', 'decode_options', 'sink', 'wire_jsn');
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL,
	'publications', 'decode_options', 'include_transactions', 'perhaps');

-- the sink of the pipelines exists in their workers only
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL,
	'publications', 'decode_options', 'sink', 'batch');

-- a publication that did not exist when the change was made
SELECT regexp_replace(data, '\d+', 'N', 'g') FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL,
	'publications', 'decode_options,decode_nowhere');

-- the envelope, in full
SELECT regexp_replace(regexp_replace(regexp_replace(data, '"[0-9A-F]+/[0-9A-F]+"', '"X/X"', 'g'), '"xid":\d+', '"xid":N'),
	'"commit_time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00"', '"commit_time":"T"') AS line
FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL, 'publications', 'decode_options');

-- every line is one JSON document, positions grow, and all lines of a transaction name the same commit
SELECT count(*) AS lines, count(DISTINCT data::jsonb ->> 'xid') AS transactions,
	count(DISTINCT data::jsonb ->> 'commit_lsn') AS commits,
	bool_and((data::jsonb ->> 'lsn')::pg_lsn < (data::jsonb ->> 'commit_lsn')::pg_lsn) AS before_commit,
	bool_and((data::jsonb ->> 'end_lsn')::pg_lsn > (data::jsonb ->> 'commit_lsn')::pg_lsn) AS after_commit,
	bool_and(position(E'\n' IN data) = 0) AS one_line
FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL, 'publications', 'decode_options');

-- without transaction boundaries
SELECT data::jsonb ->> 'op' AS op FROM pg_logical_slot_get_changes('decode_options', NULL, NULL,
	'publications', 'decode_options', 'include_transactions', 'off');

-- a transaction without published changes leaves no line
INSERT INTO other VALUES (1);
SELECT data FROM pg_logical_slot_peek_changes('decode_options', NULL, NULL, 'publications', 'decode_options');

-- names with commas, blanks and quotes
SELECT data::jsonb - '{lsn,commit_lsn,end_lsn,xid,commit_time}'::text[] AS line
FROM pg_logical_slot_get_changes('decode_options', NULL, NULL,
	'publications', 'decode_options, "decode, Odd ""name"""', 'include_transactions', 'off');

-- subtransactions: what was rolled back never shows
BEGIN;
INSERT INTO t VALUES (1, 'kept');
SAVEPOINT s;
INSERT INTO t VALUES (2, 'lost');
ROLLBACK TO s;
INSERT INTO t VALUES (3, 'kept');
COMMIT;
BEGIN;
INSERT INTO t VALUES (4, 'lost');
ROLLBACK;
SELECT data::jsonb -> 'after' AS after FROM pg_logical_slot_get_changes('decode_options', NULL, NULL,
	'publications', 'decode_options', 'include_transactions', 'off');

SELECT pg_drop_replication_slot('decode_options');
DROP PUBLICATION decode_options, "decode, Odd ""name""";
DROP SCHEMA decode_options CASCADE;
