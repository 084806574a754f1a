# The S3 driver against a service that misbehaves: replies of a small HTTP server by the name of the object.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::MD5;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TarnTest;

my $node = PostgreSQL::Test::Cluster->new('store_faults');
my $requests = $node->basedir . '/requests';
my $server = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
my $endpoint = 'http://127.0.0.1:' . $server->sockport;

my %seen;
my %tokens;

sub reply
{
	my ($status, $body, @headers) = @_;

	return join("\r\n", "HTTP/1.1 $status X", 'Content-Length: ' . length($body), 'Connection: close',
		'x-amz-request-id: REQ42', @headers, '', $body);
}

sub error_document
{
	my ($status, $code) = @_;

	return reply($status, "<?xml version=\"1.0\"?>\n<Error><Code>$code</Code><Message>It is &quot;$code&quot;.</Message></Error>");
}

# Bytes $1 to $2 of an object of 1,000,000, as test_store_stream makes them.
sub bytes
{
	my ($from, $to) = @_;

	return join '', map { chr((($_ % 251) + int($_ / 65521)) % 256) } $from .. $to;
}

# Name of the object => what is answered to its nth request; an empty reply closes the connection.
my %behaviour = (
	busy => sub { $_[0] < 3 ? error_document(503, 'SlowDown') : reply(200, 'at last') },
	dead => sub { error_document(503, 'SlowDown') },
	silent => sub { $_[0] < 2 ? '' : reply(200, 'at last') },
	denied => sub { error_document(403, 'AccessDenied') },
	moved => sub { reply(307, '', "Location: $endpoint/b/r/elsewhere", 'x-amz-bucket-region: eu-west-7') },
	short => sub { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this" },
	nonsense => sub { "SSH-2.0-OpenSSH\r\n" },
	cut => sub {
		my ($n, $request) = @_;
		my ($from, $to) = $request =~ /^range: bytes=(\d+)-(\d+)/mi;
		my $all = reply(206, bytes($from, $to), "Content-Range: bytes $from-$to/2000000");

		return substr($all, 0, 400_000);
	},
	headers_cut => sub {
		my ($n, $request) = @_;
		my $all = reply(206, 'x' x 1000, 'Content-Range: bytes 0-999/2000000');

		return $n == 1 ? "HTTP/1.1 206 X\r\nContent-Le" : $n == 2 ? "HTTP/1.1 206 X\r\nContent-Length: 1000\r\n" : $all;
	},
	head_cut => sub {
		my ($n, $request) = @_;

		return "HTTP/1.1 200 X\r\n" if $n == 1;
		return "HTTP/1.1 200 X\r\nContent-Length: 4\r\nConnection: close\r\n\r\n" if $request =~ /^HEAD/;
		return reply(206, 'read', 'Content-Range: bytes 0-3/4');
	},
	shifted => sub { reply(206, 'x' x 1000, 'Content-Range: bytes 1-1000/2000000') },
	longer => sub { reply(206, 'x' x 2000, 'Content-Range: bytes 0-999/2000000') },
	put_lost => sub {
		my ($n, $request) = @_;

		$tokens{put_lost} = $1 if $request =~ /^x-amz-meta-tarn-token: (\w+)/mi && $n == 1;
		return '' if $n == 1;
		return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-amz-meta-tarn-token: $tokens{put_lost}\r\nConnection: close\r\n\r\n"
		  if $request =~ /^HEAD/;
		return error_document(412, 'PreconditionFailed');
	},
	# what is seen when libcurl has sent a request again by itself
	put_twice => sub {
		my ($n, $request) = @_;

		$tokens{put_twice} = $1 if $request =~ /^x-amz-meta-tarn-token: (\w+)/mi;
		return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-amz-meta-tarn-token: $tokens{put_twice}\r\nConnection: close\r\n\r\n"
		  if $request =~ /^HEAD/;
		return error_document(412, 'PreconditionFailed');
	},
	put_other => sub {
		my ($n, $request) = @_;

		return '' if $n == 1;
		return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-amz-meta-tarn-token: 0123\r\nConnection: close\r\n\r\n"
		  if $request =~ /^HEAD/;
		return error_document(412, 'PreconditionFailed');
	},
	parts => sub {
		my ($n, $request) = @_;

		return reply(200, '<InitiateMultipartUploadResult><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>')
		  if $request =~ /^POST \S*uploads=/;
		return reply(200, '', 'ETag: "e"') if $request =~ /^PUT/;
		return reply(200, '<Error><Code>InternalError</Code></Error>') if $seen{completed}++ == 0;
		return reply(200, '<CompleteMultipartUploadResult/>');
	},
	sse_small => sub { reply(200, $_[1] =~ /^GET/ ? 'read' : '', 'ETag: "e"') },
	sse_large => sub {
		my ($n, $request) = @_;

		return reply(200, '<r><UploadId>u</UploadId></r>') if $request =~ /^POST \S*uploads=/;
		return reply(200, '<CompleteMultipartUploadResult/>') if $request =~ /^POST/;
		return reply(200, '', 'ETag: "e"');
	},
	parts_refused => sub {
		my ($n, $request) = @_;

		return reply(200, '<r><UploadId>u</UploadId></r>') if $request =~ /^POST \S*uploads=/;
		return reply(200, '', 'ETag: "e"') if $request =~ /^PUT/;
		return reply(204, '') if $request =~ /^DELETE/;
		return reply(200, '<Error><Code>InvalidPart</Code><Message>No.</Message></Error>');
	},
);

# A line for each request of an object called sse_...: what it does, its headers of encryption and whether they are signed
sub note_encryption
{
	my ($request, $name) = @_;
	my ($method, $query) = $request =~ m{^(\w+) \S+?(?:\?(\w+)\S*)? HTTP};
	my %signed = map { $_ => 1 } split /;/, $request =~ /SignedHeaders=([^,]+)/ ? $1 : '';
	my @headers;

	return if $name !~ /^sse/;
	while ($request =~ /^(x-amz-server-side-encryption\S*): (\S+)/mgi)
	{
		push @headers, ($signed{$1} ? '' : 'unsigned ') . "$1=$2";
	}
	open my $out, '>>', "$requests.sse" or die;
	print $out join(' ', $method, $query // (), @headers) . "\n";
	close $out;
	return;
}

sub serve
{
	open my $log, '>>', $requests or die;
	$log->autoflush(1);
	while (my $client = $server->accept)
	{
		my ($request, $body) = ('', '');

		$client->autoflush(1);
		while (defined(my $line = <$client>))
		{
			$request .= $line;
			last if $line =~ /^\r?\n$/;
		}
		if ($request =~ /^content-length: (\d+)/mi && $1 > 0)
		{
			read $client, $body, $1;
			$request .= $body if length $body < 10_000;
		}
		my ($method, $name) = $request =~ m{^(\w+) /b/r/(\w+)} or next;
		note_encryption($request, $name);
		print $log "$method $name" . ($request =~ /^range: (\S+)/mi ? " $1" : '') . "\n";
		my $n = ++$seen{$name};
		print $client exists $behaviour{$name} ? $behaviour{$name}->($n, $request) : error_document(404, 'NoSuchKey');
		close $client;
	}
}

my $pid = fork;
die "fork: $!" unless defined $pid;
if ($pid == 0)
{
	$SIG{PIPE} = 'IGNORE';
	serve();
	POSIX::_exit(0);
}
close $server;

# also when the test dies: whoever reads its output would wait for the server
END
{
	my $status = $?;
	if ($pid)
	{
		kill 'TERM', $pid;
		waitpid $pid, 0;
	}
	$? = $status;
}

$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION tarn_store_test');
my $settings = "LOAD 'tarn_store_test'; SET tarn_store_test.endpoint = '$endpoint';"
  . " SET tarn_store_test.access_key = 'AKEY'; SET tarn_store_test.secret_key = 'topsecret';\n";

sub ask
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "$settings\\set VERBOSITY verbose\n$sql");

	unlike($err, qr/topsecret/, 'no secret in the messages');
	return $out . $err;
}

sub get { return ask("SELECT convert_from(store_get('s3://b/r', 's3://b/r/$_[0]'), 'UTF8')"); }
sub count_of { return scalar(grep { /^\S+ $_[0]\b/ } split /\n/, slurp_file($requests)); }

is(get('busy'), 'at last', 'SlowDown is waited for');
is(get('silent'), 'at last', 'a connection closed without a reply is tried again');

my $start = time;
like(get('dead'), qr/ERROR:  08006: could not read "s3:\/\/b\/r\/dead": HTTP 503 SlowDown\nDETAIL:  It is "SlowDown". \(request id REQ42\)/,
	'not for ever: object, operation, status, code, message and request id are told');
cmp_ok(time - $start, '>', 2, 'attempts are spread');
cmp_ok(count_of('dead'), '<', 10, 'attempts are few');

like(get('denied'), qr/ERROR:  42501: .*HTTP 403 AccessDenied/, 'a refusal is final');
is(count_of('denied'), 1, 'and asked once');
like(get('gone'), qr/ERROR:  58P01: .*HTTP 404 NoSuchKey/, 'what is not there');
like(get('moved'), qr/HTTP 307\n.*HINT:  The bucket is in region "eu-west-7"/s, 'a redirect is told');
is(count_of('elsewhere'), 0, 'and not followed');
like(get('short'), qr/ERROR:  08006: /, 'a body shorter than announced is no object');
like(get('nonsense'), qr/ERROR:  08\w+: /, 'another protocol is no reply');

my $range = "SELECT count(*) FROM generate_series(1, 1) WHERE store_read('s3://b/r', 's3://b/r/%s', 2000000, 0, %s) IS NOT NULL";
like(ask("SELECT md5(store_read('s3://b/r', 's3://b/r/cut', 2000000, 0, 1000000))"),
	qr/^@{[ Digest::MD5::md5_hex(bytes(0, 999_999)) ]}$/, 'a reply cut short is taken up where it ended');
like(slurp_file($requests), qr/GET cut bytes=0-999999\nGET cut bytes=(?!0-)\d+-999999\n/, 'by a range');
is(ask(sprintf $range, 'headers_cut', 1000), '1', 'a reply cut within its headers is no reply');
is(count_of('headers_cut'), 3, 'and is asked for again');
is(ask("SELECT convert_from(store_read('s3://b/r', 's3://b/r/head_cut', -1, 0, 4), 'UTF8')"), 'read', 'also one that has no body');
like(ask(sprintf $range, 'shifted', 1000), qr/ERROR:  XX001: .*bytes 1 to 1000 came for 0 to 999/, 'other bytes than asked for');
like(ask(sprintf $range, 'longer', 1000), qr/ERROR:  XX001: .*longer than what was asked for/, 'more bytes than asked for');

my $put = "SELECT store_put('s3://b/r', 's3://b/r/%s', 'hello', if_absent => true)";
is(ask(sprintf $put, 'put_lost'), '', 'a lost reply to a conditional write: the object is ours');
is(ask(sprintf $put, 'put_twice'), '', 'so it is when the first reply that we see says that it exists');
like(ask(sprintf $put, 'put_other'), qr/ERROR:  58P02: .*HTTP 412/, 'a lost reply to a conditional write: somebody else was first');

my $stream = "SELECT store_stream('s3://b/r', 's3://b/r/%s', 9000000, 1000000, 'finish')";
is(ask(sprintf $stream, 'parts'), '9000000', 'a completion that says 200 and InternalError is tried again');
like(ask(sprintf $stream, 'parts_refused'), qr/ERROR:  58030: .*HTTP 200 InvalidPart/, 'a completion that says 200 and an error fails');

# Encryption by the service: asked for by the requests that begin an object, and by no other
my $header = 'x-amz-server-side-encryption';
foreach my $case ([ 'AES256', '', "$header=AES256" ], [ 'aws:kms', '', "$header=aws:kms" ],
	[ 'aws:kms', 'arn:aws:kms:eu-west-7:1:key/k', "$header=aws:kms $header-aws-kms-key-id=arn:aws:kms:eu-west-7:1:key/k" ], [ '', '', '' ])
{
	my ($sse, $key, $headers) = @$case;
	my $with = $headers ? " $headers" : '';

	unlink "$requests.sse";
	is(ask(<<SQL), "read\n9000000", "encryption '$sse' '$key': objects are written, read and removed");
SET tarn_store_test.sse = '$sse'; SET tarn_store_test.sse_kms_key_id = '$key';
SELECT store_put('s3://b/r', 's3://b/r/sse_small', 'hello', if_absent => true) \\g /dev/null
SELECT convert_from(store_get('s3://b/r', 's3://b/r/sse_small'), 'UTF8');
SELECT store_remove('s3://b/r', 's3://b/r/sse_small') \\g /dev/null
SELECT store_stream('s3://b/r', 's3://b/r/sse_large', 9000000, 1000000, 'finish');
SQL
	is(slurp_file("$requests.sse"), "PUT$with\nGET\nDELETE\nPOST uploads$with\nPUT partNumber\nPUT partNumber\nPOST uploadId\n",
		'the headers are where they belong');
}

$node->stop;
done_testing();
