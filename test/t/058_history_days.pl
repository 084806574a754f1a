# Histories over many days: files of one day each, never taken away, and the very time of each commit.
#
# What is applied by replication commits with the time it had at its origin, so an origin is how a test commits at any time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('days', conf => "log_statement = none\ntrack_commit_timestamp = on\nmax_prepared_transactions = 2\n");
my @tables = qw(d wide);
my @histories = map { "public.${_}__history" } @tables;

TarnTest::create_lake($node);
$node->safe_psql($db, <<'SQL');
CREATE TABLE d (id int PRIMARY KEY, v text, n int);
CREATE TABLE wide (id int, pad text);
ALTER TABLE wide REPLICA IDENTITY FULL;
INSERT INTO d SELECT g, 'base', 0 FROM generate_series(1, 10) g;
SELECT pg_replication_origin_create('elsewhere');
CREATE PUBLICATION p FOR TABLE d, wide;
SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '1 h', memory_limit => '16MB', history => true);
SQL
TarnTest::wait_live($node, 'p');

# Statements as transactions of these times, in their order.
sub at_times
{
	my $sql = "SELECT pg_replication_origin_session_setup('elsewhere');";

	while (my ($time, $statements) = splice @_, 0, 2)
	{
		$sql .= "BEGIN; SELECT pg_replication_origin_xact_setup('0/1', '$time'); $statements; COMMIT;";
	}
	$node->safe_psql($db, $sql);
	return;
}

sub query
{
	return $node->safe_psql($db, $_[0]);
}

# Days to come, so that they stand behind that of the base, also when midnight passes meanwhile; in UTC
my @day = split /\n/, query("SELECT to_char((now() AT TIME ZONE 'UTC')::date + 1 + g, 'YYYY-MM-DD') FROM generate_series(0, 12) g");

sub compare
{
	my ($what) = @_;

	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, "$what: mirrors");
	TarnTest::histories($node, \@histories, "$what: files of one day each, and none went");
	query("DROP SCHEMA IF EXISTS h CASCADE; CREATE SCHEMA h; IMPORT FOREIGN SCHEMA public LIMIT TO (d__history, wide__history) FROM SERVER lake INTO h");
	foreach my $table (@tables)
	{
		is(query("SELECT count(*) FROM h.${table}__history WHERE op NOT IN ('b', 'e', 'r') AND"
			  . ' (commit_time <> pg_xact_commit_timestamp(xid::text::xid)) IS NOT false'), '0', "$what: $table has the times of the server's commits");
		is(query("SELECT count(*) FROM h.${table}__history WHERE op IN ('b', 'e', 'r') AND xid IS NOT NULL"), '0', "$what: and what is no change has none");
		query("SELECT tarn.rebuild('$table')");
		query("SET client_min_messages = error; DROP SCHEMA IF EXISTS rebuilt CASCADE; CREATE SCHEMA rebuilt;"
			  . "IMPORT FOREIGN SCHEMA public LIMIT TO (${table}__rebuilt) FROM SERVER lake INTO rebuilt");
		is(TarnTest::differing($node, "$table row_", "rebuilt.${table}__rebuilt row_", $db, 'row_::text'), '0', "$what: $table is rebuilt");
	}
	TarnTest::engines($node, [ map { [ "public.$_", "public.${_}__rebuilt" ] } @tables ], "$what: other engines read what is rebuilt");
	return;
}

# Are these days read from so many files alone, each?
sub pruned
{
	my ($table, $files, @days) = @_;

	foreach my $day (@days)
	{
		my $plan = query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM h.${table}__history "
			  . "WHERE commit_time >= '$day[$day] 00:00+00' AND commit_time < '$day[$day + 1] 00:00+00'");
		my ($all, $pruned) = map { $plan =~ /^ *$_: (\d+)$/m ? $1 : 0 } 'Files', 'Files Pruned';

		is($all - $pruned, $files, "$table: day $day is read from its files alone, of $all") or diag($plan);
	}
	return;
}

# Changes that the history has of each of these days
sub by_day
{
	my ($table, $from, $to) = @_;

	return query("SELECT string_agg(coalesce(n, 0)::text, ' ' ORDER BY day) FROM generate_series($from, $to) day LEFT JOIN"
		  . " (SELECT (commit_time AT TIME ZONE 'UTC')::date - '$day[0]'::date AS day, count(*) AS n FROM h.${table}__history"
		  . " WHERE op IN ('c', 'u', 'd', 't') GROUP BY 1) x USING (day)");
}

# Is the mirror of a moment the table that was kept of it?
sub moment
{
	my ($until, $kept, $what) = @_;

	query("SELECT tarn.rebuild('d', until => timestamptz '$until', lake_table => 'then')");
	query("SET client_min_messages = error; DROP SCHEMA IF EXISTS rebuilt CASCADE; CREATE SCHEMA rebuilt;"
		  . 'IMPORT FOREIGN SCHEMA public LIMIT TO ("then") FROM SERVER lake INTO rebuilt');
	is(TarnTest::differing($node, "$kept row_", 'rebuilt.then row_', $db, 'row_::text'), '0', $what);
	return;
}

# --- one flush, some days ---

compare('the base');
query('CREATE TABLE kept_0 AS SELECT * FROM d');
at_times("$day[1] 23:59:59.999999+00" => "INSERT INTO d VALUES (11, 'last of its day', 1); UPDATE d SET n = 1 WHERE id = 1");
query('CREATE TABLE kept_1 AS SELECT * FROM d');
at_times("$day[2] 00:00:00+00" => "INSERT INTO d VALUES (12, 'first of its day', 2); DELETE FROM d WHERE id = 2");
query('CREATE TABLE kept_2 AS SELECT * FROM d');
at_times(
	"$day[2] 23:00:00-05" => "UPDATE d SET v = 'by UTC the next day' WHERE id = 11",
	"$day[4] 12:00:00+00" => 'SAVEPOINT a; UPDATE d SET n = 4; ROLLBACK TO a; SAVEPOINT b; UPDATE d SET n = 5 WHERE id > 5; RELEASE b',
	"$day[2] 12:00:00+00" => "INSERT INTO d VALUES (13, 'a clock that goes back', 2)",
	"$day[1] 00:00:00+00" => 'UPDATE d SET id = 14 WHERE id = 13',
	"$day[5] 00:00:00+00" => 'DELETE FROM d WHERE id = 3');
TarnTest::flush($node, 'p');
moment("$day[1] 23:59:59.999998+00", 'kept_0', 'before all');
moment("$day[1] 23:59:59.999999+00", 'kept_1', 'the last moment of a day');
moment("$day[2] 00:00:00+00", 'kept_2', 'the first of the next');
query("INSERT INTO d VALUES (15, 'with the time of here', 0)");
query("BEGIN; INSERT INTO d VALUES (16, 'prepared', 0); PREPARE TRANSACTION 'x'");
query("COMMIT PREPARED 'x'");
compare('some days in one flush');
is(by_day('d', 1, 5), '3 3 1 7 1', 'every day has its changes');
pruned('d', 1, 1 .. 5);

# --- transactions that do not fit into memory, between others ---

at_times(
	"$day[5] 23:59:59+00" => "INSERT INTO wide SELECT g, repeat('small', 20) FROM generate_series(1, 100) g; INSERT INTO d VALUES (20, 'd', 5)",
	"$day[6] 00:00:00+00" => 'INSERT INTO wide SELECT g, repeat(md5(g::text), 32) FROM generate_series(101, 40000) g; UPDATE wide SET id = -id WHERE id % 1000 = 0',
	"$day[6] 23:59:59+00" => 'UPDATE d SET n = 6 WHERE id = 20',
	"$day[7] 00:00:00+00" => 'DELETE FROM wide WHERE id % 2 = 0; UPDATE d SET n = 7 WHERE id = 20');
query("BEGIN; INSERT INTO wide SELECT g, repeat(md5(g::text), 32) FROM generate_series(1, 30000) g; ROLLBACK");
compare('more than memory holds');
is(by_day('wide', 5, 8), '100 39940 20000 0', 'every day has its changes');
my $plan = query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM h.wide__history WHERE commit_time = '$day[6] 00:00+00'");
my ($all, $pruned) = map { $plan =~ /^ *$_: (\d+)$/m ? $1 : 0 } 'Files', 'Files Pruned';
cmp_ok($all - $pruned, '>', 1, 'which was written early');
pruned('d', 1, 7);

# the same with an encoder
query("SELECT tarn.alter_pipeline('p', memory_limit => '32MB')");
at_times(
	"$day[8] 23:59:59+00" => 'TRUNCATE wide; INSERT INTO d VALUES (21, $$d$$, 8)',
	"$day[9] 00:00:00+00" => 'INSERT INTO wide SELECT g, repeat(md5(g::text), 32) FROM generate_series(1, 60000) g',
	"$day[10] 00:00:00+00" => 'UPDATE wide SET pad = $$short$$ WHERE id > 100');
compare('with an encoder');
is(by_day('wide', 8, 10), '1 60000 59900', 'every day has its changes');

# --- nothing is taken away, whatever becomes of the table ---

# more than the snapshots that are kept
foreach my $round (1 .. 35)
{
	query("UPDATE d SET n = $round WHERE id % 7 = $round % 7; SELECT tarn.flush('p')");
}
compare('snapshots have expired');
query('ALTER TABLE d ADD COLUMN more int DEFAULT 7; ALTER TABLE d RENAME v TO w; UPDATE d SET more = id WHERE id < 5');
query('ALTER TABLE wide REPLICA IDENTITY DEFAULT; TRUNCATE wide');
compare('another shape');
query("SELECT tarn.resync('p')");
TarnTest::wait_live($node, 'p');
query("INSERT INTO d (id) VALUES (30)");
compare('another base');

# days before the epoch
at_times(
	'1969-12-31 23:59:59.999999+00' => 'INSERT INTO d (id) VALUES (40)',
	'1970-01-01 00:00:00+00' => 'INSERT INTO d (id) VALUES (41)',
	'1969-12-31 00:00:00+00' => 'INSERT INTO d (id) VALUES (42)',
	'1969-12-30 23:59:59.999999+00' => 'INSERT INTO d (id) VALUES (43)',
	'2000-02-29 12:00:00+00' => 'INSERT INTO d (id) VALUES (44)');
compare('days long past');
TarnTest::files_known($node);

done_testing();
