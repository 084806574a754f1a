/*-------------------------------------------------------------------------
 *
 * cleanup.c
 *	  Removing files of a table: what a token left behind, and everything.
 *
 * A listing only ever tells what could be removed; what may be removed is
 * decided by the table's metadata: all files that any retained snapshot
 * references are taken out of the candidates first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "base/failpoint.h"
#include "lake/internal.h"
#include "lake/table.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct FileSet
{
	HTAB	   *names;			/* keys are char * */
	const char *token;			/* only names that have it, or NULL */
	MemoryContext context;
} FileSet;

static uint32
name_hash_fn(const void *key, Size size)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, (int) strlen(name));
}

static int
name_match_fn(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
file_set_init(FileSet *set, const char *token)
{
	HASHCTL		ctl = {.keysize = sizeof(char *), .entrysize = sizeof(char *)};

	set->token = token;
	set->context = AllocSetContextCreate(CurrentMemoryContext, "tarn files to remove",
										 ALLOCSET_DEFAULT_SIZES);
	ctl.hash = name_hash_fn;
	ctl.match = name_match_fn;
	ctl.hcxt = set->context;
	set->names = hash_create("tarn files to remove", 256, &ctl,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static bool
add_listed(const char *name, uint64 size, void *arg)
{
	FileSet    *set = arg;
	char	   *copy;

	CHECK_FOR_INTERRUPTS();
	if (set->token != NULL && strstr(name, set->token) == NULL)
		return true;
	copy = MemoryContextStrdup(set->context, name);
	(void) hash_search(set->names, &copy, HASH_ENTER, NULL);
	return true;
}

static void
keep(FileSet *set, const char *name)
{
	if (name != NULL)
		(void) hash_search(set->names, &name, HASH_REMOVE, NULL);
}

static int
remove_files(FileSet *set, Store *store)
{
	HASH_SEQ_STATUS status;
	char	  **name;
	int			n = 0;

	hash_seq_init(&status, set->names);
	while ((name = hash_seq_search(&status)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		store_remove(store, *name);
		FAILPOINT("orphan-removed");
		n++;
	}
	MemoryContextDelete(set->context);
	return n;
}

/* Takes a manifest's files out of the candidates. */
static void
keep_entries(FileSet *set, const IcebergIo *io, const IcebergManifest *manifest)
{
	int			n;
	IcebergManifestEntry *entries = iceberg_commit_read(io, manifest, false, &n);

	for (int i = 0; i < n; i++)
		keep(set, entries[i].file.path);
}

/*
 * Manifests of a snapshot.  Those that an earlier call has seen are passed
 * over: snapshots share most of them.
 */
static void
keep_snapshot(FileSet *set, FileSet *seen, const IcebergIo *io, const IcebergSnapshot *s)
{
	size_t		size;
	char	   *data;
	IcebergManifest *manifests;
	int			n;

	keep(set, s->manifest_list);
	if (s->manifest_list == NULL)
		return;
	data = io->get(io->arg, s->manifest_list, -1, false, &size);
	manifests = iceberg_manifest_list_read(data, size, s->manifest_list, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *path = MemoryContextStrdup(seen->context, manifests[i].path);
		bool		found;

		CHECK_FOR_INTERRUPTS();
		keep(set, path);
		(void) hash_search(seen->names, &path, HASH_ENTER, &found);
		if (!found)
			keep_entries(set, io, &manifests[i]);
	}
}

static void
keep_referenced(FileSet *set, Lake *lake, const LakeTable *t)
{
	const IcebergMetadata *m = t->metadata;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "tarn referenced files",
												  ALLOCSET_DEFAULT_SIZES);
	FileSet		seen;
	IcebergIo	io;

	lake_io(&io, lake);
	keep(set, t->metadata_location);
	for (int i = 0; i < m->nmetadata_log; i++)
		keep(set, m->metadata_log[i].metadata_file);
	file_set_init(&seen, NULL);
	for (int i = 0; i < m->nsnapshots && hash_get_num_entries(set->names) > 0; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);

		keep_snapshot(set, &seen, &io, &m->snapshots[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(seen.context);
	MemoryContextDelete(scratch);
}

int
lake_table_remove_token(Lake *lake, const char *location, const char *token, const LakeTable *t)
{
	FileSet		set;

	/* an empty one would be part of every name */
	if (token[0] == '\0')
		elog(ERROR, "cannot remove the files of an empty token");
	file_set_init(&set, token);
	/* metadata is small and never uploaded in parts */
	(void) store_abort_uploads(lake->store, psprintf("%s/data/%s", location, token));
	store_list(lake->store, psprintf("%s/data/%s", location, token), add_listed, &set);
	store_list(lake->store, psprintf("%s/metadata/", location), add_listed, &set);
	if (t != NULL && hash_get_num_entries(set.names) > 0)
		keep_referenced(&set, lake, t);
	return remove_files(&set, lake->store);
}

int
lake_table_remove_all(Lake *lake, const char *location)
{
	FileSet		set;

	(void) store_abort_uploads(lake->store, psprintf("%s/", location));
	file_set_init(&set, NULL);
	store_list(lake->store, psprintf("%s/", location), add_listed, &set);
	return remove_files(&set, lake->store);
}
