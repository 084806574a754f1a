# Histories: every change of a table as a row of an append-only lake table, beside the mirror or instead of it, and mirrors
# made from them.  TARN_SEED repeats a run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('history', conf => "log_statement = none\nrestart_after_crash = on\n");
TarnTest::create_lake($node);

# Foreign tables over histories: the images have the type of the source's rows.
sub foreign_history
{
	my ($table, $type) = @_;

	$type ||= "public.$table";
	$node->safe_psql($db, <<SQL);
CREATE SCHEMA IF NOT EXISTS h;
DROP FOREIGN TABLE IF EXISTS h.$table;
CREATE FOREIGN TABLE h.$table (op text, commit_lsn bigint, commit_time timestamptz, xid bigint, sequence bigint,
	before $type, after $type, unchanged int[], shape text) SERVER lake OPTIONS (namespace 'public', table_name '${table}__history');
SQL
	return;
}

# --- beside the mirror, and instead of it ---

$node->safe_psql($db, <<'SQL');
CREATE TABLE a (id int PRIMARY KEY, v text, n numeric(10,2), tags text[]);
CREATE TABLE o (id int PRIMARY KEY, v text);
CREATE TABLE f (x int, y text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE plain (id int PRIMARY KEY);
INSERT INTO a SELECT g, 'x' || g, g / 3.0, ARRAY['a', g::text] FROM generate_series(1, 3) g;
INSERT INTO o VALUES (1, 'one');
CREATE PUBLICATION p FOR TABLE a, o, f, plain;
BEGIN;
SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '1 s', history => true);
SELECT tarn.set_table_options('p', 'o', '{history=only}');
SELECT tarn.set_table_options('p', 'plain', '{history=false}');
COMMIT;
SQL
TarnTest::wait_live($node, 'p');
$node->safe_psql($db, <<'SQL');
BEGIN;
INSERT INTO a VALUES (4, 'new', 1.5, NULL);
UPDATE a SET v = 'updated' WHERE id = 2;
UPDATE a SET id = 10 WHERE id = 1;
DELETE FROM a WHERE id = 3;
INSERT INTO o VALUES (2, 'two');
COMMIT;
BEGIN; INSERT INTO a VALUES (99); ROLLBACK;
INSERT INTO f VALUES (1, 'f'), (1, 'f');
UPDATE f SET y = 'g' WHERE x = 1;
TRUNCATE o;
SQL
TarnTest::flush($node, 'p');
is($node->safe_psql($db, 'SELECT "table", lake_table, history_table FROM tarn.tables ORDER BY 1'), <<'EXPECTED' =~ s/\n\z//r,
a|a|a__history
f|f|f__history
o||o__history
plain|plain|
EXPECTED
	'the view tells mirrors from histories');
foreign_history($_) foreach qw(a o f);
is($node->safe_psql($db, "SELECT op, sequence, before, after, xid IS NOT NULL FROM h.a WHERE op NOT IN ('b', 'r') ORDER BY commit_lsn, sequence"),
	<<'EXPECTED' =~ s/\n\z//r, 'each change is a row, what was rolled back is none');
c|1||(4,new,1.50,)|t
u|2||(2,updated,0.67,"{a,2}")|t
u|3|(1,,,)|(10,x1,0.33,"{a,1}")|t
d|4|(3,,,)||t
EXPECTED
is($node->safe_psql($db, "SELECT op, sequence, after FROM h.a WHERE op IN ('b', 'r') ORDER BY commit_lsn, sequence, (after).id"),
	<<'EXPECTED' =~ s/\n\z//r, 'the copy is the base');
b|0|
r|1|(1,x1,0.33,"{a,1}")
r|1|(2,x2,0.67,"{a,2}")
r|1|(3,x3,1.00,"{a,3}")
EXPECTED
is($node->safe_psql($db, 'SELECT op, before, after FROM h.o ORDER BY commit_lsn, sequence'),
	"b||\nr||(1,one)\nc||(2,two)\nt||", 'a history without a mirror, and TRUNCATE is a row');
is($node->safe_psql($db, "SELECT op, before, after FROM h.f WHERE op = 'u' ORDER BY commit_lsn, sequence"),
	"u|(1,f)|(1,g)\nu|(1,f)|(1,g)", 'with the full identity old rows are whole');
is($node->safe_psql($db, "SELECT count(*) FROM tarn_catalog.iceberg_tables WHERE table_name = 'o'"), '0', 'no mirror where none is wanted');
is($node->safe_psql($db, 'SELECT count(DISTINCT (commit_lsn, commit_time, xid)) FROM (SELECT commit_lsn, commit_time, xid FROM h.a WHERE xid > 0
	UNION ALL SELECT commit_lsn, commit_time, xid FROM h.o WHERE op = \'c\') x'), '1', 'changes of one transaction have one position');
TarnTest::engines($node, [ map { [ "h.$_", "public.${_}__history" ] } qw(a o f) ], 'other engines read histories');
TarnTest::engines($node, [qw(public.a public.f public.plain)], 'and the mirrors beside them');
TarnTest::files_known($node);


# --- read by SQL: every change against a log that a trigger of the source keeps ---

my $tables = <<'SQL';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, j jsonb, free numeric, m mood[]);
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE every (id bigint PRIMARY KEY, b boolean, i2 smallint, i4 int, f4 real, f8 double precision, n numeric(20, 4), nz numeric(3, -2),
	free numeric, pr price, t text, vc varchar(9), ch char(5), nm name, c "char", u uuid, d date, ti time, ts timestamp, tz timestamptz,
	iv interval, by bytea, j json, jb jsonb, m mood, o oid, net inet, r int4range, bits varbit(9), x xml,
	"Ünder ""q" text, ia int[], ta text[], ja jsonb[], na numeric[], p pair, pa pair[], out text);
ALTER TABLE every REPLICA IDENTITY FULL, ALTER "out" SET STORAGE EXTERNAL;
CREATE TABLE keyed (id int, g int, v text, "out" text, PRIMARY KEY (id, g));
ALTER TABLE keyed ALTER "out" SET STORAGE EXTERNAL;
CREATE TABLE log (place serial, "table" name, op text, xid bigint, before jsonb, after jsonb);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log ("table", op, xid, before, after)
	VALUES (TG_TABLE_NAME, CASE TG_OP WHEN 'INSERT' THEN 'c' WHEN 'UPDATE' THEN 'u' ELSE 'd' END, pg_current_xact_id()::text::bigint,
		CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
	RETURN NULL;
END
$$;
CREATE PUBLICATION s FOR TABLE every, keyed;
SELECT tarn.create_pipeline('s', lake => 'lake', publications => '{s}', flush_interval => '1 s', history => true);
SQL
$tables =~ s/ x xml,/ x text,/ if !TarnTest::has_xml($node);
$node->safe_psql($db, $tables);
TarnTest::wait_live($node, 's');
$node->safe_psql($db, <<'SQL');
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON every FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON keyed FOR EACH ROW EXECUTE FUNCTION log();
INSERT INTO every (id) VALUES (0);
INSERT INTO every VALUES (1, true, -32768, 2147483647, 0.1, 1e300, 1.5, 99900, 1e-30, -1.10, E'tab\t"\\ é😀', 'v', 'c', 'n', 'x',
	'00000000-0000-0000-0000-00000000000a', '0044-03-15 BC', '23:59:59.999999', '2024-02-29 01:02:03.4', '2024-02-29 01:02:03.456789+05',
	'1 mon -2 days', '\x00ff', '{"b": 1.10, "a":  [1, "é", null]}', '{"a": {"b": [true, 1e3]}, "": ""}', 'ok', 4294967295, '10.0.0.0/8', '[1,5)', B'101',
	'<a>x</a>', 'q', '{1,NULL,3}', '{"",NULL,"a\"b"}', ARRAY['null', '1', '{"x": []}', NULL]::jsonb[], '{1.0,1.00,NaN,NULL}',
	ROW(1, '[1]', 1e40, '{sad,NULL}'), ARRAY[ROW(NULL, '"s"', NULL, '{}'), NULL]::pair[], (SELECT string_agg(md5(x::text), '') FROM generate_series(1, 200) x));
INSERT INTO every (id, f4, f8, free, j, jb) VALUES (2, 'NaN', '-Infinity', 'NaN', '1', 'null'), (3, 'Infinity', '-0', 'Infinity', '"s"', '"s"'),
	(4, 1e-45, 5e-324, 1e1000, 'null', '[]');
UPDATE every SET i4 = i4 - 1, ia = ia || 7 WHERE id < 3;
BEGIN; UPDATE every SET id = id + 100, t = repeat(t, 3); DELETE FROM every WHERE id = 102; COMMIT;
BEGIN; UPDATE every SET t = 'never'; ROLLBACK;
INSERT INTO every SELECT g, g % 2 = 0, g, g, random(), random() * 10.0 ^ (g % 300), random(), NULL, random()::numeric, g, md5(g::text) FROM generate_series(1000, 1300) g;
UPDATE every SET tz = now(), m = 'sad' WHERE id % 3 = 0;
DELETE FROM every WHERE id % 7 = 0;
INSERT INTO keyed SELECT g, 1, 'v', (SELECT string_agg(md5((g * x)::text), '') FROM generate_series(1, 200) x) FROM generate_series(1, 20) g;
UPDATE keyed SET v = 'w' WHERE id % 2 = 0;
UPDATE keyed SET g = 2 WHERE id % 5 = 0;
DELETE FROM keyed WHERE id % 4 = 0;
SQL
TarnTest::flush($node, 's');
my ($status, undef, $warnings) = $node->psql($db, 'CREATE SCHEMA sql; IMPORT FOREIGN SCHEMA public LIMIT TO (every__history, keyed__history) FROM SERVER lake INTO sql');
is("$status|$warnings", '0|', 'histories are imported with all columns');

# How changes of the log and of the history differ, place by place
sub unlike_log
{
	my ($table, $columns) = @_;

	return $node->safe_psql($db, <<SQL);
SELECT count(*) FROM
	(SELECT row_number() OVER (ORDER BY place) AS n, $columns->[0] AS change FROM log WHERE "table" = '$table') l FULL JOIN
	(SELECT row_number() OVER (ORDER BY commit_lsn, sequence) AS n, $columns->[1] AS change FROM sql.${table}__history WHERE op IN ('c', 'u', 'd')) h USING (n)
WHERE l.change IS DISTINCT FROM h.change
SQL
}
my $log = 'jsonb_build_array(op, xid, before, after)';
isnt($node->safe_psql($db, 'SELECT count(*) FROM log'), '0', 'the source has a log');
is(unlike_log('every', [ $log, $log ]), '0', 'every change of every type is what to_jsonb() made of the rows');
$node->safe_psql($db, "ALTER DATABASE $db SET TimeZone = 'America/St_Johns'; ALTER DATABASE $db SET extra_float_digits = -3; ALTER DATABASE $db SET bytea_output = 'escape'");
is($node->safe_psql($db, "SELECT count(*) FROM sql.every__history WHERE op = 'c' AND after->>'f8' <> '' AND (after->>'f8')::float8 NOT IN (SELECT (l.after->>'f8')::float8 FROM log l)"),
	'0', 'floats keep their digits under any settings');
$node->safe_psql($db, "ALTER DATABASE $db RESET ALL");
# nothing of what is not in WAL: the unchanged value, and old rows but for keys that moved
is(unlike_log('keyed', [ "jsonb_build_array(op, xid, CASE WHEN op = 'd' OR before->'g' <> after->'g' THEN before || '{\"v\": null, \"out\": null}' END,"
		  . " after || CASE WHEN op = 'u' THEN '{\"out\": null}'::jsonb ELSE '{}' END)", $log ]), '0', 'keys alone where the identity tells no more');
is($node->safe_psql($db, "SELECT count(*) FROM sql.keyed__history WHERE op = 'u' AND unchanged = '{4}'"),
	$node->safe_psql($db, "SELECT count(*) FROM log WHERE \"table\" = 'keyed' AND op = 'u'"), 'and what stayed as it was is marked');
is($node->safe_psql($db, "SELECT count(*) FROM log l, sql.every__history h, jsonb_populate_record(NULL::every, h.after) this, jsonb_populate_record(NULL::every, l.after) that "
	  . "WHERE l.\"table\" = 'every' AND l.op = 'c' AND h.op = 'c' AND this.id = that.id AND this::text = that::text"),
	$node->safe_psql($db, "SELECT count(*) FROM log WHERE \"table\" = 'every' AND op = 'c'"), 'rows of the source again by jsonb_populate_record');
# the same foreign table after the source has changed
$node->safe_psql($db, <<'SQL');
DROP TRIGGER log ON every;
ALTER TABLE every ADD COLUMN more int;
ALTER TABLE every RENAME t TO tt;
INSERT INTO every (id, more, tt) VALUES (-1, 7, 'new');
SQL
TarnTest::flush($node, 's');
is($node->safe_psql($db, "SELECT after->>'more', after->>'tt', after ? 't' FROM sql.every__history WHERE op = 'c' AND after->>'id' = '-1'"), '7|new|f',
	'a field is there when the column is');
$node->safe_psql($db, "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'");
TarnTest::flush($node, 's');
is($node->safe_psql($db, "SELECT DISTINCT after->>'m' FROM sql.every__history WHERE after->>'id' = '101' AND op = 'u'"), 'ok', 'a label that is gone is still read');
$node->safe_psql($db, "SELECT tarn.drop_pipeline('s', drop_data => true); DROP TABLE every, keyed; DROP TYPE pair");
$node->safe_psql($db, 'DROP SCHEMA sql CASCADE; DROP TYPE mood CASCADE; DROP PUBLICATION s; DROP TABLE log CASCADE; DROP FUNCTION log()');

# --- a mirror of any moment ---

my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
diag("TARN_SEED=$seed");
srand($seed);

$node->safe_psql($db, <<'SQL');
CREATE SCHEMA moments;
CREATE TABLE k (id int PRIMARY KEY, n int, v text, tags text[], gone int);
CREATE TABLE keyless (x int, y text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE parted (id int, g int, v text, PRIMARY KEY (id, g)) PARTITION BY LIST (g);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO k SELECT g, g, repeat('base', g % 7), ARRAY[g::text], g FROM generate_series(1, 200) g;
INSERT INTO keyless SELECT g % 10, 'y' FROM generate_series(1, 50) g;
CREATE PUBLICATION r FOR TABLE k, keyless, parted WITH (publish_via_partition_root = true);
SELECT tarn.create_pipeline('r', lake => 'lake', publications => '{r}', flush_interval => '300 ms', memory_limit => '64MB', history => true);
SQL
TarnTest::wait_live($node, 'r');

# A value out of line now and then
sub text { return int(rand(4)) ? sprintf("'%s'", 'ab' x int(rand(9))) : "(SELECT string_agg(md5((x * " . (1 + int(rand(999))) . ")::text), '') FROM generate_series(1, 120) x)" }

sub change
{
	my ($round) = @_;
	my $id = 1 + int(rand(300));
	my $v = $round >= 6 ? 'w' : 'v';
	my @changes = (
		sub { "INSERT INTO k (id, n, $v) VALUES ($id, 1, " . text() . ") ON CONFLICT (id) DO UPDATE SET n = k.n + 1" },
		sub { "UPDATE k SET n = n + 1 WHERE id % 13 = " . $id % 13 },
		sub { "UPDATE k SET $v = " . text() . " WHERE id = $id" },
		sub { "UPDATE k SET id = id + 1000 WHERE id = $id AND NOT EXISTS (SELECT FROM k o WHERE o.id = $id + 1000)" },
		sub { "DELETE FROM k WHERE id % 31 = " . $id % 31 },
		sub { "INSERT INTO keyless SELECT $id % 10, " . text() . ' FROM generate_series(1, 2)' },
		sub { "UPDATE keyless SET x = x + 1 WHERE ctid IN (SELECT ctid FROM keyless WHERE x = $id % 10 LIMIT 2)" },
		sub { "DELETE FROM keyless WHERE ctid = (SELECT ctid FROM keyless WHERE x = $id % 10 LIMIT 1)" },
		sub { "INSERT INTO parted VALUES ($id, $id % 2, " . text() . ") ON CONFLICT DO NOTHING" },
		sub { "UPDATE parted SET g = 1 - g WHERE id = $id AND NOT EXISTS (SELECT FROM parted o WHERE o.id = $id AND o.g <> parted.g)" },
		sub { "SAVEPOINT s; DELETE FROM k WHERE id < 50; DELETE FROM keyless; ROLLBACK TO s" },
		sub { rand() < 0.1 ? 'TRUNCATE keyless' : 'SELECT 1' },
		sub { rand() < 0.1 ? 'TRUNCATE parted, k' : 'SELECT 1' },
	);

	return $changes[ int(rand(@changes)) ]->();
}

# Followed without a copy, each in a round of its own
my %shapes = (
	3 => 'ALTER TABLE k ADD COLUMN extra int; UPDATE k SET extra = id WHERE id % 2 = 0',
	5 => 'ALTER TABLE k DROP COLUMN gone; ALTER TABLE k ALTER n TYPE bigint; UPDATE k SET n = n + 5000000000 WHERE id % 3 = 0',
	6 => 'ALTER TABLE k RENAME v TO w',
	8 => 'ALTER TABLE k REPLICA IDENTITY FULL',
	9 => 'ALTER TABLE k ADD COLUMN gone text; UPDATE k SET gone = id::text WHERE id % 5 = 0',
	10 => 'ALTER TABLE k REPLICA IDENTITY DEFAULT',
);
my %crashes = (
	2 => sub { TarnCrash::arm($node, 'history-written=kill:1') },
	4 => sub { kill 'KILL', $node->safe_psql($db, "SELECT pid FROM tarn.pipelines WHERE name = 'r' AND pid IS NOT NULL") || 0 },
	7 => sub { TarnCrash::arm($node, 'flush-before-commit=kill:1') },
	11 => sub { TarnCrash::arm($node, 'flush-after-commit=kill:1') },
);
my @tables = qw(k keyless parted);
my @moments;

sub remember_moment
{
	my $n = @moments;

	TarnCrash::patiently($node, "DROP TABLE IF EXISTS moments.${_}_$n; CREATE TABLE moments.${_}_$n AS SELECT * FROM $_") foreach @tables;
	push @moments, [ split /\|/, TarnCrash::patiently($node, 'SELECT pg_current_wal_insert_lsn(), clock_timestamp()') ];
	return;
}

sub rebuilt
{
	my ($table, $until, $moment) = @_;
	my $columns = join ', ', map { "\"$_\"" } split /\n/, $node->safe_psql($db,
		"SELECT attname FROM pg_attribute WHERE attrelid = 'moments.${table}_$moment'::regclass AND attnum > 0 ORDER BY attnum");

	$node->safe_psql($db, "SELECT tarn.rebuild('$table'$until)");
	$node->safe_psql($db, "SET client_min_messages = error; DROP SCHEMA IF EXISTS rebuilt CASCADE; CREATE SCHEMA rebuilt;"
		  . "IMPORT FOREIGN SCHEMA public LIMIT TO (${table}__rebuilt) FROM SERVER lake INTO rebuilt");
	my $row = "ROW($columns)::text";
	return TarnTest::differing($node, "moments.${table}_$moment", "rebuilt.${table}__rebuilt", $db, $row);
}

foreach my $round (0 .. 12)
{
	$crashes{$round}->() if $crashes{$round};
	foreach (1 .. 6)
	{
		my $changes = join ';', map { change($round) } 1 .. 4;

		# the server may be gone for a moment; what did not commit then never happened
		TarnCrash::query($node, "BEGIN; $changes; " . (int(rand(6)) ? 'COMMIT' : 'ROLLBACK'));
	}
	if ($shapes{$round})
	{
		TarnCrash::patiently($node, 'SELECT 1');
		$node->safe_psql($db, $shapes{$round});
	}
	remember_moment();
	TarnCrash::disarm($node);
	TarnCrash::flush($node, 'r') if $round % 3 == 1;
}
# every table has a change at the end
$node->safe_psql($db, "INSERT INTO k (id) VALUES (-1); INSERT INTO keyless VALUES (-1); INSERT INTO parted VALUES (-1, 0)");
remember_moment();
TarnCrash::flush($node, 'r');
TarnTest::all_same($node, 'mirrors are right beside their histories');
is($node->safe_psql($db, "SELECT count(*) FROM tarn.tables WHERE pipeline = 'r' AND copy_reason IS NOT NULL"), '0', 'no table was copied anew');
TarnTest::histories($node, [ map { "public.${_}__history" } @tables ], 'no file of a history went in crashes and changes of shape');
foreach my $table (@tables)
{
	is(rebuilt($table, '', $#moments), '0', "$table: the mirror of now");
	$node->safe_psql($db, "SET client_min_messages = error; DROP SCHEMA IF EXISTS live CASCADE; CREATE SCHEMA live;"
		  . "IMPORT FOREIGN SCHEMA public LIMIT TO ($table) FROM SERVER lake INTO live");
	is(TarnTest::differing($node, "live.$table row_", "rebuilt.${table}__rebuilt row_", $db, 'row_::text'), '0', "$table: equals the mirror that was kept live");
	my $wrong = join ' ', grep { rebuilt($table, ", until => '$moments[$_][0]'" . ($_ % 2 ? '::pg_lsn' : ''), $_) ne '0' } 0 .. $#moments;
	is($wrong, '', "$table: " . @moments . ' moments by position');
	$wrong = join ' ', grep { rebuilt($table, ", until => '$moments[$_][1]'" . ($_ % 8 == 2 ? '::timestamptz' : ''), $_) ne '0' } grep { $_ % 4 == 2 } 0 .. $#moments;
	is($wrong, '', "$table: moments by time");
}
foreign_history($_) foreach qw(keyless parted);
foreign_history('k');
is($node->safe_psql($db, "SELECT count(*) - count(DISTINCT (commit_lsn, sequence)) FROM h.$_ WHERE op <> 'r'"), '0', "$_: no change is there twice")
	foreach @tables;
$node->safe_psql($db, "SELECT tarn.rebuild('$_')") foreach @tables;
TarnTest::engines($node, [ map { [ "public.$_", "public.${_}__rebuilt" ] } @tables ], 'other engines read what was rebuilt');

sub refused
{
	my ($statement, $message, $what) = @_;
	my ($status, $out, $err) = $node->psql($db, $statement);

	return like($err, $message, $what);
}

# a copy anew begins another base; what is before it can still be rebuilt, to the last change, what is between cannot
$node->safe_psql($db, "DROP FOREIGN TABLE h.k; SELECT tarn.alter_pipeline('r', flush_interval => '1 h')");
TarnCrash::flush($node, 'r');
my $flushed = $node->safe_psql($db, 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql($db, <<'SQL');
UPDATE k SET n = n + 3 WHERE id % 2 = 0;
ALTER TABLE k ADD COLUMN more int;
UPDATE k SET more = id WHERE id % 3 = 0;
SQL
remember_moment();
$node->safe_psql($db, <<'SQL');
BEGIN; DELETE FROM k WHERE id % 10 = 0; ALTER TABLE k ADD COLUMN d int DEFAULT 7; UPDATE k SET d = 8 WHERE id % 4 = 0; COMMIT;
SQL
remember_moment();
$node->safe_psql($db, 'UPDATE k SET n = 0 WHERE id % 5 = 0');
remember_moment();
TarnCrash::flush($node, 'r');
foreign_history('k');
isnt($node->safe_psql($db, "SELECT copy_reason FROM tarn.tables WHERE pipeline = 'r' AND \"table\" = 'k'"), '', 'a table that is copied anew');
is(rebuilt('k', '', $#moments), '0', 'a rebuild from the new base');
my ($end, $base) = split /\|/, $node->safe_psql($db, "SELECT '0/0'::pg_lsn + max(commit_lsn) FILTER (WHERE op = 'e'), '0/0'::pg_lsn + max(commit_lsn) FILTER (WHERE op = 'b') FROM h.k");
is($node->safe_psql($db, "SELECT '$end'::pg_lsn >= '$moments[-3][0]', '$end' < '$moments[-2][0]', '$moments[-3][0]'::pg_lsn > '$flushed'"), 't|t|t', 'what was not flushed yet is not lost');
is(rebuilt('k', ", until => '$moments[-3][0]'", $#moments - 2), '0', 'a rebuild of right before the change');
is(rebuilt('k', ", until => '$end'", $#moments - 2), '0', 'and of the end before the new base');
refused("SELECT tarn.rebuild('k', until => '$_')", qr/does not have the moment.*gap from \Q$end\E to \Q$base\E/s, "a moment in the gap: $_")
	# the copy may have begun at the very moment
	foreach split /\n/, $node->safe_psql($db, "SELECT l FROM unnest(ARRAY['$moments[-2][0]', '$end'::pg_lsn + 1, '$base'::pg_lsn - 1]) l WHERE l < '$base'");

# a table without changes was followed, too
$node->safe_psql($db, 'INSERT INTO parted (id, g) VALUES (-2, 1)');
remember_moment();
TarnCrash::flush($node, 'r');
$node->safe_psql($db, "SELECT tarn.resync('r', 'keyless'); DELETE FROM keyless WHERE x = 3");
TarnCrash::flush($node, 'r');
remember_moment();
TarnCrash::flush($node, 'r');
is(rebuilt('keyless', ", until => '$moments[-2][0]'", $#moments - 1), '0', 'a moment after its last change, before a copy');
is(rebuilt('keyless', '', $#moments), '0', 'and the one after');

# one that stops: its history can be asked meanwhile, and goes on with a copy
$node->safe_psql($db, "ALTER TABLE keyless ADD COLUMN day date; INSERT INTO keyless VALUES (1, 'day', '2024-01-01')");
remember_moment();
TarnCrash::flush($node, 'r');
$node->safe_psql($db, "INSERT INTO keyless VALUES (2, 'never', 'infinity')");
TarnCrash::flush($node, 'r');
is($node->safe_psql($db, "SELECT state FROM tarn.tables WHERE pipeline = 'r' AND \"table\" = 'keyless'"), 'stopped', 'a table stops');
is(rebuilt('keyless', ", until => '$moments[-1][0]'", $#moments), '0', 'what it had');
$node->safe_psql($db, "UPDATE keyless SET day = NULL WHERE day = 'infinity'; SELECT tarn.resume('r', 'keyless')");
TarnCrash::flush($node, 'r');
is(rebuilt('keyless', ", until => '$moments[-1][0]'", $#moments), '0', 'and has still');
remember_moment();
TarnCrash::flush($node, 'r');
is(rebuilt('keyless', '', $#moments), '0', 'a copy later');
TarnTest::files_known($node, 'no file of the tables that were left stays unknown');
TarnTest::histories($node, [ map { "public.${_}__history" } @tables ], 'nor in copies and errors');

# a type that widens while more is rebuilt than fits into memory: the first update comes when files have been written, before the change
$node->safe_psql($db, <<'SQL');
SELECT tarn.alter_pipeline('r', memory_limit => '16MB');
CREATE TABLE widened (i int, x numeric(12,2), pad text);
ALTER TABLE widened REPLICA IDENTITY FULL;
ALTER PUBLICATION r ADD TABLE widened;
SQL
$node->poll_query_until($db, "SELECT count(*) > 0 FROM tarn.tables WHERE \"table\" = 'widened' AND state = 'live'") or die 'not live';
$node->safe_psql($db, $_) foreach "INSERT INTO widened SELECT g, g / 7.0, repeat(md5(g::text), 100) FROM generate_series(1, 5000) g",
  "UPDATE widened SET x = x + 1 WHERE i % 100 = 0; INSERT INTO widened SELECT g, g, repeat(md5(g::text), 100) FROM generate_series(20001, 25000) g",
  'ALTER TABLE widened ALTER x TYPE numeric(30,2)',
  "INSERT INTO widened SELECT g, g / 7.0 + 1e15, repeat(md5(g::text), 100) FROM generate_series(5001, 10000) g",
  'UPDATE widened SET x = x + 1 WHERE i % 100 = 0; DELETE FROM widened WHERE i % 100 = 1';
push @tables, 'widened';
remember_moment();
TarnCrash::flush($node, 'r');
is(rebuilt('widened', '', $#moments), '0', 'a type that widened, in a rebuild of more than memory holds');

# a transaction that begins with a change of shape: its rows have the new one
$node->safe_psql($db, $_) foreach "INSERT INTO widened SELECT 0, 0, 'before' FROM generate_series(1, 7)",
  "BEGIN; ALTER TABLE widened ADD COLUMN late int; INSERT INTO widened VALUES (-1, -1, 'in it', 1), (-2, -2, 'in it', 2); COMMIT";
remember_moment();
TarnCrash::flush($node, 'r');
foreign_history('widened');
is($node->safe_psql($db, "SELECT string_agg(op || sequence, ' ' ORDER BY commit_lsn, sequence) FROM h.widened WHERE commit_lsn = (SELECT max(commit_lsn) FROM h.widened)"), 's1 c2 c3', 'a change of shape before its rows');
is(rebuilt('widened', '', $#moments), '0', 'in a rebuild, too');

# --- what is refused ---


my $first = $node->safe_psql($db, "SELECT '0/0'::pg_lsn + min(commit_lsn) FROM h.k WHERE op = 'b'");
refused("SELECT tarn.rebuild('k', until => '$first'::pg_lsn - 1)", qr/does not have the moment.*begins at/s, 'a moment before the beginning');
refused("SELECT tarn.rebuild('k', until => timestamptz '2020-01-01')", qr/does not have the moment/, 'a time before the beginning');
refused("SELECT tarn.rebuild('k', until => 'FFFF/0'::pg_lsn)", qr/complete up to.*tarn.flush/s, 'a moment that the lake has not reached');
refused("SELECT tarn.rebuild('k', until => now() + interval '1 day')", qr/may lack changes/, 'a time to come');
refused("SELECT tarn.rebuild('k', until => timestamptz 'infinity')", qr/must be finite/, 'no time');
refused("SELECT tarn.rebuild('k', until => '0/0'::pg_lsn)", qr/before any history/, 'no position');
refused("SELECT tarn.rebuild('k', until => '0/0')", qr/before any history/, 'the same as text');
refused("SELECT tarn.rebuild('k', until => 'infinity')", qr/must be finite/, 'no time, as text');
refused("SELECT tarn.rebuild('k', until => '$_')", qr{"\Q$_\E".*Give a position of WAL, such as}s, "neither position nor time: $_")
	foreach 'soon', '', '0/', '0/16G', '2026-13-45 12:00', '123456789/0';
is($node->safe_psql($db, "SELECT tarn.rebuild('k', NULL)"), $node->safe_psql($db, 'SELECT count(*) FROM k'), 'a literal that is null: all there is');
refused("SELECT tarn.rebuild('plain')", qr/table public.plain has no history/, 'a table without a history');
refused("SELECT tarn.rebuild('k', lake_table => 'k')", qr/lake table "public.k" already exists/, 'the mirror is not replaced');
refused("SELECT tarn.rebuild('k', lake_table => 'a__history')", qr/already exists/, 'nor a history');
refused("SELECT tarn.rebuild('keyless', lake_table => 'k__rebuilt')", qr/already exists/, 'nor what was made of another table');
refused("SELECT tarn.rebuild('k', lake_table => '')", qr/must not be empty/, 'no name');
refused("BEGIN; SELECT tarn.rebuild('k')", qr/cannot run inside a transaction block/, 'not where it could be rolled back');
refused("CREATE ROLE other; SET ROLE other; SELECT tarn.rebuild('k')", qr/must be owner of pipeline/, 'not for everybody');
refused("SELECT tarn.set_table_options('p', 'a', '{history=maybe}')", qr/history/, 'an unknown mode');
refused("SELECT tarn.create_pipeline('x', 'lake', '{p}', options => '{history=only}', history => true)", qr/more than once/, 'two modes');

# a rebuild that fails leaves nothing
$node->safe_psql($db, "SELECT tarn.rebuild('k', lake_table => 'kept')");
refused("SET tarn.failpoints = 'rebuild-written=error'; SELECT tarn.rebuild('k', lake_table => 'kept')", qr/rebuild-written/, 'a rebuild fails');
refused("SET tarn.failpoints = 'rebuild-written=error'; SELECT tarn.rebuild('k', lake_table => 'never')", qr/rebuild-written/, 'the first of a table fails');
TarnTest::files_known($node, 'nothing of them stays');

# one that is killed leaves files, which the worker removes; but not those of one that runs
sub left_by_rebuilds
{
	return join ' ', map { substr($_, length($node->data_dir) + 1) } glob($node->data_dir . '/pg_tarn/*/-1/*');
}

sub await_nothing_left
{
	my ($what) = @_;
	my $deadline = time + 60;

	sleep 1 while left_by_rebuilds() && time < $deadline;
	return is(left_by_rebuilds(), '', $what);
}

await_nothing_left('nor on disk');
foreach my $name ('kept', 'never')
{
	my ($killed) = $node->psql($db, "SET tarn.failpoints = 'rebuild-written=kill'; SELECT tarn.rebuild('k', lake_table => '$name')");

	isnt($killed, 0, "$name: a rebuild is killed");
	TarnCrash::patiently($node, 'SELECT 1');
	await_nothing_left("$name: the worker removes its index");
	TarnTest::files_known($node, "$name: and its files");
}
# a damaged mark does not stop the worker
my ($marks) = glob($node->data_dir . '/pg_tarn/*/-1');
TarnCrash::spew("$marks/4711.rebuild", '{"lake": "la');
TarnCrash::spew("$marks/4712.rebuild", '{"lake": "lake", "namespace": "public", "name": "k", "location": "x", "token": ""}');
await_nothing_left('marks that cannot be read are taken away');
my ($slow_rows, $slow_error) = ('', '');
my $slow = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db), '-c', "SET tarn.failpoints = 'rebuild-written=hang(6)'",
	'-c', "SELECT tarn.rebuild('k', lake_table => 'slow')" ], '<', \undef, '>', \$slow_rows, '2>', \$slow_error);
$node->poll_query_until($db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ '''slow''' AND pid <> pg_backend_pid()");
sleep 2;
$node->safe_psql($db, 'SELECT pg_terminate_backend(pid) FROM tarn.pipelines WHERE pid IS NOT NULL');
$slow->finish;
is("$slow_rows$slow_error", $node->safe_psql($db, 'SELECT count(*) FROM k') . "\n", 'one that runs is left alone');
await_nothing_left('until it has ended');
is($node->safe_psql($db, "IMPORT FOREIGN SCHEMA public LIMIT TO (slow) FROM SERVER lake INTO h; SELECT count(*) FROM h.slow"), $slow_rows =~ s/\n//r, 'and its rows are there');

# --- on and off ---

$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'plain', '{history=true}')");
TarnTest::wait_live($node, 'p');
$node->safe_psql($db, 'INSERT INTO plain VALUES (1), (2); DELETE FROM plain WHERE id = 1');
TarnTest::flush($node, 'p');
foreign_history('plain');
is($node->safe_psql($db, 'SELECT op, before, after FROM h.plain ORDER BY commit_lsn, sequence'), "b||\nc||(1)\nc||(2)\nd|(1)|", 'a history begun later');
is($node->safe_psql($db, "SELECT tarn.rebuild('plain')"), '1', 'and rebuilt');
$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'plain', '{history=false}'); INSERT INTO plain VALUES (3)");
TarnTest::flush($node, 'p');
$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'plain', '{history=true}')");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
# the row may have been read before the worker heard of the option
like($node->safe_psql($db, "SELECT string_agg(op, '' ORDER BY commit_lsn, sequence) FROM h.plain"), qr/^bccdc?ebrr$/, 'one that was off has a new base');
is($node->safe_psql($db, "SELECT tarn.rebuild('plain')"), '2', 'rebuilt from that');
$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'o', '{history=true}'); INSERT INTO o VALUES (9, 'nine')");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'a mirror beside what was a history alone');
is($node->safe_psql($db, "SELECT tarn.rebuild('o')"), '1', 'and its history goes on');

# an option that changes while the table is copied: what this copy has written goes, and another is made
foreach my $keep ('false', 'true', 'only', 'true')
{
	my $offset = -s $node->logfile;

	TarnCrash::arm($node, 'copy-before-commit=hang(2)');
	$node->safe_psql($db, "SELECT tarn.resync('p', 'f')");
	$node->wait_for_log(qr/"copy-before-commit": hangs/, $offset);
	$node->safe_psql($db, "SELECT tarn.set_table_options('p', 'f', '{history=$keep}')");
	TarnCrash::disarm($node);
	$node->wait_for_log(qr/could not copy table public\.f: its options were changed meanwhile/, $offset);
	TarnTest::wait_live($node, 'p');
	$node->safe_psql($db, "INSERT INTO f VALUES (77, '$keep')");
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, "$keep, given during a copy");
	foreign_history('f');
	is($node->safe_psql($db, "SELECT count(*) FROM h.f WHERE op = 'r' AND commit_lsn = (SELECT max(commit_lsn) FROM h.f WHERE op = 'b')"),
		$node->safe_psql($db, 'SELECT count(*) - 1 FROM f'), "$keep: the history begins with all rows") if $keep ne 'false';
	TarnTest::files_known($node, "$keep: no file is left behind");
}

# what is asked by time reads the files of these days only
like($node->safe_psql($db, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM h.k WHERE commit_time > now() + interval '1 day'"),
	qr/pruned/i, 'files of other days are not read');
TarnTest::histories($node, [ map { "public.${_}__history" } @tables, qw(a f o plain) ], 'histories had files added, never one taken');
TarnTest::files_known($node);
$node->safe_psql($db, "SELECT tarn.drop_pipeline('r', drop_data => true)");
is($node->safe_psql($db, "SELECT count(*) FROM tarn_catalog.iceberg_tables WHERE table_name ~ '^(k|keyless|parted)'"), '0', 'histories and what was made of them go with the data');

done_testing();
