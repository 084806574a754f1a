# The store by itself, on a directory and on S3.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $node = PostgreSQL::Test::Cluster->new('store');
my %environment = (TarnTest::s3_environment(), TARN_TEST_DIR => $node->basedir);

# COPY TO PROGRAM of the tests runs in the server
{
	local %ENV = (%ENV, %environment);
	$node->init;
	$node->start;
}
TarnTest::regress($node, $ENV{PG_REGRESS}, "$TarnTest::top/test/store",
	TarnTest::names_of("$TarnTest::top/test/store/sql/*.sql"), %environment);

# a request in progress ends at once with the server
my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
my $endpoint = 'http://127.0.0.1:' . $silent->sockport;
my $session = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('contrib_regression'), '-c', "LOAD 'tarn_store_test'",
		'-c', "SET tarn_store_test.endpoint = '$endpoint'", '-c', "SELECT store_get('s3://b/x', 's3://b/x/y')" ],
	'<', \undef, '>&', \my $output);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT store_get%' AND wait_event_type = 'Extension'");
my $start = Time::HiRes::time();
$node->stop('fast');
cmp_ok(Time::HiRes::time() - $start, '<', 2, 'a fast shutdown does not wait for a silent service');
$session->finish;
like($output, qr/terminating connection/, 'the session heard of it');

done_testing();
