-- Every type, at its edges, through a copy and through the stream, and back
\set topic types
\getenv srcdir PG_ABS_SRCDIR
\set begin :srcdir /sql/lake.psql
\set end :srcdir /sql/lake_end.psql
\i :begin
SET timezone = 'UTC';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'très content');
CREATE TABLE scalars (
	id int PRIMARY KEY,
	c_bool boolean, c_int2 smallint, c_int4 integer, c_int8 bigint, c_real real, c_double double precision,
	c_num5 numeric(5,2), c_num18 numeric(18,4), c_num38 numeric(38,10), c_num_whole numeric(38,0),
	c_num numeric, c_num40 numeric(40,5),
	c_uuid uuid, c_date date, c_time time, c_time3 time(3), c_ts timestamp, c_tstz timestamptz, c_ts0 timestamp(0));
CREATE TABLE texts (
	id int PRIMARY KEY,
	c_text text, c_varchar varchar(10), c_varchar_any varchar, c_char char(5), c_name name, c_bytea bytea,
	c_json json, c_jsonb jsonb, c_mood mood);
CREATE TABLE required (
	id bigint PRIMARY KEY, a smallint NOT NULL, b text NOT NULL, c numeric(9,3) NOT NULL, d timestamptz NOT NULL,
	e uuid NOT NULL, f bytea NOT NULL, g boolean NOT NULL, h mood NOT NULL);

CREATE FUNCTION fill(first int) RETURNS void LANGUAGE sql AS $$
INSERT INTO scalars VALUES
	(first, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(first + 1, true, -32768, -2147483648, -9223372036854775808, '-Infinity', '-Infinity',
		-999.99, -99999999999999.9999, -9999999999999999999999999999.9999999999, -99999999999999999999999999999999999999,
		'-Infinity', -99999999999999999999999999999999999.99999,
		'00000000-0000-0000-0000-000000000000', '0001-01-01', '00:00', '00:00',
		'0001-01-01 00:00', '0001-01-01 00:00+00', '0001-01-01 00:00'),
	(first + 2, false, 32767, 2147483647, 9223372036854775807, 'Infinity', 'Infinity',
		999.99, 99999999999999.9999, 9999999999999999999999999999.9999999999, 99999999999999999999999999999999999999,
		'NaN', 99999999999999999999999999999999999.99999,
		'ffffffff-ffff-ffff-ffff-ffffffffffff', '9999-12-31', '23:59:59.999999', '23:59:59.999',
		'9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', '9999-12-31 23:59:59'),
	(first + 3, true, 0, 0, 0, 'NaN', 'NaN', 0, 0, 0, 0, 0, 0,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '1970-01-01', '12:00', '12:00:00.5',
		'1970-01-01', '1970-01-01 00:00+00', '1970-01-01'),
	(first + 4, true, -1, -1, -1, '-0', '-0', -0.01, -0.0001, -0.0000000001, -1, 1.10, 0.00001,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '1969-12-31', '00:00:00.000001', '00:00:00.001',
		'1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00', '1999-12-31 23:59:59'),
	(first + 5, true, 1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 1, 1, 1, 1, 1e40, 1,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', '2000-02-29', '01:02:03.456789', '01:02:03.457',
		'2024-02-29 23:59:59.5', '2024-02-29 23:59:59.5+14', '2024-02-29 23:59:59'),
	(first + 6, true, 1, 1, 1, 1.4e-45, 4.94065645841247e-324, 1.1, 1.1, 1.1, 10, -1.000000000000000000000000000000000000000001, 1.1,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', '1582-10-04', '23:00', '23:00',
		'1582-10-15', '1582-10-04 00:00-12', '1582-10-15');
INSERT INTO texts VALUES
	(first, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(first + 1, '', '', '', '', '', '', '{}', '{}', 'sad'),
	(first + 2, E'tab\t newline\n quote" back\\slash', 'ten chars!', E'\u0001', 'abc', repeat('n', 63), '\x00ff00', '{"a" : 1,  "a": 2}',
		'{"a" : 1,  "b": [1.10, null, "\u00e9"]}', 'happy'),
	(first + 3, repeat('long text ', 10000), 'ünïcödé', repeat('x', 3000), 'é    ', 'ñ', decode(repeat('00ff', 5000), 'hex'),
		'[]', to_jsonb(repeat('z', 20000)), 'très content'),
	(first + 4, U&'\+01F600 \4E2D\6587', 'NULL', 'null', '     ', 'a b', '\x', 'null', 'null', 'ok'),
	(first + 5, ' leading and trailing ', '          ', '{}', 'abcde', ' ', '\x5c', '"text"', '1e400', 'ok');
INSERT INTO required VALUES
	(first, 0, '', 0, '1970-01-01 00:00+00', '00000000-0000-0000-0000-000000000000', '\x', false, 'sad'),
	(first + 1, -1, 'b', -999999.999, '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\xff', true, 'happy');
$$;

-- seven rows by the copy, seven by the stream
SELECT fill(1);
CREATE PUBLICATION types FOR TABLE scalars, texts, required;
SELECT tarn.create_pipeline('types', 'regress_lake', '{types}');
SELECT tarn.flush('types') IS NOT NULL AS flushed;
SELECT fill(101);
SELECT tarn.flush('types') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables ORDER BY 1;
IMPORT FOREIGN SCHEMA types FROM SERVER regress_lake INTO regress_read;
\d regress_read.scalars
\d regress_read.texts
\d regress_read.required
SELECT * FROM regress_read.differing('scalars');
SELECT left("row", 100) FROM regress_read.differing('texts');
SELECT * FROM regress_read.differing('required');
-- by the types' own equality as well, where they have one
SELECT count(*) FROM (TABLE scalars EXCEPT ALL TABLE regress_read.scalars) a;
SELECT count(*) FROM (TABLE regress_read.scalars EXCEPT ALL TABLE scalars) a;
SELECT count(*) FROM (TABLE required EXCEPT ALL TABLE regress_read.required) a;

-- filters find the edges, whether they are judged on columns, by bounds, or by the executor
SELECT id, c_int8 FROM regress_read.scalars WHERE c_int8 = 9223372036854775807 ORDER BY 1;
SELECT id, c_num5 FROM regress_read.scalars WHERE c_num5 < -999 ORDER BY 1;
SELECT id, c_num38 FROM regress_read.scalars WHERE c_num38 > 1 ORDER BY 1;
SELECT id, c_double FROM regress_read.scalars WHERE c_double = 'NaN' ORDER BY 1;
SELECT id, c_double FROM regress_read.scalars WHERE c_double > 1e300 ORDER BY 1;
SELECT id, c_real FROM regress_read.scalars WHERE c_real = 0 ORDER BY 1;
SELECT id, c_num FROM regress_read.scalars WHERE c_num = 1.1 ORDER BY 1;
SELECT id, c_date FROM regress_read.scalars WHERE c_date BETWEEN '1969-12-31' AND '1970-01-01' ORDER BY 1;
SELECT id, c_tstz FROM regress_read.scalars WHERE c_tstz > '2024-01-01' ORDER BY 1;
SELECT id FROM regress_read.scalars WHERE c_uuid IN ('00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') ORDER BY 1;
SELECT id FROM regress_read.scalars WHERE c_bool IS NULL ORDER BY 1;
SELECT id, c_char FROM regress_read.texts WHERE c_char = 'abc' ORDER BY 1;
SELECT id FROM regress_read.texts WHERE c_text = '' ORDER BY 1;
SELECT id FROM regress_read.texts WHERE c_mood > 'ok' ORDER BY 1;
SELECT id FROM regress_read.texts WHERE c_jsonb @> '{"a": 1}' ORDER BY 1;
SELECT id FROM regress_read.texts WHERE c_bytea = '\x5c' ORDER BY 1;

-- updates of many columns, of keys, of one column of many
UPDATE scalars SET c_bool = NOT c_bool, c_int2 = -(c_int2 / 2), c_real = -c_real, c_num5 = c_num5 / 2, c_num = c_num * 0,
	c_date = '2024-01-01', c_tstz = '2024-01-01 00:00+00' WHERE id > 100;
UPDATE texts SET id = id + 1000 WHERE id < 100;
UPDATE texts SET c_varchar = 'changed' WHERE id > 100;
UPDATE required SET g = NOT g;
SELECT tarn.flush('types') IS NOT NULL AS flushed;
SELECT * FROM regress_read.differing('scalars');
SELECT left("row", 100) FROM regress_read.differing('texts');
SELECT * FROM regress_read.differing('required');

-- keys of many types
CREATE TABLE key_text (k text COLLATE "C", k2 uuid, v int, PRIMARY KEY (k, k2));
CREATE TABLE key_numeric (k numeric(20,5) PRIMARY KEY, v int);
CREATE TABLE key_time (k timestamptz PRIMARY KEY, v int);
CREATE TABLE key_date (k date, k2 smallint, v int, PRIMARY KEY (k2, k));
CREATE TABLE key_bytea (k bytea PRIMARY KEY, v int);
CREATE TABLE key_char (k char(8) PRIMARY KEY, v int);
CREATE TABLE key_enum (k mood PRIMARY KEY, v int);
CREATE TABLE key_double (k double precision PRIMARY KEY, v int);
INSERT INTO key_text SELECT 'k' || i, md5(i::text)::uuid, 0 FROM generate_series(1, 200) i;
INSERT INTO key_numeric SELECT i * 1.25, 0 FROM generate_series(1, 200) i;
INSERT INTO key_time SELECT '2024-01-01 00:00+00'::timestamptz + i * interval '1 h', 0 FROM generate_series(1, 200) i;
INSERT INTO key_date SELECT '2024-01-01'::date + i, i % 7, 0 FROM generate_series(1, 200) i;
INSERT INTO key_bytea SELECT decode(md5(i::text), 'hex'), 0 FROM generate_series(1, 200) i;
INSERT INTO key_char SELECT 'k' || i, 0 FROM generate_series(1, 200) i;
INSERT INTO key_enum SELECT m, 0 FROM unnest(enum_range(NULL::mood)) m;
INSERT INTO key_double SELECT i / 3.0, 0 FROM generate_series(1, 200) i;
INSERT INTO key_double VALUES ('NaN', 0), ('Infinity', 0), ('-0', 0);
ALTER PUBLICATION types ADD TABLE key_text, key_numeric, key_time, key_date, key_bytea, key_char, key_enum, key_double;
SELECT regress_read.wait_until('SELECT count(*) = 11 FROM tarn.tables');
SELECT tarn.flush('types') IS NOT NULL AS flushed;
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{text,numeric,time,date,bytea,char,enum,double}'::text[] LOOP
		EXECUTE format('UPDATE key_%s SET v = v + 1 WHERE k IN (SELECT k FROM key_%1$s ORDER BY k LIMIT 50)', t);
		EXECUTE format('DELETE FROM key_%s WHERE k IN (SELECT k FROM key_%1$s ORDER BY k DESC LIMIT 50) AND v = 0', t);
	END LOOP;
END $$;
UPDATE key_double SET v = 9 WHERE k = 0;
UPDATE key_numeric SET k = k + 1000 WHERE v = 0;
SELECT tarn.flush('types') IS NOT NULL AS flushed;
SELECT "table", state, rows, error FROM tarn.tables WHERE "table" LIKE 'key%' ORDER BY 1;
IMPORT FOREIGN SCHEMA types EXCEPT (scalars, texts, required) FROM SERVER regress_lake INTO regress_read;
SELECT t, d.* FROM unnest('{key_text,key_numeric,key_time,key_date,key_bytea,key_char,key_enum,key_double}'::text[]) t,
	regress_read.differing(t::regclass) d;
SELECT tarn.drop_pipeline('types', drop_data => true);
DROP PUBLICATION types;
\i :end
