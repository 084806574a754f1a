# Processes come and go with what they serve: shutdown, DROP EXTENSION, DROP DATABASE, templates, restarts (I1, I5).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $node = TarnTest::cluster('lifecycle', conf => "log_statement = none\ntarn.garbage_grace = 0\n");

sub sql
{
	my ($statement, $where) = @_;

	return $node->safe_psql($where || $db, $statement);
}

sub soon
{
	my ($query, $what, $where) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($where || $db, $query), $what);
}

# Stops fast and starts again; the time the stop took must be under two seconds.
sub stops_fast
{
	my ($what) = @_;
	my $start = time();

	$node->stop('fast');
	my $took = time() - $start;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($took, '<', 2, sprintf('fast shutdown %s: %.2f s', $what, $took));
	$node->start;
	return;
}

sub failpoint
{
	my ($setting) = @_;

	sql("ALTER SYSTEM SET tarn.failpoints = '$setting'");
	sql('SELECT pg_reload_conf()');
	usleep(300_000);
	return;
}

sub no_failpoint
{
	sql('ALTER SYSTEM RESET tarn.failpoints');
	sql('SELECT pg_reload_conf()');
	return;
}

# A database with a pipeline of its own
sub make_database
{
	my ($name) = @_;

	sql("CREATE DATABASE $name");
	sql('CREATE EXTENSION tarn; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)', $name);
	TarnTest::create_lake($node, db => $name, warehouse => TarnTest::warehouse($node, "lake_$name"));
	TarnTest::mirror($node, 'p', db => $name, tables => ['t'], arguments => "flush_interval => '200 ms'");
	TarnTest::wait_live($node, 'p', $name);
	return;
}

# Fast shutdown
TarnTest::create_lake($node);
sql('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 10000) i');
TarnTest::mirror($node, 'p', tables => ['t'], arguments => "flush_interval => '200 ms'");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
stops_fast('of an idle pipeline');
soon("SELECT pid IS NOT NULL AND state = 'streaming' FROM tarn.pipelines", 'the worker comes back');
my $offset = -s $node->logfile;
stops_fast('right after the start');
sql("UPDATE t SET v = v || 'x'");
stops_fast('in a flush');
foreach my $point (qw(flush-data-written flush-before-commit flush-before-confirm))
{
	failpoint("$point=hang");
	sql("UPDATE t SET v = v || 'y'");
	usleep(500_000);
	stops_fast("while it hangs at $point");
	no_failpoint();
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, "after a stop at $point");
}
sql("CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large SELECT i, md5(i::text) FROM generate_series(1, 300000) i");
failpoint('copy-task=hang');
sql('ALTER PUBLICATION p ADD TABLE large');
soon("SELECT count(*) > 0 AND bool_and(blocks_done > 0 AND blocks_done < blocks_total) FROM tarn.copy_status()", 'a copy is under way');
# heard by those that start from now on: the processes that copy go on hanging
no_failpoint();
stops_fast('in a copy');
sql('INSERT INTO large SELECT i, md5(i::text) FROM generate_series(300001, 900000) i');
usleep(100_000);
stops_fast('while a large transaction is decoded');
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'after all these stops');

# What is written while the worker is away is caught up
$node->stop('immediate');
$node->start;
sql("INSERT INTO t VALUES (-1, 'after an immediate stop')");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'after an immediate stop');

# A terminated worker comes back
my $pid = sql("SELECT pid FROM tarn.pipelines WHERE name = 'p'");
sql("SELECT pg_terminate_backend($pid)");
sql("INSERT INTO t VALUES (-2, 'terminated')");
TarnTest::flush($node, 'p');
isnt(sql("SELECT pid FROM tarn.pipelines WHERE name = 'p'"), $pid, 'a terminated worker is replaced');

# DROP DATABASE with a worker in it, idle and in the middle of its work
my @dropped;

sub oid_of
{
	return sql("SELECT oid FROM pg_database WHERE datname = '$_[0]'");
}
make_database('first');
push @dropped, oid_of('first');
sql('INSERT INTO t SELECT generate_series(1001, 200000)', 'first');
sql('DROP DATABASE first');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE database = 'first'"), '0', 'DROP DATABASE: no slot is left');
make_database('second');
push @dropped, oid_of('second');
sql('DROP DATABASE second WITH (FORCE)');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE database = 'second'"), '0', 'DROP DATABASE ... FORCE: no slot is left');

is_deeply([ grep { -e } map { $node->data_dir . "/pg_tarn/$_" } @dropped ], [], 'nor a key index');

# A pipeline that has no worker goes as well as one that has
make_database('third');
my $index = $node->data_dir . '/pg_tarn/' . oid_of('third');
my $marker = TarnTest::directory(TarnTest::warehouse($node, 'lake_third')) . '/_tarn/*';
sql('DELETE FROM t WHERE id = 1', 'third');
TarnTest::flush($node, 'p', 'third');
sql("SELECT tarn.pause('p')", 'third');
soon('SELECT pid IS NULL FROM tarn.pipelines', 'paused', 'third');
is(scalar(() = glob("$index/*")) . scalar(() = glob($marker)), '11', 'it has key indexes and a marker');
sql("SELECT tarn.drop_pipeline('p')", 'third');
soon("SELECT count(*) = 0 FROM pg_replication_slots WHERE database = 'third'", 'a paused pipeline is dropped: its slot goes');
soon('SELECT count(*) = 0 FROM tarn.removal', 'what it leaves is removed', 'third');
is(scalar(() = glob("$index/*")) . scalar(() = glob($marker)), '00', 'key indexes and marker');
sql('DROP DATABASE third');

# A database as a template: the copy's pipeline does not write into the original's lake
make_database('original');
sql('CREATE DATABASE clone TEMPLATE original');
sql('INSERT INTO t VALUES (5000)', 'original');
TarnTest::flush($node, 'p', 'original');
sql('INSERT INTO t VALUES (6000)', 'clone');
usleep(1_500_000);
is(sql("SELECT count(*) FROM pg_replication_slots WHERE database = 'clone'"), '0', 'a clone has no slot');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'clone' AND backend_type = 'tarn pipeline worker'"), '0', 'nor a worker');
sql('CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake', 'original');
is(sql('SELECT count(*), max(id) FROM lake.t', 'original'), '1001|5000', 'the original goes on alone');
# it may not take over what the original has, unless it goes elsewhere
my ($code, $out, $err) = $node->psql('clone', "SELECT tarn.take_over('p')");
like($err, qr/lake "lake" is written by pipeline "p" of database "original", of which this is a copy.*ALTER SERVER lake OPTIONS/s,
	'a clone cannot take over the lake of an original that runs');
sql("ALTER SERVER lake OPTIONS (SET warehouse '" . TarnTest::warehouse($node, 'lake_clone') . "'); SELECT tarn.take_over('p')", 'clone');
TarnTest::flush($node, 'p', 'clone');
TarnTest::all_same($node, 'but write into another', 'clone');
TarnTest::files_known($node, 'the original has all its files', db => 'original');
sql('DROP DATABASE clone; ');
sql('CREATE DATABASE clone TEMPLATE original');
sql("SELECT tarn.drop_pipeline('p')", 'original');
soon("SELECT count(*) = 0 FROM pg_replication_slots WHERE database = 'original'", 'the original is gone', 'original');
sql("SELECT tarn.take_over('p')", 'clone');
TarnTest::flush($node, 'p', 'clone');
TarnTest::all_same($node, 'and its clone takes over', 'clone');
sql("DROP DATABASE clone; DROP DATABASE original");
make_database('original');
sql('INSERT INTO t VALUES (5000)', 'original');
TarnTest::flush($node, 'p', 'original');
sql('CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake', 'original');

# A DROP DATABASE that fails leaves the pipeline running
my $session = $node->background_psql('original');
$session->query_safe('SELECT 1');
isnt($node->psql($db, 'DROP DATABASE original'), 0, 'DROP DATABASE fails while somebody is connected');
$session->quit;
sql('INSERT INTO t VALUES (7000)', 'original');
TarnTest::flush($node, 'p', 'original');
is(sql('SELECT max(id) FROM lake.t', 'original'), '7000', 'and the pipeline goes on');

# DROP EXTENSION
sql('DROP EXTENSION tarn CASCADE', 'original');
soon("SELECT count(*) = 0 FROM pg_replication_slots WHERE database = 'original'", 'DROP EXTENSION: the slot goes');
soon("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'original'", 'and the worker');
sql('CREATE EXTENSION tarn', 'original');
TarnTest::create_lake($node, db => 'original', warehouse => TarnTest::warehouse($node, 'lake_again'));
sql("SELECT tarn.create_pipeline('p', 'lake', '{p}')", 'original');
TarnTest::wait_live($node, 'p', 'original');
TarnTest::flush($node, 'p', 'original');
TarnTest::all_same($node, 'created again', 'original');
sql('BEGIN; DROP EXTENSION tarn CASCADE; ROLLBACK', 'original');
sql('INSERT INTO t VALUES (8000)', 'original');
TarnTest::flush($node, 'p', 'original');
TarnTest::all_same($node, 'a DROP EXTENSION that is rolled back', 'original');
sql('DROP DATABASE original');

# The other pipeline saw nothing of it
sql("INSERT INTO t VALUES (-3, 'at the end')");
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'the other pipeline');
TarnTest::files_known($node);
unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP/, 'no process crashed');
$node->stop;
done_testing();
