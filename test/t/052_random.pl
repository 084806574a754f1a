# A seeded mix of changes on tables with keys of several types: the source, the foreign tables, PyIceberg and DuckDB
# agree after every flush (I1, I2, I6).  TARN_SEED repeats a run, TARN_ROUNDS makes it longer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $rounds = $ENV{TARN_ROUNDS} || ($ENV{TARN_TEST_LONG} ? 200 : 12);
srand($seed);
diag("TARN_SEED=$seed TARN_ROUNDS=$rounds");

my $node = TarnTest::cluster('random', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
TarnTest::create_lake($node);

# name => [columns, key expressions of the i-th row, replica identity]
my %tables = (
	k_int => [ 'k int PRIMARY KEY', sub { "$_[0]" } ],
	k_bigint => [ 'k bigint PRIMARY KEY', sub { $_[0] * 1_000_000_007 } ],
	k_text => [ 'k text PRIMARY KEY', sub { "'" . ('k' x ($_[0] % 40)) . "-é-$_[0]'" } ],
	k_uuid => [ 'k uuid PRIMARY KEY', sub { "md5('$_[0]')::uuid" } ],
	k_numeric => [ 'k numeric(20,5) PRIMARY KEY', sub { "$_[0].00025" } ],
	k_wide => [ 'k numeric PRIMARY KEY', sub { $_[0] . '.5' . ('0' x ($_[0] % 3)) } ],
	k_time => [ 'k timestamptz PRIMARY KEY', sub { "timestamptz '2024-01-01 00:00+00' + interval '1 second' * $_[0]" } ],
	k_float => [ 'k float8 PRIMARY KEY', sub { "$_[0]::float8 / 7" } ],
	k_bytea => [ 'k bytea PRIMARY KEY', sub { "decode(md5('$_[0]'), 'hex')" } ],
	k_bool => [ 'k boolean NOT NULL, k2 smallint NOT NULL, PRIMARY KEY (k, k2)', sub { ($_[0] % 2 ? 'true' : 'false') . ", $_[0]" } ],
	k_pair => [ 'k int NOT NULL, k2 date NOT NULL, PRIMARY KEY (k, k2)', sub { ($_[0] % 7) . ", date '2020-01-01' + $_[0]" } ],
	k_full => [ 'k int', sub { $_[0] % 20 } ],
);

sub columns_of
{
	my ($name) = @_;

	return $tables{$name}[0] =~ /k2/ ? '(k, k2)' : 'k';
}

sub key
{
	my ($name, $i) = @_;
	my $text = $tables{$name}[1]->($i);

	return $tables{$name}[0] =~ /k2/ ? "($text)" : $text;
}

sub value
{
	my $kind = int(rand(8));

	return 'NULL' if $kind == 0;
	return "''" if $kind == 1;
	# out of line: longer than a page, and not to be compressed away
	return sprintf("(SELECT string_agg(md5((%d + g)::text), '') FROM generate_series(1, 400) g)", int(rand(1e6)))
	  if $kind == 2;
	return sprintf("repeat('%s', %d)", chr(97 + int(rand(26))), int(rand(3000))) if $kind == 3;
	return sprintf("'value %d'", int(rand(1000)));
}

sub insert_row
{
	my ($name, $i) = @_;
	my $conflict = $name eq 'k_full' ? '' : ' ON CONFLICT DO NOTHING';

	my $columns = $tables{$name}[0] =~ /k2/ ? 'k, k2' : 'k';
	return sprintf('INSERT INTO %s (%s, v, n, pad) VALUES (%s, %s, %d, %s)%s', $name, $columns,
		$tables{$name}[1]->($i), value(), int(rand(1000)), value(), $conflict);
}

# One statement
sub statement
{
	my ($name) = @_;
	my $i = int(rand(120));
	my $kind = int(rand(20));
	my ($columns, $key) = (columns_of($name), key($name, $i));

	return insert_row($name, $i) if $kind < 7;
	return "UPDATE $name SET n = n + 1 WHERE $columns = $key" if $kind < 10;
	return "UPDATE $name SET v = " . value() . ", pad = pad WHERE $columns = $key" if $kind < 12;
	return "DELETE FROM $name WHERE $columns = $key" if $kind < 15;
	# the key itself; a failure is caught by its savepoint
	return "UPDATE $name SET $columns = " . key($name, int(rand(240))) . " WHERE $columns = $key" if $kind < 17;
	return "DELETE FROM $name WHERE $columns = $key; " . insert_row($name, $i) if $kind < 18;
	return "UPDATE $name SET n = n * 2 WHERE n % 3 = 0" if $kind < 19;
	return "DELETE FROM $name WHERE n % 11 = 0";
}

sub swap
{
	my ($name) = @_;
	my ($columns, $a, $b) = (columns_of($name), key($name, int(rand(60))), key($name, int(rand(60))));

	return "UPDATE $name SET $columns = " . key($name, 9999) . " WHERE $columns = $a",
	  "UPDATE $name SET $columns = $a WHERE $columns = $b",
	  "UPDATE $name SET $columns = $b WHERE $columns = " . key($name, 9999);
}

# A transaction; each statement has a savepoint, because a changed key may hit another row's.
sub transaction
{
	my @names = sort keys %tables;
	my $long = rand() < 0.1 ? 150 : 12;
	my @lines = ('BEGIN;');

	foreach (0 .. int(rand($long)))
	{
		my $name = $names[ int(rand(@names)) ];
		my $kind = rand();

		if ($kind < 0.004)
		{
			push @lines, "TRUNCATE $name;";
		}
		elsif ($kind < 0.08)
		{
			push @lines, 'SAVEPOINT undone;', (map { statement($name) . ';' } 1 .. 1 + int(rand(4))),
			  'ROLLBACK TO undone;';
		}
		else
		{
			push @lines, 'SAVEPOINT s;', (map { "$_;" } $kind < 0.12 ? swap($name) : statement($name)), '\if :ERROR', 'ROLLBACK TO s;', '\endif';
		}
	}
	push @lines, rand() < 0.1 ? 'ROLLBACK;' : 'COMMIT;';
	return join("\n", @lines) . "\n";
}

foreach my $name (sort keys %tables)
{
	$node->safe_psql($db, "CREATE TABLE $name ($tables{$name}[0], v text, n int, pad text)"
		  . ($name eq 'k_full' ? "; ALTER TABLE $name REPLICA IDENTITY FULL" : ''));
	# half of it is there before the copy
	$node->safe_psql($db, join(';', map { insert_row($name, $_) } 0 .. 29));
}
TarnTest::mirror($node, 'p', tables => [ sort keys %tables ], arguments => "flush_interval => '200 ms', memory_limit => '16MB'");
TarnTest::wait_live($node, 'p');

foreach my $round (1 .. $rounds)
{
	foreach (0 .. int(rand(6)))
	{
		my $script = join('', map { transaction() } 0 .. int(rand(6)));
		my ($out, $err) = ('', '');

		$node->psql($db, $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
		TarnTest::flush($node, 'p') if rand() < 0.3;
	}
	if (rand() < 0.1)
	{
		$node->stop('immediate');
		$node->start;
	}
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, "round $round") or last;
	TarnTest::engines($node, [ map { "public.$_" } sort keys %tables ], "round $round: engines")
	  if $round == $rounds || $round % 25 == 0;
}
my $rows = $node->safe_psql($db, 'SELECT ' . join('+', map { "(SELECT count(*) FROM $_)" } sort keys %tables));
cmp_ok($rows, '>', 0, "rows at the end: $rows");
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
TarnTest::files_known($node);
$node->stop;
done_testing();
