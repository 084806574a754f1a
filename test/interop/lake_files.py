#!/usr/bin/env python3
"""Compares the files of a warehouse with those that the lake's tables reference.

usage: lake_files.py --host H --port P --dbname D --user U --lake SERVER

Every file that a retained snapshot of a table in the catalog references must
be there (manifest lists, manifests, data and delete files, and the metadata
files of the log); every file that is there must be referenced, or be listed
in tarn.garbage, which remembers what is to be removed later.  Prints TAP;
exits with 1 when a file is missing or nobody knows it.
"""

import sys

import pyarrow.fs
from pyiceberg.manifest import ManifestEntryStatus

import lake_engines


def path_of(uri):
    """Without the scheme, in the form in which pyarrow lists: /dir/file or bucket/key."""
    for scheme in ("file://", "s3://"):
        if uri.startswith(scheme):
            return uri[len(scheme):]
    return uri


def file_system(warehouse, properties):
    if warehouse.startswith("s3://"):
        return pyarrow.fs.S3FileSystem(
            access_key=properties["s3.access-key-id"], secret_key=properties["s3.secret-access-key"],
            endpoint_override=properties["s3.endpoint"], region=properties["s3.region"])
    return pyarrow.fs.LocalFileSystem()


def existing(fs, warehouse):
    root = path_of(warehouse)
    selector = pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True)
    return {
        info.path for info in fs.get_file_info(selector)
        if info.type == pyarrow.fs.FileType.File and not info.path.startswith(root + "/_tarn/")
    }


def referenced(table):
    """What this table's metadata and all its retained snapshots name."""
    metadata = table.metadata
    yield table.metadata_location
    for entry in metadata.metadata_log:
        yield entry.metadata_file
    for snapshot in metadata.snapshots:
        if snapshot.manifest_list is None:
            continue
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                if entry.status != ManifestEntryStatus.DELETED:
                    yield entry.data_file.file_path


def main():
    args = lake_engines.arguments(__doc__).parse_args()
    tap = lake_engines.Tap()
    engines = lake_engines.Engines(args)
    warehouse = engines.catalog.properties["warehouse"]
    fs = file_system(warehouse, engines.catalog.properties)
    needed = set()
    cursor = engines.connection.cursor()
    cursor.execute("SELECT table_namespace, table_name FROM tarn_catalog.iceberg_tables WHERE catalog_name = %s",
                   (engines.catalog_name,))
    tables = cursor.fetchall()
    for name in tables:
        needed |= {path_of(uri) for uri in referenced(engines.catalog.load_table(name))}
    cursor.execute("SELECT path FROM tarn.garbage WHERE lake = %s", (args.lake,))
    garbage = {path_of(row[0]) for row in cursor.fetchall()}
    there = existing(fs, warehouse)
    missing = sorted(needed - there)
    unknown = sorted(there - needed - garbage)
    tap.ok(not missing, f"{len(needed)} files that {len(tables)} tables reference are there", missing[:20])
    tap.ok(not unknown, f"{len(there)} files are known to the tables or as garbage ({len(garbage)})", unknown[:20])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
