# A process or the server dies at every step of a copy and of a flush: nothing is lost, doubled or left behind (I1, I2, I3, I4).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('crash',
	conf => "restart_after_crash = on\ntarn.garbage_grace = 0\nlog_statement = none\n");

if ($node->psql($db, 'SHOW tarn.failpoints') != 0 || $node->psql($db, "LOAD 'tarn'; SHOW tarn.failpoints") != 0)
{
	BAIL_OUT('the crash tests need a library built by make FAILPOINTS=1');
}

my @flush_points = qw(flush-data-written flush-index-prepared flush-before-commit flush-after-commit flush-before-confirm);
my @copy_points = qw(copy-snapshot copy-imported copy-before-commit copy-after-commit);
my $only = $ENV{TARN_ONLY} || '.';
my $tables = 0;
my $pipelines = 0;

# psql that lives through a server that is away for a moment
sub patiently
{
	my ($statement) = @_;
	my $end = time() + 60;

	while (time() < $end)
	{
		my ($status, $out) = $node->psql($db, $statement);

		return $out if $status == 0;
		usleep(100_000);
	}
	die "the server does not come back for: $statement";
}

sub running
{
	return $node->{_pid} && kill(0, $node->{_pid});
}

sub log_since
{
	my ($offset) = @_;

	return substr(slurp_file($node->logfile), $offset);
}

# Ends what the failpoint began: the setting goes, a dead server is started again.
sub disarm
{
	my $config = $node->data_dir . '/postgresql.auto.conf';

	if (!running())
	{
		my $text = slurp_file($config) =~ s/^tarn\.failpoints.*\n//mgr;

		open my $out, '>', $config or die "$config: $!";
		print $out $text;
		close $out;
		# processes of the dead server may hold its memory for a moment
		foreach (1 .. 50)
		{
			# a start that failed takes the dead server's pid for the new one's
			undef $node->{_pid};
			last if $node->start(fail_ok => 1);
			usleep(200_000);
		}
	}
	patiently('ALTER SYSTEM RESET tarn.failpoints');
	patiently('SELECT pg_reload_conf()');
	return;
}

my %expected = (
	kill => qr/was terminated by signal 9/,
	'panic-server' => undef,
	error => qr/failpoint "/);

sub pgbench
{
	my ($seconds) = @_;

	return IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', $seconds, '-f', "$PostgreSQL::Test::Utils::tmp_check/load.sql",
			'-h', $node->host, '-p', $node->port, $db ],
		'<', \undef, '>', "$PostgreSQL::Test::Utils::log_path/pgbench.log", '2>&1');
}

# Sets a failpoint, does something, and waits until it struck; then everything must be as it was.
sub strike
{
	my ($point, $action, $passage, $do) = @_;
	my $offset = -s $node->logfile;
	my $struck = 0;

	$node->safe_psql($db, "ALTER SYSTEM SET tarn.failpoints = '$point=$action:$passage'");
	$node->safe_psql($db, 'SELECT pg_reload_conf()');
	# the processes hear of it with their next round
	usleep(300_000);
	my $bench = pgbench(2);
	$do->() if $do;
	for (my $end = time() + 30; time() < $end && !$struck; usleep(50_000))
	{
		$struck = $expected{$action} ? log_since($offset) =~ $expected{$action} : !running();
	}
	diag(($node->psql($db, 'SELECT pid, backend_type, state, wait_event_type, wait_event, backend_xid, query FROM pg_stat_activity; SELECT * FROM tarn.pipelines; SELECT * FROM pg_locks WHERE NOT granted'))[1])
	  unless $struck || !running();
	disarm();
	eval { $bench->finish };
	ok($struck, "$action at $point, passage $passage") or return;

	# no state in between is visible
	is(patiently('SELECT (SELECT sum(n) FROM lake.acc) + (SELECT sum(n) FROM lake.other)'), '200000',
		"$action at $point: the lake is at a commit boundary");
	my $after = pgbench(1);
	$after->finish;
	foreach my $pipeline (split /\n/, patiently('SELECT name FROM tarn.pipelines'))
	{
		patiently("SELECT tarn.flush('$pipeline', '60 s')");
	}
	TarnTest::all_same($node, "$action at $point");
	return;
}

# A table whose copy is under way when the failpoint strikes
sub add_table
{
	my $name = 'added' . ++$tables;

	$node->safe_psql($db, <<SQL);
CREATE TABLE $name (id int PRIMARY KEY, v text);
INSERT INTO $name SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
ALTER PUBLICATION p ADD TABLE $name;
SQL
	# with panic-server the server may be gone by now
	$node->psql($db, "UPDATE $name SET v = 'during the copy' WHERE id % 100 = 0; DELETE FROM $name WHERE id % 101 = 0");
	return;
}

TarnTest::create_lake($node);
$node->safe_psql($db, <<SQL);
CREATE TABLE acc (id int PRIMARY KEY, n bigint);
CREATE TABLE other (id text PRIMARY KEY, n bigint, pad text);
CREATE TABLE hist (id bigserial, x int, at timestamptz DEFAULT now());
CREATE TABLE come (id int PRIMARY KEY, v int);
INSERT INTO acc SELECT i, 1000 FROM generate_series(1, 100) i;
INSERT INTO other SELECT 'k' || i, 1000, repeat('x', i) FROM generate_series(1, 100) i;
SQL
PostgreSQL::Test::Utils::append_to_file("$PostgreSQL::Test::Utils::tmp_check/load.sql", <<'SQL');
\set x random(1, 100)
\set y random(1, 100)
\set n random(1, 50)
BEGIN;
UPDATE acc SET n = n - :n WHERE id = :x;
UPDATE other SET n = n + :n WHERE id = 'k' || :y;
INSERT INTO hist (x) VALUES (:n);
INSERT INTO come VALUES (:x * 50 + :n, 0) ON CONFLICT (id) DO UPDATE SET v = come.v + 1;
DELETE FROM come WHERE id = :y * 50 + :n;
END;
SQL
TarnTest::mirror($node, 'p', tables => [qw(acc other come)], keyless => ['hist'], arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($node, 'p');
TarnTest::all_same($node, 'at the start');

foreach my $action (qw(kill panic-server error))
{
	foreach my $point (grep { /$only/ } @flush_points)
	{
		strike($point, $action, $action eq 'panic-server' ? 3 : 2);
	}
	foreach my $point (grep { /$only/ } @copy_points)
	{
		strike($point, $action, 1, \&add_table);
	}
	next unless 'slot-created' =~ /$only/;
	strike('slot-created', $action, 1, sub {
		my $n = ++$pipelines;

		$node->safe_psql($db, <<SQL);
CREATE TABLE alone$n (id int PRIMARY KEY);
INSERT INTO alone$n SELECT generate_series(1, 100);
CREATE PUBLICATION alone$n FOR TABLE alone$n;
SELECT tarn.create_pipeline('alone$n', 'lake', '{alone$n}', flush_interval => '150 ms');
SQL
	});
}

# The postmaster dies at moments of its own choice
foreach my $i (1 .. ($ENV{TARN_TEST_LONG} ? 20 : 3))
{
	my $bench = pgbench(5);

	usleep(300_000 + rand(700_000));
	$node->kill9;
	eval { $bench->finish };
	disarm();
	patiently("SELECT tarn.flush('p', '60 s')");
	TarnTest::all_same($node, "kill -9 of the postmaster, $i");
}

# The worker itself
foreach my $i (1 .. ($ENV{TARN_TEST_LONG} ? 20 : 3))
{
	my $bench = pgbench(5);

	usleep(300_000 + rand(700_000));
	my $pid = patiently("SELECT pid FROM tarn.pipelines WHERE name = 'p'");
	kill 9, $pid if $pid;
	eval { $bench->finish };
	patiently("SELECT tarn.flush('p', '60 s')");
	TarnTest::all_same($node, "kill -9 of the worker, $i");
}

is($node->safe_psql($db, 'SELECT count(*) FROM pg_replication_slots'), $node->safe_psql($db, 'SELECT count(*) FROM tarn.pipelines'),
	'one slot for each pipeline');
is($node->safe_psql($db, 'SELECT bool_and(r.confirmed_flush_lsn <= s.committed_lsn) FROM tarn.pipeline_status() s JOIN tarn.pipeline p ON p.id = s.pipeline_id JOIN pg_replication_slots r ON r.slot_name = p.slot'),
	't', 'no slot is ahead of the lake');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
TarnTest::engines($node, [ map { "public.$_" } qw(acc other hist come) ]);
$node->stop;
done_testing();
