/*-------------------------------------------------------------------------
 *
 * test_iceberg_commit.c
 *	  Commits, merging of manifests and expiry: thousands of commits against a
 *	  model that knows which files each snapshot must have.
 *
 * Garbage is removed at once, so that a file given up too early is missed by
 * a snapshot that still needs it (invariant I4), and one never given up is
 * found at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "iceberg/commit.h"
#include "memory_io.h"
#include "tap.h"
#include "utils/memutils.h"

#define LOCATION "file:///lake/public/t"
#define MAX_COMMITS 4096

/* What the model knows of a file: it is live in snapshots of commits [from, to). */
typedef struct ModelFile
{
	char	   *path;
	int			from;
	int			to;
	int64		rows;
	bool		deletes;
} ModelFile;

typedef struct Model
{
	MemoryIo   *store;
	IcebergIo	io;
	IcebergTableState *state;
	MemoryContext state_context;
	ModelFile  *files;
	int			nfiles;
	int			first_live;		/* files before it are dropped */
	int			ncommits;
	int64		snapshot_ids[MAX_COMMITS];
	int64		now_ms;
	uint64		seed;
	int64		removed;
	bool		removed_twice;
	bool		forget;			/* lose the cache of retired manifests now and then */
} Model;

static IcebergTableState *
new_table(const char *const *properties)
{
	static const char schema[] = "{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
		"{\"id\":1,\"name\":\"id\",\"required\":true,\"type\":\"long\"}]}";
	IcebergTableState *state = palloc0(sizeof(IcebergTableState));
	IcebergMetadata *m = palloc0(sizeof(IcebergMetadata));

	m->format_version = 2;
	m->table_uuid = pstrdup("0b5a7c2e-0000-4000-8000-000000000001");
	m->location = pstrdup(LOCATION);
	m->last_column_id = 1;
	m->schemas = palloc(sizeof(IcebergSchema *));
	m->schemas[0] = iceberg_schema_read(json_read(schema, strlen(schema), "schema"), "schema");
	m->nschemas = 1;
	m->last_partition_id = 999;
	m->current_snapshot_id = -1;
	for (; *properties != NULL; properties += 2)
		iceberg_metadata_set_property(m, properties[0], properties[1]);
	state->metadata = m;
	return state;
}

static Model *
model_create(const char *const *properties, uint64 seed)
{
	Model	   *m = palloc0(sizeof(Model));

	m->store = memory_io_create(&m->io);
	m->state_context = AllocSetContextCreate(CurrentMemoryContext, "state", ALLOCSET_DEFAULT_SIZES);
	m->state = new_table(properties);
	m->files = palloc(sizeof(ModelFile) * MAX_COMMITS * 4);
	m->now_ms = INT64CONST(1700000000000);
	m->seed = seed;
	return m;
}

static void
model_add_file(Model *m, IcebergDataFile *f, bool deletes)
{
	ModelFile  *mf = &m->files[m->nfiles];

	mf->path = psprintf(LOCATION "/data/%d.parquet", m->nfiles);
	mf->from = m->ncommits;
	mf->to = PG_INT32_MAX;
	mf->rows = 1 + (int64) (tap_random(&m->seed) % 100);
	mf->deletes = deletes;
	m->nfiles++;
	memory_io_put(m->store, mf->path, "data", 4);
	memset(f, 0, sizeof(*f));
	f->content = deletes ? ICEBERG_POSITION_DELETES : ICEBERG_DATA;
	f->path = mf->path;
	f->format = "PARQUET";
	f->record_count = mf->rows;
	f->file_size = 4;
	f->content_offset = f->content_size = -1;
}

static void
remove_garbage(Model *m, const IcebergPaths *garbage)
{
	for (int i = 0; i < garbage->n; i++)
	{
		if (!memory_io_remove(m->store, garbage->items[i]))
		{
			m->removed_twice = true;
			tap_note("given up twice: %s", garbage->items[i]);
		}
		m->removed++;
	}
}

/* One commit of random content. */
static void
model_commit(Model *m)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "state", ALLOCSET_DEFAULT_SIZES);
	IcebergPaths garbage = {0};
	IcebergDataFile files[8];
	IcebergChange change = {.now_ms = m->now_ms, .files = files};
	MemoryContext old;

	change.token = psprintf("%08x-0000-4000-8000-%012d", (unsigned) m->seed, m->ncommits);
	change.drop_all = tap_random(&m->seed) % 40 == 0;
	if (change.drop_all)
	{
		for (int i = m->first_live; i < m->nfiles; i++)
			m->files[i].to = m->ncommits;
		m->first_live = m->nfiles;
	}
	for (int n = (int) (tap_random(&m->seed) % 4); n > 0; n--)
		model_add_file(m, &files[change.nfiles++], n == 3);

	old = MemoryContextSwitchTo(context);
	if (m->forget && tap_random(&m->seed) % 8 == 0)
		m->state->nretired = 0;
	m->state = iceberg_commit(m->state, &change, &m->io, &garbage);
	remove_garbage(m, &garbage);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(m->state_context);
	m->state_context = context;
	m->snapshot_ids[m->ncommits++] = m->state->metadata->current_snapshot_id;
}

static int
commit_of(const Model *m, int64 snapshot_id)
{
	for (int i = m->ncommits - 1; i >= 0; i--)
		if (m->snapshot_ids[i] == snapshot_id)
			return i;
	return -1;
}

static void
mark(Model *m, const char *name, bool *complete)
{
	MemoryObject *o = name ? memory_io_find(m->store, name) : NULL;

	if (o == NULL)
	{
		*complete = false;
		tap_note("missing: %s", name ? name : "(null)");
	}
	else
		o->referenced = true;
}

/* Compares the live entries of a snapshot with the model. */
static bool
check_snapshot(Model *m, const IcebergSnapshot *s)
{
	int			commit = commit_of(m, s->snapshot_id);
	bool		right = true;
	int			live = 0;
	int			expected = 0;
	int			n;
	size_t		size;
	char	   *data;
	IcebergManifest *manifests;

	mark(m, s->manifest_list, &right);
	if (!right)
		return false;
	data = m->io.get(m->io.arg, s->manifest_list, -1, false, &size);
	manifests = iceberg_manifest_list_read(data, size, s->manifest_list, &n);
	for (int i = 0; i < n; i++)
	{
		int			nentries;
		IcebergManifestEntry *entries;

		mark(m, manifests[i].path, &right);
		if (!right)
			return false;
		entries = iceberg_commit_read(&m->io, &manifests[i], true, &nentries);
		for (int e = 0; e < nentries; e++)
		{
			int			number = atoi(strrchr(entries[e].file.path, '/') + 1);
			const ModelFile *f = &m->files[number];

			right &= f->deletes == (entries[e].file.content != ICEBERG_DATA) &&
				f->deletes == (manifests[i].content == 1);
			right &= entries[e].sequence_number == f->from + 1;
			right &= entries[e].file_sequence_number == f->from + 1;
			if (entries[e].status == ICEBERG_DELETED)
			{
				right &= f->to == commit && entries[e].snapshot_id == s->snapshot_id;
				continue;
			}
			live++;
			right &= f->from <= commit && commit < f->to && f->rows == entries[e].file.record_count;
			right &= entries[e].snapshot_id == m->snapshot_ids[f->from];
			right &= (entries[e].status == ICEBERG_ADDED) == (f->from == commit) ||
				manifests[i].added_snapshot_id == m->snapshot_ids[f->from];
			right &= entries[e].sequence_number >= manifests[i].min_sequence_number;
			mark(m, f->path, &right);
		}
	}
	for (int i = 0; i < m->nfiles; i++)
		expected += m->files[i].from <= commit && commit < m->files[i].to;
	return right && live == expected;
}

/* Everything that the state references is there and right. */
static bool
check_state(Model *m)
{
	const IcebergMetadata *md = m->state->metadata;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		right = true;

	for (int i = 0; i < m->store->n; i++)
		m->store->objects[i].referenced = false;
	mark(m, m->state->metadata_location, &right);
	for (int i = 0; i < md->nmetadata_log; i++)
		mark(m, md->metadata_log[i].metadata_file, &right);
	for (int i = 0; i < md->nsnapshots && right; i++)
		right = check_snapshot(m, &md->snapshots[i]);
	right &= md->nsnapshot_log > 0 &&
		md->snapshot_log[md->nsnapshot_log - 1].snapshot_id == md->current_snapshot_id;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return right;
}

/* Objects that nothing references; call after check_state(). */
static int
count_leaks(const Model *m)
{
	int			n = 0;

	for (int i = 0; i < m->store->n; i++)
	{
		if (m->store->objects[i].referenced)
			continue;
		/* files dropped by a snapshot that is retained go with it */
		if (strstr(m->store->objects[i].name, "/data/") != NULL)
		{
			int			number = atoi(strrchr(m->store->objects[i].name, '/') + 1);
			int64		snapshot_id = m->snapshot_ids[m->files[number].to];

			if (iceberg_metadata_snapshot(m->state->metadata, snapshot_id) != NULL)
				continue;
		}
		tap_note("never given up: %s", m->store->objects[i].name);
		n++;
	}
	return n;
}

static void
test_thousands(const char *name, const char *const *properties, int commits, int64 step_ms, bool forget)
{
	Model	   *m = model_create(properties, 42);
	bool		right = true;
	int			max_snapshots = 0;
	int			max_manifests = 0;
	int64		early_bytes = 0;
	int64		late_bytes = 0;

	m->forget = forget;
	for (int i = 0; i < commits; i++)
	{
		int64		before = m->store->write_bytes;

		model_commit(m);
		m->now_ms += step_ms;
		if (i % 97 == 0)
			right &= check_state(m);
		max_snapshots = Max(max_snapshots, m->state->metadata->nsnapshots);
		max_manifests = Max(max_manifests, m->state->nmanifests);
		if (i >= commits / 8 && i < commits / 4)
			early_bytes += m->store->write_bytes - before;
		if (i >= commits - commits / 8)
			late_bytes += m->store->write_bytes - before;
	}
	right &= check_state(m);
	ok(right, "%s: every retained snapshot has exactly its files", name);
	ok(!m->removed_twice, "%s: nothing is given up twice", name);
	is_int(count_leaks(m), 0, "%s: nothing stays that nothing references", name);
	ok(m->removed > commits, "%s: garbage was found (%lld)", name, (long long) m->removed);
	ok(max_snapshots <= 30, "%s: at most 30 snapshots (%d)", name, max_snapshots);
	ok(max_manifests <= 64, "%s: few manifests (%d)", name, max_manifests);
	ok(late_bytes <= early_bytes * 1.3, "%s: late commits write no more than early ones (%lld, %lld)",
	   name, (long long) late_bytes, (long long) early_bytes);
}

static void
test_age(void)
{
	static const char *const properties[] = {NULL};
	Model	   *m = model_create(properties, 7);

	/* one commit in ten minutes: age lets six stay, the minimum twenty */
	for (int i = 0; i < 60; i++)
	{
		model_commit(m);
		m->now_ms += 600000;
	}
	ok(check_state(m), "slow commits: snapshots are whole");
	is_int(m->state->metadata->nsnapshots, 20, "slow commits: the minimum is kept");
	is_int(m->state->metadata->nmetadata_log, 20, "the metadata log is bounded");
}

static void
test_tag(void)
{
	static const char *const properties[] = {NULL};
	Model	   *m = model_create(properties, 11);
	int64		tagged;
	char	   *refs;

	for (int i = 0; i < 10; i++)
		model_commit(m);
	tagged = m->state->metadata->current_snapshot_id;
	refs = psprintf("{\"keep\":{\"snapshot-id\":%lld,\"type\":\"tag\"}}", (long long) tagged);
	for (int i = 0; i < 300; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(m->state_context);

		/* as another engine would have set it */
		if (i == 0)
			m->state->metadata->refs = json_read(refs, strlen(refs), "refs");
		MemoryContextSwitchTo(old);
		model_commit(m);
		m->now_ms += 10000;
	}
	ok(iceberg_metadata_snapshot(m->state->metadata, tagged) != NULL, "a tagged snapshot is retained");
	ok(check_state(m), "a tagged snapshot keeps all its files");
	ok(m->state->metadata->nsnapshots <= 111, "others expire beside it");
}

static void
test_operations(void)
{
	static const char *const properties[] = {NULL};
	Model	   *m = model_create(properties, 1);
	IcebergDataFile files[2];
	IcebergChange change = {.now_ms = m->now_ms, .files = files, .token = "t-1"};
	static const IcebergProperty lsn = {"tarn.lsn", "0/16B3748"};
	IcebergPaths garbage = {0};
	const IcebergSnapshot *s;

	change.summary = &lsn;
	change.nsummary = 1;
	m->state = iceberg_commit(m->state, &change, &m->io, &garbage);
	s = &m->state->metadata->snapshots[0];
	is_str(s->operation, "append", "an empty commit appends nothing");
	is_str(iceberg_snapshot_summary(s, "total-records"), "0", "its totals are there");
	is_str(iceberg_snapshot_summary(s, "tarn.lsn"), "0/16B3748", "the committer's entry is there");
	ok(strcmp(m->state->metadata_location, LOCATION "/metadata/0000000000-t-1.metadata.json") == 0,
	   "name of the first metadata file");

	model_add_file(m, &files[0], false);
	model_add_file(m, &files[1], true);
	change.nfiles = 2;
	change.token = "t-2";
	m->state = iceberg_commit(m->state, &change, &m->io, &garbage);
	s = &m->state->metadata->snapshots[1];
	is_str(s->operation, "overwrite", "data and deletes overwrite");
	is_str(iceberg_snapshot_summary(s, "added-data-files"), "1", "added-data-files");
	is_str(iceberg_snapshot_summary(s, "added-position-delete-files"), "1", "added-position-delete-files");
	is_str(iceberg_snapshot_summary(s, "total-delete-files"), "1", "total-delete-files");
	is_int(s->parent_id, m->state->metadata->snapshots[0].snapshot_id, "parent");
	is_int(s->sequence_number, 2, "sequence number");

	change.nfiles = 0;
	change.drop_all = true;
	change.token = "t-3";
	m->state = iceberg_commit(m->state, &change, &m->io, &garbage);
	s = &m->state->metadata->snapshots[2];
	is_str(s->operation, "delete", "dropping everything deletes");
	is_str(iceberg_snapshot_summary(s, "total-records"), "0", "nothing is left");
	is_str(iceberg_snapshot_summary(s, "removed-position-delete-files"), "1", "delete files go too");
	is_int(m->state->nmanifests, 2, "one manifest of deleted files for each kind");

	change.drop_all = false;
	change.token = "t-4";
	m->state = iceberg_commit(m->state, &change, &m->io, &garbage);
	is_int(m->state->nmanifests, 0, "the next snapshot does without them");
	is_int(garbage.n, 0, "nothing has expired");
}

static void
test_refusals(void)
{
	static const char *const properties[] = {NULL};
	Model	   *m = model_create(properties, 1);
	IcebergChange change = {.token = "t"};
	IcebergPaths garbage = {0};

	m->state->metadata->format_version = 3;
	throws(ERRCODE_FEATURE_NOT_SUPPORTED, iceberg_commit(m->state, &change, &m->io, &garbage),
		   "format version 3", "other versions are not written");
	is_int(m->store->writes, 0, "and nothing is");
}

int
main(void)
{
	static const char *const defaults[] = {NULL};
	static const char *const tight[] = {
		"history.expire.min-snapshots-to-keep", "1",
		"history.expire.max-snapshot-age-ms", "0",
		"write.metadata.previous-versions-max", "2",
		NULL
	};

	test_operations();
	test_refusals();
	test_thousands("default retention", defaults, 1500, 10000, false);
	test_thousands("after restarts", defaults, 600, 10000, true);
	test_thousands("one snapshot", tight, 400, 1000, false);
	test_age();
	test_tag();
	return done();
}
