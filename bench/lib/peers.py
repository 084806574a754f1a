"""DuckDB and pyarrow, as peers: the same rows written by them, the same files read by them."""

import os
import time

import duckdb

DUCKDB_COLUMNS = ("{'l_orderkey': 'BIGINT', 'l_partkey': 'INTEGER', 'l_suppkey': 'INTEGER', "
                  "'l_linenumber': 'INTEGER', 'l_quantity': 'DECIMAL(15,2)', 'l_extendedprice': 'DECIMAL(15,2)', "
                  "'l_discount': 'DECIMAL(15,2)', 'l_tax': 'DECIMAL(15,2)', 'l_returnflag': 'VARCHAR', "
                  "'l_linestatus': 'VARCHAR', 'l_shipdate': 'DATE', 'l_commitdate': 'DATE', "
                  "'l_receiptdate': 'DATE', 'l_shipinstruct': 'VARCHAR', 'l_shipmode': 'VARCHAR', "
                  "'l_comment': 'VARCHAR'}")


class DuckLineitem:
    """lineitem in memory, as the writers get it; character columns padded as PostgreSQL has them."""

    def __init__(self, csv, rows, threads=1):
        self.connection = duckdb.connect()
        self.connection.execute(f"SET threads = {threads}")
        self.connection.execute(
            f"CREATE TABLE li AS SELECT * REPLACE (rpad(l_shipinstruct, 25, ' ') AS l_shipinstruct, "
            f"rpad(l_shipmode, 10, ' ') AS l_shipmode) "
            f"FROM read_csv('{csv}', header = true, columns = {DUCKDB_COLUMNS}) LIMIT {rows}")

    def write(self, path, compression="zstd", level=3):
        """Seconds to write the rows as Parquet."""
        start = time.monotonic()
        self.connection.execute(f"COPY li TO '{path}' (FORMAT parquet, COMPRESSION {compression}, "
                                f"COMPRESSION_LEVEL {level})")
        return time.monotonic() - start

    def arrow(self):
        table = self.connection.execute("SELECT * FROM li").arrow()
        return table if hasattr(table, "num_rows") else table.read_all()


def pyarrow_write(table, path):
    import pyarrow.parquet as pq

    start = time.monotonic()
    pq.write_table(table, path, compression="zstd", compression_level=3)
    return time.monotonic() - start


def size(path):
    return os.path.getsize(path)
