# Databases of other encodings than UTF-8, names that need care, tables of no, one and 1,600 columns.  TARN_SEED repeats
# the random texts.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

binmode(STDOUT, ':utf8');
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
diag("TARN_SEED=$seed");

my $node = TarnTest::cluster('encodings', conf => "log_statement = none\n");

# Everything in `db` equals its foreign table: rows as text, both ways.
sub same_rows
{
	my ($db, $table, $what) = @_;

	return is(TarnTest::differing($node, "public.$table t", "lake.$table t", $db, 't::text'), '0', $what);
}

# --- encodings ---

# text that the encoding has, by code points
my %samples = (
	LATIN1 => [ 'E9', 'FC', 'DF', 'A7' ], LATIN9 => [ 'E9', 'FC', 'DF', 'A7' ], WIN1252 => [ 'E9', 'FC', 'DF', 'A7' ], LATIN2 => [ 'E9', '141' ],
	WIN1251 => [ '434', '436' ], KOI8R => [ '434', '436' ], WIN866 => [ '434', '436' ], WIN1253 => [ '3B1', '3B2' ], WIN874 => [ 'E01', 'E02' ],
	EUC_JP => [ '65E5', '672C', '8A9E' ], EUC_JIS_2004 => [ '65E5', '672C', '8A9E' ], EUC_KR => [ 'D55C', 'AE00' ],
	EUC_TW => [ '4E2D', '6587' ], EUC_CN => [ '4E2D', '6587' ]);
my @encodings = $ENV{TARN_TEST_LONG} ? sort keys %samples : qw(LATIN1 LATIN9 WIN1252 WIN1251 EUC_JP EUC_TW);

# Table chars of a database: each character of its encoding, the text it becomes in UTF-8 and back (null: UTF-8 has it not).
sub make_chars
{
	my ($db, $encoding) = @_;
	my @codes = ("SELECT set_byte('\\x00', 0, i) FROM generate_series(1, 255) i");
	my $two = "set_byte(set_byte('\\x0000', 0, i), 1, j) FROM generate_series(128, 255) i, generate_series(49, 255) j";

	push @codes, "SELECT $two" if $encoding =~ /EUC/;
	push @codes, "SELECT '\\x8f'::bytea || $two" if $encoding =~ /EUC_J/;
	push @codes, "SELECT '\\x8ea1'::bytea || $two WHERE i BETWEEN 161 AND 200 UNION ALL SELECT '\\x8ea2'::bytea || $two WHERE i BETWEEN 200 AND 250" if $encoding eq 'EUC_TW';
	$node->safe_psql($db, <<SQL);
CREATE FUNCTION is_character(b bytea) RETURNS bool LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN length(convert_from(b, '$encoding')) = 1;
EXCEPTION WHEN character_not_in_repertoire THEN
	RETURN false;
END \$\$;
CREATE FUNCTION there_and_back(b bytea) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN convert_from(convert(convert(b, '$encoding', 'UTF8'), 'UTF8', '$encoding'), '$encoding');
EXCEPTION WHEN untranslatable_character THEN
	RETURN NULL;
END \$\$;
CREATE TABLE chars AS SELECT row_number() OVER () AS k, convert_from(b, '$encoding') AS c, there_and_back(b) AS back
	FROM (@{[ join ' UNION ALL ', @codes ]}) x(b) WHERE is_character(b);
CREATE FUNCTION random_text(n int) RETURNS text LANGUAGE sql VOLATILE AS \$\$
	SELECT coalesce(string_agg(good[1 + floor(random() * cardinality(good))::int], ''), '')
	FROM (SELECT array_agg(c) AS good FROM chars WHERE c = back) x, generate_series(1, floor(random() * (n + 1))::int) \$\$;
SQL
	return;
}

# Statements for tables of characters that UTF-8 lacks, or has once for two codes: one for each policy, and what shall be
# in the lake.  Rows with k up to \$to.
sub odd_rows
{
	my ($from, $to) = @_;

	return <<SQL;
INSERT INTO odd_null SELECT k, 'a' || c || 'b', ARRAY['x', c, NULL], jsonb_build_object('k', c, 'k2', 1), c, c, 'plain' FROM odd WHERE k BETWEEN $from AND $to;
INSERT INTO odd_clamp SELECT * FROM odd_null WHERE k BETWEEN $from AND $to;
INSERT INTO expected_null SELECT k, NULL, ARRAY['x', NULL, NULL], NULL, NULL, NULL, 'plain' FROM odd WHERE k BETWEEN $from AND $to;
INSERT INTO expected_clamp SELECT k, 'a' || back || 'b', ARRAY['x', back, NULL], CASE WHEN back IS NOT NULL THEN jsonb_build_object('k', back, 'k2', 1) END, back, back, 'plain' FROM odd WHERE k BETWEEN $from AND $to;
SQL
}

foreach my $encoding (@encodings)
{
	my $db = 'db_' . lc $encoding;
	my $sample = "U&'" . join('', map { sprintf '\\%04s', $_ } @{ $samples{$encoding} }) . "'";
	my $name = $sample =~ s/'/"/gr;
	my $definition = '(k int PRIMARY KEY, s text NOT NULL, l text[], j jsonb, c char(5), n name, p text)';

	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION tarn');
	make_chars($db, $encoding);
	TarnTest::create_lake($node, db => $db, name => "lake_$db");
	$node->safe_psql($db, <<SQL);
CREATE TABLE words (k text PRIMARY KEY, v varchar(6), c char(6), n name, j jsonb, d text[], "char" "char");
INSERT INTO words SELECT $sample || g, $sample, $sample, $sample, jsonb_build_object('k', $sample), ARRAY[$sample, NULL, 'ascii'], 'x' FROM generate_series(1, 50) g;
INSERT INTO words VALUES ('ascii', 'a', 'b', 'c', '{}', '{}', 'd');
CREATE TABLE $name ($name int PRIMARY KEY, e text);
INSERT INTO $name VALUES (1, $sample);
CREATE TABLE characters (k text PRIMARY KEY, v "char");
INSERT INTO characters SELECT c FROM chars WHERE c = back AND k % 2 = 0;
SELECT setseed(@{[ $seed % 1000 / 1000 ]});
CREATE TABLE texts (k int PRIMARY KEY, s text, v varchar(9), n name, j json, d text[]);
INSERT INTO texts SELECT g, random_text(40), random_text(9), random_text(20), to_json(random_text(9)), ARRAY[random_text(3), random_text(5 + 0 * g)] FROM generate_series(1, 100) g;
CREATE TABLE odd AS SELECT row_number() OVER () AS k, c, back FROM (SELECT * FROM chars WHERE c IS DISTINCT FROM back ORDER BY back IS NULL, random() LIMIT 200) x;
CREATE TABLE odd_error (k int PRIMARY KEY, s text);
CREATE TABLE odd_other (k int PRIMARY KEY, s text);
CREATE TABLE odd_null $definition;
CREATE TABLE odd_clamp $definition;
CREATE TABLE expected_null (LIKE odd_null);
CREATE TABLE expected_clamp (LIKE odd_null);
ALTER TABLE expected_null ALTER s DROP NOT NULL;
ALTER TABLE expected_clamp ALTER s DROP NOT NULL;
@{[ odd_rows(1, 100) ]}
CREATE PUBLICATION p FOR TABLE words, $name, characters, texts, odd_error, odd_other, odd_null, odd_clamp;
BEGIN;
SELECT tarn.create_pipeline('p_$db', lake => 'lake_$db', publications => '{p}', flush_interval => '500 ms');
SELECT tarn.set_table_options('p_$db', 'odd_null', '{unsupported_values=null}'), tarn.set_table_options('p_$db', 'odd_clamp', '{unsupported_values=clamp}');
COMMIT;
SQL
	TarnTest::wait_live($node, "p_$db", $db);
	$node->safe_psql($db, "INSERT INTO words SELECT k || 'x', v, c, n, j, d || v::text, '\"' FROM words; DELETE FROM words WHERE k LIKE '%3';"
		  . "UPDATE words SET v = 'new' WHERE k = $sample || '5'; INSERT INTO $name VALUES (2, $sample);"
		  . 'INSERT INTO characters SELECT c FROM chars WHERE c = back AND k % 2 = 1; DELETE FROM characters WHERE k IN (SELECT c FROM chars WHERE k % 5 = 0);'
		  . 'UPDATE texts SET s = random_text(10), d = d || s WHERE k % 3 = 0;'
		  . odd_rows(101, 200)
		  . 'INSERT INTO odd_error SELECT k, $$two $$ || c FROM odd WHERE back IS NULL ORDER BY k LIMIT 1; INSERT INTO odd_other SELECT k, $$two $$ || c FROM odd WHERE back IS NOT NULL ORDER BY k LIMIT 1;');
	TarnTest::flush($node, "p_$db", $db);
	TarnTest::foreign_tables($node, lake => "lake_$db", db => $db);
	same_rows($db, 'words', "$encoding: words");
	same_rows($db, $name, "$encoding: a name");
	same_rows($db, 'characters', "$encoding: " . $node->safe_psql($db, 'SELECT count(*) FROM characters') . ' characters');
	same_rows($db, 'texts', "$encoding: random texts");
	is($node->safe_psql($db, "SELECT count(*) FROM lake.words WHERE $_"), $node->safe_psql($db, "SELECT count(*) FROM public.words WHERE $_"), "$encoding: a filter")
	  foreach "v = $sample OR k = 'ascii'", "n = $sample", "c = $sample", "'ascii' = ANY (d) AND k > $sample";
	foreach my $case ([ 'odd_error', 'IS NULL', 'it has a character that UTF8 has not' ], [ 'odd_other', 'IS NOT NULL', 'it has a character that UTF8 does not tell from another one' ])
	{
		my ($table, $which, $why) = @$case;
		my $odd = $node->safe_psql($db, "SELECT string_agg('\\x' || to_hex(get_byte(b, i)), '' ORDER BY i) FROM (SELECT convert_to(c, '$encoding') AS b FROM odd WHERE back $which ORDER BY k LIMIT 1) x, generate_series(0, length(b) - 1) i");
		my $shown = $which eq 'IS NULL' ? quotemeta $odd : '\S+';

		next if $odd eq '';
		like($node->safe_psql($db, "SET client_encoding = UTF8; SELECT state || ' ' || error FROM tarn.tables WHERE \"table\" = '$table'"),
			qr/^stopped cannot keep value "two $shown" of column "s" of "public\.$table" in the lake: $why/, "$encoding: $why: stops its table");
	}
	foreach my $policy ('null', 'clamp')
	{
		is(TarnTest::differing($node, "expected_$policy t", "lake.odd_$policy t", $db, 't::text'), '0',
			"$encoding: policy $policy, " . $node->safe_psql($db, 'SELECT count(*) FROM odd') . ' odd characters');
	}
	is($node->safe_psql($db, "SELECT count(*) FROM tarn.tables WHERE state = 'live'"),
		8 - $node->safe_psql($db, 'SELECT count(*) FROM (SELECT DISTINCT back IS NULL FROM odd) x'), "$encoding: the others go on");
	TarnTest::engines($node, [ 'public.words', 'public.characters', 'public.texts', map { [ "public.expected_$_", "public.odd_$_" ] } 'null', 'clamp' ],
		"$encoding: other engines", db => $db, lake => "lake_$db");
	$node->safe_psql($db, "SELECT tarn.drop_pipeline('p_$db')");
}

# An encoding that has no conversion to UTF8
if ($node->psql('postgres', "CREATE DATABASE db_mule ENCODING 'MULE_INTERNAL' LOCALE 'C' TEMPLATE template0") == 0)
{
	$node->safe_psql('db_mule', 'CREATE EXTENSION tarn; CREATE TABLE t (k int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t');
	TarnTest::create_lake($node, db => 'db_mule', name => 'lake_mule');
	$node->safe_psql('db_mule', "SELECT tarn.create_pipeline('pm', lake => 'lake_mule', publications => '{p}')");
	$node->poll_query_until('db_mule', "SELECT state = 'stopped' FROM tarn.tables");
	like($node->safe_psql('db_mule', 'SELECT error FROM tarn.tables'), qr/there is no default conversion between encodings "MULE_INTERNAL" and "UTF8"/, 'tables of MULE_INTERNAL are stopped');
}

$node->safe_psql('postgres', 'CREATE DATABASE db_ascii ENCODING \'SQL_ASCII\' LOCALE \'C\' TEMPLATE template0');
$node->safe_psql('db_ascii', 'CREATE EXTENSION tarn');
TarnTest::create_lake($node, db => 'db_ascii', name => 'lake_ascii');
$node->safe_psql('db_ascii', <<'SQL');
CREATE TABLE t (k text PRIMARY KEY, v varchar(5), n numeric, j jsonb, i interval, a text[]);
INSERT INTO t VALUES ('plain', 'v', 1.50, '{}', '1 day', '{x,NULL}');
INSERT INTO t VALUES (E'\351\352', E'\377', 2, '[1]', '2 days', ARRAY[E'\351']);
CREATE PUBLICATION p FOR TABLE t;
SQL
my ($out, $err);
$node->psql('db_ascii', "SELECT tarn.create_pipeline('pa', lake => 'lake_ascii', publications => '{p}')", stderr => \$err);
like($err, qr/text of a database with encoding "SQL_ASCII" may be in any encoding.*sql_ascii=bytes/s, 'SQL_ASCII is refused');
$node->safe_psql('db_ascii', "SELECT tarn.create_pipeline('pa', lake => 'lake_ascii', publications => '{p}', flush_interval => '500 ms', options => '{sql_ascii=bytes}')");
TarnTest::wait_live($node, 'pa', 'db_ascii');
$node->safe_psql('db_ascii', "INSERT INTO t VALUES (E'\\303\\251', E'\\303', NULL, NULL, NULL, NULL)");
TarnTest::flush($node, 'pa', 'db_ascii');
TarnTest::foreign_tables($node, lake => 'lake_ascii', db => 'db_ascii');
same_rows('db_ascii', 't', 'SQL_ASCII as bytes');

# --- names ---

my $db = 'postgres';
TarnTest::create_lake($node);
my $long = 'n' . 'é' x 31;
my @odd = ('select', 'Upper', 'with space', 'dot.ted', 'quo"te', "apo'strophe", 'per%cent', 'slash/back\\', 'ünïcödé', '日本', '😀', '..', $long, 'user', 'a=b', '$1', "tab\tnew\nline");
my $n = 0;
my %table_of;
foreach my $name (@odd)
{
	my $quoted = $name =~ s/"/""/gr;

	utf8::encode($quoted);
	$n++;
	$node->safe_psql($db, "CREATE SCHEMA \"$quoted\"; CREATE TABLE \"$quoted\".\"$quoted\" (\"$quoted\" text PRIMARY KEY, k int);"
		  . "INSERT INTO \"$quoted\".\"$quoted\" VALUES ('$n', $n); CREATE SCHEMA l_$n;");
	$table_of{$name} = "\"$quoted\"";
}
$node->safe_psql($db, 'CREATE PUBLICATION names FOR TABLE ' . join(', ', map { "$_.$_" } values %table_of));
$node->safe_psql($db, "SELECT tarn.create_pipeline('names', lake => 'lake', publications => '{names}', flush_interval => '500 ms')");
TarnTest::wait_live($node, 'names');
$node->safe_psql($db, join(';', map { "INSERT INTO $_.$_ VALUES ('x', 0); UPDATE $_.$_ SET k = k + 1" } values %table_of));
TarnTest::flush($node, 'names');
$n = 0;
foreach my $name (@odd)
{
	my $quoted = $table_of{$name};
	my $shown = $name =~ s/\s/ /gr;

	utf8::encode($shown);
	$n++;
	$node->safe_psql($db, "IMPORT FOREIGN SCHEMA $quoted FROM SERVER lake INTO l_$n");
	is(TarnTest::differing($node, "$quoted.$quoted", "l_$n.$quoted"), '0', "names: $shown");
}
TarnTest::files_known($node, 'files of odd names');
TarnTest::engines($node, [ map { [ ($_) x 4 ] } @odd ], 'other engines open tables and columns of odd names');

# of lakes, publications and pipelines
foreach my $name ('select', 'Upper', 'dot.ted', 'quo"te', "apo'strophe", 'ünïcödé 日本', $long)
{
	my $identifier = '"' . ($name =~ s/"/""/gr) . '"';
	my $literal = "'" . ($name =~ s/'/''/gr) . "'";
	my $shown = $name;

	utf8::encode($_) foreach $identifier, $literal, $shown;
	$n++;
	TarnTest::create_lake($node, name => $identifier, warehouse => TarnTest::warehouse($node, "odd_$n"));
	$node->safe_psql($db, "CREATE TABLE odd_$n (k int PRIMARY KEY, v text); INSERT INTO odd_$n VALUES (1, 'copied'); CREATE PUBLICATION $identifier FOR TABLE odd_$n; CREATE SCHEMA odd_lake_$n");
	$node->safe_psql($db, "SELECT tarn.create_pipeline($literal, $literal, ARRAY[$literal]::name[], flush_interval => '200 ms')");
	$node->safe_psql($db, "SELECT tarn.flush($literal); INSERT INTO odd_$n VALUES (2, 'new'); UPDATE odd_$n SET v = 'changed' WHERE k = 1; SELECT tarn.flush($literal)");
	$node->safe_psql($db, "IMPORT FOREIGN SCHEMA public LIMIT TO (odd_$n) FROM SERVER $identifier INTO odd_lake_$n");
	is(TarnTest::differing($node, "public.odd_$n", "odd_lake_$n.odd_$n"), '0', "names of lake, publication and pipeline: $shown");
	$node->safe_psql($db, "SELECT tarn.pause($literal); SELECT tarn.resume($literal); SELECT tarn.resync($literal, 'odd_$n'); SELECT tarn.flush($literal); SELECT tarn.alter_pipeline($literal, publications => ARRAY[$literal]::name[])");
	is($node->safe_psql($db, "SELECT count(*) FROM tarn.pipelines WHERE name = $literal AND lake = $literal AND publications = ARRAY[$literal]::name[]"), '1', 'and the view has them');
	$node->safe_psql($db, "SELECT tarn.drop_pipeline($literal, drop_data => true)");
}

# --- numbers of columns ---

$node->safe_psql($db, 'CREATE TABLE none (); CREATE TABLE one (k int PRIMARY KEY); INSERT INTO one VALUES (1), (2);'
	  . 'CREATE TABLE many (' . join(', ', map { "c$_ " . ('int', 'bool', 'text', 'int2')[ $_ % 4 ] . ($_ == 1 ? ' PRIMARY KEY' : '') } 0 .. 1599) . ');'
	  . 'INSERT INTO many (c0, c1, c1598, c1599) SELECT g, g % 2 = 0, g::text, g FROM generate_series(1, 2) g;'
	  . 'CREATE PUBLICATION wide FOR TABLE none, one, many');
$node->safe_psql($db, "SELECT tarn.create_pipeline('wide', lake => 'lake', publications => '{wide}', flush_interval => '500 ms')");
$node->poll_query_until($db, "SELECT count(*) = 2 FROM tarn.tables WHERE pipeline = 'wide' AND state = 'live'") or die 'no copy';
$node->safe_psql($db, "INSERT INTO one VALUES (3); UPDATE many SET c0 = 7, c1596 = 8 WHERE c1; INSERT INTO none DEFAULT VALUES");
TarnTest::flush($node, 'wide');
like($node->safe_psql($db, "SELECT state || ' ' || error FROM tarn.tables WHERE \"table\" = 'none'"), qr/^stopped table public\."none" has no columns to mirror/,
	'a table without columns is stopped, the others go on');
$node->safe_psql($db, 'CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public LIMIT TO (one, many) FROM SERVER lake INTO lake');
is(TarnTest::differing($node, 'one', 'lake.one'), '0', 'a table of one column');
is($node->safe_psql($db, 'SELECT count(*) FROM (TABLE many EXCEPT ALL TABLE lake.many) x'), '0', 'a table of 1,600 columns');
is($node->safe_psql($db, 'SELECT c0, c1, c1596, c1598 FROM lake.many ORDER BY c1'), "1|f||1\n7|t|8|2", 'values of 1,600 columns');
TarnTest::engines($node, [ 'public.one', 'public.many' ], 'engines read 1,600 columns');

$node->stop;
done_testing();
