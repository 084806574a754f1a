-- The store on a local directory.  The directory is given by the environment.
\getenv dir TARN_TEST_DIR
\set ECHO none
CREATE EXTENSION tarn_store_test;
SELECT 'file://' || :'dir' || '/lake' AS root \gset
-- what errors say is shown with the directory replaced
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, '(file://)?/[^"]*/lake', 'LAKE', 'g');
END $$;
SELECT set_config('test.root', :'root', false) AS ignored \gset
CREATE FUNCTION root() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('test.root') $$;
\set ECHO all
-- a directory that is missing is made; a probe leaves nothing behind
SELECT store_check(root());
SELECT count(*) FROM store_list(root(), root());
-- what is put is read back: empty, small, binary
SELECT store_put(root(), root() || '/a/empty', '');
SELECT store_put(root(), root() || '/a/small', 'hello');
SELECT store_put(root(), root() || '/a/b/binary', '\x00ff00');
SELECT store_get(root(), root() || '/a/empty'), store_get(root(), root() || '/a/small'),
	store_get(root(), root() || '/a/b/binary');
-- ranges, with the size known or asked for
SELECT convert_from(store_read(root(), root() || '/a/small', 5, 1, 3), 'UTF8'),
	convert_from(store_read(root(), root() || '/a/small', -1, 0, 5), 'UTF8');
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 5, 3, 3) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 5, 9223372036854775807, 3) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 6, 0, 6) $$);
SELECT try($$ SELECT store_get(root(), root() || '/a/small', 4) $$);
-- other spellings of the same name
SELECT store_get(root(), replace(root(), 'file://', 'file:') || '/a/small'),
	store_get(root(), replace(root(), 'file://', '') || '/a/small'),
	store_get(root() || '/', root() || '/a/small');
-- put if absent
SELECT try($$ SELECT store_put(root(), root() || '/a/small', 'other', if_absent => true) $$);
SELECT try($$ SELECT store_put(root(), root() || '/a/new', 'new', if_absent => true) $$);
SELECT convert_from(store_get(root(), root() || '/a/small'), 'UTF8');
-- put over an object
SELECT store_put(root(), root() || '/a/new', 'newer');
SELECT convert_from(store_get(root(), root() || '/a/new'), 'UTF8');
-- a prefix is a string, not a folder
SELECT replace(name, root(), 'LAKE') FROM store_list(root(), root()) name ORDER BY 1;
SELECT replace(name, root(), 'LAKE') FROM store_list(root(), root() || '/a/b') name ORDER BY 1;
SELECT replace(name, root(), 'LAKE') FROM store_list(root(), root() || '/a/s') name ORDER BY 1;
SELECT replace(name, root(), 'LAKE') FROM store_list(root(), root() || '/nothing/here') name;
SELECT count(*) FROM store_list(root(), root(), 2);
-- removal, also of what is not there
SELECT store_remove(root(), root() || '/a/new'), store_remove(root(), root() || '/a/new'),
	store_remove(root(), root() || '/x/y');
SELECT try($$ SELECT store_get(root(), root() || '/a/new') $$);
-- nothing outside the root, by any spelling
SELECT try(format('SELECT store_get(root(), %L)', name)) FROM unnest(ARRAY[
	'file:///etc/passwd', '/etc/passwd', root() || '/../x', root() || '/a/..', root() || 'x/y',
	root(), root() || '/', 's3://bucket/x', 'http://127.0.0.1/x', 'relative', '']) name;
SELECT try($$ SELECT store_put(root(), root() || '/a/../../x', 'x') $$);
SELECT try($$ SELECT store_list(root(), root() || '/../') $$);
SELECT try(format('SELECT store_check(%L)', root)) FROM unnest(ARRAY[
	'/plain/path', 'ftp://x/y', 'file:relative', 'file:///a/../b', '']) root;
-- large objects in pieces of any size; an unfinished one leaves nothing
SELECT store_stream(root(), root() || '/big/1', 10000000, 999983, 'finish'),
	store_verify(root(), root() || '/big/1', 10000000, 777777),
	store_verify(root(), root() || '/big/1', 10000000, 3000000, prefetch => true);
SELECT store_stream(root(), root() || '/big/2', 300000, 7, 'finish'),
	store_verify(root(), root() || '/big/2', 300000, 4096);
SELECT store_stream(root(), root() || '/big/3', 1000000, 99991, 'abort');
SELECT store_stream(root(), root() || '/big/4', 1000000, 99991, 'leave');
SELECT try($$ SELECT store_stream(root(), root() || '/big/5', 1000000, 99991, 'error') $$);
SELECT replace(name, root(), 'LAKE') FROM store_list(root(), root() || '/big/') name ORDER BY 1;
SELECT store_abort_uploads(root(), root() || '/big/');
-- the data directory is no place for a lake, nor by a symbolic link
SELECT try(format('SELECT store_check(%L)', 'file://' || current_setting('data_directory') || '/x/lake'))
	LIKE '22023: warehouse "%" lies inside the data directory "%"' AS refused;
COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; ln -sfn "$PWD" "${TARN_TEST_DIR}/link"';
\getenv dir TARN_TEST_DIR
SELECT try(format('SELECT store_check(%L)', 'file://' || :'dir' || '/link/lake'))
	LIKE '22023: warehouse "%" lies inside the data directory "%"' AS refused;
-- permissions follow the root's
COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; chmod 750 "${TARN_TEST_DIR}/lake"';
SELECT store_put(root(), root() || '/shared/x', 'x');
CREATE TEMP TABLE mode (line text);
COPY mode FROM PROGRAM 'cd "${TARN_TEST_DIR}/lake" && stat -c "%n %a" shared shared/x';
SELECT * FROM mode;
-- a place that cannot be written
SELECT try($$ SELECT store_check('file:///proc/tarn/lake') $$) ~ '^(42501|58P01)' AS refused;
SELECT try($$ SELECT store_put(root(), root() || '/a/small/er', 'x') $$);
-- names as path segments
SELECT store_encode('plain-Name_1.x'), store_encode('a/b c%é'), store_encode('..'), store_encode('.');
