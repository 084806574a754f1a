# Several writers change many tables while processes die, hang and starve, disks fill or hang and tables are copied anew; at quiet
# points every table is compared by the foreign data wrapper and by DuckDB (I1 to I6), and with what its history makes of it.
#
# usage: chaos.pl [--minutes N] [--seed S] [--faults REGEXP]
#   or in the environment: TARN_CHAOS_MINUTES, TARN_SEED, TARN_CHAOS_FAULTS.  script/test runs it for a minute.
#
# All that is done follows from the seed; what meets what does not, for processes run as the machine lets them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Getopt::Long;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnCrash;
use TarnTest;
use Time::HiRes qw(time usleep);

my $minutes = $ENV{TARN_CHAOS_MINUTES} || ($ENV{TARN_TEST_LONG} ? 20 : 1);
my $seed = $ENV{TARN_SEED} || (time() ^ $$) & 0x7fffffff;
my $only = $ENV{TARN_CHAOS_FAULTS} || '.';
GetOptions('minutes=f' => \$minutes, 'seed=i' => \$seed, 'faults=s' => \$only) or die 'see the head of this file';
srand($seed);
diag("TARN_SEED=$seed TARN_CHAOS_MINUTES=$minutes");

my $db = 'postgres';
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $writers = 3;
my $writing = 8;
my %counts;
my $added = 0;

TarnCrash::make_fillable();

my $node = TarnTest::cluster('chaos', start => 0, extension => 0, conf => <<CONF);
restart_after_crash = on
max_prepared_transactions = 20
tarn.garbage_grace = 0
tarn.copy_workers = 2
log_statement = none
log_min_messages = log
log_min_error_statement = panic
deadlock_timeout = 200ms
logical_decoding_work_mem = 1MB
lock_timeout = 5s
CONF

sub patiently
{
	return TarnCrash::patiently($node, @_);
}

# Tries, and says whether it went well
sub try
{
	my ($statement) = @_;
	my ($status, $out) = TarnCrash::query($node, $statement, timeout => 20);

	return $status == 0 ? $out : undef;
}

sub any
{
	return $_[ int(rand(@_)) ];
}

#
# Tables
#
my @kinds = (
	{ kind => 'keyed', columns => 'id int PRIMARY KEY, v text, n int' },
	{ kind => 'keyed', columns => 'id text PRIMARY KEY, v text, n bigint NOT NULL, b bytea' },
	{ kind => 'keyed', columns => 'id uuid PRIMARY KEY, at timestamptz, f float8, j jsonb' },
	{ kind => 'keyed', columns => 'id int NOT NULL, part date NOT NULL, w varchar(40), x numeric(12,2), v text, PRIMARY KEY (id, part)' },
	{ kind => 'keyed', columns => 'id bigint PRIMARY KEY, d date, at time, s smallint, big text, big2 text, n int' },
	{ kind => 'keyed', columns => 'id int NOT NULL, v text, r real',
		after => 'CREATE UNIQUE INDEX %s_key ON %s (id); ALTER TABLE %s REPLICA IDENTITY USING INDEX %s_key' },
	{ kind => 'full', columns => 'id int, v text, n int', after => 'ALTER TABLE %s REPLICA IDENTITY FULL' },
	{ kind => 'full', columns => 'id int, w varchar(20), x numeric(12,2), big text', after => 'ALTER TABLE %s REPLICA IDENTITY FULL' },
	{ kind => 'insert', columns => 'id int, v text, at timestamp' },
	{ kind => 'keyed', columns => 'id int PRIMARY KEY, a int[], tags text[], p chaos.pair, ps chaos.pair[], big text' },
	{ kind => 'deferred', columns => 'id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text, p chaos.pair', after => 'ALTER TABLE %s REPLICA IDENTITY FULL' },
	# rows of it go with those of t0
	{ kind => 'keyed', columns => 'id int PRIMARY KEY, v text, parent int', only_first => 1,
		after => 'ALTER TABLE %s ADD FOREIGN KEY (parent) REFERENCES t0 ON UPDATE CASCADE ON DELETE CASCADE' },
	# one of its partitions each, and all as their root
	{ kind => 'keyed', columns => 'id int NOT NULL, part date NOT NULL, v text, tags text[], PRIMARY KEY (id, part)', partitioned => 1, publication => 'c',
		after => "CREATE TABLE %s_a PARTITION OF %s FOR VALUES IN ('2024-01-01', '2024-01-02'); CREATE TABLE %s_b PARTITION OF %s DEFAULT" },
	{ kind => 'keyed', columns => 'id int NOT NULL, part date NOT NULL, v text, n int, PRIMARY KEY (id, part)', partitioned => 1, publication => 'c_root',
		after => "CREATE TABLE %s_a PARTITION OF %s FOR VALUES IN ('2024-01-01', '2024-01-02'); CREATE TABLE %s_b PARTITION OF %s DEFAULT" });

# The statements that make a table with some rows
sub create_table
{
	my ($name, $kind) = @_;
	my $after = $kind->{after} || '';

	return "CREATE TABLE $name ($kind->{columns})" . ($kind->{partitioned} ? ' PARTITION BY LIST (part)' : '') . '; '
	  . ($after =~ s/%s/$name/gr) . "; INSERT INTO chaos.tables VALUES ('$name', '$kind->{kind}');"
	  . "SELECT chaos.insert_rows('$name', ARRAY(SELECT generate_series(0, 60)), " . int(rand(1e9)) . ", '')";
}

sub publication_of
{
	my ($kind) = @_;

	return $kind->{publication} || ($kind->{kind} eq 'insert' ? 'c_insert' : 'c');
}

# Kinds of schema changes; each gives a statement for a table, or for one of those that `of` chooses.  alone: not in a
# transaction with others.
my %ddl = (
	add_column => { sql => sub { "ALTER TABLE $_[0] ADD COLUMN c" . ++$added . ' ' . any('int', 'text', 'bigint', 'date', 'numeric(10,3)', 'int[]', 'chaos.pair') } },
	add_constant => { sql => sub { "ALTER TABLE $_[0] ADD COLUMN c" . ++$added . ' ' . any('int NOT NULL DEFAULT 7', "text DEFAULT 'new'", "date DEFAULT '2024-02-29'", 'boolean DEFAULT true') } },
	add_volatile => { sql => sub { "ALTER TABLE $_[0] ADD COLUMN c" . ++$added . ' ' . any('float8 DEFAULT random()', 'uuid DEFAULT gen_random_uuid()') } },
	drop_column => { sql => sub { "SELECT chaos.drop_column('$_[0]', " . int(rand(1e9)) . ')' } },
	rename_column => { sql => sub { "SELECT chaos.rename_column('$_[0]', " . int(rand(1e9)) . ", 'r" . ++$added . "')" } },
	widen => { sql => sub { "SELECT chaos.widen('$_[0]', " . int(rand(1e9)) . ')' } },
	not_null => { sql => sub { "SELECT chaos.not_null('$_[0]', " . int(rand(1e9)) . ')' } },
	retype => { sql => sub { "SELECT chaos.retype('$_[0]', " . int(rand(1e9)) . ')' } },
	identity => { sql => sub { "SELECT chaos.identity('$_[0]', " . int(rand(1e9)) . ')' } },
	partition => { of => qr/^part.*root$/, sql => sub { "SELECT chaos.partition('$_[0]', " . int(rand(1e9)) . ", '$_[0]_" . ++$added . "')" } },
	recreate => { of => qr/^n/, sql => sub { "SELECT chaos.recreate('$_[0]', " . int(rand(1e9)) . ", 'c')" } },
	rename_table => { of => qr/^n/, sql => sub {
		my $to = 'n' . ++$added;
		"UPDATE chaos.tables SET name = '$to' WHERE name = '$_[0]'; ALTER TABLE IF EXISTS $_[0] RENAME TO $to" } },
	# these change nothing of the shape
	vacuum_full => { alone => 1, sql => sub { "VACUUM FULL $_[0]" } },
	analyze => { alone => 1, sql => sub { "VACUUM (ANALYZE, FREEZE) $_[0]" } },
	comment => { sql => sub { "COMMENT ON TABLE $_[0] IS 'chaos'" } },
	index => { sql => sub { "CREATE INDEX ON $_[0] (id, md5(id::text))" } },
	statistics => { sql => sub { "ALTER TABLE $_[0] ALTER COLUMN id SET STATISTICS " . int(rand(1000)) } },
	fillfactor => { sql => sub { "ALTER TABLE $_[0] SET (autovacuum_vacuum_threshold = " . (50 + int(rand(50))) . ')' } });

#
# Writers
#
sub transaction
{
	my (@tables) = @_;
	my $shape = rand();
	my $gid = 'g' . int(rand(1e9));
	my @lines = ("BEGIN; INSERT INTO chaos.done VALUES ('transaction');");

	foreach (0 .. int(rand(rand() < 0.1 ? 60 : 6)))
	{
		my $change = sprintf("SELECT chaos.change('%s', %d);", any(@tables), int(rand(2**31)));

		push @lines, rand() < 0.12 ? ('SAVEPOINT s;', $change, rand() < 0.6 ? 'ROLLBACK TO s;' : 'RELEASE s;') : $change;
	}
	if (rand() < 0.04)
	{
		my $name = any(sort keys %ddl);
		my $kind = $ddl{$name};
		my @of = grep { $_ =~ ($kind->{of} || '.') } @tables;
		my $sql = @of ? $kind->{sql}->(any(@of)) . "; INSERT INTO chaos.done VALUES ('DDL $name');" : '';

		if ($kind->{alone})
		{
			unshift @lines, split(/(?<=;) /, $sql);
		}
		else
		{
			splice @lines, 1 + int(rand(@lines)), 0, $sql;
		}
	}
	push @lines, $shape < 0.03 ? ("PREPARE TRANSACTION '$gid';", rand() < 0.7 ? "COMMIT PREPARED '$gid';" : "ROLLBACK PREPARED '$gid';")
	  : $shape < 0.12 ? 'ROLLBACK;' : 'COMMIT;';
	return join("\n", @lines) . "\n";
}

# Works through its transactions until the time is over; a connection that is lost is made anew.
sub writer
{
	my ($number, $file, $until) = @_;
	my $pid = fork();

	die "fork: $!" if !defined $pid;
	return $pid if $pid;
	open STDOUT, '>', '/dev/null';
	open STDERR, '>>', "$tmp/writer$number.err";
	my @chunks = split /^--\n/m, TarnCrash::slurp($file);
	my $done = 0;
	while (time() < $until)
	{
		my $chunk = "$tmp/writer$number.sql";

		open my $out, '>', $chunk or die "$chunk: $!";
		print $out $chunks[ $done++ % @chunks ];
		close $out;
		my $status = system('psql', '-X', '-q', '-d', $node->connstr($db), '-f', $chunk);
		usleep(300_000) if $status >> 8 == 2;
	}
	POSIX::_exit(0);
}

#
# Faults: each does something and may return what undoes it
#
my @points = TarnCrash::points();

my %faults;

sub worker_pid
{
	my $pid = try('SELECT pid FROM tarn.pipelines');

	return $pid && $pid =~ /^\d+$/ ? $pid : undef;
}

sub some_table
{
	my ($condition) = @_;

	return patiently("SELECT name FROM chaos.tables WHERE $condition ORDER BY md5(name || " . int(rand(1e9)) . ') LIMIT 1');
}

# What makes the processes pass a point that the writers alone lead to rarely.  A server that died of it is no failure.
my @provoked = (
	[ qr/^(?:slot|fence|copy|tables|token)-/ => sub { try("SELECT tarn.resync('chaos')") } ],
	[ qr/^copy-/ => sub { try("SELECT tarn.resync('chaos', '" . some_table('true') . "')") } ],
	[ qr/^(?:ddl|manifests)-/ => sub { try('ALTER TABLE ' . some_table("name NOT LIKE 'part%'") . ' ADD COLUMN c' . ++$added . any(' int', ' int DEFAULT 5', " text DEFAULT 'x'")) } ],
	[ qr/^ddl-renamed/ => sub { try($ddl{rename_table}{sql}->(some_table("name LIKE 'n%'") || return)) } ],
	[ qr/^table-left/ => sub { $faults{copy_anew}[1]->() } ],
	[ qr/^(?:orphan|fence|tables|token)-/ => sub { try("SELECT tarn.pause('chaos')"); usleep(300_000); try("SELECT tarn.resume('chaos')") } ],
	[ qr/^rebuild-/ => sub { $faults{rebuild}[1]->() } ],
	[ qr/^index-/ => sub { try("UPDATE " . some_table("kind = 'keyed'") . ' SET id = id') foreach 1 .. 5; return } ],
	[ qr/^encoder-/ => sub { try("SELECT tarn.pause('chaos')"); try("SELECT chaos.bulk(" . int(rand(1e9)) . ')'); patiently("SELECT tarn.resume('chaos')") } ],
	[ qr/^idle-/ => sub { try("SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 1000000)) FROM generate_series(1, 5)") } ]);

sub failpoint
{
	my $action = any('kill', 'kill', 'panic-server', 'error', 'error', 'hang(' . int(rand(4)) . ')', 'starve(' . int(rand(20000)) . ')', 'stop');
	my $point = any(@points);
	my $passage = 1 + int(rand(rand() < 0.5 ? 3 : 30));
	my @provoke = grep { $point =~ $_->[0] } @provoked;
	my $end;

	$passage = 1 if @provoke;
	TarnCrash::arm($node, "$point=$action:$passage");
	if (@provoke)
	{
		usleep(100_000);
		(undef, $end) = any(@provoke)->[1]->();
	}
	return ("$action at $point:$passage", sub {
		TarnCrash::disarm($node);
		if ($action eq 'stop')
		{
			# one that has not heard yet may stop even now
			usleep(500_000);
			TarnCrash::continue_stopped($node);
		}
		$end->() if ref $end;
	});
}

%faults = (
	kill_worker => [ 3, sub { my $pid = worker_pid(); kill 9, $pid if $pid; return } ],
	kill_any => [ 2, sub {
		my $pid = try("SELECT pid || ' ' || backend_type FROM pg_stat_activity WHERE backend_type LIKE 'tarn %' ORDER BY md5(backend_type || "
			  . int(rand(1e9)) . ') LIMIT 1') or return;
		kill 9, $1 if $pid =~ /^(\d+)/;
		return $pid } ],
	kill_server => [ 3, sub { $node->kill9; TarnCrash::start($node); return } ],
	terminate => [ 4, sub {
		try("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'tarn %' ORDER BY md5(backend_type || "
			  . int(rand(1e9)) . ') LIMIT 1');
		return } ],
	restart => [ 2, sub {
		# a fast shutdown waits for every process
		TarnCrash::continue_stopped($node);
		$node->stop(any('fast', 'immediate'), fail_ok => 1);
		TarnCrash::start($node);
		return } ],
	failpoint => [ 16, \&failpoint ],
	stop_worker => [ 3, sub {
		my $pid = worker_pid() or return;
		kill 'STOP', $pid;
		return ('SIGSTOP', sub { kill 'CONT', $pid }) } ],
	starve => [ 3, sub {
		my $pid = worker_pid() or return;
		my ($pages) = split ' ', TarnCrash::slurp("/proc/$pid/statm");
		my $kb = int(rand(30000));
		system('prlimit', '--pid', $pid, sprintf('--as=%d', $pages * 4096 + $kb * 1024)) if $pages;
		return "$kb kB" } ],
	fill_warehouse => [ 3, sub { TarnCrash::fill($node->basedir . '/lake'); return ('', \&TarnCrash::free) } ],
	hang_warehouse => [ 3, sub { TarnCrash::hang($node->basedir . '/lake'); return ('', \&TarnCrash::free) } ],
	fill_index => [ 2, sub { TarnCrash::fill($node->data_dir . '/pg_tarn'); return ('', \&TarnCrash::free) } ],
	read_only => [ 2, sub {
		my @directories = grep { -d } glob($node->basedir . '/lake/public/*/{data,metadata}');
		my $one = any(@directories) or return;
		chmod 0555, $one;
		return ($one, sub { chmod 0755, $one }) } ],
	lose_index => [ 1, sub {
		$node->stop('immediate', fail_ok => 1);
		system('rm', '-rf', $node->data_dir . '/pg_tarn');
		TarnCrash::start($node);
		return } ],
	damage_index => [ 1, sub {
		$node->stop('immediate', fail_ok => 1);
		foreach my $file (grep { -s } glob($node->data_dir . '/pg_tarn/*/*/*/*'))
		{
			next if rand() < 0.7;
			open my $f, '+<:raw', $file or next;
			seek $f, int(rand(-s $file)), 0;
			print $f chr(int(rand(256)));
			close $f;
		}
		TarnCrash::start($node);
		return } ],
	pause => [ 2, sub { try("SELECT tarn.pause('chaos')"); return ('', sub { patiently("SELECT tarn.resume('chaos')") }) } ],
	resync => [ 3, sub {
		my $table = some_table('true');
		try("SELECT tarn.resync('chaos', '$table')");
		return $table } ],
	resync_all => [ 1, sub { try("SELECT tarn.resync('chaos')"); return } ],
	skip => [ 2, sub {
		my $table = some_table('true');
		try("SELECT tarn.skip('chaos', '$table')");
		return ($table, sub { try("SELECT tarn.resume('chaos', '$table')") }) } ],
	alter => [ 2, sub {
		my $settings = any("flush_interval => '" . (100 + int(rand(2000))) . " ms'", "memory_limit => '" . any(16, 24, 48) . " MB'");
		try("SELECT tarn.alter_pipeline('chaos', $settings)");
		return $settings } ],
	copy_anew => [ 4, sub {
		my $name = some_table("name NOT LIKE 'part%'");
		my $kind = patiently("SELECT kind FROM chaos.tables WHERE name = '$name'");
		my $publication = $kind eq 'insert' ? 'c_insert' : 'c';
		try("ALTER PUBLICATION $publication DROP TABLE $name");
		return ($name, sub { try("ALTER PUBLICATION $publication ADD TABLE $name") }) } ],
	new_table => [ 3, sub {
		my $kind = any(grep { !$_->{partitioned} && !$_->{only_first} } @kinds);
		my $name = 'n' . ++$added;
		try('BEGIN; ' . create_table($name, $kind) . '; ALTER PUBLICATION ' . publication_of($kind) . " ADD TABLE $name; COMMIT");
		return $name } ],
	drop_table => [ 1, sub {
		my $name = patiently("SELECT coalesce(min(name), '') FROM chaos.tables WHERE name LIKE 'n%'") or return;
		try("BEGIN; DROP TABLE $name; DELETE FROM chaos.tables WHERE name = '$name'; COMMIT");
		return $name } ],
	history => [ 2, sub {
		my $table = some_table('true');
		my $options = any('history=true', 'history=true', 'history=false', '');
		try("SELECT tarn.set_table_options('chaos', '$table', '{$options}')");
		return "$table $options" } ],
	# beside the load; what it makes is looked at when all is quiet
	rebuild => [ 2, sub {
		my $name = try("SELECT lake_table FROM tarn.tables WHERE history_table IS NOT NULL AND state = 'live' ORDER BY md5(lake_table || " . int(rand(1e9)) . ') LIMIT 1') or return;
		try("SELECT tarn.rebuild(source, lake_table => 'again_$name') FROM (SELECT format('%I.%I', schema, \"table\")::regclass AS source FROM tarn.tables WHERE lake_table = '$name') t");
		return $name } ],
	checkpoint => [ 1, sub { try('CHECKPOINT; SELECT pg_switch_wal()'); return } ],
	flush => [ 3, sub { try("SELECT tarn.flush('chaos', '2 s')"); return } ],
	long_transaction => [ 2, sub {
		my $pid = fork();
		return ('', sub { waitpid $pid, 0 }) if $pid;
		open STDERR, '>', '/dev/null';
		open STDOUT, '>', '/dev/null';
		exec 'psql', '-X', '-q', '-d', $node->connstr($db), '-c', 'BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(1.5); COMMIT' } ]);
my @faults = map { my $name = $_; ($name) x $faults{$name}[0] } grep { /$only/ } sort keys %faults;

# One fault, for a moment
sub strike
{
	my $name = any(@faults);
	my ($what, $undo) = $faults{$name}[1]->();

	$counts{$name}++;
	note(sprintf('%.1f %s %s', time(), $name, $what // ''));
	usleep(100_000 + rand(rand() < 0.3 ? 2_500_000 : 900_000));
	$undo->() if $undo;
	TarnCrash::start($node) if !TarnCrash::running($node);
	return;
}

#
# Quiet points
#

# What the faults may make of pipelines and tables, by name of the fault.  All else is a failure, however well things go on when
# somebody had the table copied anew; a row that the lake lacks and a value without its old version above all.
my @explained = (
	[ failpoint => qr/failpoint "[\w-]+"$/ ],
	[ 'failpoint|starve' => qr/out of memory|not enough memory|Cannot allocate memory|could not start (?:zlib|decompression) for an Avro block|could not set up gzip|failed to map segment from shared object/ ],
	[ 'fill_\w+' => qr/No space left on device/ ],
	[ read_only => qr/Permission denied/ ],
	[ damage_index => qr/could not read key index segment ".*": / ],
	[ 'kill_any|terminate|failpoint|starve' => qr/the encoder of the pipeline ended unexpectedly|a process that copied tables ended unexpectedly/ ],
	# what a flush would commit, and a copy, is not wanted any more; nor is the slot there that the copy goes with
	[ 'resync_all|failpoint' => qr/pipeline was changed by another process|copy for pipeline .*: replication slot "\w+" (?:does not exist any more|begins at .* made anew or moved by somebody else)/ ],
	[ 'copy_anew|failpoint' => qr/copied anew: it was changed while it was in none of the publications/ ],
	# changes of shape
	[ '' => qr/could not copy table \S+: it was altered meanwhile/ ],
	# the last rows of its old shape were committed while it was copied
	[ '' => qr/copy for pipeline .*: could not commit to lake table ".*": it was changed meanwhile/ ],
	[ '' => qr/copied anew: (?:its rows were rewritten|column ".*" (?:was added with a value|changed its type)|a partition was detached or dropped|partition ".*" of table ".*" was truncated)/ ]);
my $told = 0;

sub unexplained
{
	my ($what) = @_;
	my $until = -s $node->logfile;
	my @faults = keys %counts;
	my @may = map { $_->[1] } grep { my $fault = $_->[0]; $fault eq '' || grep { /^(?:$fault)$/ } @faults } @explained;
	my $may = join '|', @may;
	my %wrong = map { $_ => 1 } TarnCrash::unexplained($node, $told, qr/$may/);

	$told = $until;
	return is(join("\n", sort keys %wrong), '', "$what: nothing but what the faults explain");
}

sub quiet
{
	my ($what) = @_;

	TarnCrash::free();
	TarnCrash::disarm($node);
	TarnCrash::continue_stopped($node);
	TarnCrash::start($node) if !TarnCrash::running($node);
	unexplained($what) or return;
	foreach my $gid (split /\n/, patiently('SELECT gid FROM pg_prepared_xacts'))
	{
		patiently("SELECT 1 FROM pg_prepared_xacts WHERE gid = '$gid'") && try("ROLLBACK PREPARED '$gid'");
	}
	# what fell out of its publication while the server was away
	foreach my $table (split /\n/, patiently("SELECT name || ' ' || kind FROM chaos.tables WHERE name NOT LIKE 'part%' AND NOT EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = to_regclass(name))"))
	{
		my ($name, $kind) = split ' ', $table;

		patiently('ALTER PUBLICATION ' . ($kind eq 'insert' ? 'c_insert' : 'c') . " ADD TABLE $name");
	}
	patiently("SELECT tarn.resume('chaos')");
	patiently(q(SELECT tarn.alter_pipeline('chaos', flush_interval => '150 ms'), (SELECT count(tarn.resume('chaos', to_regclass(quote_ident("table")))) FROM tarn.tables WHERE state = 'skipped')));
	TarnCrash::flush($node, 'chaos', 180);
	# a table under the name of one that was dropped comes when the stream has left that
	$node->poll_query_until($db, <<'SQL') or diag('a table is not mirrored');
SELECT count(*) = 0 FROM pg_publication_tables p JOIN pg_class c ON c.oid = format('%I.%I', p.schemaname, p.tablename)::regclass
WHERE NOT EXISTS (SELECT FROM tarn.pipeline_table t WHERE t.relid = c.oid AND t.state NOT IN ('copy', 'catchup'))
SQL
	TarnCrash::flush($node, 'chaos', 180);
	unexplained($what) or return;
	TarnTest::all_same($node, $what) or return;
	unexplained($what) or return;
	is(patiently('SELECT bool_and(r.confirmed_flush_lsn <= s.committed_lsn) FROM tarn.pipeline_status() s JOIN tarn.pipeline p ON p.id = s.pipeline_id JOIN pg_replication_slots r ON r.slot_name = p.slot'),
		't', "$what: the slot is not ahead of the lake") or return;
	$counts{rebuilds} += TarnCrash::histories_same($node, $what) // return;
	my @names = map { [ "public.$_", "public.$_" ] } split /\n/, patiently(q(SELECT "table" FROM tarn.tables ORDER BY 1));
	$counts{comparisons} += 2 * @names;
	return TarnTest::engines($node, \@names, "$what: other engines");
}

#
# The run
#
TarnCrash::start($node);
$node->safe_psql($db, 'CREATE EXTENSION tarn');
TarnTest::create_lake($node);
$node->safe_psql($db, TarnCrash::slurp("$FindBin::Bin/load.sql"));
$node->safe_psql($db, "CREATE PUBLICATION c; CREATE PUBLICATION c_insert WITH (publish = 'insert, truncate'); CREATE PUBLICATION c_root WITH (publish_via_partition_root = true)");
foreach my $i (0 .. $#kinds)
{
	my $name = $kinds[$i]{partitioned} ? "part$i" . ($kinds[$i]{publication} eq 'c_root' ? '_root' : '') : "t$i";

	$node->safe_psql($db, create_table($name, $kinds[$i]) . '; ALTER PUBLICATION ' . publication_of($kinds[$i]) . " ADD TABLE $name");
}
$node->safe_psql($db, "SELECT tarn.create_pipeline('chaos', 'lake', '{c, c_insert, c_root}', flush_interval => '150 ms', memory_limit => '" . any(16, 24, 48) . "MB', history => " . any('true', 'false') . ')');
$node->safe_psql($db, "SELECT tarn.set_table_options('chaos', '$_', '{history=" . any('true', 'true', 'false') . "}')") foreach map { "t$_" } 0 .. 5;

my $begin = time();
my $round = 0;
my $good = quiet('at the start');
while ($good && time() < $begin + $minutes * 60)
{
	my $until = time() + $writing;
	my @tables = split /\n/, patiently('SELECT name FROM chaos.tables ORDER BY 1');
	my @pids;

	$round++;
	# each round has a seed of its own, so that the next does not depend on how many faults this one had time for
	foreach my $w (1 .. $writers)
	{
		srand($seed + $round * 1000 + $w);
		TarnCrash::spew("$tmp/writer$w.in", join("--\n", map { join('', map { transaction(@tables) } 0 .. 4) } 1 .. 200));
		push @pids, writer($w, "$tmp/writer$w.in", $until);
	}
	srand($seed + $round * 1000);
	strike() while time() < $until;
	waitpid $_, 0 foreach @pids;
	$good = eval { quiet("round $round") };
	if ($@)
	{
		fail("round $round: $@");
		undef $good;
	}
	if (my @crash = TarnCrash::crashes($node))
	{
		fail("round $round: a process crashed");
		diag(@crash);
		undef $good;
	}
}
if ($good)
{
	$node->poll_query_until($db, 'SELECT count(*) = 0 FROM tarn.garbage') or diag('garbage remains');
	TarnTest::files_known($node);
	unexplained('at the end');
}
else
{
	diag("TARN_SEED=$seed failed in round $round; the server's files are in " . $node->basedir . ', its log is ' . $node->logfile);
	diag(try('SELECT * FROM tarn.pipelines; SELECT * FROM tarn.tables') // '');
	$ENV{PG_TEST_NOCLEAN} = 1;
}
diag(sprintf('TARN_SEED=%d: %d rounds of %d s, %d rows; %s processes killed by signal 9; committed: %s; done: %s', $seed, $round, $writing,
		patiently("SELECT sum(row_count) FROM tarn.pipeline_table"), scalar(() = TarnCrash::slurp($node->logfile) =~ /was terminated by signal 9/g),
		patiently("SELECT string_agg(what || ' ' || n, ', ' ORDER BY what) FROM (SELECT what, count(*) n FROM chaos.done GROUP BY what) d"),
		join(', ', map { "$_ $counts{$_}" } sort keys %counts)));
$node->stop('immediate', fail_ok => 1);
done_testing();
