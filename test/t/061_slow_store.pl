# A store behind a bad line: late, narrow, refusing and losing requests.  The application does not feel it, the lag is shown,
# the log has a line an episode, a shutdown is fast, and the lake is the source in the end (I1, I5).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnSlow;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $node = TarnTest::cluster('slow_store', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
my $bad = { delay => [ 0.1, 0.2 ], rate => 128_000, faults => 0.08 };
my $good = { delay => [ 0, 0 ], rate => 1e9, faults => 0, status => '' };

diag("TARN_SEED=$seed");

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sub soon
{
	my ($query, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($db, $query), $what) || diag(sql('SELECT state, failures, last_error FROM tarn.pipelines'));
}

# How often the log since $offset has a line.
sub logged
{
	my ($offset, $pattern) = @_;

	return scalar(() = substr(TarnCrash::slurp($node->logfile), $offset) =~ /$pattern/g);
}

# pgbench for so long, whose statements must not take longer than five seconds.
my $script = "$PostgreSQL::Test::Utils::tmp_check/app.sql";
TarnCrash::spew($script, <<'SQL');
\set x random(1, 3000)
\set y random(1, 20)
BEGIN;
INSERT INTO app (x) VALUES (:x);
UPDATE t SET n = n + 1 WHERE id = :x;
UPDATE doc SET note = 'seen by ' || :x WHERE id = :y;
DELETE FROM app WHERE x = :y;
END;
SQL

sub application
{
	my ($seconds) = @_;
	my $app = { out => '', err => '' };

	local $ENV{PGOPTIONS} = '-c statement_timeout=5s';
	# not as fast as it can: it is the line that shall be busy
	$app->{run} = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-R', '40', '-T', $seconds, '-f', $script,
			'-h', $node->host, '-p', $node->port, $db ], '<', \undef, '>', \$app->{out}, '2>', \$app->{err});
	return $app;
}

sub finishes
{
	my ($app, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($app->{run}->finish, "$what: the application goes on") or diag($app->{err});
	unlike($app->{err}, qr/ERROR|aborted/, "$what: no statement of it took long");
	return note($app->{out} =~ /^(latency average.*)$/m);
}

my $line = TarnSlow->start(TarnTest::start_s3(), seed => $seed);
TarnTest::create_lake($node, warehouse => 's3://tarn-test/slow', endpoint => $line->endpoint);
sql(<<SQL);
CREATE TABLE t (id int PRIMARY KEY, v text, n int, m int);
INSERT INTO t SELECT i, md5(i::text), i, i FROM generate_series(1, 3000) i;
CREATE TABLE app (id bigserial PRIMARY KEY, x int, at timestamptz DEFAULT now());
CREATE TABLE doc (id int PRIMARY KEY, note text, body text);
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;
INSERT INTO doc SELECT i, 'new', (SELECT string_agg(md5((i * 1000 + g)::text), '') FROM generate_series(1, 150) g) FROM generate_series(1, 60) i;
SQL

# The copy, and flushes of everything that needs the store in its own way: large values carried over are read from it
$line->set(%$bad);
my $began = time();
TarnTest::mirror($node, 'p', tables => [qw(t app doc)], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
note(sprintf 'copied after %.1f s', time() - $began);
my $app = application(3);
soon('SELECT lag_seconds > 1 AND lag_bytes > 0 FROM tarn.pipelines', 'the lag is shown');
sql("UPDATE doc SET note = note || '!' WHERE id % 3 = 0; DELETE FROM t WHERE id % 10 = 0; INSERT INTO t SELECT i, 'again', 0, 0 FROM generate_series(10, 100, 10) i");
sql("ALTER TABLE t ADD COLUMN extra text DEFAULT 'x'; INSERT INTO t VALUES (-1, 'wide', 1, 1, 'y'); ALTER TABLE t RENAME v TO w");
finishes($app, 'slow store');
TarnTest::flush($node, 'p');
note(sprintf 'flushed after %.1f s', time() - $began);
$line->set(delay => [ 0.01, 0.05 ]);
TarnTest::all_same($node, 'read through the same line');
sql("UPDATE doc SET note = 'last' WHERE id <= 20; DELETE FROM doc WHERE id = 5; TRUNCATE app; ALTER TABLE t DROP COLUMN m");
TarnTest::flush($node, 'p');
note(sprintf 'flushed again after %.1f s', time() - $began);
my $counts = $line->counts;
note(join ', ', map { "$_: $counts->{$_}" } sort keys %$counts);
cmp_ok($counts->{passed} || 0, '>', 50, 'requests went through the line');
cmp_ok(scalar(keys %$counts), '>', 2, 'and went wrong in several ways');

# A request that has begun and comes to no end for long
$line->set(%$good, rate => 2000);
sql('INSERT INTO doc SELECT max(id) + 1, \'large\', (SELECT body FROM doc WHERE id = 1) FROM doc');
soon("SELECT state = 'flushing' FROM tarn.pipelines", 'a flush is under way');
usleep(500_000);
my $begin = time();
$node->stop('fast');
cmp_ok(time() - $begin, '<', 5, sprintf('fast shutdown during a slow request: %.2f s', time() - $begin));
# what the new worker asks for first shall not be held up by what was begun
$line->set(%$good);
$node->start;

# Episodes of a store that does not want
foreach my $status ('503 SlowDown', '403 ExpiredToken')
{
	my ($code) = $status =~ /(\w+)$/;

	$line->set(%$good);
	TarnTest::flush($node, 'p');
	my $offset = -s $node->logfile;
	$line->set(status => $status);
	$app = application(3);
	soon("SELECT state = 'backoff' AND failures > 1 AND last_error ~ '$code' AND lag_seconds > 1 AND lag_bytes > 0 FROM tarn.pipelines",
		"$code: the pipeline waits, and says why");
	my ($before, $then) = split /\|/, sql('SELECT lag_seconds, lag_bytes FROM tarn.pipelines');
	finishes($app, $code);
	sql("UPDATE t SET extra = '$code' WHERE id < 100");
	soon("SELECT lag_seconds > $before AND lag_bytes > $then FROM tarn.pipelines", "$code: the lag grows");
	is(logged($offset, qr/pipeline "p" failed and will be tried again/), 1, "$code: one line of the log for all of it")
	  or diag(substr(TarnCrash::slurp($node->logfile), $offset));
	$line->set(%$good);
	sql("SELECT tarn.resume('p')");
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, "$code: it goes on, and nothing is lost");
}

# What is on the disk, without the line
sql(sprintf "ALTER SERVER lake OPTIONS (SET endpoint '%s')", TarnTest::start_plain_s3());
TarnTest::all_same($node, 'at the end');
TarnTest::engines($node, [qw(public.t public.app public.doc)]);
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
is(join("\n", TarnCrash::crashes($node)), '', 'no process crashed');
$node->stop;
$line->stop;
done_testing();
