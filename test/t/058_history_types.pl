# Histories of tables whose enums, composite types and domains change under them: every moment can be rebuilt.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('history_types', conf => "log_statement = none\n");
TarnTest::create_lake($node);

sub query
{
	return $node->safe_psql($db, $_[0]);
}

query(<<'SQL');
CREATE SCHEMA kept;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, m mood, t text);
CREATE TYPE crate AS (inner_pair pair, list pair[]);
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN pairs AS pair[];
CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], p pair, ps pairs, b crate, pr price);
CREATE TABLE f (m mood, ms mood[], pr price);
ALTER TABLE f REPLICA IDENTITY FULL;
INSERT INTO t SELECT g, 'sad'::mood, '{ok,NULL}'::mood[], ROW(g, 'ok', 'x')::pair, ARRAY[ROW(g, NULL, ''), NULL]::pair[], ROW(ROW(1, 'sad', 'in'), '{}')::crate, g FROM generate_series(1, 20) g;
INSERT INTO f SELECT 'ok'::mood, '{sad}'::mood[], g % 3 FROM generate_series(1, 9) g;
CREATE PUBLICATION p FOR TABLE t, f;
SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '1 h', history => true);
SQL
TarnTest::wait_live($node, 'p');

# Some copy a table anew: what was before can be rebuilt all the same, and a moment between the change and the copy is refused.
my @changes = (
	[ 'as they were', 'SELECT 1' ],
	[ 'a label', "ALTER TYPE mood ADD VALUE 'fine'" ],
	[ 'used', "UPDATE t SET m = 'fine', ms = ms || '{fine}' WHERE id % 3 = 0; INSERT INTO f VALUES ('fine', '{fine}', 9)" ],
	[ 'a label between others', "ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'" ],
	[ 'an attribute', 'ALTER TYPE pair ADD ATTRIBUTE more numeric(12,2) CASCADE; UPDATE t SET p.more = id WHERE id % 4 = 0; UPDATE f SET ms = ms || ms WHERE pr = 1' ],
	[ 'an attribute renamed', 'ALTER TYPE pair RENAME ATTRIBUTE t TO text CASCADE; UPDATE t SET p.text = $$new$$, ps = ps || p WHERE id % 5 = 0' ],
	[ 'an attribute gone', 'ALTER TYPE pair DROP ATTRIBUTE a CASCADE; UPDATE t SET b.inner_pair = p WHERE id < 4; DELETE FROM f WHERE pr = 2' ],
	[ 'it comes again', "ALTER TYPE pair ADD ATTRIBUTE a text CASCADE; UPDATE t SET p.a = 'again', b.list = ARRAY[p] WHERE id > 15; UPDATE f SET m = 'meh' WHERE pr = 0" ],
	[ 'a domain', 'ALTER DOMAIN price SET DEFAULT 7; ALTER DOMAIN price ADD CHECK (VALUE >= 0); INSERT INTO t (id) VALUES (100)' ],
	[ 'a column of them', "ALTER TABLE t ADD COLUMN q pair DEFAULT ROW('meh', 'd', 1, NULL); UPDATE t SET q.m = 'fine' WHERE id < 3; ALTER TABLE t DROP COLUMN ms", 'copied' ],
	[ 'an attribute of another type', 'ALTER TYPE pair DROP ATTRIBUTE more CASCADE, ADD ATTRIBUTE more bigint CASCADE; UPDATE t SET p.more = 5000000000 WHERE id = 1' ],
	[ 'a label renamed', "ALTER TYPE mood RENAME VALUE 'fine' TO 'good'; UPDATE t SET m = 'good' WHERE id = 2; INSERT INTO f VALUES ('good', NULL, 1)", 'copied' ],
	[ 'after it', "UPDATE t SET m = 'ok' WHERE m = 'good' AND id > 5; DELETE FROM f WHERE m = 'good'" ]);
my @moments;

foreach my $n (0 .. $#changes)
{
	query($changes[$n][1]);
	query("CREATE TABLE kept.${_}_$n AS SELECT to_jsonb(row_)::text AS row FROM $_ row_") foreach qw(t f);
	push @moments, query('SELECT pg_current_wal_insert_lsn()');
	TarnTest::flush($node, 'p') if $n % 2 || $n >= 11;
}
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'mirrors');

# Columns of then may have types that are no more: what is nested is read as json
my %types = (id => 'int', m => 'text', pr => 'numeric');

sub unlike_moment
{
	my ($table, $n) = @_;

	query("SELECT tarn.rebuild('$table', until => '$moments[$n]')");
	query("SET client_min_messages = error; DROP SCHEMA IF EXISTS rebuilt CASCADE; CREATE SCHEMA rebuilt;"
		  . "IMPORT FOREIGN SCHEMA public LIMIT TO (${table}__rebuilt) FROM SERVER lake INTO rebuilt");
	my @names = split /\n/, query("SELECT attname FROM pg_attribute WHERE attrelid = 'rebuilt.${table}__rebuilt'::regclass AND attnum > 0 ORDER BY attnum");
	query('CREATE FOREIGN TABLE rebuilt.r (' . join(', ', map { "$_ " . ($types{$_} || 'jsonb') } @names)
		  . ") SERVER lake OPTIONS (namespace 'public', table_name '${table}__rebuilt')");
	return TarnTest::differing($node, "kept.${table}_$n", '(SELECT to_jsonb(row_)::text AS row FROM rebuilt.r row_) r');
}

foreach my $table (qw(t f))
{
	foreach my $n (0 .. $#changes)
	{
		my $unlike = eval { unlike_moment($table, $n) };
		$unlike = $@ if !defined $unlike;
		$unlike = 0 if $changes[$n][2] && $unlike =~ /It has a gap from/;
		is($unlike, '0', "$table: $changes[$n][0]");
	}
}
done_testing();
