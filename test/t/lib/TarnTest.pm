# Helper of the TAP tests: clusters with tarn, lakes in the store that TARN_TEST_STORE names, comparisons.
#
#   my $node = TarnTest::cluster('main');             running, CREATE EXTENSION done in "postgres"
#   my $warehouse = TarnTest::create_lake($node);     CREATE SERVER lake ... (and the user mapping on S3)
#   TarnTest::directory($warehouse);                  where the lake's files lie, on S3 too
#   TarnTest::mirror($node, 'p', tables => ['t'], keyless => ['h']);   publications and a pipeline
#   TarnTest::flush($node, 'p');
#   TarnTest::same($node, 'public.t', 'lake.t', 'what');   0 rows differ, both ways
#   TarnTest::all_same($node, 'what');                all tables of all pipelines
#   TarnTest::engines($node, ['public.t'], 'what');   PyIceberg and DuckDB read the very rows of the source
#   TarnTest::engines($node, ['public.t'], 'what', sample => 'id < 9');   those rows, and DuckDB the count and sums of all
#   TarnTest::files_known($node);                     no file is missing in the warehouse, none is left behind
#   TarnTest::histories($node, ['public.t__history']); files only came since the last call, each has rows of its day

package TarnTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Open2 qw(open2);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our $top = abs_path(dirname(__FILE__) . '/../../..');
our $store = $ENV{TARN_TEST_STORE} || 'file';
our $s3_host = '127.0.0.1';
my $bucket = 'tarn-test';
my ($access, $secret) = ('testkey', 'testsecret');
my ($s3, $s3_port, $s3_dir, $plain_s3, $plain_s3_port);
my $interop;

# The settings tarn needs of a server, of the PATH or of another installation.
sub settings
{
	my ($install_path) = @_;
	my $postgres = $install_path ? "$install_path/bin/postgres" : 'postgres';
	my $known = `$postgres --describe-config`;
	my $settings = join "\n", "shared_preload_libraries = 'tarn'", 'wal_level = logical',
	  'max_wal_senders = 10', 'max_replication_slots = 10', 'max_worker_processes = 20',
	  'fsync = off', 'autovacuum_naptime = 5s', 'log_min_messages = info', '';
	$settings .= "output_plugin_libraries = 'pgoutput, tarn'\n"
	  if $known =~ /^output_plugin_libraries\t/m;
	return $settings;
}

# A running cluster.  Options: conf (more lines of postgresql.conf), extension => 0, start => 0, install_path, extra (of initdb).
sub cluster
{
	my ($name, %options) = @_;
	my $install_path = $options{install_path};
	my $node = PostgreSQL::Test::Cluster->new($name, $install_path ? (install_path => $install_path) : ());

	$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8', @{ $options{extra} || [] } ], allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', settings($install_path));
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	return $node if defined $options{start} && !$options{start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION tarn')
	  unless defined $options{extension} && !$options{extension};
	return $node;
}

# Starts versitygw over $s3_dir on a free port of $s3_host; returns it and the port.
sub gateway
{
	my ($log, @flags) = @_;
	my $program = ($ENV{TARN_BIN} ? "$ENV{TARN_BIN}/versitygw" : 'versitygw');
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $process = IPC::Run::start(
		[ $program, '--port', "$s3_host:$port", '--access', $access, '--secret', $secret,
			'--region', 'us-east-1', '--quiet', @flags, 'posix', $s3_dir ],
		'<', \undef, '>', "$PostgreSQL::Test::Utils::log_path/$log", '2>&1');

	foreach (1 .. 300)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => $s3_host, PeerPort => $port);
		return ($process, $port) if $socket;
		usleep(100_000);
	}
	die "versitygw does not answer";
}

# The S3 server of the test, with an empty bucket; returns its endpoint.
sub start_s3
{
	if (!$s3)
	{
		$s3_dir = PostgreSQL::Test::Utils::tempdir();
		mkdir "$s3_dir/$bucket" or die "mkdir: $!";
		($s3, $s3_port) = gateway('versitygw.log', '--keep-alive');
	}
	return "http://$s3_host:$s3_port";
}

# Another over the same bucket, for Arrow to write through: versitygw answers some requests on the
# connections that Arrow keeps with 400.
sub start_plain_s3
{
	start_s3();
	($plain_s3, $plain_s3_port) = gateway('versitygw_plain.log') if !$plain_s3;
	return "http://$s3_host:$plain_s3_port";
}

END
{
	my $status = $?;
	if ($s3)
	{
		$_->kill_kill(grace => 5) foreach grep { defined } $s3, $plain_s3;
		undef $s3;
		undef $plain_s3;
	}
	$? = $status;
}

# Its process
sub s3_pid
{
	start_s3();
	return $s3->{KIDS}[0]{PID};
}

sub s3_environment
{
	my $endpoint = start_s3();

	return (TARN_TEST_S3_ENDPOINT => $endpoint, TARN_TEST_S3_ACCESS_KEY => $access,
		TARN_TEST_S3_SECRET_KEY => $secret, TARN_TEST_S3_BUCKET => $bucket);
}

# Location of a lake.
sub warehouse
{
	my ($node, $name) = @_;

	return "s3://$bucket/" . $node->name . "/$name" if $store eq 's3';
	return 'file://' . $node->basedir . "/$name";
}

# The directory in which the objects of a warehouse are files: the S3 server of the tests keeps them as such, too.
sub directory
{
	my ($warehouse) = @_;

	return $warehouse =~ s{^file://}{}r if $warehouse =~ /^file:/;
	start_s3();
	return $warehouse =~ s{^s3:/}{$s3_dir}r;
}

# FROM item with the columns that the lake's tables have now, as their metadata says: table_namespace, table_name, f (an
# Iceberg field as jsonb), n (its place).
sub lake_fields
{
	my ($warehouse) = @_;
	my $directory = directory($warehouse);

	return <<SQL;
(SELECT i.table_namespace, i.table_name, f.f, f.n FROM tarn_catalog.iceberg_tables i,
	LATERAL (SELECT pg_read_file(replace(i.metadata_location, '$warehouse', '$directory'))::jsonb AS m) m,
	LATERAL jsonb_array_elements(m->'schemas') s,
	LATERAL jsonb_array_elements(s->'fields') WITH ORDINALITY f(f, n)
	WHERE s->'schema-id' = m->'current-schema-id')
SQL
}

# Has the server the type xml?
sub has_xml
{
	my ($node) = @_;

	return 1 if $node->psql('postgres', q{SELECT xmlparse(content '')}) == 0;
	diag('xml is left out: the server was built without libxml');
	return 0;
}

# CREATE SERVER, and the keys for `users` (default: the current one).  Options: name, db, warehouse, endpoint.
sub create_lake
{
	my ($node, %options) = @_;
	my $name = $options{name} || 'lake';
	my $db = $options{db} || 'postgres';
	my $warehouse = $options{warehouse} || warehouse($node, $name);
	my $more = '';

	$more = sprintf(", endpoint '%s', path_style 'true'", $options{endpoint} || start_s3()) if $warehouse =~ /^s3:/;
	$node->safe_psql($db,
		"CREATE SERVER $name FOREIGN DATA WRAPPER tarn OPTIONS (warehouse '$warehouse'$more)");
	if ($warehouse =~ /^s3:/)
	{
		foreach my $user (@{ $options{users} || ['CURRENT_USER'] })
		{
			$node->safe_psql($db,
				"CREATE USER MAPPING FOR $user SERVER $name OPTIONS (access_key_id '$access', secret_access_key '$secret')");
		}
	}
	return $warehouse;
}

# OPTIONS clause of a user mapping for a lake of the test's store; empty when it needs none.
sub mapping_options
{
	return $store eq 's3' ? "OPTIONS (access_key_id '$access', secret_access_key '$secret')" : '';
}

# Publishes tables (those in keyless: without updates and deletes) and makes the pipeline.
sub mirror
{
	my ($node, $name, %options) = @_;
	my $db = $options{db} || 'postgres';
	my $lake = $options{lake} || 'lake';
	my $arguments = $options{arguments} ? ", $options{arguments}" : '';
	my @publications;

	if ($options{tables})
	{
		$node->safe_psql($db, "CREATE PUBLICATION $name FOR TABLE " . join(', ', @{ $options{tables} }));
		push @publications, $name;
	}
	if ($options{keyless})
	{
		$node->safe_psql($db, "CREATE PUBLICATION ${name}_keyless FOR TABLE "
			  . join(', ', @{ $options{keyless} }) . " WITH (publish = 'insert, truncate')");
		push @publications, "${name}_keyless";
	}
	$node->safe_psql($db, sprintf("SELECT tarn.create_pipeline('%s', lake => '%s', publications => '{%s}'%s)",
			$name, $lake, join(',', @publications), $arguments));
	return;
}

sub flush
{
	my ($node, $name, $db) = @_;

	$node->safe_psql($db || 'postgres', "SELECT tarn.flush('$name')");
	return;
}

# Statements for a table of (k, v) of a type that is [ name, [edges], random ]: rows from k = $from on, a null, the
# edges, then $rows random ones, the same for the same seed.
sub type_rows
{
	my ($table, $type, $from, $rows, $seed) = @_;
	my (undef, $edges, $random) = @$type;
	my $k = $from;

	return sprintf('SELECT setseed(%f);', ($seed % 1000) / 1000.0)
	  . "INSERT INTO $table VALUES " . join(', ', map { '(' . $k++ . ", $_)" } 'NULL', @$edges) . ';'
	  . "INSERT INTO $table SELECT g, $random FROM generate_series($k, $from + $rows) g;";
}

# Waits until every table of the pipeline follows.
sub wait_live
{
	my ($node, $name, $db) = @_;

	$node->poll_query_until($db || 'postgres',
		"SELECT count(*) > 0 AND bool_and(state = 'live') FROM tarn.tables WHERE pipeline = '$name'")
	  or die "tables of $name do not become live: "
	  . $node->safe_psql($db || 'postgres', 'TABLE tarn.tables') . $node->safe_psql($db || 'postgres', 'TABLE tarn.pipelines');
	return;
}

# Foreign tables of everything in a schema of the lake.
sub foreign_tables
{
	my ($node, %options) = @_;
	my $lake = $options{lake} || "lake";

	$node->safe_psql($options{db} || "postgres",
		"CREATE SCHEMA IF NOT EXISTS lake; IMPORT FOREIGN SCHEMA public FROM SERVER $lake INTO lake");
	return;
}

# How many rows are in one table and not in the other, counted both ways.
sub differing
{
	my ($node, $source, $lake, $db, $columns) = @_;
	$columns ||= '*';

	return $node->safe_psql($db || 'postgres', <<SQL);
SELECT (SELECT count(*) FROM (SELECT $columns FROM $source EXCEPT ALL SELECT $columns FROM $lake) a)
	 + (SELECT count(*) FROM (SELECT $columns FROM $lake EXCEPT ALL SELECT $columns FROM $source) b)
SQL
}

sub same
{
	my ($node, $source, $lake, $what, $db, $columns) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(differing($node, $source, $lake, $db, $columns), '0', $what || "$source = $lake");
}

# The process that runs programs of test/interop, begun when the first one is wanted; it ends with its input.
sub interop_server
{
	return if $interop;
	local %ENV = (%ENV, AWS_ACCESS_KEY_ID => $access, AWS_SECRET_ACCESS_KEY => $secret);
	my ($in, $out);

	open2($out, $in, $ENV{TARN_VENV} ? "$ENV{TARN_VENV}/bin/python" : 'python3', "$top/test/interop/serve.py", qw(lake_engines lake_files lake_history));
	$interop = { in => $in, out => $out };
	return;
}

# Runs a program of test/interop against the lake, and passes when it does.
sub interop
{
	my ($node, $program, $tables, $what, %options) = @_;
	my ($printed, $status) = ('', 'the process ended');

	interop_server();
	local $SIG{PIPE} = 'IGNORE';
	syswrite $interop->{in}, JSON::PP->new->ascii->encode([ $program,
		'--host', $node->host, '--port', $node->port . '', '--dbname', $options{db} || 'postgres',
		'--user', $options{user} || scalar(getpwuid($<)),
		'--lake', $options{lake} || 'lake', $options{sample} ? ('--sample', $options{sample}) : (), @$tables ]) . "\n";
	while (my $line = readline $interop->{out})
	{
		($status) = $line =~ /^exit (-?\d+)$/ and last;
		$status = 'the process ended';
		$printed .= $line;
	}
	$interop = undef unless $status =~ /\d/;

	local $Test::Builder::Level = $Test::Builder::Level + 2;
	note($printed);
	diag("$printed$program: $status") unless $status eq '0';
	return ok($status eq '0', $what);
}

# Do PyIceberg and DuckDB read exactly the source's rows?  Tables are "schema.table", or [source, lake], or, with any
# names, [schema, table, namespace, lake table].
sub engines
{
	my ($node, $tables, $what, %options) = @_;
	my @pairs = map { @$_ == 4 ? JSON::PP->new->ascii->encode($_) : $_->[0] . '=' . $_->[1] } map { ref $_ ? $_ : [ $_, $_ ] } @$tables;

	return interop($node, 'lake_engines', \@pairs, $what || 'other engines read the same rows', %options);
}

# Is every referenced file there, and every file referenced or known as garbage?
sub files_known
{
	my ($node, $what, %options) = @_;

	return interop($node, 'lake_files', [], $what || 'no file is missing, none is left behind', %options);
}

# Have histories only got files, in this call and since the last one, and has each the rows of one day?  See lake_history.py.
sub histories
{
	my ($node, $tables, $what, %options) = @_;
	my $seen = "$PostgreSQL::Test::Utils::tmp_check/histories_" . $node->name . '.json';

	return interop($node, 'lake_history', [ '--seen', $seen, @$tables ], $what || 'histories only grow, by files of one day', %options);
}

# Imports all tables of the pipelines anew and compares each with its source, as text: two values that are equal may
# still differ (1.0 and 1.00), and json has no equality.  The caller has flushed.
sub all_same
{
	my ($node, $what, $db) = @_;
	my $different = '';

	$db ||= 'postgres';
	$node->safe_psql($db, 'SET client_min_messages = warning; DROP SCHEMA IF EXISTS lake CASCADE; CREATE SCHEMA lake');
	my @tables = split /\n/, $node->safe_psql($db,
		"SELECT format('%I|%s|%s', \"table\", state, coalesce(error, '')) FROM tarn.tables WHERE schema = 'public' AND lake_table IS NOT NULL ORDER BY 1");
	$node->safe_psql($db, 'IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO lake');
	foreach my $line (@tables)
	{
		my ($table, $state, $error) = split /\|/, $line, 3;
		my $n = $state eq 'live' ? differing($node, "public.$table row_", "lake.$table row_", $db, 'row_::text') : "state $state $error";

		$different .= "$table: $n; " if $n ne '0';
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($different, '', scalar(@tables) . " tables: $what");
}

# Runs pg_regress (or pg_isolation_regress) and gives a result for each of its tests.
sub regress
{
	my ($node, $program, $directory, $tests, %environment) = @_;
	my $out = "$PostgreSQL::Test::Utils::tmp_check/" . ($directory =~ s/\W+/_/gr);

	mkdir $out;
	local %ENV = (%ENV, %environment);
	my $report = '';
	# its own bindir option would look for psql where the server was configured to be
	IPC::Run::run([ $program, "--inputdir=$directory", "--outputdir=$out", '--host', $node->host,
			'--port', $node->port, "--bindir=", '--dbname=contrib_regression', @$tests ],
		'<', \undef, '>&', \$report);
	my $seen = 0;
	while ($report =~ /^(?:test|    )\s+(\S+)\s+\.\.\. (ok|FAILED)/mg)
	{
		ok($2 eq 'ok', $1);
		$seen++;
	}
	# that of PostgreSQL 16 and later reports in TAP
	while ($report =~ /^(ok|not ok) \d+\s+[-+] (\S+)\s/mg)
	{
		ok($1 eq 'ok', $2);
		$seen++;
	}
	is($seen, scalar(@$tests), "all of $directory ran");
	if (-s "$out/regression.diffs")
	{
		diag(slurp_file("$out/regression.diffs"));
	}
	elsif ($seen != @$tests)
	{
		diag($report);
	}
	return;
}

sub names_of
{
	my ($pattern) = @_;

	return [ map { s{.*/}{}r =~ s{\.\w+$}{}r } sort glob($pattern) ];
}

1;
