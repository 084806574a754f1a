# The initial copy: shapes of tables, rights, writes and ALTER TABLE meanwhile, lost processes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;

my $node = TarnTest::cluster('copy', conf => "tarn.copy_workers = 3\n");
my $db = 'postgres';

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sub wait_for
{
	my ($query, $what) = @_;

	return ok($node->poll_query_until($db, $query), $what);
}

sub import_tables
{
	my @tables = @_;

	sql('CREATE SCHEMA IF NOT EXISTS lk; IMPORT FOREIGN SCHEMA public LIMIT TO (' . join(', ', @tables)
		  . ') FROM SERVER lake INTO lk');
	return;
}

sql('CREATE ROLE mirror LOGIN REPLICATION');
TarnTest::create_lake($node, users => [ 'CURRENT_USER', 'mirror' ]);

# Tables of many shapes
sql(<<SQL);
CREATE TABLE plain (id int PRIMARY KEY, v text, n numeric(15,2));
INSERT INTO plain SELECT i, 'row ' || i, i / 7.0 FROM generate_series(1, 100000) i;
DELETE FROM plain WHERE id % 3 = 0;
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE shapes (dropped int, id int PRIMARY KEY, big text, doubled int GENERATED ALWAYS AS (id * 2) STORED, secret text);
ALTER TABLE shapes DROP COLUMN dropped, ALTER big SET STORAGE EXTERNAL;
INSERT INTO shapes (id, big, secret) SELECT i, repeat(chr(64 + i % 26), i * 37), 'secret' FROM generate_series(1, 300) i;
ALTER TABLE shapes ADD COLUMN late int DEFAULT 5;
CREATE TABLE root (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES IN (1);
CREATE TABLE leaf2 (v text, hole int, k int NOT NULL, id int NOT NULL);
ALTER TABLE leaf2 DROP COLUMN hole;
ALTER TABLE root ATTACH PARTITION leaf2 FOR VALUES IN (2);
CREATE TABLE leaf3 PARTITION OF root FOR VALUES IN (3);
INSERT INTO root SELECT i, 1 + i % 2, 'v' || i FROM generate_series(1, 5000) i;
CREATE TABLE filtered (id int PRIMARY KEY, country text);
ALTER TABLE filtered REPLICA IDENTITY FULL;
INSERT INTO filtered SELECT i, CASE i % 3 WHEN 0 THEN 'de' WHEN 1 THEN 'test' END FROM generate_series(1, 9000) i;
CREATE PUBLICATION shapes FOR TABLE plain, empty, shapes (id, big, late), root, filtered WHERE (country <> 'test')
	WITH (publish_via_partition_root = true);
SELECT tarn.create_pipeline('shapes', 'lake', '{shapes}', flush_interval => '100 ms');
SQL
TarnTest::wait_live($node, 'shapes');
import_tables(qw(plain empty shapes root filtered));
TarnTest::same($node, 'plain', 'lk.plain', 'a table, in parallel');
TarnTest::same($node, 'empty', 'lk.empty', 'an empty table');
TarnTest::same($node, 'shapes', 'lk.shapes', 'listed columns, with TOAST, holes and a default', $db, 'id, big, late');
is(sql("SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'lk.shapes'::regclass AND attnum > 0"),
	'id,big,late', 'and no other column');
TarnTest::same($node, 'root', 'lk.root', 'partitions as their root');
TarnTest::same($node, "(SELECT * FROM filtered WHERE country <> 'test') f", 'lk.filtered', 'a row filter, where null is false');
is(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'tarn_copy%'"), '0', 'no slot of the copy is left');

# A table added later is copied while the others are written to, and while it is written to itself
sql(<<SQL);
CREATE TABLE busy (id int PRIMARY KEY, v int);
INSERT INTO busy SELECT i, 0 FROM generate_series(1, 200000) i;
SQL
my $script = "$PostgreSQL::Test::Utils::tmp_check/busy.sql";
open my $out, '>', $script or die "$script: $!";
print $out <<'SQL';
\set a random(1, 200000)
\set b random(200001, 100000000)
BEGIN;
UPDATE busy SET v = v + 1 WHERE id BETWEEN :a AND :a + 10;
INSERT INTO busy VALUES (:b, -1) ON CONFLICT DO NOTHING;
DELETE FROM busy WHERE id = :a;
UPDATE plain SET v = v || 'x' WHERE id = :a / 2;
END;
SQL
close $out;
my $bench = IPC::Run::start([ 'pgbench', '-n', '-T', '4', '-c', '4', '-f', $script, '-h', $node->host, '-p', $node->port, $db ],
	'>', \my $bench_out, '2>', \my $bench_err);
sleep 1;
sql('ALTER PUBLICATION shapes ADD TABLE busy');
ok($bench->finish, 'load without an error') or diag($bench_err);
TarnTest::wait_live($node, 'shapes');
TarnTest::flush($node, 'shapes');
import_tables('busy');
TarnTest::same($node, 'busy', 'lk.busy', 'written to while it was copied');
TarnTest::same($node, 'plain', 'lk.plain', 'followed while another was copied');

# What cannot be copied stops alone
sql(<<SQL);
CREATE TABLE infinite (id int PRIMARY KEY, d date);
INSERT INTO infinite VALUES (1, '2024-01-01'), (2, 'infinity');
CREATE TABLE good (id int PRIMARY KEY);
INSERT INTO good SELECT generate_series(1, 1000);
CREATE PUBLICATION trouble FOR TABLE infinite, good;
SELECT tarn.create_pipeline('trouble', 'lake', '{trouble}', flush_interval => '100 ms');
SQL
wait_for("SELECT count(*) = 2 FROM tarn.tables WHERE pipeline = 'trouble' AND state IN ('live', 'stopped')", 'both tables settled');
is(sql(q{SELECT "table" || ':' || state FROM tarn.tables WHERE pipeline = 'trouble' ORDER BY 1}),
	"good:live\ninfinite:stopped", 'one stopped, one live');
like(sql("SELECT error FROM tarn.tables WHERE \"table\" = 'infinite'"),
	qr/infinity.*column "d".*infinite/, 'the error names value, column and table');
import_tables('good');
TarnTest::same($node, 'good', 'lk.good', 'the other is whole');

# The owner's rights on tables that are published later: SELECT, and no row-level security
sql(<<SQL);
GRANT USAGE ON FOREIGN SERVER lake TO mirror;
GRANT pg_read_server_files, pg_write_server_files TO mirror;
GRANT CREATE ON DATABASE postgres TO mirror;
CREATE TABLE allowed (id int PRIMARY KEY);
CREATE TABLE listed (id int PRIMARY KEY, secret text);
CREATE TABLE denied (id int PRIMARY KEY);
CREATE TABLE guarded (id int PRIMARY KEY);
INSERT INTO guarded VALUES (1);
GRANT SELECT ON allowed, guarded TO mirror;
GRANT SELECT (id) ON listed TO mirror;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE PUBLICATION rights FOR TABLE allowed;
SET ROLE mirror;
SELECT tarn.create_pipeline('rights', 'lake', '{rights}', flush_interval => '100 ms');
RESET ROLE;
ALTER PUBLICATION rights ADD TABLE denied, listed (id), guarded;
SQL
wait_for("SELECT count(*) = 4 FROM tarn.tables WHERE pipeline = 'rights' AND state IN ('live', 'stopped')", 'all settled');
is(sql(q{SELECT "table" || ':' || state || coalesce(':' || error, '') FROM tarn.tables WHERE pipeline = 'rights' ORDER BY 1}),
	join("\n", 'allowed:live',
		q{denied:stopped:permission denied for table public.denied: the pipeline's owner "mirror" needs SELECT},
		q{guarded:stopped:table public.guarded has row-level security that applies to the pipeline's owner "mirror"},
		'listed:live'), 'what the owner may not read stops');

# ALTER TABLE between snapshot and scan: an old snapshot would see no rows
sql(<<SQL);
CREATE TABLE long (id int PRIMARY KEY, v text);
INSERT INTO long SELECT i, md5(i::text) FROM generate_series(1, 400000) i;
CREATE TABLE rewritten (id int PRIMARY KEY, v int);
INSERT INTO rewritten SELECT i, i FROM generate_series(1, 1000) i;
ALTER SYSTEM SET tarn.copy_workers = 1;
SELECT pg_reload_conf();
CREATE PUBLICATION altered FOR TABLE long, rewritten;
SELECT tarn.create_pipeline('altered', 'lake', '{altered}', flush_interval => '100 ms');
DO \$\$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		EXIT WHEN EXISTS (SELECT FROM tarn.copy_status() WHERE relid = 'long'::regclass);
		PERFORM pg_sleep(0.01);
	END LOOP;
	ALTER TABLE rewritten ALTER v TYPE text USING 'r' || v;
END
\$\$;
SQL
TarnTest::wait_live($node, 'altered');
like(slurp_file($node->logfile), qr/could not copy table public.rewritten: it was altered meanwhile/, 'noticed');
import_tables(qw(long rewritten));
TarnTest::same($node, 'rewritten', 'lk.rewritten', 'rewritten while it waited for its turn');
TarnTest::same($node, 'long', 'lk.long', 'the table before it');

# A copy worker that is terminated: the copy is tried again, and leaves no file behind
sql(<<SQL);
CREATE TABLE again (id int PRIMARY KEY, v text);
INSERT INTO again SELECT i, md5(i::text) FROM generate_series(1, 400000) i;
CREATE PUBLICATION again FOR TABLE again;
SELECT tarn.create_pipeline('again', 'lake', '{again}', flush_interval => '100 ms');
SQL
wait_for("SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'",
	'a copy worker is terminated');
TarnTest::wait_live($node, 'again');
import_tables('again');
TarnTest::same($node, 'again', 'lk.again', 'copied at the second try');
my @files = glob(TarnTest::directory(TarnTest::warehouse($node, 'lake')) . '/public/again/data/*');
is(scalar(@files), sql("SELECT files FROM tarn.tables WHERE pipeline = 'again'"), 'no file that nobody references');

# The waiting for a running transaction is shown, and ends when the worker is told to
my $open = $node->background_psql($db, on_error_stop => 1);
$open->query_safe('BEGIN');
my $xid = $open->query_safe('SELECT pg_current_xact_id()');
sql(<<SQL);
CREATE TABLE waiting (id int PRIMARY KEY);
INSERT INTO waiting VALUES (1);
ALTER PUBLICATION again ADD TABLE waiting;
SQL
wait_for("SELECT detail = 'copy waits for transaction $xid to end' FROM tarn.pipelines WHERE name = 'again'",
	'the transaction that is waited for is shown');
sql("INSERT INTO again VALUES (0, 'meanwhile')");
wait_for('SELECT count(*) = 400001 FROM lk.again', 'other tables are followed meanwhile');
$open->query_safe('COMMIT');
$open->quit;
TarnTest::wait_live($node, 'again');
import_tables('waiting');
TarnTest::same($node, 'waiting', 'lk.waiting', 'copied when it ended');

# A table that left the publication, changed and came back has missed something: it is copied anew, and says why
sql(<<SQL);
CREATE TABLE absent (id int PRIMARY KEY);
INSERT INTO absent VALUES (1);
ALTER PUBLICATION again ADD TABLE absent;
SQL
wait_for("SELECT state = 'live' FROM tarn.tables WHERE \"table\" = 'absent'", 'copied');
sql(<<SQL);
ALTER PUBLICATION again DROP TABLE absent;
INSERT INTO absent VALUES (2);
ALTER PUBLICATION again ADD TABLE absent;
INSERT INTO absent VALUES (3);
SQL
# the worker may look at the publications when the table is there again, or in between
wait_for(<<SQL, 'what was missed is noticed');
SELECT state = 'live' AND (copy_reason = 'it was changed while it was in none of the publications' OR copy_reason IS NULL)
FROM tarn.tables WHERE "table" = 'absent'
SQL
sql("SELECT tarn.flush('again')");
import_tables('absent');
TarnTest::same($node, 'absent', 'lk.absent', 'nothing is missing');
sql('DROP FOREIGN TABLE lk.absent');
sql('ALTER PUBLICATION again DROP TABLE absent');
wait_for("SELECT NOT EXISTS (SELECT FROM tarn.tables WHERE \"table\" = 'absent')", 'forgotten');
sql('ALTER PUBLICATION again ADD TABLE absent');
wait_for("SELECT state = 'live' FROM tarn.tables WHERE \"table\" = 'absent'", 'published again');
import_tables('absent');
TarnTest::same($node, 'absent', 'lk.absent', 'copied anew');

# Skipped in the middle: the others' copies go on, and nothing stays of it; nor when the server dies then
my $lake = TarnTest::directory(TarnTest::warehouse($node, 'lake'));
my $offset = -s $node->logfile;

sub files_of
{
	my ($table) = @_;

	return scalar(my @there = glob("$lake/public/$table/*/*"));
}

sub stopped_copy
{
	my ($from) = @_;

	ok($node->wait_for_log(qr/failpoint "copy-file-written": process \d+ stops/, $from), 'a copy is under way');
	sql("SELECT tarn.skip('skipping', 'skipped')");
	TarnCrash::disarm($node);
	return;
}

TarnCrash::arm($node, 'copy-file-written=stop:1');
sql(<<SQL);
CREATE TABLE skipped (id int PRIMARY KEY, v text);
INSERT INTO skipped SELECT i, md5(i::text) FROM generate_series(1, 1000) i;
CREATE TABLE beside (id int PRIMARY KEY, v text);
INSERT INTO beside SELECT i, md5(i::text) FROM generate_series(1, 1000) i;
CREATE PUBLICATION skipping FOR TABLE skipped, beside;
SELECT tarn.create_pipeline('skipping', 'lake', '{skipping}', flush_interval => '100 ms', history => true);
SQL
stopped_copy($offset);
TarnCrash::continue_stopped($node);
wait_for("SELECT state = 'live' AND copies = 1 FROM tarn.tables WHERE \"table\" = 'beside'", 'the other table follows');
wait_for("SELECT copy_token IS NULL FROM tarn.pipeline_table WHERE source_table = 'skipped'", 'the copy of the skipped one is given up');
is(join("\n", TarnCrash::troubles($node, $offset)), '', 'no copy failed');
is(files_of($_), 0, "no file in $_") foreach qw(skipped skipped__history);
$offset = -s $node->logfile;
TarnCrash::arm($node, 'copy-file-written=stop:1');
sql("SELECT tarn.resume('skipping', 'skipped')");
stopped_copy($offset);
cmp_ok(files_of('skipped'), '>', 0, 'it has written something');
$node->kill9;
TarnCrash::continue_stopped($node);
TarnCrash::start($node);
wait_for("SELECT copy_token IS NULL FROM tarn.pipeline_table WHERE source_table = 'skipped'", 'what a dead copy left is looked after');
is(files_of($_), 0, "no file in $_") foreach qw(skipped skipped__history);
sql("SELECT tarn.resume('skipping', 'skipped')");
TarnTest::wait_live($node, 'skipping');
import_tables('skipped', 'beside');
TarnTest::same($node, $_, "lk.$_", $_) foreach qw(skipped beside);

# A copy that is being committed has the pipeline locked; a table that is made anew then waits, and the two do not wait for each other
$offset = -s $node->logfile;
sql("SELECT tarn.skip('skipping', 'skipped')");
my $committing = $node->background_psql($db, on_error_stop => 1);
$committing->query_safe("BEGIN; SELECT FROM tarn.pipeline WHERE name = 'skipping' FOR UPDATE");
sql('BEGIN; DROP TABLE skipped; CREATE TABLE skipped (id int PRIMARY KEY); ALTER PUBLICATION skipping ADD TABLE skipped; COMMIT');
wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'tarn pipeline worker' AND wait_event_type = 'Lock'", 'the worker waits');
$committing->query_safe("UPDATE tarn.pipeline_table SET copies = copies WHERE source_table = 'skipped'; COMMIT");
$committing->quit;
TarnTest::wait_live($node, 'skipping');
unlike(substr(slurp_file($node->logfile), $offset), qr/deadlock/, 'no deadlock');

# A table that leaves the publications, or is dropped, before its failed copy is tried again: nothing stays
sql("SELECT tarn.drop_pipeline('skipping', drop_data => true)");
for my $leave ('ALTER PUBLICATION leaving DROP TABLE brief', 'DROP TABLE brief')
{
	my $from = -s $node->logfile;

	TarnCrash::arm($node, 'copy-before-commit=error');
	sql(<<SQL);
CREATE TABLE brief (id int PRIMARY KEY);
INSERT INTO brief VALUES (1);
CREATE PUBLICATION leaving FOR TABLE brief;
SELECT tarn.create_pipeline('leaving', 'lake', '{leaving}', flush_interval => '100 ms', history => true);
SQL
	ok($node->wait_for_log(qr/copy for pipeline "leaving" failed/, $from), "$leave: a copy fails");
	cmp_ok(files_of('brief') + files_of('brief__history'), '>', 0, 'it has written something');
	sql($leave);
	TarnCrash::disarm($node);
	wait_for("SELECT count(*) = 0 FROM tarn.pipeline_table t JOIN tarn.pipeline p ON p.id = t.pipeline_id WHERE p.name = 'leaving'",
		'the table is forgotten');
	is(files_of($_), 0, "no file in $_") foreach qw(brief brief__history);
	is(sql("SELECT count(*) FROM tarn_catalog.iceberg_tables WHERE table_name LIKE 'brief%'"), 0, 'no lake table');
	sql("SELECT tarn.drop_pipeline('leaving')");
	sql("DROP PUBLICATION leaving; DROP TABLE IF EXISTS brief");
}

# Dropped in the middle: nothing stays
sql(<<SQL);
CREATE TABLE gone (id int PRIMARY KEY, v text);
INSERT INTO gone SELECT i, md5(i::text) FROM generate_series(1, 400000) i;
CREATE PUBLICATION gone FOR TABLE gone;
SELECT tarn.create_pipeline('gone', 'lake', '{gone}');
SQL
wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'tarn copy worker'", 'copying');
sql("SELECT tarn.drop_pipeline('gone', drop_data => true)");
wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'tarn copy%'", 'the copy ends with its pipeline');

$node->stop('fast');
done_testing();
