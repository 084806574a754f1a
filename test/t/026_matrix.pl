# At every failpoint the worker dies, the server dies, an error is raised, memory is used up, or the process hangs, under
# load; nothing is lost, doubled or left behind (I1, I2, I3, I4).
#
# A selection of a minute or two, or with TARN_TEST_LONG all points with all actions.  TARN_ONLY=regexp: points of that name.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $long = $ENV{TARN_TEST_LONG};
my $only = $ENV{TARN_ONLY} || '.';
my $begin = time();
my $node = TarnTest::cluster('matrix',
	conf => "restart_after_crash = on\ntarn.garbage_grace = 0\nlog_statement = none\nlog_min_messages = error\nautovacuum_naptime = 60s\n");

if ($node->psql($db, 'SHOW tarn.failpoints') != 0 || $node->psql($db, "LOAD 'tarn'; SHOW tarn.failpoints") != 0)
{
	BAIL_OUT('the crash tests need a library built by make FAILPOINTS=1');
}

sub patiently
{
	return TarnCrash::patiently($node, @_);
}

#
# What makes the processes pass a point.  Each sets the failpoint, and returns what tidies up afterwards.
#
my $made = 0;

sub pause
{
	patiently("SELECT tarn.pause('p')");
	$node->poll_query_until($db, "SELECT pid IS NULL FROM tarn.pipelines WHERE name = 'p'") or die 'not paused';
	return;
}

sub by_load
{
	my ($failpoint) = @_;

	TarnCrash::arm($node, $failpoint);
	return;
}

# A table whose copy is under way when the failpoint strikes
sub by_copy
{
	my ($failpoint) = @_;
	my $name = 'added' . ++$made;

	$node->safe_psql($db, "CREATE TABLE $name (id int PRIMARY KEY, v text); INSERT INTO $name SELECT i, md5(i::text) FROM generate_series(1, 5000) i");
	TarnCrash::arm($node, $failpoint);
	usleep(100_000);
	TarnCrash::query($node, "ALTER PUBLICATION p ADD TABLE $name");
	# with panic-server the server may be gone by now
	TarnCrash::query($node, "UPDATE $name SET v = 'during the copy' WHERE id % 100 = 0; DELETE FROM $name WHERE id % 101 = 0");
	return sub { patiently("ALTER PUBLICATION p DROP TABLE $name") };
}

# The start after a flush that died
sub by_start
{
	my ($failpoint) = @_;

	TarnCrash::arm($node, "flush-before-commit=error:2, $failpoint");
	return;
}

# A slot and copies of all tables anew; or of one table
sub by_resync
{
	my ($failpoint) = @_;

	TarnCrash::arm($node, $failpoint);
	TarnCrash::query($node, "SELECT tarn.resync('p')");
	return;
}

sub by_resync_table
{
	my ($failpoint) = @_;

	TarnCrash::arm($node, $failpoint);
	TarnCrash::query($node, "SELECT tarn.resync('p', 'come')");
	return;
}

# Changes of a table's shape among changes of its rows
sub change_shape
{
	my ($failpoint, $table, $change) = @_;

	TarnCrash::arm($node, $failpoint);
	usleep(100_000);
	# the server may be gone by now, or the failpoint strike the command
	TarnCrash::query($node, "UPDATE $table SET v = v || '.' WHERE id % 3 = 0; BEGIN; DELETE FROM $table WHERE id % 10 = $made % 10; $change; "
		  . "INSERT INTO $table (id, v) SELECT g * 10 + $made % 10, 'again' FROM generate_series(0, 9) g; COMMIT");
	return;
}

sub shaped
{
	return patiently("SELECT relname FROM pg_class WHERE relname ~ '^shaped' AND relkind = 'r'");
}

sub by_ddl
{
	my ($failpoint) = @_;
	my $table = shaped();

	$made++;
	return change_shape($failpoint, $table, "ALTER TABLE $table ADD COLUMN a$made int; UPDATE $table SET a$made = id WHERE id % 2 = 0");
}

sub by_ddl_copy
{
	my ($failpoint) = @_;
	my $table = shaped();

	$made++;
	return change_shape($failpoint, $table, "ALTER TABLE $table ADD COLUMN a$made int DEFAULT 7");
}

sub by_rename
{
	my ($failpoint) = @_;
	my $table = shaped();

	$made++;
	TarnCrash::arm($node, $failpoint);
	usleep(100_000);
	TarnCrash::query($node, "UPDATE $table SET v = v || '.' WHERE id % 3 = 0; ALTER TABLE $table RENAME TO shaped$made; UPDATE shaped$made SET v = v || '!' WHERE id % 5 = 0");
	return;
}

# A table that is not published any more
sub by_leaving
{
	my ($failpoint) = @_;
	my $leave = by_copy('none=error');

	TarnCrash::flush($node, 'p');
	TarnCrash::arm($node, $failpoint);
	usleep(100_000);
	$leave->();
	return;
}

# More rows at once than the worker encodes by itself
sub by_backlog
{
	my ($failpoint) = @_;

	pause();
	$node->safe_psql($db, "INSERT INTO bulk SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 60000) g");
	TarnCrash::arm($node, $failpoint);
	$node->safe_psql($db, "SELECT tarn.resume('p')");
	return sub {
		TarnTest::all_same($node, 'the backlog is in the lake');
		patiently('TRUNCATE bulk');
		TarnCrash::flush($node, 'p');
	};
}

# Others write WAL, and nothing is published
sub by_idling
{
	my ($failpoint) = @_;

	stop_load();
	TarnCrash::flush($node, 'p');
	TarnCrash::arm($node, $failpoint);
	TarnCrash::query($node, "INSERT INTO unpublished SELECT repeat(md5(g::text), 20) FROM generate_series(1, 5000) g; TRUNCATE unpublished");
	return;
}

# The key indexes are lost
sub by_lost_index
{
	my ($failpoint) = @_;

	pause();
	system_or_bail('rm', '-rf', $node->data_dir . '/pg_tarn');
	TarnCrash::arm($node, $failpoint);
	$node->safe_psql($db, "SELECT tarn.resume('p')");
	return;
}

sub by_new_pipeline
{
	my ($failpoint) = @_;
	my $name = 'alone' . ++$made;

	TarnCrash::arm($node, $failpoint);
	$node->safe_psql($db, <<SQL);
CREATE TABLE $name (id int PRIMARY KEY);
INSERT INTO $name SELECT generate_series(1, 100);
CREATE PUBLICATION $name FOR TABLE $name;
SELECT tarn.create_pipeline('$name', 'lake', '{$name}', flush_interval => '150 ms');
SQL
	return sub { TarnCrash::flush($node, $name); patiently("SELECT tarn.drop_pipeline('$name', drop_data => true)") };
}

sub by_dropped_pipeline
{
	my ($failpoint) = @_;
	my $name = 'alone' . $made;
	my $drop = by_new_pipeline('none=error');

	TarnCrash::flush($node, "alone$made");
	TarnCrash::arm($node, $failpoint);
	usleep(200_000);
	TarnCrash::query($node, "SELECT tarn.drop_pipeline('alone$made')");
	return sub {
		$node->poll_query_until($db, 'SELECT (SELECT count(*) FROM pg_replication_slots) = (SELECT count(*) FROM tarn.pipeline)')
		  or diag('a slot is left');
		is(patiently('SELECT (SELECT count(*) FROM pg_replication_slots) = (SELECT count(*) FROM tarn.pipeline)'), 't', 'its slot is gone');
	};
}

# A backend makes a mirror from a history
sub by_rebuild
{
	my ($failpoint) = @_;

	TarnCrash::flush($node, 'p');
	TarnCrash::arm($node, $failpoint);
	usleep(100_000);
	TarnCrash::query($node, "SELECT tarn.rebuild('come', lake_table => 'again_come')");
	return sub { TarnCrash::histories_same($node, 'rebuilds') };
}

sub by_dropped_data
{
	my ($failpoint) = @_;

	by_new_pipeline('none=error');
	TarnCrash::flush($node, "alone$made");
	TarnCrash::arm($node, $failpoint);
	usleep(200_000);
	TarnCrash::query($node, "SELECT tarn.drop_pipeline('alone$made', drop_data => true)");
	return sub {
		$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.removal') or diag('something is left to remove');
		is(patiently('SELECT (SELECT count(*) FROM pg_replication_slots WHERE NOT temporary) = (SELECT count(*) FROM tarn.pipeline)'), 't', 'its slot is gone');
		is(patiently("SELECT count(*) FROM tarn.garbage WHERE path LIKE '%/alone$made/%'"), '0', 'what was dropped is removed');
	};
}

# [point, passage, what makes the processes pass it]; fast: actions of the short run
my @matrix = (
	[ 'flush-data-written', 2, \&by_load, 'kill error' ],
	[ 'history-written', 2, \&by_load, 'kill error' ],
	[ 'index-file-written', 3, \&by_load, 'kill' ],
	[ 'flush-index-prepared', 2, \&by_load, 'error panic-server' ],
	[ 'index-prepared', 2, \&by_load, 'kill' ],
	[ 'flush-before-commit', 2, \&by_load, 'kill hang' ],
	[ 'before-transaction-end', 3, \&by_load, 'error' ],
	[ 'after-transaction-end', 4, \&by_load, 'kill' ],
	[ 'flush-after-commit', 2, \&by_load, 'panic-server' ],
	[ 'index-settled', 2, \&by_load, 'kill' ],
	[ 'flush-before-confirm', 2, \&by_load, 'error' ],
	[ 'confirmed', 2, \&by_load, 'kill panic-server' ],
	[ 'index-merge-written', 1, \&by_load, 'kill' ],
	[ 'index-merge-recorded', 1, \&by_load, 'kill' ],
	[ 'index-merge-removed', 1, \&by_load, 'kill' ],
	[ 'manifests-merged', 1, \&by_load, 'kill' ],
	[ 'garbage-removed', 1, \&by_load, 'error' ],
	[ 'orphan-removed', 1, \&by_start, 'kill' ],
	[ 'index-built', 1, \&by_lost_index, 'kill' ],
	[ 'copy-token-recorded', 1, \&by_copy, 'error' ],
	[ 'copy-snapshot', 1, \&by_copy, 'kill' ],
	[ 'copy-imported', 1, \&by_copy, 'error' ],
	[ 'copy-task', 1, \&by_copy, 'kill' ],
	[ 'copy-file-written', 1, \&by_copy, 'panic-server' ],
	[ 'copy-before-commit', 1, \&by_copy, 'kill' ],
	[ 'copy-after-commit', 1, \&by_copy, 'kill' ],
	[ 'slot-created', 1, \&by_new_pipeline, 'kill' ],
	[ 'fence-written', 1, \&by_new_pipeline, 'kill' ],
	[ 'fence-removed', 1, \&by_new_pipeline, 'error' ],
	[ 'slot-dropped', 1, \&by_dropped_pipeline, 'kill' ],
	[ 'dropped-removed', 2, \&by_dropped_data, 'kill error' ],
	[ 'slot-given-up', 1, \&by_resync, 'kill' ],
	[ 'slot-created', 1, \&by_resync, 'error' ],
	[ 'slot-recorded', 1, \&by_resync, 'kill' ],
	[ 'fence-written', 1, \&by_resync, 'panic-server' ],
	[ 'copy-before-commit', 2, \&by_resync, 'error' ],
	[ 'copy-after-commit', 2, \&by_resync, 'kill' ],
	[ 'copy-token-recorded', 1, \&by_resync_table, '' ],
	[ 'copy-file-written', 1, \&by_resync_table, 'kill' ],
	[ 'copy-before-commit', 1, \&by_resync_table, 'kill' ],
	[ 'copy-after-commit', 1, \&by_resync_table, '' ],
	[ 'fence-written', 1, \&by_start, '' ],
	[ 'fence-advanced', 1, \&by_start, 'kill' ],
	[ 'tables-recorded', 1, \&by_start, '' ],
	[ 'token-changed', 1, \&by_start, 'kill' ],
	[ 'idle-advanced', 1, \&by_idling, 'kill' ],
	[ 'ddl-noted', 1, \&by_ddl, 'kill error' ],
	[ 'ddl-reshaped', 1, \&by_ddl, 'kill' ],
	[ 'ddl-copy-recorded', 1, \&by_ddl_copy, 'kill' ],
	[ 'ddl-renamed-away', 1, \&by_rename, 'error' ],
	[ 'table-left', 1, \&by_leaving, 'kill' ],
	[ 'rebuild-written', 1, \&by_rebuild, 'kill error' ],
	[ 'encoder-file-opened', 1, \&by_backlog, 'kill' ],
	[ 'encoder-rows', 2, \&by_backlog, '' ],
	[ 'encoder-file-written', 1, \&by_backlog, 'error' ]);

# Every object of the store: whatever a flush writes, in whatever order
push @matrix, map { ([ 'store-file-begun', $_, \&by_load, $_ == 3 ? 'starve' : '' ], [ 'store-file-written', $_, \&by_load, $_ == 7 ? 'kill' : '' ]) } 1 .. 12;
push @matrix, map { [ 'store-file-removed', $_, \&by_load, '' ] } 1 .. 3;

my %listed = map { $_->[0] => 1 } @matrix;
is(join(' ', grep { !$listed{$_} } TarnCrash::points()), '', 'every failpoint of the source is struck');

my $hang = $long ? 30 : 1;
my %actions = (
	kill => [ 'kill', sub { qr/was terminated by signal 9/ } ],
	'panic-server' => ['panic-server'],
	error => [ 'error', sub { qr/failpoint "$_[0]": fails/ } ],
	starve => [ 'starve(64)', sub { qr/failpoint "$_[0]": starves/ } ],
	hang => [ "hang($hang)", sub { qr/failpoint "$_[0]": hangs/ } ]);

# What may come of them in the log: what struck, what its neighbours say of a process that is gone, and what the test asked for
my $explained = qr/failpoint "[\w-]+"$|out of memory|Cannot allocate memory|ended unexpectedly|copied anew: column "\w+" was added with a value/;
# of a flush that was under way
my $begun_anew = qr/pipeline was changed by another process/;

#
# The load goes on all the time, and is begun again when the server died.
#
my $bench;

sub load
{
	return if $bench && $bench->pumpable;
	eval { $bench->kill_kill } if $bench;
	$bench = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-R', '150', '-T', '3600', '-f', "$PostgreSQL::Test::Utils::tmp_check/load.sql",
			'-h', $node->host, '-p', $node->port, $db ],
		'<', \undef, '>', "$PostgreSQL::Test::Utils::log_path/pgbench.log", '2>&1');
	return;
}

sub stop_load
{
	eval { $bench->kill_kill } if $bench;
	undef $bench;
	# its backends hear of it with their next answer
	patiently("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pgbench'");
	return;
}

sub strike
{
	my ($point, $passage, $do, $action) = @_;
	my ($name, $sign) = @{ $actions{$action} };
	# the sign names the point: by_start's own failpoint is another
	$sign &&= $sign->($point);
	my $offset = -s $node->logfile;
	my $struck = 0;

	load();
	my $after = $do->("$point=$name:$passage");
	for (my $end = time() + 40; time() < $end && !$struck; usleep(50_000))
	{
		$struck = $sign ? substr(TarnCrash::slurp($node->logfile), $offset) =~ $sign : !TarnCrash::running($node);
		load() if !$struck && $do != \&by_idling && TarnCrash::running($node);
	}
	diag(($node->psql($db, 'SELECT pid, backend_type, state, wait_event_type, wait_event, backend_xid, query FROM pg_stat_activity; SELECT * FROM tarn.pipelines; SELECT * FROM pg_locks WHERE NOT granted'))[1])
	  unless $struck || !TarnCrash::running($node);
	# the application goes on meanwhile, and another worker does not
	if ($action eq 'hang' && $do != \&by_idling)
	{
		my $count = patiently('SELECT count(*) FROM hist');

		usleep($hang * 500_000);
		cmp_ok(patiently('SELECT count(*) FROM hist'), '>', $count, "hang at $point: the application goes on");
	}
	TarnCrash::disarm($node);
	TarnCrash::start($node) if !TarnCrash::running($node);
	ok($struck, "$action at $point, passage $passage") or return;

	# no state in between is visible; a resync of the pipeline replaces one table after the other
	is(patiently('SELECT (SELECT sum(n) FROM lake.acc) + (SELECT sum(n) FROM lake.other)'), '200000',
		"$action at $point: the lake is at a commit boundary") if $do != \&by_resync;
	patiently("SELECT tarn.resume('p')");
	load();
	stop_load();
	TarnCrash::flush($node, 'p');
	$after->() if $after;
	TarnTest::all_same($node, "$action at $point");
	# what a resume forgets
	is(join("\n", TarnCrash::unexplained($node, $offset, $do == \&by_resync ? qr/$explained|$begun_anew/ : $explained)), '', "$action at $point: nothing else fails");
	return;
}

TarnTest::create_lake($node);
$node->safe_psql($db, <<SQL);
CREATE TABLE acc (id int PRIMARY KEY, n bigint);
CREATE TABLE other (id text PRIMARY KEY, n bigint, pad text);
CREATE TABLE hist (id bigserial, x int, at timestamptz DEFAULT now());
CREATE TABLE come (id int PRIMARY KEY, v int);
CREATE TABLE shaped (id int PRIMARY KEY, v text);
INSERT INTO shaped SELECT i, 'row ' || i FROM generate_series(0, 99) i;
CREATE TABLE bulk (id int, v text);
CREATE TABLE unpublished (v text);
INSERT INTO acc SELECT i, 1000 FROM generate_series(1, 100) i;
INSERT INTO other SELECT 'k' || i, 1000, repeat('x', i) FROM generate_series(1, 100) i;
SQL
TarnCrash::spew("$PostgreSQL::Test::Utils::tmp_check/load.sql", <<'SQL');
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
TarnTest::mirror($node, 'p', tables => [qw(acc other come shaped)], keyless => [qw(hist bulk)], arguments => "flush_interval => '150 ms', memory_limit => '24 MB', history => true");
TarnTest::wait_live($node, 'p');
TarnTest::all_same($node, 'at the start');

my $points = 0;

foreach my $row (@matrix)
{
	my ($point, $passage, $do, $fast) = @$row;

	next unless $point =~ /$only/;
	foreach my $action ($long ? sort keys %actions : split ' ', $fast)
	{
		# the worker that is to drop a slot has nobody to wait for it: whoever comes next does it
		strike($point, $passage, $do, $action);
	}
	# what a strike did to a history stays in it, so that of every fifth point is early enough to tell which
	if (++$points % 5 == 0)
	{
		stop_load();
		TarnCrash::flush($node, 'p');
		TarnCrash::histories_same($node, "up to $point");
	}
}
stop_load();
TarnCrash::flush($node, 'p');
TarnCrash::histories_same($node, 'after all of it');

# A flush that died prepared the key index for a state that never came; what is committed instead has no need of an index
stop_load();
TarnCrash::flush($node, 'p');
TarnCrash::arm($node, 'flush-before-commit=error');
$node->safe_psql($db, 'UPDATE come SET v = v + 1 WHERE id % 3 = 0; INSERT INTO come SELECT i, 1 FROM generate_series(10001, 10050) i');
$node->poll_query_until($db, "SELECT last_error ~ 'flush-before-commit' AND pid IS NULL FROM tarn.pipelines WHERE name = 'p'") or diag('no failure');
$node->safe_psql($db, 'TRUNCATE come');
TarnCrash::disarm($node);
TarnCrash::flush($node, 'p');
$node->safe_psql($db, 'INSERT INTO come SELECT i, 1 FROM generate_series(1, 50) i');
TarnCrash::flush($node, 'p');
$node->safe_psql($db, 'UPDATE come SET v = 2 WHERE id % 2 = 0; DELETE FROM come WHERE id % 5 = 0');
TarnCrash::flush($node, 'p');
TarnTest::all_same($node, 'a state of the key index that never came');

is(join("\n", TarnCrash::crashes($node)), '', 'no process crashed by itself');
is($node->safe_psql($db, 'SELECT count(*) FROM pg_replication_slots'), $node->safe_psql($db, 'SELECT count(*) FROM tarn.pipelines'),
	'one slot for each pipeline');
is($node->safe_psql($db, 'SELECT bool_and(r.confirmed_flush_lsn <= s.committed_lsn) FROM tarn.pipeline_status() s JOIN tarn.pipeline p ON p.id = s.pipeline_id JOIN pg_replication_slots r ON r.slot_name = p.slot'),
	't', 'no slot is ahead of the lake');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
TarnTest::engines($node, [ map { "public.$_" } qw(acc other hist come) ]);
note(sprintf('%.0f s', time() - $begin));
$node->stop;
done_testing();
