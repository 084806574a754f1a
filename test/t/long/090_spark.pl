# Spark, through Iceberg's Java library and its JdbcCatalog, reads what the source has: scalars, nested types, what is kept as
# text or as numbers, and tables whose shape changed (I6).  Gets Spark (400 MB) once.  TARN_SEED repeats the random values.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use TarnTypes;

plan skip_all => 'Spark reads the warehouse of a directory only' if $TarnTest::store ne 'file';

my $db = 'postgres';
my $cache = $ENV{TARN_SPARK} || ($ENV{TARN_VENV} ? "$ENV{TARN_VENV}/../spark" : "$PostgreSQL::Test::Utils::tmp_check/spark");
my $interop = "$TarnTest::top/test/interop/spark";

# What is missing of Spark
if (!-x "$cache/venv/bin/spark-submit")
{
	system_or_bail('mkdir', '-p', $cache);
	system_or_bail('python3', '-m', 'venv', "$cache/venv");
	system_or_bail("$cache/venv/bin/pip", 'install', '-q', '--disable-pip-version-check', 'pyspark==4.1.1');
}
if (!glob("$cache/jars/iceberg-spark-runtime-*.jar"))
{
	system_or_bail('mvn', '-q', '-B', '-f', "$interop/pom.xml", 'dependency:copy-dependencies', "-DoutputDirectory=$cache/jars");
}

my $node = TarnTest::cluster('spark', conf => "log_statement = none\nlisten_addresses = '127.0.0.1'\n");
my $warehouse = TarnTest::create_lake($node);

$node->safe_psql($db, <<'SQL');
CREATE TABLE orders (id int PRIMARY KEY, customer bigint NOT NULL, placed timestamptz, due date, amount numeric(12,2), note text, paid boolean,
	weight real, score double precision, token uuid, local timestamp, status varchar(10), kind smallint);
INSERT INTO orders SELECT i, i * 7, timestamptz '2024-01-01 00:00+00' + i * interval '61 s', date '2024-01-01' + i % 365, i / 7.0,
	nullif(repeat(md5(i::text), i % 4), ''), i % 3 = 0, i / 3.0, sqrt(i), md5(i::text)::uuid, timestamp '2000-01-01' + i * interval '1 h',
	'st' || i % 5, i % 9 FROM generate_series(1, 20000) i;
CREATE TABLE pairs (a text, b int, v bytea, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT 'k' || i % 10, i, decode(md5(i::text), 'hex') FROM generate_series(1, 500) i;
SQL
# Edge values and random ones of every type: a table with a column for each.  Apart from those that orders has, which
# Spark writes its own way as JSON or, past year 9999, not at all.  Spark opens no table with a time, so it is kept as text.
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
diag("TARN_SEED=$seed");
my %types = TarnTypes::make($node, $db);
my @every = grep { !/^(float[48]|date|timestamp|timestamptz|bytea|moods|d_hstore|geo.*)$/ } sort keys %types;
foreach my $name (@every)
{
	$node->safe_psql($db, "CREATE TABLE t_$name (k int PRIMARY KEY, v $types{$name}[0]); " . TarnTest::type_rows("t_$name", $types{$name}, 0, 100, $seed));
}
$node->safe_psql($db, 'SET join_collapse_limit = 1; CREATE TABLE every AS SELECT k, ' . join(', ', map { "t_$_.v AS $_" } @every)
	  . ' FROM generate_series(0, 100) k' . join('', map { " LEFT JOIN t_$_ USING (k)" } @every) . '; ALTER TABLE every ADD PRIMARY KEY (k)');

# A column of it in the form that the lake has
sub form
{
	my ($name) = @_;
	my $type = $types{$name}[0];

	return $name if $type =~ /^(boolean|smallint|integer|bigint|text|varchar.*|char\(.*|name|uuid|price|numeric\((?!39|5,60).*)$/;
	return "$name\::oid::int8 AS $name" if $type =~ /^(oid|reg.*)$/;
	return "$name\::text::int8 AS $name" if $type =~ /^(xid|cid)$/;
	return "$name\::numeric::text AS $name" if $type eq 'money';
	return "CASE WHEN $name\::int4 < 0 THEN format('\\%s%s%s', ($name\::int4 & 255) >> 6, ($name\::int4 & 63) >> 3, $name\::int4 & 7) ELSE $name\::text END AS $name" if $type eq '"char"';
	return "$name\::text AS $name" if $type eq 'xml';
	# not a cast, which has other words for inet than its output function
	return "CASE WHEN $name IS DISTINCT FROM NULL THEN format('%s', $name) END AS $name";
}

# What Spark has as list, struct and map
$node->safe_psql($db, <<'SQL');
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE deep AS (id bigint, p pair, tags text[], "Ünder ""q" numeric(20,2), pairs pair[], at timestamptz);
CREATE TABLE nested (id int PRIMARY KEY, ints int[], texts text[], days date[], p pair, pairs pair[], d deep, deeps deep[], m hstore, ms hstore[]);
INSERT INTO nested (id) VALUES (0);
INSERT INTO nested VALUES (1, '{}', '{}', '{}', '(,)', '{}', '(,,,,,)', '{}', '', '{}'),
	(2, '{NULL}', '{"",NULL,"a,b"}', '{0001-01-01,9999-12-31}', '(1,"")', ARRAY[NULL, '(,)', '(1,b)']::pair[], NULL, NULL, 'a=>1, b=>NULL, ""=>""', ARRAY['a=>1', NULL, '']::hstore[]);
INSERT INTO nested SELECT g, ARRAY(SELECT x * g FROM generate_series(1, g % 6) x), ARRAY(SELECT md5((x * g)::text) FROM generate_series(1, g % 5) x), ARRAY[date '2020-01-01' + g],
	ROW(g, 'é' || g)::pair, ARRAY(SELECT CASE WHEN x % 3 > 0 THEN ROW(x, g::text)::pair END FROM generate_series(1, g % 7) x),
	ROW(g, ROW(g, 'x'), ARRAY['t', NULL, g::text], g / 4.0, ARRAY[ROW(1, 'b')]::pair[], timestamptz '2024-01-01 00:00:00.123456+00' + g * interval '1 h')::deep,
	ARRAY(SELECT ROW(x, NULL, '{}', NULL, NULL, NULL)::deep FROM generate_series(1, g % 3) x), hstore('k' || g % 9, 'v' || g) || hstore('n', NULL), ARRAY[hstore('a', g::text)]
	FROM generate_series(3, 1000) g;
SQL

# What Spark has as text: the source's own text under the settings that the lake's has
my %texts = (
	free => [ 'numeric', 'g / 7.0' ], wide => [ 'numeric(39,5)', 'g * 1e30' ], span => [ 'interval', q{make_interval(months => g % 30, days => -g, secs => g / 8.0)} ],
	net => [ 'inet', q{('10.1.' || g % 256 || '.1/' || g % 33)::inet} ], doc => [ 'jsonb', q{jsonb_build_object('g', g, 'l', ARRAY[1.50, NULL])} ],
	plain => [ 'json', q{json_build_object('a', g)} ], part => [ 'int4range', 'int4range(-g, g)' ], parts => [ 'int4multirange', 'int4multirange(int4range(1, 2), int4range(g, g + 5))' ],
	mood => [ 'mood', q{(ARRAY['sad', 'ok'])[g % 2 + 1]::mood} ], bits => [ 'bit(11)', 'g::bit(11)' ], spot => [ 'point', 'point(g, 0.1)' ], lsn => [ 'pg_lsn', q{'0/0'::pg_lsn + g} ],
	zone => [ 'timetz', q{(time '00:00' + g * interval '7 s') AT TIME ZONE interval '5:30'} ], words => [ 'tsvector', q{to_tsvector('simple', 'a b ' || g)} ], mac => [ 'macaddr', q{left(md5(g::text), 12)::macaddr} ]);
my @texts = sort keys %texts;
$node->safe_psql($db, q{CREATE TABLE texts (id int PRIMARY KEY, } . join(', ', map { "$_ $texts{$_}[0]" } @texts) . ');'
	  . 'INSERT INTO texts SELECT g, ' . join(', ', map { $texts{$_}[1] } @texts) . ' FROM generate_series(1, 500) g; INSERT INTO texts (id) VALUES (0)');

# A table whose shape changes while it is followed
$node->safe_psql($db, <<'SQL');
CREATE TABLE evolved (id int PRIMARY KEY, n int, f real, d numeric(6,2), old text, gone int, code varchar(4));
INSERT INTO evolved SELECT g, g, g / 4.0, g / 8.0, 'old ' || g, g, 'c' || g % 99 FROM generate_series(1, 1000) g;
SQL

TarnTest::mirror($node, 'p', tables => [qw(orders pairs nested texts evolved every)], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'every', '{column.time=string}')");
foreach my $change (
	'UPDATE orders SET amount = amount + 1, paid = NOT paid WHERE id % 5 = 0',
	'DELETE FROM orders WHERE id % 7 = 0',
	'UPDATE pairs SET b = b + 1000 WHERE b < 100; DELETE FROM pairs WHERE a = $$k3$$',
	'INSERT INTO orders (id, customer) VALUES (100000, 1)',
	'UPDATE nested SET ints = ints || 7, p.b = NULL WHERE id % 4 = 0; DELETE FROM nested WHERE id % 9 = 0',
	'UPDATE texts SET free = free + 1, span = span * 2 WHERE id % 4 = 0; DELETE FROM texts WHERE id % 9 = 0',
	'UPDATE every SET k = k + 1000 WHERE k % 3 = 0; DELETE FROM every WHERE k = 77',
	'ALTER TABLE evolved ADD added int DEFAULT 42; ALTER TABLE evolved RENAME old TO renamed; INSERT INTO evolved VALUES (2001, 1, 1, 1, $$x$$, 1, $$y$$, 2)',
	'DELETE FROM evolved WHERE id % 10 = 0; UPDATE evolved SET added = id WHERE id % 6 = 0',
	'ALTER TABLE evolved ALTER n TYPE bigint; ALTER TABLE evolved ALTER f TYPE float8; ALTER TABLE evolved ALTER d TYPE numeric(12,2); ALTER TABLE evolved ALTER code TYPE text',
	'ALTER TABLE evolved DROP gone; ALTER TABLE evolved ADD gone text; INSERT INTO evolved VALUES (2002, 1::bigint << 40, 0.1, 9999999999.99, $$x$$, repeat($$z$$, 90), 3, $$again$$)',
	'UPDATE evolved SET gone = $$back$$ WHERE id % 7 = 0; DELETE FROM evolved WHERE id % 11 = 0',
	'ALTER TYPE pair ADD ATTRIBUTE c bigint CASCADE; UPDATE nested SET p.c = id WHERE id % 3 = 0')
{
	$node->safe_psql($db, $change);
	TarnTest::flush($node, 'p');
}
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'the foreign tables');

my ($out, $err) = ('', '');
# by the output function: inet's cast to text says something else
my $texts_query = 'SELECT id, ' . join(', ', map { "CASE WHEN $_ IS NOT NULL THEN format('%s', $_) END AS $_" } @texts) . ' FROM public.texts';
my $good = IPC::Run::run([ "$cache/venv/bin/python", "$interop/lake_spark.py", '--jars', "$cache/jars", '--port', $node->port,
		'--dbname', $db, '--user', scalar(getpwuid($<)), '--lake', 'lake', '--warehouse', $warehouse,
		'--json', 'public.nested', 'SELECT * FROM public.nested', '--json', 'public.texts', $texts_query,
		'--json', 'public.every', 'SELECT k, ' . join(', ', map { form($_) } @every) . ' FROM public.every',
		map { "public.$_" } qw(orders pairs evolved) ],
	'<', \undef, '>', \$out, '2>', \$err);
note($out);
diag($out, substr($err, -3000)) unless $good;
ok($good, 'Spark reads the rows of the source');
$node->stop;
done_testing();
