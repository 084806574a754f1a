# What is committed is in the lake, and nothing else: I1, I2, I6, and the life of a pipeline.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time);

my $node = TarnTest::cluster('basic', conf => "tarn.garbage_grace = 0\n");
my $db = 'postgres';

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sub fails
{
	my ($statement, $pattern, $what) = @_;
	my ($status, $out, $err) = $node->psql($db, $statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($status != 0 && $err =~ $pattern, $what) || diag("status $status: $err");
}

# Flush and compare everything.
sub mirrored
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($node, 'p');
	return TarnTest::all_same($node, $what);
}

TarnTest::create_lake($node);
sql(<<SQL);
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(12,2), at timestamptz DEFAULT now());
CREATE TABLE log (id bigint, line text);
CREATE TABLE pair (a int, d date, v text, PRIMARY KEY (a, d));
CREATE TABLE whole (a int, b text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE types (id int PRIMARY KEY, b boolean, s smallint, i integer, l bigint, r real, d double precision,
	n numeric(38,9), wide numeric, t text, vc varchar(20), c char(8), nm name, by bytea, u uuid, da date, ti time,
	ts timestamp, tz timestamptz, j json, jb jsonb, e mood);
INSERT INTO t SELECT i, 'row ' || i, i / 3.0 FROM generate_series(1, 5000) i;
INSERT INTO log SELECT i, md5(i::text) FROM generate_series(1, 100) i;
INSERT INTO types (id) VALUES (1);
SQL
TarnTest::mirror($node, 'p', tables => [qw(t pair whole types)], keyless => ['log'],
	arguments => "flush_interval => '300 ms'");
TarnTest::wait_live($node, 'p');
mirrored('copied');

# DML
sql("INSERT INTO t VALUES (10001, 'new'); UPDATE t SET v = v || '!' WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0");
mirrored('insert, update, delete');
sql('UPDATE t SET id = id + 100000 WHERE id % 5 = 0');
mirrored('keys changed');
sql('BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = -1; COMMIT');
mirrored('keys swapped in a transaction');
sql("BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'again'); DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'and again'); COMMIT");
mirrored('deleted and inserted again in a transaction');
sql("INSERT INTO t VALUES (20001, 'brief'); UPDATE t SET v = 'longer' WHERE id = 20001; DELETE FROM t WHERE id = 20001");
mirrored('a row that came and went within a flush');
sql("BEGIN; INSERT INTO t VALUES (30001, 'never'); UPDATE t SET v = 'never'; ROLLBACK");
mirrored('rolled back');
is(sql("SELECT count(*) FROM lake.t WHERE v = 'never'"), '0', 'nothing of it is in the lake');
sql(<<SQL);
BEGIN;
INSERT INTO t VALUES (40001, 'kept');
SAVEPOINT a; INSERT INTO t VALUES (40002, 'undone'); UPDATE t SET v = 'undone' WHERE id < 50; ROLLBACK TO a;
SAVEPOINT b; INSERT INTO t VALUES (40003, 'kept'); SAVEPOINT c; DELETE FROM t WHERE id = 40001; ROLLBACK TO c;
INSERT INTO t VALUES (40004, 'kept'); RELEASE b;
COMMIT
SQL
mirrored('subtransactions');
sql("INSERT INTO pair SELECT i % 10, date '2024-01-01' + i, 'p' || i FROM generate_series(1, 300) i; UPDATE pair SET v = NULL WHERE a = 3; DELETE FROM pair WHERE a = 4; UPDATE pair SET d = d + 1000 WHERE a = 5");
mirrored('a key of two columns');
sql("INSERT INTO whole SELECT i % 5, nullif('w' || i % 5, 'w2') FROM generate_series(1, 50) i; INSERT INTO whole VALUES (NULL, NULL), (NULL, NULL)");
sql("DELETE FROM whole WHERE ctid IN (SELECT min(ctid) FROM whole GROUP BY a, b); UPDATE whole SET b = 'x' WHERE ctid = (SELECT max(ctid) FROM whole)");
mirrored('the whole row as identity, with duplicates and nulls');
sql("INSERT INTO log SELECT i, repeat('l', i) FROM generate_series(1, 1000) i; INSERT INTO log VALUES (NULL, NULL)");
mirrored('no key');

# Values
sql(<<'SQL');
SET extra_float_digits = 1;
INSERT INTO types VALUES
	(2, true, 32767, 2147483647, 9223372036854775807, 3.4e38, 1.7976931348623157e308, 12345678901234567890123456789.123456789,
	 'NaN', 'ünïcödé €', 'twenty characters...', 'pad', 'a_name', '\x00ff10', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '9999-12-31',
	 '23:59:59.999999', '2038-01-19 03:14:08.000001', '1969-12-31 23:59:59.999999+00', '{"a": [1, 2,3]}', '{"b": 1, "a": null}', 'happy'),
	(3, false, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', -0.000000001,
	 1e-40, '', '', '', '', '', '00000000-0000-0000-0000-000000000000', '0001-01-01',
	 '00:00', '0001-01-01', '1970-01-01 00:00+00', '[]', '{}', 'sad'),
	(4, NULL, 0, 0, 0, -0.0, 1e-320, 0, 100000, E'tab\tnewline\n', 'x', 'x ', 'y', decode(repeat('00', 3000), 'hex'), NULL, '1582-10-04',
	 '12:00', '1900-02-28 12:00', now(), '"\u00e9"', '"\u00e9"', NULL);
SQL
mirrored('values of all types');
sql("UPDATE types SET t = 'touched'; UPDATE types SET id = id + 100 WHERE id > 2");
mirrored('and updated');
TarnTest::engines($node, [map { "public.$_" } qw(t log pair whole types)], 'other engines read the same');

# A big value stays whole when its row is updated around it
sql(<<SQL);
ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
INSERT INTO t SELECT 50000 + i, (SELECT string_agg(md5((i * 1000 + k)::text), '') FROM generate_series(1, 300) k) FROM generate_series(1, 20) i;
SQL
mirrored('values out of line');
sql('UPDATE t SET n = 1 WHERE id > 50000; UPDATE t SET id = id + 1000000 WHERE id BETWEEN 50005 AND 50010');
mirrored('values out of line that did not change');

# Truncate
sql("INSERT INTO log VALUES (1, 'gone'); TRUNCATE log; INSERT INTO log VALUES (2, 'after')");
mirrored('truncate between inserts');
sql("BEGIN; INSERT INTO t VALUES (60001, 'gone'); TRUNCATE t, pair; INSERT INTO t VALUES (60001, 'after'), (60002, 'b'); UPDATE t SET v = 'c' WHERE id = 60002; COMMIT");
mirrored('truncate of two tables in a transaction');
sql("BEGIN; TRUNCATE t; ROLLBACK");
mirrored('truncate rolled back');
sql("DELETE FROM t; DELETE FROM whole");
mirrored('emptied by deletes');

# Flush
my $lsn = sql('SELECT pg_current_wal_insert_lsn()');
is(sql("SELECT tarn.flush('p') >= '$lsn'"), 't', 'flush reaches what was before');
my ($before) = split /\|/, sql("SELECT max(metadata_location) FROM tarn_catalog.iceberg_tables WHERE table_name = 't'");
sql("CREATE TABLE other (a int); INSERT INTO other SELECT generate_series(1, 1000)");
TarnTest::flush($node, 'p');
is(sql("SELECT max(metadata_location) FROM tarn_catalog.iceberg_tables WHERE table_name = 't'"), $before,
	'changes of other tables write nothing to the lake');
sql("INSERT INTO t VALUES (1, 'by itself')");
ok($node->poll_query_until($db, 'SELECT count(*) = 1 FROM lake.t WHERE id = 1'), 'flush_interval does the same by itself');
fails("SELECT tarn.flush('pp')", qr/pipeline "pp" does not exist.*Perhaps you meant the pipeline "p"/s, 'flush of an unknown pipeline');

# One transaction is seen whole, over several tables: transfers between them leave the sum
sql(<<SQL);
CREATE TABLE a (id int PRIMARY KEY, n bigint);
CREATE TABLE b (id int PRIMARY KEY, n bigint);
INSERT INTO a SELECT i, 1000 FROM generate_series(1, 100) i;
INSERT INTO b SELECT * FROM a;
ALTER PUBLICATION p ADD TABLE a, b;
SQL
$node->poll_query_until($db, q{SELECT count(*) = 2 FROM tarn.tables WHERE "table" IN ('a', 'b') AND state = 'live'})
  or die 'tables a and b are not copied';
sql('IMPORT FOREIGN SCHEMA public LIMIT TO (a, b) FROM SERVER lake INTO lake');
my $script = "$PostgreSQL::Test::Utils::tmp_check/transfer.sql";
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set x random(1, 100)
\set y random(1, 100)
\set n random(1, 50)
BEGIN; UPDATE a SET n = n - :n WHERE id = :x; UPDATE b SET n = n + :n WHERE id = :y; END;
SQL
my $bench = IPC::Run::start([ 'pgbench', '-n', '-T', '4', '-c', '2', '-f', $script, '-h', $node->host, '-p', $node->port, $db ], '>&', \my $output);
my %sums;
my $end = time() + 4;
while (time() < $end)
{
	$sums{ sql('SELECT (SELECT sum(n) FROM lake.a) + (SELECT sum(n) FROM lake.b)') }++;
	# two statements of one transaction
	$sums{ sql('BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMP TABLE s AS SELECT sum(n) AS n FROM lake.a; SELECT pg_sleep(0.4) \gset' . "\n"
			. 'SELECT s.n + (SELECT sum(n) FROM lake.b) FROM s; COMMIT') }++;
}
ok($bench->finish, 'load') or diag($output);
is_deeply([ keys %sums ], ['200000'], 'each state of the lake is one of the source: ' . join(', ', map { "$_: $sums{$_}" } keys %sums));
mirrored('after the load');

# Pause and resume
sql("SELECT tarn.pause('p')");
ok($node->poll_query_until($db, "SELECT state = 'paused' AND pid IS NULL FROM tarn.pipelines"), 'paused');
sql("INSERT INTO t VALUES (2, 'while paused')");
fails("SELECT tarn.flush('p')", qr/pipeline "p" is paused/, 'flush of a paused pipeline');
is(sql('SELECT count(*) FROM lake.t WHERE id = 2'), '0', 'nothing moves meanwhile');
sql("SELECT tarn.resume('p')");
mirrored('resumed');

# A table leaves the publication; another has no usable identity, and is append only
sql('ALTER PUBLICATION p DROP TABLE pair');
ok($node->poll_query_until($db, q{SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'pair'}), 'a table left');
sql(<<SQL);
CREATE TABLE keyless (a int);
ALTER PUBLICATION p ADD TABLE keyless;
SQL
$node->poll_query_until($db, q{SELECT state = 'live' FROM tarn.tables WHERE "table" = 'keyless'}) or die 'keyless is not copied';
sql('INSERT INTO keyless VALUES (1), (1)');
mirrored('a table without identity is taken');
fails('UPDATE keyless SET a = 2', qr/does not have a replica identity and publishes updates/, 'the server refuses what could not be told');

# Restart
sql("INSERT INTO t VALUES (3, 'before the restart')");
$node->restart;
sql("INSERT INTO t VALUES (4, 'after it')");
mirrored('after a restart');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);

# Errors leave nothing behind
fails("SELECT tarn.create_pipeline('q', lake => 'nowhere', publications => '{p}')", qr/server "nowhere" does not exist/, 'unknown lake');
fails("SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{nothing}')", qr/publication "nothing" does not exist/, 'unknown publication');
fails("SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}')", qr/pipeline "p" already exists/, 'name that is taken');
fails("SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{p}')", qr/is already written by pipeline "p"/, 'two pipelines on one lake table');
fails("SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{p}', memory_limit => '1MB')", qr/at least 16MB/, 'memory limit');
is(sql('SELECT count(*) FROM tarn.pipelines'), '1', 'no other pipeline');
is(sql('SELECT count(*) FROM pg_replication_slots'), '1', 'no other slot');

# Drop: the lake's tables stay, unless told otherwise
sql("SELECT tarn.drop_pipeline('p')");
ok($node->poll_query_until($db, 'SELECT count(*) = 0 FROM pg_replication_slots'), 'the slot goes');
is(sql('SELECT count(*) FROM lake.t'), '4', 'the data stays');
sql("DROP SCHEMA lake CASCADE; DROP SERVER lake CASCADE; DROP PUBLICATION p; DROP PUBLICATION p_keyless");
TarnTest::create_lake($node, name => 'second');
TarnTest::mirror($node, 'p', lake => 'second', tables => [qw(t pair)]);
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
sql("SELECT tarn.drop_pipeline('p', drop_data => true)");
is(sql("SELECT count(*) FROM tarn_catalog.iceberg_tables WHERE catalog_name = 'second'"), '0', 'drop_data: no table is left');
TarnTest::files_known($node, 'and no file', lake => 'second');

$node->stop;
done_testing();
