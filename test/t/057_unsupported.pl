# What becomes of values that Iceberg cannot hold: the policies error, null and clamp, and columns kept as another type.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('unsupported', conf => "log_statement = none\n");
TarnTest::create_lake($node);

# column => [ type, value, what clamp makes of it ]
my @cases = (
	[ 'date', 'infinity', '9999-12-31' ],
	[ 'date', '-infinity', '0001-01-01' ],
	[ 'time', '24:00', '23:59:59.999999' ],
	[ 'timestamp', 'infinity', '9999-12-31 23:59:59.999999' ],
	[ 'timestamp', '-infinity', '0001-01-01 00:00:00' ],
	[ 'timestamp', '294276-12-31 23:59:59', '294247-01-10 04:00:54.775807' ],
	[ 'timestamp', '294247-01-10 04:00:54.775808', '294247-01-10 04:00:54.775807' ],
	[ 'timestamptz', '294247-01-10 04:00:54.775808+00', '294247-01-10 04:00:54.775807+00' ],
	[ 'timestamptz', 'infinity', '9999-12-31 23:59:59.999999+00' ],
	[ 'timestamptz', '-infinity', '0001-01-01 00:00:00+00' ],
	[ 'numeric(10,2)', 'NaN', '' ],
	[ 'numeric(38,2)', 'NaN', '' ],
);
my @infinite = ([ 'numeric', 'Infinity', '99999.999' ], [ 'numeric', '-1e20', '-99999.999' ], [ 'numeric', '1.23456', '1.235' ],
	[ 'numeric', '-99999.9999', '-99999.999' ], [ 'numeric', 'NaN', '' ], [ 'numeric', '2.5', '2.500' ]);

$node->safe_psql($db, "ALTER DATABASE $db SET TimeZone = 'UTC'");
# One table a case and policy; the value comes by the copy in some, by the stream in the others.
my (@tables, %expected, %error, %streamed);
my $n = 0;
foreach my $policy ('error', 'null', 'clamp')
{
	foreach my $case (@cases, @infinite)
	{
		my ($type, $value, $clamped) = @$case;
		my $table = "u_" . ++$n;
		my @options = ("unsupported_values=$policy");

		next if $policy eq 'error' && $value eq '2.5';
		push @options, 'column.v=decimal(8, 3)' if $type eq 'numeric';
		$node->safe_psql($db, "CREATE TABLE $table (k int PRIMARY KEY, v $type NOT NULL)");
		$node->safe_psql($db, "INSERT INTO $table VALUES (1, '$value')") if $n % 2;
		$streamed{$table} = "INSERT INTO $table VALUES (1, '$value');" unless $n % 2;
		push @tables, [ $table, join(',', map { "\"$_\"" } @options) ];
		$expected{$table} = $policy eq 'clamp' || $value eq '2.5' ? $clamped : '';
		$error{$table} = $value if $policy eq 'error';
	}
}
$node->safe_psql($db, 'CREATE PUBLICATION p FOR TABLE ' . join(', ', map { $_->[0] } @tables));
$node->safe_psql($db, "BEGIN; SELECT tarn.create_pipeline('p', lake => 'lake', publications => '{p}', flush_interval => '500 ms');"
	  . join('', map { "SELECT tarn.set_table_options('p', '$_->[0]', '{$_->[1]}');" } @tables) . 'COMMIT');
$node->poll_query_until($db, "SELECT bool_and(state IN ('live', 'stopped')) FROM tarn.tables") or die 'no copy';
$node->safe_psql($db, join('', sort values %streamed));
TarnTest::flush($node, 'p');
$node->safe_psql($db, 'CREATE SCHEMA lake; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');
foreach my $table (map { $_->[0] } @tables)
{
	if (defined $error{$table})
	{
		my $value = quotemeta $error{$table};

		$value = '-100000000000000000000' if $error{$table} eq '-1e20';
		like($node->safe_psql($db, "SELECT state || ' ' || error FROM tarn.tables WHERE \"table\" = '$table'"),
			qr/^stopped cannot keep value "$value.*" of column "v" of "public\.$table" in the lake/, "$table: $error{$table} stops it");
		next;
	}
	is($node->safe_psql($db, "SELECT v FROM lake.$table"), $expected{$table}, "$table: kept as \"$expected{$table}\"");
}
is($node->safe_psql($db, "SELECT count(*) FROM tarn.tables WHERE state = 'live'"),
	scalar(@tables) - keys %error, 'the others go on');
# Other engines see what the policy says: tables of what it makes of the values
my @kept = grep { !defined $error{ $_->[0] } } @tables;
$node->safe_psql($db, join('', map { "CREATE TABLE kept_$_->[0] AS SELECT * FROM $_->[0] WITH NO DATA; INSERT INTO kept_$_->[0] VALUES (1, "
		  . ($expected{ $_->[0] } eq '' ? 'NULL' : "'$expected{ $_->[0] }'") . ');' } @kept));
TarnTest::engines($node, [ map { [ "public.kept_$_->[0]", "public.$_->[0]" ] } @kept ], 'other engines read what the policies made');

# The same within lists, structs and maps
my %inner = (
	'date[]' => [ q('{2024-01-01,infinity,NULL,-infinity}'), q('{2024-01-01,NULL,NULL,NULL}'), q('{2024-01-01,9999-12-31,NULL,0001-01-01}') ],
	'numeric(12,3)[]' => [ q('{1.5,NaN,NULL,-2}'), q('{1.5,NULL,NULL,-2}'), q('{1.5,NULL,NULL,-2}') ],
	'numeric(30,3)[]' => [ q('{NaN}'), q('{NULL}'), q('{NULL}') ],
	'time[]' => [ q('{24:00,12:00}'), q('{NULL,12:00}'), q('{23:59:59.999999,12:00}') ],
	'timestamp[]' => [ q('{infinity,2024-01-01 12:00}'), q('{NULL,2024-01-01 12:00}'), q('{9999-12-31 23:59:59.999999,2024-01-01 12:00}') ],
	'timestamptz[]' => [ q('{-infinity,2024-01-01 00:00+00}'), q('{NULL,2024-01-01 00:00+00}'), q('{0001-01-01 00:00+00,2024-01-01 00:00+00}') ],
	'fact' => [ q('(infinity,NaN,"{24:00}",x)'), q('(,,"{NULL}",x)'), q('(9999-12-31,,"{23:59:59.999999}",x)') ],
	'fact[]' => [ q(ARRAY['(infinity,NaN,"{24:00}",x)', NULL, '(2024-01-01,1,,y)']::fact[]), q(ARRAY['(,,"{NULL}",x)', NULL, '(2024-01-01,1,,y)']::fact[]),
		q(ARRAY['(9999-12-31,,"{23:59:59.999999}",x)', NULL, '(2024-01-01,1,,y)']::fact[]) ],
	'facts' => [ map { "ROW(1, ARRAY[ROW($_, 'z')]::fact[])::facts" } q('infinity', NULL, '{{12:00,13:00}}'), 'NULL, NULL, NULL', q('9999-12-31', NULL, NULL) ],
	'a_date[]' => [ q('{infinity}'), q('{NULL}'), q('{9999-12-31}') ],
);
my (@inside, %inside);
$n = 0;
$node->safe_psql($db, 'CREATE TYPE fact AS (d date, n numeric(6,2), t time[], s text); CREATE TYPE facts AS (n int, f fact[]); CREATE DOMAIN a_date AS date');
foreach my $type (sort keys %inner)
{
	$n++;
	foreach my $policy ('error', 'null', 'clamp')
	{
		my $table = "i_${n}_$policy";

		$node->safe_psql($db, "CREATE TABLE $table (k int PRIMARY KEY, v $type); CREATE TABLE kept_$table (k int, v $type);");
		$node->safe_psql($db, "INSERT INTO $table VALUES (1, $inner{$type}[0])") if $policy ne 'error';
		$node->safe_psql($db, "INSERT INTO kept_$table SELECT k, $inner{$type}[$policy eq 'null' ? 1 : 2] FROM generate_series(1, 2) k") if $policy ne 'error';
		push @inside, $table;
		$inside{$table} = $type;
	}
}
$node->safe_psql($db, 'CREATE PUBLICATION inside FOR TABLE ' . join(', ', @inside) . "; BEGIN; SELECT tarn.create_pipeline('inside', lake => 'lake', publications => '{inside}', flush_interval => '500 ms');"
	  . join('', map { "SELECT tarn.set_table_options('inside', '$_', '{unsupported_values=" . ($_ =~ s/.*_//r) . "}');" } @inside) . 'COMMIT');
TarnTest::wait_live($node, 'inside');
$node->safe_psql($db, join('', map { "INSERT INTO $_ VALUES (2, $inner{$inside{$_}}[0]);" } @inside));
TarnTest::flush($node, 'inside');
$node->safe_psql($db, 'IMPORT FOREIGN SCHEMA public LIMIT TO (' . join(', ', @inside) . ') FROM SERVER lake INTO lake');
foreach my $table (@inside)
{
	if ($table =~ /error/)
	{
		like($node->safe_psql($db, "SELECT state || ' ' || error FROM tarn.tables WHERE \"table\" = '$table'"),
			qr/^stopped cannot keep value ".*" of column "v" of "public\.$table" in the lake/, "a value in $inside{$table} stops its table");
		next;
	}
	TarnTest::same($node, "kept_$table", "lake.$table", "$inside{$table}: " . ($table =~ s/.*_//r), $db, 'k, v::text');
}
TarnTest::engines($node, [ map { [ "public.kept_$_", "public.$_" ] } grep { !/error/ } @inside ], 'other engines read what the policies made within');

# A value of the key is never replaced, unless all of the row is the key
$node->safe_psql($db, <<'SQL');
CREATE TABLE key_error (k date PRIMARY KEY);
CREATE TABLE key_full (k date, v int);
ALTER TABLE key_full REPLICA IDENTITY FULL;
INSERT INTO key_full VALUES ('infinity', 1), ('9999-12-31', 1), ('infinity', 1), ('2024-01-01', 1);
CREATE TABLE typed (k int PRIMARY KEY, d numeric, f numeric, ts timestamptz, i interval, "a=b" int, n numeric(60,20));
INSERT INTO typed VALUES (1, 123456789.123456789, 0.1, 'infinity', '1 day', 5, 1e39), (2, -1, 'NaN', '2024-01-01', NULL, 6, 1.5);
CREATE PUBLICATION q FOR TABLE key_error, key_full, typed;
BEGIN;
SELECT tarn.create_pipeline('q', lake => 'lake', publications => '{q}', flush_interval => '500 ms', options => '{unsupported_values=clamp}');
SELECT tarn.set_table_options('q', 'typed', '{"column.d=decimal(38,9)",column.f=double,column.ts=string,column.a=b=string,column.n=string}');
COMMIT;
SQL
TarnTest::wait_live($node, 'q');
$node->safe_psql($db, "INSERT INTO key_error VALUES ('-infinity'); DELETE FROM key_full WHERE k = '9999-12-31'; UPDATE key_full SET k = 'infinity' WHERE k = '2024-01-01';"
	  . "INSERT INTO typed SELECT k + 10, d, f, ts, i, \"a=b\", n FROM typed");
TarnTest::flush($node, 'q');
like($node->safe_psql($db, "SELECT error FROM tarn.tables WHERE \"table\" = 'key_error'"), qr/cannot keep value "-infinity"/, 'a key is not clamped');
$node->safe_psql($db, 'IMPORT FOREIGN SCHEMA public LIMIT TO (key_full, typed) FROM SERVER lake INTO lake');
is($node->safe_psql($db, 'SELECT k, count(*) FROM lake.key_full GROUP BY 1'), '9999-12-31|3', 'rows that became equal are counted');
$node->safe_psql($db, 'CREATE TABLE kept_typed (k int, d numeric(38,9), f float8, ts text, i interval, "a=b" text, n text);'
	  . "SET TimeZone = 'UTC'; INSERT INTO kept_typed SELECT k, d, f::float8, ts::text, i, \"a=b\", n FROM typed; CREATE TABLE kept_key_full AS SELECT date '9999-12-31' AS k, 1 AS v FROM generate_series(1, 3)");
TarnTest::engines($node, [ [ 'public.kept_typed', 'public.typed' ], [ 'public.kept_key_full', 'public.key_full' ] ], 'other engines read columns as another type');
is($node->safe_psql($db, 'SELECT * FROM lake.typed ORDER BY k LIMIT 2'),
	"1|123456789.123456789|0.1|infinity|1 day|5|1" . '0' x 39 . '.' . '0' x 20 . "\n2|-1.000000000|NaN|2024-01-01 00:00:00+00||6|1.50000000000000000000",
	'columns as another type');
is($node->safe_psql($db, "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'lake.typed'::regclass AND attnum > 0"),
	'integer numeric double precision timestamp with time zone interval integer numeric(60,20)', 'types imported');

# Wrong options
foreach my $case ([ '"column.d=decimal(99,1)"', qr/invalid lake type "decimal\(99,1\)" for column "d"/ ],
	[ '"column.d=double","column.d=string"', qr/option "column\.d" provided more than once/ ],
	[ 'unsupported_values=zero', qr/invalid value for option "unsupported_values"|unsupported_values/ ])
{
	my ($out, $err);

	$node->psql($db, "SELECT tarn.set_table_options('q', 'typed', '{$case->[0]}')", stderr => \$err);
	like($err, $case->[1], "refused: $case->[0]");
}
# Options that change while the table is mirrored: from then on, and no row needs to follow
my $worker = $node->safe_psql($db, "SELECT pid FROM tarn.pipelines WHERE name = 'q'");
$node->safe_psql($db, 'CREATE TABLE later (k int PRIMARY KEY, d date, n numeric, s text); ALTER TABLE later REPLICA IDENTITY FULL; ALTER TABLE later ADD UNIQUE (k);'
	  . "INSERT INTO later VALUES (1, '2024-01-01', 1.5, 'x'); ALTER PUBLICATION q ADD TABLE later; CREATE TABLE expected AS SELECT k, d, n::text AS n, s FROM later");
$node->poll_query_until($db, "SELECT count(*) = 1 FROM tarn.tables WHERE \"table\" = 'later' AND state = 'live'") or die 'later is not copied';

my $types_now = "SELECT string_agg(f->>'type', ' ' ORDER BY f->>'name' DESC) FROM ${\ TarnTest::lake_fields(TarnTest::warehouse($node, 'lake'))} i"
  . " WHERE i.table_name = 'later' AND f->>'name' IN ('n', 'd')";

# Sets options, runs a statement, waits until the lake has its columns n and d as these types, and compares.
my $types = 'string date';
sub later
{
	my ($what, $options, $statement, $expected) = @_;

	$node->safe_psql($db, 'SELECT tarn.set_table_options($$q$$, $$later$$, ARRAY[' . join(', ', map { "'$_'" } @$options) . ']::text[])') if $options;
	$node->safe_psql($db, "$statement; $expected") if $statement;
	TarnTest::flush($node, 'q');
	$node->poll_query_until($db, "SELECT ($types_now) = '$types' AND count(*) = 1 FROM tarn.tables WHERE \"table\" = 'later' AND state = 'live'");
	$node->safe_psql($db, 'SET client_min_messages = warning; DROP FOREIGN TABLE IF EXISTS lake.later; IMPORT FOREIGN SCHEMA public LIMIT TO (later) FROM SERVER lake INTO lake');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::same($node, '(SELECT k, d, n, s FROM expected) e', '(SELECT k, d, n::text, s FROM lake.later) l', $what);
	return;
}
my $copies = () = slurp_file($node->logfile) =~ /"?later"? of pipeline "q" is copied anew/g;
later('clamped as the pipeline says', undef, "INSERT INTO later VALUES (2, 'infinity')", "INSERT INTO expected VALUES (2, '9999-12-31')");
later('null from then on', ['unsupported_values=null'], "INSERT INTO later VALUES (3, 'infinity')", 'INSERT INTO expected VALUES (3)');
later('and clamped again', ['unsupported_values=clamp'], "INSERT INTO later VALUES (4, '-infinity')", "INSERT INTO expected VALUES (4, '0001-01-01')");
later('rows that are deleted stay', ['delete=keep'], 'DELETE FROM later WHERE k = 3', '');
later('and go', [], 'DELETE FROM later WHERE k = 4', 'DELETE FROM expected WHERE k = 4');
later('rows that are truncated stay', ['codec=gzip', 'truncate=keep'], 'TRUNCATE later; INSERT INTO later VALUES (5, $$infinity$$, 7.5)', q{INSERT INTO expected VALUES (5, '9999-12-31', '7.5')});
later('and go', ['codec=lz4'], 'TRUNCATE later; INSERT INTO later VALUES (6, $$infinity$$, 8.5)', q{TRUNCATE expected; INSERT INTO expected VALUES (6, '9999-12-31', '8.5')});
is($copies, scalar(() = slurp_file($node->logfile) =~ /"?later"? of pipeline "q" is copied anew/g), 'none of it took a copy');
$types = 'decimal(12, 2) string';
$node->safe_psql($db, "UPDATE expected SET n = '8.50', d = 'infinity'");
later('columns of other types, and no row follows', [ 'column.n=decimal(12,2)', 'column.d=string' ], '', '');
like($node->safe_psql($db, "SELECT copy_reason FROM tarn.tables WHERE \"table\" = 'later'"), qr/the type numeric of column "n" changed|the type date of column "d" changed/, 'copied anew: the view says so');
$types = 'string date';
$node->safe_psql($db, "UPDATE expected SET n = '8.5', d = '9999-12-31'");
later('and back', [], '', '');
$node->safe_psql($db, "SELECT tarn.alter_pipeline('q', options => '{unsupported_values=null}')");
later('options of the pipeline', undef, "INSERT INTO later VALUES (7, 'infinity')", 'INSERT INTO expected VALUES (7)');
is($node->safe_psql($db, "SELECT pid FROM tarn.pipelines WHERE name = 'q'"), $worker, 'the same worker did all of it');
# while there is no worker
$node->safe_psql($db, "SELECT tarn.pause('q'); SELECT tarn.set_table_options('q', 'later', ARRAY['column.n=decimal(12,2)']), tarn.set_table_options('q', 'typed', '{column.k=date}')");
$node->poll_query_until($db, "SELECT pid IS NULL FROM tarn.pipelines WHERE name = 'q'") or die 'not paused';
$node->safe_psql($db, "SELECT tarn.resume('q')");
$node->poll_query_until($db, "SELECT state = 'stopped' FROM tarn.tables WHERE \"table\" = 'typed'");
like($node->safe_psql($db, "SELECT error FROM tarn.tables WHERE \"table\" = 'typed'"), qr/type "integer" cannot be kept as lake type date/, 'a type it cannot be kept as');
$types = 'decimal(12, 2) date';
$node->safe_psql($db, "UPDATE expected SET n = '8.50', d = NULL WHERE k = 6");
later('set while the pipeline was paused, and no row followed', undef, '', '');

$node->stop;
done_testing();
