"""The data: lineitem of TPC-H as table `li`, the same rows in a row-numbered twin to take them from."""

import os
import re
import subprocess

import bench

COLUMNS = """l_orderkey bigint NOT NULL, l_partkey integer NOT NULL, l_suppkey integer NOT NULL,
    l_linenumber integer NOT NULL, l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL"""
NAMES = [c.split()[0] for c in re.split(r",\s+", COLUMNS)]
KEY = "PRIMARY KEY (l_orderkey, l_linenumber)"
ROWS_AT_SF1 = 6001215


def generate(work, tables="lineitem", rows=ROWS_AT_SF1):
    """CSV files of TPC-H with at least so many rows of lineitem; the folder."""
    folder = os.path.join(work, "tpch")
    scale = max(rows / ROWS_AT_SF1 * 1.01, 0.01)
    if not all(os.path.exists(os.path.join(folder, t + ".csv")) for t in tables.split(",")):
        os.makedirs(folder, exist_ok=True)
        subprocess.run([os.path.join(bench.VENV, "bin", "tpchgen-cli"), "csv", "-s", f"{scale:.4f}",
                        f"--tables={tables}", f"--output-dir={folder}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder


def create_li(server, name="li", key=True):
    server.sql(f"CREATE TABLE {name} ({COLUMNS}{', ' + KEY if key else ''})")


def load_lineitem(server, work, rows, table="li"):
    """Table with the first so many rows of lineitem."""
    path = os.path.join(generate(work, rows=rows), "lineitem.csv")
    create_li(server, table, key=False)
    server.copy_in(table, path, "FORMAT csv, HEADER")
    extra = server.value(f"SELECT count(*) FROM {table}") - rows
    if extra > 0:
        server.sql(f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} ORDER BY ctid DESC LIMIT {extra})")
    server.sql(f"ALTER TABLE {table} ADD {KEY}")
    server.sql(f"VACUUM ANALYZE {table}")


def load_source(server, work, rows):
    """li_src: the rows with a number, to insert from; li: empty, with the key."""
    load_lineitem(server, work, rows, "li_raw")
    server.sql("CREATE TABLE li_src AS SELECT row_number() OVER () AS n, * FROM li_raw")
    server.sql("ALTER TABLE li_src ADD PRIMARY KEY (n)")
    server.sql("DROP TABLE li_raw")
    server.sql("VACUUM ANALYZE li_src")
    create_li(server)


def insert_in_transactions(server, rows, per_transaction):
    """The rows of li_src into li, so many to a transaction."""
    server.sql("SET synchronous_commit = off")
    server.sql(f"""DO $$
        BEGIN
            FOR i IN 0 .. ({rows} - 1) / {per_transaction} LOOP
                INSERT INTO li SELECT {', '.join(NAMES)} FROM li_src
                    WHERE n > i * {per_transaction}::bigint AND n <= (i + 1) * {per_transaction}::bigint
                        AND n <= {rows};
                COMMIT;
            END LOOP;
        END $$""")
    server.sql("RESET synchronous_commit")


def update_in_transactions(server, updates, rows, per_transaction):
    """Updates by key of rows spread over li, so many to a transaction."""
    server.sql("SET synchronous_commit = off")
    server.sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off")
    stride = max(rows // updates, 1)
    server.sql(f"""DO $$
        BEGIN
            FOR i IN 0 .. ({updates} - 1) / {per_transaction} LOOP
                UPDATE li SET l_quantity = li.l_quantity + 1, l_comment = 'updated ' || i
                    FROM li_src s
                    WHERE s.n IN (SELECT 1 + (g::bigint * {stride} * 7919) % {rows}
                                  FROM generate_series(i * {per_transaction}, (i + 1) * {per_transaction} - 1) g)
                        AND li.l_orderkey = s.l_orderkey AND li.l_linenumber = s.l_linenumber;
                COMMIT;
            END LOOP;
        END $$""")
    server.sql("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_seqscan; RESET synchronous_commit")


def digest(server, table):
    """Number and sums of hashes of the rows: for tables too large to subtract."""
    return server.sql(f"SELECT count(*), sum(hashtextextended(t::text, 1)), sum(hashtextextended(t::text, 2)) "
                      f"FROM {table} t")


def differences(server, table="li"):
    """Rows that differ between a source table and its lake table."""
    return server.value(f"""SELECT count(*) FROM (
        (SELECT * FROM {table} EXCEPT ALL SELECT * FROM lake.{table}) UNION ALL
        (SELECT * FROM lake.{table} EXCEPT ALL SELECT * FROM {table})) d""")
