# Reading: foreign tables over another engine's files and over our own, against the same rows in heap tables.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $node = TarnTest::cluster('reading');
my $warehouse = TarnTest::create_lake($node);
my $python = $ENV{TARN_VENV} ? "$ENV{TARN_VENV}/bin/python" : 'python3';
my $interop = "$FindBin::Bin/../interop";
my $dsn = sprintf 'postgresql://%s@/postgres?host=%s&port=%d', scalar(getpwuid($<)), $node->host, $node->port;

# Runs a program of test/interop; its TAP lines become subtests' notes.
sub interop
{
	my ($what, @command) = @_;
	my $out = '';
	local %ENV = (%ENV, $warehouse =~ /^s3:/ ?
		  (TarnTest::s3_environment(), TARN_TEST_S3_ENDPOINT => TarnTest::start_plain_s3()) : ());
	my $good = IPC::Run::run([ $python, @command ], '<', \undef, '>&', \$out);

	diag(join "\n", grep { !/^ok/ } split /\n/, $out) unless $good;
	return ok($good, $what);
}

interop('PyIceberg makes tables', "$interop/make_tables.py", $dsn, $warehouse, 'lake');
interop('foreign tables show the rows of their heap twins', "$interop/check_reading.py", $dsn);

# our own tables: every type, after updates, deletes and inserts
$node->safe_psql('postgres', <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE every (id bigint PRIMARY KEY, b boolean, i2 smallint, i integer, l bigint, f real, d double precision,
	n9 numeric(9,2), n38 numeric(38,10), nn numeric, day date, clock time, ts timestamp, tz timestamptz,
	s text, v varchar(40), c char(12), nm name, u uuid, bin bytea, jb jsonb, m mood);
INSERT INTO every
SELECT i, i % 2 = 0, i % 1000, i * 7, i::bigint * 1000000007, i / 3.0, i / 7.0, (i % 100000) / 100.0,
	i * 1.0000000001, i * 1.5, date '2020-01-01' + i % 4000, time '00:00' + (i % 86400) * interval '1 s',
	timestamp '2001-01-01' + i * interval '1 min', timestamptz '2001-01-01' + i * interval '1 min',
	'text ' || i, 'v' || i % 77, 'c' || i % 1000, 'nm' || i % 9, md5(i::text)::uuid, decode(md5(i::text), 'hex'),
	jsonb_build_object('k', i), (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood
FROM generate_series(1, 30000) i;
UPDATE every SET s = NULL, c = NULL, n9 = NULL, u = NULL, m = NULL WHERE id % 13 = 0;
SQL
TarnTest::mirror($node, 'p', tables => ['every']);
TarnTest::flush($node, 'p');
TarnTest::foreign_tables($node);
is($node->safe_psql('postgres', <<'SQL'), '', 'types and NOT NULL are imported as they were');
SELECT a.attname FROM pg_attribute a LEFT JOIN pg_attribute b
	ON b.attrelid = 'lake.every'::regclass AND b.attname = a.attname AND b.atttypid = a.atttypid
	AND b.atttypmod = a.atttypmod AND b.attnotnull = a.attnotnull
WHERE a.attrelid = 'every'::regclass AND a.attnum > 0 AND b.attname IS NULL
SQL
TarnTest::same($node, 'every', 'lake.every', 'after the copy');

my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = $reader->query_safe('SELECT count(*), sum(id) FROM lake.every');
my $cursor = $node->background_psql('postgres');
$cursor->query_safe('BEGIN');
$cursor->query_safe('DECLARE c CURSOR FOR SELECT id FROM lake.every');
my $first = $cursor->query_safe('FETCH 10 FROM c');

$node->safe_psql('postgres', <<'SQL');
UPDATE every SET s = s || '!', v = 'upd', c = 'upd' WHERE id % 10 = 3;
DELETE FROM every WHERE id % 17 = 0;
INSERT INTO every (id, s) SELECT i, 'new' FROM generate_series(300000, 301000) i;
SQL
TarnTest::flush($node, 'p');
TarnTest::same($node, 'every', 'lake.every', 'after changes');
is($reader->query_safe('SELECT count(*), sum(id) FROM lake.every'), $before,
	'REPEATABLE READ keeps the lake state of its first read');
$reader->query_safe('COMMIT');
isnt($reader->query_safe('SELECT count(*), sum(id) FROM lake.every'), $before, 'and sees the new one afterwards');
my $rest = $cursor->query_safe('FETCH ALL FROM c');
is(scalar(split /\n/, "$first\n$rest"), 30000, 'an open cursor reads the state it was opened on');
$cursor->query_safe('COMMIT');
$reader->quit;
$cursor->quit;

# clauses on types that the lake keeps as text are evaluated by the executor, exactly
foreach my $where ("m >= 'ok'", "m = 'sad'", 'nn > 5.5', "c = 'upd'", "c IN ('c1', 'c999   ')", "c <> 'c1'", "nm = 'nm3'",
	"nm > 'nm5'", "jb = '{\"k\": 5}'", "v LIKE 'v1%'", "c LIKE 'c1 %'", 'n9 = 1.005 OR n9 < 0.011', "s ^@ 'text 29'")
{
	is($node->safe_psql('postgres', "SELECT count(*), sum(id) FROM lake.every WHERE $where"),
		$node->safe_psql('postgres', "SELECT count(*), sum(id) FROM every WHERE $where"), "where $where");
}

# one cached generic plan, the lake moving on between its executions
my $session = $node->background_psql('postgres');
$session->query_safe('SET plan_cache_mode = force_generic_plan');
$session->query_safe('PREPARE q(bigint) AS SELECT count(*) FROM lake.every WHERE id > $1');
is($session->query_safe('EXECUTE q(300990)'), '10', 'generic plan');
$node->safe_psql('postgres', "INSERT INTO every (id) VALUES (400000); DELETE FROM every WHERE id = 300995");
TarnTest::flush($node, 'p');
is($session->query_safe('EXECUTE q(300990)'), '10', 'the same plan reads the new state');
is($session->query_safe('EXECUTE q(301000)'), '1', 'and the new file');
$session->quit;

# a reader needs the table's privilege only
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA lake TO reader;
GRANT SELECT (id) ON lake.every TO reader;
SQL
if ($warehouse =~ /^s3:/)
{
	# keys belong to a user mapping, as for any foreign server
	$node->safe_psql('postgres', 'CREATE USER MAPPING FOR reader SERVER lake '
		  . "OPTIONS (access_key_id 'testkey', secret_access_key 'testsecret')");
}
is($node->safe_psql('postgres', 'SELECT count(id) > 0 FROM lake.every', connstr => $node->connstr('postgres') . ' user=reader'),
	't', 'a role with the privilege on a column reads it');
my ($code, $stdout, $stderr) = $node->psql('postgres', 'SELECT s FROM lake.every',
	connstr => $node->connstr('postgres') . ' user=reader');
like($stderr, qr/permission denied/, 'and no other');

$node->stop;
done_testing();
