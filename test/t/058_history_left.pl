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

# --- without the pipeline ---

query("SELECT tarn.drop_pipeline('p')");
is(unlike_moment('gone', '', 2), '0', 'the pipeline is gone as well');
is(unlike_moment('gone', ", until => '$moments[1][0]'", 1), '0', 'at a moment');
is(query("SELECT tarn.rebuild_history('lake', 'public', 'here__history')"), '1', 'a table that is still there');
refused("SET ROLE lake_user; SELECT tarn.rebuild_history('lake', 'public', 'gone__history')", qr/must be owner of foreign server lake/, 'then it is the owner of the lake')
  if $TarnTest::store eq 'file';

# a copy of the database has the catalog, but the files are not its own
query('CREATE DATABASE copied TEMPLATE postgres');
my (undef, undef, $err) = $node->psql('copied', "SELECT tarn.rebuild_history('lake', 'public', 'gone__history')");
like($err, qr/written by another database or server/, 'not in a copy of the database');
TarnTest::files_known($node, 'all files are known');

done_testing();
