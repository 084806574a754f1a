# A bad line to an S3 server: a proxy that delays replies, throttles bytes, refuses requests, and loses connections.
#
#   my $line = TarnSlow->start($endpoint, seed => 42);
#   $line->endpoint;                                where clients shall go
#   $line->set(delay => [0.2, 0.4], rate => 96000, faults => 0.05);    seconds before a reply, bytes a second of a
#                                                   connection and direction, share of requests that go wrong
#   $line->set(status => '503 SlowDown');           every request is answered with that
#   $line->counts;                                  how many requests there were, and what became of them
#
# A request that goes wrong is one of: refused (503), reset before it reaches the server, reset when the server has done
# what was asked ("lost"), cut in the middle of its reply.  Which one follows from the seed and the order of requests.

package TarnSlow;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use constant BLOCK => 16384;

my $lines = 0;
my @fates = qw(refused reset lost cut);

# These run in the process of the proxy.

sub close_link
{
	my ($self, $link, $reset) = @_;

	return if $link->{closed}++;
	setsockopt $link->{client}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
	foreach my $socket (grep { defined } @$link{qw(client server)})
	{
		delete $self->{links}{ fileno $socket };
		close $socket;
	}
	return;
}

sub count
{
	my ($self, $what) = @_;

	$self->{counts}{$what}++;
	open my $out, '>', "$self->{file}.counts.new" or return;
	print $out map { "$_ $self->{counts}{$_}\n" } sort keys %{ $self->{counts} };
	close $out;
	rename "$self->{file}.counts.new", "$self->{file}.counts";
	return;
}

sub read_settings
{
	my ($self) = @_;

	return if time() < $self->{look};
	$self->{look} = time() + 0.05;
	open my $in, '<', $self->{file} or return;
	chomp(my $line = <$in> // '');
	@$self{qw(least most rate faults status)} = split /,/, $line;
	return;
}

sub due
{
	my ($self) = @_;

	return time() + $self->{least} + rand() * ($self->{most} - $self->{least});
}

# The head of a request is there: what becomes of it?
sub begin_request
{
	my ($self, $link) = @_;
	my $chance = rand();

	$link->{left} = $link->{head} =~ /^content-length: (\d+)/mi ? $1 : 0;
	$link->{fate} = $chance < $self->{faults} ? $fates[ int(rand(@fates)) ] : 'passed';
	$link->{fate} = 'answered' if $self->{status};
	$self->count($link->{fate});
	if ($link->{fate} eq 'reset')
	{
		$self->close_link($link, 1);
		return;
	}
	$link->{cut} = $link->{fate} eq 'cut' ? int(rand(2000)) : undef;
	$link->{upward} .= $link->{head} if $link->{fate} =~ /^(passed|lost|cut)$/;
	$link->{in_body} = 1;
	$link->{head} = '';
	$link->{fresh} = 1;
	return;
}

sub end_request
{
	my ($self, $link) = @_;
	my $status = $link->{fate} eq 'answered' ? $self->{status} : $link->{fate} eq 'refused' ? '503 SlowDown' : '';

	$link->{in_body} = 0;
	return if !$status;
	my ($number, $code) = split / /, $status;
	my $body = "<Error><Code>$code</Code><Message>The line says so.</Message></Error>";
	push @{ $link->{downward} }, "HTTP/1.1 $number X\r\nContent-Length: " . length($body) . "\r\nx-amz-request-id: LINE\r\n\r\n$body";
	$link->{down_at} = $self->due;
	return;
}

sub from_client
{
	my ($self, $link) = @_;
	my $n = sysread $link->{client}, my $data, BLOCK;

	return if !defined $n && $!{EAGAIN};
	return $self->close_link($link) if !$n;
	$link->{up_at} = time() + $n / $self->{rate};
	while (length $data && !$link->{closed})
	{
		if ($link->{in_body})
		{
			my $part = substr $data, 0, $link->{left}, '';

			$link->{left} -= length $part;
			$link->{upward} .= $part if $link->{fate} =~ /^(passed|lost|cut)$/;
		}
		else
		{
			$link->{head} .= substr $data, 0, 1, '' while length $data && $link->{head} !~ /\r\n\r\n\z/;
			next if $link->{head} !~ /\r\n\r\n\z/;
			$self->begin_request($link);
		}
		$self->end_request($link) if !$link->{closed} && $link->{in_body} && $link->{left} == 0;
	}
	return;
}

sub from_server
{
	my ($self, $link) = @_;
	my $n = sysread $link->{server}, my $data, BLOCK;

	return if !defined $n && $!{EAGAIN};
	if (!$n)
	{
		$link->{ended} = 1;
		$self->close_link($link) if !@{ $link->{downward} };
		return;
	}
	return $self->close_link($link, 1) if $link->{fate} eq 'lost';
	$link->{down_at} = $self->due if $link->{fresh};
	$link->{fresh} = 0;
	push @{ $link->{downward} }, $data;
	return;
}

sub to_client
{
	my ($self, $link) = @_;
	my $data = shift @{ $link->{downward} };
	my $n;

	$data = substr $data, 0, $link->{cut} if defined $link->{cut} && length $data > $link->{cut};
	$n = length $data ? syswrite $link->{client}, $data : 0;
	return $self->close_link($link) if !defined $n && !$!{EAGAIN};
	$n ||= 0;
	unshift @{ $link->{downward} }, substr $data, $n if $n < length $data;
	$link->{down_at} = time() + $n / $self->{rate};
	if (defined $link->{cut})
	{
		$link->{cut} -= $n;
		return $self->close_link($link, rand() < 0.5) if $link->{cut} <= 0;
	}
	$self->close_link($link) if $link->{ended} && !@{ $link->{downward} };
	return;
}

sub to_server
{
	my ($self, $link) = @_;
	my $n = syswrite $link->{server}, $link->{upward};

	return $self->close_link($link) if !defined $n && !$!{EAGAIN};
	substr $link->{upward}, 0, $n || 0, '';
	return;
}

sub accept_link
{
	my ($self) = @_;
	my $client = $self->{socket}->accept or return;
	my $server = IO::Socket::INET->new($self->{server});
	my $link = { client => $client, server => $server, head => '', upward => '', downward => [], up_at => 0, down_at => 0,
		in_body => 0, fate => '', fresh => 0 };

	return if !$server;
	foreach my $socket ($client, $server)
	{
		$socket->blocking(0);
		setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
		$self->{links}{ fileno $socket } = $link;
	}
	return;
}

sub serve
{
	my ($self) = @_;

	$self->{links} = {};
	$self->{look} = 0;
	while (getppid() == $self->{parent})
	{
		my $now = time();
		my $wait = 0.05;
		my ($reads, $writes) = (IO::Select->new($self->{socket}), IO::Select->new);
		my %all = map { $_ => $_ } values %{ $self->{links} };

		$self->read_settings;
		foreach my $link (values %all)
		{
			if ($link->{up_at} > $now) { $wait = $link->{up_at} - $now if $link->{up_at} - $now < $wait; }
			elsif (length $link->{upward} < BLOCK) { $reads->add($link->{client}); }
			$writes->add($link->{server}) if length $link->{upward};
			$reads->add($link->{server}) if !$link->{ended} && @{ $link->{downward} } < 4;
			next if !@{ $link->{downward} };
			if ($link->{down_at} > $now) { $wait = $link->{down_at} - $now if $link->{down_at} - $now < $wait; }
			else { $writes->add($link->{client}); }
		}
		my ($readable, $writable) = IO::Select->select($reads, $writes, undef, $wait);
		foreach my $socket (@{ $readable || [] })
		{
			my $link = $socket == $self->{socket} ? undef : $self->{links}{ fileno($socket) // -1 };

			if ($socket == $self->{socket}) { $self->accept_link; }
			elsif ($link) { $socket == $link->{client} ? $self->from_client($link) : $self->from_server($link); }
		}
		foreach my $socket (@{ $writable || [] })
		{
			my $link = $self->{links}{ fileno($socket) // -1 } or next;

			$socket == $link->{client} ? $self->to_client($link) : $self->to_server($link);
		}
	}
	return;
}

# These in that of the test.

sub start
{
	my ($class, $endpoint, %options) = @_;
	my $self = bless { server => $endpoint =~ s{^http://}{}r, parent => $$, counts => {},
		file => "$PostgreSQL::Test::Utils::tmp_check/line" . $lines++ }, $class;

	$self->{socket} = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	$self->{endpoint} = 'http://127.0.0.1:' . $self->{socket}->sockport;
	$self->{settings} = { delay => [ 0, 0 ], rate => 1e9, faults => 0, status => '' };
	$self->set;
	$self->{pid} = fork;
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		$SIG{PIPE} = 'IGNORE';
		srand($options{seed});
		eval { $self->serve; 1 } or print STDERR "the line to the S3 server: $@";
		POSIX::_exit(0);
	}
	close $self->{socket};
	return $self;
}

sub endpoint { return $_[0]->{endpoint}; }

# Changes what is given; requests that begin from 0.1 s later on meet it, and bytes at once.
sub set
{
	my ($self, %settings) = @_;
	my $now = $self->{settings} = { %{ $self->{settings} }, %settings };

	open my $out, '>', "$self->{file}.new" or die "$self->{file}: $!";
	print $out join(',', @{ $now->{delay} }, $now->{rate}, $now->{faults}, $now->{status}) . "\n";
	close $out;
	rename "$self->{file}.new", $self->{file} or die "$self->{file}: $!";
	Time::HiRes::sleep(0.1);
	return;
}

sub counts
{
	my ($self) = @_;
	my %counts = -e "$self->{file}.counts" ? map { split / / } split /\n/, slurp_file("$self->{file}.counts") : ();

	return \%counts;
}

sub stop
{
	my ($self) = @_;
	my $status = $?;

	if ($self->{pid} && $self->{parent} == $$)
	{
		kill 'TERM', $self->{pid};
		waitpid $self->{pid}, 0;
		undef $self->{pid};
	}
	$? = $status;
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
