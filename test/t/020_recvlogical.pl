# pg_recvlogical -P tarn: the lines a client gets from a walsender, over a reconnect and a restart of the server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $node = TarnTest::cluster('recvlogical');
my @recvlogical = ('pg_recvlogical', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-S', 'recv');
my $file = "$PostgreSQL::Test::Utils::tmp_check/recvlogical.json";

# Receives up to `endpos` into the file, appending; returns the lines received so far, parsed.
sub receive
{
	my ($endpos, @options) = @_;

	command_ok([ @recvlogical, '--start', '-f', $file, '--no-loop', '--endpos', $endpos,
			'-o', 'publications=p', @options ], "received up to $endpos");
	return map { decode_json($_) } split /\n/, slurp_file($file);
}

sub position
{
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
}

$node->safe_psql('postgres', <<SQL);
CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz);
CREATE TABLE other (id int);
CREATE PUBLICATION p FOR TABLE t;
SQL
command_ok([ @recvlogical, '--create-slot', '-P', 'tarn' ], 'slot made');

$node->safe_psql('postgres', <<SQL);
INSERT INTO t SELECT i, repeat('x', 100), '2024-01-01 00:00+02' FROM generate_series(1, 1000) i;
INSERT INTO other SELECT generate_series(1, 1000);
UPDATE t SET v = 'y' WHERE id = 1;
DELETE FROM t WHERE id = 2;
SQL
my @lines = receive(position());
is(join(' ', map { $_->{op} } grep { $_->{op} =~ /\w\w/ } @lines),
	'begin commit begin commit begin commit', 'three transactions, and none for what is not published');
is(scalar(grep { $_->{op} eq 'c' } @lines), 1000, 'every insert');
is($lines[1]{after}{at}, '2023-12-31T22:00:00+00:00', 'timestamptz in UTC');
my ($update) = grep { $_->{op} eq 'u' } @lines;
is_deeply($update->{after}, { id => 1, v => 'y', at => '2023-12-31T22:00:00+00:00' }, 'the row after an update');
my ($delete) = grep { $_->{op} eq 'd' } @lines;
is_deeply($delete->{before}, { id => 2 }, 'the key of a deleted row');
like($delete->{commit_lsn}, qr{^[0-9A-F]+/[0-9A-F]+$}, 'a position');

# what was confirmed does not come again
$node->safe_psql('postgres', "TRUNCATE t; INSERT INTO t VALUES (1, 'z')");
@lines = receive(position(), '-o', 'include_transactions=off');
is(scalar(grep { $_->{op} eq 't' } @lines), 1, 'truncate');
is(scalar(grep { $_->{op} eq 'c' } @lines), 1001, 'nothing twice');
is(scalar(grep { $_->{op} eq 'begin' } @lines), 3, 'no boundaries when they are not wanted');

# after a restart of the server changes may come again, but none is missing, and each has the position it had
$node->restart;
$node->safe_psql('postgres', "INSERT INTO t VALUES (3, 'restarted')");
@lines = receive(position());
my %positions = map { $_->{lsn} => 1 } grep { $_->{op} eq 'c' } @lines;
is(scalar(keys %positions), 1002, 'every insert, by its position');

# a long transaction of which nothing is published does not lose the connection
$node->safe_psql('postgres', <<SQL);
ALTER SYSTEM SET wal_sender_timeout = '1s';
SELECT pg_reload_conf();
INSERT INTO other SELECT generate_series(1, 300000);
INSERT INTO t VALUES (2, 'after');
SQL
@lines = receive(position());
is($lines[-2]{after}{v}, 'after', 'the change after it arrives');

# errors reach the client
command_fails_like([ @recvlogical, '--start', '-f', '-', '--no-loop', '-o', 'publication=p' ],
	qr/Perhaps you meant the option "publications"/, 'unknown option');
command_fails_like([ @recvlogical, '--start', '-f', '-', '--no-loop', '-o', 'publications=p', '-o', 'sink=batch' ],
	qr/cannot be used here/, 'the sink of the workers');

command_ok([ @recvlogical, '--drop-slot' ], 'slot dropped');
$node->stop;
done_testing();
