# tarn.rollback_lake: a database that was restored to a point in time goes on with its lake without a copy, lake tables go back to an
# earlier position and catch up again, what nothing references goes; and it is refused where that would lose something (I1, I4).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('first', conf => "log_statement = none\ntarn.garbage_grace = 0\nwal_keep_size = 512MB\n");
my $lake = TarnTest::directory(TarnTest::create_lake($node));
my $sequence = 0;

# Changes of all tables that are in the lake afterwards; the position
sub change
{
	my ($server) = @_;
	my $i = ++$sequence;

	$server->safe_psql($db, "INSERT INTO t SELECT g, 'change $i' FROM generate_series(10 * $i, 10 * $i + 9) g; UPDATE t SET v = v || '.' WHERE id % 7 = 0; "
		  . "DELETE FROM t WHERE id % 13 = $i % 13; INSERT INTO u SELECT g FROM generate_series(1, 3) g; "
		  . "INSERT INTO r VALUES ($i, 'r'); UPDATE r SET v = v || '.' WHERE id = $i - 1; INSERT INTO s VALUES ($i, 's')");
	TarnTest::flush($server, 'p');
	# nothing of it is in the mirror
	$server->safe_psql($db, "INSERT INTO r VALUES (-1, 'passes'); DELETE FROM r WHERE id = -1");
	TarnTest::flush($server, 'p');
	return $server->safe_psql($db, 'SELECT committed_lsn FROM tarn.pipelines');
}

sub right
{
	my ($server, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnCrash::flush($server, 'p');
	return TarnTest::all_same($server, $what);
}

# Every change once, and none of a time that was given up
sub histories_right
{
	my ($server, $what) = @_;
	my $columns = '(op text, commit_lsn bigint, sequence bigint) SERVER lake OPTIONS (namespace $$public$$, table_name';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnCrash::flush($server, 'p');
	$server->safe_psql($db, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS h CASCADE; CREATE SCHEMA h; "
		  . join('', map { "CREATE FOREIGN TABLE h.$_ " . ($columns =~ s/\$\$/'/gr) . " '${_}__history'); SELECT tarn.rebuild('$_', NULL::pg_lsn); " } qw(r s))
		  . 'IMPORT FOREIGN SCHEMA public LIMIT TO (r__rebuilt, s__rebuilt) FROM SERVER lake INTO h');
	foreach my $table (qw(r s))
	{
		is($server->safe_psql($db, "SELECT count(*) - count(DISTINCT (commit_lsn, sequence)) FROM h.$table WHERE op IN ('c', 'u', 'd')"), '0', "$what: $table: each change once");
		is(TarnTest::differing($server, "public.$table row_", "h.${table}__rebuilt row_", $db, 'row_::text'), '0', "$what: $table: rebuilt from its history");
	}
	return is($server->safe_psql($db, "SELECT count(*) FROM h.s WHERE op IN ('c', 'r') AND commit_lsn >= (SELECT max(commit_lsn) FROM h.s WHERE op = 'b')"), $server->safe_psql($db, 'SELECT count(*) FROM s'), "$what: no other change");
}

sub refused
{
	my ($server, $arguments, $error, $what) = @_;
	my ($status, $out, $err) = $server->psql($db, "SELECT tarn.rollback_lake($arguments)");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($status, 0, "$what: refused");
	return like($err, $error, "$what: it is said why, and what to do");
}

sub pause
{
	my ($server) = @_;

	$server->safe_psql($db, "SELECT tarn.pause('p')");
	$server->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines') or die 'not paused';
	return;
}

sub copies
{
	my ($server) = @_;

	return scalar(() = slurp_file($server->logfile) =~ /exported logical decoding snapshot/g);
}

# The data directory with all that is in it, and the WAL that came since, up to a position
sub restored
{
	my ($name, $backup, $later, $target) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	mkdir $copy->basedir;
	system_or_bail('cp', '-a', $backup, $copy->data_dir);
	system_or_bail('sh', '-c', "cp '$later'/pg_wal/0* '" . $copy->data_dir . "/pg_wal/'");
	$copy->append_conf('postgresql.conf', 'port = ' . $copy->port . "\nrestore_command = 'false'\nrecovery_target_lsn = '$target'\nrecovery_target_action = promote\n");
	TarnCrash::spew($copy->data_dir . '/recovery.signal', '');
	mkdir $copy->archive_dir;
	mkdir $copy->backup_dir;
	$copy->start;
	$copy->poll_query_until($db, 'SELECT NOT pg_is_in_recovery()') or die 'in recovery';
	return $copy;
}

$node->safe_psql($db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'first' FROM generate_series(1, 9) g; CREATE TABLE u (id int); "
	  . 'CREATE TABLE r (id int PRIMARY KEY, v text); CREATE TABLE s (id int PRIMARY KEY, v text)');
TarnTest::mirror($node, 'p', tables => [qw(t r s)], keyless => ['u'], arguments => "flush_interval => '150 ms'");
TarnTest::wait_live($node, 'p');
$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'r', '{history=true}'); SELECT tarn.set_table_options('p', 's', '{history=only}')");
$node->poll_query_until($db, "SELECT count(*) = 2 FROM tarn.tables WHERE history_table IS NOT NULL AND state = 'live'") or die 'no histories';
change($node);
histories_right($node, 'before');

#
# What is not kept
#
my $early = change($node);
change($node);
refused($node, "'p', '$early'", qr/changes of table public\.t since \S+ are not kept any more.*it was made anew or moved.*HINT:  .*SELECT tarn\.resync\('p', 'public\.t'\)/s, 'the slot has moved on');
refused($node, "'p', '0/1'", qr/lake table "public\.t" has no state at or before 0\/1 any more.*The oldest that has not expired is of.*SELECT tarn\.resync/s, 'a position before the table');
refused($node, "'q'", qr/pipeline "q" does not exist/, 'no such pipeline');
refused($node, "'p', NULL, 'pg_class'", qr/is not mirrored by pipeline "p"/, 'no such table');
refused($node, "NULL", qr/pipeline name must not be null/, 'no pipeline');
my ($status, $out, $err) = $node->psql($db, "BEGIN; SELECT tarn.rollback_lake('p'); COMMIT");
like($err, qr/tarn\.rollback_lake cannot run inside a transaction block/, 'not in a transaction block');
change($node);
right($node, 'the pipeline goes on after each refusal');

#
# A point in time: the database is put back, with its slot, and the lake is ahead of it
#
my $backup = $node->basedir . '/cold';
$node->stop;
system_or_bail('cp', '-a', $node->data_dir, $backup);
$node->start;
my @positions = map { change($node) } 1 .. 4;
pause($node);
my $target = $node->safe_psql($db, 'CREATE TABLE mark (); SELECT pg_current_wal_insert_lsn()');
my $tables = $node->safe_psql($db, 'SELECT count(*) FROM t');
$node->safe_psql($db, "SELECT tarn.resume('p')");
change($node) foreach 1 .. 3;
right($node, 'before: the lake has more');
$node->stop;
my @future = glob("$lake/public/*/*/*");
my $server = restored('restored', $backup, $node->data_dir, $target);
is($server->safe_psql($db, 'SELECT count(*) FROM t'), $tables, 'the database is back');
my $copies = copies($server);

# to an earlier state than the database's
$server->safe_psql($db, "SELECT tarn.rollback_lake('p', '$positions[0]', 't')");
right($server, 'one table goes back, and catches up');
change($server);
right($server, 'and goes on');
histories_right($server, 'another table went back');
is(copies($server), $copies, 'without a copy');
cmp_ok(scalar(grep { !-e } @future), '>', 0, 'what the time that was given up has left in the lake goes');
$server->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($server);
TarnTest::engines($server, [ 'public.t', 'public.u' ], 'other engines');

# to where it is: nothing moves, and what nobody references goes
my $orphan = "$lake/public/t/data/of-a-crash.parquet";
TarnCrash::spew($orphan, 'no Parquet');
my $is = $server->safe_psql($db, 'SELECT string_agg(metadata_location, $$ $$ ORDER BY 1) FROM tarn_catalog.iceberg_tables');
$server->safe_psql($db, "SELECT tarn.rollback_lake('p')");
is($server->safe_psql($db, 'SELECT string_agg(metadata_location, $$ $$ ORDER BY 1) FROM tarn_catalog.iceberg_tables'), $is, 'already there: nothing moves');
$server->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
ok(!-e $orphan, 'a file that nothing references is removed');
change($server);
right($server, 'nothing moved: it goes on');

# a file is lost
pause($server);
my ($file) = grep { !/snap-/ } glob("$lake/public/t/data/*.parquet");
rename $file, "$file.away" or die "$file: $!";
refused($server, "'p'", qr/lake table "public\.t" as of \S+ is not whole any more.*File "\S+parquet" is not there.*SELECT tarn\.resync\('p', 'public\.t'\)/s, 'a file is lost');
rename "$file.away", $file or die "$file: $!";

# without the slot
my $slot = $server->safe_psql($db, 'SELECT slot FROM tarn.pipelines');
$server->safe_psql($db, "SELECT pg_drop_replication_slot('$slot')");
refused($server, "'p'", qr/pipeline "p" cannot go on from where the database is.*replication slot "$slot" does not exist any more.*SELECT tarn\.resync\('p'\)/s, 'without its slot');
$server->safe_psql($db, "SELECT tarn.resync('p')");
TarnTest::wait_live($server, 'p');
right($server, 'resync goes on');

#
# All tables, to before a change of their shape
#
$backup = $node->basedir . '/cold2';
$server->stop;
system_or_bail('cp', '-a', $server->data_dir, $backup);
$server->start;
@positions = map { change($server) } 1 .. 3;
$server->safe_psql($db, "ALTER TABLE t ADD COLUMN w int; UPDATE t SET w = id WHERE id % 2 = 0");
change($server);
pause($server);
$target = $server->safe_psql($db, 'CREATE TABLE mark2 (); SELECT pg_current_wal_insert_lsn()');
$server->safe_psql($db, "SELECT pg_switch_wal()");
$server->stop;
$server = restored('again', $backup, $server->data_dir, $target);
$copies = copies($server);
$server->safe_psql($db, "SELECT tarn.rollback_lake('p', '$positions[1]')");
right($server, 'all tables go back, and follow a change of shape once more');
histories_right($server, 'histories went back with them');
is(copies($server), $copies, 'without a copy');
is(join("\n", TarnCrash::crashes($server)), '', 'no process crashed');
$server->stop;
done_testing();
