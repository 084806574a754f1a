-- What the planner knows of lake tables: from manifests, and from ANALYZE
\set topic estimates
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
CREATE TABLE sales (id bigint PRIMARY KEY, customer int, day date, at timestamptz, amount numeric(12,2), quantity numeric(12,2),
	rate float8, kind text COLLATE "C", note text, rare text, flag bool, key uuid, code varchar(10), doc jsonb);
INSERT INTO sales SELECT i, abs(hashint4(i)) % 3000, date '2020-01-01' + i / 100, timestamptz '2020-01-01 00:00+00' + i * interval '1 min',
	(abs(hashint4(i + 1)) % 1000000) / 100.0, abs(hashint4(i + 2)) % 50 + 1, CASE WHEN i % 4 <> 0 THEN abs(hashint4(i + 3)) % 100000 / 1000.0 END,
	(ARRAY['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'])[abs(hashint4(i + 4)) % 8 + 1],
	md5(i::text) || md5((-i)::text), CASE WHEN i % 10 = 0 THEN 'r' || i END, hashint4(i + 5) % 2 = 0,
	md5(i::text)::uuid, 'c' || abs(hashint4(i + 6)) % 500, jsonb_build_object('n', i)
	FROM generate_series(1, 40000) i;
CREATE TABLE customers (id int PRIMARY KEY, name text, region text);
INSERT INTO customers SELECT i, 'customer number ' || i, (ARRAY['north', 'south', 'east', 'west'])[abs(hashint4(i)) % 4 + 1]
	FROM generate_series(0, 2999) i;
CREATE PUBLICATION estimates FOR TABLE sales, customers;
SELECT tarn.create_pipeline('estimates', 'regress_lake', '{estimates}');
SELECT tarn.flush('estimates') IS NOT NULL AS flushed;
IMPORT FOREIGN SCHEMA estimates FROM SERVER regress_lake INTO regress_read;
SET search_path = regress_read, public;
-- Rows as estimated and as found; those that differ by more than a factor are shown with both.
CREATE FUNCTION regress_read.estimated(query text, factor float8 DEFAULT 2, OUT good text) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	estimated float8;
	actual float8;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	estimated := plan->0->'Plan'->>'Plan Rows';
	actual := greatest((plan->0->'Plan'->>'Actual Rows')::float8, 1);
	good := CASE WHEN estimated BETWEEN actual / factor AND actual * factor THEN 'yes'
		ELSE format('estimated %s, actual %s', estimated, actual) END;
END $$;

-- widths: of fixed types exact, of others near what ANALYZE finds at the source
CREATE FUNCTION regress_read.width(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Width';
END $$;
SELECT regress_read.width('SELECT id, customer, day, at, rate, flag, key FROM sales');
ANALYZE estimates.sales;
SELECT c, CASE WHEN lake BETWEEN heap / 2 AND heap * 2 THEN 'yes' ELSE format('lake %s, heap %s', lake, heap) END AS good
	FROM unnest('{amount,quantity,kind,note,code}'::text[]) c,
	regress_read.width(format('SELECT %I FROM sales', c)) lake, regress_read.width(format('SELECT %I FROM estimates.sales', c)) heap;

-- selectivities: equality, ranges, IN, nulls, booleans, prefixes
CREATE TABLE regress_read.queries (n serial, query text);
INSERT INTO regress_read.queries (query) VALUES ('SELECT * FROM sales'),
	('SELECT * FROM sales WHERE id = 77'), ('SELECT * FROM sales WHERE id = -5'), ('SELECT * FROM sales WHERE customer = 77'),
	('SELECT * FROM sales WHERE customer BETWEEN 100 AND 199'), ('SELECT * FROM sales WHERE customer IN (1, 2, 3, 4, 5, 6)'),
	('SELECT * FROM sales WHERE day < ''2020-02-01'''), ('SELECT * FROM sales WHERE day = ''2020-02-01'''),
	('SELECT * FROM sales WHERE at >= ''2020-01-27 00:00+00'''), ('SELECT * FROM sales WHERE at BETWEEN ''2020-01-10'' AND ''2020-01-12'''),
	('SELECT * FROM sales WHERE amount < 100'), ('SELECT * FROM sales WHERE quantity = 7'), ('SELECT * FROM sales WHERE quantity <= 10'),
	('SELECT * FROM sales WHERE rate IS NULL'), ('SELECT * FROM sales WHERE rate > 90'), ('SELECT * FROM sales WHERE rare IS NOT NULL'),
	('SELECT * FROM sales WHERE kind = ''three'''), ('SELECT * FROM sales WHERE kind IN (''one'', ''two'')'),
	('SELECT * FROM sales WHERE flag'), ('SELECT * FROM sales WHERE NOT flag'), ('SELECT * FROM sales WHERE key = md5(''5'')::uuid'),
	('SELECT * FROM sales WHERE code = ''c77'''), ('SELECT * FROM sales WHERE note > ''8'''),
	('SELECT customer, count(*) FROM sales GROUP BY 1'), ('SELECT DISTINCT kind FROM sales'), ('SELECT DISTINCT day FROM sales'),
	('SELECT * FROM sales s JOIN customers c ON s.customer = c.id'),
	('SELECT * FROM sales s JOIN customers c ON s.customer = c.id WHERE c.region = ''north'''),
	('SELECT * FROM (SELECT * FROM sales OFFSET 0) s WHERE customer < 300');
SELECT query, good FROM regress_read.queries, regress_read.estimated(query, 3) ORDER BY n;

-- rows of later flushes and files that follow each other in time
INSERT INTO estimates.sales (id, customer, day) SELECT i, 99999, date '2030-01-01' FROM generate_series(100001, 110000) i;
SELECT tarn.flush('estimates') IS NOT NULL AS flushed;
SELECT query, good FROM (VALUES ('SELECT * FROM sales WHERE customer < 3000'), ('SELECT * FROM sales WHERE customer > 3000'),
	('SELECT * FROM sales WHERE day > ''2025-01-01'''), ('SELECT * FROM sales WHERE rate IS NULL')) q (query), regress_read.estimated(query);

-- rows that are gone
DELETE FROM estimates.sales WHERE id > 100000;
SELECT tarn.flush('estimates') IS NOT NULL AS flushed;
SELECT * FROM regress_read.estimated('SELECT * FROM sales', 1);

-- ANALYZE: then the server's own statistics count
ANALYZE sales, customers;
SELECT reltuples FROM pg_class WHERE oid = 'sales'::regclass;
SELECT attname, null_frac, n_distinct, array_length(most_common_freqs, 1) AS common, avg_width
	FROM pg_stats WHERE schemaname = 'regress_read' AND tablename = 'sales' AND attname IN ('kind', 'flag', 'key') ORDER BY 1;
SELECT query, good FROM regress_read.queries, regress_read.estimated(query, 3) ORDER BY n;

-- who may not read the table learns nothing of it from an operator that tells what it sees
CREATE FUNCTION regress_read.tells(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'seen'; RETURN $1 < $2; END $$;
CREATE OPERATOR regress_read.<<< (FUNCTION = regress_read.tells, LEFTARG = int, RIGHTARG = int, RESTRICT = scalarltsel);
CREATE ROLE regress_estimates;
GRANT USAGE ON SCHEMA regress_read TO regress_estimates;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_read TO regress_estimates;
GRANT SELECT (region) ON customers TO regress_estimates;
CREATE USER MAPPING FOR regress_estimates SERVER regress_lake :lake_keys;
DELETE FROM pg_statistic WHERE starelid = 'customers'::regclass;
SET ROLE regress_estimates;
EXPLAIN (COSTS OFF) SELECT region FROM customers WHERE id OPERATOR(regress_read.<<<) 5;
RESET ROLE;
-- tables without rows, and one without files
TRUNCATE estimates.sales, estimates.customers;
SELECT tarn.flush('estimates') IS NOT NULL AS flushed;
SELECT * FROM regress_read.estimated('SELECT * FROM customers WHERE id > 5');
ANALYZE customers;
SELECT reltuples FROM pg_class WHERE oid = 'customers'::regclass;
DROP USER MAPPING FOR regress_estimates SERVER regress_lake;
DROP OWNED BY regress_estimates;
DROP ROLE regress_estimates;
SELECT tarn.drop_pipeline('estimates', drop_data => true);
DROP PUBLICATION estimates;
\i :end
