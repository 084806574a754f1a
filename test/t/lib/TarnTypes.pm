# Every scalar type of the mapping, with edge values and random ones, for tests that send all of them through a lake.
#
#   my %types = TarnTypes::make($node, $db);    name => [ type, [ edge values ], a random value ], for TarnTest::type_rows()

package TarnTypes;

use strict;
use warnings;

use TarnTest;

# Creates the types and functions that they need in the database, and the extensions that are there.
sub make
{
	my ($node, $db) = @_;

	my $share = `pg_config --sharedir`;
	chomp $share;
	my @extensions = grep { -f "$share/extension/$_.control" } qw(hstore citext ltree isn cube seg postgis);
	$node->safe_psql($db, join('', map { "CREATE EXTENSION $_;" } @extensions));
	$node->safe_psql($db, <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'hap''py "é"');
CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > -1e7);
CREATE DOMAIN code AS varchar(8);
CREATE DOMAIN code_of_code AS code NOT NULL DEFAULT 'x';
CREATE DOMAIN span AS int4range CHECK (NOT isempty(VALUE));
CREATE DOMAIN of_span AS span;
CREATE DOMAIN moods AS mood[];
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C");
CREATE FUNCTION r(a int, b int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT a + floor(random() * (b - a + 1))::int';
-- random text of printable characters, quotes and multi-byte ones among them
CREATE FUNCTION rt(n int) RETURNS text LANGUAGE sql VOLATILE AS
	$$SELECT coalesce(string_agg(substr(E'abcXYZ019 ,;:(){}[]"''\\%_-+/\t\né語😀', r(1, 38), 1), ''), '') FROM generate_series(1, r(0, n))$$;
SQL

	my $ts = q{timestamp '2000-01-01' + r(-800000000, 800000000) * interval '1 s' + r(0, 999999) * interval '1 us'};
	# name => [ type, edge values, a random value ]
	my %types = (
		bool => [ 'boolean', [ 'true', 'false' ], 'random() < 0.5' ],
		int2 => [ 'smallint', [ -32768, 32767, 0 ], 'r(-32768, 32767)' ],
		int4 => [ 'integer', [ -2147483648, 2147483647, 0 ], 'r(-1000000000, 1000000000)' ],
		int8 => [ 'bigint', [ "'-9223372036854775808'", 9223372036854775807 ], 'r(-1000000000, 1000000000)::int8 * r(1, 900000000)' ],
		float4 => [ 'real', [ "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'1e-45'", "'3.4028235e38'" ], '(random() - 0.5) * 10 ^ r(-30, 30)' ],
		float8 => [ 'double precision', [ "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'5e-324'", "'1.7976931348623157e308'", '0.1' ], '(random() - 0.5) * 10 ^ r(-300, 300)' ],
		numeric_small => [ 'numeric(9,2)', [ '9999999.99', '-9999999.99', '0.01', 0 ], 'random() * 1e7' ],
		numeric_mid => [ 'numeric(18,6)', [ '999999999999.999999', '-999999999999.999999' ], 'random() * 1e12' ],
		numeric_wide => [ 'numeric(38,10)', [ '9' x 28 . '.' . '9' x 10, '-' . '9' x 28 . '.' . '9' x 10, '0.0000000001' ], 'random()::numeric * 1e28' ],
		numeric_zeros => [ 'numeric(3,-2)', [ 99900, -100 ], 'r(-99900, 99900)' ],
		numeric_deep => [ 'numeric(3,8)', [ '0.00000999', '-0.00000001', 0 ], '(random() * 999)::int / 1e8' ],
		numeric_deepest => [ 'numeric(2,38)', [ '0.' . '0' x 36 . '99', '-0.' . '0' x 37 . '1' ], '(random() * 99)::int / 1e38::numeric' ],
		numeric_past => [ 'numeric(5,60)', [ '0.' . '0' x 55 . '12345' ], '(random() * 99999)::int / 1e60::numeric' ],
		numeric_free => [ 'numeric', [ "'NaN'", "'Infinity'", "'-Infinity'", '1.0', '1.00', "(repeat('9', 1000) || '.' || repeat('1', 500))::numeric", '1e-200', '1e131000' ], 'random()::numeric * 10::numeric ^ r(-100, 100)' ],
		numeric_39 => [ 'numeric(39,5)', [ '9' x 34 . '.99999' ], 'random()::numeric * 1e30' ],
		text => [ 'text', [ "''", "'  '", "repeat('é語', 3000)", "'NULL'", "'null'" ], 'rt(40)' ],
		varchar => [ 'varchar(10)', [ "''", "'éééééééééé'" ], 'left(rt(10), 10)' ],
		char => [ 'char(6)', [ "''", "'a'", "'ééé'" ], 'left(rt(6), 6)' ],
		name => [ 'name', [ "''", "repeat('é', 31)" ], 'left(rt(20), 20)' ],
		char1 => [ '"char"', [ "''", "'a'", "'\\'", '((-1)::int4)::"char"', '((-128)::int4)::"char"' ], 'r(-128, 127)::"char"' ],
		bytea => [ 'bytea', [ "''", q{'\x00ff5c'} ], "decode(repeat(md5(random()::text), r(0, 4)), 'hex')" ],
		uuid => [ 'uuid', [ "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'" ], 'gen_random_uuid()' ],
		date => [ 'date', [ "'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'", "'1970-01-01'", "'0001-12-31 BC'" ], "date '2000-01-01' + r(-100000, 100000)" ],
		time => [ 'time', [ "'00:00'", "'23:59:59.999999'" ], "time '00:00' + r(0, 86399) * interval '1 s' + r(0, 999999) * interval '1 us'" ],
		timestamp => [ 'timestamp', [ "'4713-01-01 00:00 BC'", "'294247-01-10 04:00:54.775807'","'9999-12-31 23:59:59.999999'", "'200000-01-01 00:00'" ], $ts ],
		timestamptz => [ 'timestamptz', [ "'4713-01-02 00:00+00 BC'", "'294247-01-10 04:00:54.775807+00'", "'9999-12-31 23:59:59.999999+00'", "'200000-01-01 00:00+00'" ], "($ts) AT TIME ZONE 'UTC'" ],
		timetz => [ 'timetz', [ "'24:00+00'", "'00:00-15:59:59'", "'23:59:59.999999+15:59:59'" ], "(time '00:00' + r(0, 86399) * interval '1 s') AT TIME ZONE (r(-15, 15) * interval '1 hour')" ],
		interval => [ 'interval', [ "'0'", "'-178000000 years'", "'178000000 years'", "'1 mon -1 day 02:03:04.5'", "'-1 mon 1 day -00:00:00.000001'", "'-1 day'", "interval '-1 mon +2 day'", "make_interval(hours => -2000000, mins => 1)" ],
			"make_interval(months => r(-30, 30), days => r(-40, 40), secs => (random() - 0.5) * 1000000)" ],
		money => [ 'money', [ "(-92233720368547758.08)::money", "92233720368547758.07::money", '0::money', '0.05::money', '(-0.05)::money' ], '((random() - 0.5) * 1e10)::numeric::money' ],
		bit => [ 'bit(11)', [ "B'00000000000'", "B'11111111111'" ], 'r(0, 2047)::bit(11)' ],
		varbit => [ 'varbit', [ "B''", "B'1'", "repeat('10', 5000)::varbit" ], 'r(0, 100000000)::bit(30)::varbit(20)' ],
		inet => [ 'inet', [ "'0.0.0.0/0'", "'::/0'", "'::ffff:1.2.3.4/128'", "'192.168.1.5/24'", "'fe80::1/64'" ], "('10.' || r(0,255) || '.' || r(0,255) || '.1/' || r(0, 32))::inet" ],
		cidr => [ 'cidr', [ "'0.0.0.0/0'", "'::/0'", "'192.168.0.0/16'" ], "network(('10.' || r(0,255) || '.' || r(0,255) || '.1/' || r(0, 32))::inet)" ],
		macaddr => [ 'macaddr', [ "'00:00:00:00:00:00'", "'ff:ff:ff:ff:ff:ff'" ], "left(md5(random()::text), 12)::macaddr" ],
		macaddr8 => [ 'macaddr8', [ "'00:00:00:00:00:00:00:00'" ], "left(md5(random()::text), 16)::macaddr8" ],
		json => [ 'json', [ "'null'", q{' { "a" : 1, "a" : [ ] } '}, "'1.0'" ], q{json_build_object('k', rt(10), 'n', random())} ],
		jsonb => [ 'jsonb', [ "'null'", "'{}'", "'1.0'", "'1.00'", q{'"\u00e9"'} ], q{jsonb_build_object('k', rt(10), 'n', random()::numeric)} ],
		jsonpath => [ 'jsonpath', [ q{'$.a[*] ? (@ > 1)'}, q{'strict $."b c"'} ], q{('$.k' || r(1, 1000))::jsonpath} ],
		xml => [ 'xml', [ q{xmlparse(content 'two <b>é</b> parts<i/>')}, q{xmlparse(document '<?xml version="1.0"?><a x="1"/>')} ], q{xmlelement(name a, rt(10))} ],
		tsvector => [ 'tsvector', [ "''", q{'''it''''s'':1A,3B ''b c'':16383'} ], "to_tsvector('simple', rt(40))" ],
		tsquery => [ 'tsquery', [ "''", q{'a & (b | !c) <2> d:*AB'} ], "plainto_tsquery('simple', rt(40))" ],
		point => [ 'point', [ "'(NaN,Infinity)'", "'(-0,1e300)'" ], 'point(random(), random() * 1e10)' ],
		line => [ 'line', [ "'{1,2,3}'", "'{0,-1,0.1}'" ], 'line(point(random(), random()), point(2, 3))' ],
		lseg => [ 'lseg', [ "'[(0,0),(1,0.1)]'" ], 'lseg(point(random(), random()), point(random(), 1))' ],
		box => [ 'box', [ "'(1,1),(0,0.1)'" ], 'box(point(random(), random()), point(random(), 1))' ],
		path => [ 'path', [ "'[(0,0),(1,0.1)]'", "'((0,0),(1,0.1),(3,3))'" ], "('[(' || random() || ',1),(2,' || random() || ')]')::path" ],
		polygon => [ 'polygon', [ "'((0,0),(1,0.1),(3,3))'" ], 'polygon(r(3, 12), circle(point(random(), 1), random()))' ],
		circle => [ 'circle', [ "'<(0,0),0>'" ], 'circle(point(random(), 1), random())' ],
		pg_lsn => [ 'pg_lsn', [ "'0/0'", "'FFFFFFFF/FFFFFFFF'" ], "'0/0'::pg_lsn + r(0, 2000000000)" ],
		oid => [ 'oid', [ 0, 4294967295 ], '(r(0, 2147483646)::int8 * 2)::oid' ],
		xid => [ 'xid', [ "'0'", "'4294967295'" ], 'r(0, 1000000)::text::xid' ],
		xid8 => [ 'xid8', [ "'0'", "'18446744073709551615'" ], 'r(0, 1000000)::text::xid8' ],
		tid => [ 'tid', [ "'(0,0)'", "'(4294967295,65535)'" ], "('(' || r(0, 100000) || ',' || r(0, 100) || ')')::tid" ],
		regclass => [ 'regclass', [ "'pg_class'", '0', '4294967295' ], 'r(1, 20000)::oid::regclass' ],
		regtype => [ 'regtype', [ "'mood'", "'integer[]'" ], 'r(1, 20000)::oid::regtype' ],
		cid => [ 'cid', [ "'0'", "'4294967295'" ], 'r(0, 1000000)::text::cid' ],
		regprocedure => [ 'regprocedure', [ "'now()'", '0' ], 'r(1, 2000)::oid::regprocedure' ],
		regoper => [ 'regoper', [ "'pg_catalog.||/'", '0' ], 'r(1, 3000)::oid::regoper' ],
		regoperator => [ 'regoperator', [ "'pg_catalog.=(integer,integer)'", '0' ], 'r(1, 3000)::oid::regoperator' ],
		regnamespace => [ 'regnamespace', [ "'pg_catalog'", '0' ], 'r(1, 20000)::oid::regnamespace' ],
		regconfig => [ 'regconfig', [ "'simple'", '0' ], 'r(1, 20000)::oid::regconfig' ],
		regdictionary => [ 'regdictionary', [ "'simple'", '0' ], 'r(1, 20000)::oid::regdictionary' ],
		regcollation => [ 'regcollation', [ q{'"C"'}, '0' ], 'r(1, 20000)::oid::regcollation' ],
		regproc => [ 'regproc', [ "'now'" ], 'r(1, 2000)::oid::regproc' ],
		regrole => [ 'regrole', [ '10' ], 'r(1, 20000)::oid::regrole' ],
		int4range => [ 'int4range', [ "'empty'", "'(,)'", "'[1,5)'" ], 'int4range(r(-100, 0), r(0, 100))' ],
		int8range => [ 'int8range', [ "'[,9223372036854775807)'" ], 'int8range(r(-100, 0), r(0, 100))' ],
		numrange => [ 'numrange', [ "'[1.0,1.00]'", "'(,NaN]'" ], 'numrange(-random()::numeric, random()::numeric)' ],
		daterange => [ 'daterange', [ "'[-infinity,infinity]'", "'[2024-01-31,2024-12-01)'" ], "daterange(date '2020-01-01' - r(0, 1000), date '2020-01-01' + r(0, 1000))" ],
		tsrange => [ 'tsrange', [ "'[,infinity)'" ], "tsrange(timestamp '2000-01-01' - r(0, 100000) * interval '1 s', ($ts) + interval '100 years')" ],
		tstzrange => [ 'tstzrange', [ "'empty'", "'[2024-03-10 02:30-03:30,)'" ], "tstzrange(timestamptz '2020-03-01 12:00+00' - r(0, 10000000) * interval '1 s', NULL)" ],
		textrange => [ 'textrange', [ q{'["a, ""b""","é)"]'} ], "textrange('', 'é' || rt(10))" ],
		int4multirange => [ 'int4multirange', [ "'{}'", "'{[1,2],[5,9)}'" ], 'int4multirange(int4range(r(-100, 0), r(0, 100)), int4range(200, 300))' ],
		int8multirange => [ 'int8multirange', [ "'{}'", "'{(,-9223372036854775808],[5,9223372036854775807)}'" ], 'int8multirange(int8range(r(-100, 0), r(0, 100)), int8range(200, 300))' ],
		nummultirange => [ 'nummultirange', [ "'{[1.0,1.00],(2,NaN]}'" ], 'nummultirange(numrange(-random()::numeric, random()::numeric))' ],
		datemultirange => [ 'datemultirange', [ "'{[-infinity,2000-01-01),[2024-01-31,infinity]}'" ], "datemultirange(daterange(date '2020-01-01' - r(0, 1000), date '2020-01-01' + r(0, 1000)))" ],
		tsmultirange => [ 'tsmultirange', [ "'{[,infinity)}'", "'{[2024-01-31 00:00,2024-12-01 12:00:00.000001)}'" ], "tsmultirange(tsrange(timestamp '2000-01-01' - r(0, 100000) * interval '1 s', ($ts) + interval '100 years'))" ],
		tstzmultirange => [ 'tstzmultirange', [ "'{(,2024-01-01 00:00+05:30)}'" ], "tstzmultirange(tstzrange(timestamptz '2020-03-01 12:00+00' - r(0, 10000000) * interval '1 s', NULL))" ],
		mood => [ 'mood', [ "'sad'", q{'hap''py "é"'} ], q{(ARRAY['sad', 'ok', 'hap''py "é"'])[r(1, 3)]::mood} ],
		price => [ 'price', [ '99999999.99', '-9999999.99' ], 'random() * 1e7' ],
		span => [ 'span', [ "'(,)'", "'[1,5)'" ], 'int4range(r(-100, -1), r(0, 100))' ],
		of_span => [ 'of_span', [ "'(,9]'" ], 'int4range(r(-100, -1), r(0, 100))' ],
		moods => [ 'moods', [ "'{}'", "'{sad,NULL}'" ], q{ARRAY[(ARRAY['sad', 'ok'])[r(1, 2)]]::moods} ],
		code => [ 'code', [ "''", "'éééééééé'" ], 'left(rt(8), 8)' ],
		aclitem => [ 'aclitem', [ "('=r/' || quote_ident(current_user))::aclitem" ], "makeaclitem(10, 10, 'SELECT', random() < 0.5)" ],
		refcursor => [ 'refcursor', [ "'c'" ], 'rt(5)::refcursor' ],
		snapshot => [ 'pg_snapshot', [ "'10:20:10,14'" ], "pg_current_snapshot()" ],
	);
	$types{citext} = [ 'citext', [ "'ÀB'", "''" ], 'rt(10)' ] if grep { $_ eq 'citext' } @extensions;
	$types{ltree} = [ 'ltree', [ "'Top.Science'", "''" ], "('a' || r(1, 100) || '.b' || r(1, 100))::ltree" ] if grep { $_ eq 'ltree' } @extensions;
	$types{lquery} = [ 'lquery', [ "'*.A{1,2}.!b|c'" ], "('a' || r(1, 100) || '.*')::lquery" ] if grep { $_ eq 'ltree' } @extensions;
	foreach my $extension (grep { /^(hstore|citext)$/ } @extensions)
	{
		$node->safe_psql($db, "CREATE DOMAIN d_$extension AS $extension");
		$types{"d_$extension"} = [ "d_$extension", [ "''", "'a=>1'", "'é=>NULL'" ], $extension eq 'hstore' ? "hstore('k' || r(1, 9), rt(10))" : 'rt(10)' ];
	}
	$types{isbn} = [ 'isbn13', [ "'978-0-393-04002-9'" ], "'978-0-393-04002-9'" ] if grep { $_ eq 'isn' } @extensions;
	$types{cube} = [ 'cube', [ "'(1,2),(3,4)'", "'(0.1)'" ], 'cube(random(), random())' ] if grep { $_ eq 'cube' } @extensions;
	if (grep { $_ eq 'postgis' } @extensions)
	{
		$types{geometry} = [ 'geometry', [ "'POINT EMPTY'", "'SRID=4326;POINT ZM (1 2 3 4)'", "'GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 0.1))'" ], 'st_point(random(), random())' ];
		$types{geometry_point} = [ 'geometry(Point, 4326)', [ "'SRID=4326;POINT (1 2)'" ], 'st_setsrid(st_point(random(), random()), 4326)' ];
		$types{geography} = [ 'geography', [ "'POINT (1 2)'" ], 'st_point(random(), random())::geography' ];
	}
	delete $types{xml} if !TarnTest::has_xml($node);
	return %types;
}

1;
