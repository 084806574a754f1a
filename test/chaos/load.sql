-- What the writers of the chaos test call.  Every function does what its seed says to the table as it is now, whatever its columns
-- are by then: the same seeds on the same state do the same.
CREATE SCHEMA chaos;

-- A number below n
CREATE FUNCTION chaos.pick(seed bigint, salt int, n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT ((hashint8extended(seed, salt) & 9223372036854775807) % n)::int
$$;

CREATE FUNCTION chaos.words(seed bigint, salt int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE chaos.pick(seed, salt + 7, 10)
		WHEN 0 THEN ''
		WHEN 1 THEN repeat(chr(97 + chaos.pick(seed, salt, 26)), chaos.pick(seed, salt + 1, 3000))
		-- out of line: longer than a page, and not to be compressed away
		WHEN 2 THEN (SELECT string_agg(md5((seed + g)::text), '') FROM generate_series(1, 300 + chaos.pick(seed, salt, 200)) g)
		WHEN 3 THEN 'ä€𝄞 ' || seed
		ELSE 'value ' || chaos.pick(seed, salt, 1000) END
$$;

CREATE TYPE chaos.pair AS (a int, b text);

-- A value for a column as an SQL expression
CREATE FUNCTION chaos.value(col name, type oid, typmod int, seed bigint, salt int) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	name text := format_type(type, typmod);
	n int := chaos.pick(seed, salt, 100000);
	text text := CASE type
		WHEN 'bool'::regtype THEN (n % 2 = 0)::text
		WHEN 'int2'::regtype THEN (n % 30000)::text
		WHEN 'int4'::regtype THEN n::text
		WHEN 'int8'::regtype THEN (n::bigint * 1000000007)::text
		WHEN 'float4'::regtype THEN (n::float4 / 7)::text
		WHEN 'float8'::regtype THEN (n::float8 / 7)::text
		WHEN 'numeric'::regtype THEN (n / 100.0)::numeric(12, 2)::text
		WHEN 'date'::regtype THEN (date '2000-01-01' + n % 10000)::text
		WHEN 'timestamp'::regtype THEN (timestamp '2020-01-01' + n * interval '1.000001 s')::text
		WHEN 'timestamptz'::regtype THEN (timestamptz '2020-01-01 00:00+00' + n * interval '1.5 s')::text
		WHEN 'time'::regtype THEN (time '00:00' + n % 86400 * interval '1 s')::text
		WHEN 'uuid'::regtype THEN md5(n::text)
		WHEN 'bytea'::regtype THEN '\x' || md5(n::text)
		WHEN 'jsonb'::regtype THEN jsonb_build_object('n', n, 'w', left(chaos.words(seed, salt), 500))::text
		WHEN 'int4[]'::regtype THEN CASE n % 4 WHEN 0 THEN '{}' ELSE format('{%s,NULL,%s}', n, n + 1) END
		WHEN 'text[]'::regtype THEN ARRAY[chaos.words(seed, salt), NULL, '', 'a"b,c']::text
		WHEN 'chaos.pair'::regtype THEN ROW(CASE WHEN n % 5 > 0 THEN n END, left(chaos.words(seed, salt), 500))::chaos.pair::text
		WHEN 'chaos.pair[]'::regtype THEN ARRAY[ROW(n, NULL)::chaos.pair, NULL, ROW(NULL, left(chaos.words(seed, salt), 500))::chaos.pair]::text
		WHEN 'varchar'::regtype THEN 'v' || n
		WHEN 'bpchar'::regtype THEN 'c' || n % 1000
		ELSE chaos.words(seed, salt) END;
BEGIN
	IF col = 'parent' THEN
		RETURN format('(SELECT id FROM t0 ORDER BY id OFFSET %s LIMIT 1)', n % 100);
	END IF;
	RETURN format('%L::%s', text, name);
END
$$;

-- The key of the i-th row: the columns of it, and its values
CREATE FUNCTION chaos.key(rel oid, i int, OUT columns text, OUT vals text) LANGUAGE sql STABLE AS $$
	SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
		string_agg(CASE WHEN attname = 'part' THEN format('%L::date', date '2024-01-01' + i % 5)
			WHEN atttypid = 'text'::regtype THEN format('%L', repeat('k', i % 40) || '-é-' || i)
			WHEN atttypid = 'uuid'::regtype THEN format('%L::uuid', md5(i::text))
			ELSE i::text END, ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = rel AND attname IN ('id', 'part') AND NOT attisdropped
$$;

-- INSERT of rows with the given numbers
CREATE FUNCTION chaos.insert_rows(tab text, numbers int[], seed bigint, on_conflict text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rel oid := to_regclass(tab);
	columns text;
	rows text;
BEGIN
	SELECT k.columns || coalesce((SELECT ', ' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'part') AND attgenerated = ''), '')
	INTO columns FROM chaos.key(rel, 0) k;
	SELECT string_agg(format('(%s)', k.vals || coalesce((SELECT ', ' || string_agg(
				CASE WHEN NOT attnotnull AND chaos.pick(seed + i, attnum + 100, 8) = 0 THEN 'NULL'
					ELSE chaos.value(attname, atttypid, atttypmod, seed + i, attnum) END, ', ' ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'part') AND attgenerated = ''), '')), ', ')
	INTO rows FROM unnest(numbers) i, chaos.key(rel, i) k;
	IF on_conflict = 'DELETE' THEN
		EXECUTE format('DELETE FROM %s WHERE id = ANY (%L)', tab, numbers);
		on_conflict := '';
	END IF;
	EXECUTE format('INSERT INTO %s (%s) VALUES %s %s', tab, columns, rows, on_conflict);
END
$$;

-- SET clause: some columns anew, others as they are, so that values out of line stay unchanged
CREATE FUNCTION chaos.assignments(rel oid, seed bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(quote_ident(attname) || ' = ' || CASE
			WHEN chaos.pick(seed, attnum, 4) = 0 THEN quote_ident(attname)
			WHEN NOT attnotnull AND chaos.pick(seed, attnum, 9) = 1 THEN 'NULL'
			ELSE chaos.value(attname, atttypid, atttypmod, seed, attnum) END, ', ')
	FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
		AND attname NOT IN ('id', 'part') AND chaos.pick(seed, attnum + 50, 3) > 0
$$;

CREATE TABLE chaos.tables (name text PRIMARY KEY, kind text NOT NULL);

-- What was committed, to be counted
CREATE TABLE chaos.done (what text NOT NULL);

-- One change.  keyed: all kinds; deferred: the same with a key that is looked at when the transaction ends; full: without a unique
-- key; insert: none but inserts and TRUNCATE are published
CREATE FUNCTION chaos.change(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rel oid := to_regclass(tab);
	kind text := (SELECT t.kind FROM chaos.tables t WHERE t.name = tab);
	what int := chaos.pick(seed, 1, 1000);
	i int := chaos.pick(seed, 2, 150);
	n int := 1 + chaos.pick(seed, 3, CASE WHEN chaos.pick(seed, 4, 8) = 0 THEN 40 ELSE 4 END);
	upsert text := CASE WHEN chaos.pick(seed, 7, 20) = 0 THEN '' WHEN kind = 'keyed' THEN 'ON CONFLICT DO NOTHING'
		WHEN kind = 'deferred' THEN 'DELETE' ELSE '' END;
	key record;
	other record;
	sets text;
BEGIN
	IF rel IS NULL THEN
		RETURN;
	END IF;
	key := chaos.key(rel, i);
	other := chaos.key(rel, chaos.pick(seed, 5, 400));
	sets := chaos.assignments(rel, seed);
	IF what < 3 THEN
		-- others with it at times, and always what refers to it
		EXECUTE format('TRUNCATE %s%s CASCADE', tab, CASE WHEN chaos.pick(seed, 8, 3) = 0 AND kind <> 'insert'
			THEN (SELECT ', ' || t.name FROM chaos.tables t WHERE t.name <> tab AND t.kind <> 'insert' AND to_regclass(t.name) IS NOT NULL
				ORDER BY chaos.pick(seed, hashtext(t.name), 1000) LIMIT 1) END);
	ELSIF what < 350 OR kind = 'insert' OR sets IS NULL THEN
		PERFORM chaos.insert_rows(tab, ARRAY(SELECT (i + g) % 300 FROM generate_series(0, n - 1) g), seed, upsert);
	ELSIF what < 600 THEN
		EXECUTE format('UPDATE %s SET %s WHERE (%s) = (%s)', tab, sets, key.columns, key.vals);
	ELSIF what < 620 THEN
		EXECUTE format('UPDATE %s SET %s WHERE hashtext(row_::text) %% 5 = %s', tab || ' row_', sets, i % 5);
	ELSIF what < 780 THEN
		EXECUTE format('DELETE FROM %s WHERE (%s) = (%s)', tab, key.columns, key.vals);
	ELSIF what < 800 THEN
		EXECUTE format('DELETE FROM %s WHERE hashtext(row_::text) %% 11 = %s', tab || ' row_', i % 11);
	ELSIF what < 850 THEN
		-- may hit another row's
		EXECUTE format('UPDATE %s SET (%s) = ROW(%s) WHERE (%s) = (%s)', tab, key.columns, other.vals, key.columns, key.vals);
	ELSIF what < 900 THEN
		EXECUTE format('DELETE FROM %s WHERE (%s) = (%s)', tab, key.columns, key.vals);
		PERFORM chaos.insert_rows(tab, ARRAY[i], seed, upsert);
	ELSIF what < 940 AND kind = 'deferred' THEN
		-- a swap in one statement, and one that is right only in the end
		EXECUTE format('UPDATE %1$s SET id = CASE id WHEN %2$s THEN %3$s ELSE %2$s END WHERE id IN (%2$s, %3$s)', tab, key.vals, other.vals);
		EXECUTE format('UPDATE %s SET id = id + 1 WHERE id BETWEEN %s AND %s + 3', tab, key.vals, key.vals);
		EXECUTE format('UPDATE %s SET id = %s WHERE ctid = (SELECT max(ctid) FROM %s WHERE id = %s + 4)', tab, key.vals, tab, key.vals);
	ELSIF what < 940 AND kind = 'keyed' THEN
		-- a swap, by way of a third key
		EXECUTE format('UPDATE %s SET (%s) = ROW(%s) WHERE (%s) = (%s)', tab, key.columns, (chaos.key(rel, 9999)).vals, key.columns, key.vals);
		EXECUTE format('UPDATE %s SET (%s) = ROW(%s) WHERE (%s) = (%s)', tab, key.columns, key.vals, key.columns, other.vals);
		EXECUTE format('UPDATE %s SET (%s) = ROW(%s) WHERE (%s) = (%s)', tab, key.columns, other.vals, key.columns, (chaos.key(rel, 9999)).vals);
	ELSIF what < 945 THEN
		-- more than the buffers hold
		PERFORM chaos.insert_rows(tab, ARRAY(SELECT 1000 + g FROM generate_series(1, 2500) g), seed, upsert);
		EXECUTE format('DELETE FROM %s WHERE hashtext(row_::text) %% 4 <> 0', tab || ' row_');
	ELSE
		EXECUTE format('UPDATE %s SET %s WHERE (%s) = (%s)', tab, sets, key.columns, key.vals);
		EXECUTE format('UPDATE %s SET %s WHERE (%s) = (%s)', tab, coalesce(chaos.assignments(rel, seed + 1), sets), key.columns, key.vals);
	END IF;
END
$$;

-- Inserts more at once than a worker encodes by itself, and most of it goes again
CREATE FUNCTION chaos.bulk(seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	tab text := (SELECT t.name FROM chaos.tables t WHERE t.kind = 'keyed' AND to_regclass(t.name) IS NOT NULL AND t.name !~ '^(t11|part)' ORDER BY chaos.pick(seed, hashtext(t.name), 1000) LIMIT 1);
BEGIN
	PERFORM chaos.insert_rows(tab, ARRAY(SELECT 10000 + b * 2500 + g FROM generate_series(1, 2500) g), seed, 'ON CONFLICT DO NOTHING') FROM generate_series(0, 7) b;
END
$$;

-- Changes of the shape of a table, chosen by the seed.  A column of the key, or the last one beside it, stays.
CREATE FUNCTION chaos.some_column(rel oid, seed bigint, types oid[], OUT name text, OUT type oid, OUT typmod int, OUT not_null boolean)
LANGUAGE sql STABLE AS $$
	SELECT attname, atttypid, atttypmod, attnotnull FROM pg_attribute
	WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'part') AND attgenerated = ''
		AND (types IS NULL OR atttypid = ANY (types))
	ORDER BY chaos.pick(seed, attnum, 1000) LIMIT 1
$$;

CREATE FUNCTION chaos.drop_column(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	c := chaos.some_column(to_regclass(tab), seed, NULL);
	IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(tab) AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'part')) > 1 THEN
		EXECUTE format('ALTER TABLE %s DROP COLUMN %I', tab, c.name);
		-- and another one under its name
		IF chaos.pick(seed, 1, 3) = 0 THEN
			EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', tab, c.name, (ARRAY['int', 'text', 'timestamptz'])[1 + chaos.pick(seed, 2, 3)]);
		END IF;
	END IF;
END
$$;

CREATE FUNCTION chaos.rename_column(tab text, seed bigint, new_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	c := chaos.some_column(to_regclass(tab), seed, NULL);
	IF c.name IS NOT NULL THEN
		EXECUTE format('ALTER TABLE %s RENAME COLUMN %I TO %I', tab, c.name, new_name);
	END IF;
END
$$;

CREATE FUNCTION chaos.widen(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	c := chaos.some_column(to_regclass(tab), seed, '{int2, int4, float4, numeric, varchar}'::regtype[]::oid[]);
	IF c.name IS NOT NULL THEN
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', tab, c.name, CASE c.type
			WHEN 'int2'::regtype THEN 'int4' WHEN 'int4'::regtype THEN 'int8' WHEN 'float4'::regtype THEN 'float8'
			WHEN 'numeric'::regtype THEN CASE WHEN c.typmod < 0 THEN 'numeric' ELSE 'numeric(' || least(38, ((c.typmod - 4) >> 16) + 3) || ',' || ((c.typmod - 4) & 65535) || ')' END
			ELSE 'text' END);
	END IF;
END
$$;

-- A type that no reader can promote to
CREATE FUNCTION chaos.retype(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	c := chaos.some_column(to_regclass(tab), seed, '{int4, int8, date, float8}'::regtype[]::oid[]);
	IF c.name IS NOT NULL THEN
		EXECUTE format('ALTER TABLE %1$s ALTER COLUMN %2$I DROP DEFAULT, ALTER COLUMN %2$I TYPE text', tab, c.name);
	END IF;
END
$$;

CREATE FUNCTION chaos.not_null(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	c := chaos.some_column(to_regclass(tab), seed, NULL);
	-- where deletes are not published, none may be needed
	IF c.name IS NULL OR (SELECT t.kind FROM chaos.tables t WHERE t.name = tab) = 'insert' THEN
		RETURN;
	END IF;
	IF NOT c.not_null THEN
		EXECUTE format('DELETE FROM %s WHERE %I IS NULL', tab, c.name);
	END IF;
	EXECUTE format('ALTER TABLE %s ALTER COLUMN %I %s NOT NULL', tab, c.name, CASE WHEN c.not_null THEN 'DROP' ELSE 'SET' END);
END
$$;

-- Partitions come, go and come back with other rows
CREATE FUNCTION chaos.partition(tab text, seed bigint, new_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	day date := date '2024-01-01' + chaos.pick(seed, 1, 5);
	leaf regclass;
	bounds text;
BEGIN
	SELECT i.inhrelid, pg_get_expr(c.relpartbound, c.oid) INTO leaf, bounds FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = to_regclass(tab) ORDER BY chaos.pick(seed, hashtext(c.relname), 1000) LIMIT 1;
	IF leaf IS NULL OR chaos.pick(seed, 2, 3) = 0 THEN
		EXECUTE format('DELETE FROM %s WHERE part = %L', tab, day);
		EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES IN (%L)', new_name, tab, day);
	ELSE
		EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', tab, leaf);
		IF chaos.pick(seed, 3, 4) = 0 AND bounds <> 'DEFAULT' THEN
			EXECUTE format('DROP TABLE %s', leaf);
		ELSE
			EXECUTE format('DELETE FROM %s WHERE id %% 3 = 0', leaf);
			EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s %s', tab, leaf, bounds);
		END IF;
	END IF;
END
$$;

-- Dropped and made again under its name, with other columns
CREATE FUNCTION chaos.recreate(tab text, seed bigint, publication text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF to_regclass(tab) IS NOT NULL THEN
		EXECUTE format('DROP TABLE %s', tab);
		EXECUTE format('CREATE TABLE %s (id int PRIMARY KEY, v %s, again chaos.pair)', tab, (ARRAY['text', 'int', 'text[]'])[1 + chaos.pick(seed, 1, 3)]);
		EXECUTE format('ALTER PUBLICATION %s ADD TABLE %s', publication, tab);
		UPDATE chaos.tables SET kind = 'keyed' WHERE name = tab;
		PERFORM chaos.insert_rows(tab, ARRAY(SELECT generate_series(0, 30)), seed, '');
	END IF;
END
$$;

-- Whose old rows WAL has whole, or by their key
CREATE FUNCTION chaos.identity(tab text, seed bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass(tab) AND indisprimary AND indimmediate) THEN
		EXECUTE format('ALTER TABLE %s REPLICA IDENTITY %s', tab, CASE chaos.pick(seed, 1, 2) WHEN 0 THEN 'FULL' ELSE 'DEFAULT' END);
	END IF;
END
$$;
