# The store by itself, on a directory and on S3.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes ();

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

# certificates are verified, against those of ca_file when it is given
my $tls = PostgreSQL::Test::Utils::tempdir();
my @new = qw(openssl req -newkey rsa:2048 -nodes);
PostgreSQL::Test::Utils::append_to_file("$tls/names", 'subjectAltName=IP:127.0.0.1');
foreach my $ca ('ca', 'other')
{
	PostgreSQL::Test::Utils::run_log([ @new, '-x509', '-days', '2', '-subj', "/CN=$ca", '-keyout', "$tls/$ca.key", '-out', "$tls/$ca.pem" ]);
}
PostgreSQL::Test::Utils::run_log([ @new, '-subj', '/CN=server', '-keyout', "$tls/server.key", '-out', "$tls/server.csr" ]);
PostgreSQL::Test::Utils::run_log([ qw(openssl x509 -req -days 2 -CAcreateserial -in), "$tls/server.csr", '-CA', "$tls/ca.pem",
		'-CAkey', "$tls/ca.key", '-extfile', "$tls/names", '-out', "$tls/server.pem" ]);
my $port = PostgreSQL::Test::Cluster::get_free_port();
mkdir "$tls/data";
mkdir "$tls/data/tarn-test";
my $gateway = IPC::Run::start([ ($ENV{TARN_BIN} ? "$ENV{TARN_BIN}/versitygw" : 'versitygw'), '--port', "127.0.0.1:$port",
		'--access', $environment{TARN_TEST_S3_ACCESS_KEY}, '--secret', $environment{TARN_TEST_S3_SECRET_KEY},
		'--region', 'us-east-1', '--quiet', '--cert', "$tls/server.pem", '--key', "$tls/server.key", 'posix', "$tls/data" ],
	'<', \undef, '>&', \my $gateway_output);
foreach (1 .. 300)
{
	last if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	Time::HiRes::usleep(100_000);
}
my %expected = ("$tls/ca.pem" => qr/^$/, "$tls/other.pem" => qr/certificate/, '' => qr/certificate/);
foreach my $file (sort keys %expected)
{
	my (undef, undef, $error) = $node->psql('contrib_regression', "LOAD 'tarn_store_test';
		SET tarn_store_test.endpoint = 'https://127.0.0.1:$port'; SET tarn_store_test.ca_file = '$file';
		SET tarn_store_test.access_key = '$environment{TARN_TEST_S3_ACCESS_KEY}';
		SET tarn_store_test.secret_key = '$environment{TARN_TEST_S3_SECRET_KEY}';
		SELECT store_check('s3://tarn-test/x')");
	like($error, $expected{$file}, 'TLS, trusting ' . ($file =~ s{.*/}{}r || 'the system'));
}
$gateway->kill_kill(grace => 5);

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
