# Helper of the tests that let processes and servers die: they talk to a server that may be away, and bring it back.
#
#   TarnCrash::start($node);                  starts a server that may have died a moment ago
#   TarnCrash::patiently($node, 'SELECT 1');  tries until it succeeds, starting the server when it is not there
#   TarnCrash::arm($node, 'flush-before-commit=kill:2');
#   TarnCrash::disarm($node);                 whether there is a server or not
#   TarnCrash::fill($directory);              its disk is full, until free(); for servers started after make_fillable()
#   TarnCrash::hang($directory);              its disk does not answer, until free()

package TarnCrash;

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my ($control, $library);

sub slurp
{
	my ($file) = @_;

	open my $in, '<:raw', $file or return '';
	local $/ = undef;
	my $data = <$in>;
	close $in;
	return $data;
}

sub spew
{
	my ($file, $data) = @_;

	open my $out, '>:raw', "$file.new" or die "$file: $!";
	print $out $data;
	close $out or die "$file: $!";
	rename "$file.new", $file or die "$file: $!";
	return;
}

# Servers that are started from now on can be told that a disk is full.
sub make_fillable
{
	$control = "$PostgreSQL::Test::Utils::tmp_check/full";
	$library = "$PostgreSQL::Test::Utils::tmp_check/no_space.so";
	unlink $control;
	system_or_bail('cc', '-shared', '-fPIC', '-O1', '-o', $library, dirname(__FILE__) . '/no_space.c', '-ldl');
	return;
}

sub fill
{
	my ($directory) = @_;

	spew($control, "full $directory");
	return;
}

sub hang
{
	my ($directory) = @_;

	spew($control, "hang $directory");
	return;
}

sub free
{
	unlink $control if $control;
	return;
}

sub running
{
	my ($node) = @_;

	return $node->{_pid} && kill(0, $node->{_pid});
}

sub start
{
	my ($node) = @_;

	local %ENV = %ENV;
	if ($library)
	{
		$ENV{LD_PRELOAD} = $library;
		$ENV{TARN_FULL_CONTROL} = $control;
	}
	# processes of a dead server may hold its memory for a moment
	foreach (1 .. 100)
	{
		# a start that failed takes the dead server's pid for the new one's
		undef $node->{_pid};
		return if $node->start(fail_ok => 1);
		usleep(200_000);
	}
	BAIL_OUT('the server does not start');
}

# psql that may meet a server that dies under it: status, output, errors
sub query
{
	my ($node, $statement, %options) = @_;
	my @result = eval { $node->psql($db, $statement, %options) };

	return $@ ? (2, '', $@) : @result;
}

sub patiently
{
	my ($node, $statement, $seconds) = @_;
	my $end = time() + ($seconds || 60);
	my ($status, $out, $err);

	while (time() < $end)
	{
		($status, $out, $err) = query($node, $statement);
		return $out if $status == 0;
		start($node) if !running($node);
		usleep(100_000);
	}
	die 'no success within ' . ($seconds || 60) . " s: $statement: $err";
}

sub arm
{
	my ($node, $failpoints) = @_;

	my ($status) = query($node, "ALTER SYSTEM SET tarn.failpoints = '$failpoints'");

	($status) = query($node, 'SELECT pg_reload_conf()') if $status == 0;
	return $status == 0;
}

sub disarm
{
	my ($node) = @_;
	my $config = $node->data_dir . '/postgresql.auto.conf';
	my $text = slurp($config);

	spew($config, $text) if $text =~ s/^tarn\.failpoints.*\n//mg;
	kill 'HUP', $node->{_pid} if running($node);
	return;
}

# Lets every process of the server go on that was stopped.
sub continue_stopped
{
	my ($node) = @_;
	my $directory = $node->data_dir;

	foreach my $status (glob('/proc/[0-9]*/status'))
	{
		my $text = slurp($status);
		my ($pid) = $status =~ /(\d+)/;

		next unless $text =~ /^State:\s+T/m && (readlink("/proc/$pid/cwd") || '') eq $directory;
		kill 'CONT', $pid;
	}
	return;
}

# What the server said since: lines that no server should say.
sub crashes
{
	my ($node) = @_;

	return slurp($node->logfile) =~ /^.*(?:signal (?:11|6|7|8)\b|PANIC|TRAP).*$/mg;
}

# Every failpoint of the source
sub points
{
	my %points;

	foreach my $file (glob("$TarnTest::top/src/*.c $TarnTest::top/src/*/*.c"))
	{
		$points{$_} = 1 foreach slurp($file) =~ /\bFAILPOINT\("([\w-]+)"\)/g;
	}
	return sort keys %points;
}

# Does the history of each table make the mirror that was kept?  How many were rebuilt; undef when one differs.
sub histories_same
{
	my ($node, $what) = @_;
	my @wrong;
	my @tables = split /\n/, patiently($node, q(SELECT lake_table FROM tarn.tables WHERE history_table IS NOT NULL AND state = 'live' ORDER BY 1));

	foreach my $name (@tables)
	{
		my $rows = patiently($node, "SELECT tarn.rebuild(source, lake_table => 'again_$name') FROM (SELECT format('%I.%I', schema, \"table\")::regclass AS source FROM tarn.tables WHERE lake_table = '$name') t");

		patiently($node, "SET client_min_messages = error; DROP SCHEMA IF EXISTS again CASCADE; CREATE SCHEMA again; IMPORT FOREIGN SCHEMA public LIMIT TO (\"$name\", \"again_$name\") FROM SERVER lake INTO again");
		my $columns = patiently($node, "SELECT 'ROW(' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')::text' FROM pg_attribute WHERE attrelid = 'again.\"$name\"'::regclass AND attnum > 0");

		push @wrong, "$name ($rows rows)" if TarnTest::differing($node, "again.\"$name\"", "again.\"again_$name\"", $db, $columns) ne '0';
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(', ', @wrong), '', "$what: histories make the mirrors again") ? scalar(@tables) : undef;
}

# What made pipelines fail, and tables stop or be copied anew, since the log had that length.  A resume forgets what a table
# showed, the log does not.
sub troubles
{
	my ($node, $offset) = @_;

	return substr(slurp($node->logfile), $offset || 0) =~ /LOG:  ((?:copy for pipeline|pipeline|table) .*?(?:failed and will be tried again|is stopped|is copied anew): .*)$/mg;
}

# Those that no fault of the test explains: `explained` matches what may come.  Above all, a row that the lake lacks and a value
# without its old version are signs of a lake that diverged, and never to be explained.
sub unexplained
{
	my ($node, $offset, $explained) = @_;

	return grep { $_ !~ $explained } troubles($node, $offset);
}

# A flush that lives through restarts, and all tables live again.
sub flush
{
	my ($node, $pipeline, $seconds) = @_;
	my $end = time() + ($seconds || 120);

	patiently($node, "SELECT tarn.flush('$pipeline', '20 s')", $seconds || 120);
	while (patiently($node, "SELECT count(*) FROM tarn.tables WHERE pipeline = '$pipeline' AND state IN ('copy', 'copying', 'catchup')") ne '0')
	{
		die "tables of $pipeline do not become live" if time() > $end;
		usleep(100_000);
	}
	return;
}

1;
