# Spark, through Iceberg's Java library and its JdbcCatalog, reads what the source has (I6).  Gets Spark (400 MB) once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

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
TarnTest::mirror($node, 'p', tables => [qw(orders pairs)], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
foreach my $change (
	'UPDATE orders SET amount = amount + 1, paid = NOT paid WHERE id % 5 = 0',
	'DELETE FROM orders WHERE id % 7 = 0',
	'UPDATE pairs SET b = b + 1000 WHERE b < 100; DELETE FROM pairs WHERE a = $$k3$$',
	'INSERT INTO orders (id, customer) VALUES (100000, 1)')
{
	$node->safe_psql($db, $change);
	TarnTest::flush($node, 'p');
}
TarnTest::all_same($node, 'the foreign tables');

my ($out, $err) = ('', '');
my $good = IPC::Run::run([ "$cache/venv/bin/python", "$interop/lake_spark.py", '--jars', "$cache/jars", '--port', $node->port,
		'--dbname', $db, '--user', scalar(getpwuid($<)), '--lake', 'lake', '--warehouse', $warehouse, 'public.orders', 'public.pairs' ],
	'<', \undef, '>', \$out, '2>', \$err);
note($out);
diag($out, substr($err, -3000)) unless $good;
ok($good, 'Spark reads the rows of the source');
$node->stop;
done_testing();
