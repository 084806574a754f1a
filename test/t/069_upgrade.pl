# pg_upgrade to a newer version: pipelines are disabled there, the lake can be read, tarn.take_over goes on with settings kept, and the
# old server finds the lake taken (I1, I3, I7).  And a dump of the old server in the new one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $newer = $ENV{TARN_NEWER} or plan skip_all => 'there is no newer PostgreSQL to upgrade to';
my $new_bin = qx("$newer" --bindir) =~ s/\s+$//r;
my $db = 'postgres';
my $conf = "log_statement = none\ntarn.garbage_grace = 0\n";
my $old = TarnTest::cluster('old', conf => $conf);
my $old_bin = qx("$ENV{PG_CONFIG}" --bindir) =~ s/\s+$//r;
# 18 makes checksums unless told otherwise, and both must be alike
my $new = TarnTest::cluster('new', install_path => $new_bin =~ s{/bin$}{}r, conf => $conf, start => 0, extra => ['--no-data-checksums']);
# pg_upgrade migrates logical slots from 17 on
my $migrates = $old->pg_version >= 17;
note('from ' . $old->pg_version . ' to ' . $new->pg_version);

sub change
{
	my ($server, $where) = @_;

	$server->safe_psql($where, <<'SQL');
INSERT INTO t SELECT max(id) + g, 'sunny', ARRAY[g, NULL], g, jsonb_build_object('g', g) FROM t, generate_series(1, 50) g GROUP BY g;
UPDATE t SET n = n + 0.10, j = j || '{"changed": true}' WHERE id % 3 = 0;
DELETE FROM t WHERE id % 7 = 0;
INSERT INTO u SELECT coalesce(max(id), 0) + 1, 'u' FROM u;
SQL
	return;
}

sub right
{
	my ($server, $what, $where) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($server, 'p', $where);
	return TarnTest::all_same($server, "$where: $what", $where);
}

sub fails
{
	my ($server, $statement, $expected, $what, $where) = @_;
	my ($code, $out, $err) = $server->psql($where || $db, $statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($err, $expected, $what);
}

sub upgrade
{
	my (@options) = @_;

	return ([ "$new_bin/pg_upgrade", '--no-sync', '-b', $old_bin, '-B', $new_bin, '-d', $old->data_dir, '-D', $new->data_dir,
			'-p', $old->port, '-P', $new->port, '-s', $new->host, @options ]);
}

# Two databases with types of their own, a table that is left out, and one with an option
$old->safe_psql($db, 'CREATE DATABASE second');
my @databases = ($db, 'second');
foreach my $where (@databases)
{
	$old->safe_psql($where, <<'SQL');
CREATE EXTENSION IF NOT EXISTS tarn;
CREATE TYPE weather AS ENUM ('rain', 'sunny');
CREATE DOMAIN amount AS numeric(12,2);
CREATE TABLE t (id int PRIMARY KEY, w weather, a int[], n amount, j jsonb);
INSERT INTO t SELECT g, 'rain', ARRAY[g], g * 1.5, '{"a": [1.0, null]}' FROM generate_series(1, 500) g;
CREATE TABLE u (id int PRIMARY KEY, v text);
CREATE TABLE skipped (id int PRIMARY KEY);
SQL
	TarnTest::create_lake($old, db => $where, warehouse => TarnTest::warehouse($old, "lake_$where"));
	TarnTest::mirror($old, 'p', db => $where, tables => [ 't', 'u', 'skipped' ], arguments => "flush_interval => '321 ms'");
	TarnTest::wait_live($old, 'p', $where);
	$old->safe_psql($where, "SELECT tarn.set_table_options('p', 't', '{codec=lz4}'); SELECT tarn.skip('p', 'skipped')");
	$old->safe_psql($where, "ALTER TABLE t ADD COLUMN later text DEFAULT 'later'");
	change($old, $where);
	TarnTest::flush($old, 'p', $where);
	$old->safe_psql($where, 'CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');
	TarnTest::same($old, 'public.t', 'lake.t', "$where: before", $where, 'id, w, a, n, j::text, later');
}

# A later minor release of the old version may keep what an earlier one of the new version does not know, such as this option
# of every column: pg_upgrade wants a new server that is not older.  When we have none, off with it.
if (system('grep', '-q', 'pg_attver', "$new_bin/postgres") != 0)
{
	$old->safe_psql($_, "UPDATE pg_attribute SET attoptions = NULL WHERE attrelid >= 16384 AND attoptions::text LIKE '{pg_attver=%}'") foreach @databases;
}

# As the notes say: the pipelines are paused, and the slots go where they would be migrated
my %rows;
foreach my $where (@databases)
{
	$old->safe_psql($where, "SELECT tarn.pause('p')");
	$old->poll_query_until($where, 'SELECT pid IS NULL FROM tarn.pipelines');
	$rows{$where} = $old->safe_psql($where, 'SELECT count(*), sum(id), sum(n) FROM lake.t');
	change($old, $where);
}
$old->stop;
if ($migrates)
{
	my ($out, $err) = run_command(upgrade('--check'));

	like($out, qr/logical replication slots that cannot be upgraded/, 'pg_upgrade refuses slots with changes');
	$old->start;
	$old->safe_psql($db, 'SELECT pg_drop_replication_slot(slot) FROM tarn.pipelines');
	# the other one is moved on by hand: it comes along, and is of no use
	$old->safe_psql('second', 'SELECT pg_replication_slot_advance(slot, pg_current_wal_lsn()) FROM tarn.pipelines');
	$old->stop;
}
command_ok(upgrade('--check'), 'pg_upgrade --check');
command_ok(upgrade('--copy'), 'pg_upgrade');

# What the pipelines are afterwards
$new->start;
foreach my $where (@databases)
{
	is($new->safe_psql($where, 'SELECT name, state, pid FROM tarn.pipelines'), 'p|disabled|', "$where: disabled");
	is($new->safe_psql($where, 'SELECT count(*), sum(id), sum(n) FROM lake.t'), $rows{$where}, "$where: the lake is read as it was");
	foreach my $function ('flush', 'resume', 'resync')
	{
		fails($new, "SELECT tarn.$function('p')", qr/was made in another database.*pg_upgrade.*tarn\.take_over\('p'\)/s, "$where: $function names the command", $where);
	}
}
is($new->safe_psql($db, 'SELECT count(*) FROM pg_replication_slots'), $migrates ? 1 : 0, 'slots that came along');
is($new->safe_psql($db, "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tarn' AND backend_type <> 'tarn launcher'"), '0', 'no worker');

# And on
foreach my $where (@databases)
{
	$new->safe_psql($where, "SELECT tarn.take_over('p')");
	$new->poll_query_until($where, "SELECT state = 'streaming' FROM tarn.pipelines") or diag('it does not start');
	change($new, $where);
	TarnTest::flush($new, 'p', $where);
	is($new->safe_psql($where, q{SELECT string_agg("table" || ':' || state || options::text, ' ' ORDER BY "table") FROM tarn.tables}),
		'skipped:skipped{} t:live{codec=lz4} u:live{}', "$where: options and skipped tables are kept");
	is($new->safe_psql($where, 'SELECT flush_interval FROM tarn.pipelines'), '00:00:00.321', "$where: settings are kept");
	$new->safe_psql($where, "SELECT tarn.resume('p', 'skipped')");
	change($new, $where);
	right($new, 'the lake is that of the new server', $where);
	TarnTest::engines($new, [ 'public.t', 'public.u' ], "$where: other engines", db => $where);
	TarnTest::files_known($new, "$where: no file is missing, none is left behind", db => $where);
}
$new->restart;
change($new, $db);
right($new, 'after a restart', $db);

# The old server is started after all: it does not write, and applications go on
$old->start;
foreach my $where (@databases)
{
	$old->safe_psql($where, "SELECT tarn.resume('p')");
	change($old, $where);
	$old->poll_query_until($where, "SELECT state = 'stopped' FROM tarn.pipelines") or diag('not stopped');
	like($old->safe_psql($where, 'SELECT last_error FROM tarn.pipelines'),
		$migrates ? qr/does not exist any more|made anew or moved/ : qr/lake "lake" is written by pipeline "p" of another server/, "$where: the old server stops, and says why");
	change($new, $where);
	right($new, 'the lake stays with the new server', $where);
}

# A dump by the new programs
my $dump = "$PostgreSQL::Test::Utils::tmp_check/old.dump";
command_ok([ "$new_bin/pg_dump", '-Fc', '-f', $dump, $old->connstr($db) ], 'dump of the old server');
$new->safe_psql($db, 'CREATE DATABASE restored');
command_ok([ "$new_bin/pg_restore", '--exit-on-error', '-d', $new->connstr('restored'), $dump ], 'restored in the new one');
is($new->safe_psql('restored', 'SELECT name, state FROM tarn.pipelines'), 'p|disabled', 'disabled');
$new->safe_psql('restored', "ALTER SERVER lake OPTIONS (SET warehouse '" . TarnTest::warehouse($new, 'lake_restored') . "')");
$new->safe_psql('restored', "SELECT tarn.take_over('p')");
change($new, 'restored');
$new->safe_psql('restored', "SELECT tarn.resume('p', 'skipped')");
right($new, 'taken over into a lake of its own', 'restored');
right($new, 'beside the other', $db);
$old->stop;
unlike(slurp_file($_->logfile), qr/PANIC|signal 11|signal 6|TRAP/, $_->name . ': no process crashed') foreach $old, $new;
$new->stop;
done_testing();
