#!/usr/bin/env python3
"""Tables whose metadata tarn's C code wrote, opened by PyIceberg and DuckDB, and the other way round.

Usage: iceberg_files.py PROGRAM     (test/interop/build/iceberg_table)

Data files come from pyarrow here, so that this checks manifests, manifest
lists and metadata alone.  Prints TAP.
"""
import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
import datetime as dt

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable

PROGRAM = sys.argv[1]
tests = failures = 0


def ok(condition, name, detail=""):
    global tests, failures
    tests += 1
    failures += not condition
    print(f"{'ok' if condition else 'not ok'} {tests} - {name}")
    if not condition and detail:
        print("# " + str(detail).replace("\n", "\n# "))


def equal(got, expected, name):
    ok(got == expected, name, f"got      {got}\nexpected {expected}")


def duck():
    con = duckdb.connect()
    site = os.path.dirname(os.path.dirname(duckdb.__file__))
    version = "v" + duckdb.__version__
    for extension in ("avro", "iceberg"):
        con.execute(f"LOAD '{site}/duckdb_extension_{extension}/extensions/{version}/{extension}.duckdb_extension'")
    return con


def field(name, kind, field_id, nullable=True):
    return pa.field(name, kind, nullable=nullable, metadata={"PARQUET:field_id": str(field_id)})


ARROW = pa.schema([
    field("id", pa.int64(), 1, nullable=False),
    field("name", pa.string(), 2),
    field("price", pa.decimal128(12, 2), 3),
    field("day", pa.date32(), 4),
])
ICEBERG = {
    "type": "struct", "schema-id": 0, "identifier-field-ids": [1], "fields": [
        {"id": 1, "name": "id", "required": True, "type": "long"},
        {"id": 2, "name": "name", "required": False, "type": "string", "doc": "a \"quoted\" doc, with ünïcode"},
        {"id": 3, "name": "price", "required": False, "type": "decimal(12, 2)"},
        {"id": 4, "name": "day", "required": False, "type": "date"},
    ]}
DELETES = pa.schema([
    field("file_path", pa.string(), 2147483546, nullable=False),
    field("pos", pa.int64(), 2147483545, nullable=False),
])


def rows(first, n):
    return [{"id": i, "name": f"name {i}" if i % 3 else None, "price": Decimal(i) / 100,
             "day": dt.date(2026, 1, 1) + dt.timedelta(days=i % 365)} for i in range(first, first + n)]


class Writer:
    """Feeds iceberg_table with commits; keeps the rows that must be there."""

    def __init__(self, folder):
        os.makedirs(folder + "/metadata")
        os.makedirs(folder + "/data")
        self.location = "file://" + folder
        self.folder = folder
        self.lines = ["schema " + json.dumps(ICEBERG)]
        self.rows = {}
        self.nfiles = 0

    def add(self, first, n):
        path = f"{self.folder}/data/{self.nfiles}.parquet"
        self.nfiles += 1
        data = rows(first, n)
        pq.write_table(pa.Table.from_pylist(data, schema=ARROW), path)
        self.lines.append(f"data file://{path} {os.path.getsize(path)} {n} {first} {first + n - 1}")
        self.rows.update((r["id"], r) for r in data)
        return path, first

    def delete(self, target, positions):
        data_path, first = target
        path = f"{self.folder}/data/{self.nfiles}-deletes.parquet"
        self.nfiles += 1
        table = pa.Table.from_pylist([{"file_path": "file://" + data_path, "pos": p} for p in positions],
                                     schema=DELETES)
        pq.write_table(table, path)
        self.lines.append(f"deletes file://{path} {os.path.getsize(path)} {len(positions)} file://{data_path}")
        for p in positions:
            del self.rows[first + p]

    def drop(self):
        self.lines.append("drop")
        self.rows = {}

    def commit(self):
        self.lines.append("commit")

    def run(self):
        out = subprocess.run([PROGRAM, "write", self.location], input="\n".join(self.lines) + "\n",
                             capture_output=True, text=True, check=True).stdout
        return out.split()


def by_id(records):
    return sorted(records, key=lambda r: r["id"])


def check_read(metadata, expected, name):
    expected = by_id(expected)
    table = StaticTable.from_metadata(metadata)
    equal(by_id(table.scan().to_arrow().to_pylist()), expected, f"{name}: PyIceberg reads the rows")
    part = [r for r in expected if r["id"] >= 500]
    equal(by_id(table.scan(row_filter="id >= 500").to_arrow().to_pylist()), part, f"{name}: PyIceberg prunes right")
    got = duck().execute(f"SELECT * FROM iceberg_scan('{metadata[7:]}') ORDER BY id").to_arrow_table().to_pylist()
    equal(got, expected, f"{name}: DuckDB reads the rows")
    got = duck().execute(f"SELECT id FROM iceberg_scan('{metadata[7:]}') WHERE id >= 500 ORDER BY id").fetchall()
    equal([r[0] for r in got], [r["id"] for r in part], f"{name}: DuckDB prunes right")
    summary = table.current_snapshot().summary
    live = int(summary["total-records"]) - int(summary["total-position-deletes"])
    equal(live, len(expected), f"{name}: the summary's totals")


def check_avro(folder):
    """Every manifest and list, by an Avro reader that knows nothing of Iceberg."""
    manifests = lists = 0
    for name in sorted(os.listdir(folder + "/metadata")):
        if not name.endswith(".avro"):
            continue
        with open(f"{folder}/metadata/{name}", "rb") as f:
            reader = fastavro.reader(f)
            records = list(reader)
        keys = set(reader.metadata)
        if name.startswith("snap-"):
            lists += 1
            assert {"snapshot-id", "parent-snapshot-id", "sequence-number", "format-version"} <= keys, keys
            assert all(r["partitions"] == [] for r in records)
        else:
            manifests += 1
            assert {"schema", "schema-id", "partition-spec", "partition-spec-id", "format-version", "content"} <= keys
            assert reader.metadata["partition-spec"] == "[]"
            assert json.loads(reader.metadata["schema"]) == ICEBERG
            assert all((r["sequence_number"] is None) <= (r["status"] == 1) for r in records)
    ok(manifests > 0 and lists > 0, f"fastavro reads {manifests} manifests and {lists} lists")


def written_by_tarn(folder):
    w = Writer(folder)
    w.commit()
    first = w.add(0, 100)
    w.commit()
    second = w.add(100, 50)
    w.delete(first, [0, 5, 99])
    w.commit()
    w.delete(second, list(range(25)))
    w.commit()
    # enough commits to merge manifests of two levels
    for i in range(70):
        w.add(200 + 10 * i, 10)
        w.commit()
    before_drop = dict(w.rows)
    w.drop()
    w.add(5000, 30)
    w.commit()
    locations = w.run()
    equal(len(locations), 75, "every commit wrote a metadata file")
    check_read(locations[0], [], "empty table")
    check_read(locations[73], before_drop.values(), "merged manifests")
    check_read(locations[74], w.rows.values(), "after a drop of everything")
    check_avro(folder)

    table = StaticTable.from_metadata(locations[74])
    equal(table.schema().find_field("name").doc, ICEBERG["fields"][1]["doc"], "the schema's doc")
    # those before have expired
    equal(len(table.metadata.snapshots), 30, "snapshots")
    equal(table.metadata.snapshot_log[-1].snapshot_id, table.metadata.current_snapshot_id, "the log's last entry")
    equal(table.metadata.refs["main"].snapshot_id, table.metadata.current_snapshot_id, "refs.main")
    old = StaticTable.from_metadata(locations[74]).scan(snapshot_id=table.metadata.snapshots[-2].snapshot_id)
    equal(by_id(old.to_arrow().to_pylist()), by_id(before_drop.values()), "time travel to before the drop")
    con = duck()
    con.execute("SET unsafe_enable_version_guessing = true")
    got = con.execute(f"SELECT count(*) FROM iceberg_scan('{folder}')").fetchone()[0]
    equal(got, len(w.rows), "DuckDB guesses the newest version from the file names")


def written_by_pyiceberg(folder):
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/catalog.db", warehouse="file://" + folder)
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=ARROW)
    for i in range(5):
        table.append(pa.Table.from_pylist(rows(10 * i, 10), schema=ARROW))
    table.delete("id < 12")
    with table.update_schema() as update:
        update.rename_column("name", "label")
    out = subprocess.run([PROGRAM, "read", table.metadata_location], capture_output=True, text=True, check=True).stdout
    lines = out.splitlines()
    again = json.loads(lines[0].removeprefix("metadata "))
    with open(table.metadata_location.removeprefix("file://")) as f:
        original = json.load(f)
    for key in original:
        if key == "schemas" or original[key] is None:
            continue
        equal(again.get(key), original[key], f"PyIceberg's metadata keeps {key}")
    schema = json.loads(lines[1].removeprefix("schema "))
    equal([f["name"] for f in schema["fields"]], ["id", "label", "price", "day"], "the current schema")
    files = [line.split() for line in lines if line.startswith("file ")]
    live = [f for f in files if f[2] != "2"]
    expected = {f["file_path"]: f for f in table.inspect.files().to_pylist()}
    equal({f[6]: (int(f[4]), int(f[5])) for f in live},
          {p: (f["record_count"], f["file_size_in_bytes"]) for p, f in expected.items()}, "live files of PyIceberg")
    bounds = {f[6]: {int(m.split(":")[0]): m.split(":")[1:] for m in f[7:]} for f in live}
    for path, f in expected.items():
        for field_id, lower in f["lower_bounds"]:
            equal(bytes.fromhex(bounds[path][field_id][2]), lower, f"lower bound of field {field_id}")


with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    written_by_tarn(folder + "/tarn")
    os.mkdir(folder + "/pyiceberg")
    written_by_pyiceberg(folder + "/pyiceberg")
print(f"1..{tests}")
sys.exit(failures > 0)
