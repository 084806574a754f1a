/*-------------------------------------------------------------------------
 *
 * cleanup.c
 *	  Files of a table that may go: what a token left behind, what nothing
 *	  references, and everything.
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

/* Takes a file out of the candidates; false: it was none. */
static bool
keep(FileSet *set, const char *name)
{
	return name != NULL && hash_search(set->names, &name, HASH_REMOVE, NULL) != NULL;
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

/* Takes a manifest's files out of the candidates.  A snapshot from before may have expired: then they are gone. */
static void
keep_entries(FileSet *set, const IcebergIo *io, const IcebergManifest *manifest, bool missing_ok)
{
	size_t		size;
	char	   *data = io->get(io->arg, manifest->path, manifest->length, missing_ok, &size);
	IcebergManifestEntry *entries;
	int			n;

	if (data == NULL)
		return;
	entries = iceberg_manifest_read(data, size, manifest->path, manifest, NULL, 0, &n);
	for (int i = 0; i < n; i++)
		keep(set, entries[i].file.path);
}

/*
 * Manifests of a snapshot.  Those that an earlier call has seen are passed
 * over: snapshots share most of them.
 */
static void
keep_snapshot(FileSet *set, FileSet *seen, const IcebergIo *io, const IcebergSnapshot *s, bool missing_ok)
{
	size_t		size;
	char	   *data;
	IcebergManifest *manifests;
	int			n;

	keep(set, s->manifest_list);
	if (s->manifest_list == NULL)
		return;
	data = io->get(io->arg, s->manifest_list, -1, missing_ok, &size);
	if (data == NULL)
		return;
	manifests = iceberg_manifest_list_read(data, size, s->manifest_list, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *path = MemoryContextStrdup(seen->context, manifests[i].path);
		bool		found;

		CHECK_FOR_INTERRUPTS();
		keep(set, path);
		(void) hash_search(seen->names, &path, HASH_ENTER, &found);
		if (!found)
			keep_entries(set, io, &manifests[i], missing_ok);
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

		keep_snapshot(set, &seen, &io, &m->snapshots[i], &m->snapshots[i] != t->snapshot);
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

/* The first file of the current snapshot that is not among the listed ones; a file elsewhere was not listed. */
static char *
find_missing(const FileSet *listed, const LakeTable *t)
{
	IcebergIo	io;
	char	   *below = psprintf("%s/", t->metadata->location);

	lake_io(&io, t->lake);
	for (int i = 0; i < t->nmanifests; i++)
	{
		int			n;
		IcebergManifestEntry *entries = iceberg_commit_read(&io, &t->manifests[i], false, &n);

		for (int e = 0; e < n; e++)
		{
			char	   *path = entries[e].file.path;

			CHECK_FOR_INTERRUPTS();
			if (entries[e].status != ICEBERG_DELETED && strncmp(path, below, strlen(below)) == 0 &&
				hash_search(listed->names, &path, HASH_FIND, NULL) == NULL)
				return path;
		}
	}
	return NULL;
}

char *
lake_table_audit(const LakeTable *t, List **unreferenced)
{
	FileSet		set;
	HASH_SEQ_STATUS status;
	char	  **name;
	char	   *missing;

	*unreferenced = NIL;
	file_set_init(&set, NULL);
	store_list(t->lake->store, psprintf("%s/", t->metadata->location), add_listed, &set);
	missing = find_missing(&set, t);
	if (missing == NULL)
	{
		keep_referenced(&set, t->lake, t);
		hash_seq_init(&status, set.names);
		while ((name = hash_seq_search(&status)) != NULL)
			*unreferenced = lappend(*unreferenced, pstrdup(*name));
	}
	MemoryContextDelete(set.context);
	return missing;
}

static bool
add_to_list(const char *name, uint64 size, void *arg)
{
	List	  **list = arg;

	CHECK_FOR_INTERRUPTS();
	*list = lappend(*list, pstrdup(name));
	return true;
}

List *
lake_table_list_all(Lake *lake, const char *location)
{
	List	   *list = NIL;

	(void) store_abort_uploads(lake->store, psprintf("%s/", location));
	store_list(lake->store, psprintf("%s/", location), add_to_list, &list);
	return list;
}
