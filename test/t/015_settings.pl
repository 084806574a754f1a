# Settings of the server that tarn needs: what works without them, what the error says to add, and that this mends it.
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
my $guarded = `postgres --describe-config` =~ /^output_plugin_libraries\t/m;

# A server as it comes, but for what shows that the hints keep what is there
my $node = PostgreSQL::Test::Cluster->new('settings');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', <<'CONF');
fsync = off
shared_preload_libraries = 'plpgsql'
wal_level = replica
max_wal_senders = 0
max_replication_slots = 1
max_worker_processes = 3
max_parallel_workers = 0
tarn.copy_workers = 2
CONF
$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput'\n") if $guarded;
$node->start;

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sub error_of
{
	my ($statement) = @_;
	my ($status, $out, $err) = $node->psql($db, $statement);

	return $status ? $err : '';
}

sql('CREATE EXTENSION tarn');
TarnTest::create_lake($node);
sql('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i; CREATE PUBLICATION p FOR TABLE t');
is(sql('SELECT count(*) FROM tarn.pipelines') . sql('SELECT count(*) FROM tarn.tables'), '00', 'the views work without anything');
foreach my $call (qw{pause('p') resume('p') drop_pipeline('p')})
{
	like(error_of("SELECT tarn.$call"), qr/pipeline "p" does not exist/, "$call: no such pipeline");
}

# What the hint of each error says is done, until it works
my @steps = (
	[ qr/pipelines need tarn to be loaded at server start/, q{shared_preload_libraries = 'plpgsql,tarn'} ],
	[ qr/pipelines need wal_level = logical/, 'wal_level = logical' ]);
push @steps, [ qr/library "tarn" may not be used as an output plugin/, q{output_plugin_libraries = 'pgoutput, tarn'} ] if $guarded;
push @steps, [ qr/a pipeline needs two free replication slots/, 'max_replication_slots = 3' ],
  [ qr/a pipeline needs 5 background workers/, 'max_worker_processes = 8' ];
my $create = "SELECT tarn.create_pipeline('p', 'lake', '{p}', flush_interval => '200 ms')";
foreach my $step (@steps)
{
	my ($message, $line) = @$step;
	my $error = error_of($create);

	like($error, $message, "$line: missing");
	my ($advice, $what) = $error =~ /^HINT:  Add to postgresql\.conf: (.*), and (restart the server|reload)\.$/m;
	is($advice, $line, "$line: the hint says so") or last;
	is(sql('SELECT (SELECT count(*) FROM tarn.pipeline) + (SELECT count(*) FROM pg_replication_slots)'), '0', "$line: nothing is left behind");
	$node->append_conf('postgresql.conf', "$advice\n");
	$what eq 'reload' ? $node->reload : $node->restart;
	usleep(200_000) if $what eq 'reload';
}
is(error_of($create), '', 'with all of them a pipeline is made');
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'and works');

# A library that may not be used any more: the worker says so, waits, and goes on
if ($guarded)
{
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput'\n");
	$node->restart;
	sql("INSERT INTO t VALUES (-1, 'meanwhile')");
	ok($node->poll_query_until($db, q{SELECT state = 'backoff' AND last_error ~ 'library "tarn" may not be used as an output plugin' FROM tarn.pipelines}),
		'output_plugin_libraries taken back: the view says so') or diag(sql('SELECT state, failures, last_error FROM tarn.pipelines'));
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput, tarn'\n");
	$node->reload;
	ok($node->poll_query_until($db, q{SELECT state = 'streaming' FROM tarn.pipelines}), 'it goes on after a reload');
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, 'nothing is lost');
}

# All replication slots in use: a table that is to be copied waits for one
sql('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
sql("SELECT pg_create_physical_replication_slot('taken_' || i) FROM generate_series(1, 2) i");
like(error_of("SELECT tarn.create_pipeline('second', 'lake', '{p}')"), qr/a pipeline needs two free replication slots/, 'slots all taken: no second pipeline');
sql('ALTER PUBLICATION p ADD TABLE late');
ok($node->poll_query_until($db, q{SELECT bool_or(coalesce(t.error, p.last_error) ~ 'all replication slots are in use') FROM tarn.tables t, tarn.pipelines p WHERE t."table" = 'late'}),
	'slots all taken: the copy says so') or diag(sql('SELECT state, failures, last_error FROM tarn.pipelines') . sql('SELECT * FROM tarn.tables'));
sql("UPDATE t SET v = 'slots' WHERE id = 1");
sql("SELECT pg_drop_replication_slot('taken_' || i) FROM generate_series(1, 2) i");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'and goes on with a free one');

# All background workers in use: no more pipelines; those there are wait for a place, quietly, and take it
$node->append_conf('postgresql.conf', "max_worker_processes = 5\nmax_replication_slots = 12\n");
$node->restart;
my $refused = '';
foreach my $i (1 .. 20)
{
	sql("CREATE TABLE w$i (id int PRIMARY KEY); INSERT INTO w$i VALUES (1); CREATE PUBLICATION w$i FOR TABLE w$i");
	$refused = error_of("SELECT tarn.create_pipeline('w$i', 'lake', '{w$i}', flush_interval => '200 ms')");
	last if $refused;
	usleep(500_000);
}
like($refused, qr/all background workers are in use, and pipelines wait for one\nHINT:  Add to postgresql.conf: max_worker_processes = 10, and restart/,
	'workers all taken: no other pipeline');
$node->append_conf('postgresql.conf', "max_worker_processes = 4\n");
$node->restart;
ok($node->poll_query_until($db, q{SELECT count(*) > 0 FROM tarn.pipelines WHERE pid IS NULL AND state = 'backoff' AND last_error ~ 'out of background worker slots; increase max_worker_processes'}),
	'with one less, a pipeline waits and says so') or diag(sql('SELECT name, state, pid, last_error FROM tarn.pipelines'));
usleep(3_000_000);
my $warnings = () = slurp_file($node->logfile) =~ /WARNING:  out of background worker slots/g;
cmp_ok($warnings, '<', 10, "workers all taken: $warnings warnings in the log");
my $cpu = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'tarn launcher'});
cmp_ok(cpu_ticks($cpu), '<', 100, 'the launcher does not spin');
my $waiting = sql(q{SELECT name FROM tarn.pipelines WHERE pid IS NULL LIMIT 1});
sql("SELECT tarn.pause(name) FROM tarn.pipelines WHERE name <> '$waiting'");
ok($node->poll_query_until($db, "SELECT pid IS NOT NULL FROM tarn.pipelines WHERE name = '$waiting'"), 'it takes a place that others leave');
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->restart;
sql("SELECT tarn.resume(name) FROM tarn.pipelines");
foreach my $pipeline (split /\n/, sql('SELECT name FROM tarn.pipelines'))
{
	TarnTest::wait_live($node, $pipeline);
	TarnTest::flush($node, $pipeline);
}
TarnTest::all_same($node, 'with room for all, all go on');

# Without the library preloaded, reading works; pipelines rest
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
TarnTest::all_same($node, 'lake tables are read without shared_preload_libraries');
is(sql("SELECT state FROM tarn.pipelines WHERE name = 'p'"), 'unknown', 'a pipeline is not running');
like(error_of("SELECT tarn.$_('p')"), qr/pipelines need tarn to be loaded at server start\nHINT:  Add to postgresql.conf: shared_preload_libraries = 'tarn', and restart/, "$_ says what is missing")
  foreach qw(flush resume);
sql("INSERT INTO t VALUES (-2, 'unloaded')");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tarn'\n");
$node->restart;
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'loaded again, it catches up');
unlike(slurp_file($node->logfile), qr/signal (11|6|7)\b|PANIC|TRAP/, 'no process crashed');
$node->stop;
done_testing();

# Ticks of CPU (usually 10 ms each) that a process has used.
sub cpu_ticks
{
	my ($pid) = @_;
	my @fields = split ' ', slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr;

	return $fields[11] + $fields[12];
}
