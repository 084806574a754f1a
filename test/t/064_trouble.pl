# A warehouse that may not be written, is not there, or hangs, and a process without memory: the application goes on, the
# pipeline waits, says why, and goes on by itself; a server stops at once (I1, I5).
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
my $node = TarnTest::cluster('trouble', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
my $bucket = 's3://tarn-test/trouble';
my $i = 0;
my $told = 0;

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

# The application changes rows; how long that took
sub application
{
	my $begin = time();

	foreach (1 .. 20)
	{
		$i++;
		sql("INSERT INTO $_ VALUES ($i, 'row $i'); UPDATE $_ SET v = v || '.' WHERE id % 5 = $i % 5") foreach qw(t r);
	}
	return time() - $begin;
}

sub waits
{
	my ($pipeline, $error, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until($db, <<"SQL"), "$what: it waits, and says since when and until when")
SELECT state = 'backoff' AND failures > 1 AND last_error_at BETWEEN now() - interval '1 minute' AND now()
	AND next_start BETWEEN last_error_at + interval '0.5 s' AND last_error_at + interval '61 s'
FROM tarn.pipelines WHERE name = '$pipeline'
SQL
	  or diag(sql('SELECT name, state, failures, last_error, last_error_at, next_start FROM tarn.pipelines'));
	like(sql("SELECT last_error FROM tarn.pipelines WHERE name = '$pipeline'"), $error, "$what: it says why it waits");
	cmp_ok(sql("SELECT lag_bytes FROM tarn.pipelines WHERE name = '$pipeline'"), '>', 0, "$what: the lag is shown");
	return;
}

sub goes_on
{
	my ($pipeline, $table, $what, $explained) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# it ends a back-off, which is the only thing that may take long
	sql("SELECT tarn.resume('$pipeline')");
	TarnCrash::flush($node, $pipeline);
	# what a resume forgets
	is(join("\n", TarnCrash::unexplained($node, $told, $explained)), '', "$what: nothing else failed");
	$told = -s $node->logfile;
	my $lake = $pipeline eq 'r' ? 'remote' : 'lake';
	$node->safe_psql($db, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS lake CASCADE; CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER $lake INTO lake");
	return TarnTest::same($node, "public.$table", "lake.$table", "$what: it goes on, and nothing is lost");
}

my $lake = TarnTest::create_lake($node, warehouse => 'file://' . $node->basedir . '/lake') =~ s{^file://}{}r;
TarnTest::create_lake($node, name => 'remote', warehouse => $bucket);
sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE r (id int PRIMARY KEY, v text)');
TarnTest::mirror($node, 'p', tables => ['t'], arguments => "flush_interval => '150 ms'");
TarnTest::mirror($node, 'r', tables => ['r'], lake => 'remote', arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($node, $_) foreach qw(p r);
my $usual = application();

# May not be written
my @directories = glob("$lake/public/t/*");
chmod 0555, @directories;
application();
waits('p', qr/could not create ".*": Permission denied/, 'read-only');
chmod 0755, @directories;
goes_on('p', 't', 'read-only', qr/Permission denied/);

# Not there
my $committed = "SELECT metadata_location FROM tarn_catalog.iceberg_tables WHERE table_name = 't'";
TarnTest::flush($node, 'p');
my $before = sql($committed);
rename $lake, "$lake.away" or die "$lake: $!";
application();
waits('p', qr/could not/, 'not mounted');
$node->restart;
waits('p', qr/could not find the marker of pipeline "p" in warehouse .*tarn\.take_over\('p'\)/, 'not mounted at the start');
is(sql($committed), $before, 'not mounted: nothing is committed that is not on the disk');
system('rm', '-rf', $lake);
rename "$lake.away", $lake or die "$lake: $!";
goes_on('p', 't', 'not mounted', qr/No such file or directory|the file is missing|could not find the marker/);

# Emptied: the commands that the error names begin anew
TarnTest::flush($node, 'p');
system('rm', '-rf', glob("$lake/*"));
application();
waits('p', qr/could not find the marker of pipeline "p" in warehouse .*tarn\.take_over\('p'\) and SELECT tarn\.resync\('p'\)/, 'emptied');
sql("SELECT tarn.take_over('p'); SELECT tarn.resync('p')");
TarnTest::wait_live($node, 'p');
goes_on('p', 't', 'emptied', qr/the file is missing|could not find the marker/);
TarnTest::engines($node, ['public.t'], 'emptied: other engines');

# Hangs
my $gateway = TarnTest::s3_pid();
application();
kill 'STOP', $gateway;
my $took = application();
cmp_ok($took, '<', 10 * $usual + 5, sprintf('hanging store: the application goes on (%.2f s, %.2f s before)', $took, $usual));
$node->poll_query_until($db, "SELECT lag_seconds > 1 FROM tarn.pipelines WHERE name = 'r'") or diag('no lag');
TarnTest::flush($node, 'p');
ok(1, 'hanging store: the other pipeline is not held up');
foreach my $mode (qw(fast smart))
{
	my $begin = time();
	$node->stop($mode);
	cmp_ok(time() - $begin, '<', 5, sprintf('hanging store: %s shutdown in %.2f s', $mode, time() - $begin));
	$node->start;
	application();
	usleep(500_000);
}
kill 'CONT', $gateway;
goes_on('r', 'r', 'hanging store', qr/[^\w]timed out|timeout/);

# No memory
foreach my $point (qw(flush-data-written store-file-begun before-transaction-end))
{
	my $offset = -s $node->logfile;

	TarnCrash::arm($node, "$point=starve(0):1");
	usleep(200_000);
	sql("INSERT INTO t SELECT g, repeat(md5(g::text), 100) FROM generate_series(100000, 110000) g");
	for (my $end = time() + 30; time() < $end && substr(TarnCrash::slurp($node->logfile), $offset) !~ /starves/; usleep(100_000)) { }
	like(substr(TarnCrash::slurp($node->logfile), $offset), qr/"$point": starves/, "no memory at $point");
	TarnCrash::disarm($node);
	sql('DELETE FROM t WHERE id >= 100000');
	goes_on('p', 't', "no memory at $point", qr/out of memory|Cannot allocate memory/);
}
is(join("\n", TarnCrash::crashes($node)), '', 'no process crashed');

# What crashes on the same record each time does not take the server along for ever
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $offset = -s $node->logfile;
TarnCrash::arm($node, 'flush-before-commit=kill');
# not both: the other pipeline must not pay for it
$i++;
TarnCrash::patiently($node, "INSERT INTO t VALUES ($i, 'crashes')");
for (my $end = time() + 120; time() < $end && substr(TarnCrash::slurp($node->logfile), $offset) !~ /is stopped: /; usleep(200_000)) { }
TarnCrash::disarm($node);
my $log = substr(TarnCrash::slurp($node->logfile), $offset);
like($log, qr/pipeline "p" is stopped: its processes crashed 6 times in a row/, 'a worker that crashes each time is stopped');
is(scalar(() = $log =~ /\(PID \d+\) was terminated by signal 9/g), 6, 'crash loop: the server restarted so often and no more');
unlike($log, qr/pipeline "r" is stopped/, 'crash loop: the other pipeline is not blamed');
is(TarnCrash::patiently($node, "SELECT state, last_error FROM tarn.pipelines WHERE name = 'p'"),
	q{stopped|its processes crashed 6 times in a row; The server's log says where. To try again, run SELECT tarn.resume('p').},
	'crash loop: the view says so, and what to do');
sql("INSERT INTO r VALUES (1000000, 'goes on')");
goes_on('r', 'r', 'crash loop, the other pipeline', qr/its processes crashed|Cannot allocate memory/);
$node->restart;
$node->poll_query_until($db, "SELECT state = 'stopped' FROM tarn.pipelines WHERE name = 'p'") or diag('not stopped');
ok(1, 'crash loop: stopped over a restart, too');
goes_on('p', 't', 'crash loop', qr/its processes crashed/);
is(join(' ', glob($node->data_dir . '/pg_tarn/*/*/running.*')) =~ tr/ //, 1, 'crash loop: marks of the processes that run, and no others');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
$node->stop;
done_testing();
