-- The store on S3: a server with an empty bucket "tarn-test", its address and keys come by the environment.
\set ECHO none
\getenv endpoint TARN_TEST_S3_ENDPOINT
\getenv access_key TARN_TEST_S3_ACCESS_KEY
\getenv secret_key TARN_TEST_S3_SECRET_KEY
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tarn_store_test;
LOAD 'tarn_store_test';
SET tarn_store_test.endpoint = :'endpoint';
SET tarn_store_test.access_key = :'access_key';
SET tarn_store_test.secret_key = :'secret_key';
-- request ids and addresses differ from run to run
CREATE OR REPLACE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ': ' || regexp_replace(regexp_replace(SQLERRM, '(Failed to connect) .*', '\1'), 'probe-[0-9a-f]+', 'probe') ||
		CASE WHEN hint <> '' THEN ' / ' || hint ELSE '' END;
END $$;
CREATE OR REPLACE FUNCTION root() RETURNS text LANGUAGE sql AS $$ SELECT 's3://tarn-test/some/lake' $$;
\set ECHO all
SELECT store_check(root());
SELECT count(*) FROM store_list(root(), root());
-- what is put is read back: empty, small, binary
SELECT store_put(root(), root() || '/a/empty', '');
SELECT store_put(root(), root() || '/a/small', 'hello');
SELECT store_put(root(), root() || '/a/b/binary', '\x00ff00');
SELECT store_get(root(), root() || '/a/empty'), store_get(root(), root() || '/a/small'),
	store_get(root(), root() || '/a/b/binary');
-- an object that looks like an error is not one
SELECT store_put(root(), root() || '/a/error', '<Error><Code>SlowDown</Code></Error>');
SELECT convert_from(store_get(root(), root() || '/a/error'), 'UTF8');
SELECT store_remove(root(), root() || '/a/error');
-- ranges, with the size known or asked for
SELECT convert_from(store_read(root(), root() || '/a/small', 5, 1, 3), 'UTF8'),
	convert_from(store_read(root(), root() || '/a/small', -1, 0, 5), 'UTF8');
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 5, 3, 3) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 6, 0, 6) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 4, 1, 2) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/small', 100, 50, 2) $$);
SELECT try($$ SELECT store_get(root(), root() || '/a/small', 4) $$);
-- other spellings of the same name
SELECT store_get(root(), replace(root(), 's3://', 's3a://') || '/a/small'),
	store_get(root() || '/', root() || '/a/small');
-- put if absent
SELECT try($$ SELECT store_put(root(), root() || '/a/small', 'other', if_absent => true) $$);
SELECT try($$ SELECT store_put(root(), root() || '/a/new', 'new', if_absent => true) $$);
SELECT convert_from(store_get(root(), root() || '/a/small'), 'UTF8');
-- put over an object
SELECT store_put(root(), root() || '/a/new', 'newer');
SELECT convert_from(store_get(root(), root() || '/a/new'), 'UTF8');
-- names with every kind of character
SELECT store_put(root(), root() || '/odd/' || name, convert_to(name, 'UTF8')) FROM unnest(ARRAY[
	'a b', 'a+b', 'a=b&c', 'a%20b', 'é', '<x>"''&', 'a;b,c', '~!*()', 'a:b@c', '$x', 'a?b#c']) name;
SELECT name, convert_from(store_get(root(), name), 'UTF8')
	FROM (SELECT regexp_replace(name, ' \d+$', '') AS name FROM store_list(root(), root() || '/odd/') name) n
	ORDER BY name COLLATE "C";
SELECT store_remove(root(), regexp_replace(name, ' \d+$', '')) FROM store_list(root(), root() || '/odd/') name;
-- a prefix is a string, not a folder
SELECT * FROM store_list(root(), root()) name ORDER BY 1;
SELECT * FROM store_list(root(), root() || '/a/b') name ORDER BY 1;
SELECT * FROM store_list(root(), root() || '/a/s') name ORDER BY 1;
SELECT * FROM store_list(root(), root() || '/nothing/here') name;
SELECT count(*) FROM store_list(root(), root(), 2);
-- removal, also of what is not there
SELECT store_remove(root(), root() || '/a/new'), store_remove(root(), root() || '/a/new'),
	store_remove(root(), root() || '/x/y');
SELECT try($$ SELECT store_get(root(), root() || '/a/new') $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/new', -1, 0, 1) $$);
SELECT try($$ SELECT store_read(root(), root() || '/a/new', 10, 0, 1) $$);
-- nothing outside the root
SELECT try(format('SELECT store_get(root(), %L)', name)) FROM unnest(ARRAY[
	'file:///etc/passwd', 's3://tarn-test/x', 's3://other/some/lake/x', 's3://tarn-test/some/lakex',
	root() || '/../x', root()]) name;
-- a list of several pages
SELECT count(store_put(root(), root() || '/pages/' || i, 'x')) FROM generate_series(1, 1203) i;
SELECT count(DISTINCT name) FROM store_list(root(), root() || '/pages/') name;
SELECT count(store_remove(root(), root() || '/pages/' || i)) FROM generate_series(1, 1203) i;
SELECT count(*) FROM store_list(root(), root() || '/pages/');
-- large objects in parts; an unfinished one leaves nothing
SELECT store_stream(root(), root() || '/big/1', 30000000, 999983, 'finish'),
	store_verify(root(), root() || '/big/1', 30000000, 7777777),
	store_verify(root(), root() || '/big/1', 30000000, 3000000, prefetch => true);
SELECT store_stream(root(), root() || '/big/2', 16777216, 16777216, 'finish'),
	store_verify(root(), root() || '/big/2', 16777216, 16777216);
SELECT try($$ SELECT store_stream(root(), root() || '/big/2', 20000000, 99991, 'finish') $$);
SELECT store_stream(root(), root() || '/big/3', 20000000, 99991, 'abort');
SELECT store_stream(root(), root() || '/big/4', 20000000, 99991, 'leave');
SELECT try($$ SELECT store_stream(root(), root() || '/big/5', 20000000, 99991, 'error') $$);
SELECT * FROM store_list(root(), root() || '/big/') name ORDER BY 1;
-- uploads whose writers are gone (4 and 5: their processes could not abort them) are ended by the names' beginning, once
SELECT store_stream(root(), root() || '/big/40', 20000000, 99991, 'leave'), store_stream(root(), root() || '/big/6', 20000000, 99991, 'leave');
SELECT store_abort_uploads(root(), root() || '/big/4'), store_abort_uploads(root(), root() || '/big/4'),
	store_abort_uploads(root(), root() || '/big/'), store_abort_uploads(root(), root() || '/nothing');
SELECT try($$ SELECT store_abort_uploads(root(), 's3://other/big/4') $$);
-- a small object takes one request, announced ranges of a large one are merged: 30 MB in pieces of 3 MB, by 6 MB announced ahead
SELECT reads AS before FROM store_counters() \gset
SELECT store_stream(root(), root() || '/big/6', 300000, 99991, 'finish'), store_verify(root(), root() || '/big/6', 300000, 1000);
SELECT reads - :before AS requests FROM store_counters();
SELECT store_verify(root(), root() || '/big/1', 30000000, 3000000, prefetch => true);
SELECT reads - :before AS requests FROM store_counters();
-- what is counted
SELECT reads > 0 AND read_bytes > 76000000 AND writes > 1200 AND write_bytes > 46000000 AS counted FROM store_counters();
-- errors say what and why, and no secret
SELECT try($$ SELECT store_check('s3://no-such-bucket/x') $$);
SELECT try(format('SELECT store_check(%L)', root)) FROM unnest(ARRAY['s3://', 's3:///x', 's3://b?d/x', 's3://b/../x']) root;
SET tarn_store_test.secret_key = 'wrong';
SELECT try($$ SELECT store_check(root()) $$);
RESET tarn_store_test.secret_key;
SELECT try($$ SELECT store_check(root()) $$);
SET tarn_store_test.secret_key = :'secret_key';
SET tarn_store_test.access_key = E'a\r\nb';
SELECT try($$ SELECT store_check(root()) $$);
SET tarn_store_test.access_key = :'access_key';
SET tarn_store_test.region = 'eu-north-9';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
SET tarn_store_test.region = E'eu\n';
SELECT try($$ SELECT store_check(root()) $$);
RESET tarn_store_test.region;
SET tarn_store_test.endpoint = 'ftp://host';
SELECT try($$ SELECT store_check(root()) $$);
SET tarn_store_test.endpoint = 'http://user@host';
SELECT try($$ SELECT store_check(root()) $$);
SET tarn_store_test.endpoint = 'http://host/path';
SELECT try($$ SELECT store_check(root()) $$);
-- an address that only this machine can reach
SET tarn_store_test.endpoint = 'http://169.254.169.254';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
SET tarn_store_test.endpoint = 'http://[fe80::1]:7070';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
SET tarn_store_test.endpoint = 'http://[::ffff:169.254.169.254]';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
-- nobody listens there: tried again for a while, and cancelled at once
SET tarn_store_test.endpoint = 'http://127.0.0.1:1';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
\set VERBOSITY terse
SET statement_timeout = '300ms';
SELECT try($$ SELECT store_get(root(), root() || '/a/small') $$);
RE\set VERBOSITY terse
SET statement_timeout;
