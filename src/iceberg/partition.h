/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  Partition specs that tarn writes (Iceberg spec, "Partitioning"): none,
 *	  or the day of one timestamp column.
 *
 * Every spec can be read, since scans prune by column bounds and not by
 * partition.  To write, the spec must be understood, for each data file has
 * the tuple of its partition, and each manifest the range of its tuples.  A
 * tuple is kept as the Avro bytes of its record (IcebergDataFile.partition),
 * which is the form manifests have it in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_ICEBERG_PARTITION_H
#define TARN_ICEBERG_PARTITION_H

#include "postgres.h"

#include "iceberg/manifest.h"
#include "iceberg/metadata.h"

typedef struct IcebergPartition
{
	int			spec_id;
	bool		by_day;			/* false: unpartitioned, and what follows is unset */
	int			source_id;		/* the timestamp's field */
	int			field_id;
	const char *name;
} IcebergPartition;

/* Makes the only spec of a table that was never written one by the day of a field. */
extern void iceberg_partition_by_day(IcebergMetadata *m, int source_id, const char *name);

/* The spec a commit writes; false with a message when it is none of the above, or when there are others. */
extern bool iceberg_partition_get(const IcebergMetadata *m, IcebergPartition *out, const char **reason);

/* Days since 1970-01-01 of microseconds since then; rounds down. */
extern int32 iceberg_day(int64 microseconds);

/* Sets the file's tuple; in the current context. */
extern void iceberg_partition_set_day(IcebergDataFile *file, int32 day);

/* For a manifest: its key "partition-spec", and the Avro fields of the tuple's record. */
extern char *iceberg_partition_json(const IcebergPartition *p);
extern char *iceberg_partition_avro(const IcebergPartition *p);

/*
 * For the manifest list: the field summaries of a manifest with these
 * entries, as IcebergManifest.partitions has them.  An entry without a day
 * in a partitioned manifest is a defect (elog).
 */
extern void iceberg_partition_summarize(const IcebergPartition *p, const IcebergManifestEntry *entries,
										int nentries, IcebergManifest *out);

/* In how many partitions are these files? */
extern int	iceberg_partition_count(const IcebergDataFile *files, int nfiles);

#endif							/* TARN_ICEBERG_PARTITION_H */
