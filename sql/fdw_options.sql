-- Options of the foreign data wrapper, and what its errors say
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tarn;
RESET client_min_messages;

-- the wrapper itself has no options
ALTER FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///nowhere');

-- a server needs a warehouse, and a valid one
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn;
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse '/srv/lake');
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///srv/../lake');
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'ftp://srv/lake');

-- an unknown name gets the closest as a hint
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehose 'file:///srv/lake');
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn
	OPTIONS (warehouse 'file:///srv/lake', path_styl 'on');

-- values are checked
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn
	OPTIONS (warehouse 's3://bucket/prefix', path_style 'perhaps');
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn
	OPTIONS (warehouse 'file:///srv/lake', catalog 'postgers');

-- encryption by the service: what it knows, whole, and where there is a service
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse 'AES128');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse_kms_key_id 'k');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse 'AES256', sse_kms_key_id 'k');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse 'aws:kms', sse_kms_key_id E'k\nx-amz-acl: public-read');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse 'aws:kms', sse_kms_key_id '');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///srv/lake', sse 'AES256');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_encrypted FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix', sse 'aws:kms', sse_kms_key_id 'alias/lake');
ALTER SERVER options_encrypted OPTIONS (DROP sse);
ALTER SERVER options_encrypted OPTIONS (DROP sse_kms_key_id, SET sse 'AES256');
DROP SERVER options_encrypted;

CREATE SERVER options_lake FOREIGN DATA WRAPPER tarn
	OPTIONS (warehouse 'file:///tmp/tarn_regress_no_such_lake');

-- options of tables and columns
CREATE FOREIGN TABLE options_table (id bigint) SERVER options_lake OPTIONS (tablename 'x');
CREATE FOREIGN TABLE options_table (id bigint OPTIONS (name 'x')) SERVER options_lake;
CREATE FOREIGN TABLE options_table (id bigint) SERVER options_lake OPTIONS (warehouse 'x');
CREATE FOREIGN TABLE options_table (id bigint OPTIONS (column_name 'key'))
	SERVER options_lake OPTIONS (namespace 'public', table_name 'orders');

-- the lake has no such table, and nothing to import
SELECT * FROM options_table;
EXPLAIN SELECT * FROM options_table;
IMPORT FOREIGN SCHEMA public FROM SERVER options_lake INTO public;

-- a lake is not written by DML
INSERT INTO options_table VALUES (1);

-- secrets belong into user mappings, with names checked as well
CREATE USER MAPPING FOR CURRENT_USER SERVER options_lake OPTIONS (access_key 'x');
ALTER SERVER options_lake OPTIONS (secret_access_key 'x');

-- only who may read the server's files may name a folder of the server
CREATE ROLE tarn_regress_reader;
GRANT USAGE ON FOREIGN DATA WRAPPER tarn TO tarn_regress_reader;
SET ROLE tarn_regress_reader;
CREATE SERVER reader_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///tmp/tarn_regress_no_such_lake');
CREATE SERVER reader_lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/prefix');
DROP SERVER reader_lake;
SELECT * FROM options_table;
IMPORT FOREIGN SCHEMA public FROM SERVER options_lake INTO public;
RESET ROLE;
REVOKE ALL ON FOREIGN DATA WRAPPER tarn FROM tarn_regress_reader;
DROP ROLE tarn_regress_reader;

DROP SERVER options_lake CASCADE;
