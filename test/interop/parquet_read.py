#!/usr/bin/env python3
"""Files written by pyarrow and DuckDB, read by tarn's reader, cell by cell.

    parquet_read.py [--dump PROGRAM] [--keep DIR]

PROGRAM is test/unit's parquet_dump.  Prints TAP.  Each file is read whole,
with dictionaries kept, and by row ranges; bounds must enclose the values.
"""
import argparse
import datetime
import decimal
import os
import random
import struct
import subprocess
import sys
import tempfile
import uuid

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCH = datetime.datetime(1970, 1, 1)
failed = 0
count = 0


def ok(passed, name, note=""):
    global failed, count
    count += 1
    if not passed:
        failed += 1
    print(("ok " if passed else "not ok ") + str(count) + " - " + name)
    if not passed and note:
        for line in str(note).splitlines()[:8]:
            print("# " + line[:300])


def cell(value, lake_type):
    """A Python value in the form parquet_dump prints."""
    if value is None:
        return "~"
    if lake_type == "boolean":
        return str(int(value))
    if lake_type in ("int", "long"):
        return str(value)
    if lake_type in ("float", "double"):
        return None if value != value else value  # compared as numbers
    if lake_type.startswith("decimal"):
        scale = int(lake_type.split(",")[1].strip(" )"))
        return str(int(value.scaleb(scale, decimal.Context(prec=60))))
    if lake_type == "date":
        return str((value - EPOCH.date()).days)
    if lake_type == "time":
        return str(((value.hour * 60 + value.minute) * 60 + value.second) * 1000000 + value.microsecond)
    if lake_type in ("timestamp", "timestamptz"):
        delta = value.replace(tzinfo=None) - EPOCH
        return str((delta.days * 86400 + delta.seconds) * 1000000 + delta.microseconds)
    if lake_type == "string":
        return "x" + value.encode().hex()
    if lake_type == "uuid" and isinstance(value, uuid.UUID):
        return "x" + value.bytes.hex()
    return "x" + bytes(value).hex()


def same(got, value, lake_type):
    if got != "~" and value is not None and lake_type in ("float", "double"):
        number = float("nan") if "nan" in got else float.fromhex(got)
        if value != value:
            return number != number
        return struct.pack("d", number) == struct.pack("d", value)
    return got == cell(value, lake_type)


class Dump:
    def __init__(self, program, path, *options):
        done = subprocess.run([program, path, *map(str, options)], capture_output=True, text=True)
        self.status = done.returncode
        self.error = done.stderr
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.leaves = [line[1:] for line in lines if line[0] == "leaf"]
        self.rows = [line[1:] for line in lines if line[0] == "row"]
        self.bounds = [line[1:] for line in lines if line[0] in ("bounds", "page")]
        self.npages = sum(line[0] == "page" for line in lines)
        self.forms = {int(line[1]): line[2] for line in lines if line[0] == "form"}


def differences(dump, table, rows=None):
    """Cells that differ from a pyarrow table's, as text."""
    if dump.status != 0:
        return dump.error
    columns = [table.column(i).to_pylist() for i in range(table.num_columns)]
    if rows is not None:
        columns = [[column[r] for r in rows] for column in columns]
    supported = [i for i, leaf in enumerate(dump.leaves) if leaf[3] != "unsupported"]
    if len(supported) != len(columns):
        return "leaves: " + repr(dump.leaves)
    nrows = len(columns[0])
    if len(dump.rows) != nrows:
        return f"{len(dump.rows)} rows instead of {nrows}"
    out = []
    for position, leaf in enumerate(supported):
        lake_type = dump.leaves[leaf][2]
        for row in range(nrows):
            got, want = dump.rows[row][position], columns[position][row]
            if not same(got, want, lake_type):
                out.append(f"{dump.leaves[leaf][0]} ({lake_type}) row {row}: got {got}, expected {want!r}")
                break
    return "\n".join(out)


def number(text, lake_type):
    if lake_type in ("float", "double"):
        return float.fromhex(text)
    return bytes.fromhex(text[1:]) if text.startswith("x") else int(text)


def loose_bounds(dump, group_rows):
    """Bounds of single-row-group files that do not enclose the values."""
    supported = [i for i, leaf in enumerate(dump.leaves) if leaf[3] != "unsupported"]
    starts = {}
    for line in dump.bounds:
        starts.setdefault(int(line[0]), []).append(line)
    for position, leaf in enumerate(supported):
        lake_type = dump.leaves[leaf][2]
        for line in starts.get(leaf, []):
            first, values, nulls = int(line[1]), int(line[2]), int(line[3])
            cells = [row[position] for row in dump.rows[first:first + values]]
            if nulls >= 0 and nulls != cells.count("~"):
                return f"{dump.leaves[leaf][0]}: {nulls} nulls instead of {cells.count('~')}"
            if line[4] == "none":
                continue
            low, high = number(line[4], lake_type), number(line[5], lake_type)
            for c in cells:
                if c != "~" and "nan" not in c and not low <= number(c, lake_type) <= high:
                    return f"{dump.leaves[leaf][0]}: {c} outside {line}"
    return ""


def check(program, path, table, name, one_group=True):
    whole = Dump(program, path)
    note = differences(whole, table)
    ok(not note, name, note)
    if note:
        return whole
    note = differences(Dump(program, path, "dictionary"), table)
    ok(not note, name + ", dictionaries kept", note)
    if one_group:
        note = loose_bounds(whole, table.num_rows)
        ok(not note, name + ", bounds", note)
        rng = random.Random(name)
        ranges, rows, at = [], [], 0
        while at < table.num_rows:
            at += rng.choice([0, 1, 7, 64, 500, 1500])
            size = rng.choice([0, 1, 3, 64, 100, 1000])
            if at + size > table.num_rows:
                break
            ranges += [at, size]
            rows += range(at, at + size)
            at += size
        for options in ([], ["dictionary"]):
            note = differences(Dump(program, path, *options, "ranges", *ranges), table, rows)
            ok(not note, " ".join([name + ", by ranges", *options]), note)
    return whole


def sample(rows, null_share, seed=1):
    """One column for each type; values both repetitive and wild."""
    rng = random.Random(seed)

    def column(make, arrow_type):
        pool = [make() for _ in range(20)]
        values = [None if rng.random() < null_share else (rng.choice(pool) if rng.random() < .8 else make())
                  for _ in range(rows)]
        return pa.array(values, arrow_type)

    def bits(n):
        return rng.getrandbits(rng.randrange(1, n)) * rng.choice([1, -1])

    def text():
        return "".join(rng.choice("abcdeé☃ 日") for _ in range(rng.choice([0, 1, 5, 12, 40, 200])))

    def dec(precision, scale):
        return decimal.Decimal(rng.randrange(-10 ** precision + 1, 10 ** precision)).scaleb(
            -scale, decimal.Context(prec=60))

    def stamp():
        return EPOCH + datetime.timedelta(microseconds=rng.randrange(-10 ** 15, 9 * 10 ** 15))

    return {
        "bool": column(lambda: rng.random() < .5, pa.bool_()),
        "int8": column(lambda: bits(7), pa.int8()),
        "int16": column(lambda: bits(15), pa.int16()),
        "int32": column(lambda: bits(31), pa.int32()),
        "int64": column(lambda: bits(63), pa.int64()),
        "uint8": column(lambda: rng.getrandbits(8), pa.uint8()),
        "uint16": column(lambda: rng.getrandbits(16), pa.uint16()),
        "uint32": column(lambda: rng.getrandbits(32), pa.uint32()),
        "float": column(lambda: struct.unpack("f", struct.pack("f", rng.gauss(0, 1e6)))[0], pa.float32()),
        "double": column(lambda: rng.choice([rng.gauss(0, 1e100), float("nan"), -0.0, float("inf")]), pa.float64()),
        "dec5": column(lambda: dec(5, 2), pa.decimal128(5, 2)),
        "dec15": column(lambda: dec(15, 2), pa.decimal128(15, 2)),
        "dec38": column(lambda: dec(38, 10), pa.decimal128(38, 10)),
        "date": column(lambda: stamp().date(), pa.date32()),
        "time_ms": column(lambda: stamp().time().replace(microsecond=5000), pa.time32("ms")),
        "time_us": column(lambda: stamp().time(), pa.time64("us")),
        "ts_ms": column(lambda: stamp().replace(microsecond=7000), pa.timestamp("ms")),
        "ts_us": column(stamp, pa.timestamp("us")),
        "ts_tz": column(lambda: stamp().replace(tzinfo=datetime.timezone.utc), pa.timestamp("us", "UTC")),
        "ts_ns": column(stamp, pa.timestamp("ns")),
        "string": column(text, pa.string()),
        "binary": column(lambda: rng.randbytes(rng.randrange(0, 60)), pa.binary()),
        "fixed": column(lambda: rng.randbytes(7), pa.binary(7)),
        "nothing": pa.array([None] * rows, pa.int32()),
    }


INTEGERS = ["int8", "int16", "int32", "int64", "uint32", "date", "ts_us", "dec5", "dec15"]
ENCODINGS = {
    "DELTA_BINARY_PACKED": INTEGERS[:-2],
    "DELTA_LENGTH_BYTE_ARRAY": ["string", "binary"],
    "DELTA_BYTE_ARRAY": ["string", "binary", "fixed", "dec38"],
    "BYTE_STREAM_SPLIT": ["int32", "int64", "float", "double", "fixed", "dec38"],
    "RLE": ["bool"],
}


def pyarrow_cases(program, folder):
    path = os.path.join(folder, "t.parquet")
    codecs = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
    for shares in (0, .3):
        table = pa.table(sample(3000, shares))
        for number_, codec in enumerate(codecs):
            for version in ("1.0", "2.0"):
                pq.write_table(table, path, compression=codec, data_page_version=version, version="2.6",
                               use_dictionary=number_ % 2 == 0, data_page_size=4096, write_page_index=True,
                               write_page_checksum=True, store_decimal_as_integer=number_ > 2)
                check(program, path, table, f"pyarrow {codec} v{version} pages, nulls {shares}")
        for encoding, names in ENCODINGS.items():
            part = table.select(names)
            for version in ("1.0", "2.0"):
                pq.write_table(part, path, compression="zstd", data_page_version=version, use_dictionary=False,
                               column_encoding={name: encoding for name in names}, write_page_index=True,
                               data_page_size=4096, store_decimal_as_integer=encoding.startswith("DELTA_BINARY"))
                check(program, path, part, f"pyarrow {encoding} v{version} pages, nulls {shares}")
    table = pa.table(sample(3000, .1, 2))
    pq.write_table(table, path, row_group_size=700)
    check(program, path, table, "pyarrow five row groups", one_group=False)
    pq.write_table(table, path, dictionary_pagesize_limit=200, data_page_size=1000, write_page_index=True)
    dump = check(program, path, table, "pyarrow dictionary that overflows")
    pq.write_table(table.slice(0, 0), path)
    check(program, path, table.slice(0, 0), "pyarrow no rows")
    table = pa.table({"ts_ns": table.column("ts_ns"), "ts_us": table.column("ts_us")})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    check(program, path, table, "pyarrow INT96")
    repetitive = pa.table({"s": ["a", "b", None, "b"] * 500, "n": [1, None, 2, 3] * 500,
                           "one": ["x"] * 2000})
    pq.write_table(repetitive, path, write_page_index=True, data_page_size=100)
    check(program, path, repetitive, "pyarrow repetitive values")
    forms = Dump(program, path, "dictionary").forms
    ok(set(forms.values()) == {"dictionary"}, "dictionary form is kept", forms)
    required = pa.table(sample(500, 0)).cast(pa.schema(
        [pa.field(f.name, f.type, nullable=f.name == "nothing") for f in pa.table(sample(1, 0)).schema]))
    pq.write_table(required, path)
    check(program, path, required, "pyarrow required columns")


def nested_cases(program, folder):
    path = os.path.join(folder, "nested.parquet")
    table = pa.table({
        "a": [1, 2, 3],
        "l": pa.array([[1], None, [2, 3]], pa.list_(pa.int32())),
        "s": pa.array([{"x": 1, "y": "p"}, None, {"x": None, "y": "q"}]),
        "u64": pa.array([1, 2, 2 ** 63], pa.uint64()),
        "f16": pa.array([1, 2, 3], pa.float16()),
    })
    pq.write_table(table, path)
    dump = Dump(program, path)
    ok(dump.status == 0, "nested file opens", dump.error)
    leaves = {leaf[0]: leaf for leaf in dump.leaves}
    for name in ("l.list.element", "u64", "f16"):
        ok(leaves[name][3] == "unsupported" and leaves[name][2], f"{name} is refused with a reason")
    ok([row[1:] for row in dump.rows] == [["1", "x70"], ["~", "~"], ["~", "x71"]],
       "fields of a struct are read", dump.rows)
    ids = pa.schema([pa.field("a", pa.int64(), metadata={b"PARQUET:field_id": b"17"})])
    pq.write_table(pa.table({"a": [1]}, schema=ids), path)
    ok(Dump(program, path).leaves[0][1] == "17", "field ids are read")
    nanos = pa.table({"t": pa.array([1001], pa.timestamp("ns"))})
    pq.write_table(nanos, path)
    dump = Dump(program, path)
    ok(dump.status == 1 and "0A000" in dump.error and "microseconds" in dump.error,
       "nanoseconds that do not fit are refused", dump.error)


def duckdb_cases(program, folder):
    path = os.path.join(folder, "duck.parquet")
    query = """SELECT i % 7 = 0 AS b, (i % 100)::TINYINT AS i1, (i * 31 % 30000)::SMALLINT AS i2, i::INTEGER AS i4,
        hash(i)::UBIGINT::VARCHAR AS s, CASE WHEN i % 3 > 0 THEN 'group ' || i % 10 END AS g,
        (hash(i) >> 2)::BIGINT AS i8, (i / 7.0)::FLOAT AS f, CASE WHEN i % 5 > 0 THEN i / 3.0 END::DOUBLE AS d,
        (i * 1.01)::DECIMAL(12, 2) AS dec, ((i - 500) * 1234567890123)::DECIMAL(30, 0) AS wide,
        DATE '1970-01-01' + i::INTEGER AS day, TIMESTAMP '2020-02-29' + INTERVAL (i) SECOND AS ts,
        uuid() AS u, 'blob'::BLOB AS bl, TIME '00:00:01' + INTERVAL (i) SECOND AS t
        FROM range(5000) x(i)"""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("CREATE TABLE t AS " + query)
    for codec in ("uncompressed", "snappy", "gzip", "zstd", "lz4_raw", "brotli"):
        for version in ("V1", "V2"):
            con.execute(f"COPY t TO '{path}' (FORMAT parquet, CODEC '{codec}', PARQUET_VERSION {version})")
            names = [row[0] for row in con.execute("DESCRIBE t").fetchall()]
            rows = con.execute("SELECT * FROM t").fetchall()
            dump = Dump(program, path)
            note = dump.error
            if dump.status == 0:
                note = "\n".join(f"{names[i]} row {r}: {dump.rows[r][i]} instead of {rows[r][i]!r}"
                                 for r in range(0, len(rows), 7) for i in range(len(names))
                                 if not same(dump.rows[r][i], rows[r][i], dump.leaves[i][2]))
                note = note or loose_bounds(dump, len(rows))
            ok(not note and len(dump.rows) == len(rows), f"duckdb {codec} {version}", note)


def damage_cases(program, folder):
    """A byte changed anywhere: an error that says so, or rows; never a crash."""
    path = os.path.join(folder, "damage.parquet")
    rng = random.Random(3)
    for version, checksum in (("1.0", True), ("2.0", False)):
        table = pa.table(sample(200, .2, 3))
        pq.write_table(table, path, data_page_version=version, write_page_checksum=checksum,
                       write_page_index=True, compression="zstd", data_page_size=500)
        sound = open(path, "rb").read()
        reasons = set()
        wrong = []
        for _ in range(150):
            data = bytearray(sound)
            at = rng.randrange(len(data))
            data[at] ^= 1 << rng.randrange(8)
            open(path, "wb").write(data)
            dump = Dump(program, path, "ranges", "0", "50", "100", "20")
            reasons.add(dump.status)
            if dump.status not in (0, 1) or (dump.status == 1 and "ERROR XX001" not in dump.error
                                             and "ERROR 0A000" not in dump.error):
                wrong.append(f"offset {at}: status {dump.status} {dump.error}")
            if dump.status == 1 and path not in dump.error:
                wrong.append(f"offset {at}: no file in {dump.error}")
        ok(not wrong and reasons == {0, 1}, f"damaged bytes, v{version} pages", "\n".join(wrong) or reasons)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.path.join(HERE, "../unit/build/plain/parquet_dump"))
    parser.add_argument("--keep")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = args.keep or temp
        pyarrow_cases(args.dump, folder)
        nested_cases(args.dump, folder)
        duckdb_cases(args.dump, folder)
        damage_cases(args.dump, folder)
    print(f"1..{count}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
