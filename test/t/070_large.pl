# Transactions larger than the memory limit: written early, published at their commit, gone when rolled back (I1, I2, I4).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $rows = $ENV{TARN_TEST_LONG} ? 3_000_000 : 400_000;
my $limit = 16;		# MB
my $node = TarnTest::cluster('large', conf => "log_statement = none\ntarn.garbage_grace = 0\n");

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

# Peak of a worker's memory that is its own, in MB
sub peak
{
	my ($pipeline) = @_;
	my $pid = sql("SELECT pid FROM tarn.pipelines WHERE name = '$pipeline'");
	my ($hwm) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;

	return $hwm / 1024;
}

TarnTest::create_lake($node);
sql('CREATE TABLE big (id int PRIMARY KEY, a bigint, v text); CREATE TABLE small (id int PRIMARY KEY, n bigint)');
sql('INSERT INTO big SELECT -i, i, md5(i::text) FROM generate_series(1, 1000) i; INSERT INTO small VALUES (1, 0)');
TarnTest::mirror($node, 'p', tables => [qw(big small)], arguments => "flush_interval => '200 ms', memory_limit => '${limit}MB'");
TarnTest::wait_live($node, 'p');
TarnTest::all_same($node, 'at the start');
my $before = peak('p');

# One transaction that does not fit
sql("BEGIN; INSERT INTO big SELECT i, i, md5(i::text) || md5((-i)::text) FROM generate_series(1, $rows) i; "
	. 'UPDATE small SET n = 1; COMMIT');
my %seen;
for (;;)
{
	my $state = sql('SELECT (SELECT count(*) FROM lake.big), (SELECT n FROM lake.small)');

	$seen{$state}++;
	last if $state eq ($rows + 1000) . '|1';
	die "no end: $state" if keys %seen > 5;
	Time::HiRes::usleep(100_000);
	last if $seen{$state} > 1200;
}
is_deeply([ sort keys %seen ], [ sort '1000|0', ($rows + 1000) . '|1' ], 'the lake shows all of it or nothing')
  or is(scalar(keys %seen), 1, 'only the end was seen');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, "$rows rows in a transaction");
cmp_ok(sql("SELECT spilled_bytes FROM tarn.pipelines WHERE name = 'p'"), '>', $rows * 64, 'the view shows what went to disk meanwhile');
my $after = peak('p');
cmp_ok($after, '<', $limit + 64, sprintf('peak memory of the worker: %.0f MB, %.0f MB before', $after, $before));

# Half of it undone by a savepoint
sql("BEGIN; INSERT INTO big SELECT i, 0, 'kept' FROM generate_series(10000001, 10000001 + $rows / 4) i; "
	. "SAVEPOINT s; INSERT INTO big SELECT i, 0, 'undone' FROM generate_series(20000001, 20000001 + $rows / 2) i; ROLLBACK TO s; COMMIT");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'a large subtransaction rolled back');

# A large transaction rolled back, and one that is undone by the same transaction
sql("BEGIN; INSERT INTO big SELECT i, 0, 'never' FROM generate_series(30000001, 30000001 + $rows / 2) i; ROLLBACK");
sql("BEGIN; INSERT INTO big SELECT i, 0, 'brief' FROM generate_series(30000001, 30000001 + $rows / 2) i; "
	. 'UPDATE big SET a = 1 WHERE id % 1000 = 0; DELETE FROM big WHERE id > 30000000; COMMIT');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'rows that came and went in a large transaction');
sql("BEGIN; INSERT INTO big SELECT i, 0, 'gone' FROM generate_series(40000001, 40000001 + $rows / 2) i; TRUNCATE big; "
	. "INSERT INTO big SELECT i, 0, 'after' FROM generate_series(1, 1000) i; COMMIT");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'truncated in a large transaction');

# The worker dies in the middle of one; its files go
sql("INSERT INTO big SELECT i, 0, md5(i::text) FROM generate_series(50000001, 50000001 + $rows) i");
Time::HiRes::usleep(300_000);
$node->stop('immediate');
$node->start;
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'a crash in the middle of a large transaction');
sql("UPDATE big SET a = a + 1");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'every row updated');
TarnTest::engines($node, [ 'public.small' ]);

# Values that WAL does not hold count for as much as they are, though little is held of them; and what is written early
# is whole changes, where an update of a key is two
sql('CREATE TABLE docs (id int PRIMARY KEY, n int, v text); ALTER TABLE docs ALTER v SET STORAGE EXTERNAL; CREATE TABLE moved (LIKE docs INCLUDING ALL)');
sql("INSERT INTO docs SELECT i, 0, repeat(md5(i::text), 12500) FROM generate_series(1, 300) i");
sql("INSERT INTO moved SELECT i, 0, repeat(md5(i::text), 63) FROM generate_series(1, 6000) i");
TarnTest::mirror($node, 'q', tables => [qw(docs moved)], arguments => "flush_interval => '200 ms', memory_limit => '${limit}MB'");
TarnTest::wait_live($node, 'q');
sql('IMPORT FOREIGN SCHEMA public LIMIT TO (docs, moved) FROM SERVER lake INTO lake');
$before = peak('q');
sql("BEGIN; INSERT INTO moved VALUES (0, 0, 'one more'); UPDATE moved SET id = id + 1000000 WHERE id > 0; UPDATE moved SET n = 1; COMMIT");
TarnTest::flush($node, 'q');
TarnTest::same($node, 'moved', 'lake.moved', 'keys changed in a transaction larger than memory, values out of line unchanged');
sql('UPDATE docs SET n = n + 1');
TarnTest::flush($node, 'q');
TarnTest::same($node, 'docs', 'lake.docs', '120 MB of values out of line unchanged');
my $files = sql(q{SELECT files_written FROM tarn.tables WHERE "table" = 'docs'});
sql('DO $$ BEGIN FOR i IN 1 .. 600 LOOP UPDATE docs SET n = n + 1 WHERE id <= 2; END LOOP; END $$');
TarnTest::flush($node, 'q');
TarnTest::same($node, 'docs', 'lake.docs', 'two rows, updated again and again');
$files = sql(q{SELECT files_written FROM tarn.tables WHERE "table" = 'docs'}) - $files;
cmp_ok($files, '<=', 2, 'have two values to carry, and no reason to be written early');
cmp_ok(peak('q'), '<', $limit + 64, sprintf('peak memory of the worker: %.0f MB, %.0f MB before', peak('q'), $before));
TarnTest::engines($node, [ 'public.docs', 'public.moved' ], 'other engines read what was written early');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
$node->stop;
done_testing();
