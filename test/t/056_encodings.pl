# Databases of other encodings than UTF-8, names that need care, tables of no, one and 1,600 columns.
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
my $node = TarnTest::cluster('encodings', conf => "log_statement = none\n");

# Everything in `db` equals its foreign table: rows as text, both ways.
sub same_rows
{
	my ($db, $table, $what) = @_;

	return is(TarnTest::differing($node, "public.$table t", "lake.$table t", $db, 't::text'), '0', $what);
}

# --- encodings ---

foreach my $encoding ('LATIN1', 'LATIN9', 'WIN1252', 'EUC_JP')
{
	my $db = 'db_' . lc $encoding;
	# text that the encoding has, by code points
	my $sample = $encoding eq 'EUC_JP' ? "U&'\\65E5\\672C\\8A9E'" : "U&'\\00E9\\00FC\\00DF\\00A7'";
	my $name = $encoding eq 'EUC_JP' ? "U&\"\\8868\"" : "U&\"caf\\00E9\"";

	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION tarn');
	TarnTest::create_lake($node, db => $db, name => "lake_$db");
	$node->safe_psql($db, <<SQL);
CREATE TABLE words (k text PRIMARY KEY, v varchar(6), c char(6), n name, j jsonb, d text[], "char" "char");
INSERT INTO words SELECT $sample || g, $sample, $sample, $sample, jsonb_build_object('k', $sample), ARRAY[$sample, NULL, 'ascii'], 'x' FROM generate_series(1, 50) g;
INSERT INTO words VALUES ('ascii', 'a', 'b', 'c', '{}', '{}', 'd');
CREATE TABLE $name ($name int PRIMARY KEY, e text);
INSERT INTO $name VALUES (1, $sample);
CREATE PUBLICATION p FOR TABLE words, $name;
SELECT tarn.create_pipeline('p_$db', lake => 'lake_$db', publications => '{p}', flush_interval => '500 ms');
SQL
	TarnTest::wait_live($node, "p_$db", $db);
	$node->safe_psql($db, "INSERT INTO words SELECT k || 'x', v, c, n, j, d || v::text, '\"' FROM words; DELETE FROM words WHERE k LIKE '%3';"
		  . "UPDATE words SET v = 'new' WHERE k = $sample || '5'; INSERT INTO $name VALUES (2, $sample)");
	TarnTest::flush($node, "p_$db", $db);
	TarnTest::foreign_tables($node, lake => "lake_$db", db => $db);
	same_rows($db, 'words', "$encoding: words");
	same_rows($db, $name, "$encoding: a name");
	is($node->safe_psql($db, "SELECT count(*) FROM lake.words WHERE v = $sample OR k = 'ascii'"),
		$node->safe_psql($db, "SELECT count(*) FROM public.words WHERE v = $sample OR k = 'ascii'"), "$encoding: a filter");
	TarnTest::engines($node, ['public.words'], "$encoding: other engines", db => $db, lake => "lake_$db");
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
