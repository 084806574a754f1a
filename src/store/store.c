/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Choice of the driver, the check of names, and what all drivers share.
 *
 * Names come out of metadata files that others may have written, so the rule
 * that an object lies under the root is kept here, before any driver is
 * called, and in one place: a manifest must not be able to name /etc/passwd.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/failpoint.h"
#include "store/internal.h"
#include "store/store.h"

StoreCounters store_counters;

static const StoreOps *const drivers[] = {&store_local_ops, &store_s3_ops};

static const StoreOps *
driver_for(const char *root)
{
	for (int i = 0; i < lengthof(drivers); i++)
	{
		/* a bare path is accepted in metadata, but would make metadata others cannot open */
		if (root[0] != '/' && drivers[i]->path(root) != NULL)
			return drivers[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("warehouse \"%s\" is not a location that can be used", root),
			 errhint("A warehouse is \"file:///directory\" or \"s3://bucket/prefix\".")));
}

/* Is there a ".." between slashes?  Both kinds of store would read it differently. */
static bool
has_parent_segment(const char *path)
{
	const char *p = path;

	while ((p = strstr(p, "..")) != NULL)
	{
		bool		starts = p == path || p[-1] == '/';

		if (starts && (p[2] == '/' || p[2] == '\0'))
			return true;
		p++;
	}
	return false;
}

static void
outside(Store *store, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot use \"%s\": it lies outside the warehouse \"%s\"", name, store->root)));
}

const char *
store_key(Store *store, const char *name)
{
	const char *root = store->ops->path(store->root);
	const char *path = store->ops->path(name);
	size_t		length = strlen(root);

	/* the root of a file system is the empty path: everything has its slash after it */
	if (path == NULL || strncmp(path, root, length) != 0 || path[length] != '/' ||
		has_parent_segment(path))
		outside(store, name);
	return path + length + 1;
}

static const char *
checked_name(Store *store, const char *name)
{
	if (*store_key(store, name) == '\0')
		outside(store, name);
	return name;
}

Store *
store_open(const StoreConfig *config)
{
	StoreConfig trimmed = *config;
	const StoreOps *ops = driver_for(config->root);
	char	   *root = pstrdup(config->root);
	size_t		start = ops->path(root) - root;
	size_t		length = strlen(root);
	Store	   *store;

	while (length > start && root[length - 1] == '/')
		root[--length] = '\0';
	if (has_parent_segment(root + start))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("warehouse \"%s\" must not contain \"..\"", config->root)));
	trimmed.root = root;
	store = ops->open(&trimmed);
	store->ops = ops;
	store->root = root;
	store->context = CurrentMemoryContext;
	return store;
}

void
store_check_writable(Store *store)
{
	char	   *probe;

	if (store->ops->check_writable != NULL)
		store->ops->check_writable(store);

	/* the only proof that a place can be written, synced and deleted from is to do it */
	probe = psprintf("%s/.tarn-probe-%016llx", store->root,
					 (unsigned long long) pg_prng_uint64(&pg_global_prng_state));
	store_put(store, probe, "tarn", 4, STORE_IF_ABSENT);
	store_remove(store, probe);
	pfree(probe);
}

StoreReader *
store_reader(Store *store, const char *name, int64 size)
{
	return store->ops->reader(store, checked_name(store, name), size);
}

void
store_read(StoreReader *r, uint64 offset, size_t size, void *buffer)
{
	if (offset > r->size || size > r->size - offset)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read \"%s\": %zu bytes at offset " UINT64_FORMAT
						" pass its end at " UINT64_FORMAT,
						r->name, size, offset, r->size)));
	if (size == 0)
		return;
	r->read(r, offset, size, buffer);
}

void
store_prefetch(StoreReader *r, uint64 offset, size_t size)
{
	if (r->prefetch != NULL && offset < r->size && size > 0)
		r->prefetch(r, offset, (size_t) Min((uint64) size, r->size - offset));
}

void
store_prefetch_start(StoreReader *r)
{
	if (r->prefetch_start != NULL)
		r->prefetch_start(r);
}

void
store_reader_close(StoreReader *r)
{
	r->close(r);
}

StoreWriter *
store_create(Store *store, const char *name, int flags)
{
	StoreWriter *w = store->ops->create(store, checked_name(store, name), flags);

	FAILPOINT("store-file-begun");
	return w;
}

void
store_write(StoreWriter *w, const void *data, size_t size)
{
	if (size == 0)
		return;
	w->write(w, data, size);
	w->size += size;
}

void
store_finish(StoreWriter *w)
{
	w->finish(w);
	FAILPOINT("store-file-written");
}

void
store_abort(StoreWriter *w)
{
	w->abort(w);
}

void
store_list(Store *store, const char *prefix, store_list_cb cb, void *arg)
{
	/* without its slash the root is also a prefix of its siblings' names */
	if (strcmp(prefix, store->root) == 0)
		prefix = psprintf("%s/", prefix);
	(void) store_key(store, prefix);
	store->ops->list(store, prefix, cb, arg);
}

int
store_abort_uploads(Store *store, const char *prefix)
{
	checked_name(store, prefix);
	return store->ops->abort_uploads != NULL ? store->ops->abort_uploads(store, prefix) : 0;
}

void
store_remove(Store *store, const char *name)
{
	store->ops->remove(store, checked_name(store, name));
	FAILPOINT("store-file-removed");
}

char *
store_get(Store *store, const char *name, size_t max_size, size_t *size)
{
	StoreReader *r;
	char	   *data;

	checked_name(store, name);
	if (store->ops->get != NULL)
		return store->ops->get(store, name, max_size, size);

	r = store_reader(store, name, -1);
	if (r->size > max_size)
		store_too_large(name, r->size, max_size);
	data = MemoryContextAllocHuge(CurrentMemoryContext, (Size) r->size + 1);
	store_read(r, 0, (size_t) r->size, data);
	data[r->size] = '\0';
	*size = (size_t) r->size;
	store_reader_close(r);
	return data;
}

void
store_too_large(const char *name, uint64 size, size_t max_size)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("cannot read \"%s\": its " UINT64_FORMAT " bytes exceed the limit of %zu",
					name, size, max_size)));
}

struct StoreGet
{
	Store	   *store;
	char	   *name;
	size_t		max_size;
	void	   *started;		/* the driver's; NULL: it begins nothing early */
	MemoryContext context;
};

StoreGet *
store_get_start(Store *store, const char *name, size_t max_size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn store get",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StoreGet   *get = palloc0(sizeof(StoreGet));

	checked_name(store, name);
	get->store = store;
	get->name = pstrdup(name);
	get->max_size = max_size;
	get->context = context;
	if (store->ops->get_start != NULL)
		get->started = store->ops->get_start(store, get->name, max_size);
	MemoryContextSwitchTo(old);
	return get;
}

char *
store_get_finish(StoreGet *get, size_t *size)
{
	void	   *started = get->started;
	char	   *data = NULL;

	get->started = NULL;
	if (started != NULL)
		data = get->store->ops->get_finish(get->store, started, size);
	if (data != NULL && *size > get->max_size)
		store_too_large(get->name, *size, get->max_size);
	if (data == NULL)
		data = store_get(get->store, get->name, get->max_size, size);
	MemoryContextDelete(get->context);
	return data;
}

void
store_put(Store *store, const char *name, const void *data, size_t size, int flags)
{
	StoreWriter *w = store_create(store, name, flags);

	store_write(w, data, size);
	store_finish(w);
}

/*
 * Letters, digits and "-._~" stay (RFC 3986, unreserved): these no engine and
 * no reader of a URI takes for anything else.  A segment of dots
 * alone would be a folder, so its dots are encoded.
 */
char *
store_encode_segment(const char *name)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t		length = strlen(name);
	bool		dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	char	   *result = palloc(length * 3 + 1);
	char	   *out = result;

	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) name[i];
		bool		plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~' || (c == '.' && !dots);

		if (plain)
			*out++ = (char) c;
		else
		{
			*out++ = '%';
			*out++ = hex[c >> 4];
			*out++ = hex[c & 15];
		}
	}
	*out = '\0';
	return result;
}
