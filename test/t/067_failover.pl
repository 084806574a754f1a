# A standby with failover slots is promoted: the pipeline goes on there by itself, and the lake has never been ahead of it
# (I1, I3, I7).  PostgreSQL 17 and later.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $primary = TarnTest::cluster('primary', start => 0,
	conf => "log_statement = none\ntarn.garbage_grace = 0\nmax_wal_senders = 10\nautovacuum_naptime = 60s\n");
plan skip_all => 'failover slots came with PostgreSQL 17' if $primary->pg_version < 17;
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = 'physical'\n");
$primary->start;
$primary->safe_psql($db, "CREATE EXTENSION tarn; SELECT pg_create_physical_replication_slot('physical')");
my $warehouse = TarnTest::create_lake($primary);
$primary->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'standby', has_streaming => 1);
$standby->append_conf('postgresql.conf', join "\n", "primary_slot_name = 'physical'", 'hot_standby_feedback = on', 'sync_replication_slots = on',
	"primary_conninfo = '" . $primary->connstr . " dbname=postgres'", "synchronized_standby_slots = ''", '');
$standby->start;

sub change
{
	my ($server, $i) = @_;

	$server->safe_psql($db, "INSERT INTO t SELECT g, 'change $i' FROM generate_series(10 * $i, 10 * $i + 9) g ON CONFLICT DO NOTHING; UPDATE t SET v = v || '.' WHERE id % 3 = $i % 3; DELETE FROM t WHERE id % 11 = $i % 11");
	return;
}

$primary->safe_psql($db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'first' FROM generate_series(1, 9) g");
TarnTest::mirror($primary, 'p', tables => ['t'], arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($primary, 'p');
is($primary->safe_psql($db, "SELECT failover FROM pg_replication_slots WHERE plugin = 'tarn'"), 't', 'the slot goes with a failover');
change($primary, $_) foreach 1 .. 5;
TarnTest::flush($primary, 'p');
TarnTest::all_same($primary, 'the primary runs');
# the copy of the slot lasts from when the slot has moved on
my $synced = "SELECT count(*) = 1 FROM pg_replication_slots WHERE plugin = 'tarn' AND synced AND NOT temporary";
for (my $end = time() + 60; $standby->safe_psql($db, $synced) ne 't' && time() < $end; usleep(500_000))
{
	$primary->safe_psql($db, 'SELECT pg_log_standby_snapshot()');
	change($primary, 5);
	TarnTest::flush($primary, 'p');
}
is($standby->safe_psql($db, $synced), 't', 'the standby has the slot');

# The standby is away: nothing comes to the lake
$standby->stop;
my $committed = "SELECT metadata_location FROM tarn_catalog.iceberg_tables WHERE table_name = 't'";
my $before = $primary->safe_psql($db, $committed);
change($primary, 6);
$primary->poll_query_until($db, "SELECT detail ~ 'synchronized_standby_slots' FROM tarn.pipelines") or diag('it does not wait');
is($primary->safe_psql($db, $committed), $before, 'the lake waits for the standby');
$primary->safe_psql($db, "SELECT tarn.pause('p')");
$primary->poll_query_until($db, "SELECT state = 'paused' AND pid IS NULL FROM tarn.pipelines") or diag('it cannot be paused');
$primary->safe_psql($db, "SELECT tarn.resume('p')");
$primary->poll_query_until($db, "SELECT detail ~ 'synchronized_standby_slots' FROM tarn.pipelines") or diag('it does not wait any more');
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = ''\n");
$primary->reload;
TarnTest::flush($primary, 'p');
TarnTest::all_same($primary, 'a change of the setting ends the wait');
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = 'physical'\n");
$primary->reload;
change($primary, 6);
$standby->start;
TarnTest::flush($primary, 'p');
TarnTest::all_same($primary, 'and goes on with it');

# Nor does a copy
$standby->stop;
$before = $primary->safe_psql($db, $committed);
$primary->safe_psql($db, "SELECT tarn.resync('p', 't')");
$primary->poll_query_until($db, "SELECT detail ~ 'synchronized_standby_slots' OR (SELECT state FROM tarn.tables) = 'live' FROM tarn.pipelines");
like($primary->safe_psql($db, 'SELECT detail FROM tarn.pipelines'), qr/synchronized_standby_slots/, 'a copy waits for the standby');
is($primary->safe_psql($db, $committed), $before, 'the lake waits, too');
$standby->start;
TarnTest::wait_live($primary, 'p');
isnt($primary->safe_psql($db, $committed), $before, 'and has the copy with it');
change($primary, 6);
TarnTest::flush($primary, 'p');
TarnTest::all_same($primary, 'after the copy');
# the slot's copy follows the slot
for (my $end = time() + 60; $standby->safe_psql($db, $synced) ne 't' && time() < $end; usleep(500_000))
{
	$primary->safe_psql($db, 'SELECT pg_log_standby_snapshot()');
}

# Failover
my $position = $primary->safe_psql($db, 'SELECT committed_lsn FROM tarn.pipelines');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$standby->poll_query_until($db, "SELECT confirmed_flush_lsn > '0/0' FROM pg_replication_slots WHERE plugin = 'tarn'");
$primary->stop('immediate');
$standby->promote;
$standby->poll_query_until($db, "SELECT state = 'streaming' FROM tarn.pipelines")
  or diag($standby->safe_psql($db, 'SELECT state, last_error FROM tarn.pipelines'));
change($standby, $_) foreach 7 .. 9;
TarnTest::flush($standby, 'p');
TarnTest::all_same($standby, 'the new primary goes on by itself');
my $directory = TarnTest::directory($warehouse);
is($standby->safe_psql($db, <<SQL), '2 2', 'snapshots name the new timeline, as the pipeline does');
SELECT (SELECT timeline FROM tarn.pipeline) || ' ' || (s->'summary'->>'tarn.timeline')
FROM (SELECT pg_read_file(replace(metadata_location, '$warehouse', '$directory'))::jsonb AS m FROM tarn_catalog.iceberg_tables WHERE table_name = 't') x,
	jsonb_array_elements(m->'snapshots') s
WHERE s->'snapshot-id' = m->'current-snapshot-id'
SQL
like(slurp_file($standby->logfile), qr/takes over lake "lake" from timeline 1/, 'and says so');

# The old primary comes back
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = ''\n");
$primary->start;
$primary->poll_query_until($db, "SELECT state = 'stopped' FROM tarn.pipelines") or diag('not stopped');
like($primary->safe_psql($db, 'SELECT last_error FROM tarn.pipelines'), qr/another server .*timeline 2/, 'the old primary stops');
change($standby, 10);
TarnTest::flush($standby, 'p');
TarnTest::all_same($standby, 'the new primary has the lake');
$primary->stop;
$standby->stop;
done_testing();
