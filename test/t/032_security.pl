# Who may do what, and what hostile names, settings and objects can do: nothing (I8).
use strict;
use warnings;

use Compress::Raw::Zlib;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('security', conf => "log_statement = ddl\ntarn.garbage_grace = 0\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql($db, $statement);
}

# The same as another role, in a session of its own: what psql printed, and its errors.
sub as
{
	my ($role, $statement) = @_;
	my ($code, $out, $err) = $node->psql($db, $statement, extra_params => [ '-U', $role ]);

	return $code == 0 ? $out : "error: $err";
}

sub soon
{
	my ($query, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($db, $query), $what) || diag(sql('SELECT name, state, last_error FROM tarn.pipelines'));
}

# No superuser after CREATE EXTENSION: one role makes lake, publication and pipeline, reads, alters and drops
sql(<<SQL);
CREATE ROLE dba LOGIN IN ROLE tarn_owner;
GRANT pg_read_server_files, pg_write_server_files TO dba;
GRANT CREATE ON DATABASE postgres TO dba;
CREATE ROLE app LOGIN;
CREATE ROLE watcher LOGIN IN ROLE tarn_monitor;
CREATE ROLE watchdog LOGIN IN ROLE pg_monitor;
CREATE ROLE reader LOGIN;
SQL
my $warehouse = TarnTest::warehouse($node, 'lake');
my $s3 = TarnTest::mapping_options() ? ", endpoint '" . TarnTest::start_s3() . "', path_style 'true'" : '';
is(as('dba', <<SQL), '', 'a role without superuser sets everything up');
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int PRIMARY KEY, v text);
CREATE SERVER lake FOREIGN DATA WRAPPER tarn OPTIONS (warehouse '$warehouse'$s3);
CREATE USER MAPPING FOR CURRENT_USER SERVER lake ${\TarnTest::mapping_options()};
CREATE PUBLICATION shop FOR TABLE shop.orders;
SQL
# who reads has keys of his own
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER lake " . TarnTest::mapping_options());
is(as('dba', "SELECT tarn.create_pipeline('shop', 'lake', '{shop}', flush_interval => '200 ms')"), '', 'and the pipeline');
as('dba', "INSERT INTO shop.orders VALUES (1, 'one')");
is(as('dba', "SELECT tarn.flush('shop') IS NOT NULL"), 't', 'flush');
is(as('dba', 'CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA shop FROM SERVER lake INTO lake; SELECT * FROM lake.orders'), '1|one', 'reads');
is(sql("SELECT usename || ' ' || usesuper FROM pg_stat_activity JOIN tarn.pipelines USING (pid) JOIN pg_user USING (usename)"),
	'dba false', 'the worker is a session of the owner, not of a superuser');
is(as('dba', "SELECT tarn.pause('shop'); SELECT tarn.resume('shop'); SELECT tarn.resync('shop', 'shop.orders')") =~ tr/\n//dr, '', 'pause, resume, resync');
is(as('dba', "SELECT tarn.flush('shop') IS NOT NULL"), 't', 'flush');

# Monitors see everything but secrets and rows; others nothing
foreach my $monitor ('watcher', 'watchdog')
{
	is(as($monitor, 'SELECT name, state, owner FROM tarn.pipelines'), 'shop|streaming|dba', "$monitor sees pipelines");
	is(as($monitor, 'SELECT "table", state, rows FROM tarn.tables'), 'orders|live|1', 'and tables');
}
foreach my $refused ("SELECT tarn.pause('shop')", "SELECT tarn.drop_pipeline('shop')", "SELECT tarn.resync('shop')", "SELECT tarn.skip('shop', 'pg_class')",
	"SELECT tarn.alter_pipeline('shop', owner => 'watcher')", "SELECT tarn.take_over('shop')", "SELECT tarn.flush('shop')",
	'SELECT * FROM tarn.pipeline', "UPDATE tarn.pipeline SET owner = 10", 'DELETE FROM tarn_catalog.iceberg_tables', 'SELECT * FROM lake.orders')
{
	like(as('watcher', $refused), qr/error:.*(permission denied|must be owner)/s, "a monitor may not: $refused");
	like(as('app', $refused), qr/error:.*(permission denied|must be owner)/s, "nor an application: $refused");
}
like(as('app', 'SELECT * FROM tarn.pipelines'), qr/permission denied/, 'an application does not see pipelines');

# The roles are those of all databases
sql('CREATE DATABASE second');
is($node->safe_psql('second', "SET client_min_messages = warning; CREATE EXTENSION tarn; SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'tarn%' AND NOT rolcanlogin"),
	'tarn_monitor tarn_owner', 'a second database has the same roles');
sql('DROP DATABASE second');
sql('CREATE ROLE squatter; CREATE DATABASE second; GRANT CREATE ON DATABASE second TO squatter');
$node->safe_psql('second', 'SET ROLE squatter; CREATE SCHEMA tarn');
like(($node->psql('second', 'CREATE EXTENSION tarn'))[2],
	qr/schema "tarn" exists already and does not belong to a superuser\n.*HINT:  Drop or rename it/s, 'a schema that waits for the extension is not taken');
$node->safe_psql('second', 'DROP SCHEMA tarn; SET client_min_messages = warning; CREATE EXTENSION tarn');
sql('DROP DATABASE second');
sql('DROP ROLE squatter');

# Files of the server need the right to files, and the table's
like(as('app', "CREATE SERVER mine FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///tmp/x')"), qr/permission denied/, 'a server needs rights on the wrapper');
sql('GRANT USAGE ON FOREIGN DATA WRAPPER tarn TO app');
like(as('app', "CREATE SERVER mine FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file:///tmp/x')"), qr/permission denied.*pg_read_server_files/s, 'and on the files');
like(as('app', "CREATE SERVER mine FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://b/p', ca_file '/etc/passwd')"), qr/permission denied.*pg_read_server_files/s, 'of a certificate too');
sql('GRANT USAGE ON SCHEMA lake TO reader');
like(as('reader', 'SELECT * FROM lake.orders'), qr/permission denied for foreign table orders/, 'a lake table needs SELECT');
sql("GRANT SELECT ON lake.orders TO reader");
sql("CREATE USER MAPPING FOR reader SERVER lake " . TarnTest::mapping_options());
is(as('reader', 'SELECT * FROM lake.orders'), '1|one', 'with it, rows');

# A lake whose files name files elsewhere: no path leaves the warehouse, whichever file has it
sub varint
{
	my ($n) = @_;
	my $out = '';

	for ($n *= 2; $n > 127; $n >>= 7)
	{
		$out .= chr($n & 127 | 128);
	}
	return $out . chr($n);
}

sub read_varint
{
	my ($data, $at) = @_;

	for (my ($n, $shift) = (0, 0);; $shift += 7)
	{
		my $byte = ord(substr($data, $$at++, 1));
		$n |= ($byte & 127) << $shift;
		return $n >> 1 if $byte < 128;
	}
}

# An Avro file with some bytes replaced by as many.
sub edit_avro
{
	my ($path, $from, $to) = @_;
	my $file = slurp_file($path);
	my $sync = substr($file, -16);
	my $at = index($file, $sync) + 16;
	my $out = substr($file, 0, $at);

	while ($at < length($file))
	{
		my $rows = read_varint($file, \$at);
		my $size = read_varint($file, \$at);
		my ($block, $data, $packed) = (substr($file, $at, $size), '', '');

		Compress::Raw::Zlib::Inflate->new(-WindowBits => -15)->inflate($block, $data);
		$data =~ s/\Q$from\E/$to/g;
		my $deflate = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
		$deflate->deflate($data, $packed);
		$deflate->flush($packed);
		$out .= varint($rows) . varint(length($packed)) . $packed . $sync;
		$at += $size + 16;
	}
	open my $handle, '>:raw', $path or die "$path: $!";
	print $handle $out;
	close $handle;
	return;
}

SKIP:
{
	skip 'the warehouse is not a directory', 5 if $TarnTest::store ne 'file';
	my $lake = substr($warehouse, 7);
	my $evil = $lake =~ s/lake$/evil/r;
	my $metadata = sql("SELECT substr(metadata_location, 8) FROM tarn_catalog.iceberg_tables WHERE table_name = 'orders'");
	my $copy = $metadata =~ s/^\Q$lake\E/$evil/r;

	system_or_bail('cp', '-r', $lake, $evil);
	sql("CREATE SERVER evil FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 'file://$evil')");
	sql("INSERT INTO tarn_catalog.iceberg_tables SELECT 'evil', table_namespace, table_name, metadata_location, NULL, iceberg_type FROM tarn_catalog.iceberg_tables WHERE table_name = 'orders'");
	sql("CREATE SCHEMA evil; CREATE FOREIGN TABLE evil.orders (id int) SERVER evil OPTIONS (namespace 'shop')");
	my $rows = sql('SELECT count(*) FROM lake.orders');
	my $outside = sub {
		my ($what) = @_;
		my ($code, $out, $err) = $node->psql($db, 'SELECT * FROM evil.orders');

		like($err, qr/cannot use "file:\/\/\Q$lake\E\/.*lies outside the warehouse "file:\/\/\Q$evil\E"/, "$what elsewhere");
	};
	$outside->('metadata');
	sql("UPDATE tarn_catalog.iceberg_tables SET metadata_location = 'file://$copy' WHERE catalog_name = 'evil'");
	my $json = slurp_file($copy) =~ s/\Q$lake\E/$evil/gr;
	open my $handle, '>:raw', $copy or die "$copy: $!";
	print $handle $json =~ s/("manifest-list":\s*"file:\/\/)\Q$evil\E/$1$lake/gr;
	close $handle;
	$outside->('a manifest list');
	open $handle, '>:raw', $copy or die "$copy: $!";
	print $handle $json;
	close $handle;
	$outside->('a manifest');
	edit_avro($_, "file://$lake", "file://$evil") foreach glob("$evil/*/*/metadata/snap-*.avro");
	$outside->('a data file');
	edit_avro($_, "file://$lake", "file://$evil") foreach grep { !/\/snap-/ } glob("$evil/*/*/metadata/*.avro");
	is(sql('SELECT count(*) FROM evil.orders'), $rows, 'with all of them inside it is read');
	sql('DROP SCHEMA evil CASCADE; DROP SERVER evil; DELETE FROM tarn_catalog.iceberg_tables WHERE catalog_name = $$evil$$');
}

# Rights that go: what needs them stops, and says so
as('dba', "INSERT INTO shop.orders VALUES (2, 'two')");
sql('CREATE TABLE public.secret (id int PRIMARY KEY); CREATE PUBLICATION secret FOR TABLE public.secret');
like(as('dba', "SELECT tarn.alter_pipeline('shop', publications => '{shop, secret}')"), qr/permission denied for table secret/, 'a publication of tables one may not read');
sql('ALTER PUBLICATION shop OWNER TO postgres; ALTER PUBLICATION shop ADD TABLE public.secret');
soon(q{SELECT error ~ 'permission denied for table public.secret' FROM tarn.tables WHERE "table" = 'secret'}, 'nor by way of a publication somebody else widened');
is(as('dba', "SELECT tarn.flush('shop') IS NOT NULL"), 't', 'the others go on');
sql('ALTER PUBLICATION shop DROP TABLE public.secret');

# Row level security: the lake has no policies, so the table is refused until somebody says it may leave whole
as('dba', 'CREATE TABLE shop.guarded (id int PRIMARY KEY); INSERT INTO shop.guarded VALUES (1); ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY');
sql('ALTER PUBLICATION shop ADD TABLE shop.guarded');
soon(q{SELECT state = 'stopped' AND error ~ 'row-level security' AND error ~ 'row_security=ignore' FROM tarn.tables WHERE "table" = 'guarded'},
	'a table with row level security is refused, also to an owner who is exempt');
as('dba', "SELECT tarn.set_table_options('shop', 'shop.guarded', '{row_security=ignore}'); SELECT tarn.resume('shop', 'shop.guarded')");
is(as('dba', "SELECT tarn.flush('shop') IS NOT NULL"), 't', 'acknowledged');
is(sql(q{SELECT state, rows FROM tarn.tables WHERE "table" = 'guarded'}), 'live|1', 'it is mirrored');
like(as('dba', "SELECT tarn.set_table_options('shop', 'shop.guarded', '{row_security=ignor}')"), qr/Perhaps you meant "ignore"/, 'with a hint for a typing error');

# Objects in the way of names that are not qualified, and a hostile search_path
sql(<<'SQL');
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE TABLE hostile.calls (what text);
GRANT INSERT ON hostile.calls TO PUBLIC;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql AS $$ INSERT INTO hostile.calls VALUES ('now'); SELECT pg_catalog.now() $$;
CREATE FUNCTION hostile.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql AS $$ INSERT INTO hostile.calls VALUES ('unnest'); SELECT pg_catalog.unnest($1) $$;
CREATE FUNCTION hostile.greatest_of(name, name) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO hostile.calls VALUES ('='); SELECT $1::text OPERATOR(pg_catalog.=) $2::text $$;
CREATE OPERATOR hostile.= (LEFTARG = name, RIGHTARG = name, FUNCTION = hostile.greatest_of);
CREATE FUNCTION hostile.equal(integer, integer) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO hostile.calls VALUES ('int ='); SELECT $1 OPERATOR(pg_catalog.=) $2 $$;
CREATE OPERATOR hostile.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.equal);
CREATE TABLE hostile.pipeline (id int, name name);
CREATE TABLE hostile.pg_class (oid oid, relname name);
ALTER ROLE dba SET search_path = hostile, pg_catalog;
ALTER ROLE dba SET statement_timeout = '1ms';
ALTER ROLE dba SET default_transaction_read_only = on;
ALTER DATABASE postgres SET search_path = hostile, pg_catalog, public;
SELECT pg_terminate_backend(pid) FROM tarn.pipelines;
SQL
sql("INSERT INTO shop.orders VALUES (3, 'three'); UPDATE shop.orders SET v = 'changed' WHERE id OPERATOR(pg_catalog.=) 1");
sql('TRUNCATE hostile.calls');
sql("SELECT tarn.flush('shop'); SELECT tarn.resync('shop', 'shop.orders'); SELECT tarn.skip('shop', 'shop.guarded'); SELECT tarn.resume('shop', 'shop.guarded')");
sql("SELECT tarn.alter_pipeline('shop', flush_interval => '300 ms'); SELECT tarn.flush('shop')");
is(sql('SELECT pg_catalog.count(*) FROM hostile.calls'), '0', 'nothing of a hostile search_path is called');
sql('ALTER DATABASE postgres RESET search_path; ALTER ROLE dba RESET ALL; DROP SCHEMA hostile CASCADE');
is(sql("SELECT count(*) FROM ((TABLE shop.orders EXCEPT ALL TABLE lake.orders) UNION ALL (TABLE lake.orders EXCEPT ALL TABLE shop.orders)) d"), '0', 'the rows are the same');

# Notes of the event triggers: anybody may write a message, and nobody a note
sub copied
{
	my @copies = slurp_file($node->logfile) =~ /is copied anew/g;

	return @copies . ' ' . sql("SELECT string_agg(state, ' ') FROM tarn.tables");
}
sql("SELECT pg_create_logical_replication_slot('spy', 'pgoutput'); CREATE TABLE public.altered (i int); ALTER TABLE public.altered ADD j int");
my $relid = sql("SELECT 'shop.orders'::regclass::oid");
as('dba', 'ALTER TABLE shop.orders ADD COLUMN n int');
as('dba', "SELECT tarn.flush('shop')");
is(as('dba', 'UPDATE shop.orders SET n = id; ALTER TABLE shop.orders ALTER n TYPE bigint USING n + 1'), '', 'values are computed');
as('dba', "SELECT tarn.flush('shop')");
my $state = copied();
foreach my $body ("lost $relid because I say so", "rewritten $relid", 'refresh', 'types', '', 'lost', 'lost 99999999999999999999 x', 'rewritten -1', "\\x00", 'x' x 100_000, ' ' x 16 . "lost $relid no")
{
	foreach my $transactional ('true', 'false')
	{
		as('app', "SELECT pg_logical_emit_message($transactional, 'tarn.ddl', '$body'); SELECT pg_logical_emit_message($transactional, 'tarn.leaving', '$body')");
		as('dba', "BEGIN; SELECT pg_logical_emit_message($transactional, 'tarn.ddl', '$body'); UPDATE shop.orders SET n = n + 1; COMMIT");
	}
}
# one that a trigger wrote, in another transaction
is(sql(<<'SQL'), 't', 'a note said again');
SELECT count(pg_logical_emit_message(true, 'tarn.ddl', substring(data FROM position('tarn.ddl'::bytea IN data) + 13))) > 0
FROM pg_logical_slot_get_binary_changes('spy', NULL, NULL, 'proto_version', '1', 'publication_names', 'shop', 'messages', 'true')
WHERE position('tarn.ddl'::bytea IN data) > 0
SQL
as('dba', "SELECT tarn.flush('shop')");
is(copied(), $state, 'forged notes copy nothing, and stop nothing');
sql('DROP FOREIGN TABLE lake.orders; IMPORT FOREIGN SCHEMA shop LIMIT TO (orders) FROM SERVER lake INTO lake');
TarnTest::same($node, 'shop.orders', 'lake.orders', 'and the rows are right');
is(as('dba', "BEGIN; SELECT pg_logical_emit_message(true, 'tarn.ddl', 'rewritten $relid') IS NULL; ALTER TABLE shop.orders ALTER n TYPE numeric(10,0) USING n * 2; COMMIT"), 'f', 'computed, with a forged note of widened numbers');
as('dba', "SELECT tarn.flush('shop')");
isnt(copied(), $state, 'is copied anew');
sql("SELECT pg_drop_replication_slot('spy')");

# Names are names
my $odd = q{a"; DROP TABLE shop.orders; --};
(my $quoted = $odd) =~ s/"/""/g;
sql(qq{CREATE TABLE shop."$quoted" (id int PRIMARY KEY, "it's ""odd"", %s" text); INSERT INTO shop."$quoted" VALUES (1, 'x'); CREATE PUBLICATION "$quoted" FOR TABLE shop."$quoted"});
sql(qq{SELECT tarn.create_pipeline('$odd', 'lake', ARRAY['$odd']::name[])});
sql(qq{SELECT tarn.flush('$odd')});
sql(qq{UPDATE shop."$quoted" SET "it's ""odd"", %s" = 'y'; SELECT tarn.alter_pipeline('$odd', memory_limit => '32MB'); SELECT tarn.flush('$odd')});
sql(qq{IMPORT FOREIGN SCHEMA shop LIMIT TO ("$quoted") FROM SERVER lake INTO lake});
is(sql(qq{SELECT * FROM lake."$quoted"}), '1|y', 'odd names are names');
sql(qq{SELECT tarn.drop_pipeline('$odd', drop_data => true)});
is(sql('SELECT count(*) FROM shop.orders'), '3', 'and nothing more');

# Secrets are in no view, no error and no log line of ours
sql("CREATE ROLE holder LOGIN REPLICATION; GRANT USAGE ON FOREIGN SERVER lake TO holder");
my $offset = -s $node->logfile;
sql("SET log_statement = none; CREATE SERVER far FOREIGN DATA WRAPPER tarn OPTIONS (warehouse 's3://bucket/x', endpoint 'http://127.0.0.1:1', path_style 'true'); CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (access_key_id 'AKIDVISIBLE', secret_access_key 'SECRETVALUE')");
sql('CREATE PUBLICATION far FOR TABLE shop.orders');
my (undef, undef, $error) = $node->psql($db, "SET statement_timeout = '20s'; SELECT tarn.create_pipeline('far', 'far', '{far}')");
isnt($error, '', 'a store out of reach');
unlike($error, qr/SECRETVALUE|AKIDVISIBLE/, 'says no key');
unlike(substr(slurp_file($node->logfile), $offset), qr/SECRETVALUE|AKIDVISIBLE/, 'nor does the log');
is(sql('SELECT count(*) FROM tarn.pipelines p WHERE p::text ~ \'SECRET|testsecret\''), '0', 'nor the view');
is(sql("SELECT count(*) FROM pg_replication_slots"), '1', 'and no slot is left');

like(as('reader', "SELECT umoptions FROM pg_user_mappings WHERE srvname = 'far' AND umoptions IS NOT NULL"), qr/^$/, "others' keys are not shown");
unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP/, 'no process crashed');
$node->stop;
done_testing();
