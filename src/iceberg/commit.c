/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  Writing the metadata of a commit: manifests, manifest list, metadata file.
 *
 * The new state's metadata is read back from the very bytes that were
 * written, rather than built a second time in memory: what the next commit
 * starts from is then what any other reader of the table sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/hash.h"
#include "iceberg/commit.h"
#include "utils/memutils.h"

void
iceberg_paths_add(IcebergPaths *paths, const char *path)
{
	if (paths->n == paths->capacity)
	{
		paths->capacity = Max(paths->capacity * 2, 16);
		paths->items = paths->items ? repalloc(paths->items, sizeof(char *) * paths->capacity) :
			palloc(sizeof(char *) * paths->capacity);
	}
	paths->items[paths->n++] = pstrdup(path);
}

IcebergManifestEntry *
iceberg_commit_read(const IcebergIo *io, const IcebergManifest *manifest, bool metrics, int *nentries)
{
	size_t		size;
	char	   *data = io->get(io->arg, manifest->path, manifest->length, false, &size);
	IcebergManifestEntry *entries;

	entries = iceberg_manifest_read(data, size, manifest->path, manifest, NULL,
									metrics ? -1 : 0, nentries);
	pfree(data);
	return entries;
}

void
iceberg_commit_keep(IcebergCommit *c, const IcebergManifest *manifest)
{
	if (c->nmanifests == c->capacity)
	{
		c->capacity = Max(c->capacity * 2, 16);
		c->manifests = c->manifests ?
			repalloc(c->manifests, sizeof(IcebergManifest) * c->capacity) :
			palloc(sizeof(IcebergManifest) * c->capacity);
	}
	c->manifests[c->nmanifests++] = *manifest;
}

void
iceberg_commit_write(IcebergCommit *c, int content,
					 const IcebergManifestEntry *entries, int nentries)
{
	StringInfoData buf;
	IcebergManifest manifest;

	initStringInfo(&buf);
	iceberg_manifest_write(&buf, c->schema, &c->partition, content,
						   c->snapshot_id, c->sequence_number, entries, nentries, &manifest);
	manifest.path = psprintf("%s/metadata/%s-m%d.avro", c->base->metadata->location,
							 c->change->token, c->nfiles++);
	c->io->put(c->io->arg, manifest.path, buf.data, buf.len);
	pfree(buf.data);
	iceberg_commit_keep(c, &manifest);
}

/*
 * All files of the table become entries of deleted files: one manifest for
 * each that is there, so that memory is bounded by one of them.
 */
static void
write_deleted(IcebergCommit *c)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "Iceberg dropped manifest",
												  ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < c->base->nmanifests; i++)
	{
		const IcebergManifest *m = &c->base->manifests[i];
		MemoryContext old;
		IcebergManifestEntry *entries;
		int			nread;
		int			n = 0;

		if (m->added_files == 0 && m->existing_files == 0)
			continue;
		old = MemoryContextSwitchTo(context);
		entries = iceberg_commit_read(c->io, m, false, &nread);
		for (int e = 0; e < nread; e++)
		{
			if (entries[e].status == ICEBERG_DELETED)
				continue;
			entries[n] = entries[e];
			entries[n].status = ICEBERG_DELETED;
			entries[n].snapshot_id = c->snapshot_id;
			iceberg_count_file(&c->removed, &entries[n].file);
			n++;
		}
		MemoryContextSwitchTo(old);
		if (n > 0)
			iceberg_commit_write(c, m->content, entries, n);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static char *
write_manifest_list(const IcebergCommit *c)
{
	const IcebergMetadata *m = c->base->metadata;
	StringInfoData buf;
	char	   *path = psprintf("%s/metadata/snap-%lld-%s.avro", m->location,
								(long long) c->snapshot_id, c->change->token);

	initStringInfo(&buf);
	iceberg_manifest_list_write(&buf, c->snapshot_id, m->current_snapshot_id,
								c->sequence_number, c->manifests, c->nmanifests);
	c->io->put(c->io->arg, path, buf.data, buf.len);
	return path;
}

/* Positive, and the same for the same token and table. */
static int64
make_snapshot_id(const IcebergMetadata *m, const char *token)
{
	uint64		hash = hash_bytes64(token, strlen(token), 0);

	if (m->table_uuid != NULL)
		hash = hash_bytes64(m->table_uuid, strlen(m->table_uuid), hash);
	for (;;)
	{
		int64		id = (int64) (hash & PG_INT64_MAX);

		if (id > 0 && iceberg_metadata_snapshot(m, id) == NULL)
			return id;
		hash = hash_mix64(hash + 1);
	}
}

static void
add_snapshot(IcebergMetadata *m, const IcebergCommit *c, char *manifest_list)
{
	IcebergSnapshot *snapshots = palloc(sizeof(IcebergSnapshot) * (m->nsnapshots + 1));
	IcebergLogEntry *log = palloc0(sizeof(IcebergLogEntry) * (m->nsnapshot_log + 1));
	IcebergSnapshot *s = &snapshots[m->nsnapshots];

	if (m->nsnapshots > 0)
		memcpy(snapshots, m->snapshots, sizeof(IcebergSnapshot) * m->nsnapshots);
	memset(s, 0, sizeof(*s));
	s->snapshot_id = c->snapshot_id;
	s->parent_id = m->current_snapshot_id;
	s->sequence_number = c->sequence_number;
	s->timestamp_ms = m->last_updated_ms;
	s->schema_id = m->current_schema_id;
	s->manifest_list = manifest_list;
	iceberg_summarize(s, c);
	if (m->nsnapshot_log > 0)
		memcpy(log, m->snapshot_log, sizeof(IcebergLogEntry) * m->nsnapshot_log);
	log[m->nsnapshot_log].timestamp_ms = s->timestamp_ms;
	log[m->nsnapshot_log].snapshot_id = s->snapshot_id;

	m->snapshots = snapshots;
	m->nsnapshots++;
	m->snapshot_log = log;
	m->nsnapshot_log++;
	m->current_snapshot_id = c->snapshot_id;
	m->last_sequence_number = c->sequence_number;
}

static void
log_metadata_file(IcebergMetadata *m, const IcebergTableState *base)
{
	IcebergLogEntry *log;

	if (base->metadata_location == NULL)
		return;
	log = palloc0(sizeof(IcebergLogEntry) * (m->nmetadata_log + 1));
	if (m->nmetadata_log > 0)
		memcpy(log, m->metadata_log, sizeof(IcebergLogEntry) * m->nmetadata_log);
	log[m->nmetadata_log].timestamp_ms = base->metadata->last_updated_ms;
	log[m->nmetadata_log].metadata_file = base->metadata_location;
	m->metadata_log = log;
	m->nmetadata_log++;
}

/*
 * The schema the new state has.  One that the table had before keeps its id
 * (Iceberg spec, "Table Metadata Fields", schemas); old ones stay, since
 * snapshots and foreign tables made earlier name their fields.
 */
static const IcebergSchema *
next_schema(const IcebergMetadata *m, const IcebergChange *change)
{
	IcebergSchema *schema;
	int			id = 0;

	if (change->schema == NULL)
		return iceberg_metadata_schema(m, m->current_schema_id);
	for (int i = 0; i < m->nschemas; i++)
	{
		if (iceberg_schema_equal(m->schemas[i], change->schema))
			return m->schemas[i];
		id = Max(id, m->schemas[i]->schema_id + 1);
	}
	schema = palloc(sizeof(IcebergSchema));
	*schema = *change->schema;
	schema->schema_id = id;
	return schema;
}

static void
set_schema(IcebergMetadata *m, const IcebergSchema *schema)
{
	IcebergSchema **schemas;

	m->current_schema_id = schema->schema_id;
	for (int i = 0; i < schema->nfields; i++)
	{
		m->last_column_id = Max(m->last_column_id, schema->fields[i].id);
		if (schema->fields[i].node != NULL)
			m->last_column_id = Max(m->last_column_id, lake_node_max_id(schema->fields[i].node));
	}
	if (iceberg_metadata_schema(m, schema->schema_id) != NULL)
		return;
	schemas = palloc(sizeof(IcebergSchema *) * (m->nschemas + 1));
	if (m->nschemas > 0)
		memcpy(schemas, m->schemas, sizeof(IcebergSchema *) * m->nschemas);
	schemas[m->nschemas++] = unconstify(IcebergSchema *, schema);
	m->schemas = schemas;
}

/* The metadata after the change, in the current context, sharing with the base. */
static IcebergMetadata *
build_metadata(const IcebergCommit *c, char *manifest_list)
{
	IcebergMetadata *m = palloc(sizeof(IcebergMetadata));

	*m = *c->base->metadata;
	/* time never goes back from one state to the next, whatever the clock does */
	m->last_updated_ms = Max(c->change->now_ms, m->last_updated_ms);
	log_metadata_file(m, c->base);
	/* of the base's array nothing may change in place */
	m->properties = palloc(sizeof(IcebergProperty) * Max(m->nproperties, 1));
	if (m->nproperties > 0)
		memcpy(m->properties, c->base->metadata->properties, sizeof(IcebergProperty) * m->nproperties);
	for (int i = 0; i < c->change->nproperties; i++)
	{
		const IcebergProperty *p = &c->change->properties[i];

		if (p->value != NULL)
			iceberg_metadata_set_property(m, p->key, p->value);
		else
			iceberg_metadata_drop_property(m, p->key);
	}
	m->last_column_id = Max(m->last_column_id, c->change->last_column_id);
	set_schema(m, c->schema);
	add_snapshot(m, c, manifest_list);
	return m;
}

static void
check_writable(IcebergCommit *c)
{
	const IcebergMetadata *m = c->base->metadata;
	const char *reason = NULL;

	if (m->format_version != 2)
		reason = psprintf("format version %d is not written", m->format_version);
	else if (iceberg_partition_get(m, &c->partition, &reason))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write to Iceberg table at \"%s\": %s", m->location, reason)));
}

/*
 * The base's records, and one for its current snapshot, in place of any that
 * told of another successor.
 */
static IcebergRetired *
retire_current(const IcebergCommit *c, int *n)
{
	const IcebergTableState *base = c->base;
	int64		current = base->metadata->current_snapshot_id;
	IcebergRetired *retired = palloc(sizeof(IcebergRetired) * (base->nretired + 1));

	*n = 0;
	for (int i = 0; i < base->nretired; i++)
		if (base->retired[i].snapshot_id != current)
			retired[(*n)++] = base->retired[i];
	if (current != -1)
		retired[(*n)++] = *iceberg_retire(current, base->manifests, base->nmanifests,
										  c->snapshot_id, c->manifests, c->nmanifests);
	return retired;
}

static char **
copy_names(char **names, int n)
{
	char	  **copy = palloc(sizeof(char *) * Max(n, 1));

	for (int i = 0; i < n; i++)
		copy[i] = pstrdup(names[i]);
	return copy;
}

/* Deep copies into the current context, of the records that still have their snapshot. */
static void
copy_retired(IcebergTableState *state, const IcebergRetired *retired, int n)
{
	state->retired = palloc(sizeof(IcebergRetired) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		IcebergRetired *r = &state->retired[state->nretired];

		if (iceberg_metadata_snapshot(state->metadata, retired[i].snapshot_id) == NULL)
			continue;
		*r = retired[i];
		r->manifests = copy_names(r->manifests, r->nmanifests);
		r->deleting = copy_names(r->deleting, r->ndeleting);
		state->nretired++;
	}
}

static void
copy_manifests(IcebergTableState *state, const IcebergManifest *manifests, int n)
{
	state->nmanifests = n;
	state->manifests = palloc(sizeof(IcebergManifest) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		IcebergManifest *m = &state->manifests[i];

		*m = manifests[i];
		m->path = pstrdup(m->path);
		if (m->partitions != NULL)
		{
			m->partitions = palloc(m->partitions_size);
			memcpy(m->partitions, manifests[i].partitions, m->partitions_size);
		}
	}
}

/* Writes the metadata file; its name and bytes. */
static char *
write_metadata(const IcebergCommit *c, const IcebergMetadata *m, StringInfo json)
{
	const char *previous = c->base->metadata_location;
	int64		version = previous ? iceberg_metadata_version(previous) + 1 : 0;
	char	   *path = psprintf("%s/metadata/%s", m->location,
								iceberg_metadata_file_name(version, c->change->token));

	iceberg_metadata_write(json, m);
	c->io->put(c->io->arg, path, json->data, json->len);
	return path;
}

IcebergTableState *
iceberg_commit(const IcebergTableState *base, const IcebergChange *change,
			   const IcebergIo *io, IcebergPaths *garbage)
{
	MemoryContext result = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(result, "Iceberg commit", ALLOCSET_DEFAULT_SIZES);
	IcebergCommit c = {.base = base, .change = change, .io = io};
	IcebergTableState *state = palloc0(sizeof(IcebergTableState));
	IcebergPaths expired = {0};
	IcebergMetadata *m;
	IcebergRetired *retired;
	StringInfoData json;
	char	   *path;
	int			nretired;

	MemoryContextSwitchTo(work);
	check_writable(&c);
	c.schema = next_schema(base->metadata, change);
	c.snapshot_id = make_snapshot_id(base->metadata, change->token);
	c.sequence_number = base->metadata->last_sequence_number + 1;
	for (int i = 0; i < change->nfiles; i++)
		iceberg_count_file(&c.added, &change->files[i]);
	if (change->drop_all)
		write_deleted(&c);
	iceberg_merge(&c, 0);
	iceberg_merge(&c, 1);
	m = build_metadata(&c, write_manifest_list(&c));
	retired = retire_current(&c, &nretired);
	iceberg_expire(m, m->last_updated_ms, retired, nretired, io, &expired);
	initStringInfo(&json);
	path = write_metadata(&c, m, &json);

	MemoryContextSwitchTo(result);
	state->metadata_location = pstrdup(path);
	state->metadata = iceberg_metadata_read(json.data, json.len, state->metadata_location);
	copy_manifests(state, c.manifests, c.nmanifests);
	copy_retired(state, retired, nretired);
	for (int i = 0; i < expired.n; i++)
		iceberg_paths_add(garbage, expired.items[i]);
	MemoryContextDelete(work);
	return state;
}
