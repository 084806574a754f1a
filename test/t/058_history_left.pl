# What stays in the lake of tables that were dropped or are not mirrored any more: rebuilt from their histories, and removed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('left', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
my $warehouse = TarnTest::create_lake($node);

sub query
{
	return $node->safe_psql($db, $_[0]);
}

sub refused
{
	my ($statement, $message, $what) = @_;
	my (undef, undef, $err) = $node->psql($db, $statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($err, $message, $what);
}

query(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, m mood);
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE gone (id int PRIMARY KEY, v text, m mood, p pair, pr price, tags mood[]);
CREATE TABLE full_gone (x int, m mood);
ALTER TABLE full_gone REPLICA IDENTITY FULL;
CREATE TABLE "Left" (id int PRIMARY KEY, v text);
CREATE TABLE off (id int PRIMARY KEY, v text);
CREATE TABLE here (id int PRIMARY KEY, v text);
INSERT INTO gone SELECT g, 'v' || g, 'sad', ROW(g, 'ok')::pair, g, '{ok}' FROM generate_series(1, 100) g;
INSERT INTO full_gone SELECT g % 5, 'ok'::mood FROM generate_series(1, 20) g;
INSERT INTO "Left" SELECT g, 'v' FROM generate_series(1, 10) g;
INSERT INTO off SELECT g, 'v' FROM generate_series(1, 10) g;
CREATE PUBLICATION p FOR TABLE gone, full_gone, "Left", off, here;
SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '1 h', history => true);
SQL
TarnTest::wait_live($node, 'p');

# Each moment is kept as text, in tables that need no type of the source's.
my %columns = (gone => 'id, v, m::text, p::text, pr::numeric, tags::text', full_gone => 'x, m::text', '"Left"' => '*', off => '*');
my @moments;

sub remember
{
	my $n = @moments;

	query(qq{CREATE TABLE "kept_${n}_} . s/"//gr . qq{" AS SELECT $columns{$_} FROM $_}) foreach keys %columns;
	push @moments, [ split /\|/, query('SELECT pg_current_wal_insert_lsn(), clock_timestamp()') ];
	return;
}

remember();
query(<<'SQL');
UPDATE gone SET m = 'ok', p.a = 0 WHERE id % 3 = 0;
DELETE FROM gone WHERE id % 10 = 0;
UPDATE full_gone SET m = 'sad' WHERE ctid IN (SELECT ctid FROM full_gone WHERE x = 1 LIMIT 2);
UPDATE "Left" SET v = 'w' WHERE id < 5;
UPDATE off SET v = 'w' WHERE id < 5;
SQL
remember();
query(<<'SQL');
ALTER TABLE gone ADD COLUMN more int;
ALTER TABLE gone DROP COLUMN v;
ALTER TABLE gone ADD COLUMN v text;
UPDATE gone SET more = id, v = 'new', id = id + 1000 WHERE id > 90;
DELETE FROM full_gone WHERE x = 2;
INSERT INTO "Left" VALUES (11, 'x');
INSERT INTO off VALUES (11, 'x');
SQL
$columns{gone} = 'id, m::text, p::text, pr::numeric, tags::text, more, v';
remember();
query(<<'SQL');
DROP TABLE gone, full_gone;
DROP DOMAIN price;
DROP TYPE pair;
DROP TYPE mood;
ALTER PUBLICATION p DROP TABLE "Left";
SQL
# options hold for what is decoded from then on
TarnTest::flush($node, 'p');
query(<<'SQL');
SELECT tarn.set_table_options('p', 'off', '{history=false}');
INSERT INTO "Left" VALUES (12, 'not published');
INSERT INTO off VALUES (12, 'without a history');
INSERT INTO here VALUES (1, 'still');
SQL
TarnTest::flush($node, 'p');
$node->poll_query_until($db, "SELECT count(*) = 2 FROM tarn.tables WHERE pipeline = 'p'") or die query('TABLE tarn.tables');
is(query('SELECT string_agg("table", \' \' ORDER BY "table" COLLATE "C") FROM tarn.tables'), 'here off', 'three tables have left the pipeline');

# Rows of a rebuilt lake table that are not those of the moment
sub unlike_moment
{
	my ($table, $until, $moment) = @_;

	query("SELECT tarn.rebuild_history('lake', 'public', '${table}__history'$until)");
	query(qq{SET client_min_messages = error; DROP SCHEMA IF EXISTS rebuilt CASCADE; CREATE SCHEMA rebuilt;
		IMPORT FOREIGN SCHEMA public LIMIT TO ("${table}__rebuilt") FROM SERVER lake INTO rebuilt});
	# composite types that are gone are read as json
	my $pair = $table eq 'gone' ? q{, "row_"."p"->>'a' AS "a", "row_"."p"->>'m' AS "pm"} : '';
	my $names = join ', ', map { qq{"$_"} } grep { !/^(p|tags)$/ } split /\n/, query(
		qq{SELECT attname FROM pg_attribute WHERE attrelid = 'rebuilt."${table}__rebuilt"'::regclass AND attnum > 0 ORDER BY attname});
	my $kept = $table eq 'gone' ? q{, substring(row_.p, '\((\d+),') AS a, substring(row_.p, ',(\w+)\)') AS pm} : '';

	return TarnTest::differing($node, "(SELECT $names$kept FROM \"kept_${moment}_$table\" row_) k", qq{(SELECT $names$pair FROM rebuilt."${table}__rebuilt" row_) r},
		$db, '*');
}

foreach my $table (qw(gone full_gone off))
{
	is(unlike_moment($table, '', 2), '0', "$table: all that its history has");
	is(unlike_moment($table, ", until => '$moments[$_][0]'", $_), '0', "$table: moment $_ by position") foreach 0, 1;
	is(unlike_moment($table, ", until => '$moments[$_][1]'", $_), '0', "$table: moment $_ by time") foreach 0, 1;
	is(unlike_moment($table, ", until => '$moments[0][0]'::pg_lsn", 0), '0', "$table: a position that is no text");
}
is(query(q{SELECT tarn.rebuild_history('lake', 'public', 'Left__history')}), '11', 'a table that left its publication');
is(query(qq{SELECT tarn.rebuild_history('lake', 'public', 'Left__history', timestamptz '$moments[1][1]', 'then')}), '10', 'at an earlier time, by another name');
TarnTest::engines($node, [ [ 'public.off', 'public.off' ] ], 'the mirror goes on');
TarnTest::files_known($node, 'no file of the rebuilds is unknown');

# --- what is refused ---

my $after = query('SELECT pg_current_wal_insert_lsn()');
refused("SELECT tarn.rebuild_history('lake', 'public', 'gone__history', '$after')", qr/does not have the moment.*complete up to.*Leave out "until"/s, 'a moment after its end');
refused("SELECT tarn.rebuild_history('lake', 'public', 'gone__history', now())", qr/does not have the moment.*Leave out "until"/s, 'a time after its end');
refused("SELECT tarn.rebuild_history('lake', 'public', 'gone__history', timestamptz '2020-01-01')", qr/does not have the moment.*begins at/s, 'a time before its beginning');
refused("SELECT tarn.rebuild_history('lake', 'public', 'gone')", qr/lake table "public.gone" is not a history/, 'a mirror');
refused("SELECT tarn.rebuild_history('lake', 'public', 'nope__history')", qr/lake table "public.nope__history" does not exist/, 'no table');
refused("SELECT tarn.rebuild_history('lake', 'public', 'gone__history', lake_table => 'here')", qr/already exists/, 'a table of another source');
refused("SELECT tarn.rebuild_history('nope', 'public', 'gone__history')", qr/server "nope" does not exist/, 'no lake');
refused("BEGIN; SELECT tarn.rebuild_history('lake', 'public', 'gone__history')", qr/tarn.rebuild_history cannot run inside a transaction block/, 'not where it could be rolled back');
refused("SELECT tarn.rebuild('\"Left\"')", qr/has no history.*tarn.rebuild_history/s, 'the other way is told');
is(query("SELECT tarn.rebuild_history('lake', 'public', NULL) IS NULL"), 't', 'null');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'here__history')"), '1', 'a table that is followed');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'here__history', '$after')"), '1', 'up to where the pipeline is');
query('CREATE ROLE other; CREATE ROLE lake_user; GRANT USAGE ON FOREIGN SERVER lake TO lake_user');
refused("SET ROLE other; SELECT tarn.rebuild_history('lake', 'public', 'gone__history')", qr/permission denied for foreign server lake/, 'not without USAGE');
refused("SET ROLE lake_user; SELECT tarn.rebuild_history('lake', 'public', 'gone__history')", qr/must be owner of pipeline "p"/, 'not with USAGE alone')
  if $TarnTest::store eq 'file';

# --- dropped ---

# Lake tables that there are, and how many files lie below a table's folder
sub lake_tables
{
	return query(q{SELECT string_agg(table_name, ' ' ORDER BY table_name COLLATE "C") FROM tarn_catalog.iceberg_tables});
}

sub files_of
{
	my ($table) = @_;

	return scalar grep { -f } glob TarnTest::directory($warehouse) . "/public/$table/{data,metadata}/*";
}

my $tables = lake_tables();
my $written = query("SELECT '{' || string_agg(t, ',' ORDER BY t COLLATE \"C\") || '}' FROM (SELECT unnest(ARRAY[lake_table, history_table]) t FROM tarn.tables) x WHERE t IS NOT NULL");

is($written, '{here,here__history,off}', 'what is written');
foreach my $name (split /,/, $written =~ s/[{}]//gr)
{
	refused("SELECT tarn.drop_lake_table('lake', 'public', '$name')", qr/"public.$name" is written by pipeline "p".*tarn.flush/s, "$name is written");
}
refused("SELECT tarn.drop_lake_table('lake', 'public', 'nope')", qr/does not exist/, 'no table');
refused("SELECT tarn.drop_lake_table('lake', 'other', 'gone')", qr/does not exist/, 'no namespace');
refused("SET ROLE other; SELECT tarn.drop_lake_table('lake', 'public', 'gone')", qr/permission denied for foreign server lake/, 'not without USAGE');
refused("SET ROLE lake_user; SELECT tarn.drop_lake_table('lake', 'public', 'gone')", qr/must be owner of pipeline "p"/, 'not with USAGE alone')
  if $TarnTest::store eq 'file';
query("BEGIN; SELECT tarn.drop_lake_table('lake', 'public', 'gone'); ROLLBACK");
query("BEGIN; SAVEPOINT s; SELECT tarn.drop_lake_table('lake', 'public', 'gone'); ROLLBACK TO s; COMMIT");
is(lake_tables(), $tables, 'nothing has happened');
TarnTest::files_known($node, 'and no file is gone');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'gone__history')"), '90', 'all is there');

isnt(files_of('gone'), 0, 'a mirror of a table that was dropped');
query("SELECT tarn.drop_lake_table('lake', 'public', 'gone')");
refused("BEGIN; SELECT tarn.drop_lake_table('lake', 'public', 'off__history')", qr/cannot run inside a transaction block/, 'a worker is not stopped for so long');
query("SELECT tarn.drop_lake_table('lake', 'public', 'off__history')");
# several, in one transaction
query(q{SELECT count(tarn.drop_lake_table('lake', table_namespace::text, table_name::text)) FROM tarn_catalog.iceberg_tables WHERE table_name IN ('full_gone', 'full_gone__history', 'full_gone__rebuilt', 'then')});
is(lake_tables(), 'Left Left__history Left__rebuilt gone__history gone__rebuilt here here__history here__rebuilt off off__rebuilt', 'dropped');
foreach my $table (qw(gone off__history full_gone full_gone__history full_gone__rebuilt then))
{
	my $deadline = time + 60;

	sleep 1 while files_of($table) && time < $deadline;
	is(files_of($table), 0, "$table: its files go");
}
TarnTest::files_known($node, 'what stays is whole');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'gone__history')"), '90', 'a history without its mirror');
query("INSERT INTO here VALUES (2, 'on'); INSERT INTO off VALUES (13, 'on')");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'the pipeline goes on');

# a history that was dropped begins again
query("SELECT tarn.set_table_options('p', 'off', '{history=true}')");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
is(query("SELECT tarn.rebuild('off', lake_table => 'off_again')"), query('SELECT count(*) FROM off'), 'a history begins again');

# one of its name is published while the old one is dropped
query('CREATE TABLE gone (id int PRIMARY KEY, n int); INSERT INTO gone VALUES (1, 1); ALTER PUBLICATION p ADD TABLE gone');
$node->poll_query_until($db, "SELECT count(*) = 3 AND bool_and(state = 'live') FROM tarn.tables") or die query('TABLE tarn.tables');
refused("SELECT tarn.drop_lake_table('lake', 'public', 'gone__history')", qr/is written by pipeline "p"/, 'a history that is kept again');
is(query("SELECT tarn.rebuild('gone', lake_table => 'gone_again')"), '1', 'of another table');
query("ALTER PUBLICATION p DROP TABLE gone; SELECT tarn.flush('p')");
$node->poll_query_until($db, "SELECT count(*) = 2 FROM tarn.tables") or die;

# --- without the pipeline ---

query("SELECT tarn.drop_pipeline('p')");
is(query("SELECT tarn.rebuild_history('lake', 'public', 'gone__history', lake_table => 'gone_again')"), '1', 'the pipeline is gone as well');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'Left__history')"), '11', 'a table that is there');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'here__history')"), '2', 'a table that is still there');
refused("SET ROLE lake_user; SELECT tarn.rebuild_history('lake', 'public', 'gone__history')", qr/must be owner of foreign server lake/, 'then it is the owner of the lake')
  if $TarnTest::store eq 'file';

# a copy of the database has the catalog, but the files are not its own
query('CREATE DATABASE copied TEMPLATE postgres');
my ($status, undef, $err) = $node->psql('copied', "SELECT tarn.rebuild_history('lake', 'public', 'gone__history')");
like($err, qr/written by another database or server/, 'not in a copy of the database');
TarnTest::files_known($node, 'all files are known');

($status, undef, $err) = $node->psql('copied', "SELECT tarn.drop_lake_table('lake', 'public', 'Left')");
like($err, qr/written by another database or server/, 'nor dropped there');
query(q{SELECT count(tarn.drop_lake_table('lake', table_namespace::text, table_name::text)) FROM tarn_catalog.iceberg_tables});
is(lake_tables(), '', 'all is dropped');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag(query('TABLE tarn.garbage'));
is(join(' ', map { files_of($_) } qw(Left Left__history here off)), '0 0 0 0', 'without a pipeline, too');
TarnTest::files_known($node, 'nothing is left');

done_testing();
