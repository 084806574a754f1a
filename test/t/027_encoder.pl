# Large amounts of rows are encoded by a second process: the same rows, and the same promises when it dies (I1, I2, I4).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('encoder',
	conf => "restart_after_crash = on\ntarn.garbage_grace = 0\nlog_statement = none\n");

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sub patiently
{
	return TarnCrash::patiently($node, $_[0]);
}

sub encoders
{
	return patiently("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tarn encoder'");
}

# A backlog for a worker that is away, then all of it at once
sub backlog
{
	sql("SELECT tarn.pause('p')");
	$node->poll_query_until($db, "SELECT pid IS NULL FROM tarn.pipelines") or die 'the worker does not pause';
	sql($_) foreach @_;
	return;
}

sub work_off
{
	sql("SELECT tarn.resume('p')");
	patiently("SELECT tarn.flush('p', '120 s')");
	return;
}

my $n = 0;

sub inserts
{
	my ($table, $rows) = @_;
	my $from = $n;

	$n += $rows;
	return "INSERT INTO $table SELECT i, i % 7, CASE WHEN i % 10 > 0 THEN md5(i::text) || repeat('x', (i % 100)::int) END,"
	  . " i / 3.0, timestamp '2026-01-01' + i * interval '1 s' FROM generate_series($from + 1, $n) i";
}

TarnTest::create_lake($node);
my $columns = '(id bigint %s, small int, words text, amount numeric(20, 4), at timestamp)';
sql(sprintf("CREATE TABLE log $columns", ''));
sql(sprintf("CREATE TABLE $_ $columns", 'PRIMARY KEY')) foreach qw(acc fresh);
TarnTest::mirror($node, 'p', tables => [qw(acc fresh)], keyless => ['log'], arguments => "memory_limit => '24 MB', flush_interval => '60 s'");
TarnTest::wait_live($node, 'p');

backlog(inserts('log', 50_000), inserts('log', 50_000), inserts('acc', 50_000), inserts('log', 33));
work_off();
is(encoders(), '1', 'a backlog is encoded by a process of its own');
TarnTest::all_same($node, 'inserts, more than memory holds');

backlog(inserts('acc', 30_000), "UPDATE acc SET words = 'new ' || id WHERE id % 3 = 0", 'DELETE FROM acc WHERE id % 11 = 0',
	inserts('log', 50_000), inserts('acc', 20_000), "UPDATE acc SET id = -id WHERE id % 1000 = 1");
work_off();
TarnTest::all_same($node, 'inserts, updates and deletes');

# Updates go over a piece at a time too: one file, whose rows die while it grows.  Hot rows are kept as long as memory allows.
my $written = sql("SELECT files_written FROM tarn.tables WHERE \"table\" = 'acc'");
backlog("UPDATE acc SET words = 'newer ' || id || repeat('y', 50)", 'UPDATE acc SET small = small + 1 WHERE id % 4 = 0',
	'DELETE FROM acc WHERE id % 13 = 0', inserts('acc', 5000));
# and one flush, the interval of which is longer than the seconds it takes here
sql("ALTER SYSTEM SET tarn.failpoints = 'encoder-rows=hang(2)'");
sql('SELECT pg_reload_conf()');
work_off();
sql('ALTER SYSTEM RESET tarn.failpoints');
sql('SELECT pg_reload_conf()');
is(sql("SELECT files_written - $written FROM tarn.tables WHERE \"table\" = 'acc'"), '2', 'a data file and a delete file');
TarnTest::all_same($node, 'updates, a piece at a time');
backlog('DO $$ BEGIN FOR i IN 1 .. 400 LOOP UPDATE acc SET small = i WHERE id BETWEEN 1 AND 200; COMMIT; END LOOP; END $$',
	"UPDATE acc SET words = 'newest ' || id WHERE id % 2 = 0");
work_off();
TarnTest::all_same($node, 'rows that change again and again, then many');
TarnTest::engines($node, ['public.acc']);

# An open file is void, a finished one too
backlog(inserts('fresh', 30_000), 'TRUNCATE fresh', inserts('fresh', 30_000), inserts('fresh', 30_000), 'UPDATE fresh SET small = -1 WHERE small = 0');
work_off();
TarnTest::all_same($node, 'a truncate between pieces, then updates of rows that were handed over');

# A row that no slot holds, among others
backlog(inserts('log', 40_000), "INSERT INTO log SELECT 0, 0, string_agg(md5(i::text), '') FROM generate_series(1, 100000) i",
	inserts('log', 40_000));
work_off();
TarnTest::all_same($node, 'a row larger than a slot');
TarnTest::engines($node, [ map { "public.$_" } qw(log acc fresh) ]);

# The process dies or fails: the worker starts over.  When a file is finished, memory or the interval decides.
sql("SELECT tarn.alter_pipeline('p', flush_interval => '3 s')");
foreach my $death ('SIGKILL', 'SIGTERM', 'encoder-rows=error:2', 'encoder-rows=kill:2', 'encoder-file-written=error',
	'encoder-file-written=kill')
{
	my $offset = -s $node->logfile;

	backlog(inserts('log', 50_000), inserts('acc', 30_000), 'UPDATE acc SET small = small + 1 WHERE id % 5 = 0', inserts('log', 1000));
	if ($death =~ /^SIG(.*)/)
	{
		my ($signal, $pid) = ($1);

		# it is there for the first piece, and hangs with it
		sql("ALTER SYSTEM SET tarn.failpoints = 'encoder-rows=hang'");
		sql('SELECT pg_reload_conf()');
		sql("SELECT tarn.resume('p')");
		$node->poll_query_until($db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'tarn encoder'") or die 'no encoder';
		usleep(300_000);
		sql('ALTER SYSTEM RESET tarn.failpoints');
		sql('SELECT pg_reload_conf()');
		kill($signal, sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tarn encoder'"));
	}
	else
	{
		sql("ALTER SYSTEM SET tarn.failpoints = '$death'");
		sql('SELECT pg_reload_conf()');
		sql("SELECT tarn.resume('p')");
	}
	my $struck = qr/encoder of the pipeline ended unexpectedly|was terminated by signal 9|failpoint "encoder/;
	my $found;
	for (my $end = time() + 60; time() < $end && !$found; usleep(50_000))
	{
		$found = substr(slurp_file($node->logfile), $offset) =~ $struck;
	}
	ok($found, "$death struck");
	patiently('ALTER SYSTEM RESET tarn.failpoints');
	patiently('SELECT pg_reload_conf()');
	patiently("SELECT tarn.flush('p', '120 s')");
	TarnTest::all_same($node, "$death: nothing is lost");
}
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);

# It leaves when there is nothing to do
ok($node->poll_query_until($db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'tarn encoder'"),
	'an idle encoder ends');

sql('ALTER SYSTEM SET tarn.encoder = off');
sql('SELECT pg_reload_conf()');
backlog(inserts('log', 50_000), inserts('acc', 30_000), 'DELETE FROM acc WHERE id % 17 = 0');
work_off();
is(encoders(), '0', 'there is none when it is off');
TarnTest::all_same($node, 'without an encoder');

# and while a worker runs
sql('ALTER SYSTEM RESET tarn.encoder');
sql('SELECT pg_reload_conf()');
usleep(500_000);
my $worker = sql("SELECT pid FROM tarn.pipelines");
sql(inserts('log', 100_000));
TarnTest::flush($node, 'p');
is(encoders(), '1', 'it comes back with the setting');
is(sql('SELECT pid FROM tarn.pipelines'), $worker, 'to the same worker');
TarnTest::all_same($node, 'with an encoder again');
$node->stop;
done_testing();
