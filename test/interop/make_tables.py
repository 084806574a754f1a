#!/usr/bin/env python3
"""Makes Iceberg tables with PyIceberg, and the same rows as heap tables.

Reading tests compare the two: whatever a lake table of another engine holds,
the foreign table must show exactly the rows of its heap twin.

usage: make_tables.py DSN WAREHOUSE [CATALOG] [NAMESPACE]

DSN is a libpq URI (postgresql://user@host:port/db); the database must have
the extension tarn (its schema tarn_catalog is the Iceberg SQL catalog).
WAREHOUSE is the server's option, such as file:///srv/lake; CATALOG is the
name of the catalog's rows (default: lake).  Lake tables go to NAMESPACE
(default: made), heap twins to the schema NAMESPACE_heap.  For a warehouse in
S3, TARN_TEST_S3_ENDPOINT, TARN_TEST_S3_ACCESS_KEY and TARN_TEST_S3_SECRET_KEY
say where and as whom.
"""

import datetime as dt
import decimal
import json
import os
import random
import sys
import uuid

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import (
    DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry,
    ManifestEntryStatus, ManifestWriterV2, write_manifest_list,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType, BooleanType, DateType, DecimalType, DoubleType, FloatType, IntegerType,
    ListType, LongType, MapType, NestedField, StringType, StructType, TimestampType,
    TimestamptzType, TimeType, UUIDType,
)

rng = random.Random(20261121)


class Lake:
    """A catalog, and a connection for the heap twins."""

    def __init__(self, dsn, warehouse, name, namespace):
        uri = dsn.replace("postgresql://", "postgresql+psycopg2://", 1)
        uri += ("&" if "?" in uri else "?") + "options=-csearch_path%3Dtarn_catalog"
        options = {}
        if warehouse.startswith("s3:"):
            options = {"s3.endpoint": os.environ["TARN_TEST_S3_ENDPOINT"],
                       "s3.access-key-id": os.environ["TARN_TEST_S3_ACCESS_KEY"],
                       "s3.secret-access-key": os.environ["TARN_TEST_S3_SECRET_KEY"],
                       "s3.region": "us-east-1"}
        self.catalog = SqlCatalog(name, uri=uri, warehouse=warehouse, **options)
        self.namespace = namespace
        self.heap = namespace + "_heap"
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True
        self.catalog.create_namespace_if_not_exists(namespace)
        self.sql(f'DROP SCHEMA IF EXISTS "{self.heap}" CASCADE; CREATE SCHEMA "{self.heap}"')

    def sql(self, text, args=None):
        with self.connection.cursor() as cursor:
            cursor.execute(text, args)

    def create(self, name, schema, columns, **options):
        """A new lake table and its empty twin; columns is the twin's SQL."""
        identifier = (self.namespace, name)
        if self.catalog.table_exists(identifier):
            self.catalog.drop_table(identifier)
        table = self.catalog.create_table(identifier, schema=schema, **options)
        if columns is not None:
            self.sql(f'DROP TABLE IF EXISTS "{self.heap}"."{name}"')
            self.sql(f'CREATE TABLE "{self.heap}"."{name}" ({columns})')
        return table

    def fill_heap(self, name, rows):
        """Rows (tuples) into the twin."""
        quoted = f'"{self.heap}"."{name}"'
        # floats and uuids as text: the literal -0.0 would be a numeric, which has no sign of zero
        rows = [tuple(str(v) if isinstance(v, (float, uuid.UUID)) else v for v in r) for r in rows]
        marks = ",".join(["%s"] * len(rows[0]))
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for at in range(0, len(rows), 500):
                chunk = rows[at:at + 500]
                text = ",".join(cursor.mogrify(f"({marks})", r).decode() for r in chunk)
                cursor.execute(f"INSERT INTO {quoted} VALUES {text}")
            cursor.execute("COMMIT")


def arrow(table, rows):
    """Tuples as an Arrow table of the Iceberg table's schema."""
    schema = table.schema().as_arrow()
    columns = [
        pa.array([adapt(r[i], f.type) for r in rows], type=f.type) for i, f in enumerate(schema)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def adapt(value, type_):
    if isinstance(value, uuid.UUID):
        return value.bytes
    return value


def append(table, rows):
    table.append(arrow(table, rows))


# --- one maker a table ---------------------------------------------------

def random_text(n):
    alphabet = "abcdefghijklmnopqrstuvwxyz ABCXYZ0123456789äßøé€漢字🙂%_\\'\""
    return "".join(rng.choice(alphabet) for _ in range(n))


def maybe(value):
    return None if rng.random() < 0.15 else value


def types_row(i):
    utc = dt.timezone.utc
    stamp = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=rng.randint(-10**15, 10**16))
    return (
        i,
        maybe(rng.random() < 0.5),
        maybe(rng.choice([0, 1, -1, 2**31 - 1, -2**31, rng.randint(-1000, 1000)])),
        maybe(rng.choice([0, 2**63 - 1, -2**63, rng.randint(-10**12, 10**12)])),
        maybe(rng.choice([0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf"), -3.25e10])),
        maybe(rng.choice([0.0, 0.1, float("nan"), float("inf"), -float("inf"), rng.gauss(0, 1e6)])),
        maybe(decimal.Decimal(rng.randint(-10**8, 10**8)).scaleb(-2)),
        maybe(decimal.Decimal(rng.randint(-10**17, 10**17)).scaleb(-4)),
        maybe(decimal.Decimal(rng.randint(-10**37, 10**37)).scaleb(-10)),
        maybe(stamp.date()),
        maybe(dt.time(rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59), rng.randint(0, 999999))),
        maybe(stamp),
        maybe(stamp.replace(tzinfo=utc)),
        maybe(random_text(rng.randint(0, 40))),
        maybe(uuid.UUID(int=rng.getrandbits(128))),
        maybe(bytes(rng.getrandbits(8) for _ in range(rng.randint(0, 30)))),
    )


TYPES_SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "b", BooleanType()),
    NestedField(3, "i", IntegerType()),
    NestedField(4, "l", LongType()),
    NestedField(5, "f", FloatType()),
    NestedField(6, "d", DoubleType()),
    NestedField(7, "n9", DecimalType(9, 2)),
    NestedField(8, "n18", DecimalType(18, 4)),
    NestedField(9, "n38", DecimalType(38, 10)),
    NestedField(10, "day", DateType()),
    NestedField(11, "clock", TimeType()),
    NestedField(12, "ts", TimestampType()),
    NestedField(13, "tz", TimestamptzType()),
    NestedField(14, "s", StringType()),
    NestedField(15, "u", UUIDType()),
    NestedField(16, "bin", BinaryType()),
)

TYPES_COLUMNS = """id bigint NOT NULL, b boolean, i integer, l bigint, f real, d double precision,
    n9 numeric(9,2), n18 numeric(18,4), n38 numeric(38,10), day date, clock time, ts timestamp,
    tz timestamptz, s text, u uuid, bin bytea"""


def make_types(lake):
    """Every primitive type with nulls and edge values, in three files."""
    table = lake.create("types", TYPES_SCHEMA, TYPES_COLUMNS)
    rows = [types_row(i) for i in range(3000)]
    for at in range(0, 3000, 1000):
        append(table, rows[at:at + 1000])
    lake.fill_heap("types", rows)


def make_ranges(lake):
    """Sorted keys over many files and row groups: what pruning is for."""
    schema = Schema(
        NestedField(1, "k", IntegerType(), required=True),
        NestedField(2, "region", StringType()),
        NestedField(3, "v", DoubleType()),
        NestedField(4, "note", StringType()),
    )
    table = lake.create("ranges", schema, "k integer NOT NULL, region text, v double precision, note text",
                        properties={"write.parquet.row-group-limit": "2000",
                                    "write.parquet.page-row-limit": "500"})
    regions = ["north", "south", "east", "west", None]
    rows = [(k, regions[k // 4000 % 5], k * 0.5, None if k % 7 == 0 else f"note {k % 100}")
            for k in range(40000)]
    for at in range(0, 40000, 8000):
        append(table, rows[at:at + 8000])
    lake.fill_heap("ranges", rows)


def make_evolved(lake):
    """Columns added, renamed, dropped and added again, types promoted."""
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "price", DecimalType(9, 2)),
        NestedField(3, "old_name", StringType()),
        NestedField(4, "ratio", FloatType()),
        NestedField(5, "gone", IntegerType()),
    )
    table = lake.create("evolved", schema,
                        "id bigint NOT NULL, price numeric(20,2), new_name text, ratio double precision, "
                        "gone text, extra integer")
    first = [(i, decimal.Decimal(i).scaleb(-2), f"row {i}", i / 4, -i) for i in range(500)]
    append(table, first)
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.update_column("price", DecimalType(20, 2))
        update.update_column("ratio", DoubleType())
        update.rename_column("old_name", "new_name")
        update.delete_column("gone")
    with table.update_schema() as update:
        update.add_column("gone", StringType())
        update.add_column("extra", IntegerType())
    table.refresh()
    second = [(i + 2**40, decimal.Decimal(10**15 + i).scaleb(-2), None if i % 3 else f"row {i}",
               i / 3, f"back {i}", i) for i in range(500)]
    append(table, second)
    lake.fill_heap("evolved", [(i, p, n, r, None, None) for i, p, n, r, _ in first] + second)


def make_partitioned(lake):
    """Partitions by two columns, with values that need escapes in paths."""
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "country", StringType()),
        NestedField(3, "even", BooleanType()),
    )
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "country"),
                         PartitionField(3, 1001, IdentityTransform(), "even"))
    table = lake.create("partitioned", schema, "id bigint, country text, even boolean", partition_spec=spec)
    rows = [(i, rng.choice(["de", "fr", "it", "a/b c%é", None]), i % 2 == 0) for i in range(2000)]
    append(table, rows)
    lake.fill_heap("partitioned", rows)


def make_nested(lake):
    """Lists, structs and a map, between other columns."""
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "tags", ListType(10, StringType(), element_required=False)),
        NestedField(3, "name", StringType()),
        NestedField(4, "place", StructType(NestedField(11, "x", DoubleType()), NestedField(12, "y", DoubleType()))),
        NestedField(5, "n", IntegerType()),
        NestedField(6, "points", ListType(13, StructType(NestedField(14, "p", IntegerType()), NestedField(15, "at", DateType())),
                                          element_required=False)),
        NestedField(7, "counts", MapType(16, StringType(), 17, LongType(), value_required=False)),
    )
    table = lake.create("nested", schema, "id bigint, tags text[], name text, place jsonb, n integer, points jsonb, counts jsonb")
    rows, heap = [], []
    for i in range(300):
        tags = [f"t{j}" for j in range(i % 4)]
        points = [{"p": j, "at": dt.date(2024, 1, 1 + j)} if j % 3 else None for j in range(i % 5)]
        counts = {f"k\u00e9{j}": j * i if j else None for j in range(i % 3)}
        rows.append((i, tags, f"name {i}", {"x": i / 2, "y": None}, i * 3, points, list(counts.items())))
        heap.append((i, tags, f"name {i}", json.dumps({"x": i / 2 if i % 2 else i // 2, "y": None}), i * 3,
                     json.dumps(points, default=str), json.dumps(counts)))
    append(table, rows)
    lake.fill_heap("nested", heap)


def make_quoted(lake):
    """Names that need quotes, and one longer than an identifier may be."""
    long_name = "a_column_name_that_is_longer_than_the_sixty_three_bytes_of_an_identifier"
    schema = Schema(
        NestedField(1, 'Weird "Name"', LongType()),
        NestedField(2, "select", StringType()),
        NestedField(3, "it's; DROP TABLE x", StringType()),
        NestedField(4, long_name, IntegerType()),
    )
    table = lake.create("Quoted Table", schema,
                        '"Weird ""Name""" bigint, "select" text, "it\'s; DROP TABLE x" text, ' + long_name[:63] + " integer")
    rows = [(i, f"s{i}", f"'{i}'", -i) for i in range(100)]
    append(table, rows)
    lake.fill_heap("Quoted Table", rows)


def make_empty(lake):
    """Without a snapshot."""
    lake.create("empty", TYPES_SCHEMA, TYPES_COLUMNS)


def make_v1(lake):
    """Format version 1."""
    schema = Schema(NestedField(1, "id", IntegerType()), NestedField(2, "s", StringType()))
    table = lake.create("version1", schema, "id integer, s text", properties={"format-version": "1"})
    rows = [(i, f"v1 {i}") for i in range(1000)]
    append(table, rows[:500])
    append(table, rows[500:])
    lake.fill_heap("version1", rows)


class DeleteManifestWriter(ManifestWriterV2):
    """PyIceberg writes no delete manifests: this makes one of its writer."""

    def content(self):
        return ManifestContent.DELETES

    @property
    def _meta(self):
        return {**super()._meta, "content": "deletes"}


def add_position_deletes(table, deletes, content=DataFileContent.POSITION_DELETES):
    """Commits one delete file of (path, position) pairs, as merge-on-read engines do."""
    metadata = table.metadata
    io_ = table.io
    token = uuid.uuid4()
    path = f"{metadata.location}/data/delete-{token}.parquet"
    schema = pa.schema([
        pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
    ])
    rows = sorted(deletes)
    data = pa.table([[r[0] for r in rows], [r[1] for r in rows]], schema=schema)
    with io_.new_output(path).create() as out:
        pq.write_table(data, out)
    size = len(io_.new_input(path))

    arguments = dict(
        content=content, file_path=path, file_format=FileFormat.PARQUET,
        partition=Record(), record_count=len(rows), file_size_in_bytes=size,
        lower_bounds={2147483546: to_bytes(StringType(), rows[0][0])},
        upper_bounds={2147483546: to_bytes(StringType(), rows[-1][0])},
    )
    if content == DataFileContent.EQUALITY_DELETES:
        arguments["equality_ids"] = [1]
    delete_file = DataFile.from_args(**arguments)

    snapshot_id = metadata.new_snapshot_id()
    sequence = metadata.next_sequence_number()
    manifest_path = f"{metadata.location}/metadata/{token}-m0.avro"
    with DeleteManifestWriter(UNPARTITIONED_PARTITION_SPEC, table.schema(), io_.new_output(manifest_path),
                              snapshot_id, "deflate") as writer:
        writer.add_entry(ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=delete_file))
    manifest = writer.to_manifest_file()

    parent = table.current_snapshot()
    list_path = f"{metadata.location}/metadata/snap-{snapshot_id}-0-{token}.avro"
    with write_manifest_list(2, io_.new_output(list_path), snapshot_id, parent.snapshot_id, sequence,
                             "deflate") as writer:
        writer.add_manifests(list(parent.manifests(io_)) + [manifest])
    snapshot = Snapshot(snapshot_id=snapshot_id, parent_snapshot_id=parent.snapshot_id,
                        sequence_number=sequence, manifest_list=list_path,
                        summary=Summary(Operation.DELETE), schema_id=table.schema().schema_id)
    table._do_commit(
        (AddSnapshotUpdate(snapshot=snapshot),
         SetSnapshotRefUpdate(snapshot_id=snapshot_id, ref_name="main", type="branch")),
        (AssertRefSnapshotId(snapshot_id=parent.snapshot_id, ref="main"),))


def data_paths(table):
    """Data files, oldest first."""
    paths = []
    for snapshot in sorted(table.metadata.snapshots, key=lambda s: s.sequence_number):
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io):
                path = entry.data_file.file_path
                if entry.data_file.content == DataFileContent.DATA and path not in paths:
                    paths.append(path)
    return paths


def make_deletes(lake):
    """Position deletes: over several files, twice, and not for files added later."""
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "s", StringType()))
    table = lake.create("deletes", schema, "id bigint, s text", properties={"format-version": "2"})
    rows = [(i, f"row {i}") for i in range(6000)]
    append(table, rows[:2000])
    append(table, rows[2000:4000])
    first, second = data_paths(table)
    gone = set(rng.sample(range(4000), 700)) | set(range(1000, 1300))
    add_position_deletes(table, [((first, second)[i // 2000], i % 2000) for i in gone])
    append(table, rows[4000:])
    third = data_paths(table)[2]
    again = set(rng.sample(range(2000), 100)) | {5999}
    add_position_deletes(table, [((first, second, third)[i // 2000], i % 2000) for i in again])
    lake.fill_heap("deletes", [r for r in rows if r[0] not in gone | again])


def make_equality(lake):
    """Equality deletes, which must be refused and never be passed over."""
    schema = Schema(NestedField(1, "id", LongType()))
    table = lake.create("equality", schema, None, properties={"format-version": "2"})
    append(table, [(i,) for i in range(10)])
    add_position_deletes(table, [(data_paths(table)[0], 1)], DataFileContent.EQUALITY_DELETES)


def make_damaged(lake):
    """A data file cut short, one with changed bytes, one missing."""
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "s", StringType()))
    for name in ("truncated", "changed", "missing"):
        table = lake.create(name, schema, None)
        append(table, [(i, f"row {i}") for i in range(1000)])
        path = data_paths(table)[0]
        if name == "missing":
            table.io.delete(path)
            continue
        with table.io.new_input(path).open() as f:
            data = bytearray(f.read())
        if name == "truncated":
            data = data[:-100]
        else:
            data[-12:-8] = b"\xff\xff\xff\xff"
        with table.io.new_output(path).create(overwrite=True) as f:
            f.write(bytes(data))


def make_adopted(lake):
    """Files written without field ids and added as they are: columns by name mapping; small pages with an index."""
    schema = Schema(
        NestedField(1, "k", LongType()),
        NestedField(2, "word", StringType()),
        NestedField(3, "price", DecimalType(12, 2)),
        NestedField(4, "day", DateType()),
    )
    table = lake.create("adopted", schema, "k bigint, name text, price numeric(12,2), day date, later integer")
    rows = [(i, None if i % 11 == 0 else f"word {i % 1000} {i}", decimal.Decimal(i * 7).scaleb(-2),
             dt.date(2020, 1, 1) + dt.timedelta(days=i // 100)) for i in range(30000)]
    plain = pa.schema([("day", pa.date32()), ("price", pa.decimal128(12, 2)), ("word", pa.string()), ("k", pa.int64())])
    data = pa.Table.from_pylist([dict(zip(("k", "word", "price", "day"), r)) for r in rows], schema=plain)
    paths = []
    for n, codec in enumerate(("zstd", "snappy", "gzip")):
        path = f"{table.location()}/data/adopted-{n}-{uuid.uuid4()}.parquet"
        with table.io.new_output(path).create() as out:
            pq.write_table(data.slice(n * 10000, 10000), out, compression=codec, write_page_index=True,
                           data_page_size=8192, row_group_size=6000, use_dictionary=["day"],
                           data_page_version="2.0" if n == 1 else "1.0", write_batch_size=256)
        paths.append(path)
    table.add_files(paths)
    with table.update_schema() as update:
        update.rename_column("word", "name")
        update.add_column("later", IntegerType())
    lake.fill_heap("adopted", [r + (None,) for r in rows])


MAKERS = [make_types, make_ranges, make_evolved, make_partitioned, make_nested, make_quoted,
          make_empty, make_v1, make_deletes, make_adopted, make_equality, make_damaged]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    catalog = sys.argv[3] if len(sys.argv) > 3 else "lake"
    namespace = sys.argv[4] if len(sys.argv) > 4 else "made"
    lake = Lake(sys.argv[1], sys.argv[2].rstrip("/"), catalog, namespace)
    for maker in MAKERS:
        maker(lake)
        print(maker.__name__.removeprefix("make_"), flush=True)


if __name__ == "__main__":
    main()
