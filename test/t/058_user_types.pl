# Composite types, enums and domains that change while tables of them are mirrored: the source, the foreign tables,
# PyIceberg and DuckDB agree after each (I1, I2, I6), whether a row follows or not.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('user_types', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
my $warehouse = TarnTest::create_lake($node);

sub sql
{
	return $node->safe_psql($db, join(";\n", @_));
}

# Why a table was copied anew, each time.
sub copies
{
	my ($table) = @_;

	return slurp_file($node->logfile) =~ /LOG:  table \S*\b$table of pipeline \S+ is copied anew: (.*)/g;
}

# The fields of the struct in a column: "id:name ...".
sub parts
{
	my ($table, $column) = @_;

	return sql(<<SQL);
SELECT string_agg(format('%s:%s', p->>'id', p->>'name'), ' ' ORDER BY i.n, p.n)
FROM ${\ TarnTest::lake_fields($warehouse)} i,
	LATERAL jsonb_array_elements(coalesce(f->'type'->'fields', f->'type'->'element'->'fields')) WITH ORDINALITY p(p, n)
WHERE i.table_namespace = 'public' AND i.table_name = '$table' AND f->>'name' = '$column'
SQL
}

my %copied;

# Flushes, imports the tables anew and compares them everywhere; none was copied anew but those in `copied`.
sub agree
{
	my ($what, $tables, %options) = @_;
	my $different = '';

	TarnTest::flush($node, 'p');
	sql('SET client_min_messages = warning', 'DROP SCHEMA IF EXISTS lake CASCADE', 'CREATE SCHEMA lake',
		'IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');
	$copied{$_}++ foreach @{ $options{copied} || [] };
	foreach my $table (@$tables)
	{
		my ($state, $error) = split /\|/, sql("SELECT state, coalesce(error, '') FROM tarn.tables WHERE \"table\" = '$table'"), 2;
		my $n = $state eq 'live' ? TarnTest::differing($node, "public.$table t", "lake.$table t", $db, 't::text') : "$state $error";
		my @copies = copies($table);

		$different .= "$table: $n; " if $n ne '0';
		$different .= "$table: copied " . join(', ', @copies) . '; ' if @copies != ($copied{$table} || 0);
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($different, '', $what);
	TarnTest::engines($node, [ map { "public.$_" } @$tables ], "$what: other engines") if !$options{no_engines};
	return;
}

sql(<<'SQL');
CREATE SCHEMA types;
CREATE TYPE types.pair AS (a int, b text);
CREATE TYPE types.outside AS (n int, p types.pair, l types.pair[]);
CREATE DOMAIN types.a_pair AS types.pair;
CREATE TABLE parent (x int, y date);
CREATE TABLE c_plain (k int PRIMARY KEY, v types.pair, w int);
CREATE TABLE c_list (k int PRIMARY KEY, v types.pair[]);
CREATE TABLE c_deep (k int PRIMARY KEY, v types.outside);
CREATE TABLE c_domain (k int PRIMARY KEY, v types.a_pair);
CREATE TABLE c_row (k int PRIMARY KEY, v parent);
CREATE TABLE c_toast (k int PRIMARY KEY, n int, v types.pair);
ALTER TABLE c_toast ALTER v SET STORAGE EXTERNAL;
CREATE TABLE c_key (v types.pair PRIMARY KEY, w int);
CREATE TABLE c_full (v types.pair, w int);
ALTER TABLE c_full REPLICA IDENTITY FULL;
CREATE TABLE beside (k int PRIMARY KEY, v text);
INSERT INTO c_plain SELECT g, ROW(g, 'b' || g)::types.pair, g FROM generate_series(1, 50) g;
INSERT INTO c_plain VALUES (100, NULL, 1), (101, ROW(NULL, NULL)::types.pair, 2);
INSERT INTO c_list SELECT g, ARRAY[ROW(g, 'x')::types.pair, NULL, ROW(NULL, NULL)::types.pair] FROM generate_series(1, 20) g;
INSERT INTO c_list VALUES (100, '{}'), (101, NULL);
INSERT INTO c_deep SELECT g, ROW(g, ROW(g, 'in')::types.pair, ARRAY[ROW(g, 'l')::types.pair])::types.outside FROM generate_series(1, 20) g;
INSERT INTO c_deep VALUES (100, ROW(1, NULL, NULL)::types.outside);
INSERT INTO c_domain SELECT g, ROW(g, 'd')::types.pair FROM generate_series(1, 20) g;
INSERT INTO c_row SELECT g, ROW(g, '2024-01-01')::parent FROM generate_series(1, 20) g;
INSERT INTO c_toast SELECT g, 0, ROW(g, (SELECT string_agg(md5((g * x)::text), '') FROM generate_series(1, 400) x))::types.pair FROM generate_series(1, 20) g;
INSERT INTO c_key SELECT ROW(g, 'k')::types.pair, g FROM generate_series(1, 20) g;
INSERT INTO c_full SELECT ROW(g % 3, 'f')::types.pair, g % 2 FROM generate_series(1, 20) g;
INSERT INTO beside SELECT g, 'b' FROM generate_series(1, 10) g;
SQL
my @composite = qw(c_plain c_list c_deep c_domain c_toast c_key c_full);

TarnTest::mirror($node, 'p', tables => [ @composite, 'c_row', 'beside' ], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
agree('copied', [ @composite, 'c_row' ]);
is(parts('c_plain', 'v'), '4:a 5:b', 'fields of the struct');

# Composite types
sql('ALTER TYPE types.pair ADD ATTRIBUTE c int');
agree('an attribute is added, and no row follows', \@composite, copied => [qw(c_key c_full)]);
is(parts('c_plain', 'v'), '4:a 5:b 6:c', 'it is a field more');
is((copies('c_key'))[0], 'the type types.pair of column "v" changed', 'in a key it is another key');
my $rows = <<'SQL';
INSERT INTO c_plain SELECT k + 1000, v, w FROM c_plain WHERE k < 10; UPDATE c_plain SET v.a = -1 WHERE k = 3; UPDATE c_plain SET w = 7 WHERE k BETWEEN 5 AND 9; DELETE FROM c_plain WHERE k = 11;
UPDATE c_list SET v = v || v WHERE k % 3 = 0; DELETE FROM c_list WHERE k = 7; UPDATE c_deep SET v.n = 9, v.p.a = 3 WHERE k % 4 = 0;
UPDATE c_deep SET v.l = (v).l || (v).p WHERE k % 5 = 0; UPDATE c_domain SET k = -k WHERE k % 2 = 0; UPDATE c_toast SET n = n + 1; UPDATE c_key SET w = w + 1 WHERE w % 2 = 0;
DELETE FROM c_key WHERE w = 5; DELETE FROM c_full WHERE ctid = (SELECT min(ctid) FROM c_full); UPDATE c_full SET w = w + 1 WHERE ctid = (SELECT max(ctid) FROM c_full)
SQL
sql($rows, 'UPDATE c_plain SET v.c = k WHERE k % 4 = 0', "UPDATE c_toast SET v.c = 5 WHERE k % 4 = 0", "INSERT INTO c_domain VALUES (500, ROW(1, 'x', 2)::types.pair)");
agree('rows of the new shape', \@composite);
sql('ALTER TYPE types.pair RENAME ATTRIBUTE b TO bb');
agree('an attribute is renamed', \@composite, no_engines => 1);
is(parts('c_list', 'v'), '4:a 5:bb 6:c', 'the field goes on');
sql($rows =~ s/DELETE[^;]*;?//gr =~ s/\+ 1000/+ 2000/r);
agree('rows after it', \@composite);
sql('ALTER TYPE types.pair DROP ATTRIBUTE a', 'UPDATE c_toast SET n = n + 1');
agree('an attribute is dropped', \@composite, copied => [qw(c_key c_full)]);
is(parts('c_plain', 'v'), '5:bb 6:c', 'the field goes');
sql('ALTER TYPE types.pair ADD ATTRIBUTE a int', 'UPDATE c_plain SET v.a = w WHERE k % 5 = 0');
agree('and added again it is another one', \@composite, copied => [qw(c_key c_full)]);
is(parts('c_plain', 'v'), '5:bb 6:c 7:a', 'with an id of its own');
sql('BEGIN', 'UPDATE c_plain SET v.c = 8 WHERE k = 21', 'ALTER TYPE types.pair DROP ATTRIBUTE c', 'ALTER TYPE types.pair ADD ATTRIBUTE c int',
	'UPDATE c_plain SET v.c = 9 WHERE k = 22', "INSERT INTO c_list VALUES (300, ARRAY[ROW('bb', 1, 2)::types.pair])",
	'ALTER TYPE types.pair ADD ATTRIBUTE d timestamptz', 'UPDATE c_toast SET n = 5 WHERE k < 9', "UPDATE c_deep SET v.p.d = '2024-01-01' WHERE k < 9", 'COMMIT');
agree('of the same name and type, within a transaction, between rows', \@composite, copied => [qw(c_key c_full)]);
is(parts('c_plain', 'v'), '5:bb 7:a 8:c 9:d', 'fields never come back');
sql('BEGIN', 'ALTER TYPE types.pair ADD ATTRIBUTE undone int', 'UPDATE c_plain SET v.undone = 1', 'ROLLBACK', 'BEGIN', 'UPDATE c_plain SET w = 3 WHERE k = 30',
	'SAVEPOINT s', 'ALTER TYPE types.pair DROP ATTRIBUTE d', 'UPDATE c_plain SET w = 4', 'ROLLBACK TO s', 'UPDATE c_plain SET v.d = now() WHERE k = 31', 'COMMIT');
agree('what was rolled back did not happen', \@composite, no_engines => 1);
sql('ALTER TYPE types.outside DROP ATTRIBUTE n', 'ALTER TYPE types.outside ADD ATTRIBUTE m types.pair', "UPDATE c_deep SET v.m = ROW('m', 1, 2, NULL)::types.pair WHERE k < 5");
agree('a struct in a struct', ['c_deep']);
sql('ALTER TABLE parent ADD COLUMN z text', 'ALTER TABLE parent RENAME x TO xx', 'INSERT INTO c_row VALUES (100, ROW(1, now(), 5)::parent)', 'ALTER TABLE parent DROP COLUMN y');
agree("a table's row type", ['c_row']);
sql('ALTER TYPE types.pair DROP ATTRIBUTE bb, DROP ATTRIBUTE a, DROP ATTRIBUTE c', 'INSERT INTO c_plain VALUES (5000, ROW(now())::types.pair, 1)');
agree('nothing is left of what older files have', \@composite, copied => \@composite);

# Without the event triggers the next row tells
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ DISABLE" } qw(command drop rewrite));
sql('ALTER TYPE types.pair ADD ATTRIBUTE e text', "UPDATE c_plain SET v.e = 'e' WHERE k < 20", "UPDATE c_toast SET n = n + 1 WHERE k < 5", "UPDATE c_list SET v = v || ROW(NULL, 'e')::types.pair WHERE k = 1");
agree('untold', [qw(c_plain c_toast c_list)]);
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ ENABLE ALWAYS" } qw(command drop rewrite));

# Composite types that are text in the lake: as an option says, and in the bounds of ranges
sql(<<'SQL');
CREATE TYPE types.part AS (a int, b text);
CREATE TYPE types.span AS RANGE (subtype = types.part);
CREATE TYPE types.spanned AS (n int, s types.span);
CREATE TABLE s_plain (k int PRIMARY KEY, v types.part);
CREATE TABLE s_list (k int PRIMARY KEY, v types.part[]);
CREATE TABLE s_range (k int PRIMARY KEY, v types.span);
CREATE TABLE s_multi (k int PRIMARY KEY, v types.span_multirange);
CREATE TABLE s_struct (k int PRIMARY KEY, v types.spanned);
CREATE TABLE s_ranges (k int PRIMARY KEY, v types.span[]);
CREATE TABLE s_key (v types.span PRIMARY KEY, k int);
INSERT INTO s_plain SELECT g, ROW(g, 'x')::types.part FROM generate_series(1, 20) g;
INSERT INTO s_list SELECT k, ARRAY[v, NULL] FROM s_plain; INSERT INTO s_range SELECT k, types.span(v, NULL) FROM s_plain;
INSERT INTO s_multi SELECT k, types.span_multirange(v) FROM s_range; INSERT INTO s_struct SELECT k, ROW(k, v)::types.spanned FROM s_range;
INSERT INTO s_ranges SELECT k, ARRAY[v] FROM s_range; INSERT INTO s_key SELECT v, k FROM s_range;
ALTER PUBLICATION p ADD TABLE s_plain, s_list, s_range, s_multi, s_struct, s_ranges, s_key;
SQL
my @texts = qw(s_plain s_list s_range s_multi s_struct s_ranges s_key);
$node->poll_query_until($db, q(SELECT count(*) = 7 FROM tarn.tables WHERE "table" ~ '^s_' AND state = 'live')) or die 'texts are not copied';
sql(map { "SELECT tarn.set_table_options('p', '$_', '{column.v=string}')" } qw(s_plain s_list));
agree('composite types as text', \@texts, copied => [qw(s_plain s_list)]);
sql('ALTER TYPE types.part ADD ATTRIBUTE c int');
agree('an attribute is added, and no row follows', \@texts, copied => \@texts);
is((copies('s_struct'))[0], 'the type types.part of column "v" changed', 'the log says why');
sql('ALTER TYPE types.part RENAME ATTRIBUTE b TO bb');
agree('names are not in the text', \@texts);
sql('BEGIN', "UPDATE s_plain SET v.c = 1 WHERE k < 5", "DELETE FROM s_key WHERE k = 3", 'ALTER TYPE types.part DROP ATTRIBUTE a', 'ALTER TYPE types.part ADD ATTRIBUTE a int',
	"UPDATE s_list SET v = v || v WHERE k < 5", "UPDATE s_struct SET v.n = 0 WHERE k = 7", 'COMMIT');
agree('dropped and added again, between rows', \@texts, copied => \@texts);
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ DISABLE" } qw(command drop rewrite));
sql('ALTER TYPE types.part ADD ATTRIBUTE d text', map { "UPDATE $_ SET k = k + 100 WHERE k = 9" } @texts);
agree('without the event triggers the next row tells', \@texts, copied => \@texts);
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ ENABLE ALWAYS" } qw(command drop rewrite));

# Enums: their labels are text in the lake
sql(<<'SQL');
CREATE TYPE types.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN types.a_mood AS types.mood;
CREATE TYPE types.moody AS (m types.mood, n int);
CREATE TYPE types.moods AS RANGE (subtype = types.mood);
CREATE TABLE e_plain (k int PRIMARY KEY, m types.mood);
CREATE TABLE e_list (k int PRIMARY KEY, m types.mood[]);
CREATE TABLE e_domain (k int PRIMARY KEY, m types.a_mood);
CREATE TABLE e_struct (k int PRIMARY KEY, m types.moody);
CREATE TABLE e_range (k int PRIMARY KEY, m types.moods);
CREATE TABLE e_key (m types.mood PRIMARY KEY, n int);
CREATE TABLE e_full (m types.mood);
ALTER TABLE e_full REPLICA IDENTITY FULL;
INSERT INTO e_plain SELECT g, (ARRAY['sad', 'ok', 'happy'])[g % 3 + 1]::types.mood FROM generate_series(1, 30) g;
INSERT INTO e_list SELECT k, ARRAY[m, NULL] FROM e_plain; INSERT INTO e_domain SELECT k, m FROM e_plain; INSERT INTO e_struct SELECT k, ROW(m, k)::types.moody FROM e_plain;
INSERT INTO e_range SELECT k, types.moods('sad', m) FROM e_plain; INSERT INTO e_key SELECT DISTINCT ON (m) m, k FROM e_plain; INSERT INTO e_full SELECT m FROM e_plain;
ALTER PUBLICATION p ADD TABLE e_plain, e_list, e_domain, e_struct, e_range, e_key, e_full;
SQL
my @enums = qw(e_plain e_list e_domain e_struct e_range e_key e_full);
$node->poll_query_until($db, q(SELECT count(*) = 7 FROM tarn.tables WHERE "table" ~ '^e_' AND state = 'live')) or die 'enums are not copied';
agree('enums', \@enums, no_engines => 1);
sql("ALTER TYPE types.mood ADD VALUE 'new' BEFORE 'ok'");
sql("UPDATE e_plain SET m = 'new' WHERE k % 5 = 0; INSERT INTO e_key VALUES ('new', 1); UPDATE e_list SET m = m || 'new'::types.mood WHERE k < 5");
agree('a value is added', \@enums, no_engines => 1);
sql("INSERT INTO beside VALUES (20, 'goes on')", 'BEGIN', "DELETE FROM e_plain WHERE k = 1", "DELETE FROM e_full WHERE m = 'sad'", "ALTER TYPE types.mood RENAME VALUE 'ok' TO 'fine'",
	"UPDATE e_plain SET m = 'fine' WHERE k = 2", "UPDATE e_key SET n = -1 WHERE m = 'fine'", "DELETE FROM e_full WHERE m = 'fine'", 'COMMIT');
agree('a value is renamed: rows that were there are, too', [ @enums, 'beside' ], copied => \@enums);
is((copies('e_struct'))[0], 'a label of type types.mood of column "m" was renamed', 'the log says why');
is(sql(q(SELECT DISTINCT copy_reason FROM tarn.tables WHERE "table" ~ '^e_')), 'a label of type types.mood of column "m" was renamed', 'and the view');
sql("ALTER TYPE types.mood RENAME VALUE 'new' TO 'newest'");
agree('and no row follows', [ @enums, 'beside' ], copied => \@enums, no_engines => 1);
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ DISABLE" } qw(command drop rewrite));
sql("ALTER TYPE types.mood RENAME VALUE 'sad' TO 'blue'", 'DELETE FROM e_plain WHERE k = 9');
agree('without the event triggers the next row tells', ['e_plain'], copied => ['e_plain'], no_engines => 1);
sql(map { "ALTER EVENT TRIGGER tarn_note_$_ ENABLE ALWAYS" } qw(command drop rewrite));
sql("ALTER TYPE types.mood ADD VALUE 'last'");
agree('and the next command tells of the others', [ @enums, @composite ], copied => [ qw(c_key c_full), grep { $_ ne 'e_plain' } @enums ], no_engines => 1);

# Names of types and of their schemas; what domains allow
sql('ALTER TYPE types.mood RENAME TO temper', 'ALTER TYPE types.pair RENAME TO twosome', 'ALTER DOMAIN types.a_mood RENAME TO a_temper', 'ALTER DOMAIN types.a_pair SET SCHEMA public',
	'ALTER TYPE types.moods SET SCHEMA public', 'ALTER TYPE types.outside OWNER TO CURRENT_USER');
agree('types are renamed and moved', [ @composite, @enums ]);
sql('ALTER SCHEMA types RENAME TO kinds', "UPDATE e_plain SET m = 'last' WHERE k = 3", "UPDATE c_plain SET w = w + 1 WHERE k < 5");
agree('their schema is renamed', [ @composite, @enums ], no_engines => 1);
is(sql(q(SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'lake.e_plain'::regclass AND attname = 'm')), 'kinds.temper', 'foreign tables are imported with them');
sql("ALTER DOMAIN kinds.a_temper SET NOT NULL", "ALTER DOMAIN kinds.a_temper SET DEFAULT 'last'", "ALTER DOMAIN kinds.a_temper ADD CONSTRAINT one CHECK (VALUE <> 'blue') NOT VALID", 'INSERT INTO e_domain (k) VALUES (500)');
agree('a domain gets constraints', ['e_domain'], no_engines => 1);
sql('ALTER TABLE e_domain ALTER m TYPE kinds.temper');
agree('from a domain to its base type', ['e_domain'], no_engines => 1);
sql('ALTER TABLE e_domain ALTER m TYPE text');
agree('from an enum to text', ['e_domain'], copied => ['e_domain'], no_engines => 1);
sql("CREATE TYPE kinds.other AS (e text)", "ALTER TABLE c_plain ALTER v TYPE kinds.other USING ROW('o')::kinds.other");
agree('to another composite type', ['c_plain'], copied => ['c_plain'], no_engines => 1);

# While a copy is under way
foreach my $change ("ALTER TYPE kinds.twosome ADD ATTRIBUTE late int", "ALTER TYPE kinds.temper RENAME VALUE 'last' TO 'ultimate'")
{
	my @tables = $change =~ /twosome/ ? qw(c_list c_deep) : qw(e_plain e_list);
	my $before = join(',', map { scalar(my @c = copies($_)) } @tables);

	sql("ALTER SYSTEM SET tarn.failpoints = 'copy-task=hang'", 'SELECT pg_reload_conf()');
	usleep(300_000);
	sql(map { "SELECT tarn.resync('p', '$_')" } @tables);
	$node->poll_query_until($db, qq(SELECT count(*) = 2 FROM tarn.tables WHERE "table" IN ('$tables[0]', '$tables[1]') AND state = 'copying')) or die 'no copy';
	sql($change);
	sql('ALTER SYSTEM RESET tarn.failpoints', 'SELECT pg_reload_conf()');
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'");
	TarnTest::flush($node, 'p');
	$copied{$_} = () = copies($_) foreach @tables, @enums, @composite;
	agree("during a copy: $change", \@tables, no_engines => 1);
}

# Rows from the time of the old shape, and a worker that begins anew
sql("SELECT tarn.pause('p')");
$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines') or die;
sql('UPDATE c_deep SET v.l = NULL WHERE k = 3', 'ALTER TYPE kinds.twosome DROP ATTRIBUTE late', 'ALTER TYPE kinds.twosome ADD ATTRIBUTE later bool',
	"UPDATE c_toast SET n = n + 1", "ALTER TYPE kinds.temper RENAME VALUE 'ultimate' TO 'z'", "DELETE FROM e_key WHERE m = 'z'", "SELECT tarn.resume('p')");
TarnTest::flush($node, 'p');
$copied{$_} = () = copies($_) foreach @enums, @composite;
agree('a backlog of changes', [ @composite, @enums, 'beside' ]);
is((copies('beside'))[0], undef, 'the table beside was never copied anew');

unlike(slurp_file($node->logfile), qr/signal (11|6|7)\b|PANIC|TRAP/, 'no process crashed');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
$node->stop;
done_testing();
