# Much at once: a transaction of many rows, many small transactions, DML on many tables in one flush (I1, I2).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(usleep);

my $db = 'postgres';
my $long = $ENV{TARN_TEST_LONG};
my $rows = $long ? 10_000_000 : 300_000;
my $small = $long ? 100_000 : 5_000;
my $tables = $long ? 2_000 : 150;
my $limit = 32;		# MB
my $node = TarnTest::cluster('volume', conf => "log_statement = none\nsynchronous_commit = off\nmax_locks_per_transaction = 512\nautovacuum = off\n");

sub sql
{
	return $node->safe_psql($db, $_[0], timeout => 1800);
}

sub flush_all
{
	my ($pipeline) = @_;

	return sql("SELECT tarn.flush('$pipeline', '30 min')");
}

TarnTest::create_lake($node);
sql(<<SQL);
CREATE TABLE big (id int PRIMARY KEY, n int, v text);
CREATE TABLE small (id int PRIMARY KEY, n int, v text);
ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
INSERT INTO big SELECT -i, 0, string_agg(md5((i * g)::text), '') FROM generate_series(1, 500) i, generate_series(1, 100) g GROUP BY i;
SQL
TarnTest::mirror($node, 'p', tables => [qw(big small)], arguments => "flush_interval => '1 s', memory_limit => '${limit}MB'");
TarnTest::wait_live($node, 'p');
sql('CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');

sub same
{
	my ($table, $what) = @_;

	# sums of hashes: a set operation on ten million rows would take longer than all the rest
	my $digest = "SELECT count(*), sum(hashtextextended(t::text, 1)), sum(hashtextextended(t::text, 2)) FROM %s.$table t";
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql(sprintf($digest, 'lake')), sql(sprintf($digest, 'public')), $what);
}

# Small transactions
sql(<<SQL);
DO \$\$ BEGIN FOR i IN 1 .. $small LOOP
	IF i % 3 > 0 THEN INSERT INTO small VALUES (i, 0, 'v' || i); ELSE UPDATE small SET n = n + 1 WHERE id = i - 1 - i % 7; DELETE FROM small WHERE id = i - 11; END IF; COMMIT;
END LOOP; END \$\$
SQL
flush_all('p');
same('small', "$small small transactions");
cmp_ok(sql("SELECT transactions FROM tarn.pipelines WHERE name = 'p'"), '>=', $small * 0.9, 'each was one');

# A large one: rows that do not fit, with updates and deletes of those written early, unchanged values out of line
# among them, and of those that were there before
my $tenth = $rows / 10;
sql(<<SQL);
BEGIN;
INSERT INTO big SELECT i, 0, 'row ' || i FROM generate_series(1, $rows) i;
INSERT INTO big SELECT -1000 - i, 0, string_agg(md5((i * g)::text), '') FROM generate_series(1, 2000) i, generate_series(1, 100) g GROUP BY i;
UPDATE big SET n = 1 WHERE id < 0;
INSERT INTO big SELECT i, 0, 'more ' || i FROM generate_series($rows + 1, $rows + $tenth) i;
SAVEPOINT s; UPDATE big SET n = 2 WHERE id % 5 = 0; ROLLBACK TO s;
UPDATE big SET n = n + 2 WHERE id % 7 = 0;
DELETE FROM big WHERE id % 11 = 0;
UPDATE big SET n = n + 4, id = id - 100000 WHERE id < 0;
COMMIT;
SQL
# Memory of the pipeline's own; the pages of the key index that it maps are the system's to take
my $lsn = sql('SELECT pg_current_wal_lsn()');
my $peak = 0;
my ($progress, @pids);
do
{
	my $now = 0;

	($progress, @pids) = split /\n/, sql("SELECT committed_lsn >= '$lsn' FROM tarn.pipelines WHERE name = 'p'; SELECT pid FROM pg_stat_activity WHERE backend_type IN ('tarn pipeline worker', 'tarn encoder')");
	foreach my $pid (@pids)
	{
		# it may just have ended
		my $status = eval { slurp_file("/proc/$pid/status") } // '';

		$now += $1 / 1024 if $status =~ /^RssAnon:\s+(\d+) kB/m;
	}
	$peak = $now if $now > $peak;
	usleep(50_000);
} until $progress eq 't';
flush_all('p');
same('big', "a transaction of $rows rows, with updates and deletes of them");
# what the two share is a sixth of memory_limit
cmp_ok($peak + $limit / 6, '<', $limit + 64, sprintf('peak memory of worker and encoder: %.0f MB', $peak));
TarnTest::engines($node, [ 'public.small' ]);
# all rows that have values out of line are in the sample
TarnTest::engines($node, [ 'public.big' ], 'other engines read the large transaction', sample => 'id < 20000');
sql("SELECT tarn.drop_pipeline('p', drop_data => true)");
sql('DROP SCHEMA lake CASCADE; DROP TABLE big, small');

# Many tables
sql("SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, v text); INSERT INTO t%s VALUES (1, %L);', i, i, 'copied') FROM generate_series(1, $tables) i \\gexec");
sql("CREATE PUBLICATION many FOR TABLES IN SCHEMA public; SELECT tarn.create_pipeline('m', lake => 'lake', publications => '{many}', flush_interval => '1 h')");
$node->poll_query_until($db, "SELECT count(*) = $tables FROM tarn.tables WHERE state = 'live'") or die 'not all are copied';
flush_all('m');
my $flushes = sql("SELECT flushes FROM tarn.pipelines WHERE name = 'm'");
sql("DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP EXECUTE format('INSERT INTO t%s SELECT g, %s FROM generate_series(2, 5) g', i, i); EXECUTE format('UPDATE t%s SET v = v || id WHERE id < 3', i); EXECUTE format('DELETE FROM t%s WHERE id = 3', i); END LOOP; END \$\$");
flush_all('m');
is(sql("SELECT flushes FROM tarn.pipelines WHERE name = 'm'"), $flushes + 1, "DML on $tables tables is one flush");
my $different = 0;
sql('CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');
foreach my $from (map { $_ * 100 + 1 } 0 .. ($tables - 1) / 100)
{
	my $to = $from + 99 < $tables ? $from + 99 : $tables;

	$different += sql(join('+', map { "(SELECT count(*) FROM (SELECT * FROM t$_ EXCEPT ALL SELECT * FROM lake.t$_) a) + (SELECT count(*) FROM (SELECT * FROM lake.t$_ EXCEPT ALL SELECT * FROM t$_) a)" } $from .. $to) =~ s/^/SELECT /r);
}
is($different, 0, 'all of them are the same');
TarnTest::engines($node, [ map { "public.t$_" } grep { $_ % 10 == 1 } 1 .. $tables ], 'other engines read every tenth');
is(sql("SELECT count(DISTINCT lsn) FROM tarn.tables"), '1', 'at one position');
TarnTest::files_known($node);
$node->stop;
done_testing();
