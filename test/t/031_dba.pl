# A DBA's day: idle databases, retained WAL, lost slots, owners that go, dump and restore, extension updates,
# shutdown with a store that hangs (I1, I3, I5, I7).
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
my $node = TarnTest::cluster('dba', conf => "log_statement = none\ntarn.garbage_grace = 0\nmax_wal_size = 1GB\nautovacuum = off\n");

sub sql
{
	my ($statement, $where) = @_;

	return $node->safe_psql($where || $db, $statement);
}

sub fails
{
	my ($statement, $expected, $what, $where) = @_;
	my ($code, $out, $err) = $node->psql($where || $db, $statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($err, $expected, $what);
}

sub soon
{
	my ($query, $what, $where) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($where || $db, $query), $what)
	  || diag($node->safe_psql($where || $db, 'SELECT name, state, last_error FROM tarn.pipelines'));
}

sub setting
{
	my ($name, $value) = @_;

	sql(defined $value ? "ALTER SYSTEM SET $name = '$value'" : "ALTER SYSTEM RESET $name");
	sql('SELECT pg_reload_conf()');
	usleep(300_000);
	return;
}

sub in_sync
{
	my ($what, $where) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($node, 'p', $where);
	return TarnTest::all_same($node, $what, $where);
}

# How often the log since $offset has a line.
sub logged
{
	my ($offset, $pattern) = @_;
	my $log = substr(slurp_file($node->logfile), $offset);

	return scalar(() = $log =~ /$pattern/g);
}

# WAL that has nothing to do with the pipeline, by another database
sub write_elsewhere
{
	my ($rows) = @_;

	sql("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, $rows); CHECKPOINT", 'elsewhere');
	return;
}

sub pause
{
	sql("SELECT tarn.pause('p')");
	return soon("SELECT pid IS NULL AND state = 'paused' FROM tarn.pipelines", 'paused');
}

my $warehouse = TarnTest::create_lake($node);
sql('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i');
sql('CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u SELECT i, md5(i::text) FROM generate_series(1, 1000) i');
TarnTest::mirror($node, 'p', tables => [ 't', 'u' ], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
in_sync('at the start');

# Counters of a table: what was applied, which a crash neither loses nor counts twice
sub counters
{
	my ($table) = @_;

	return sql("SELECT concat_ws(' ', inserts, updates, deletes, truncates, copies) FROM tarn.tables WHERE \"table\" = '$table'");
}
is(counters('u'), '0 0 0 0 1', 'counters: a copy');
sql("INSERT INTO u SELECT i, 'new' FROM generate_series(1001, 1010) i; UPDATE u SET v = 'x' WHERE id <= 5; DELETE FROM u WHERE id > 1008; BEGIN; INSERT INTO u VALUES (7777, ''); ROLLBACK");
in_sync('changes');
is(counters('u'), '10 5 2 0 1', 'counters: changes');
is(counters('t'), '0 0 0 0 1', 'of another table');
is(sql(q{SELECT files_written >= 2 AND bytes_written > bytes / 2 AND bytes > 0 AND last_flush > last_copy AND last_flush > now() - interval '1 min' FROM tarn.tables WHERE "table" = 'u'}), 't', 'files, bytes and times');
sql("INSERT INTO u VALUES (5000, 'once')");
$node->stop('immediate');
$node->start;
in_sync('after a crash');
is(counters('u'), '11 5 2 0 1', 'counters: a crash');
sql("TRUNCATE u; INSERT INTO u SELECT i, md5(i::text) FROM generate_series(1, 1000) i; SELECT tarn.flush('p'); SELECT tarn.resync('p', 'u')");
$node->poll_query_until($db, q{SELECT copies = 2 AND state = 'live' FROM tarn.tables WHERE "table" = 'u'}) or die 'no resync';
is(counters('u'), '1011 5 2 1 2', 'counters: a truncate, and another copy');
# One after the other: a flush after a resume does not believe that the pipeline is paused still
foreach my $i (1 .. 8)
{
	sql("INSERT INTO t VALUES (-$i, 'again')");
	sql($_) foreach "SELECT tarn.pause('p')", "SELECT tarn.resume('p')", "SELECT tarn.resync('p', 't')", "SELECT tarn.flush('p')";
	is(sql('SELECT min(id) FROM lake.t'), -$i, "pause, resume, resync, flush: $i") if $i % 4 == 0;
}
sql("DELETE FROM t WHERE id < 0; SELECT tarn.flush('p')");
sql('CREATE DATABASE elsewhere');
sql('CREATE TABLE noise (v text)', 'elsewhere');

# Idle: others write WAL, the slot follows, and nothing is written to the lake
my $files = sql('SELECT max(metadata_location) || count(*) FROM tarn_catalog.iceberg_tables');
my $flushes = sql('SELECT flushes FROM tarn.pipelines');
write_elsewhere(20_000);
my $lsn = sql('SELECT pg_current_wal_lsn()');
write_elsewhere(3_000);
soon("SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots", 'idle: the slot is confirmed beyond what others wrote');
# (restart_lsn goes where the snapshot builder left a snapshot, at the records of running transactions before the last)
my $released = 'f';
for (my $i = 0; $i < 60 && $released eq 'f'; $i++)
{
	write_elsewhere(1_500);
	sleep 1;
	$released = sql("SELECT restart_lsn >= '$lsn' FROM pg_replication_slots");
}
is($released, 't', 'and lets go of its WAL');
is(sql('SELECT lsn = (SELECT confirmed_flush_lsn FROM pg_replication_slots) FROM tarn.pipeline'), 't', 'what is confirmed is on record');
is(sql('SELECT max(metadata_location) || count(*) FROM tarn_catalog.iceberg_tables'), $files, 'nothing is written to the lake');
is(sql('SELECT flushes FROM tarn.pipelines'), $flushes, 'and nothing is flushed');
is(sql('SELECT lag_seconds < 2 FROM tarn.pipelines'), 't', 'an idle pipeline has no lag');
my $wal = sql('SELECT pg_current_wal_insert_lsn()');
sleep 12;
cmp_ok(sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$wal')"), '<', 10_000, 'an idle server stays idle');

# Retained WAL: one line in the log when it is too much, one when it is not any more
my $offset = -s $node->logfile;
setting('tarn.wal_alert', '48MB');
is(sql('SELECT wal_alert FROM tarn.pipelines'), 'f', 'no alert below the threshold');
pause();
write_elsewhere(48_000);
is(sql('SELECT wal_alert AND retained_wal_bytes > 48 * 1024 * 1024 FROM tarn.pipelines'), 't', 'the view shows the alert');
ok($node->wait_for_log(qr/replication slot "tarn_\d+_1" of pipeline "p" keeps \d+ MB of WAL/, $offset), 'and the log');
write_elsewhere(5_000);
sleep 11;
is(logged($offset, qr/keeps \d+ MB of WAL/), 1, 'once');
is(sql("SELECT lag_seconds > 5 FROM tarn.pipelines"), 't', 'the lag of a paused pipeline grows');
sql("SELECT tarn.resume('p')");
in_sync('after the alert');
write_elsewhere(3_000);
ok($node->wait_for_log(qr/keeps less WAL than tarn.wal_alert again/, $offset), 'the log says when it is over');
is(sql('SELECT wal_alert FROM tarn.pipelines'), 'f', 'and the view');
setting('tarn.wal_alert', '0');
is(sql('SELECT wal_alert IS NULL FROM tarn.pipelines'), 't', 'the alert can be turned off');
setting('tarn.wal_alert');

# A slot that is lost stops the pipeline, whatever took it; the lake stays readable; resync goes on
my $slot = sql('SELECT slot FROM tarn.pipelines');
sub lost
{
	my ($what, $pattern, @statements) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	pause();
	sql("UPDATE t SET v = 'missed by the slot' WHERE id <= 10; DELETE FROM u WHERE id = (SELECT min(id) FROM u)");
	sql($_) foreach @statements;
	sql("UPDATE t SET v = v || '!' WHERE id <= 20");
	sql("SELECT tarn.resume('p')");
	soon("SELECT state = 'stopped' AND last_error ~ '$pattern' FROM tarn.pipelines", "$what: stopped");
	like(sql('SELECT last_error FROM tarn.pipelines'), qr/run SELECT tarn\.resync\('p'\)/, 'with the command that goes on');
	fails("SELECT tarn.flush('p')", qr/pipeline "p" is stopped/, 'flush says so');
	is(sql('SELECT count(*) FROM lake.t'), '1000', 'the lake stays readable');
	sql("SELECT tarn.resync('p')");
	return in_sync("$what: after the resync");
}
lost('slot dropped', 'does not exist any more', "SELECT pg_drop_replication_slot('$slot')");
lost('slot made anew', 'made anew or moved by somebody else', "SELECT pg_drop_replication_slot('$slot')",
	"SELECT pg_create_logical_replication_slot('$slot', 'tarn')");
lost('slot moved', 'made anew or moved by somebody else', "SELECT pg_replication_slot_advance('$slot', pg_current_wal_lsn())");
setting('max_slot_wal_keep_size', '16MB');
lost('slot invalidated', 'the WAL it needs is gone',
	(map { "CREATE TABLE filler$_ (i int); DROP TABLE filler$_; SELECT pg_switch_wal()" } 1 .. 6), 'CHECKPOINT');
setting('max_slot_wal_keep_size');
pause();
sql("SELECT pg_drop_replication_slot('$slot'); SELECT pg_create_logical_replication_slot('$slot', 'pgoutput')");
sql("SELECT tarn.resync('p')");
soon("SELECT state = 'stopped' AND last_error ~ 'made by somebody else; Drop the slot' FROM tarn.pipelines", "somebody else's slot is not dropped");
is(sql("SELECT plugin FROM pg_replication_slots WHERE slot_name = '$slot'"), 'pgoutput', 'it is there');
sql("SELECT pg_drop_replication_slot('$slot'); SELECT tarn.resume('p')");
in_sync('after the other slot was dropped');

# While a table is copied anew, readers see what it was, and the others go on
setting('tarn.failpoints', 'copy-task=hang');
sql("UPDATE u SET v = 'before the resync'");
TarnTest::flush($node, 'p');
sql("SELECT tarn.resync('p', 'u')");
soon(q{SELECT state = 'copying' AND rows = (SELECT count(*) FROM lake.u) FROM tarn.tables WHERE "table" = 'u'}, 'resync: rows are those that readers see');
setting('tarn.failpoints');
sql("UPDATE u SET v = 'during the resync' WHERE id % 2 = 0; UPDATE t SET v = 'during the resync'");
soon("SELECT count(*) = 1000 FROM lake.t WHERE v = 'during the resync'", 'the others go on');
is(sql("SELECT count(*) FILTER (WHERE v = 'before the resync') = count(*) FROM lake.u"), 't', 'readers see the old state');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'");
in_sync('and then the new one');

# The same of all tables
setting('tarn.failpoints', 'copy-task=hang');
sql("UPDATE t SET v = 'before the resync of all'; UPDATE u SET v = 'before the resync of all'");
TarnTest::flush($node, 'p');
my $copies = sql('SELECT sum(copies) FROM tarn.tables');
sql("SELECT tarn.resync('p'); UPDATE t SET v = 'during the resync of all'; DELETE FROM u WHERE id % 2 = 0");
soon(q{SELECT bool_or(state = 'copying') AND bool_and(state IN ('copy', 'copying')) FROM tarn.tables}, 'every table is copied anew');
is(sql("SELECT count(*) FILTER (WHERE v = 'before the resync of all') = count(*) AND count(*) > 0 FROM lake.$_"), 't', "readers of $_ see the old state") foreach qw(t u);
is(sql('SELECT sum(copies) FROM tarn.tables'), $copies, 'none was replaced by then');
setting('tarn.failpoints');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'");
in_sync('and then the new ones');

# Progress moves on
sql('CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 12000) i');
setting('tarn.failpoints', 'copy-task=hang(3)');
setting('tarn.copy_workers', 1);
TarnTest::mirror($node, 'large', tables => ['large']);
soon(q{SELECT state = 'copying' AND copied_percent BETWEEN 1 AND 60 FROM tarn.tables WHERE "table" = 'large'}, 'a part of a table is copied');
my $percent = sql(q{SELECT copied_percent FROM tarn.tables WHERE "table" = 'large'});
soon(qq{SELECT state = 'copying' AND copied_percent > $percent AND copied_percent < 100 FROM tarn.tables WHERE "table" = 'large'}, "and more than $percent % of it later");
setting($_) foreach qw(tarn.failpoints tarn.copy_workers);
TarnTest::wait_live($node, 'large');
in_sync('and then all of it');
sql("SELECT tarn.drop_pipeline('large', drop_data => true); DROP PUBLICATION large; DROP TABLE large");
soon('SELECT count(*) = 1 FROM pg_replication_slots', 'it is gone');

# A table can be skipped while it is being copied
setting('tarn.failpoints', 'copy-task=hang');
sql("SELECT tarn.resync('p', 'u')");
soon(q{SELECT state = 'copying' FROM tarn.tables WHERE "table" = 'u'}, 'a copy is under way');
sql("SELECT tarn.skip('p', 'u')");
setting('tarn.failpoints');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'");
sql("UPDATE t SET v = 'u is skipped'");
TarnTest::flush($node, 'p');
TarnTest::same($node, 'public.t', 'lake.t', 'skipped during its copy: the others go on');
is(sql(q{SELECT state FROM tarn.tables WHERE "table" = 'u'}), 'skipped', 'and it is left out');
sql("SELECT tarn.resume('p', 'u')");
in_sync('and comes back');

# A transaction that changes a pipeline step by step and a flush: one waits, never each for the other
my $said = '';
my $steps = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), map { ('-c', $_) }
	'BEGIN', "SELECT tarn.resync('p', 'u')", <<'SQL', "SELECT tarn.resync('p')", 'COMMIT' ], '<', \undef, '>&', \$said);
DO $$
DECLARE i int := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP
		PERFORM pg_sleep(0.1);
		i := i + 1;
		ASSERT i < 600, 'no flush came';
	END LOOP;
END $$;
SQL
soon("SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ '^DO'", 'a transaction that has changed one table');
sql("UPDATE t SET v = 'meanwhile'; UPDATE u SET v = 'meanwhile'");
TarnTest::flush($node, 'p');
$steps->finish;
unlike($steps->result(0) . $said, qr|[^0\s]|, 'changes the whole pipeline while a flush waits');
in_sync('after both');

# Owners that go
sql("CREATE ROLE keeper LOGIN REPLICATION; GRANT USAGE ON FOREIGN SERVER lake TO keeper; GRANT SELECT ON t, u TO keeper; GRANT pg_write_server_files TO keeper");
sql("CREATE USER MAPPING FOR keeper SERVER lake " . TarnTest::mapping_options()) if TarnTest::mapping_options();
sql("SELECT tarn.alter_pipeline('p', owner => 'keeper')");
in_sync('under another owner');
is(sql('SELECT usename FROM pg_stat_activity JOIN tarn.pipelines USING (pid)'), 'keeper', 'whose session the worker is');
sql('ALTER ROLE keeper NOLOGIN; SELECT pg_terminate_backend(pid) FROM tarn.pipelines');
soon("SELECT pid IS NULL AND last_error ~ 'not permitted to log in' FROM tarn.pipelines", 'an owner who may not log in is named');
sql("ALTER ROLE keeper LOGIN; UPDATE t SET v = 'back'; SELECT tarn.resume('p')");
in_sync('when it may again');
sql('REVOKE ALL ON FOREIGN SERVER lake FROM keeper; DROP USER MAPPING IF EXISTS FOR keeper SERVER lake; REVOKE ALL ON t, u FROM keeper; DROP ROLE keeper');
sql('SELECT pg_terminate_backend(pid) FROM tarn.pipelines');
soon("SELECT pid IS NULL AND last_error ~ 'does not exist any more' FROM tarn.pipelines", 'an owner who is gone is named');
sql("UPDATE t SET v = 'orphaned'; SELECT tarn.alter_pipeline('p', owner => current_user); SELECT tarn.resume('p')");
in_sync('with a new owner');

# pg_dump and restore: the restored pipeline does nothing until it is taken over
sub restore
{
	my ($where, $what) = @_;
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/dba.dump";

	sql("UPDATE t SET v = 'dumped for $where' WHERE id <= 500; SELECT tarn.skip('p', 'u'); SELECT tarn.set_table_options('p', 't', '{codec=lz4}')");
	TarnTest::flush($node, 'p');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr($db) ], "$what: dump");
	sql("SELECT tarn.resume('p', 'u')");
	sql("CREATE DATABASE $where");
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($where), $dump ], "$what: restore");
	return;
}
restore('restored', 'another database');
sql("INSERT INTO t VALUES (5001, 'in the copy')", 'restored');
TarnTest::create_lake($node, db => 'restored', name => 'lake2', warehouse => TarnTest::warehouse($node, 'lake_q'));
sql('CREATE TABLE public.q (id int PRIMARY KEY)', 'restored');
TarnTest::mirror($node, 'q', db => 'restored', lake => 'lake2', tables => ['q']);
TarnTest::flush($node, 'q', 'restored');
is(sql("SELECT string_agg(name || ':' || state, ' ' ORDER BY name) FROM tarn.pipelines", 'restored'), 'p:disabled q:streaming',
	'restored disabled, beside a new one');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'restored' AND backend_type LIKE 'tarn%'", 'restored'), '1', 'it has no worker');
is(sql('SELECT count(*), max(id) FROM lake.t', 'restored'), sql('SELECT count(*), max(id) FROM lake.t'), 'the lake is read there');
fails("SELECT tarn.flush('p')", qr/made in another database.*It came with a dump.*tarn\.take_over\('p'\)/s, 'flush says what it is', 'restored');
fails("SELECT tarn.resume('p')", qr/made in another database/, 'and resume', 'restored');
fails("SELECT tarn.resync('p')", qr/made in another database/, 'and resync', 'restored');
fails("SELECT tarn.drop_pipeline('p', drop_data => true)", qr/made in another database/, "the original's files are not dropped", 'restored');
in_sync('the original goes on');
sql("ALTER SERVER lake OPTIONS (SET warehouse '" . TarnTest::warehouse($node, 'lake_restored') . "')", 'restored');
sql("SELECT tarn.take_over('p')", 'restored');
sql("INSERT INTO t VALUES (5002, 'after it')", 'restored');
TarnTest::flush($node, 'p', 'restored');
is(sql(q{SELECT string_agg("table" || ':' || state || options::text, ' ' ORDER BY "table") FROM tarn.tables WHERE pipeline = 'p'}, 'restored'),
	't:live{codec=lz4} u:skipped{}', 'taken over, options and skipped tables are kept');
sql("SELECT tarn.resume('p', 'u')", 'restored');
TarnTest::flush($node, 'p', 'restored');
sql("SELECT tarn.drop_pipeline('q')", 'restored');
TarnTest::all_same($node, 'the copy has its own lake', 'restored');
in_sync('and the original its own');
fails("SELECT tarn.take_over('p')", qr/belongs to this database/, 'it cannot be taken over twice', 'restored');
sql('DROP DATABASE restored');
# dropped without drop_data it leaves the original alone
restore('dropped', 'a third database');
sql("SELECT tarn.drop_pipeline('p')", 'dropped');
sql('DROP DATABASE dropped');
in_sync('nothing of it is missed');
TarnTest::files_known($node);

# ALTER EXTENSION UPDATE with a worker running, under load
my $share = `"$ENV{PG_CONFIG}" --sharedir`;
chomp $share;
my %script = (
	'1.0--1.0.1' => 'ALTER TABLE tarn.pipeline ADD COLUMN remark text; ALTER TABLE tarn.pipeline_table ADD COLUMN remark text;',
	'1.0.1--1.1' => 'ALTER TABLE tarn.pipeline DROP COLUMN remark;',
	'1.1--1.0.2' => 'ALTER TABLE tarn.pipeline_table DROP COLUMN remark;');
append_to_file("$share/extension/tarn--$_.sql", $script{$_}) foreach keys %script;
my ($in, $out) = ('', '');
my $load = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db) ], '<', \<<'SQL', '>', \$out, '2>&1');
DO $$ BEGIN FOR i IN 1..4000 LOOP UPDATE t SET v = 'round ' || i WHERE id = i % 1000 + 1; COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$;
SQL
usleep(500_000);
my $pid = sql('SELECT pid FROM tarn.pipelines');
sql("ALTER EXTENSION tarn UPDATE TO '1.0.1'");
TarnTest::flush($node, 'p');
is(sql('SELECT pid FROM tarn.pipelines'), $pid, 'ALTER EXTENSION UPDATE: the worker goes on');
sql("ALTER EXTENSION tarn UPDATE TO '1.1'");
soon("SELECT pid IS NULL AND state = 'backoff' AND last_error ~ 'version 1.1, but the server has loaded the library of version 1.0' FROM tarn.pipelines",
	'an update to another version waits for its library, and says so');
fails("SELECT tarn.resume('p')", qr/version 1\.1, but the server has loaded.*restart the server/s, 'functions say so too');
sql("ALTER EXTENSION tarn UPDATE TO '1.0.2'");
sql("SELECT tarn.resume('p')");
ok($load->finish, 'load') or diag($out);
in_sync('after the updates');
unlink "$share/extension/tarn--$_.sql" foreach keys %script;

# Files of what is dropped are removed after the commit, by a process that hears when it is told to end, and tries again
sub mirrored
{
	my ($name, $lake) = @_;

	sql("CREATE TABLE $name (id int PRIMARY KEY); INSERT INTO $name SELECT generate_series(1, 100)");
	TarnTest::mirror($node, $name, tables => [$name], arguments => "flush_interval => '200 ms'", $lake ? (lake => $lake) : ());
	TarnTest::wait_live($node, $name);
	TarnTest::flush($node, $name);
	return $name;
}

sub files_of
{
	my ($folder) = @_;

	return scalar(grep { -f } glob("$folder/*/*"));
}
my $nothing_left = 'SELECT count(*) = 0 FROM tarn.removal';
my $folder = TarnTest::directory($warehouse) . '/public/' . mirrored('locked');
chmod 0555, "$folder/data" or die "chmod: $!";
$offset = -s $node->logfile;
my $start = time();
fails("SELECT tarn.drop_pipeline('locked', drop_data => true); SET statement_timeout = '500 ms'; SELECT pg_sleep(20)",
	qr/canceling statement due to statement timeout/, 'files that cannot be removed: the session that dropped them goes on, and can be cancelled');
cmp_ok(time() - $start, '<', 15, 'at once');
ok($node->wait_for_log(qr/could not remove the files of what was dropped in lake "lake", and will try again/, $offset), 'the log says so');
sql('CREATE SERVER other FOREIGN DATA WRAPPER tarn OPTIONS (warehouse $$file:///nowhere$$)');
fails('BEGIN; DROP SERVER other; ROLLBACK', qr/WARNING:  files of dropped lake tables are not all removed/, 'and DROP SERVER');
$start = time();
$node->stop;
cmp_ok(time() - $start, '<', 2, 'the server can be stopped');
$node->start;
cmp_ok(files_of($folder), '>', 0, 'they are there');
chmod 0755, "$folder/data" or die "chmod: $!";
soon($nothing_left, 'when they can be removed, they are');
is(files_of($folder), 0, 'all of them');

# Not before the last snapshot that may need them
$folder = TarnTest::directory($warehouse) . '/public/' . mirrored('wanted');
sql('IMPORT FOREIGN SCHEMA public LIMIT TO (wanted) FROM SERVER lake INTO lake');
my $reader = $node->background_psql($db);
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->query_safe('SELECT count(*) FROM lake.wanted'), '100', 'a transaction reads');
sql("SELECT tarn.drop_pipeline('wanted', drop_data => true)");
usleep(500_000);
is($reader->query_safe('SELECT count(*) FROM lake.wanted'), '100', 'a table that is dropped meanwhile');
$reader->query_safe('COMMIT');
$reader->quit;
soon($nothing_left, 'then its files go');
is(files_of($folder), 0, 'all of them');

# Whoever drops the lake right after waits for that
my $quick = TarnTest::directory(TarnTest::create_lake($node, name => 'quick'));
mirrored('brief', 'quick');
sql("SELECT tarn.drop_pipeline('brief', drop_data => true); DROP SERVER quick CASCADE");
is(files_of("$quick/public/brief"), 0, 'DROP SERVER right after drop_data: no file is left');
is_deeply([ glob("$quick/_tarn/*") ], [], 'nor the marker');
sql('DROP FOREIGN TABLE lake.wanted; DROP TABLE locked, wanted, brief; DROP PUBLICATION locked, wanted, brief; DROP SERVER other');

# Shutdown with a store that hangs: S3, whose server is stopped in its tracks
my %s3 = TarnTest::s3_environment();
my ($gateway, $port) = TarnTest::gateway('versitygw_hanging.log', '--keep-alive');
sql("CREATE DATABASE hanging");
sql(<<SQL, 'hanging');
CREATE EXTENSION tarn;
CREATE SERVER lake FOREIGN DATA WRAPPER tarn
	OPTIONS (warehouse 's3://$s3{TARN_TEST_S3_BUCKET}/hanging', endpoint 'http://127.0.0.1:$port', path_style 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER lake
	OPTIONS (access_key_id '$s3{TARN_TEST_S3_ACCESS_KEY}', secret_access_key '$s3{TARN_TEST_S3_SECRET_KEY}');
CREATE TABLE t (id int PRIMARY KEY);
SQL
TarnTest::mirror($node, 'hanging', db => 'hanging', tables => ['t'], arguments => "flush_interval => '100 ms'");
TarnTest::wait_live($node, 'hanging', 'hanging');
foreach my $mode ('fast', 'smart')
{
	TarnTest::flush($node, 'hanging', 'hanging');
	$gateway->signal('STOP');
	sql("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t", 'hanging');
	soon("SELECT state = 'flushing' FROM tarn.pipelines", "$mode: a flush hangs in the store", 'hanging');
	$start = time();
	$node->stop($mode);
	my $took = time() - $start;
	cmp_ok($took, '<', 2, sprintf('%s shutdown with a hanging store: %.2f s', $mode, $took));
	$gateway->signal('CONT');
	$node->start;
}
TarnTest::flush($node, 'hanging', 'hanging');
is(sql("CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake; SELECT count(*) FROM lake.t", 'hanging'), '2', 'nothing is lost');
# a backend that waits for such a store can be cancelled
$gateway->signal('STOP');
fails("SET statement_timeout = '1s'; SELECT count(*) FROM lake.t", qr/canceling statement due to statement timeout/, 'a reader can be cancelled', 'hanging');
# and so can drop_pipeline, which lists what there is; what comes after its commit is not its business
fails("SET statement_timeout = '1s'; SELECT tarn.drop_pipeline('hanging', drop_data => true)", qr/canceling statement due to statement timeout/,
	'drop_pipeline can be cancelled', 'hanging');
$start = time();
sql("SELECT tarn.drop_pipeline('hanging')", 'hanging');
cmp_ok(time() - $start, '<', 2, 'drop_pipeline with a hanging store');
soon("SELECT count(*) = 0 FROM pg_replication_slots WHERE database = 'hanging'", 'the slot goes', 'hanging');
soon("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'tarn remover'", 'the marker waits for the store', 'hanging');
$start = time();
$node->stop;
cmp_ok(time() - $start, '<', 2, 'fast shutdown meanwhile');
$node->start;
$gateway->signal('CONT');
soon($nothing_left, 'and goes', 'hanging');
is_deeply([ glob(TarnTest::directory("s3://$s3{TARN_TEST_S3_BUCKET}/hanging") . '/_tarn/*') ], [], 'there is none');
sql('DROP DATABASE hanging');
$gateway->kill_kill(grace => 5);

in_sync('at the end');
unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP/, 'no process crashed');
$node->stop;
done_testing();
