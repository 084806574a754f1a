#!/usr/bin/env python3
"""Looks at the files of histories: what a raw zone that is partitioned by day promises.

usage: lake_history.py --host H --port P --dbname D --user U --lake SERVER [--seen FILE] TABLE ...

TABLE is "namespace.table".  Every snapshot that is retained was an append, to
the one before it: the files of that are all in it, and it has no delete files.
With --seen, so are the files that were there when a call with the same FILE
looked the last time, whatever has expired since.  Every data file has rows of
one day of commit, which is its partition.  By that value alone PyIceberg
plans a day's files, and no others; it and DuckDB read the rows of each day
from these.
Prints TAP; exits with 1 when anything is not so.
"""

import datetime
import json
import os
import re
import sys

import pyarrow.parquet
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan
from pyiceberg.expressions.visitors import expression_evaluator, inclusive_projection
from pyiceberg.manifest import ManifestContent, ManifestEntryStatus
from pyiceberg.schema import Schema

import lake_engines

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def snapshot_files(table, snapshot, problems):
    """The data files of a snapshot, by path."""
    files = {}
    for manifest in snapshot.manifests(table.io):
        if manifest.content != ManifestContent.DATA:
            problems.append(f"snapshot {snapshot.snapshot_id} has delete files: {manifest.manifest_path}")
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            if entry.status == ManifestEntryStatus.DELETED:
                problems.append(f"snapshot {snapshot.snapshot_id} took {entry.data_file.file_path} away")
            else:
                files[entry.data_file.file_path] = entry.data_file
    return files


def check_append(table, seen):
    """Problems, and the files of the current snapshot."""
    problems = []
    earlier = set(seen)
    newest_seen = False
    files = {}
    for snapshot in sorted(table.metadata.snapshots, key=lambda s: s.sequence_number):
        if snapshot.summary.operation.value != "append":
            problems.append(f"snapshot {snapshot.snapshot_id} is of operation {snapshot.summary.operation.value}")
        files = snapshot_files(table, snapshot, problems)
        newest_seen = newest_seen or set(seen) <= set(files)
        # retained ones from before the last look have less than that had
        if newest_seen:
            problems += [f"snapshot {snapshot.snapshot_id} lacks {path}" for path in sorted(earlier - set(files))]
            earlier = set(files)
    problems += [f"{path} is gone" for path in sorted(set(seen) - set(files))]
    return problems, files


def days_of(table, file):
    with table.io.new_input(file.file_path).open() as source:
        column = pyarrow.parquet.read_table(source, columns=["commit_time"]).column(0)
    return [(t - EPOCH) // DAY for t in column.to_pylist()]


def check_days(table, files):
    """Problems, and the number of rows by day."""
    problems = []
    rows = {}
    spec = [(f.name, str(f.transform), table.schema().find_column_name(f.source_id)) for f in table.spec().fields]
    if spec != [("commit_day", "day", "commit_time")]:
        problems.append(f"the partition spec is {spec}")
    for file in files.values():
        days = days_of(table, file)
        if len(days) != file.record_count or set(days) != {file.partition[0]}:
            problems.append(f"{file.file_path} of {file.record_count} rows and day {file.partition[0]} has "
                            f"{len(days)} rows of days {sorted(set(days))}")
        rows[file.partition[0]] = rows.get(file.partition[0], 0) + len(days)
    return problems, rows


def planned_by_partition(table, files, condition):
    """What the partition values alone leave, without bounds of columns."""
    spec = table.spec()
    fields = Schema(*spec.partition_type(table.schema()).fields)
    matches = expression_evaluator(fields, inclusive_projection(table.schema(), spec)(condition), case_sensitive=True)
    return {path for path, file in files.items() if matches(file.partition)}


def duckdb_reads(engines, location, begin, end):
    """How many rows, and how many files for them."""
    query = "SELECT count(*) FROM iceberg_scan(?) WHERE commit_time >= ? AND commit_time < ?"
    rows, = engines.duck.execute(query, [location, begin, end]).fetchone()
    plan = engines.duck.execute("EXPLAIN ANALYZE " + query, [location, begin, end]).fetchall()[0][1]
    return rows, int(re.search(r"Total Files Read:\s*(\d+)", plan).group(1))


def check_pruned(engines, table, location, files, rows):
    for day, count in sorted(rows.items()):
        begin, end = EPOCH + day * DAY, EPOCH + (day + 1) * DAY
        condition = And(GreaterThanOrEqual("commit_time", begin.isoformat()), LessThan("commit_time", end.isoformat()))
        of_day = {path for path, file in files.items() if file.partition[0] == day}
        scan = table.scan(row_filter=condition, selected_fields=("op",))
        for name, planned in (("by partition", planned_by_partition(table, files, condition)),
                              ("by all", {task.file.file_path for task in scan.plan_files()})):
            if planned != of_day:
                yield f"{begin:%F}: {name} {sorted(planned)} are read, not {sorted(of_day)}"
        read = scan.to_arrow().num_rows
        duck, duck_files = duckdb_reads(engines, location, begin, end)
        if (read, duck) != (count, count):
            yield f"{begin:%F}: PyIceberg reads {read} rows, DuckDB {duck}, and there are {count}"
        if duck_files != len(of_day):
            yield f"{begin:%F}: DuckDB reads {duck_files} files of {len(of_day)}"


def check(engines, tap, name, seen):
    namespace, lake_table = name.split(".", 1)
    table = engines.catalog.load_table((namespace, lake_table))
    problems, files = check_append(table, seen.get(name, []))
    tap.ok(not problems, f"{name}: {len(table.metadata.snapshots)} snapshots only added files", problems[:20])
    problems, rows = check_days(table, files)
    tap.ok(not problems and rows, f"{name}: each of {len(files)} files has rows of one day, its partition", problems[:20])
    problems = list(check_pruned(engines, table, engines.metadata_location(namespace, lake_table), files, rows))
    tap.ok(not problems, f"{name}: each of {len(rows)} days is read from its files alone", problems[:20])
    return sorted(files)


def main():
    parser = lake_engines.arguments(__doc__)
    parser.add_argument("--seen")
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    args = parser.parse_args()
    tap = lake_engines.Tap()
    engines = lake_engines.Engines(args)
    seen = {}
    if args.seen and os.path.exists(args.seen):
        with open(args.seen) as file:
            seen = json.load(file)
    for name in args.tables:
        seen[name] = check(engines, tap, name, seen)
    if args.seen:
        with open(args.seen, "w") as file:
            json.dump(seen, file)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
