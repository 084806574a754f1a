# Helper of the test with several hosts: a network namespace for each, which share the disk but not the network.
#
#   use TarnHosts;                              before all other modules: the test starts anew in a network of its own,
#                                               which is the host of the test itself; skipped where there are no namespaces
#   TarnHosts::add('north', '10.86.0.2');       a host with this address ('10.86.0.1' is that of the test itself, TarnHosts::SELF)
#   TarnHosts::connect('north', 'south');       a cable between them; 'self' is the test's
#   TarnHosts::cut('north', 'south');           and without; connect() once more plugs it in again
#   TarnHosts::power_off('north');              all its processes die at once
#   TarnHosts::on('north', sub { $node->start });    what PostgreSQL's programs do in the sub they do there
#
# Sockets in the file system work across: psql of the test reaches the servers of all hosts, as a console would.  Root in a
# user namespace of its own suffices, so that the servers are still run by somebody who is not root.

package TarnHosts;

use strict;
use warnings;

use IPC::Run;
use Time::HiRes qw(usleep);

use constant SELF => '10.86.0.1';

my %hosts = (self => { pid => $$, address => SELF });
my %cables;

sub import
{
	my @unshare = qw(unshare --user --map-current-user --keep-caps --net);

	return if $ENV{TARN_HOSTS_INSIDE};
	# what the tests need of it, tried: links and a second namespace
	my $reason = qx(@unshare sh -c 'ip link add tried type veth peer name other && unshare --net true' 2>&1);
	if ($? != 0)
	{
		$reason =~ s/\s*\n.*//s;
		print "1..0 # SKIP this machine makes no network namespaces: $reason\n";
		exit 0;
	}
	$ENV{TARN_HOSTS_INSIDE} = 1;
	exec @unshare, $^X, (map { ('-I', $_) } @INC), $0, @ARGV or die "unshare: $!";
}

sub run
{
	my (@command) = @_;

	system(@command) == 0 or die "@command: failed";
	return;
}

# The command that runs another one on a host
sub enter
{
	my ($name) = @_;

	return $name eq 'self' ? () : ('nsenter', "--net=/proc/$hosts{$name}{pid}/ns/net");
}

# Gives a host its address, which all its cables share.
sub address
{
	my ($name) = @_;

	run(enter($name), qw(ip link set lo up));
	run(enter($name), 'ip', 'address', 'add', "$hosts{$name}{address}/32", qw(dev lo));
	return;
}

sub add
{
	my ($name, $address) = @_;
	# a namespace lives as long as a process in it
	my $holder = IPC::Run::start([qw(unshare --net sleep infinity)]);
	my $pid = $holder->{KIDS}[0]{PID};

	address('self') if keys %hosts == 1;
	usleep(10_000) while readlink("/proc/$pid/ns/net") eq readlink('/proc/self/ns/net');
	$hosts{$name} = { pid => $pid, address => $address, holder => $holder, programs => programs($name, $pid) };
	address($name);
	return;
}

# A directory for the PATH with those programs that shall run on the host.
sub programs
{
	my ($name, $pid) = @_;
	my $directory = "$ENV{TESTDIR}/programs_of_$name";
	my $bindir = qx("$ENV{PG_CONFIG}" --bindir) =~ s/\s+$//r;

	mkdir $directory or die "$directory: $!";
	foreach my $program (qw(pg_ctl pg_basebackup))
	{
		open my $out, '>', "$directory/$program" or die "$directory/$program: $!";
		print $out "#!/bin/sh\nexec nsenter --net=/proc/$pid/ns/net $bindir/$program \"\$@\"\n";
		close $out;
		chmod 0755, "$directory/$program";
	}
	return $directory;
}

sub on
{
	my ($name, $sub) = @_;

	local $ENV{PATH} = "$hosts{$name}{programs}:$ENV{PATH}";
	return $sub->();
}

# The two ends of a cable: on which host, its name there, and who is at the other end
sub ends
{
	my ($left, $right) = @_;

	return ([ $left, "to_$right", $right ], [ $right, "to_$left", $left ]);
}

sub connect
{
	my ($left, $right) = @_;
	my ($here, $there) = ends($left, $right);

	run(enter($left), qw(ip link add), $here->[1], qw(type veth peer name), $there->[1], 'netns', $hosts{$right}{pid})
	  unless $cables{join ' ', sort $left, $right}++;
	foreach my $end ($here, $there)
	{
		my ($host, $device, $peer) = @$end;

		run(enter($host), qw(ip link set), $device, 'up');
		run(enter($host), qw(ip route replace), $hosts{$peer}{address}, 'dev', $device, 'src', $hosts{$host}{address});
	}
	return;
}

sub cut
{
	my ($left, $right) = @_;

	run(enter($_->[0]), qw(ip link set), $_->[1], 'down') foreach ends($left, $right);
	return;
}

sub power_off
{
	my ($name) = @_;
	my $network = readlink("/proc/$hosts{$name}{pid}/ns/net");

	foreach my $pid (map { m{(\d+)} } glob('/proc/[0-9]*'))
	{
		kill 'KILL', $pid if $pid != $hosts{$name}{pid} && (readlink("/proc/$pid/ns/net") // '') eq $network;
	}
	return;
}

END
{
	my $status = $?;
	$_->{holder}->kill_kill(grace => 5) foreach grep { $_->{holder} } values %hosts;
	$? = $status;
}

1;
