# Primary and standby on hosts of their own, the lake in an S3 server on a third.  The primary is cut off from its standby but not
# from the lake; later it dies.  The standby is promoted and goes on: by itself with the failover slots of PostgreSQL 17, by
# tarn.resync before.  The other one finds the lake taken over, and stops (I1, I3, I5, I7).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use TarnCrash;
use TarnHosts;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my %address = (north => '10.86.0.2', south => '10.86.0.3');

TarnHosts::add($_, $address{$_}) foreach sort keys %address;
TarnHosts::connect('self', $_) foreach sort keys %address;
TarnHosts::connect('north', 'south');
$TarnTest::store = 's3';
$TarnTest::s3_host = TarnHosts::SELF;

my %server = (north => TarnTest::cluster('north', start => 0, conf => <<CONF));
log_statement = none
tarn.garbage_grace = 0
max_wal_senders = 10
wal_keep_size = 256MB
wal_receiver_timeout = 5s
listen_addresses = '*'
CONF
# host names of the tests are directories of sockets
append_to_file($server{north}->data_dir . '/pg_hba.conf', "host all,replication all $address{north}/29 trust\n");
my $failover_slots = $server{north}->pg_version >= 17;
note('PostgreSQL ' . $server{north}->pg_version . ($failover_slots ? ': failover slots' : ': tarn.resync'));

my $sequence = 0;

# Changes of all kinds, and as an application would, whatever the lake does
sub change
{
	my ($host, $rounds) = @_;

	foreach (1 .. $rounds || 1)
	{
		my $i = ++$sequence;
		my $start = time();

		$server{$host}->safe_psql($db, <<SQL);
INSERT INTO t SELECT 100 * $i + g, repeat('change $i on $host', 1 + g % 5) FROM generate_series(1, 100) g;
UPDATE t SET v = v || '.' WHERE id % 7 = $i % 7;
DELETE FROM t WHERE id % 13 = $i % 13;
INSERT INTO log SELECT $i, '$host', count(*) FROM t;
SQL
		fail("a change on $host takes " . (time() - $start) . ' s') if time() - $start > 5;
	}
	return;
}

sub soon
{
	my ($host, $query, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($server{$host}->poll_query_until($db, $query), $what)
	  || diag($server{$host}->safe_psql($db, 'SELECT state, detail, last_error FROM tarn.pipelines'));
}

# All tables both ways in SQL, then by PyIceberg and DuckDB
sub right
{
	my ($host, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($server{$host}, 'p');
	TarnTest::all_same($server{$host}, $what);
	return TarnTest::engines($server{$host}, [ 'public.t', 'public.log' ], "$what: other engines");
}

# Makes $host a standby of $from, by a base backup over the network.
sub follow
{
	my ($host, $from, $generation) = @_;
	my $node = PostgreSQL::Test::Cluster->new("$host$generation");
	my $slot = "standby_$generation";
	my $conninfo = "host=$address{$from} port=" . $server{$from}->port . ' dbname=postgres';

	$server{$from}->safe_psql($db, "SELECT pg_create_physical_replication_slot('$slot')");
	mkdir $node->backup_dir;
	TarnHosts::on($host, sub { system_or_bail('pg_basebackup', '-d', $conninfo, '-D', $node->backup_dir . '/base', '-c', 'fast', '--no-sync') });
	$node->init_from_backup($node, 'base');
	$node->append_conf('postgresql.conf', "primary_conninfo = '$conninfo'\nprimary_slot_name = '$slot'\nhot_standby_feedback = on\n");
	$node->append_conf('postgresql.conf', "sync_replication_slots = on\nsynchronized_standby_slots = ''\n") if $failover_slots;
	$node->set_standby_mode;
	TarnHosts::on($host, sub { $node->start });
	$server{$host} = $node;
	if ($failover_slots)
	{
		$server{$from}->safe_psql($db, "ALTER SYSTEM SET synchronized_standby_slots = '$slot'");
		$server{$from}->reload;
	}
	return;
}

# The standby can be promoted: it has what the primary has, with failover slots also the pipeline's.
sub ready
{
	my ($host, $from) = @_;
	my $synced = "SELECT count(*) = 1 FROM pg_replication_slots WHERE plugin = 'tarn' AND synced AND NOT temporary";

	if ($failover_slots)
	{
		# the copy of the slot lasts from when the slot has moved on
		for (my $end = time() + 60; $server{$host}->safe_psql($db, $synced) ne 't' && time() < $end; usleep(500_000))
		{
			$server{$from}->safe_psql($db, 'SELECT pg_log_standby_snapshot()');
			change($from);
			TarnTest::flush($server{$from}, 'p');
		}
		is($server{$host}->safe_psql($db, $synced), 't', "$host has the slot");
	}
	$server{$from}->wait_for_catchup($server{$host}->name, 'replay', $server{$from}->lsn('flush'));
	return;
}

# Promotes, and goes on there as the version does.
sub failover
{
	my ($host, $timeline) = @_;

	$server{$host}->promote;
	if (!$failover_slots)
	{
		soon($host, q{SELECT state = 'stopped' AND last_error ~ 'does not exist any more.*SELECT tarn\.resync\(''p''\)' FROM tarn.pipelines},
			"$host: stopped without its slot, with the command that goes on");
		$server{$host}->safe_psql($db, "SELECT tarn.resync('p')");
	}
	change($host, 3);
	soon($host, "SELECT bool_and(t.state = 'live') AND min(p.state) = 'streaming' FROM tarn.tables t, tarn.pipelines p", "$host: promoted, it goes on");
	right($host, "$host: the lake is that of the new primary");
	return if !$failover_slots;
	like(slurp_file($server{$host}->logfile), qr/takes over lake "lake" from timeline @{[ $timeline - 1 ]}/, "$host: says so");
	return;
}

# A server whose place was taken: with the next change it stops, says why, and never again writes into the lake.
sub fenced
{
	my ($zombie, $timeline, $successor) = @_;

	change($zombie);
	soon($zombie, "SELECT state = 'stopped' FROM tarn.pipelines", "$zombie: stopped");
	like($server{$zombie}->safe_psql($db, 'SELECT last_error FROM tarn.pipelines'),
		qr/another server .*timeline $timeline.*SELECT tarn\.take_over\('p'\)/s, "$zombie: it says what happened");
	change($zombie, 2);
	change($successor, 2);
	right($successor, "$zombie: the lake is its successor's");
	is($server{$zombie}->safe_psql($db, 'SELECT state FROM tarn.pipelines'), 'stopped', "$zombie: applications go on, the pipeline does not");
	return;
}

TarnHosts::on('north', sub { $server{north}->start });
$server{north}->safe_psql($db, 'CREATE EXTENSION tarn; CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE log (i int PRIMARY KEY, host text, rows int)');
TarnTest::create_lake($server{north});
TarnTest::mirror($server{north}, 'p', tables => [ 't', 'log' ], arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($server{north}, 'p');
follow('south', 'north', 1);
change('north', 3);
ready('south', 'north');
right('north', 'north is the primary');

#
# The cable between them is cut; both reach the lake
#
TarnHosts::cut('north', 'south');
my $seen = $server{north}->safe_psql($db, 'SELECT count(*) FROM log');
change('north', 3);
if ($failover_slots)
{
	soon('north', "SELECT detail ~ 'synchronized_standby_slots' FROM tarn.pipelines", 'cut off: the lake waits for the standby');
}
else
{
	TarnTest::flush($server{north}, 'p');
}
is($server{north}->safe_psql($db, 'SELECT count(*) FROM lake.log'), $failover_slots ? $seen : $seen + 3,
	'cut off: ' . ($failover_slots ? 'nothing that the standby lacks is in the lake' : 'the primary goes on'));
is($server{south}->safe_psql($db, 'SELECT count(*) FROM log'), $seen, 'cut off: the standby knows nothing of that');
failover('south', 2);
is($server{south}->safe_psql($db, "SELECT count(*) FROM lake.log WHERE host = 'north'"), $seen, 'what only the old primary had is not in the lake');
if ($failover_slots)
{
	# it still waits for its standby, and is told not to
	$server{north}->safe_psql($db, "ALTER SYSTEM RESET synchronized_standby_slots");
	$server{north}->reload;
}
fenced('north', 2, 'south');

# also when it can reach its successor again, and after a restart
TarnHosts::connect('north', 'south');
$server{north}->stop('fast');
TarnHosts::on('north', sub { $server{north}->start });
fenced('north', 2, 'south');
$server{north}->stop;

#
# The other way: north is made anew from south, whose host dies under load
#
follow('north', 'south', 2);
change('south', 2);
ready('north', 'south');
my $load = IPC::Run::start([ 'psql', '-Xq', '-d', $server{south}->connstr($db), '-c', <<'SQL' ], '<', \undef, '>&', \my $out);
DO $$ BEGIN FOR i IN 1..100000 LOOP INSERT INTO t VALUES (-i, 'load ' || i); UPDATE t SET v = v || '+' WHERE id = 1 - i; COMMIT; END LOOP; END $$;
SQL
$server{north}->poll_query_until($db, 'SELECT count(*) > 200 FROM t WHERE id < 0') or diag('no load arrives');
TarnHosts::cut('south', $_) foreach 'north', 'self';
$server{south}->kill9;
TarnHosts::power_off('south');
$load->finish;
failover('north', 3);
TarnHosts::connect('south', $_) foreach 'north', 'self';
if ($failover_slots)
{
	$server{south}->append_conf('postgresql.auto.conf', "synchronized_standby_slots = ''");
}
TarnHosts::on('south', sub { TarnCrash::start($server{south}) });
fenced('south', 3, 'north');
unlike(slurp_file($_->logfile), qr/PANIC|signal 11|signal 6|TRAP/, $_->name . ': no process crashed') foreach values %server;
$_->stop foreach values %server;
done_testing();
