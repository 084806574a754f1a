\echo Use "CREATE EXTENSION tarn_store_test" to load this file. \quit

CREATE FUNCTION store_check(root text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_check';
CREATE FUNCTION store_put(root text, name text, data bytea, if_absent boolean DEFAULT false) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_put';
CREATE FUNCTION store_get(root text, name text, max_size bigint DEFAULT 1000000) RETURNS bytea
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_get';
CREATE FUNCTION store_read(root text, name text, size bigint, start bigint, length bigint) RETURNS bytea
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_read';
CREATE FUNCTION store_list(root text, prefix text, at_most bigint DEFAULT 1000000) RETURNS SETOF text
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_list';
CREATE FUNCTION store_remove(root text, name text) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_remove';
CREATE FUNCTION store_abort_uploads(root text, prefix text) RETURNS integer
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_abort_uploads';
CREATE FUNCTION store_encode(name text) RETURNS text
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_encode';

-- writes `total` bytes in pieces of `piece`, then ends as `ending` says: finish, abort, error or leave
CREATE FUNCTION store_stream(root text, name text, total bigint, piece integer, ending text) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_stream';
-- reads it in pieces and returns how many bytes are not what store_stream wrote
CREATE FUNCTION store_verify(root text, name text, total bigint, piece integer, prefetch boolean DEFAULT false) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_verify';
CREATE FUNCTION store_counters(OUT reads bigint, OUT read_bytes bigint, OUT writes bigint, OUT write_bytes bigint)
	LANGUAGE c AS 'MODULE_PATHNAME', 'test_store_counters';

-- signature of a request; query and headers are name, value, name, value ...
CREATE FUNCTION store_sign(method text, path text, query text[], headers text[], body text, date text,
	access_key text, secret_key text, service text) RETURNS text
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'test_store_sign';
