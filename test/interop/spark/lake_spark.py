#!/usr/bin/env python3
"""Compares source tables with what Spark reads of their lake tables, through Iceberg's Java JdbcCatalog.

usage: lake_spark.py --jars DIR --port P --dbname D --user U --lake NAME --warehouse URI
                     [--json TABLE QUERY ...] TABLE ...

Spark reads both sides (the source through JDBC) and compares them by EXCEPT
ALL both ways.  JDBC knows no lists, structs and maps: tables after --json are
compared as rows of JSON, the source's made by PostgreSQL of what the query
selects, the lake's by Spark of all columns.  Prints TAP; exits with 1 when
anything differs.
"""

import argparse
import collections
import decimal
import glob
import json
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions


def session(args):
    jars = ",".join(sorted(glob.glob(os.path.join(args.jars, "*.jar"))))
    url = f"jdbc:postgresql://127.0.0.1:{args.port}/{args.dbname}"
    prefix = f"spark.sql.catalog.{args.lake}"
    settings = {
        "spark.jars": jars,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        f"{prefix}.type": "jdbc",
        f"{prefix}.uri": f"{url}?currentSchema=tarn_catalog",
        f"{prefix}.jdbc.user": args.user,
        f"{prefix}.jdbc.schema-version": "V1",
        f"{prefix}.warehouse": args.warehouse,
    }
    builder = SparkSession.builder.master("local[2]").appName("lake_spark")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate(), url


def same_columns(spark, source_options, table, lake_table):
    """Number of rows, and what only the one or the other side has: scalar columns."""
    source = (spark.read.format("jdbc").options(**source_options).option("dbtable", table)
              .option("preferTimestampNTZ", "true").load())
    lake = lake_table.select(*source.columns)
    only_source = source.exceptAll(lake)
    only_lake = lake.exceptAll(source)
    rows = source.count()
    differ = [only_source.count(), only_lake.count(), rows - lake.count()]
    return rows, any(differ) and [*differ[:2], only_source.take(3), only_lake.take(3)]


def canonical(row):
    """JSON in one form: 1.50 is 1.5, and the order of an object's members says nothing."""
    def number(text):
        return str(decimal.Context(prec=100).normalize(decimal.Decimal(text)))
    return json.dumps(json.loads(row, parse_int=number, parse_float=number), sort_keys=True)


def same_json(spark, source_options, query, lake_table):
    """The same for rows as JSON."""
    source = (spark.read.format("jdbc").options(**source_options)
              .option("dbtable", f"(SELECT to_json(q)::text AS row FROM ({query}) q) s").load())
    form = {"ignoreNullFields": "false", "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx"}
    lake = lake_table.select(functions.to_json(functions.struct("*"), form).alias("row"))
    source, lake = (collections.Counter(canonical(r.row) for r in side.collect()) for side in (source, lake))
    only_source, only_lake = source - lake, lake - source
    return source.total(), (only_source or only_lake) and [
        only_source.total(), only_lake.total(), list(only_source)[:3], list(only_lake)[:3]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--jars", "--port", "--dbname", "--user", "--lake", "--warehouse"):
        parser.add_argument(name, required=True)
    parser.add_argument("--json", nargs=2, action="append", default=[], metavar=("TABLE", "QUERY"))
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    args = parser.parse_args()
    spark, url = session(args)
    spark.sparkContext.setLogLevel("ERROR")
    # text in the form that the lake keeps
    source_options = {"url": url, "user": args.user, "driver": "org.postgresql.Driver",
                      "sessionInitStatement": "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
                                              "SET IntervalStyle = postgres; SET extra_float_digits = 1"}
    comparisons = ([(same_columns, table, table) for table in args.tables] +
                   [(same_json, table, query) for table, query in args.json])
    failed = 0
    for n, (same, table, what) in enumerate(comparisons, 1):
        rows, different = same(spark, source_options, what, spark.table(f"{args.lake}.{table}"))
        print(f"{'not ok' if different else 'ok'} {n} - {table}: Spark reads {rows} rows")
        if different:
            failed += 1
            print(f"# only in the source {different[0]}: {different[2]}")
            print(f"# only in the lake {different[1]}: {different[3]}")
        sys.stdout.flush()
    print(f"1..{len(comparisons)}")
    spark.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
