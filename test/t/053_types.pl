# Every type: edge values and random ones, through the copy and through the stream, read back by the foreign table
# exactly (value and text), and by PyIceberg and DuckDB (I6).  The database's settings are chosen to disturb: what is
# kept must not depend on them.  TARN_SEED repeats a run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use TarnTypes;

my $db = 'postgres';
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $rows = $ENV{TARN_TEST_LONG} ? 2000 : 60;
diag("TARN_SEED=$seed");

my $node = TarnTest::cluster('types', conf => "log_statement = none\n");
TarnTest::create_lake($node);

foreach my $setting ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'America/St_Johns'",
	'extra_float_digits = -3', "bytea_output = 'escape'", "xmloption = 'document'")
{
	$node->safe_psql($db, "ALTER DATABASE $db SET $setting");
}

my %types = TarnTypes::make($node, $db);
my @names = sort keys %types;

sub fill
{
	my ($name, $from) = @_;

	# other values in the stream than in the copy
	return TarnTest::type_rows("t_$name", $types{$name}, $from, $rows, $seed + $from / 10000);
}

$node->safe_psql($db, join('', map { "CREATE TABLE t_$_ (k int PRIMARY KEY, v $types{$_}[0]);" } @names));
foreach my $name (@names)
{
	$node->safe_psql($db, fill($name, 0));
}
TarnTest::mirror($node, 'p', tables => [ map { "t_$_" } @names ], arguments => "flush_interval => '1 s'");
TarnTest::wait_live($node, 'p');
TarnTest::all_same($node, 'after the copy');
TarnTest::engines($node, [ map { "public.t_$_" } @names ], 'other engines after the copy');

# An enum grows; a value of it follows in the stream
$node->safe_psql($db, "ALTER TYPE mood ADD VALUE 'new' BEFORE 'ok'");
$node->safe_psql($db, "INSERT INTO t_mood VALUES (-1, 'new')");
foreach my $name (@names)
{
	$node->safe_psql($db, fill($name, 10000)
		  . "UPDATE t_$name SET v = (SELECT v FROM t_$name x WHERE x.k = t_$name.k + 1) WHERE k < 20;"
		  . "DELETE FROM t_$name WHERE k % 7 = 3;");
}
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'after the stream');
TarnTest::engines($node, [ map { "public.t_$_" } @names ], 'other engines after the stream');

# The value, not its text alone, where the type has an equality
foreach my $name (@names)
{
	next if $types{$name}[0] =~ /^(json|jsonpath|xml|point|line|lseg|box|path|polygon|circle|xid|cid|geometry.*|geography|aclitem|pg_snapshot|refcursor|lquery)$/;
	is(TarnTest::differing($node, "public.t_$name", "lake.t_$name"), '0', "values of $types{$name}[0]");
}
# The same in a session with other settings, where the text is another
is($node->safe_psql($db, "SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Kathmandu'; SELECT "
	  . join(' + ', map { "(SELECT count(*) FROM public.t_$_ s JOIN lake.t_$_ l USING (k) WHERE s.v::text IS DISTINCT FROM l.v::text)" } @names)),
	'0', 'text in another session');

$node->stop;
done_testing();
