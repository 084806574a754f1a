-- Values as JSON: the same whatever the session's settings
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_types;
SET search_path = decode_types;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE t (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text, vc varchar(10), c char(4),
	by bytea, d date, ti time, tt timetz, ts timestamp, tz timestamptz, j json, jb jsonb, u uuid, m mood, p positive,
	a int[], iv interval, tza timestamptz[]);
CREATE TABLE "Odd ""name"" \ é" (id int PRIMARY KEY, "col ""x"" \ ü" text);
CREATE TABLE nothing (dropped int);
ALTER TABLE nothing DROP COLUMN dropped;
ALTER TABLE nothing REPLICA IDENTITY FULL;
CREATE PUBLICATION decode_types FOR TABLES IN SCHEMA decode_types;
SELECT 1 FROM pg_create_logical_replication_slot('decode_types', 'tarn');

INSERT INTO t VALUES (1, true, -1, 9223372036854775807, 1.1, 0.1, 12345678901234567890.1234567890, E'tab\t"quote" \\ \n line', 'vc', 'c',
	'\x00ff', '2024-02-29', '12:34:56.789', '12:34:56+02', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02',
	E'{"a": [1,\n 2]}', '{"b": {"c": null}}', '00112233-4455-6677-8899-aabbccddeeff', 'sad', 7, '{1,2,NULL}', '1 day 02:03:04', '{2024-02-29 12:34:56.789+02}');

-- what JSON has no number for
INSERT INTO t (id, f4, f8, n) VALUES (2, 'NaN', 'Infinity', 'NaN'), (3, '-Infinity', '-Infinity', '-Infinity');

-- infinite and early dates
INSERT INTO t (id, d, ts, tz) VALUES (4, 'infinity', '-infinity', 'infinity'), (5, '0044-03-15 BC', '0044-03-15 12:00 BC', '0044-03-15 12:00+00 BC');

-- empty values are not null
INSERT INTO t (id, t, by, a) VALUES (6, '', '', '{}');

INSERT INTO "Odd ""name"" \ é" VALUES (1, 'x');

-- a table without columns
INSERT INTO nothing DEFAULT VALUES;

SET DateStyle = 'German';
SET TimeZone = 'Asia/Tokyo';
SET bytea_output = escape;
SET IntervalStyle = iso_8601;
SET extra_float_digits = -3;
SELECT jsonb_strip_nulls(data::jsonb - '{lsn,commit_lsn,end_lsn,xid,commit_time}'::text[]) AS line
FROM pg_logical_slot_peek_changes('decode_types', NULL, NULL, 'publications', 'decode_types', 'include_transactions', 'off');

-- nulls are there
SELECT data::jsonb -> 'after' AS after
FROM pg_logical_slot_get_changes('decode_types', NULL, NULL, 'publications', 'decode_types', 'include_transactions', 'off')
WHERE data::jsonb -> 'after' ->> 'id' = '6';
-- and the session has its own settings back
SHOW DateStyle;
SHOW IntervalStyle;
RESET ALL;
SET search_path = decode_types;

SELECT pg_drop_replication_slot('decode_types');
DROP PUBLICATION decode_types;
SET client_min_messages = warning;
DROP SCHEMA decode_types CASCADE;
