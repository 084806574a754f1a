/*-------------------------------------------------------------------------
 *
 * expire.c
 *	  Which snapshots and metadata files a new state leaves out, and which
 *	  files nobody needs after that.
 *
 * The current snapshot and its ancestors are a chain.  The newest of them
 * are retained; what goes is a tail of the chain.  In a chain a manifest
 * that one snapshot has and its successor has not never comes back, so the
 * files that only the tail needed are, for each snapshot S of it:
 *
 *	- the manifest list of S,
 *	- the manifests of S that its successor has not,
 *	- the files that its successor deleted (entries with status DELETED in
 *	  manifests that the successor wrote): they are in S and its ancestors only.
 *
 * Of what stays nothing is read but manifests with such entries.  The successor's
 * difference is noted when the successor is made (iceberg_retire); for a
 * snapshot from before that, in another process, two manifest lists are read.
 *
 * None of this holds when a snapshot outside the chain's head is retained: a
 * branch or tag of another engine, or a history that was rolled back.  Then
 * snapshots expire just the same, but no file is given up: the search for
 * orphans, which looks at everything, finds them in time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/commit.h"

typedef struct ExpireState
{
	IcebergMetadata *m;
	int64		now_ms;
	bool	   *retained;		/* by index in m->snapshots */
	int		   *chain;			/* indexes, the current snapshot first */
	int			nchain;
	int			keep;			/* of the chain */
	const IcebergRetired *records;
	int			nrecords;
	const IcebergIo *io;
	IcebergPaths *garbage;
} ExpireState;

static int64
int64_property(const IcebergMetadata *m, const char *key, int64 dflt)
{
	const char *text = iceberg_metadata_property(m, key);
	char	   *end;
	int64		value;

	if (text == NULL)
		return dflt;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && value >= 0 ? value : dflt;
}

static int
snapshot_index(const IcebergMetadata *m, int64 snapshot_id)
{
	const IcebergSnapshot *s = iceberg_metadata_snapshot(m, snapshot_id);

	return s ? (int) (s - m->snapshots) : -1;
}

/* Fills the chain; a damaged file may have a circle in it. */
static void
follow_chain(ExpireState *e)
{
	int			i = snapshot_index(e->m, e->m->current_snapshot_id);

	e->chain = palloc(sizeof(int) * Max(e->m->nsnapshots, 1));
	while (i >= 0 && e->nchain < e->m->nsnapshots)
	{
		e->chain[e->nchain++] = i;
		i = snapshot_index(e->m, e->m->snapshots[i].parent_id);
	}
}

static void
retain_chain(ExpireState *e)
{
	int64		min_snapshots = int64_property(e->m, ICEBERG_PROPERTY_MIN_SNAPSHOTS, ICEBERG_DEFAULT_MIN_SNAPSHOTS);
	int64		max_snapshots = int64_property(e->m, ICEBERG_PROPERTY_MAX_SNAPSHOTS, ICEBERG_DEFAULT_MAX_SNAPSHOTS);
	int64		max_age = int64_property(e->m, ICEBERG_PROPERTY_MAX_AGE, ICEBERG_DEFAULT_MAX_AGE);

	for (e->keep = 0; e->keep < e->nchain; e->keep++)
	{
		const IcebergSnapshot *s = &e->m->snapshots[e->chain[e->keep]];

		if (e->keep >= Max(max_snapshots, 1) ||
			(e->keep >= Max(min_snapshots, 1) && e->now_ms - s->timestamp_ms >= max_age))
			break;
		e->retained[e->chain[e->keep]] = true;
	}
}

/* Branches and tags of other engines, with all their ancestors. */
static void
retain_refs(ExpireState *e)
{
	const JsonNode *refs = e->m->refs;

	for (const JsonNode *ref = refs ? refs->child : NULL; ref != NULL; ref = ref->next)
	{
		int			i;

		if (ref->key == NULL || strcmp(ref->key, "main") == 0)
			continue;
		i = snapshot_index(e->m, json_get_int64_opt(ref, "snapshot-id", -1, e->m->location));
		for (int n = 0; i >= 0 && n < e->m->nsnapshots; n++)
		{
			e->retained[i] = true;
			i = snapshot_index(e->m, e->m->snapshots[i].parent_id);
		}
	}
}

/* Snapshots that are no longer or not yet in the history stay while they are young. */
static void
retain_young(ExpireState *e)
{
	int64		max_age = int64_property(e->m, ICEBERG_PROPERTY_MAX_AGE, ICEBERG_DEFAULT_MAX_AGE);

	for (int i = 0; i < e->m->nsnapshots; i++)
	{
		bool		in_chain = false;

		for (int c = 0; c < e->nchain; c++)
			in_chain |= e->chain[c] == i;
		if (!in_chain && e->now_ms - e->m->snapshots[i].timestamp_ms < max_age)
			e->retained[i] = true;
	}
}

/* Is all that is retained the head of the chain? */
static bool
is_linear(const ExpireState *e)
{
	int			n = 0;

	for (int i = 0; i < e->m->nsnapshots; i++)
		n += e->retained[i];
	return n == e->keep;
}

static IcebergManifest *
read_list(const ExpireState *e, const IcebergSnapshot *s, int *n)
{
	size_t		size;
	char	   *data = NULL;

	if (s->manifest_list != NULL)
		data = e->io->get(e->io->arg, s->manifest_list, -1, true, &size);
	if (data == NULL)
		return NULL;
	return iceberg_manifest_list_read(data, size, s->manifest_list, n);
}

/* What is known or can be found out about a snapshot; NULL when its lists are gone already. */
static const IcebergRetired *
find_record(const ExpireState *e, const IcebergSnapshot *s, const IcebergSnapshot *next)
{
	IcebergManifest *manifests;
	IcebergManifest *next_manifests;
	int			n;
	int			nnext;

	for (int i = 0; i < e->nrecords; i++)
		if (e->records[i].snapshot_id == s->snapshot_id)
			return &e->records[i];
	manifests = read_list(e, s, &n);
	next_manifests = read_list(e, next, &nnext);
	if (manifests == NULL || next_manifests == NULL)
		return NULL;
	return iceberg_retire(s->snapshot_id, manifests, n, next->snapshot_id, next_manifests, nnext);
}

/* The files with status DELETED in a manifest that the snapshot wrote. */
static void
give_deleted_files(ExpireState *e, const char *path, int64 snapshot_id)
{
	size_t		size;
	char	   *data = e->io->get(e->io->arg, path, -1, true, &size);
	IcebergManifestEntry *entries;
	int			n;

	if (data == NULL)
		return;
	entries = iceberg_manifest_read(data, size, path, NULL, NULL, 0, &n);
	for (int i = 0; i < n; i++)
		if (entries[i].status == ICEBERG_DELETED && entries[i].snapshot_id == snapshot_id)
			iceberg_paths_add(e->garbage, entries[i].file.path);
}

/* `next` is the successor of S in the chain. */
static void
give_up(ExpireState *e, const IcebergSnapshot *s, const IcebergSnapshot *next)
{
	const IcebergRetired *record = find_record(e, s, next);

	if (record == NULL)
		return;
	for (int i = 0; i < record->ndeleting; i++)
		give_deleted_files(e, record->deleting[i], next->snapshot_id);
	for (int i = 0; i < record->nmanifests; i++)
		iceberg_paths_add(e->garbage, record->manifests[i]);
	if (s->manifest_list != NULL)
		iceberg_paths_add(e->garbage, s->manifest_list);
}

static void
drop_snapshots(ExpireState *e)
{
	IcebergMetadata *m = e->m;
	IcebergLogEntry *log = palloc(sizeof(IcebergLogEntry) * Max(m->nsnapshot_log, 1));
	IcebergSnapshot *snapshots = palloc(sizeof(IcebergSnapshot) * Max(m->nsnapshots, 1));
	int			n = 0;
	int			nlog = 0;

	/* the log must not have a gap: what is before a snapshot that is gone goes too */
	for (int i = 0; i < m->nsnapshot_log; i++)
	{
		int			index = snapshot_index(m, m->snapshot_log[i].snapshot_id);

		if (index < 0 || !e->retained[index])
			nlog = 0;
		else
			log[nlog++] = m->snapshot_log[i];
	}
	for (int i = 0; i < m->nsnapshots; i++)
		if (e->retained[i])
			snapshots[n++] = m->snapshots[i];
	m->snapshots = snapshots;
	m->nsnapshots = n;
	m->snapshot_log = log;
	m->nsnapshot_log = nlog;
}

static void
trim_metadata_log(IcebergMetadata *m, IcebergPaths *garbage)
{
	const char *remove = iceberg_metadata_property(m, ICEBERG_PROPERTY_DELETE_METADATA);
	int64		max = int64_property(m, ICEBERG_PROPERTY_PREVIOUS_VERSIONS, ICEBERG_DEFAULT_PREVIOUS_VERSIONS);
	int			n = (int) Min(m->nmetadata_log, Max(max, 1));
	int			first = m->nmetadata_log - n;

	if (remove == NULL || pg_strcasecmp(remove, "true") == 0)
	{
		for (int i = 0; i < first; i++)
			iceberg_paths_add(garbage, m->metadata_log[i].metadata_file);
	}
	m->metadata_log += first;
	m->nmetadata_log = n;
}

IcebergRetired *
iceberg_retire(int64 snapshot_id, const IcebergManifest *manifests, int n,
			   int64 next_id, const IcebergManifest *next, int nnext)
{
	IcebergRetired *r = palloc0(sizeof(IcebergRetired));

	r->snapshot_id = snapshot_id;
	r->manifests = palloc(sizeof(char *) * Max(n, 1));
	r->deleting = palloc(sizeof(char *) * Max(nnext, 1));
	for (int i = 0; i < n; i++)
	{
		bool		kept = false;

		for (int k = 0; k < nnext && !kept; k++)
			kept = strcmp(manifests[i].path, next[k].path) == 0;
		if (!kept)
			r->manifests[r->nmanifests++] = pstrdup(manifests[i].path);
	}
	for (int i = 0; i < nnext; i++)
	{
		if (next[i].added_snapshot_id == next_id && next[i].deleted_files != 0)
			r->deleting[r->ndeleting++] = pstrdup(next[i].path);
	}
	return r;
}

void
iceberg_expire(IcebergMetadata *m, int64 now_ms, const IcebergRetired *retired, int nretired,
			   const IcebergIo *io, IcebergPaths *garbage)
{
	ExpireState e = {.m = m, .now_ms = now_ms, .records = retired, .nrecords = nretired,
		.io = io, .garbage = garbage
	};

	e.retained = palloc0(sizeof(bool) * Max(m->nsnapshots, 1));
	follow_chain(&e);
	retain_chain(&e);
	retain_refs(&e);
	retain_young(&e);
	if (is_linear(&e))
	{
		for (int i = e.keep; i < e.nchain; i++)
			give_up(&e, &m->snapshots[e.chain[i]], &m->snapshots[e.chain[i - 1]]);
	}
	drop_snapshots(&e);
	trim_metadata_log(m, garbage);
}
