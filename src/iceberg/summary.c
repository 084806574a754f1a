/*-------------------------------------------------------------------------
 *
 * summary.c
 *	  The summary of a snapshot: the standard counters, and the committer's own
 *	  entries (Iceberg spec, "Appendix F: Optional Snapshot Summary Fields").
 *
 * All values are strings.  Counters that are zero are left out, totals are
 * always there, since they are carried from snapshot to snapshot: where the
 * one before lacks a total, so does this one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/commit.h"

#define MAX_COUNTERS 24

void
iceberg_count_file(IcebergCounters *counters, const IcebergDataFile *file)
{
	counters->size += file->file_size;
	if (file->content == ICEBERG_DATA)
	{
		counters->data_files++;
		counters->records += file->record_count;
	}
	else
	{
		counters->delete_files++;
		counters->position_deletes += file->record_count;
	}
}

static void
put(IcebergSnapshot *s, const char *key, const char *value)
{
	s->summary[s->nsummary].key = pstrdup(key);
	s->summary[s->nsummary].value = pstrdup(value);
	s->nsummary++;
}

static void
put_count(IcebergSnapshot *s, const char *key, int64 count)
{
	if (count != 0)
		put(s, key, psprintf("%lld", (long long) count));
}

static void
put_total(IcebergSnapshot *s, const IcebergSnapshot *previous, const char *key,
		  int64 added, int64 removed)
{
	const char *before = previous ? iceberg_snapshot_summary(previous, key) : "0";
	char	   *end;
	int64		total;

	if (before == NULL)
		return;
	errno = 0;
	total = strtoll(before, &end, 10);
	if (errno != 0 || end == before || *end != '\0' || total < 0)
		return;
	put(s, key, psprintf("%lld", (long long) Max(total + added - removed, 0)));
}

static const char *
operation(const IcebergCommit *c)
{
	bool		removes = c->removed.data_files > 0 || c->removed.delete_files > 0 ||
		c->added.delete_files > 0;

	if (!removes)
		return "append";
	return c->added.data_files > 0 ? "overwrite" : "delete";
}

void
iceberg_summarize(IcebergSnapshot *s, const IcebergCommit *c)
{
	const IcebergMetadata *m = c->base->metadata;
	const IcebergSnapshot *previous = iceberg_metadata_snapshot(m, m->current_snapshot_id);
	const IcebergCounters *added = &c->added;
	const IcebergCounters *removed = &c->removed;
	bool		changed = added->size > 0 || removed->size > 0;

	s->operation = pstrdup(operation(c));
	s->nsummary = 0;
	s->summary = palloc(sizeof(IcebergProperty) * (MAX_COUNTERS + c->change->nsummary));
	put_count(s, "added-data-files", added->data_files);
	put_count(s, "deleted-data-files", removed->data_files);
	put_count(s, "added-delete-files", added->delete_files);
	put_count(s, "added-position-delete-files", added->delete_files);
	put_count(s, "removed-delete-files", removed->delete_files);
	put_count(s, "removed-position-delete-files", removed->delete_files);
	put_count(s, "added-records", added->records);
	put_count(s, "deleted-records", removed->records);
	put_count(s, "added-files-size", added->size);
	put_count(s, "removed-files-size", removed->size);
	put_count(s, "added-position-deletes", added->position_deletes);
	put_count(s, "removed-position-deletes", removed->position_deletes);
	put(s, "changed-partition-count",
		changed ? psprintf("%d", Max(iceberg_partition_count(c->change->files, c->change->nfiles), 1)) : "0");
	put_total(s, previous, "total-records", added->records, removed->records);
	put_total(s, previous, "total-files-size", added->size, removed->size);
	put_total(s, previous, "total-data-files", added->data_files, removed->data_files);
	put_total(s, previous, "total-delete-files", added->delete_files, removed->delete_files);
	put_total(s, previous, "total-position-deletes", added->position_deletes, removed->position_deletes);
	put_total(s, previous, "total-equality-deletes", 0, 0);
	for (int i = 0; i < c->change->nsummary; i++)
		put(s, c->change->summary[i].key, c->change->summary[i].value);
}
