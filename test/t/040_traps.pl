# Three ways in which decoding inside a worker could lose or falsify data without an error (I1, I6, I9).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('traps', conf => "log_statement = none\nautovacuum = off\nmax_prepared_transactions = 5\n");

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

TarnTest::create_lake($node);
sql(<<SQL);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE narrow (id int PRIMARY KEY, a int, b bigint);
INSERT INTO narrow SELECT i, i, 1111111111111 FROM generate_series(1, 10) i;
SQL
TarnTest::mirror($node, 'p', tables => [qw(t narrow)], arguments => "flush_interval => '100 ms'");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');

# 1. Rows of the worker's transactions must not look aborted to those who scan the tables while they run: with
# PROC_IN_LOGICAL_DECODING set in the worker, a reader's snapshot leaves the transaction out, and the reader marks its
# rows as dead for good.  Readers scan all tables of the extension without pause while many flushes commit.
my $reader = "$PostgreSQL::Test::Utils::tmp_check/reader.sql";
PostgreSQL::Test::Utils::append_to_file($reader, <<'SQL');
SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;
SELECT count(*) FROM tarn_catalog.iceberg_tables;
SELECT count(*) FROM tarn.pipeline;
SELECT count(*) FROM tarn.pipeline_table;
SELECT count(*) FROM tarn.garbage;
SQL
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '6', '-f', $reader, '-h', $node->host, '-p', $node->port, $db ],
	'<', \undef, '>', "$PostgreSQL::Test::Utils::log_path/readers.log", '2>&1');
my $last = '';
my $flushes = 0;
my $lost = 0;
for (my $end = time() + 5; time() < $end; $flushes++)
{
	sql("INSERT INTO t VALUES ($flushes, 'flush')");
	TarnTest::flush($node, 'p');
	my $now = sql("SELECT (SELECT count(*) FROM tarn_catalog.iceberg_tables), (SELECT count(*) FROM tarn.pipeline), "
		. "(SELECT count(*) FROM tarn.pipeline_table), (SELECT metadata_location FROM tarn_catalog.iceberg_tables WHERE table_name = 't')");
	$lost++ unless $now =~ /^2\|1\|2\|/ && $now ne $last;
	$last = $now;
}
ok($bench->finish, 'readers scan the tables');
is($lost, 0, "no row was lost in $flushes flushes, and each of them was seen");
cmp_ok($flushes, '>', 5, 'there were some flushes');
TarnTest::all_same($node, 'after them');

# 2. Descriptors of the past and of the present must not be mixed.  The worker reads catalogs between two rounds of
# decoding; with a backlog that holds rows from before and after an ALTER TABLE, each row must be read by its own
# descriptor.
my $n = 0;
foreach my $change (
	[ 'another type', 'ALTER TABLE %s ALTER a TYPE bigint' ],
	[ 'a wider row', 'ALTER TABLE %s ADD COLUMN c text DEFAULT \'new\'' ],
	[ 'a column less', 'ALTER TABLE %s DROP COLUMN a' ],
	[ 'another order of columns', 'ALTER TABLE %1$s ADD COLUMN a2 int; UPDATE %1$s SET a2 = a; ALTER TABLE %1$s DROP COLUMN a; ALTER TABLE %1$s RENAME COLUMN a2 TO a' ],
	[ 'another name', 'ALTER TABLE %s RENAME COLUMN a TO renamed' ],
	[ 'text instead of a number', 'ALTER TABLE %s ALTER a TYPE text USING \'x\' || a' ],
	[ 'a rewrite without a change', 'ALTER TABLE %s ALTER a TYPE int USING a + 0' ],
	[ 'another key', 'ALTER TABLE %1$s DROP CONSTRAINT %1$s_pkey; ALTER TABLE %1$s ADD PRIMARY KEY (b, id)' ],
	[ 'a full identity', 'ALTER TABLE %s REPLICA IDENTITY FULL' ])
{
	my ($what, $alter) = @$change;
	my $table = 'shape' . ++$n;

	sql("CREATE TABLE $table (id int PRIMARY KEY, a int, b bigint NOT NULL); INSERT INTO $table SELECT i, i, 1111111111111 + i FROM generate_series(1, 10) i; ALTER PUBLICATION p ADD TABLE $table");
	$node->poll_query_until($db, "SELECT state = 'live' FROM tarn.tables WHERE \"table\" = '$table'") or die "$table is not copied";
	# a backlog on both sides of the change, in many transactions, with the worker away; and its catalog look-ups in between
	sql("SELECT tarn.pause('p')");
	$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines') or die 'not paused';
	sql("INSERT INTO $table SELECT i, i, 2222222222222 + i FROM generate_series(11, 20) i; UPDATE $table SET b = b + 1 WHERE id = 1");
	my $before = sql("SELECT string_agg(t::text, ' ' ORDER BY id) FROM $table t");
	sql(sprintf($alter, $table));
	sql("DELETE FROM $table WHERE id = 2; UPDATE $table SET b = b + 1 WHERE id IN (3, 12); INSERT INTO $table (id, b) VALUES (21, 3)");
	sql('INSERT INTO t VALUES (' . (1_000_000 + $n) . ", 'beside')");
	sql("SELECT tarn.resume('p')");
	TarnTest::flush($node, 'p');
	sql("DROP SCHEMA IF EXISTS lake CASCADE; CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake");
	my $columns = sql("SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped");
	TarnTest::same($node, "public.$table", "lake.$table", "$what: followed", $db, $columns);
	TarnTest::same($node, 'public.t', 'lake.t', "$what: the other table follows");
}

# 3. A slot is made while transactions run and end.  What commits a change of catalogs while the first snapshot is gathered is not
# noticed by PostgreSQL, and decoding goes on with catalogs from before it.  (But for another slot that decodes at the time, and
# writes down what it knows.)
sub said
{
	my ($offset, $what) = @_;

	for (my $end = time() + 30; time() < $end; usleep(50_000))
	{
		return 1 if substr(slurp_file($node->logfile), $offset) =~ /$what/;
	}
	return 0;
}

sub begun
{
	my ($name, $statements) = @_;

	return sql("BEGIN; SELECT pg_current_xact_id(); $statements; PREPARE TRANSACTION '$name'");
}

sql('CREATE TABLE early (id int PRIMARY KEY, a int); INSERT INTO early SELECT i, i FROM generate_series(1, 10) i; CREATE PUBLICATION q FOR TABLE early');
sql("SELECT tarn.pause('p')");
$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines') or die 'not paused';
begun('first', '');
my $offset = -s $node->logfile;
sql("SELECT tarn.create_pipeline('q', 'lake', '{q}', flush_interval => '100 ms')");
ok(said($offset, 'logical decoding found initial starting point'), 'the snapshot is gathered');
begun('second', '');
sql('ALTER TABLE early ADD COLUMN b int; CREATE TABLE later (id int PRIMARY KEY)');
sql("COMMIT PREPARED 'first'");
ok(said($offset, 'logical decoding found initial consistent point'), 'and gathered on');
begun('third', 'INSERT INTO early VALUES (11, 11, 11); INSERT INTO later VALUES (1)');
sql("COMMIT PREPARED 'second'");
ok(said($offset, 'logical decoding found consistent point'), 'and whole');
sql("COMMIT PREPARED 'third'");
TarnTest::wait_live($node, 'q');
sql('INSERT INTO early VALUES (12, 12, 12); UPDATE early SET b = 5 WHERE id = 5');
sql('INSERT INTO later VALUES (2); ALTER PUBLICATION q ADD TABLE later');
$node->poll_query_until($db, q(SELECT count(*) = 2 AND bool_and(state = 'live') FROM tarn.tables WHERE pipeline = 'q')) or die 'not copied';
sql('INSERT INTO later VALUES (3); INSERT INTO early VALUES (13, 13, 13)');
TarnTest::flush($node, 'q');
sql('DROP SCHEMA IF EXISTS lake CASCADE; CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public LIMIT TO (early, later) FROM SERVER lake INTO lake');
TarnTest::same($node, 'public.early', 'lake.early', 'a column that was added while the slot was made', $db, 'id, a, b');
TarnTest::same($node, 'public.later', 'lake.later', 'a table that was made then');
unlike(slurp_file($node->logfile), qr/signal (11|6|7)\b|PANIC|TRAP/, 'no process crashed');
TarnTest::files_known($node);
$node->stop;
done_testing();
