# A full disk (of the warehouse: when that is a directory), and damaged lake files: nothing is lost, nothing wrong is read, the backend lives (I1, I5, I6).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(time usleep);

my $db = 'postgres';
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $local = $TarnTest::store eq 'file';
my $flips = $ENV{TARN_TEST_LONG} ? 400 : 30;

srand($seed);
diag("TARN_SEED=$seed");
my $node = TarnTest::cluster('faults', start => 0, conf => "log_statement = none\n");
TarnCrash::make_fillable();
TarnCrash::start($node);

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

sql('CREATE EXTENSION tarn');
my $lake = TarnTest::create_lake($node);
my $warehouse = TarnTest::directory($lake);
sql(<<SQL);
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), d date);
CREATE TABLE app (id serial PRIMARY KEY, at timestamptz DEFAULT now());
INSERT INTO t SELECT i, md5(i::text), i / 4.0, date '2024-01-01' + i % 300 FROM generate_series(1, 3000) i;
CREATE TABLE large (id bigserial PRIMARY KEY, v text);
SQL
TarnTest::mirror($node, 'p', tables => [qw(t app large)], arguments => "flush_interval => '150 ms', memory_limit => '16MB'");
TarnTest::wait_live($node, 'p');
TarnTest::flush($node, 'p');

# A disk that is full: the warehouse's, that of the key index, and that to which decoding spills large transactions
foreach my $case ([ 'warehouse', $warehouse ], [ 'key index', $node->data_dir . '/pg_tarn' ], [ 'spill', $node->data_dir . '/pg_replslot' ])
{
	my ($what, $directory) = @$case;

	next if $what eq 'warehouse' && !$local;
	TarnCrash::fill($directory);
	if ($what eq 'spill')
	{
		sql("INSERT INTO large (v) SELECT repeat(md5(i::text), 8) FROM generate_series(1, 150000) i");
		ok($node->poll_query_until($db, "SELECT last_error ~ 'data file for XID' FROM tarn.pipelines"), "$what: the transaction is too large for memory")
		  or diag(sql('SELECT state, failures, last_error FROM tarn.pipelines'));
	}
	my $script = "$PostgreSQL::Test::Utils::tmp_check/app.sql";
	TarnCrash::spew($script, "\\set x random(1, 3000)\nBEGIN; INSERT INTO app DEFAULT VALUES; UPDATE t SET n = n + 1 WHERE id = :x; END;\n");
	my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '4', '-f', $script, '-h', $node->host, '-p', $node->port, $db ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	ok($node->poll_query_until($db, "SELECT state = 'backoff' AND failures > 1 AND last_error ~ 'No space left' FROM tarn.pipelines"),
		"$what: the pipeline shows that it waits, and why") or diag(sql('SELECT state, failures, last_error FROM tarn.pipelines'));
	ok($bench->finish, "$what: the application goes on") or diag($err);
	unlike($err, qr/aborted|ERROR/, "$what: without an error");
	cmp_ok(sql('SELECT lag_bytes FROM tarn.pipelines'), '>', 0, "$what: the lag is shown");
	my $failures = sql('SELECT failures FROM tarn.pipelines');
	cmp_ok($failures, '<', 12, "$what: it backs off: $failures failures");
	TarnCrash::free();
	my $status;
	my $end = time() + 90;
	while (($status = $node->psql($db, "SELECT tarn.flush('p', '5 s')")) != 0 && time() < $end)
	{
		usleep(200_000);
	}
	is($status, 0, "$what: it goes on by itself when there is space");
	TarnTest::all_same($node, "$what: nothing is lost");
	is(sql('SELECT failures FROM tarn.pipelines'), '0', "$what: it forgets its failures");
}

# A table that is copied while the disk is full
SKIP:
{
	skip 'the disk of an S3 server is not that of this server', 2 if !$local;
	TarnCrash::fill($warehouse);
	sql("CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late SELECT i, 'late' FROM generate_series(1, 5000) i; ALTER PUBLICATION p ADD TABLE late");
	ok($node->poll_query_until($db, "SELECT last_error ~ 'No space left' OR (SELECT bool_or(error ~ 'No space left') FROM tarn.tables) FROM tarn.pipelines"), 'copy: the error is shown');
	TarnCrash::free();
	TarnTest::wait_live($node, 'p');
	TarnTest::flush($node, 'p');
	TarnTest::all_same($node, 'copy: it is tried again');
}
TarnTest::files_known($node);

# Damaged files.  The pipeline rests, so that nothing else is written.
sql("DELETE FROM t WHERE id % 10 = 0; UPDATE t SET v = 'changed' WHERE id % 7 = 0");
TarnTest::flush($node, 'p');
sql("SELECT tarn.pause('p')");
$node->poll_query_until($db, 'SELECT pid IS NULL FROM tarn.pipelines') or die 'not paused';
sql(<<'SQL');
DROP SCHEMA IF EXISTS lake CASCADE;
CREATE SCHEMA lake;
IMPORT FOREIGN SCHEMA public LIMIT TO (t) FROM SERVER lake INTO lake;
CREATE FUNCTION probe() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	message text;
	detail text;
BEGIN
	SELECT count(*) INTO n FROM ((SELECT * FROM public.t EXCEPT ALL SELECT * FROM lake.t) UNION ALL
		(SELECT * FROM lake.t EXCEPT ALL SELECT * FROM public.t)) d;
	RETURN CASE WHEN n = 0 THEN 'same' ELSE 'different' END;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || message || ' DETAIL: ' || detail;
END
$$;
SQL
is(sql('SELECT probe()'), 'same', 'whole before');

my $table = "$warehouse/public/t";
my $current = sql("SELECT metadata_location FROM tarn_catalog.iceberg_tables WHERE table_name = 't'") =~ s{^\Q$lake\E}{$warehouse}r;
my %kinds = (
	'data and delete files' => [ glob("$table/data/*.parquet") ],
	'manifests and lists' => [ glob("$table/metadata/*.avro") ],
	'table metadata' => [$current]);

foreach my $kind (sort keys %kinds)
{
	my @files = @{ $kinds{$kind} };
	my %results;
	my @wrong;
	my $checked = $kind eq 'data and delete files';

	ok(scalar(@files), scalar(@files) . " $kind");
	# each of them missing, whatever reads it first
	foreach my $file (@files)
	{
		my $data = TarnCrash::slurp($file);

		unlink $file;
		my $result = sql('SELECT probe()');
		my $name = $file =~ s{.*/}{}r;
		push @wrong, "$file is missing: $result" unless $result =~ /^(same$|XX001 .*\Q$name\E.*missing)/;
		TarnCrash::spew($file, $data);
	}
	foreach my $i (1 .. $flips)
	{
		my $file = $files[ int(rand(@files)) ];
		my $data = TarnCrash::slurp($file);
		my $damaged = $data;
		my $how = int(rand(10));
		my $at = int(rand(length $data));

		if ($how == 0)
		{
			unlink $file;
		}
		elsif ($how == 1)
		{
			TarnCrash::spew($file, substr($data, 0, $at));
		}
		elsif ($how == 2)
		{
			TarnCrash::spew($file, '');
		}
		else
		{
			substr($damaged, $at, 1) = chr(ord(substr($data, $at, 1)) ^ (1 << int(rand(8))));
			TarnCrash::spew($file, $damaged);
		}
		my $result = sql('SELECT probe()');
		my ($state) = $result =~ /^(\w+)/;
		$results{$state}++;
		# bytes of a data file have a checksum; those of metadata have none, and may say something else that is well
		# formed: other rows, a version or a type that is not known, a path outside, a column that is not there
		push @wrong, "$file, way $how at $at of " . length($data) . ": $result"
		  unless $state eq 'same' || $state eq 'XX001' || (!$checked && $state =~ /^(different|0A000|42501|HV004|HV005)$/);
		push @wrong, "the error does not name the file: $result"
		  if $checked && $state eq 'XX001' && index($result, ($file =~ s{.*/}{}r)) < 0;
		# what lies before the footer belongs to a column of a row group
		push @wrong, "$file, way $how at $at: the error does not say where: $result"
		  if $checked && $state eq 'XX001' && $how > 2 && $at < length($data) - 8 - unpack('V', substr($data, -8, 4)) &&
		  $result !~ /column "\w+",? (in )?row group \d+.*offset \d+/i;
		TarnCrash::spew($file, $data);
	}
	is_deeply(\@wrong, [], "$kind: right rows, or an error that says what is damaged");
	note(join ', ', map { "$_: $results{$_}" } sort keys %results);
	cmp_ok($results{XX001} || 0, '>', 0, "$kind: damage was seen");
}
is(sql('SELECT probe()'), 'same', 'whole again');
unlike(slurp_file($node->logfile), qr/signal (11|6|7)\b|PANIC|TRAP/, 'no process crashed');
sql("SELECT tarn.resume('p')");
TarnTest::flush($node, 'p');
$node->stop;
done_testing();
