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
my $warehouse = TarnTest::warehouse($node, 'regress');
my %environment = (TARN_TEST_LAKE_OPTIONS => "warehouse '$warehouse'", TARN_TEST_DIR => $node->basedir);
if ($warehouse =~ /^s3:/)
{
	my %s3 = TarnTest::s3_environment();

	$environment{TARN_TEST_LAKE_OPTIONS} .= ", endpoint '$s3{TARN_TEST_S3_ENDPOINT}', path_style 'true'";
	$environment{TARN_TEST_LAKE_KEYS} =
	  "OPTIONS (access_key_id '$s3{TARN_TEST_S3_ACCESS_KEY}', secret_access_key '$s3{TARN_TEST_S3_SECRET_KEY}')";
}

TarnTest::regress($node, $ENV{PG_REGRESS}, $TarnTest::top,
	TarnTest::names_of("$TarnTest::top/sql/*.sql"), %environment);

my $isolation = $ENV{PG_REGRESS} =~ s{regress/pg_regress$}{isolation/pg_isolation_regress}r;
my $specs = TarnTest::names_of("$TarnTest::top/test/isolation/specs/*.spec");
TarnTest::regress($node, $isolation, "$TarnTest::top/test/isolation", $specs, %environment) if @$specs;

$node->stop;
done_testing();
