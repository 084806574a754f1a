# Keys of every type, and above all those whose values are equal and look different (0 and -0, 1.0 and 1.00, abc and
# ABC): updates and deletes find their row, and exactly it, in the lake, in the batch and across flushes (I1, I6).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('keys', conf => "log_statement = none\nautovacuum = off\n");
TarnTest::create_lake($node);

sub sql
{
	return $node->safe_psql($db, join(";\n", @_));
}

my $share = `"$ENV{PG_CONFIG}" --sharedir`;
chomp $share;
my %has = map { $_ => 1 } grep { -f "$share/extension/$_.control" } qw(citext ltree hstore postgis);
sql(map { "CREATE EXTENSION $_" } sort keys %has);
sql(q(CREATE TYPE mood AS ENUM ('sad', 'ok')), 'CREATE TYPE pair AS (a float8, b numeric)', 'CREATE DOMAIN price AS numeric CHECK (VALUE < 1000)');
$has{icu} = sql(q(SELECT count(*) > 0 FROM pg_collation WHERE collname = 'und-x-icu')) eq 't';
sql("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)") if $has{icu};

# name => type, and values that are the same to the key's index
my %keys = (
	float8 => [ 'float8', "'0'", "'-0'" ],
	float8_nan => [ 'float8', "'NaN'", "'-NaN'::float8 + 1" ],
	float8_infinity => [ 'float8', "'Infinity'", "'1e308'::float8 * 0 + 'Infinity'" ],
	float4 => [ 'real', "'-0'", "'0'" ],
	numeric => [ 'numeric', '1.0', '1.00' ],
	numeric_zero => [ 'numeric', '0.000', '-0.0' ],
	numeric_nan => [ 'numeric', "'NaN'", "'nan'" ],
	numeric_infinity => [ 'numeric', "'-Infinity'", "'-inf'" ],
	numeric_typed => [ 'numeric(10,2)', '1.1', '1.10' ],
	domain => [ 'price', '5', '5.000' ],
	char => [ 'char(5)', "'ab'", "'ab   '" ],
	bpchar => [ 'bpchar', "'ab'", "'ab  '" ],
	text => [ 'text', "'ab'", "'a' || 'b'" ],
	timestamptz => [ 'timestamptz', "'2024-03-10 02:30-03:30'", "'2024-03-10 06:00+00'" ],
	timestamp => [ 'timestamp', "'0001-01-01 BC'", "'0001-01-01 BC'" ],
	timetz => [ 'timetz', "'12:00+02'", "'12:00:00+02:00'" ],
	time => [ 'time', "'23:59:59.999999'", "'23:59:59.9999990'" ],
	date => [ 'date', "'2024-02-29'", "'29-Feb-2024'" ],
	interval => [ 'interval', "'1 mon'", "'30 days'" ],
	interval_day => [ 'interval', "'24:00'", "'1 day'" ],
	jsonb => [ 'jsonb', q('{"a": 1.0, "b": 2}'), q('{"b": 2.000, "a": 1.00}') ],
	numerics => [ 'numeric[]', "'{1.0,NULL}'", "'{1.00,NULL}'" ],
	floats => [ 'float8[]', "'{0,NaN}'", "'{-0,NaN}'" ],
	pair => [ 'pair', "'(0,1.0)'", "'(-0,1.00)'" ],
	range => [ 'numrange', "'[1.0,2.0)'", "'[1.00,2.000)'" ],
	daterange => [ 'daterange', "'[2024-01-01,2024-01-31]'", "'[2024-01-01,2024-02-01)'" ],
	multirange => [ 'nummultirange', "'{[1.0,2),[3,4]}'", "'{[1.00,2.0),[3,4]}'" ],
	inet => [ 'inet', "'10.0.0.1'", "'10.0.0.1/32'" ],
	macaddr => [ 'macaddr', "'08:00:2b:01:02:03'", "'08002b:010203'" ],
	uuid => [ 'uuid', "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'{A0EEBC999C0B4EF8BB6D6BB9BD380A11}'" ],
	bytea => [ 'bytea', q('\x00ff'), q('\000\377') ],
	bool => [ 'bool', "'t'", "'yes'" ],
	int2 => [ 'smallint', "'-32768'", "'-32768'" ],
	int8 => [ 'bigint', "'-9223372036854775808'", "'-09223372036854775808'" ],
	oid => [ 'oid', '4294967295', "'4294967295'" ],
	name => [ 'name', "'n'", "'n'::text" ],
	charchar => [ '"char"', "'x'", "'xyz'" ],
	money => [ 'money', "'1.5'", "'1.50'" ],
	varbit => [ 'varbit', "B'101'", "'101'" ],
	enum => [ 'mood', "'ok'", "'ok'" ],
	pg_lsn => [ 'pg_lsn', "'0/AB'", "'00/0ab'" ],
	tsvector => [ 'tsvector', "'a:1 b'", "'b a:1'" ],
);
$keys{citext} = [ 'citext', "'abc'", "'ABC'" ] if $has{citext};
$keys{ltree} = [ 'ltree', "'Top.A'", "'Top.A'" ] if $has{ltree};
$keys{hstore} = [ 'hstore', "'a=>1,b=>2'", "'b=>2,a=>1'" ] if $has{hstore};
$keys{geometry} = [ 'geometry', "'POINT (1 2)'", "'POINT (1.0 2.0)'" ] if $has{postgis};
$keys{collated} = [ 'text COLLATE ci', "'Straße'", "'STRAßE'" ] if $has{icu};
$keys{collated_two} = [ 'varchar(20) COLLATE ci', "'résumé'", "'RÉSUMÉ'" ] if $has{icu};
my @names = sort keys %keys;

# three rows apart from the key: its own table for each value, keyed by it alone, and with a number
sql(map { my $name = $_; my $key = $keys{$name}; (
	"CREATE TABLE k_$name (k $key->[0] PRIMARY KEY, v int, w text)",
	"CREATE TABLE m_$name (i int, k $key->[0], v int, PRIMARY KEY (k, i))",
	"CREATE TABLE f_$name (k $key->[0], v int)",
	"ALTER TABLE f_$name REPLICA IDENTITY FULL",
	"INSERT INTO k_$name VALUES ($key->[1], 0, 'copied')",
	"INSERT INTO m_$name SELECT g, CASE WHEN g % 2 = 0 THEN $key->[1]\::$key->[0] ELSE $key->[2]\::$key->[0] END, g FROM generate_series(1, 20) g",
	"INSERT INTO f_$name SELECT CASE WHEN g % 2 = 0 THEN $key->[1]\::$key->[0] ELSE $key->[2]\::$key->[0] END, g % 4 FROM generate_series(1, 20) g") } @names);
my @tables = map { ("k_$_", "m_$_", "f_$_") } @names;
TarnTest::mirror($node, 'p', tables => \@tables, arguments => "flush_interval => '1 s', options => '{unsupported_values=error}'");
TarnTest::wait_live($node, 'p');

sub agree
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	TarnTest::flush($node, 'p');
	return TarnTest::all_same($node, $what);
}

# The statements for each key type; A and B are its two values.
sub each_key
{
	my (@statements) = @_;

	foreach my $name (@names)
	{
		my ($type, $a, $b) = @{ $keys{$name} };
		my %value = (A => "($a)::$type", B => "($b)::$type");

		sql(map { s/\bTABLE_(\w)\b/$1_$name/gr =~ s/\b([AB])\b/$value{$1}/gr } @statements);
	}
	return;
}

agree('copied');
each_key('UPDATE TABLE_k SET v = 1 WHERE k = B', 'UPDATE TABLE_m SET v = v + 100 WHERE k = B AND i % 3 = 0', 'DELETE FROM TABLE_m WHERE k = A AND i % 5 = 0',
	'DELETE FROM TABLE_f WHERE ctid IN (SELECT min(ctid) FROM TABLE_f GROUP BY v)', 'UPDATE TABLE_f SET v = v + 10 WHERE ctid IN (SELECT max(ctid) FROM TABLE_f GROUP BY v)');
agree('found by the other value');
each_key('UPDATE TABLE_k SET k = B', 'UPDATE TABLE_m SET k = B WHERE i % 4 = 0', 'UPDATE TABLE_f SET k = B WHERE v = 1');
agree('changed to the other value');
each_key('UPDATE TABLE_k SET v = 2', 'UPDATE TABLE_m SET v = -v', 'UPDATE TABLE_f SET v = v + 1');
agree('and found as that');
each_key('BEGIN', 'DELETE FROM TABLE_k WHERE k = A', "INSERT INTO TABLE_k VALUES (A, 3, 'again')", 'UPDATE TABLE_k SET k = B', 'UPDATE TABLE_k SET v = 4 WHERE k = A', 'UPDATE TABLE_k SET k = A', 'COMMIT',
	'BEGIN', 'UPDATE TABLE_m SET k = A', 'UPDATE TABLE_m SET k = B WHERE i % 2 = 0', 'DELETE FROM TABLE_m WHERE i = 4', 'INSERT INTO TABLE_m VALUES (4, A, 0)', 'COMMIT');
agree('deleted, inserted and changed within a transaction');
each_key('INSERT INTO TABLE_k VALUES (B, 5, NULL) ON CONFLICT (k) DO UPDATE SET v = excluded.v', 'INSERT INTO TABLE_k VALUES (B, 6, NULL) ON CONFLICT (k) DO UPDATE SET k = excluded.k, v = excluded.v',
	'INSERT INTO TABLE_k VALUES (A, 7, NULL) ON CONFLICT DO NOTHING', 'INSERT INTO TABLE_m SELECT i, A, 9 FROM TABLE_m ON CONFLICT (k, i) DO UPDATE SET k = excluded.k, v = excluded.v');
agree('ON CONFLICT');
is(sql(join(' UNION ALL ', map { "SELECT '$_' FROM lake.k_$_ HAVING count(*) <> 1" } @names)), '', 'each key is there once');
each_key('DELETE FROM TABLE_k WHERE k = A', 'DELETE FROM TABLE_m WHERE k = B AND i < 10', 'DELETE FROM TABLE_f WHERE v < 3');
agree('deleted');
is(sql(join(' UNION ALL ', map { "SELECT '$_' FROM lake.k_$_ HAVING count(*) <> 0" } @names)), '', 'and gone');
each_key("INSERT INTO TABLE_k VALUES (B, 8, 'last')");
TarnTest::flush($node, 'p');

# The key index is made anew from the lake's own keys
$node->stop;
ok(-d $node->data_dir . '/pg_tarn', 'there is a key index');
system_or_bail('rm', '-rf', $node->data_dir . '/pg_tarn');
$node->start;
each_key('UPDATE TABLE_k SET v = 9 WHERE k = A', 'DELETE FROM TABLE_m WHERE i = 11', 'UPDATE TABLE_m SET v = 11 WHERE k = B', 'DELETE FROM TABLE_f WHERE ctid IN (SELECT min(ctid) FROM TABLE_f)');
agree('by an index made from the lake');
TarnTest::engines($node, [ map { "public.$_" } grep { !/^f_/ } @tables ], 'other engines read the same rows') if $ENV{TARN_TEST_LONG};
is(sql(q(SELECT count(*) FROM tarn.tables WHERE copy_reason IS NOT NULL OR error IS NOT NULL)), '0', 'no table was copied anew or stopped');
unlike(slurp_file($node->logfile), qr/signal (11|6|7)\b|PANIC|TRAP/, 'no process crashed');
$node->stop;
done_testing();
