# Values of half a gigabyte: through the copy and the stream, carried over by an update of another column, read back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $megabytes = $ENV{TARN_LARGE_MB} || 500;
my $node = TarnTest::cluster('large_values', conf => "log_statement = none\nmax_wal_size = 4GB\n");
TarnTest::create_lake($node);

# Doubled from 1 MB, and cut; half of it does not compress.
$node->safe_psql($db, <<SQL);
CREATE FUNCTION big(seed int, megabytes int) RETURNS bytea LANGUAGE plpgsql AS \$\$
DECLARE
	part bytea;
BEGIN
	SELECT string_agg(decode(md5((seed * x)::text), 'hex'), '') INTO part FROM generate_series(1, 32768) x;
	part := part || decode(repeat('00', 524288), 'hex');
	WHILE length(part) < megabytes * 1048576 LOOP
		part := part || substr(part, 1, least(length(part), megabytes * 1048576 - length(part)));
	END LOOP;
	RETURN part;
END \$\$;
CREATE TABLE large (k int PRIMARY KEY, n int, v bytea);
ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
INSERT INTO large SELECT 1, 0, big(1, $megabytes);
SQL
TarnTest::mirror($node, 'p', tables => ['large']);
TarnTest::wait_live($node, 'p');
TarnTest::foreign_tables($node);
my $compare = 'SELECT count(*) = (SELECT count(*) FROM large) FROM large s JOIN lake.large l ON s.k = l.k AND s.n = l.n AND md5(s.v) = md5(l.v) AND length(s.v) = length(l.v)';
is($node->safe_psql($db, $compare), 't', "$megabytes MB by the copy");
$node->safe_psql($db, "INSERT INTO large SELECT 2, 0, big(2, $megabytes)");
TarnTest::flush($node, 'p');
is($node->safe_psql($db, $compare), 't', "$megabytes MB by the stream");
$node->safe_psql($db, 'UPDATE large SET n = 1 WHERE k = 1; INSERT INTO large VALUES (3, 0, $$small$$)');
TarnTest::flush($node, 'p');
is($node->safe_psql($db, $compare), 't', "$megabytes MB carried over");
is($node->safe_psql($db, "SELECT state FROM tarn.tables"), 'live', 'the table is live');

# a history has the row in one value
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION zeros(megabytes int) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	part bytea := '\x00';
BEGIN
	WHILE length(part) < megabytes * 1048576 LOOP
		part := part || substr(part, 1, least(length(part), megabytes * 1048576 - length(part)));
	END LOOP;
	RETURN part;
END $$;
CREATE TABLE three (k int PRIMARY KEY, a bytea, b bytea, c bytea);
-- values that lie out of line already: a row of more than 1 GB is not made in memory
CREATE TABLE ready AS SELECT mb, zeros(mb) AS v FROM unnest(ARRAY[300, 400]) mb;
CREATE PUBLICATION q FOR TABLE three;
SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{q}', history => true);
SQL
TarnTest::wait_live($node, 'q');
$node->safe_psql($db, "INSERT INTO three SELECT 1, v, v, v FROM ready WHERE mb = 300; SELECT tarn.flush('q')");
is($node->safe_psql($db, "SELECT state FROM tarn.tables WHERE pipeline = 'q'"), 'live', 'a row of 900 MB in a history');
is($node->safe_psql($db, "SELECT tarn.rebuild('three')"), '1', 'and rebuilt');
foreach my $by ('the stream', 'the copy')
{
	$node->safe_psql($db, $by eq 'the copy' ? "SELECT tarn.resume('q', 'three')" : 'INSERT INTO three SELECT 2, v, v, v FROM ready WHERE mb = 400');
	$node->poll_query_until($db, "SELECT state = 'stopped' FROM tarn.tables WHERE pipeline = 'q'") or die 'not stopped';
	like($node->safe_psql($db, "SELECT error FROM tarn.tables WHERE pipeline = 'q'"),
		qr/a row of table public.three is too large for its history: its values up to column "c" have 12\d+ bytes/, "one of 1,200 MB by $by");
}
$node->safe_psql($db, "SELECT tarn.set_table_options('q', 'three', '{history=false}'); SELECT tarn.resume('q', 'three')");
TarnTest::wait_live($node, 'q');
TarnTest::flush($node, 'q');
is($node->safe_psql($db, "SELECT rows FROM tarn.tables WHERE pipeline = 'q'"), '2', 'which is mirrored without one');
$node->stop;
done_testing();
