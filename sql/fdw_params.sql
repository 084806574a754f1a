-- Scans whose filters take values from elsewhere: nested loops, LATERAL, subqueries, prepared statements, cursors
\set topic params
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE events (id int PRIMARY KEY, kind text, at timestamptz, n numeric(10,2));
INSERT INTO events SELECT i, 'k' || i % 7, timestamptz '2024-01-01 00:00+00' + i * interval '1 h', i / 4.0 FROM generate_series(1, 30000) i;
CREATE TABLE kinds (kind text PRIMARY KEY, name text);
INSERT INTO kinds SELECT 'k' || i, 'kind ' || i FROM generate_series(0, 9) i;
CREATE PUBLICATION params FOR TABLE events, kinds;
SELECT tarn.create_pipeline('params', 'regress_lake', '{params}');
SELECT tarn.flush('params') IS NOT NULL AS flushed;
INSERT INTO events SELECT i, 'k' || i % 7, timestamptz '2024-01-01 00:00+00' + i * interval '1 h', i / 4.0 FROM generate_series(30001, 40000) i;
SELECT tarn.flush('params') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA params FROM SERVER regress_lake INTO regress_read;
CREATE TABLE wanted (id int, kind text, n bigint);
INSERT INTO wanted SELECT i * 3001, 'k' || i, i FROM generate_series(1, 10) i;
INSERT INTO wanted VALUES (NULL, 'none', 11), (17, NULL, 12), (17, 'k3', 13);
ANALYZE wanted;
SET search_path = regress_read, params, public;

-- a join clause becomes the scan's filter when few rows come; the same rows as by hashing
EXPLAIN (COSTS OFF) SELECT w.n, e.kind FROM wanted w JOIN regress_read.events e ON e.id = w.id WHERE w.n = 2;
SELECT w.n, e.id, e.kind, e.n FROM wanted w JOIN regress_read.events e ON e.id = w.id ORDER BY 1;
SET enable_nestloop = off;
SELECT w.n, e.id, e.kind, e.n FROM wanted w JOIN regress_read.events e ON e.id = w.id ORDER BY 1;
RESET enable_nestloop;
-- not when many do
EXPLAIN (COSTS OFF) SELECT count(*) FROM params.events w JOIN regress_read.events e ON e.id = w.id;
-- outer joins keep the rows without a match; semi- and antijoins stop at the first
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT w.n, e.id FROM wanted w LEFT JOIN regress_read.events e ON e.id = w.id AND e.kind = w.kind ORDER BY 1;
SELECT w.n FROM wanted w WHERE EXISTS (SELECT FROM regress_read.events e WHERE e.id = w.id) ORDER BY 1;
SELECT w.n FROM wanted w WHERE NOT EXISTS (SELECT FROM regress_read.events e WHERE e.id = w.id) ORDER BY 1;
-- other comparisons, and one column against two
SELECT w.n, count(*) FROM wanted w JOIN regress_read.events e ON e.id BETWEEN w.id - 1 AND w.id + 1 GROUP BY 1 ORDER BY 1;
SELECT w.n, count(*), min(e.id), max(e.id) FROM wanted w JOIN regress_read.events e ON e.kind = w.kind AND e.id < w.n * 10 GROUP BY 1 ORDER BY 1;
-- of other types, and computed
SELECT w.n, e.id FROM wanted w JOIN regress_read.events e ON e.id = w.n ORDER BY 1 LIMIT 3;
SELECT w.n, e.id FROM wanted w JOIN regress_read.events e ON e.at = timestamptz '2024-01-01 00:00+00' + w.n * interval '1 h' ORDER BY 1 LIMIT 3;
SELECT w.n, e.id FROM wanted w JOIN regress_read.events e ON e.n = w.n / 4.0 ORDER BY 1 LIMIT 3;
-- two foreign tables
SELECT k.name, count(*) FROM regress_read.kinds k JOIN regress_read.events e ON e.kind = k.kind WHERE k.kind IN ('k1', 'k9', 'k6') GROUP BY 1 ORDER BY 1;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- LATERAL, with a limit: the scan is left before its end and begun anew
SELECT w.n, l.id FROM wanted w, LATERAL (SELECT e.id FROM regress_read.events e WHERE e.id > w.id ORDER BY e.id LIMIT 2) l ORDER BY 1, 2;
SELECT w.n, l.id FROM wanted w, LATERAL (SELECT e.id FROM regress_read.events e WHERE e.kind = w.kind AND e.id > 39990 LIMIT 1) l ORDER BY 1, 2;
SELECT w.n, (SELECT max(e.id) FROM regress_read.events e WHERE e.kind = w.kind) FROM wanted w ORDER BY 1;
-- a rescan without another value: files are not looked for anew, rows are the same
SELECT w.n, (SELECT count(*) FROM regress_read.events e WHERE e.id <= 35000 AND w.n > 0) FROM wanted w WHERE w.n < 4 ORDER BY 1;
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT a.n, count(*) FROM wanted a JOIN regress_read.kinds k ON k.name > a.kind || a.n GROUP BY 1 ORDER BY 1;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- values of subqueries, which are known when the scan begins
EXPLAIN (COSTS OFF) SELECT id FROM regress_read.events WHERE id = (SELECT max(id) FROM wanted) OR id = (SELECT min(id) FROM wanted);
SELECT id FROM regress_read.events WHERE id = (SELECT max(id) FROM wanted) OR id = (SELECT min(id) FROM wanted) ORDER BY 1;
SELECT count(*) FROM regress_read.events WHERE id = ANY (ARRAY(SELECT id FROM wanted));
SELECT count(*) FROM regress_read.events WHERE id > (SELECT max(id) FROM wanted WHERE n > 1000);
SELECT w.n, (SELECT count(*) FROM regress_read.events e WHERE e.id < w.id AND e.kind = (SELECT min(kind) FROM wanted)) FROM wanted w ORDER BY 1;
-- recursion: the worktable's rows drive the scan
WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT e.id FROM r JOIN regress_read.events e ON e.id = r.id * 3) SELECT * FROM r ORDER BY 1;

-- generic plans
SET plan_cache_mode = force_generic_plan;
PREPARE by_id(int) AS SELECT id, kind FROM regress_read.events WHERE id = $1;
EXPLAIN (COSTS OFF) EXECUTE by_id(5);
EXECUTE by_id(5);
EXECUTE by_id(39999);
EXECUTE by_id(NULL);
PREPARE by_set(int[], text) AS SELECT count(*) FROM regress_read.events WHERE id = ANY ($1) AND kind LIKE $2;
EXECUTE by_set('{1,2,3,39999}', 'k%');
EXECUTE by_set('{}', 'k%');
EXECUTE by_set('{7,14,NULL}', 'k0');
PREPARE since(timestamptz) AS SELECT count(*) FROM regress_read.events WHERE at >= $1;
EXECUTE since('2024-01-01');
-- the plan is kept, the lake moves on
DELETE FROM params.events WHERE id = 5;
UPDATE params.events SET kind = 'new' WHERE id = 39999;
SELECT tarn.flush('params') IS NOT NULL AS flushed;
EXECUTE by_id(5);
EXECUTE by_id(39999);
DEALLOCATE ALL;
RESET plan_cache_mode;
CREATE FUNCTION regress_read.sum_of(int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	total bigint := 0;
	r record;
BEGIN
	FOR r IN SELECT id FROM regress_read.events WHERE id BETWEEN $1 AND $1 + 4 LOOP
		total := total + r.id;
	END LOOP;
	RETURN total;
END $$;
SELECT i, regress_read.sum_of(i) FROM generate_series(10000, 40000, 6000) i;

-- cursors: scrolled over a materialised scan, two at a time, held over the commit
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM regress_read.events WHERE id % 1000 = 0 AND id BETWEEN 30500 AND 38500;
DECLARE d CURSOR FOR SELECT id FROM regress_read.events WHERE id BETWEEN 39994 AND 39998;
FETCH 3 FROM c;
FETCH 1 FROM d;
FETCH BACKWARD 2 FROM c;
MOVE LAST IN c;
FETCH RELATIVE 0 FROM c;
FETCH PRIOR FROM c;
FETCH ALL FROM d;
FETCH ABSOLUTE 2 FROM c;
MOVE FORWARD ALL IN c;
FETCH FIRST FROM c;
CLOSE d;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM regress_read.events WHERE id > 39997 ORDER BY 1;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
EXPLAIN (COSTS OFF) DECLARE e SCROLL CURSOR FOR SELECT id FROM regress_read.events WHERE id % 1000 = 0;
-- partitions, one of them in the lake
CREATE TABLE mixed (id int, kind text, at timestamptz, n numeric(10,2)) PARTITION BY RANGE (id);
CREATE TABLE mixed_new PARTITION OF mixed FOR VALUES FROM (50000) TO (60000);
INSERT INTO mixed_new SELECT i, 'k' || i % 7 FROM generate_series(50000, 50100) i;
ALTER TABLE mixed ATTACH PARTITION regress_read.events FOR VALUES FROM (0) TO (50000);
SELECT w.n, m.id, m.kind FROM wanted w JOIN mixed m ON m.id = w.id OR m.id = w.n + 50000 ORDER BY 1, 2 LIMIT 4;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*) FROM wanted w JOIN mixed m ON m.id = w.id;
ANALYZE mixed;
DROP TABLE mixed CASCADE;
DROP TABLE wanted;
SELECT tarn.drop_pipeline('params', drop_data => true);
DROP PUBLICATION params;
\i :end
