# Arrays, composites and hstore as lists, structs and maps: through the copy and the stream, edge values and random
# ones, read back by the foreign table, PyIceberg and DuckDB (I6).  TARN_SEED repeats a run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $rows = $ENV{TARN_TEST_LONG} ? 5000 : 200;
diag("TARN_SEED=$seed");

my $node = TarnTest::cluster('nested', conf => "log_statement = none\n");
TarnTest::create_lake($node);

my $share = `pg_config --sharedir`;
chomp $share;
my $hstore = -f "$share/extension/hstore.control";
$node->safe_psql($db, 'CREATE EXTENSION hstore') if $hstore;
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION r(a int, b int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT a + floor(random() * (b - a + 1))::int';
CREATE FUNCTION rt(n int) RETURNS text LANGUAGE sql VOLATILE AS
	$$SELECT coalesce(string_agg(substr(E'abcXYZ019 ,;:(){}[]"''\\%_-+/\t\né語😀', r(1, 38), 1), ''), '') FROM generate_series(1, r(0, n))$$;
-- an element: null at times
CREATE FUNCTION ri() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT CASE WHEN random() < 0.8 THEN r(-1000, 1000) END';
CREATE FUNCTION rs() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT CASE WHEN random() < 0.8 THEN rt(8) END';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE deep AS (id bigint, p pair, tags text[], "Ünder ""q" numeric(20,2), pairs pair[], at timestamptz);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN a_pair AS pair;
CREATE TABLE rowtype (x int, gone int, y date);
ALTER TABLE rowtype DROP COLUMN gone;
SQL

# name => [ type, edge values, a random value ]
my $array = sub { "ARRAY(SELECT $_[0] FROM generate_series(1, r(0, 6 + 0 * g)) x)" };
my %types = (
	ints => [ 'int[]', [ "'{}'", "'{NULL}'", "'{1,NULL,-2147483648}'", '(SELECT array_agg(g) FROM generate_series(1, 5000) g)' ], $array->('ri()') ],
	texts => [ 'text[]', [ "'{}'", "'{\"\",NULL,\"NULL\",\"a,b\"}'", "ARRAY[repeat('é', 5000), 'x']" ], $array->('rs()') ],
	varchars => [ 'varchar(8)[]', [ "'{}'" ], $array->('left(rs(), 8)') ],
	chars => [ 'char(4)[]', [ "'{a,NULL}'" ], $array->('left(rs(), 4)::char(4)') ],
	bools => [ 'boolean[]', [ "'{t,f,NULL}'" ], $array->('random() < 0.5') ],
	floats => [ 'float8[]', [ "'{NaN,Infinity,-0,0.1}'" ], $array->('random()') ],
	numerics => [ 'numeric(12,3)[]', [ "'{1.000,NULL,-999999999.999}'" ], $array->('(random() * 1000)::numeric(12,3)') ],
	wides => [ 'numeric(38,3)[]', [ "'{1.000,NULL,-99999999999999999999999999999999999.999}'" ], $array->('(random() * 1000)::numeric(38,3)') ],
	frees => [ 'numeric[]', [ "'{NaN,1.0,1.00}'" ], $array->('random()::numeric') ],
	uuids => [ 'uuid[]', [ "'{}'" ], $array->('gen_random_uuid()') ],
	byteas => [ 'bytea[]', [ q('{"","\\\\x00ff"}') ], $array->("decode(md5(random()::text), 'hex')") ],
	dates => [ 'date[]', [ "'{0001-01-01,NULL}'" ], $array->("date '2000-01-01' + ri()") ],
	stamps => [ 'timestamptz[]', [ "'{2024-01-01 00:00+00}'" ], $array->("timestamptz '2000-01-01 00:00+00' + ri() * interval '1 h'") ],
	intervals => [ 'interval[]', [ "'{1 mon}'" ], $array->("ri() * interval '1 h'") ],
	moods => [ 'mood[]', [ "'{sad,NULL}'" ], $array->("'ok'::mood") ],
	jsonbs => [ 'jsonb[]', [ q('{"{\"a\": 1}",null}') ], $array->("jsonb_build_object('k', rs())") ],
	ranges => [ 'int4range[]', [ "'{empty,\"[1,2)\"}'" ], $array->("int4range(r(-9, 0), r(0, 9))") ],
	pair => [ 'pair', [ "'(,)'", "'(1,\"\")'", "ROW(NULL, repeat('x', 4000))::pair" ], "ROW(ri(), rs())::pair" ],
	pairs => [ 'pair[]', [ "'{}'", "ARRAY[NULL, '(,)', '(1,b)']::pair[]" ], $array->('CASE WHEN random() < 0.8 THEN ROW(ri(), rs())::pair END') ],
	deep => [ 'deep', [ "ROW(NULL, NULL, NULL, NULL, NULL, NULL)::deep", "ROW(1, ROW(2, 'x'), '{}', 1.5, '{}', now())::deep" ],
		"ROW(ri(), CASE WHEN random() < 0.7 THEN ROW(ri(), rs())::pair END, CASE WHEN random() < 0.7 THEN " . $array->('rs()') . " END, ri(), "
		  . $array->('CASE WHEN random() < 0.8 THEN ROW(ri(), rs())::pair END') . ", now())::deep" ],
	deeps => [ 'deep[]', [ "ARRAY[ROW(1, ROW(2, 'x'), '{}', 1.5, ARRAY[ROW(1, 'b')]::pair[], now())::deep, NULL]" ],
		$array->("ROW(ri(), ROW(ri(), rs())::pair, " . $array->('rs()') . ", 0.25, " . $array->('ROW(ri(), rs())::pair') . ", now())::deep") ],
	domain_ints => [ 'ints', [ "'{}'", "'{1,NULL}'" ], $array->('ri()') ],
	domain_array => [ 'ints[]', [ q('{}'), q('{"{1,NULL}","{}",NULL}') ], $array->($array->('ri()') . '::ints') ],
	domain_pair => [ 'a_pair', [ "'(1,)'" ], 'ROW(ri(), rs())::a_pair' ],
	rowtype => [ 'rowtype', [ "'(1,2024-01-01)'" ], "ROW(ri(), date '2020-01-01')::rowtype" ],
	oidvector => [ 'oidvector', [ "'1 2'", "''" ], "'5 6'" ],
);
$types{hstore} = [ 'hstore', [ "''", q('a=>1, b=>NULL, ""=>""'), q{hstore('k"', 'é,=>')} ], "hstore(ARRAY(SELECT 'k' || x || rt(3) FROM generate_series(1, r(0, 6 + 0 * g)) x), NULL::text[]) || hstore('z', rs())" ] if $hstore;
$types{hstores} = [ 'hstore[]', [ q('{"a=>1",NULL,""}') ], $array->("hstore('z', rs())") ] if $hstore;
my @names = sort keys %types;

sub fill
{
	my ($name, $from) = @_;

	# other values in the stream than in the copy
	return TarnTest::type_rows("t_$name", $types{$name}, $from, $rows, $seed + $from / 10000);
}

$node->safe_psql($db, join('', map { "CREATE TABLE t_$_ (k int PRIMARY KEY, v $types{$_}[0]);" } @names));
foreach my $name (@names)
{
	$node->safe_psql($db, fill($name, 0));
}
# as a key, and with small pages and row groups: rows longer than a page
$node->safe_psql($db, <<'SQL');
CREATE TABLE keyed (k int[] PRIMARY KEY, v int);
INSERT INTO keyed SELECT ARRAY[g, NULL, g % 3], g FROM generate_series(1, 100) g;
CREATE TABLE loose (a text[], b pair, c int);
ALTER TABLE loose REPLICA IDENTITY FULL;
INSERT INTO loose SELECT ARRAY['x', g::text], ROW(g, 'b'::text)::pair, g FROM generate_series(1, 100) g, generate_series(1, 2);
CREATE TABLE long_rows (k int PRIMARY KEY, v int[], p deep[]);
INSERT INTO long_rows SELECT g, ARRAY(SELECT random() * 1e6 FROM generate_series(1, r(0, 8000 + 0 * g))),
	ARRAY(SELECT ROW(g, ROW(g, md5(x::text))::pair, ARRAY[x::text, md5(x::text)], 1, NULL, NULL)::deep FROM generate_series(1, r(0, 300 + 0 * g)) x)
	FROM generate_series(1, 60) g;
-- toasted, carried over by updates of other columns
CREATE TABLE toasted (k int PRIMARY KEY, n int, v text[], p pair);
INSERT INTO toasted SELECT g, 0, ARRAY(SELECT md5((g * x)::text) FROM generate_series(1, 400) x), ROW(g, (SELECT string_agg(md5((g * x)::text), '') FROM generate_series(1, 400) x))::pair FROM generate_series(1, 20) g;
SQL
my @all = ((map { "t_$_" } @names), qw(keyed loose long_rows toasted));
$node->safe_psql($db, 'CREATE PUBLICATION p FOR TABLE ' . join(', ', @all));
$node->safe_psql($db, "BEGIN; SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '1 s');"
	  . "SELECT tarn.set_table_options('p', 'long_rows', '{page_bytes=4096,row_group_rows=1000}'); COMMIT");
TarnTest::wait_live($node, 'p');
TarnTest::all_same($node, 'after the copy');
TarnTest::engines($node, [ map { "public.$_" } @all ], 'other engines after the copy');

foreach my $name (@names)
{
	$node->safe_psql($db, fill($name, 10000)
		  . "UPDATE t_$name SET v = (SELECT v FROM t_$name x WHERE x.k = t_$name.k + 1) WHERE k < 20;"
		  . "DELETE FROM t_$name WHERE k % 7 = 3;");
}
$node->safe_psql($db, <<'SQL');
DELETE FROM keyed WHERE v % 2 = 0;
UPDATE keyed SET k = k || 5 WHERE v % 3 = 0;
INSERT INTO keyed SELECT ARRAY[g], g FROM generate_series(1, 10) g;
DELETE FROM loose WHERE ctid IN (SELECT min(ctid) FROM loose GROUP BY c);
UPDATE loose SET a = a || NULL::text WHERE c < 50;
UPDATE toasted SET n = n + 1;
UPDATE toasted SET n = n + 1, v = '{}' WHERE k = 3;
UPDATE long_rows SET v = v || 1 WHERE k % 2 = 0;
SQL
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'after the stream');
TarnTest::engines($node, [ map { "public.$_" } @all ], 'other engines after the stream');
# whatever is nested, as jsonb; oidvector is text in the lake
$node->safe_psql($db, 'CREATE SCHEMA json');
foreach my $name (grep { $_ ne 'oidvector' } @names)
{
	$node->safe_psql($db, "CREATE FOREIGN TABLE json.t_$name (k int, v jsonb) SERVER lake OPTIONS (namespace 'public', table_name 't_$name')");
	is(TarnTest::differing($node, "(SELECT k, to_jsonb(v) AS v FROM t_$name) s", "json.t_$name", $db), '0', "$name as jsonb");
}
$node->safe_psql($db, 'UPDATE toasted SET n = n + 1');
TarnTest::flush($node, 'p');
# the key index from the lake's own keys
$node->stop;
ok(-d $node->data_dir . '/pg_tarn', 'there is a key index');
system_or_bail('rm', '-rf', $node->data_dir . '/pg_tarn');
$node->start;
$node->safe_psql($db, 'DELETE FROM keyed WHERE v < 30; UPDATE toasted SET n = n + 1; DELETE FROM loose WHERE c > 90');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'after the key index was lost');

# Some columns only, and rows from the middle
is($node->safe_psql($db, 'SELECT sum(v[2]), count(*) FROM lake.long_rows WHERE k BETWEEN 20 AND 30'),
	$node->safe_psql($db, 'SELECT sum(v[2]), count(*) FROM long_rows WHERE k BETWEEN 20 AND 30'), 'a filter beside');
is($node->safe_psql($db, 'SELECT count(*) FROM lake.t_ints WHERE v IS NULL'),
	$node->safe_psql($db, 'SELECT count(*) FROM t_ints WHERE v IS NULL'), 'IS NULL');
is($node->safe_psql($db, "SELECT count(*) FROM lake.t_ints WHERE v @> '{5}' OR v = '{}'"),
	$node->safe_psql($db, "SELECT count(*) FROM t_ints WHERE v @> '{5}' OR v = '{}'"), 'operators of arrays');

# What is no list: stops the table, or as the policy says
$node->safe_psql($db, <<'SQL');
CREATE TABLE matrix (k int PRIMARY KEY, v int[]);
CREATE TABLE matrix_null (k int PRIMARY KEY, v int[] NOT NULL);
CREATE TABLE matrix_clamp (k int PRIMARY KEY, v int[]);
CREATE TABLE matrix_text (k int PRIMARY KEY, v int[]);
INSERT INTO matrix_null VALUES (1, '{{1,2},{3,4}}'), (2, '[0:1]={5,6}'), (3, '{7}');
INSERT INTO matrix_clamp TABLE matrix_null;
INSERT INTO matrix_text TABLE matrix_null;
CREATE PUBLICATION q FOR TABLE matrix, matrix_null, matrix_clamp, matrix_text;
BEGIN;
SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{q}', flush_interval => '500 ms');
SELECT tarn.set_table_options('q', 'matrix_null', '{unsupported_values=null}');
SELECT tarn.set_table_options('q', 'matrix_clamp', '{unsupported_values=clamp}');
SELECT tarn.set_table_options('q', 'matrix_text', '{column.v=string}');
COMMIT;
SQL
TarnTest::wait_live($node, 'q');
$node->safe_psql($db, "INSERT INTO matrix VALUES (1, '{{1}}')");
TarnTest::flush($node, 'q');
like($node->safe_psql($db, "SELECT error FROM tarn.tables WHERE \"table\" = 'matrix'"),
	qr/cannot keep value "\{\{1\}\}" of column "v" of "public\.matrix" in the lake: it has more than one dimension/, 'a matrix is no list');
$node->safe_psql($db, 'IMPORT FOREIGN SCHEMA public LIMIT TO (matrix_null, matrix_clamp, matrix_text) FROM SERVER lake INTO lake');
is($node->safe_psql($db, 'SELECT string_agg(coalesce(v::text, $$-$$), $$ $$ ORDER BY k) FROM lake.matrix_null'), '- - {7}', 'policy null');
is($node->safe_psql($db, 'SELECT string_agg(coalesce(v::text, $$-$$), $$ $$ ORDER BY k) FROM lake.matrix_clamp'), '- {5,6} {7}', 'policy clamp');
is($node->safe_psql($db, 'SELECT string_agg(v::text, $$ $$ ORDER BY k) FROM lake.matrix_text'), '{{1,2},{3,4}} [0:1]={5,6} {7}', 'any array as a string');

$node->stop;
done_testing();
