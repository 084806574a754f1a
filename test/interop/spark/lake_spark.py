#!/usr/bin/env python3
"""Compares source tables with what Spark reads of their lake tables, through Iceberg's Java JdbcCatalog.

usage: lake_spark.py --jars DIR --port P --dbname D --user U --lake NAME --warehouse URI TABLE ...

Spark reads both sides (the source through JDBC) and compares them by EXCEPT
ALL both ways.  Prints TAP; exits with 1 when anything differs.
"""

import argparse
import glob
import os
import sys

from pyspark.sql import SparkSession


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--jars", "--port", "--dbname", "--user", "--lake", "--warehouse"):
        parser.add_argument(name, required=True)
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    args = parser.parse_args()
    spark, url = session(args)
    spark.sparkContext.setLogLevel("ERROR")
    failed = 0
    for n, table in enumerate(args.tables, 1):
        source = (spark.read.format("jdbc").option("url", url).option("user", args.user).option("dbtable", table)
                  .option("driver", "org.postgresql.Driver").option("preferTimestampNTZ", "true").load())
        lake = spark.table(f"{args.lake}.{table}").select(*source.columns)
        rows = source.count()
        only_source = source.exceptAll(lake)
        only_lake = lake.exceptAll(source)
        counts = only_source.count(), only_lake.count()
        good = counts == (0, 0) and lake.count() == rows
        print(f"{'ok' if good else 'not ok'} {n} - {table}: Spark reads {rows} rows")
        if not good:
            failed += 1
            print(f"# only in the source {counts[0]}: {only_source.take(3)}")
            print(f"# only in the lake {counts[1]}: {only_lake.take(3)}")
        sys.stdout.flush()
    print(f"1..{len(args.tables)}")
    spark.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
