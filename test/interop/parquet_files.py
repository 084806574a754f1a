"""Reads the files of test/unit/test_parquet_writer.c with pyarrow and DuckDB.

usage: parquet_files.py <test_parquet_writer program>

The values follow from row and column by the formulas of the unit test.
DuckDB refuses BYTE_STREAM_SPLIT for anything but floats, so files that have
it elsewhere are read by pyarrow alone, and the output says so.
"""
import decimal
import glob
import os
import subprocess
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def number(row):
    x = row * 2654435761 % 1000
    return -x if row % 2 else x


def value(column, row):
    x = number(row)
    dec = decimal.Decimal
    return {
        0: row % 3 == 0, 1: x, 2: x * 1000003, 3: x / 4, 4: row * 0.125,
        5: dec(x * 1000003).scaleb(-2), 6: dec(x * 1000003).scaleb(-3),
        7: dec(x * 10 ** 18).scaleb(-5), 8: x, 9: abs(x), 10: x * 1000003, 11: x * 1000003,
        12: f"value 0 {x}", 13: bytes([row % 250]) * 16, 14: bytes([row % 250]) * 5,
        15: f"value {row} {x}".encode(),
    }[column]


def expected(column, rows, nulls):
    return [None if nulls and (r * 7 + column) % 5 == 0 else value(column, r) for r in range(rows)]


def plain(column, chunked):
    """Integers for the types whose Python form is a date or time, bytes for uuid."""
    if column == 8:
        chunked = chunked.cast(pa.int32())
    elif column in (9, 10, 11):
        chunked = chunked.cast(pa.int64())
    elif column == 13 and hasattr(chunked.type, "storage_type"):
        chunked = pa.chunked_array([c.storage for c in chunked.chunks], chunked.type.storage_type)
    return chunked.to_pylist()


def check_metadata(path, rows, nulls):
    meta = pq.ParquetFile(path).metadata
    schema = pq.read_schema(path)
    assert meta.num_rows == rows
    assert meta.created_by.startswith("tarn version 1.0.0")
    assert meta.metadata[b"key"] == b"value"
    for i in range(16):
        assert schema.field(i).metadata[b"PARQUET:field_id"] == str(i + 1).encode()
    first = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        for i in (1, 2, 12):
            want = expected(i, rows, nulls)[first:first + group.num_rows]
            chunk = group.column(i)
            present = [w for w in want if w is not None]
            assert chunk.has_offset_index and chunk.has_column_index, (g, i)
            assert chunk.statistics.null_count == len(want) - len(present), (g, i)
            if present:
                assert (chunk.statistics.min, chunk.statistics.max) == (min(present), max(present)), (g, i)
        first += group.num_rows


def check_file(path):
    rows, _, _, nulls, _, _ = (int(x) for x in os.path.basename(path)[2:-8].split("_"))
    table = pq.read_table(path, page_checksum_verification=True)
    for i in range(16):
        assert plain(i, table.column(i)) == expected(i, rows, nulls), f"pyarrow, column {i}"
    check_metadata(path, rows, nulls)
    try:
        result = duckdb.sql(f"SELECT * REPLACE (epoch_us(c10) AS c10) FROM '{path}'").arrow()
    except duckdb.Error as e:
        if "BYTE_STREAM_SPLIT encoding is only supported" not in str(e):
            raise
        return "pyarrow only: DuckDB has no BYTE_STREAM_SPLIT of this type"
    table = result.read_all() if hasattr(result, "read_all") else result
    for i in (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 15):
        assert table.column(i).to_pylist() == expected(i, rows, nulls), f"DuckDB, column {i}"
    return "pyarrow and DuckDB"


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1]], env={**os.environ, "TARN_PARQUET_FILES": folder},
                       check=True, stdout=subprocess.DEVNULL)
        files = sorted(glob.glob(folder + "/*.parquet"))
        assert files, "the unit test wrote no files"
        for path in files:
            print("ok -", os.path.basename(path), "-", check_file(path), flush=True)
        print(f"1..{len(files)}")


main()
