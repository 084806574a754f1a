# The SQL tests (sql/, expected/) and the isolation tests, against a server with tarn preloaded.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $node = TarnTest::cluster('regress', extension => 0);
my %environment = (TARN_TEST_LAKE => TarnTest::warehouse($node, 'regress'), TARN_TEST_DIR => $node->basedir);

TarnTest::regress($node, $ENV{PG_REGRESS}, $TarnTest::top,
	TarnTest::names_of("$TarnTest::top/sql/*.sql"), %environment);

my $isolation = $ENV{PG_REGRESS} =~ s{regress/pg_regress$}{isolation/pg_isolation_regress}r;
my $specs = TarnTest::names_of("$TarnTest::top/test/isolation/specs/*.spec");
TarnTest::regress($node, $isolation, "$TarnTest::top/test/isolation", $specs, %environment) if @$specs;

$node->stop;
done_testing();
