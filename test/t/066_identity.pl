# Copies of a server, restored backups, promoted standbys, zombies and foreign slots: one writer a lake, and each case ends in a
# right lake or in a stopped pipeline that says what happened and how to go on (I3, I7).
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
my $conf = "log_statement = none\ntarn.garbage_grace = 0\nmax_wal_senders = 10\nwal_keep_size = 256MB\n";
my $node = TarnTest::cluster('first', conf => $conf);
my $warehouse = TarnTest::create_lake($node);
my $lake = TarnTest::directory($warehouse);
my $sequence = 0;

sub markers
{
	my @names = map { s{.*/}{}r } glob("$lake/_tarn/*");

	return @names;
}

# A change on a server that comes to the lake, or does not
sub change
{
	my ($server) = @_;
	my $i = ++$sequence;

	$server->safe_psql($db, "INSERT INTO t SELECT g, 'change $i' FROM generate_series(10 * $i, 10 * $i + 9) g; UPDATE t SET v = v || '.' WHERE id % 7 = 0; DELETE FROM t WHERE id % 13 = $i % 13");
	return;
}

sub right
{
	my ($server, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($server, 'p');
	return TarnTest::all_same($server, $what);
}

# The pipeline stops, and says why and what to do.
sub stopped
{
	my ($server, $error, $hint, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$server->poll_query_until($db, "SELECT state = 'stopped' FROM tarn.pipelines")
	  or diag($server->safe_psql($db, 'SELECT state, last_error FROM tarn.pipelines'));
	my $last = $server->safe_psql($db, 'SELECT last_error FROM tarn.pipelines');
	like($last, $error, "$what: it says what happened");
	return like($last, $hint, "$what: and the command to go on");
}

# Another server over a copy of the files, on a port of its own
sub copy_of
{
	my ($name, $from) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	mkdir $copy->data_dir =~ s{/pgdata$}{}r;
	system_or_bail('cp', '-a', $from, $copy->data_dir);
	unlink $copy->data_dir . '/postmaster.pid';
	$copy->append_conf('postgresql.conf', 'port = ' . $copy->port);
	mkdir $copy->archive_dir;
	mkdir $copy->backup_dir;
	return $copy;
}

$node->safe_psql($db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'first' FROM generate_series(1, 9) g");
TarnTest::mirror($node, 'p', tables => ['t'], arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($node, 'p');
change($node);
right($node, 'the pipeline runs');
is(scalar(markers()), 1, 'one marker in the lake');
my $slot = $node->safe_psql($db, 'SELECT slot FROM tarn.pipelines');
like((markers())[0], qr/^$slot\.\d+\.json$/, 'of the slot\'s name');
my ($before) = markers();
$node->restart;
right($node, 'it runs after a restart');
is((markers())[0], $before, 'which is no reason for another marker');
change($node);
right($node, 'the lake moves on');
isnt((markers())[0], $before, 'and the marker with it');

#
# Another server on the same warehouse
#
my $foreign = TarnTest::cluster('foreign', conf => $conf);
TarnTest::create_lake($foreign, warehouse => $warehouse);
$foreign->safe_psql($db, 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t');
my ($status, $out, $err) = $foreign->psql($db, "SELECT tarn.create_pipeline('p', 'lake', '{p}')");
isnt($status, 0, 'another server: refused');
like($err, qr/warehouse ".*" is written by pipeline "p" of another server/, 'another server: it is said by whom');
like($err, qr/HINT:.*another warehouse/, 'another server: with a hint');
$foreign->stop;

#
# A base backup that is started beside its original: it has no slot
#
$node->backup('base');
my $clone = copy_of('clone', $node->backup_dir . '/base');
$clone->start;
stopped($clone, qr/replication slot "$slot" does not exist any more/, qr/SELECT tarn\.resync\('p'\)/, 'clone');
change($node);
right($node, 'clone: the original goes on');
change($clone);
isnt(TarnTest::differing($clone, 'public.t', 'lake.t'), '0', 'clone: it writes nothing');
$clone->stop;

#
# A copy with everything, slots too
#
$node->stop;
my $twin = copy_of('twin', $node->data_dir);
$node->start;
$twin->start;
stopped($twin, qr/data directory is a copy of the one that writes into lake "lake"/, qr/SELECT tarn\.take_over\('p'\)/, 'copy');
change($node);
right($node, 'copy: the original goes on');
my @files = sort glob("$lake/public/t/*/*");
$twin->restart;
stopped($twin, qr/data directory is a copy|another server/, qr/SELECT tarn\.take_over\('p'\)/, 'copy, again');
is_deeply([ grep { !-e } @files ], [], 'copy: no file of the original is gone');
($status, $out, $err) = $twin->psql($db, "SELECT tarn.drop_pipeline('p', drop_data => true)");
like($err, qr/lake "lake" is written by another server.*Drop the pipeline without drop_data/s, 'copy: it may not drop the files');

# It takes over while its original hangs: a zombie, when it goes on
my $zombie = $node->safe_psql($db, 'SELECT pid FROM tarn.pipelines');
kill 'STOP', $zombie;
change($node);
$twin->safe_psql($db, "SELECT tarn.take_over('p')");
$twin->poll_query_until($db, "SELECT state = 'streaming' FROM tarn.pipelines") or diag('not streaming');
change($twin);
right($twin, 'copy: it took over');
is_deeply([ grep { !-e } @files ], [], 'copy: no file of the original is gone');
usleep(1_100_000);
kill 'CONT', $zombie;
stopped($node, qr/lake "lake" is written by pipeline "p" of another server/, qr/SELECT tarn\.take_over\('p'\)/, 'zombie');
change($twin);
right($twin, 'zombie: the lake is its successor\'s');

# And back
$twin->stop;
$node->safe_psql($db, "SELECT tarn.take_over('p')");
change($node);
right($node, 'the original has it again');

#
# An old copy of the data directory is put back in place: database and slot know less than the lake
#
my $old = $node->basedir . '/old';
$node->stop;
system_or_bail('cp', '-a', $node->data_dir, $old);
$node->start;
change($node);
right($node, 'restored: before');
$node->stop;
# the inode stays, as on a disk that was put back as a whole
system("cd $old && find . -type d -exec mkdir -p '" . $node->data_dir . "/{}' \\;");
system_or_bail('sh', '-c', "cd '$old' && find . -type f ! -name PG_VERSION -exec cp -p '{}' '" . $node->data_dir . "/{}' \\;");
$node->start;
stopped($node, qr/lake "lake" has changes up to .* it was restored, or is a copy/, qr/SELECT tarn\.rollback_lake\('p'\)/, 'restored');
$node->safe_psql($db, "SELECT tarn.rollback_lake('p')");
change($node);
right($node, 'restored: it goes on from where the database is');
change($node);
right($node, 'restored: and further');
TarnTest::engines($node, ['public.t'], 'restored: other engines');

#
# The slot
#
$node->safe_psql($db, "SELECT tarn.pause('p')");
$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines');
$node->safe_psql($db, "SELECT pg_drop_replication_slot('$slot')");
change($node);
$node->safe_psql($db, "SELECT tarn.resume('p')");
stopped($node, qr/replication slot "$slot" does not exist any more/, qr/SELECT tarn\.resync\('p'\)/, 'slot dropped');
$node->safe_psql($db, "SELECT pg_create_logical_replication_slot('$slot', 'tarn')");
change($node);
$node->safe_psql($db, "SELECT tarn.resume('p')");
stopped($node, qr/was made anew or moved by somebody else/, qr/SELECT tarn\.resync\('p'\)/, 'slot made by hand');
$node->safe_psql($db, "SELECT tarn.resync('p')");
TarnTest::wait_live($node, 'p');
right($node, 'slot made by hand: after resync');

$node->safe_psql($db, "SELECT tarn.pause('p')");
$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines');
$node->safe_psql($db, "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'; ALTER SYSTEM SET wal_keep_size = 0; ALTER SYSTEM SET min_wal_size = '32MB'");
$node->safe_psql($db, 'SELECT pg_reload_conf()');
change($node);
$node->safe_psql($db, 'CREATE TABLE IF NOT EXISTS junk (x int); INSERT INTO junk VALUES (1); SELECT pg_switch_wal()') foreach 1 .. 5;
$node->safe_psql($db, 'CHECKPOINT');
is($node->safe_psql($db, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = '$slot'"), 'lost', 'the slot has lost its WAL');
$node->safe_psql($db, "SELECT tarn.resume('p')");
stopped($node, qr/was invalidated/, qr/SELECT tarn\.resync\('p'\)/, 'slot invalidated');
$node->safe_psql($db, "SELECT tarn.resync('p')");
TarnTest::wait_live($node, 'p');
right($node, 'slot invalidated: after resync');
$node->safe_psql($db, "ALTER SYSTEM RESET ALL");
$node->safe_psql($db, 'SELECT pg_reload_conf()');

#
# A standby is promoted while the primary hangs
#
$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;
change($node);
right($node, 'standby: the primary runs');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
$zombie = $node->safe_psql($db, 'SELECT pid FROM tarn.pipelines');
kill 'STOP', $zombie;
change($node);
$standby->promote;
stopped($standby, qr/replication slot "$slot" does not exist any more/, qr/SELECT tarn\.resync\('p'\)/, 'failover');
$standby->safe_psql($db, "SELECT tarn.resync('p')");
TarnTest::wait_live($standby, 'p');
change($standby);
right($standby, 'failover: after resync');
usleep(1_100_000);
kill 'CONT', $zombie;
stopped($node, qr/another server .*timeline 2/, qr/SELECT tarn\.take_over\('p'\)/, 'failover: the old primary');
change($standby);
right($standby, 'failover: the new primary goes on');
TarnTest::engines($standby, ['public.t'], 'failover: other engines');
$node->stop;

#
# Back to a point in time before some of the lake's commits
#
$standby->backup('pitr');
change($standby);
right($standby, 'point in time: before');
my $target = $standby->safe_psql($db, 'SELECT pg_current_wal_lsn()');
change($standby);
right($standby, 'point in time: after it');
$standby->stop;
my $restored = copy_of('restored', $standby->backup_dir . '/pitr');
system_or_bail('sh', '-c', "cp -n '" . $standby->data_dir . "'/pg_wal/0* '" . $restored->data_dir . "/pg_wal/'");
$restored->append_conf('postgresql.conf', "restore_command = 'false'\nrecovery_target_lsn = '$target'\nrecovery_target_action = promote\nprimary_conninfo = ''\n");
TarnCrash::spew($restored->data_dir . '/recovery.signal', '');
$restored->start;
$restored->poll_query_until($db, 'SELECT NOT pg_is_in_recovery()');
stopped($restored, qr/replication slot "$slot" does not exist any more/, qr/SELECT tarn\.resync\('p'\)/, 'point in time');
is(TarnTest::differing($restored, 'public.t', 'lake.t'), '0', 'point in time: the catalog came along, and its files are there');
$restored->safe_psql($db, "SELECT tarn.resync('p')");
TarnTest::wait_live($restored, 'p');
change($restored);
right($restored, 'point in time: after resync');
TarnTest::engines($restored, ['public.t'], 'point in time: other engines');

# The marker goes with the pipeline
$restored->safe_psql($db, "SELECT tarn.drop_pipeline('p')");
$restored->poll_query_until($db, 'SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM tarn.removal) = 0');
is_deeply([ markers() ], [], 'no marker after the pipeline');
$restored->stop;
done_testing();
