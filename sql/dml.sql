-- What applications do to rows, and what the lake makes of it
\set topic dml
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE keyed (id int PRIMARY KEY, other int UNIQUE, v text);
CREATE TABLE full_rows (a int, b text, c numeric(8,2));
CREATE TABLE by_index (id int NOT NULL, code text NOT NULL, v text);
CREATE UNIQUE INDEX by_index_code ON by_index (code, id);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
ALTER TABLE full_rows REPLICA IDENTITY FULL;
CREATE TABLE toasted (id int PRIMARY KEY, small int, big text, bytes bytea);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
CREATE TABLE filtered (id int PRIMARY KEY, country text NOT NULL, v text);
ALTER TABLE filtered REPLICA IDENTITY FULL;
CREATE TABLE narrow (id int PRIMARY KEY, secret text, v text);
CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us (v text, region text NOT NULL, gone int, id int NOT NULL);
ALTER TABLE parted_us DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_us FOR VALUES IN ('us');
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE referring (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);

INSERT INTO keyed SELECT i, -i, 'v' || i FROM generate_series(1, 100) i;
INSERT INTO full_rows SELECT i % 10, 'x', 1.5 FROM generate_series(1, 50) i;
INSERT INTO by_index SELECT i, 'c' || i, 'v' FROM generate_series(1, 50) i;
INSERT INTO toasted SELECT i, 0, repeat(md5(i::text), 200), decode(repeat(md5(i::text), 200), 'hex') FROM generate_series(1, 20) i;
INSERT INTO filtered SELECT i, CASE WHEN i % 2 = 0 THEN 'test' ELSE 'de' END, 'v' FROM generate_series(1, 20) i;
INSERT INTO narrow SELECT i, 'secret', 'v' || i FROM generate_series(1, 20) i;
INSERT INTO parted SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, 'v' FROM generate_series(1, 20) i;
INSERT INTO parent SELECT i, 'v' FROM generate_series(1, 20) i;
INSERT INTO referring SELECT i, i % 20 + 1 FROM generate_series(1, 60) i;

CREATE PUBLICATION dml FOR TABLE keyed, full_rows, by_index, toasted, filtered WHERE (country <> 'test'), narrow (id, v), parent, referring;
CREATE PUBLICATION dml_parted FOR TABLE parted WITH (publish_via_partition_root = true);
SELECT tarn.create_pipeline('dml', 'regress_lake', '{dml, dml_parted}');
SELECT tarn.flush('dml') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA dml FROM SERVER regress_lake INTO regress_read;
CREATE VIEW filtered_view AS SELECT * FROM filtered WHERE country <> 'test';
CREATE VIEW narrow_view AS SELECT id, v FROM narrow;
ALTER FOREIGN TABLE regress_read.filtered RENAME TO filtered_view;
ALTER FOREIGN TABLE regress_read.narrow RENAME TO narrow_view;
-- every table, both ways; no row is good
CREATE FUNCTION compare() RETURNS TABLE (source text, which text, "row" text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tarn.flush('dml');
	RETURN QUERY SELECT t, d.which, left(d."row", 80)
		FROM unnest('{keyed,full_rows,by_index,toasted,filtered_view,narrow_view,parted,parent,referring}'::text[]) t,
		regress_read.differing(t::regclass) d;
END $$;
SELECT * FROM compare();
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;

-- a key that changes; keys that are swapped; keys that move on
UPDATE keyed SET id = 1000 WHERE id = 1;
SELECT * FROM compare();
BEGIN;
UPDATE keyed SET id = -1 WHERE id = 2;
UPDATE keyed SET id = 2 WHERE id = 3;
UPDATE keyed SET id = 3 WHERE id = -1;
COMMIT;
SELECT * FROM compare();
UPDATE keyed SET id = id + 10000;
UPDATE keyed SET id = id - 9999;
SELECT * FROM compare();

-- deleted and inserted again: in one transaction, in one batch, over flushes
BEGIN;
DELETE FROM keyed WHERE id = 10;
INSERT INTO keyed VALUES (10, -10000, 'again');
COMMIT;
DELETE FROM keyed WHERE id = 11;
INSERT INTO keyed VALUES (11, -11000, 'again');
DELETE FROM keyed WHERE id = 11;
INSERT INTO keyed VALUES (11, -11001, 'and again');
SELECT * FROM compare();
DELETE FROM keyed WHERE id = 12;
SELECT * FROM compare();
INSERT INTO keyed VALUES (12, -12000, 'later');
SELECT * FROM compare();

-- inserted and gone before a flush; updated many times; rolled back; subtransactions
INSERT INTO keyed VALUES (5000, 5000, 'short');
UPDATE keyed SET v = 'shorter' WHERE id = 5000;
DELETE FROM keyed WHERE id = 5000;
BEGIN;
UPDATE keyed SET v = v || 'a' WHERE id = 20;
SAVEPOINT s;
UPDATE keyed SET v = v || 'b' WHERE id = 20;
DELETE FROM keyed WHERE id = 21;
ROLLBACK TO s;
UPDATE keyed SET v = v || 'c' WHERE id = 20;
SAVEPOINT s2;
UPDATE keyed SET v = v || 'd' WHERE id = 20;
RELEASE s2;
COMMIT;
BEGIN;
DELETE FROM keyed;
ROLLBACK;
INSERT INTO keyed VALUES (20, 0, 'x') ON CONFLICT (id) DO UPDATE SET v = keyed.v || ' upserted';
INSERT INTO keyed VALUES (6000, 6000, 'x') ON CONFLICT DO NOTHING;
MERGE INTO keyed USING (VALUES (20), (21), (7000)) s (id) ON keyed.id = s.id
	WHEN MATCHED AND s.id = 20 THEN DELETE
	WHEN MATCHED THEN UPDATE SET v = 'merged'
	WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.id, 'merged in');
COPY keyed FROM stdin;
8000	8000	copied
8001	8001	\N
\.
SELECT * FROM compare();

-- rows without a key: which of the equal ones goes does not matter, but how many does
DELETE FROM full_rows WHERE ctid IN (SELECT ctid FROM full_rows WHERE a = 1 LIMIT 2);
UPDATE full_rows SET c = 2 WHERE ctid IN (SELECT ctid FROM full_rows WHERE a = 2 LIMIT 1);
INSERT INTO full_rows VALUES (NULL, NULL, NULL), (NULL, NULL, NULL), (1, 'x', 1.5);
SELECT * FROM compare();
DELETE FROM full_rows WHERE ctid = (SELECT min(ctid) FROM full_rows WHERE a IS NULL);
UPDATE full_rows SET a = 3, b = 'y' WHERE a IS NULL;
INSERT INTO full_rows SELECT a, b, c FROM full_rows;
DELETE FROM full_rows WHERE a > 5;
SELECT * FROM compare();

-- the identity is an index
UPDATE by_index SET code = 'n' || code WHERE id <= 10;
UPDATE by_index SET v = 'w' WHERE id BETWEEN 5 AND 20;
DELETE FROM by_index WHERE id > 40;
SELECT * FROM compare();

-- values out of line that an update does not touch
UPDATE toasted SET small = small + 1;
SELECT * FROM compare();
UPDATE toasted SET small = small + 1;
UPDATE toasted SET small = small + 1, big = repeat('new', 3000) WHERE id <= 5;
UPDATE toasted SET small = small + 1 WHERE id <= 10;
UPDATE toasted SET id = id + 100 WHERE id > 15;
UPDATE toasted SET bytes = NULL WHERE id = 7;
BEGIN;
INSERT INTO toasted VALUES (50, 0, repeat(md5('50'), 300), '\x00');
UPDATE toasted SET small = 1 WHERE id = 50;
UPDATE toasted SET small = 2 WHERE id = 50;
COMMIT;
SELECT * FROM compare();

-- rows that come into the filter, and leave it; columns that are not published
UPDATE filtered SET country = 'fr' WHERE id = 2;
UPDATE filtered SET country = 'test' WHERE id = 1;
UPDATE filtered SET v = 'w' WHERE id IN (3, 4);
DELETE FROM filtered WHERE id IN (5, 6);
INSERT INTO filtered VALUES (100, 'test', 'no'), (101, 'it', 'yes');
UPDATE narrow SET secret = 'other';
UPDATE narrow SET v = 'w' WHERE id < 5;
INSERT INTO narrow VALUES (100, 'secret', 'v100');
SELECT * FROM compare();

-- partitions: rows that move, a partition that is truncated, one that is new
UPDATE parted SET region = 'us' WHERE id = 2;
UPDATE parted SET v = 'w' WHERE id IN (1, 4);
DELETE FROM parted WHERE id = 3;
CREATE TABLE parted_asia PARTITION OF parted FOR VALUES IN ('asia');
INSERT INTO parted VALUES (30, 'asia', 'new');
SELECT * FROM compare();

-- what triggers of foreign keys do
DELETE FROM parent WHERE id = 1;
UPDATE parent SET id = 200 WHERE id = 2;
SELECT * FROM compare();

-- truncates: alone, with rows before and after in one transaction, of several tables
TRUNCATE full_rows;
BEGIN;
INSERT INTO keyed VALUES (9000, 9000, 'before');
TRUNCATE keyed;
INSERT INTO keyed VALUES (9001, 9001, 'after'), (9002, 9002, 'after');
DELETE FROM keyed WHERE id = 9002;
COMMIT;
TRUNCATE parent CASCADE;
INSERT INTO parent VALUES (1, 'again');
BEGIN;
TRUNCATE by_index;
ROLLBACK;
SELECT * FROM compare();
TRUNCATE parted;
INSERT INTO parted VALUES (1, 'eu', 'after');
SELECT * FROM compare();

-- everything at once, in one transaction
BEGIN;
INSERT INTO keyed SELECT i, -i, 'w' || i FROM generate_series(10001, 12000) i;
UPDATE keyed SET v = 'u' WHERE id % 3 = 0;
DELETE FROM keyed WHERE id % 5 = 0;
INSERT INTO toasted SELECT id + 1000, small, big, bytes FROM toasted;
UPDATE toasted SET small = -1 WHERE id % 2 = 0;
COMMIT;
SELECT * FROM compare();
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
SELECT failures, last_error FROM tarn.pipelines;
SELECT tarn.drop_pipeline('dml', drop_data => true);
DROP PUBLICATION dml, dml_parted;
\i :end
