#!/usr/bin/env python3
"""Compares source tables with what PyIceberg and DuckDB read of their lake tables.

usage: lake_engines.py --host H --port P --dbname D --user U --lake SERVER [--sample CONDITION] SOURCE=LAKE ...

SOURCE and LAKE are "schema.table" (LAKE: namespace.table); or all four names
are a JSON array, where they have dots of their own.  PyIceberg opens
the table through its SQL catalog in schema tarn_catalog, DuckDB by the path
of its metadata file.  All rows are compared as a multiset, typed: instants as
microseconds, days as a number, binary floats by their exact value.  Of
tables too large for that, --sample gives a condition that all understand
("id < 100"): the rows that meet it are compared so, all others by DuckDB's
count, sums of integers and of the lengths of text.  Prints TAP; exits with 1
when anything differs.  Keys for S3 come from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY.
"""

import argparse
import collections
import datetime
import decimal
import functools
import glob
import json
import math
import os
import sys
import uuid

import duckdb
import psycopg2
import psycopg2.extensions
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import ListType, MapType, StructType

EXTENSIONS = ["avro", "iceberg", "httpfs"]


class Tap:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def ok(self, good, name, detail=()):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}")
        for line in detail if not good else ():
            print("#", line)
        sys.stdout.flush()

    def done(self):
        print(f"1..{self.n}")
        return 1 if self.failed or not self.n else 0


def nested_value(value, lake_type, empty_lists):
    """A value inside a list, struct or map: from the source's JSON and from Arrow to the same form.

    With empty_lists, a null list of structs is an empty one: PyIceberg 0.12 reads it so.
    """
    if value is None:
        empty = empty_lists and isinstance(lake_type, ListType) and isinstance(lake_type.element_type, StructType)
        return () if empty else None
    if isinstance(lake_type, ListType):
        return tuple(nested_value(v, lake_type.element_type, empty_lists) for v in value)
    if isinstance(lake_type, StructType):
        return tuple(nested_value(value[f.name], f.field_type, empty_lists) for f in lake_type.fields)
    if isinstance(lake_type, MapType):
        pairs = value.items() if isinstance(value, dict) else value
        return frozenset((nested_value(k, lake_type.key_type, empty_lists),
                          nested_value(v, lake_type.value_type, empty_lists)) for k, v in pairs)
    return nested_leaf(value, lake_type_name(lake_type))


def nested_leaf(value, name):
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    if name == "string":  # json inside of json, numbers as they were written
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, bool)) else str(value)
    if name in ("float", "double"):
        return plain(float(value))
    if name == "decimal":
        return decimal.Decimal(value)
    if name == "uuid":
        return str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
    if name == "binary" and isinstance(value, str):
        return bytes.fromhex(value[2:])
    if name == "date":
        return datetime.date.fromisoformat(value) if isinstance(value, str) else value
    if name == "time":
        return datetime.time.fromisoformat(value) if isinstance(value, str) else value
    if name == "timestamp":
        return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    if name == "timestamptz":
        value = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
        return (value - epoch) // datetime.timedelta(microseconds=1)
    return plain(value)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def source_expression(name, pg_type, lake_type):
    """SQL for one column, in the form the lake's type is compared in."""
    column = quoted(name)
    if not isinstance(lake_type, str):
        return f"to_json({column})::text"
    if lake_type == "date":
        return f"({column} - date '1970-01-01')"
    if lake_type == "time":
        return f"(extract(epoch from {column}) * 1000000)::bigint"
    if lake_type in ("timestamp", "timestamptz"):  # of an interval, since that of the last timestamps is rounded
        return f"(extract(epoch from {column} - {lake_type} '2000-01-01 00:00+00') * 1000000)::bigint + 946684800000000"
    if lake_type == "float":
        return f"{column}::float8"
    if pg_type == "money":  # digits, whatever the locale of the session
        return f"{column}::numeric::text"
    if pg_type == "char":
        octal = f"format('\\%s%s%s', ({column}::int4 & 255) >> 6, ({column}::int4 & 63) >> 3, {column}::int4 & 7)"
        return f"CASE WHEN {column}::int4 < 0 THEN {octal} ELSE {column}::text END"
    if pg_type in ("geometry", "geography"):
        return f"{column}::bytea"
    if lake_type == "long" and pg_type not in ("int2", "int4", "int8"):  # oid and its kin
        return f"{column}::text::int8" if pg_type in ("xid", "cid") else f"{column}::oid::int8"
    if lake_type == "uuid" or pg_type == "xml":
        return f"{column}::text"
    # not a cast, which has other words for inet than its output function; and (1,) IS NOT NULL is false
    if lake_type == "string" and pg_type not in ("bpchar", "varchar", "text", "name"):
        return f"CASE WHEN {column} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {column}) END"
    return column


def plain(value):
    """A value that compares and hashes by what it is."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if hasattr(value, "is_nan") and value.is_nan():
        return "NaN"
    return value


def source_value(value, lake_type, empty_lists):
    if isinstance(lake_type, str):
        return plain(value)
    value = None if value is None else json.loads(value, parse_float=decimal.Decimal)
    return nested_value(value, lake_type, empty_lists)


def arrow_column(column, lake_type):
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    if not isinstance(lake_type, str):
        return [nested_value(v, lake_type, False) for v in column.to_pylist()]
    if lake_type == "date":
        column = column.cast(pa.int32())
    elif lake_type in ("timestamp", "timestamptz"):
        column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
    elif lake_type == "time":
        column = column.cast(pa.time64("us")).cast(pa.int64())
    values = column.to_pylist()
    if lake_type == "uuid":
        values = [str(uuid.UUID(bytes=v)) if isinstance(v, bytes) else v for v in values]
    return [plain(v) for v in values]


def arrow_rows(table, fields):
    columns = [arrow_column(table.column(name), lake_type) for name, lake_type in fields]
    return collections.Counter(zip(*columns)) if columns else collections.Counter({(): table.num_rows})


def lake_type_name(field_type):
    """The name of a type without its parameters; a nested type itself."""
    if isinstance(field_type, (ListType, StructType, MapType)):
        return field_type
    name = str(field_type)
    return name.split("(")[0]


def extension_path(name):
    pattern = os.path.join(os.path.dirname(os.path.dirname(duckdb.__file__)),
                           f"duckdb_extension_{name}", "extensions", "*", f"{name}.duckdb_extension")
    found = glob.glob(pattern)
    if not found:
        sys.exit(f"no DuckDB extension at {pattern}")
    return found[0]


@functools.cache
def prepare():
    """A DuckDB with the extensions, which take long to load, and without threads of its own: it may be forked."""
    duck = duckdb.connect(config={"threads": 1})
    for name in EXTENSIONS:
        duck.load_extension(extension_path(name))
    duck.execute("SET TimeZone = 'UTC'")
    return duck


class Engines:
    def __init__(self, args):
        self.connection = psycopg2.connect(host=args.host, port=args.port, dbname=args.dbname, user=args.user,
                                           client_encoding="UTF8")
        # one state of source and catalog for all that is compared
        self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor = self.connection.cursor()
        # text in the form that the lake keeps, whatever the database says
        cursor.execute("SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres; SET TimeZone = 'UTC'; "
                       "SET extra_float_digits = 1")
        cursor.execute("SELECT unnest(srvoptions) FROM pg_foreign_server WHERE srvname = %s", (args.lake,))
        options = dict(row[0].split("=", 1) for row in cursor.fetchall())
        if not options:
            sys.exit(f"there is no lake {args.lake}")
        self.sample = None  # a condition
        self.s3 = options["warehouse"].startswith("s3://")
        self.catalog_name = options.get("catalog_name", args.lake)
        properties = {
            "uri": f"postgresql+psycopg2://{args.user}@/{args.dbname}?host={args.host}&port={args.port}"
            "&options=-csearch_path%3Dtarn_catalog&client_encoding=UTF8",
            "warehouse": options["warehouse"],
            "init_catalog_tables": "false",
        }
        self.duck = prepare()
        self.duck.execute(f"SET threads = {os.cpu_count()}")
        if self.s3:
            key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
            endpoint = options["endpoint"]
            properties |= {
                "s3.endpoint": endpoint, "s3.access-key-id": key, "s3.secret-access-key": secret,
                "s3.region": options.get("region", "us-east-1"),
            }
            host = endpoint.split("://", 1)[1]
            ssl = str(endpoint.startswith("https://")).lower()
            self.duck.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{host}', "
                f"URL_STYLE 'path', USE_SSL {ssl}, REGION '{properties['s3.region']}')")
        self.catalog = SqlCatalog(self.catalog_name, **properties)

    def metadata_location(self, namespace, table):
        cursor = self.connection.cursor()
        cursor.execute(
            "SELECT metadata_location FROM tarn_catalog.iceberg_tables"
            " WHERE catalog_name = %s AND table_namespace = %s AND table_name = %s",
            (self.catalog_name, namespace, table))
        row = cursor.fetchone()
        return row[0] if row else None

    def source_rows(self, schema, table, fields, empty_lists=False):
        cursor = self.connection.cursor()
        cursor.execute(
            "SELECT attname, typname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid"
            " WHERE attrelid = (quote_ident(%s) || '.' || quote_ident(%s))::regclass AND attnum > 0 AND NOT attisdropped",
            (schema, table))
        types = dict(cursor.fetchall())
        missing = [name for name, _ in fields if name not in types]
        if missing:
            raise LookupError(f"the source has no columns {missing}")
        expressions = [source_expression(name, types[name], lake_type) for name, lake_type in fields]
        cursor.execute(f'SELECT {", ".join(expressions)} FROM {quoted(schema)}.{quoted(table)} WHERE {self.sample or "true"}')
        lake_types = [lake_type for _, lake_type in fields]
        return collections.Counter(tuple(source_value(v, t, empty_lists) for v, t in zip(row, lake_types)) for row in cursor)

    def pyiceberg_rows(self, table, fields):
        scan = table.scan(row_filter=self.sample) if self.sample else table.scan()
        return arrow_rows(scan.to_arrow(), fields)

    def duckdb_rows(self, location, fields):
        result = self.duck.execute(f"SELECT * FROM iceberg_scan(?) WHERE {self.sample or 'true'}", [location]).to_arrow_table()
        return arrow_rows(result, fields)

    def totals(self, schema, table, location, fields):
        """Count and sums of all rows: the source's, DuckDB's."""
        numbers = [name for name, lake_type in fields if lake_type in ("int", "long")]
        texts = [name for name, lake_type in fields if lake_type == "string"]

        def select(length):
            return ", ".join(["count(*)", *(f"sum({quoted(name)})" for name in numbers),
                              *(f"sum({length}({quoted(name)}))" for name in texts)])

        cursor = self.connection.cursor()
        cursor.execute(f'SELECT {select("octet_length")} FROM {quoted(schema)}.{quoted(table)}')
        found = self.duck.execute(f"SELECT {select('strlen')} FROM iceberg_scan(?)", [location]).fetchone()
        return [[None if v is None else int(v) for v in row] for row in (cursor.fetchone(), found)]


def differences(source, lake, limit=5):
    for title, rows in (("only in the source", source - lake), ("only in the lake", lake - source)):
        if rows:
            yield f"{sum(rows.values())} rows {title}"
            for row, count in list(rows.items())[:limit]:
                yield f"  {count} x {row}"[:2000]


def compare(engines, tap, pair):
    if pair.startswith("["):
        schema, table, namespace, lake_table = json.loads(pair)
    else:
        source, _, lake = pair.partition("=")
        schema, table = source.split(".", 1)
        namespace, lake_table = (lake or source).split(".", 1)
    lake = f"{namespace}.{lake_table}"
    location = engines.metadata_location(namespace, lake_table)
    if location is None:
        tap.ok(False, f"{lake} is in the catalog")
        return
    opened = engines.catalog.load_table((namespace, lake_table))
    fields = [(field.name, lake_type_name(field.field_type)) for field in opened.schema().fields]
    for name, read in (("PyIceberg", lambda: engines.pyiceberg_rows(opened, fields)),
                       ("DuckDB", lambda: engines.duckdb_rows(location, fields))):
        expected = engines.source_rows(schema, table, fields, name == "PyIceberg")
        count = sum(expected.values())
        try:
            problems = list(differences(expected, read()))
        except Exception as error:  # an engine that cannot read it is a failure of the table
            problems = [f"{type(error).__name__}: {error}"]
        tap.ok(not problems, f"{lake}: {name} reads {count} rows", problems)
    if engines.sample:
        expected, found = engines.totals(schema, table, location, fields)
        tap.ok(expected == found, f"{lake}: DuckDB counts {expected[0]} rows, with their sums",
               [f"source: {expected}", f"lake: {found}"])


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name in ("--host", "--port", "--dbname", "--user", "--lake"):
        parser.add_argument(name, required=True)
    return parser


def main():
    parser = arguments(__doc__)
    parser.add_argument("--sample")
    parser.add_argument("tables", nargs="+", metavar="SOURCE=LAKE")
    args = parser.parse_args()
    tap = Tap()
    engines = Engines(args)
    engines.sample = args.sample
    for pair in args.tables:
        compare(engines, tap, pair)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
