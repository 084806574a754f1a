# Every change of a table's shape, in its place of the stream, also without a row after it: the source, the foreign
# tables, PyIceberg and DuckDB agree after each (I1, I2, I6), while other tables change all the time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(usleep);

my $db = 'postgres';
my $only = $ENV{TARN_ONLY} || '.';
my $node = TarnTest::cluster('ddl', conf => "restart_after_crash = on\nlog_statement = none\ntarn.garbage_grace = 0\nallow_in_place_tablespaces = on\n");
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

# The lake's columns as "id:name:type", required ones with a "!".
sub fields
{
	my ($table) = @_;

	return sql(<<SQL);
SELECT string_agg(format('%s:%s:%s%s', f->>'id', f->>'name', f->>'type', CASE WHEN (f->>'required')::bool THEN '!' END), ' ' ORDER BY n)
FROM ${\ TarnTest::lake_fields($warehouse)} i WHERE i.table_namespace || '.' || i.table_name = '$table'
SQL
}

# Flushes and compares one table everywhere.  Options: copied => how often it must have been copied anew by now,
# fields => its lake columns, columns => what is published of it, where => which rows, pipeline
my %copied;

sub agree
{
	my ($table, $what, %options) = @_;
	my $qualified = $table =~ /\./ ? $table : "public.$table";
	my ($schema, $name) = split /\./, $qualified;
	my $columns = $options{columns} || '*';
	my $source = "(SELECT $columns FROM $qualified WHERE " . ($options{where} || 'true') . ') t';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($node, $options{pipeline} || 'p');
	is(fields($qualified), $options{fields}, "$what: fields") if $options{fields};
	sql('SET client_min_messages = warning', 'DROP SCHEMA IF EXISTS lake CASCADE', 'CREATE SCHEMA lake',
		"IMPORT FOREIGN SCHEMA $schema LIMIT TO ($name) FROM SERVER lake INTO lake");
	TarnTest::same($node, $source, "lake.$name t", $what, $db, 't::text');
	if (!$options{no_engines})
	{
		my $part = $columns ne '*' || $options{where};

		sql('SET client_min_messages = warning', 'DROP SCHEMA IF EXISTS part CASCADE', 'CREATE SCHEMA part', "CREATE VIEW part.$name AS SELECT * FROM $source") if $part;
		TarnTest::engines($node, [ $part ? [ "part.$name", $qualified ] : $qualified ], "$what: engines");
		sql('SET client_min_messages = warning', 'DROP SCHEMA part CASCADE') if $part;
	}
	$copied{$qualified} += $options{copied} || 0;
	is(scalar(my @c = copies($name)), $copied{$qualified}, "$what: copied anew: $copied{$qualified}")
	  or diag(join("\n", copies($name)));
	return;
}

# A table, published and in the lake.
sub mirrored
{
	my ($table, $columns, @more) = @_;

	sql("CREATE TABLE $table ($columns)", @more, "ALTER PUBLICATION p ADD TABLE $table");
	live($table);
	return;
}

sub live
{
	my ($table) = @_;
	my ($schema, $name) = $table =~ /\./ ? split(/\./, $table) : ('public', $table);

	$node->poll_query_until($db, "SELECT count(*) = 1 FROM tarn.tables WHERE schema = '$schema' AND \"table\" = '$name' AND state = 'live'")
	  or die "$table does not become live: " . sql('TABLE tarn.tables') . sql('TABLE tarn.pipelines');
	return;
}

# A table that goes on all the while, with updates and deletes.
sql('CREATE TABLE busy (id bigint PRIMARY KEY, n int, pad text)', 'INSERT INTO busy SELECT i, 0, md5(i::text) FROM generate_series(1, 1000) i');
append_to_file("$PostgreSQL::Test::Utils::tmp_check/busy.sql", <<'SQL');
\set id random(1, 1000)
\set new random(1001, 1000000)
BEGIN;
UPDATE busy SET n = n + 1 WHERE id = :id;
INSERT INTO busy VALUES (:new, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = busy.n + 1;
DELETE FROM busy WHERE id = :new - 1;
COMMIT;
SQL
TarnTest::mirror($node, 'p', tables => ['busy'], arguments => "flush_interval => '200 ms'");
live('busy');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '1', '-R', '100', '-T', '600', '-f', "$PostgreSQL::Test::Utils::tmp_check/busy.sql",
		'-h', $node->host, '-p', $node->port, $db ], '<', \undef, '>', "$PostgreSQL::Test::Utils::log_path/pgbench.log", '2>&1');

sub columns
{
	mirrored('t', 'id int PRIMARY KEY, a text, b int', "INSERT INTO t SELECT i, 'a' || i, i FROM generate_series(1, 100) i");
	agree('t', 'copied', fields => '1:id:int! 2:a:string 3:b:int');
	sql('ALTER TABLE t ADD COLUMN c int');
	agree('t', 'a column is added, and no row follows', fields => '1:id:int! 2:a:string 3:b:int 4:c:int');
	sql("INSERT INTO t VALUES (101, 'x', 1, 7)", 'UPDATE t SET c = 5 WHERE id = 3');
	agree('t', 'rows of the new shape');
	sql('ALTER TABLE t RENAME b TO bb');
	agree('t', 'a column is renamed', fields => '1:id:int! 2:a:string 3:bb:int 4:c:int');
	sql('ALTER TABLE t DROP COLUMN a');
	agree('t', 'a column is dropped', fields => '1:id:int! 3:bb:int 4:c:int');
	sql('ALTER TABLE t ADD COLUMN a int');
	agree('t', 'and added again is another', fields => '1:id:int! 3:bb:int 4:c:int 5:a:int');
	sql('BEGIN', 'INSERT INTO t VALUES (200, 1, 1, 1)', 'UPDATE t SET a = 9 WHERE id = 1', 'ALTER TABLE t ADD COLUMN d text',
		"INSERT INTO t VALUES (201, 2, 2, 2, 'd')", "UPDATE t SET d = 'one' WHERE id = 1", 'ALTER TABLE t DROP COLUMN c',
		'DELETE FROM t WHERE id = 2', "UPDATE t SET d = 'two' WHERE id = 200", 'COMMIT');
	agree('t', 'within a transaction, between rows', fields => '1:id:int! 3:bb:int 5:a:int 6:d:string');
	sql('BEGIN', 'ALTER TABLE t ADD COLUMN e int', 'UPDATE t SET e = 1', 'ALTER TABLE t DROP COLUMN e', 'ALTER TABLE t ADD COLUMN e text', "UPDATE t SET e = 'e' WHERE id < 9", 'COMMIT');
	agree('t', 'added, dropped and added within a transaction', fields => '1:id:int! 3:bb:int 5:a:int 6:d:string 8:e:string');
	sql('BEGIN', 'ALTER TABLE t ADD COLUMN undone int', 'UPDATE t SET undone = 1', 'ROLLBACK',
		'BEGIN', 'INSERT INTO t (id) VALUES (300)', 'SAVEPOINT s', 'ALTER TABLE t DROP COLUMN a', 'ALTER TABLE t RENAME d TO dd', 'INSERT INTO t (id, dd) VALUES (301, 1)',
		'ROLLBACK TO s', 'ALTER TABLE t ADD COLUMN f int', 'INSERT INTO t (id, f) VALUES (302, 2)', 'COMMIT');
	agree('t', 'what was rolled back did not happen', fields => '1:id:int! 3:bb:int 5:a:int 6:d:string 8:e:string 9:f:int');
	sql('ALTER TABLE t RENAME a TO swap', 'ALTER TABLE t RENAME bb TO a', 'ALTER TABLE t RENAME swap TO bb');
	agree('t', 'two columns change names', fields => '1:id:int! 3:a:int 5:bb:int 6:d:string 8:e:string 9:f:int');
	sql('ALTER TABLE t ALTER id SET STATISTICS 10', "COMMENT ON COLUMN t.a IS 'a'", 'CREATE INDEX ON t (a)', 'ANALYZE t');
	agree('t', 'what does not change the shape', fields => '1:id:int! 3:a:int 5:bb:int 6:d:string 8:e:string 9:f:int');
	return;
}

sub defaults
{
	mirrored('d', 'id int PRIMARY KEY', 'INSERT INTO d SELECT generate_series(1, 100)');
	sql('ALTER TABLE d ADD COLUMN a int DEFAULT 42');
	agree('d', 'a constant default', copied => 1);
	sql('INSERT INTO d VALUES (101)', 'ALTER TABLE d ALTER a SET DEFAULT 43', 'INSERT INTO d VALUES (102)', 'ALTER TABLE d ALTER a DROP DEFAULT', 'INSERT INTO d VALUES (103)');
	agree('d', 'a default that changes');
	sql('ALTER TABLE d ADD COLUMN b float8 DEFAULT random()');
	agree('d', 'a volatile default', copied => 1);
	sql('ALTER TABLE d ADD COLUMN c int GENERATED ALWAYS AS IDENTITY');
	agree('d', 'an identity column', copied => 1);
	sql('ALTER TABLE d ADD COLUMN e text DEFAULT NULL');
	agree('d', 'a default of null');
	sql('BEGIN', 'INSERT INTO d (id) VALUES (200)', "ALTER TABLE d ADD COLUMN f text DEFAULT 'f'", 'INSERT INTO d (id) VALUES (201)', "UPDATE d SET f = 'g' WHERE id = 5", 'COMMIT');
	agree('d', 'a default between rows', copied => 1);
	sql('ALTER TABLE d ADD COLUMN g int GENERATED ALWAYS AS (id * 2) STORED');
	agree('d', 'a generated column is not published', copied => 1, columns => 'id, a, b, c, e, f');
	sql('ALTER TABLE d ALTER g DROP EXPRESSION');
	agree('d', 'and is, as an ordinary one', copied => 1);
	like(join("\n", copies('d')), qr/column "a" was added with a value for the rows that were there/, 'the log says why');
	is(sql(q(SELECT copy_reason FROM tarn.tables WHERE "table" = 'd')), 'column "g" is mirrored now and was not before', 'the view, too');
	return;
}

sub types
{
	mirrored('w', 'id int PRIMARY KEY, s smallint, f real, n numeric(8,2), v varchar(10), c char(5), x int',
		"INSERT INTO w SELECT i, i, i / 3.0, i / 7.0, 'v' || i, 'c' || i % 10, i FROM generate_series(1, 50) i");
	agree('w', 'before', fields => '1:id:int! 2:s:int 3:f:float 4:n:decimal(8, 2) 5:v:string 6:c:string 7:x:int');
	sql('ALTER TABLE w ALTER x TYPE bigint');
	agree('w', 'int to bigint', fields => '1:id:int! 2:s:int 3:f:float 4:n:decimal(8, 2) 5:v:string 6:c:string 7:x:long');
	sql("UPDATE w SET x = 1e15::bigint WHERE id % 2 = 0", 'INSERT INTO w (id, x) VALUES (100, -1)');
	agree('w', 'large values');
	sql('ALTER TABLE w ALTER id TYPE bigint');
	sql("UPDATE w SET s = s + 1 WHERE id < 10", 'DELETE FROM w WHERE id = 11', 'INSERT INTO w (id) VALUES (5000000000)');
	agree('w', 'the key, too', fields => '1:id:long! 2:s:int 3:f:float 4:n:decimal(8, 2) 5:v:string 6:c:string 7:x:long');
	sql('ALTER TABLE w ALTER s TYPE int, ALTER f TYPE float8, ALTER n TYPE numeric(30,2)');
	agree('w', 'several at once', fields => '1:id:long! 2:s:int 3:f:double 4:n:decimal(30, 2) 5:v:string 6:c:string 7:x:long');
	sql("INSERT INTO w (id, s, f, n) VALUES (101, 100000, 1e300, 12345678901234567890.12)", 'UPDATE w SET f = f / 3, n = n / 3 WHERE id % 5 = 0');
	agree('w', 'values of the wider types');
	sql('ALTER TABLE w ALTER v TYPE varchar(20)', 'ALTER TABLE w ALTER v TYPE text', "INSERT INTO w (id, v) VALUES (102, repeat('v', 1000))");
	agree('w', 'varchar to text');
	sql('ALTER TABLE w ALTER x TYPE bigint USING x + 1');
	agree('w', 'the same type computed', copied => 1);
	sql("ALTER TABLE w ALTER v TYPE text USING v || '!'");
	agree('w', 'text computed', copied => 1);
	sql('ALTER TABLE w ALTER c TYPE text');
	agree('w', 'char(n) to text', copied => 1);
	sql('ALTER TABLE w ALTER x TYPE text');
	agree('w', 'a type no reader promotes', copied => 1);
	sql('BEGIN', "INSERT INTO w (id, s) VALUES (900, 9)", 'ALTER TABLE w ALTER s TYPE date USING current_date + s % 100', "UPDATE w SET s = '2020-02-02' WHERE id = 7", 'COMMIT');
	agree('w', 'between rows', copied => 1);
	like(fields('public.w'), qr/:s:date/, 'the new type');
	sql('ALTER TABLE w ALTER n TYPE numeric(30,4)');
	agree('w', 'a larger scale', copied => 1);

	# a float that is part of what a row is found by
	mirrored('wf', 'f real PRIMARY KEY, v int', 'INSERT INTO wf SELECT i / 3.0, i FROM generate_series(1, 50) i');
	mirrored('wg', 'f real, v int', 'ALTER TABLE wg REPLICA IDENTITY FULL', 'INSERT INTO wg SELECT i / 3.0, i FROM generate_series(1, 50) i');
	agree($_, "$_: before") foreach qw(wf wg);
	sql('BEGIN', map({ ("UPDATE $_ SET v = -v WHERE v % 3 = 0", "INSERT INTO $_ VALUES (1000.7, 1000)", "ALTER TABLE $_ ALTER f TYPE float8",
				"UPDATE $_ SET v = v + 1000 WHERE v % 2 = 0", "DELETE FROM $_ WHERE v % 5 = 0") } qw(wf wg)), 'COMMIT');
	agree($_, "$_: a float that rows are found by") foreach qw(wf wg);
	sql(map { ("UPDATE $_ SET v = 7 WHERE v % 7 = 0", "DELETE FROM $_ WHERE v < 0") } qw(wf wg));
	agree($_, "$_: and after it") foreach qw(wf wg);
	mirrored('wl', 'l real[], m int[], n numeric(8,2), s numeric(4,1), v int', 'ALTER TABLE wl REPLICA IDENTITY FULL',
		'INSERT INTO wl SELECT ARRAY[i / 2.0, NULL], ARRAY[i, NULL], i / 7.0, i / 7.0, i FROM generate_series(1, 50) i');
	agree('wl', 'wl: before');
	sql('BEGIN', 'UPDATE wl SET v = -v WHERE v % 3 = 0', 'ALTER TABLE wl ALTER n TYPE numeric(30,2), ALTER s TYPE numeric(12,1)',
		'UPDATE wl SET v = v + 1000 WHERE v % 2 = 0', 'DELETE FROM wl WHERE v % 5 = 0', 'COMMIT');
	agree('wl', 'wl: rows are found by all of their columns');
	sql('UPDATE wl SET v = 7 WHERE v % 7 = 0', 'DELETE FROM wl WHERE v < 0');
	agree('wl', 'wl: and after it');
	sql('BEGIN', 'UPDATE wl SET v = -v WHERE v % 3 = 0', 'ALTER TABLE wl ALTER l TYPE float8[], ALTER m TYPE bigint[]', 'UPDATE wl SET v = v + 1000 WHERE v % 2 = 0', 'COMMIT');
	agree('wl', 'wl: what arrays consist of', copied => 1);
	return;
}

sub constraints
{
	mirrored('n', 'id int PRIMARY KEY, a int NOT NULL, b int', 'INSERT INTO n SELECT i, i, i FROM generate_series(1, 20) i');
	agree('n', 'before', fields => '1:id:int! 2:a:int! 3:b:int');
	sql('ALTER TABLE n ALTER a DROP NOT NULL', 'INSERT INTO n VALUES (100, NULL, 1)');
	agree('n', 'DROP NOT NULL', fields => '1:id:int! 2:a:int 3:b:int');
	sql('UPDATE n SET a = 0 WHERE a IS NULL', 'ALTER TABLE n ALTER a SET NOT NULL', 'ALTER TABLE n ALTER b SET NOT NULL', 'INSERT INTO n VALUES (101, 1, 1)');
	agree('n', 'SET NOT NULL', fields => '1:id:int! 2:a:int 3:b:int');
	sql('ALTER TABLE n DROP CONSTRAINT n_pkey, ADD PRIMARY KEY (a, b, id)', 'UPDATE n SET b = b + 1 WHERE id = 5', 'DELETE FROM n WHERE id = 6', 'INSERT INTO n VALUES (102, 2, 2)');
	agree('n', 'another primary key');
	sql('BEGIN', 'UPDATE n SET b = -1 WHERE id = 7', 'DELETE FROM n WHERE id = 8', 'ALTER TABLE n DROP CONSTRAINT n_pkey, ADD PRIMARY KEY (id)',
		'UPDATE n SET b = -2 WHERE id = 7', 'DELETE FROM n WHERE id = 9', 'UPDATE n SET id = 1000 WHERE id = 10', 'COMMIT');
	agree('n', 'another key between rows');
	sql('ALTER TABLE n REPLICA IDENTITY FULL', 'UPDATE n SET b = 77 WHERE id = 12', 'DELETE FROM n WHERE id = 13');
	agree('n', 'replica identity full');
	sql('ALTER TABLE n ADD COLUMN c text', "UPDATE n SET c = 'c' WHERE id = 14", 'DELETE FROM n WHERE id IN (14, 15)');
	agree('n', 'and a column more');
	sql('CREATE UNIQUE INDEX n_key ON n (a, id)', 'ALTER TABLE n REPLICA IDENTITY USING INDEX n_key', 'UPDATE n SET b = 78 WHERE id = 16', 'DELETE FROM n WHERE id = 17');
	agree('n', 'replica identity index');
	sql('ALTER TABLE n REPLICA IDENTITY DEFAULT', 'UPDATE n SET b = 79 WHERE id = 18', 'ALTER TABLE n DROP CONSTRAINT n_pkey', 'DROP INDEX n_key', 'INSERT INTO n VALUES (18, 0, 0)', 'INSERT INTO n VALUES (18, 0, 0)');
	agree('n', 'no key any more: rows may still come');
	sql('ALTER TABLE n REPLICA IDENTITY FULL', 'DELETE FROM n WHERE ctid = (SELECT min(ctid) FROM n WHERE id = 18)');
	agree('n', 'a delete takes exactly one');
	return;
}

sub names
{
	mirrored('o', 'id int PRIMARY KEY, a int', 'INSERT INTO o SELECT i, i FROM generate_series(1, 20) i');
	mirrored('q', 'id int PRIMARY KEY, b text', "INSERT INTO q SELECT i, 'q' FROM generate_series(1, 30) i");
	sql('INSERT INTO o VALUES (100, 1)', 'ALTER TABLE o RENAME TO oo', 'INSERT INTO oo VALUES (101, 1)');
	agree('oo', 'a table is renamed');
	is(sql(q(SELECT string_agg(format('%s.%s=%s.%s', schema, "table", lake_namespace, lake_table), ' ') FROM tarn.tables WHERE "table" IN ('o', 'oo'))),
		'public.oo=public.oo', 'the view says so');
	sql('CREATE SCHEMA other', 'ALTER TABLE oo SET SCHEMA other');
	agree('other.oo', 'and moved');
	sql('ALTER SCHEMA other RENAME TO another');
	agree('another.oo', 'its schema is renamed');
	sql('BEGIN', 'ALTER TABLE another.oo SET SCHEMA public', 'ALTER TABLE q RENAME TO tmp', 'ALTER TABLE oo RENAME TO q', 'ALTER TABLE tmp RENAME TO oo', 'INSERT INTO q VALUES (200, 2)', "INSERT INTO oo VALUES (200, 'qq')", 'COMMIT');
	$copied{'public.oo'} = $copied{'public.q'} = 0;
	agree('oo', 'two tables change names');
	agree('q', 'the other');
	sql('UPDATE q SET a = 5 WHERE id < 5', 'DELETE FROM oo WHERE id < 5');
	agree('oo', 'and go on');
	agree('q', 'the other');
	return;
}

sub rewrites
{
	mirrored('r', 'id int PRIMARY KEY, a text, b text', "INSERT INTO r SELECT i, 'a', repeat(md5(i::text), 200) FROM generate_series(1, 100) i");
	sql("ALTER TABLE r ALTER b SET STORAGE EXTERNAL", "CREATE TABLESPACE here LOCATION ''");
	my $n = 0;
	foreach my $command ('VACUUM FULL r', 'CLUSTER r USING r_pkey', 'ALTER TABLE r SET TABLESPACE here', 'REINDEX TABLE r', 'ALTER TABLE r SET (fillfactor = 50)', 'VACUUM FULL r')
	{
		$n++;
		sql("INSERT INTO r VALUES (1000 + $n, 'i', repeat('x', 5000))", "UPDATE r SET a = a || $n WHERE id % 3 = 0", $command, "UPDATE r SET a = a || $n WHERE id % 5 = 0", "DELETE FROM r WHERE id = $n");
		agree('r', $command, no_engines => $n > 3);
	}
	# a value out of line is carried over from a file of an older shape
	sql('ALTER TABLE r ADD COLUMN c int', 'UPDATE r SET c = 1 WHERE id % 2 = 0', 'BEGIN', 'UPDATE r SET c = 2', 'ALTER TABLE r RENAME b TO bb', 'ALTER TABLE r ADD COLUMN d int', 'UPDATE r SET d = c', 'COMMIT');
	agree('r', 'unchanged values out of line');
	return;
}

# Partitions of a table that is published as itself, and of one whose partitions are.
sub partitions
{
	my %v = (pipeline => 'v');

	sql('CREATE TABLE root (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k)',
		'CREATE TABLE root1 PARTITION OF root FOR VALUES IN (1)', 'CREATE TABLE root2 PARTITION OF root FOR VALUES IN (2)',
		'CREATE TABLE root9 PARTITION OF root FOR VALUES IN (8, 9) PARTITION BY LIST (k)', 'CREATE TABLE root91 PARTITION OF root9 FOR VALUES IN (8)',
		'CREATE TABLE root92 PARTITION OF root9 FOR VALUES IN (9)',
		"INSERT INTO root SELECT i, k, 'v' || i FROM generate_series(1, 20) i, unnest('{1, 2, 8, 9}'::int[]) k",
		'CREATE PUBLICATION v FOR TABLE root WITH (publish_via_partition_root)',
		"SELECT tarn.create_pipeline('v', 'lake', '{v}', flush_interval => '200 ms')");
	live('root');
	agree('root', 'a partitioned table', %v);
	sql('CREATE TABLE root3 PARTITION OF root FOR VALUES IN (3)', 'INSERT INTO root SELECT i, 3 FROM generate_series(1, 20) i', 'UPDATE root SET k = 3, id = id + 1000 WHERE k = 1 AND id < 4');
	agree('root', 'a new partition', %v);
	sql('CREATE TABLE root4 (v text, hole int, k int NOT NULL, id int NOT NULL)', 'ALTER TABLE root4 DROP hole', 'ALTER TABLE root ATTACH PARTITION root4 FOR VALUES IN (4)', 'INSERT INTO root VALUES (1, 4, 4)');
	agree('root', 'one attached empty', %v);
	sql('CREATE TABLE root5 (v text, k int NOT NULL, id int NOT NULL)', "INSERT INTO root5 SELECT 'before', 5, i FROM generate_series(1, 9) i",
		'ALTER TABLE root ATTACH PARTITION root5 FOR VALUES IN (5)', 'INSERT INTO root VALUES (100, 5)');
	agree('root', 'one attached with rows', %v, copied => 1);
	sql('INSERT INTO root VALUES (101, 1)', 'ALTER TABLE root DETACH PARTITION root5', 'INSERT INTO root5 VALUES (NULL, 5, 3000)', 'INSERT INTO root VALUES (102, 1)');
	agree('root', 'detached', %v, copied => 1);
	sql('ALTER TABLE root DETACH PARTITION root4 CONCURRENTLY');
	agree('root', 'detached concurrently', %v, copied => 1);
	sql('DROP TABLE root3');
	agree('root', 'dropped', %v, copied => 1);
	sql('DROP TABLE root92');
	agree('root', 'a partition of a partition', %v, copied => 1);
	sql('TRUNCATE root2');
	agree('root', 'truncated', %v, copied => 1);
	sql('ALTER TABLE root ADD COLUMN w int', 'UPDATE root SET w = id WHERE k = 8', 'ALTER TABLE root ALTER w TYPE bigint', 'INSERT INTO root (id, k, w) VALUES (500, 1, 5000000000)', 'ALTER TABLE root RENAME v TO vv');
	agree('root', 'columns of all of them', %v);
	sql('INSERT INTO root (id, k) VALUES (501, 1)', "ALTER TABLE root ADD COLUMN d text DEFAULT 'known'", 'INSERT INTO root (id, k, d) VALUES (502, 8, NULL)');
	agree('root', 'a column with a value for the rows that are there', %v, copied => 1);
	sql('ALTER TABLE root ADD COLUMN e int', 'ALTER TABLE root ALTER e SET DEFAULT 5', 'INSERT INTO root (id, k) VALUES (503, 1)');
	agree('root', 'and one without', %v);

	sql('INSERT INTO root (id, k) VALUES (601, 2)', 'ALTER TABLE root2 SET UNLOGGED', 'INSERT INTO root (id, k) VALUES (602, 2)', 'INSERT INTO root (id, k) VALUES (602, 1)');
	agree('root', 'an unlogged partition is left out', %v, where => 'k <> 2', copied => 1);
	sql('BEGIN', 'INSERT INTO root (id, k) VALUES (603, 1)', 'ALTER TABLE root2 SET LOGGED', 'INSERT INTO root (id, k) VALUES (603, 2)', 'COMMIT');
	agree('root', 'and is there when it is logged', %v, copied => 1);

	# what is done while the root is away
	my @away = ([ 'rows of a partition', 'INSERT INTO root (id, k) VALUES (700, 1)' ],
		[ 'a partition that is attached with rows', 'ALTER TABLE root ATTACH PARTITION root7 FOR VALUES IN (7)' ],
		[ 'a partition of a partition that is attached with rows', 'ALTER TABLE root9 ATTACH PARTITION root92 FOR VALUES IN (9)' ],
		[ 'a partition that goes, changes and comes back', 'ALTER TABLE root DETACH PARTITION root7', 'TRUNCATE root7', 'ALTER TABLE root ATTACH PARTITION root7 FOR VALUES IN (7)' ]);

	sql('CREATE TABLE root7 (LIKE root)', 'INSERT INTO root7 (id, k) VALUES (1, 7)', 'CREATE TABLE root92 (LIKE root)', 'INSERT INTO root92 (id, k) VALUES (1, 9)');
	foreach my $case (@away)
	{
		my ($what, @commands) = @$case;

		sql('BEGIN', 'ALTER PUBLICATION v DROP TABLE root', @commands, 'ALTER PUBLICATION v ADD TABLE root', 'COMMIT');
		agree('root', "$what while the root was away", %v, copied => 1);
	}
	sql('BEGIN', 'ALTER PUBLICATION v SET (publish_via_partition_root = false)', 'INSERT INTO root (id, k) VALUES (701, 1)', 'ALTER PUBLICATION v SET (publish_via_partition_root = true)', 'COMMIT');
	agree('root', 'rows of a partition that was published as itself', %v, copied => 1);
	sql('DROP TABLE root7, root92');
	agree('root', 'and dropped', %v, copied => 1);

	sql('ALTER PUBLICATION v SET (publish_via_partition_root = false)', "INSERT INTO root (id, k) VALUES (600, 1)");
	live('root1');
	agree('root1', 'partitions by themselves', %v);
	is(sql(q(SELECT string_agg("table", ' ' ORDER BY "table") FROM tarn.tables WHERE pipeline = 'v')), 'root1 root2 root91', 'and not their root');
	sql('CREATE TABLE root6 PARTITION OF root FOR VALUES IN (6)', 'INSERT INTO root (id, k) VALUES (1, 6)');
	live('root6');
	agree('root6', 'a new one', %v);
	sql('CREATE TABLE root7 (LIKE root INCLUDING INDEXES)', 'CREATE TABLE root8 (LIKE root INCLUDING INDEXES)', 'INSERT INTO root8 (id, k) VALUES (1, 12)',
		'CREATE TABLE root10 (LIKE root INCLUDING INDEXES) PARTITION BY LIST (k)', 'CREATE TABLE root101 PARTITION OF root10 FOR VALUES IN (13)', 'INSERT INTO root10 (id, k) VALUES (1, 13)',
		'ALTER TABLE root ATTACH PARTITION root7 FOR VALUES IN (11)', 'ALTER TABLE root ATTACH PARTITION root8 FOR VALUES IN (12)', 'ALTER TABLE root ATTACH PARTITION root10 FOR VALUES IN (13)',
		'INSERT INTO root (id, k) VALUES (2, 11), (2, 12), (2, 13)');
	foreach my $partition (qw(root7 root8 root101))
	{
		live($partition);
		agree($partition, "$partition is attached", %v);
	}
	sql('INSERT INTO root (id, k) VALUES (3, 12)', 'ALTER TABLE root DETACH PARTITION root8 CONCURRENTLY', 'INSERT INTO root8 (id, k) VALUES (4, 12)');
	TarnTest::flush($node, 'v');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'root8')) or die;
	agree('root8', 'one that is detached concurrently stays in the lake as it was', %v, where => 'id < 4', no_engines => 1);
	sql('ALTER TABLE root DETACH PARTITION root7', 'ALTER TABLE root DETACH PARTITION root10', 'DROP TABLE root7, root8, root10');
	sql('INSERT INTO root (id, k) VALUES (2, 6)', 'ALTER TABLE root DETACH PARTITION root6', 'INSERT INTO root6 (id, k) VALUES (3, 6)', 'DROP TABLE root1');
	TarnTest::flush($node, 'v');
	$node->poll_query_until($db, q(SELECT count(*) = 2 FROM tarn.tables WHERE pipeline = 'v')) or die;
	agree('root6', 'a detached one stays in the lake as it was', %v, where => 'id < 3', no_engines => 1);
	sql('ALTER PUBLICATION v SET (publish_via_partition_root = true)');
	live('root');
	agree('root', 'the root again', %v);
	sql("SELECT tarn.drop_pipeline('v')");
	return;
}

# What is published, of which the stream tells in its order.
sub publications
{
	mirrored('pub', 'id int PRIMARY KEY, a int, b text', "INSERT INTO pub SELECT i, i % 10, 'b' || i FROM generate_series(1, 100) i");
	sql('INSERT INTO pub VALUES (200, 1)', 'ALTER PUBLICATION p DROP TABLE pub', 'INSERT INTO pub VALUES (201, 1)');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'pub')) or die;
	agree('pub', 'taken out: as it was then', where => 'id <> 201');
	sql('ALTER PUBLICATION p ADD TABLE pub');
	live('pub');
	agree('pub', 'and in again');
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE pub', 'ALTER PUBLICATION p ADD TABLE pub (id, a)', 'COMMIT', 'INSERT INTO pub VALUES (300, 3, 3)');
	agree('pub', 'a column list', columns => 'id, a', fields => '1:id:int! 2:a:int');
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE pub', 'ALTER PUBLICATION p ADD TABLE pub', 'COMMIT', 'UPDATE pub SET b = id WHERE id < 20');
	agree('pub', 'all columns again', copied => 1);
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE pub', 'ALTER PUBLICATION p ADD TABLE pub WHERE (id > 10)', 'COMMIT', 'DELETE FROM pub WHERE id IN (5, 15)');
	agree('pub', 'a row filter', where => 'id > 10', copied => 1);
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE pub', 'ALTER PUBLICATION p ADD TABLE pub WHERE   (id > 10)', 'COMMIT', 'UPDATE pub SET a = 3 WHERE id IN (6, 16)');
	agree('pub', 'the same one', where => 'id > 10');
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE pub', 'ALTER PUBLICATION p ADD TABLE pub WHERE (id > 50)', 'COMMIT');
	agree('pub', 'another one', where => 'id > 50', copied => 1);
	sql("ALTER PUBLICATION p SET (publish = 'insert, update')", 'DELETE FROM pub WHERE id = 60', 'UPDATE pub SET a = 4 WHERE id = 61');
	TarnTest::flush($node, 'p');
	is(sql('SELECT string_agg(a::text, $$ $$ ORDER BY id) FROM lake.pub WHERE id IN (60, 61)'), '0 4', 'no deletes');
	sql("ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')");
	agree('pub', 'deletes again', where => 'id > 50', copied => 1);
	# all the others, too
	$copied{'public.busy'}++;
	sql('CREATE TABLE made (id int PRIMARY KEY)', 'INSERT INTO made SELECT generate_series(1, 20)',
		'CREATE PUBLICATION m FOR TABLE made', "SELECT tarn.create_pipeline('m', 'lake', '{m}', flush_interval => '200 ms')");
	live('made');
	sql('BEGIN', 'DROP PUBLICATION m', 'CREATE PUBLICATION m FOR TABLE made WHERE (id > 10)', 'COMMIT');
	agree('made', 'a publication that is made anew', pipeline => 'm', where => 'id > 10', copied => 1);
	sql("SELECT tarn.drop_pipeline('m')");
	return;
}

# What leaves the publications and comes back has missed what was done meanwhile, whether rows told of it or not.
sub away
{
	my $id = 1000;

	mirrored('aw', 'id int PRIMARY KEY, x bigint, f float8', 'INSERT INTO aw SELECT i, i, i / 3.0 FROM generate_series(1, 20) i');
	foreach my $case (
		[ 'rows computed', 'ALTER TABLE aw ALTER x TYPE bigint USING x + 1' ],
		[ 'types there and back', 'ALTER TABLE aw ALTER f TYPE real', 'ALTER TABLE aw ALTER f TYPE float8' ],
		[ 'an insert', 'INSERT INTO aw VALUES (500, 5)' ],
		[ 'a truncate', 'TRUNCATE aw', 'INSERT INTO aw SELECT i, i, i / 3.0 FROM generate_series(1, 20) i' ])
	{
		my ($what, @commands) = @$case;

		foreach my $together (1, 0)
		{
			$id++;
			$node->safe_psql($db, join(";\n", "INSERT INTO aw VALUES ($id, 1)", ($together ? 'BEGIN' : ()), 'ALTER PUBLICATION p DROP TABLE aw', @commands,
					'ALTER PUBLICATION p ADD TABLE aw', ($together ? 'COMMIT' : ()), 'INSERT INTO busy VALUES (-1) ON CONFLICT DO NOTHING'));
			if (!$together)
			{
				# the worker may have seen it go
				live('aw');
				TarnTest::flush($node, 'p');
				$copied{'public.aw'} = () = copies('aw');
			}
			agree('aw', "$what while it was away, in " . ($together ? 'one transaction' : 'several'), copied => $together);
			sql('DELETE FROM aw WHERE id = 500', "INSERT INTO aw VALUES (-$id)");
		}
	}
	sql('BEGIN', 'ALTER PUBLICATION p DROP TABLE aw', 'ALTER PUBLICATION p ADD TABLE aw', 'COMMIT', 'INSERT INTO aw VALUES (7777)');
	agree('aw', 'away, and nothing happened');
	return;
}

# A table whose lake table is another's stops alone.
sub conflicts
{
	my %k = (pipeline => 'k');
	my $error = q(SELECT error FROM tarn.tables WHERE pipeline = 'k' AND state = 'stopped');

	sql('CREATE TABLE ka (id int PRIMARY KEY)', 'CREATE TABLE kb (id int PRIMARY KEY)', 'CREATE TABLE kc (id int PRIMARY KEY)', 'CREATE PUBLICATION k FOR TABLE ka',
		"SELECT tarn.create_pipeline('k', 'lake', '{k}', flush_interval => '200 ms')");
	mirrored('kd', 'id int PRIMARY KEY', 'INSERT INTO kd VALUES (1)');
	live('ka');
	sql('ALTER PUBLICATION k ADD TABLE kd, kb');
	live('kb');
	sql('INSERT INTO ka VALUES (1)', 'INSERT INTO kb VALUES (1)', 'INSERT INTO kd VALUES (2)');
	agree('ka', 'a table that another pipeline has comes: the others go on', %k);
	agree('kb', 'one that comes with it', %k);
	agree('kd', 'and the table itself, in its pipeline');
	is(sql($error), q{lake table "public.kd" of lake "lake" is already written by pipeline "p"; publish the table in one of the pipelines only, then run: SELECT tarn.resume('k')}, 'it is stopped');
	is(sql(q(SELECT lake_namespace IS NULL AND lake_table IS NULL FROM tarn.tables WHERE pipeline = 'k' AND "table" = 'kd')), 't', 'and has no lake table');
	sql("SELECT tarn.resume('k')");
	TarnTest::flush($node, 'k');
	like(sql($error), qr/is already written by pipeline "p"/, 'resumed in vain');
	sql('ALTER PUBLICATION p DROP TABLE kd');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE pipeline = 'p' AND "table" = 'kd')) or die;
	sql("SELECT tarn.resume('k')", 'INSERT INTO kd VALUES (3)');
	agree('kd', 'resumed when it is in one pipeline only', %k);

	# a lake table kc is there, so that of ka keeps its name
	sql('ALTER PUBLICATION k ADD TABLE kc');
	live('kc');
	sql('ALTER PUBLICATION k DROP TABLE kc');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'kc')) or die;
	sql('DROP TABLE kc', 'ALTER TABLE ka RENAME TO kc', 'INSERT INTO kc VALUES (2)');
	TarnTest::flush($node, 'k');
	is(sql(q(SELECT lake_table FROM tarn.tables WHERE "table" = 'kc')), 'ka', 'a lake table keeps its name');
	sql('CREATE TABLE ka (id int PRIMARY KEY)', 'INSERT INTO ka VALUES (7)', 'ALTER PUBLICATION k ADD TABLE ka');
	$node->poll_query_until($db, q(SELECT count(*) = 1 FROM tarn.tables WHERE pipeline = 'k' AND state = 'stopped')) or die;
	is(sql($error), q{lake table "public.ka" is that of table public.kc, which was renamed; give this table another name, then run: SELECT tarn.resume('k')}, 'a table that takes the old name is stopped');
	sql('ALTER TABLE ka RENAME TO ke', "SELECT tarn.resume('k')");
	live('ke');
	agree('ke', 'and resumed under another', %k);
	sql("SELECT tarn.drop_pipeline('k', drop_data => true)");
	return;
}

# A table that becomes unlogged, which only publications of all tables, or of a schema's, allow.
sub unlogged
{
	my %l = (pipeline => 'l');

	sql('CREATE SCHEMA logged', 'CREATE TABLE logged.lt (id int PRIMARY KEY, a int)', 'INSERT INTO logged.lt SELECT i, i FROM generate_series(1, 10) i',
		'CREATE PUBLICATION l FOR TABLES IN SCHEMA logged', "SELECT tarn.create_pipeline('l', 'lake', '{l}', flush_interval => '200 ms')");
	live('logged.lt');
	sql('BEGIN', 'INSERT INTO logged.lt VALUES (98, 1)', 'ALTER TABLE logged.lt SET UNLOGGED', 'INSERT INTO logged.lt VALUES (99, 1)', 'ALTER TABLE logged.lt SET LOGGED', 'INSERT INTO logged.lt VALUES (100, 1)', 'COMMIT');
	agree('logged.lt', 'unlogged within a transaction', %l, copied => 1);
	sql('ALTER TABLE logged.lt SET UNLOGGED', 'INSERT INTO logged.lt VALUES (199, 1)', 'ALTER TABLE logged.lt SET LOGGED');
	live('logged.lt');
	TarnTest::flush($node, 'l');
	$copied{'logged.lt'} = () = copies('lt');
	agree('logged.lt', 'unlogged for a moment', %l);
	sql('INSERT INTO logged.lt VALUES (300, 1)', 'ALTER TABLE logged.lt SET UNLOGGED', 'INSERT INTO logged.lt VALUES (301, 1)');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE pipeline = 'l')) or die;
	agree('logged.lt', 'unlogged: as it was then', %l, where => 'id <> 301');
	sql('ALTER TABLE logged.lt SET LOGGED');
	live('logged.lt');
	agree('logged.lt', 'and logged again', %l);
	sql(map { "ALTER EVENT TRIGGER tarn_note_$_ DISABLE" } qw(command drop rewrite));
	sql('BEGIN', 'ALTER TABLE logged.lt SET UNLOGGED', 'INSERT INTO logged.lt VALUES (401, 1)', 'ALTER TABLE logged.lt SET LOGGED', 'COMMIT');
	sql(map { "ALTER EVENT TRIGGER tarn_note_$_ ENABLE ALWAYS" } qw(command drop rewrite));
	agree('logged.lt', 'unlogged, and no trigger has told', %l, copied => 1);
	sql("SELECT tarn.drop_pipeline('l')");
	return;
}

# A table that is dropped, and another of its name.
sub recreation
{
	my %s = (pipeline => 's');

	sql('CREATE SCHEMA app', 'CREATE TABLE app.x (id int PRIMARY KEY, a int)', 'INSERT INTO app.x SELECT i, i FROM generate_series(1, 10) i',
		'CREATE TABLE app.y (id int PRIMARY KEY)', 'INSERT INTO app.y VALUES (1)',
		'CREATE PUBLICATION s FOR TABLES IN SCHEMA app', "SELECT tarn.create_pipeline('s', 'lake', '{s}', flush_interval => '200 ms')");
	live('app.x');
	live('app.y');
	agree('app.x', 'published with its schema', %s);
	sql('INSERT INTO app.x VALUES (100, 1)', 'DROP TABLE app.x');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE schema = 'app' AND "table" = 'x')) or die;
	is(sql('SELECT count(*), max(id) FROM lake.x'), '11|100', 'dropped: its data stays, with the last rows');
	sql('CREATE TABLE app.x (a text, id bigint PRIMARY KEY)', "INSERT INTO app.x VALUES ('new', 1)");
	live('app.x');
	agree('app.x', 'made again', %s);
	like(fields('app.x'), qr/^\d+:a:string \d+:id:/, 'with its own columns');
	sql('BEGIN', 'INSERT INTO app.x VALUES (NULL, 2)', 'DROP TABLE app.x', 'CREATE TABLE app.x (id bigint PRIMARY KEY, b int)', 'INSERT INTO app.x VALUES (7, 7)', 'COMMIT', 'INSERT INTO app.x VALUES (8, 8)');
	$node->poll_query_until($db, q(SELECT count(*) = 1 FROM tarn.pipeline_table WHERE relid = 'app.x'::regclass AND state = 'live')) or die;
	agree('app.x', 'replaced within a transaction', %s);
	# a lake table that is made for the new name meanwhile would keep its own
	sql('CREATE TABLE app.z (id int PRIMARY KEY)', 'INSERT INTO app.z VALUES (1)');
	live('app.z');
	sql('ALTER TABLE app.y RENAME TO yy', 'ALTER TABLE app.z RENAME TO y', 'INSERT INTO app.yy VALUES (2)', 'INSERT INTO app.y VALUES (3)');
	$node->poll_query_until($db, q(SELECT count(*) = 2 FROM tarn.pipeline_table WHERE relid IN ('app.y'::regclass, 'app.yy'::regclass) AND state = 'live')) or die;
	TarnTest::flush($node, 's');
	agree('app.yy', 'renamed out of the way', %s);
	agree('app.y', 'of one that takes its place', %s);
	is(sql("SELECT count(DISTINCT regexp_replace(metadata_location, '/metadata/.*', '')) FROM tarn_catalog.iceberg_tables WHERE table_namespace = 'app'"),
		sql("SELECT count(*) FROM tarn_catalog.iceberg_tables WHERE table_namespace = 'app'"), 'each in a folder of its own');
	sql("SELECT tarn.drop_pipeline('s')");
	return;
}

# Tables that come and go with their schemas.
sub schemas
{
	my %c = (pipeline => 'c');
	my $tables = q(SELECT string_agg(schema || '.' || "table", ' ' ORDER BY 1) FROM (SELECT schema, "table" FROM tarn.tables WHERE pipeline = 'c' ORDER BY 1, 2) t);

	sql('CREATE SCHEMA in1', 'CREATE SCHEMA in2', 'CREATE SCHEMA out', map({ "CREATE TABLE $_ (id int PRIMARY KEY, a int)" } qw(in1.sa in2.sb out.sc)),
		map({ "INSERT INTO $_ SELECT i, i FROM generate_series(1, 10) i" } qw(in1.sa in2.sb out.sc)),
		'CREATE PUBLICATION c FOR TABLES IN SCHEMA in1', "SELECT tarn.create_pipeline('c', 'lake', '{c}', flush_interval => '200 ms')");
	live('in1.sa');
	sql('INSERT INTO in1.sa VALUES (100, 1)', 'ALTER TABLE in1.sa SET SCHEMA out', 'INSERT INTO out.sa VALUES (101, 1)', 'ALTER TABLE out.sc SET SCHEMA in1', 'INSERT INTO in1.sc VALUES (100, 1)');
	live('in1.sc');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'sa')) or die;
	agree('in1.sc', 'SET SCHEMA into the publication', %c);
	is(sql($tables), 'in1.sc', 'and out of it');
	sql('BEGIN', 'ALTER TABLE in1.sc SET SCHEMA out', 'INSERT INTO out.sc VALUES (101, 1)', 'ALTER TABLE out.sc SET SCHEMA in1', 'COMMIT');
	agree('in1.sc', 'out and in', %c, copied => 1);
	sql('ALTER PUBLICATION c ADD TABLES IN SCHEMA in2', 'INSERT INTO in2.sb VALUES (100, 1)');
	live('in2.sb');
	agree('in2.sb', 'ADD TABLES IN SCHEMA', %c);
	sql('BEGIN', 'ALTER PUBLICATION c DROP TABLES IN SCHEMA in1', 'UPDATE in1.sc SET a = a + 1', 'ALTER PUBLICATION c ADD TABLES IN SCHEMA in1', 'COMMIT');
	agree('in1.sc', 'DROP and ADD TABLES IN SCHEMA', %c, copied => 1);
	sql('ALTER PUBLICATION c SET TABLES IN SCHEMA in2', 'INSERT INTO in1.sc VALUES (300, 1)', 'INSERT INTO in2.sb VALUES (300, 1)');
	TarnTest::flush($node, 'c');
	$node->poll_query_until($db, q(SELECT count(*) = 0 FROM tarn.tables WHERE "table" = 'sc')) or die;
	agree('in1.sc', 'SET TABLES IN SCHEMA: taken out', %c, where => 'id <> 300');
	agree('in2.sb', 'what stays', %c);
	sql('ALTER PUBLICATION c SET TABLE in1.sc (id) WHERE (id > 5), in2.sb', 'INSERT INTO in1.sc VALUES (2, 0), (301, 1) ON CONFLICT DO NOTHING', 'INSERT INTO in2.sb VALUES (301, 1)');
	live('in1.sc');
	agree('in1.sc', 'SET TABLE: one comes', %c, columns => 'id', where => 'id > 5');
	agree('in2.sb', 'one stays', %c);
	sql('DROP PUBLICATION c');
	$node->poll_query_until($db, q(SELECT state IN ('backoff', 'stopped') FROM tarn.pipelines WHERE name = 'c')) or die;
	like(sql(q(SELECT last_error FROM tarn.pipelines WHERE name = 'c')), qr/publication "c" does not exist/, 'a publication that is dropped');
	sql('INSERT INTO in1.sc VALUES (400, 1)', 'CREATE PUBLICATION c FOR TABLE in1.sc, in2.sb', "SELECT tarn.resume('c')");
	TarnTest::flush($node, 'c');
	$copied{'in1.sc'} = () = copies('sc');
	agree('in1.sc', 'and made again', %c);
	$copied{'in2.sb'} = () = copies('sb');
	agree('in2.sb', 'its other table', %c);
	sql("SELECT tarn.drop_pipeline('c')");
	return;
}

# Without the event triggers the next row tells.
sub untold
{
	sql(map { "ALTER EVENT TRIGGER tarn_note_$_ DISABLE" } qw(command drop rewrite));
	mirrored('u', 'id int PRIMARY KEY, a int', 'INSERT INTO u SELECT i, i FROM generate_series(1, 10) i');
	sql('ALTER TABLE u ADD COLUMN b int', 'ALTER TABLE u RENAME a TO aa', 'INSERT INTO u VALUES (100, 1, 2)');
	agree('u', 'columns');
	sql('ALTER TABLE u ALTER b TYPE bigint', 'INSERT INTO u VALUES (101, 1, 2)');
	agree('u', 'a type that may have been computed', copied => 1);
	sql('ALTER TABLE u ADD COLUMN c int NOT NULL DEFAULT random()', 'INSERT INTO u (id) VALUES (102)');
	agree('u', 'a volatile default', copied => 1);
	sql('ALTER TABLE u ALTER b TYPE bigint USING b + 1');
	agree('u', 'rows that are computed', copied => 1);
	sql('INSERT INTO u (id) VALUES (103)', 'VACUUM FULL u', 'CLUSTER u USING u_pkey', 'INSERT INTO u (id) VALUES (104)');
	agree('u', 'and rows that are moved');
	sql('CREATE TABLE ur (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k)', 'CREATE TABLE ur1 PARTITION OF ur FOR VALUES IN (1)',
		'CREATE TABLE ur2 (id int NOT NULL, k int NOT NULL)', 'INSERT INTO ur2 SELECT i, 2 FROM generate_series(1, 5) i', 'INSERT INTO ur SELECT i, 1 FROM generate_series(1, 5) i',
		'CREATE PUBLICATION ur FOR TABLE ur WITH (publish_via_partition_root)', "SELECT tarn.create_pipeline('ur', 'lake', '{ur}', flush_interval => '200 ms')");
	live('ur');
	sql('ALTER TABLE ur ATTACH PARTITION ur2 FOR VALUES IN (2)', 'INSERT INTO ur VALUES (100, 1)');
	agree('ur', 'a partition that is attached with rows', pipeline => 'ur', copied => 1);
	sql('CREATE TABLE ur3 PARTITION OF ur FOR VALUES IN (3)', 'INSERT INTO ur VALUES (100, 3)');
	agree('ur', 'a new partition may have been attached', pipeline => 'ur', copied => 1);
	sql("SELECT tarn.drop_pipeline('ur')");
	sql(map { "ALTER EVENT TRIGGER tarn_note_$_ ENABLE ALWAYS" } qw(command drop rewrite));
	return;
}

# A foreign table that was declared before goes on by field id.
sub foreign
{
	mirrored('ft', 'id int PRIMARY KEY, a int, b text', "INSERT INTO ft SELECT i, i, 'b' FROM generate_series(1, 10) i");
	sql('CREATE SCHEMA old', 'IMPORT FOREIGN SCHEMA public LIMIT TO (ft) FROM SERVER lake INTO old');
	sql('ALTER TABLE ft RENAME a TO aa', 'ALTER TABLE ft ADD COLUMN c int', 'INSERT INTO ft VALUES (11, 11, 11, 11)');
	TarnTest::flush($node, 'p');
	is(sql('SELECT count(*), sum(a) FROM old.ft WHERE a > 5'), '6|51', 'a column that was renamed');
	sql('ALTER TABLE ft ALTER aa TYPE bigint');
	TarnTest::flush($node, 'p');
	my ($status, $out, $err) = $node->psql($db, 'SELECT a FROM old.ft');
	like($err, qr/cannot be read from lake column "a" of type long.*declare the column as bigint/s, 'a wider type');
	sql('ALTER FOREIGN TABLE old.ft ALTER a TYPE bigint');
	is(sql('SELECT count(*), sum(a) FROM old.ft WHERE a > 5'), '6|51', 'declared');
	sql('ALTER TABLE ft DROP COLUMN b');
	TarnTest::flush($node, 'p');
	($status, $out, $err) = $node->psql($db, 'SELECT b FROM old.ft');
	like($err, qr/column "b" of foreign table "ft" is not in lake table "public.ft" any more.*HINT:  Run ALTER FOREIGN TABLE/s, 'a column that is gone');
	is(sql('SELECT count(id) FROM old.ft'), '11', 'the others are there');
	sql('ALTER TABLE ft ADD COLUMN a text', "INSERT INTO ft (id, a) VALUES (12, 'text')");
	TarnTest::flush($node, 'p');
	($status, $out, $err) = $node->psql($db, 'SELECT a FROM old.ft');
	like($err, qr/invalid input syntax for type bigint: "text"/, 'another column of the name takes it');
	return;
}

# kill -9 by a failpoint, with a transaction that leads there; then all is well again.
sub crashed
{
	my ($table, $point, @sql) = @_;
	my $offset = -s $node->logfile;
	my $i = 0;

	sql("ALTER SYSTEM SET tarn.failpoints = '$point=kill:1'", 'SELECT pg_reload_conf()');
	usleep(300_000);
	my ($status) = $node->psql($db, join(";\n", 'BEGIN', @sql, 'COMMIT'));
	is($status, 0, "$point: changed");
	until ($i++ == 300 || substr(slurp_file($node->logfile), $offset) =~ /was terminated by signal 9/)
	{
		usleep(100_000);
		# the worker may have heard of the setting after it had flushed
		$node->psql($db, "UPDATE $table SET v = v WHERE id = 50") if $i % 50 == 0;
	}
	like(substr(slurp_file($node->logfile), $offset), qr/was terminated by signal 9/, "$point: killed");
	TarnCrash::patiently($node, 'ALTER SYSTEM RESET tarn.failpoints');
	TarnCrash::patiently($node, 'SELECT pg_reload_conf()');
	TarnCrash::patiently($node, "SELECT tarn.flush('p')");
	return;
}

# kill -9 at each step of the flush that has the change, and of the copy that follows from one.
sub crashes
{
	my $n = 0;

	mirrored('c', 'id int PRIMARY KEY, v int, a0 int', 'INSERT INTO c SELECT i, i, i FROM generate_series(1, 100) i');
	foreach my $point (qw(flush-data-written flush-index-prepared flush-before-commit flush-after-commit flush-before-confirm copy-before-commit copy-after-commit))
	{
		my $last = 'a' . $n++;
		my $copy = $point =~ /^copy/;

		crashed('c', $point, "UPDATE c SET $last = $last + 1 WHERE id % 3 = 0",
			"ALTER TABLE c ADD COLUMN a$n int" . ($copy ? ' DEFAULT 7' : ''), "ALTER TABLE c RENAME $last TO was$n",
			"UPDATE c SET a$n = id WHERE id % 5 = 0", "DELETE FROM c WHERE id = $n");
		# a flush that died before its commit says so again
		my @copies = copies('c');
		$copied{'public.c'} = @copies;
		cmp_ok(scalar(@copies), '>', 0, "$point: copied anew") if $copy;
		agree('c', $point, no_engines => $n % 3);
	}
	is(scalar(grep { !/a[67]" was added/ } copies('c')), 0, 'and for nothing else');

	# the key index that was built for the new key is not taken for one of the old
	mirrored('ck', 'id int PRIMARY KEY, other int NOT NULL, v int', 'INSERT INTO ck SELECT i, 101 - i, 0 FROM generate_series(1, 100) i');
	crashed('ck', 'flush-index-prepared', 'UPDATE ck SET v = 1 WHERE id <= 10', 'ALTER TABLE ck DROP CONSTRAINT ck_pkey, ADD PRIMARY KEY (other)',
		'UPDATE ck SET v = 2 WHERE other BETWEEN 11 AND 20', 'DELETE FROM ck WHERE other = 30');
	agree('ck', 'another key');
	return;
}

my %subs = (schemas => \&schemas, conflicts => \&conflicts, away => \&away, unlogged => \&unlogged, partitions => \&partitions, publications => \&publications, recreation => \&recreation, untold => \&untold, foreign => \&foreign, columns => \&columns, defaults => \&defaults, types => \&types, constraints => \&constraints, names => \&names, rewrites => \&rewrites);

foreach my $name (qw(columns defaults types constraints names rewrites partitions recreation untold foreign publications away unlogged conflicts schemas))
{
	subtest($name => $subs{$name}) if $name =~ /$only/;
}

$load->kill_kill(grace => 5);
subtest('crashes' => \&crashes) if 'crashes' =~ /$only/;
agree('busy', 'the table that was never touched');
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
unlike(slurp_file($node->logfile), qr/could not find a row of table/, 'no key index had to be built again');
$node->stop;
done_testing();
