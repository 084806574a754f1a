/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Store: named objects of bytes.  The contract of every kind of storage.
 *
 * Objects are written once and never changed; there is no rename, no append
 * to a finished object, and a list is never the truth about a table.  Names
 * are full URIs ("file:///srv/lake/public/t/data/x.parquet",
 * "s3://bucket/prefix/..."), byte for byte as Iceberg metadata holds them
 * (readers also accept "file:/srv/..."), and must lie under the store's
 * root: anything else, and any name with a ".." segment, raises
 * ERRCODE_INSUFFICIENT_PRIVILEGE before the storage is touched.
 *
 * Call order: store_open once per lake and process; then any number of
 * readers and writers at a time.  Everything is released by the deletion of
 * the memory context it was made in (a reset callback closes files and
 * aborts uploads), so an ERROR leaks nothing; an unfinished writer's object
 * is removed.
 *
 * Every call may wait for the network: it waits on the process latch and
 * calls CHECK_FOR_INTERRUPTS().
 *
 * Errors: object, operation and cause in the message ("could not read
 * \"s3://...\": HTTP 503 SlowDown", detail with the request id); secrets
 * never.  SQLSTATE: UNDEFINED_FILE (not found), DUPLICATE_FILE (put if
 * absent lost), INSUFFICIENT_PRIVILEGE (403), DISK_FULL, IO_ERROR,
 * CONNECTION_FAILURE (after the retries).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_STORE_H
#define TARN_STORE_STORE_H

#include "postgres.h"

typedef struct Store Store;
typedef struct StoreReader StoreReader;
typedef struct StoreWriter StoreWriter;

/* What a driver gets to open itself; strings are copied. */
typedef struct StoreConfig
{
	const char *root;			/* "file:///srv/lake" or "s3://bucket/prefix", without a slash at the end */
	/* s3:// only; NULL where not given */
	const char *endpoint;		/* "http://127.0.0.1:7070"; NULL: AWS's for the region */
	const char *region;			/* default us-east-1 */
	bool		path_style;
	const char *ca_file;
	const char *access_key;
	const char *secret_key;
	const char *session_token;
	const char *sse;			/* "AES256" or "aws:kms": how the service shall encrypt objects; NULL: as it does by default */
	const char *sse_kms_key_id; /* with "aws:kms"; NULL: the account's key */
} StoreConfig;

/* Called for each object, in the memory context of who asked for the list; false ends it. */
typedef bool (*store_list_cb) (const char *name, uint64 size, void *arg);

/* Flags of store_create. */
#define STORE_IF_ABSENT 1		/* fail with DUPLICATE_FILE when the object exists */

typedef struct StoreOps
{
	const char *scheme;			/* "file", "s3" */
	/* what follows the scheme of a location, or NULL when the scheme is another driver's */
	const char *(*path) (const char *location);
	/* the root has no slash at the end; store.c fills the common fields */
	Store	   *(*open) (const StoreConfig *config);
	/* what there is to check beyond writing an object, which store.c tries; may be NULL */
	void		(*check_writable) (Store *store);
	StoreReader *(*reader) (Store *store, const char *name, int64 size);
	StoreWriter *(*create) (Store *store, const char *name, int flags);
	void		(*list) (Store *store, const char *prefix, store_list_cb cb, void *arg);
	void		(*remove) (Store *store, const char *name);
	/* see store_abort_uploads; may be NULL: a writer's death leaves nothing but objects */
	int			(*abort_uploads) (Store *store, const char *prefix);
	/* store_get in one request where that is cheaper than a reader; may be NULL */
	char	   *(*get) (Store *store, const char *name, size_t max_size, size_t *size);
	/* the same in two steps; both may be NULL, and the second returns NULL when it has to be tried anew */
	void	   *(*get_start) (Store *store, const char *name, size_t max_size);
	char	   *(*get_finish) (Store *store, void *started, size_t *size);
} StoreOps;

struct Store
{
	const StoreOps *ops;
	char	   *root;
	MemoryContext context;		/* of the store and what it opens */
};

struct StoreReader
{
	void		(*read) (StoreReader *r, uint64 offset, size_t size, void *buffer);
	/* hint that these bytes are wanted soon; may be NULL */
	void		(*prefetch) (StoreReader *r, uint64 offset, size_t size);
	/* begin with that now; may be NULL: it has begun, or will with the next read */
	void		(*prefetch_start) (StoreReader *r);
	void		(*close) (StoreReader *r);
	char	   *name;
	uint64		size;			/* of the object */
};

struct StoreWriter
{
	void		(*write) (StoreWriter *w, const void *data, size_t size);
	void		(*finish) (StoreWriter *w); /* durable when it returns; frees */
	void		(*abort) (StoreWriter *w);	/* removes what there is; frees */
	char	   *name;
	uint64		size;			/* bytes written so far */
};

/* In the current memory context.  ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE for an unknown scheme. */
extern Store *store_open(const StoreConfig *config);

/* Fails when objects cannot be made or removed under the root: called by create_pipeline. */
extern void store_check_writable(Store *store);

/*
 * Opens an object for reading; `size` is its length when known (Iceberg
 * metadata tells), or -1 to ask.  A known size that is wrong raises
 * ERRCODE_DATA_CORRUPTED at the read that finds out.
 */
extern StoreReader *store_reader(Store *store, const char *name, int64 size);

/* Exactly `size` bytes at `offset`; past the end is ERRCODE_DATA_CORRUPTED. */
extern void store_read(StoreReader *r, uint64 offset, size_t size, void *buffer);

/*
 * Hints which bytes will be read soon.  They are fetched, neighbours
 * together, from the next read or store_prefetch_start on, while the caller
 * does other things; memory for it is bounded.
 */
extern void store_prefetch(StoreReader *r, uint64 offset, size_t size);
extern void store_prefetch_start(StoreReader *r);
extern void store_reader_close(StoreReader *r);

extern StoreWriter *store_create(Store *store, const char *name, int flags);
extern void store_write(StoreWriter *w, const void *data, size_t size);
extern void store_finish(StoreWriter *w);
extern void store_abort(StoreWriter *w);

/* Objects whose name begins with `prefix` (a string, not a folder), in no promised order. */
extern void store_list(Store *store, const char *prefix, store_list_cb cb, void *arg);

/* No error when the object is not there. */
extern void store_remove(Store *store, const char *name);

/*
 * Frees what dead writers of objects whose names begin with `prefix` have
 * left in the store and store_list does not show; returns how many.  As far
 * as the service lets it: no error when it does not.  No writer of such a
 * name may be at work.
 */
extern int	store_abort_uploads(Store *store, const char *prefix);

/*
 * Whole small objects (metadata).  store_get adds a terminating zero that
 * `size` does not count; more than `max_size` bytes is ERRCODE_PROGRAM_LIMIT_EXCEEDED.
 */
extern char *store_get(Store *store, const char *name, size_t max_size, size_t *size);

/*
 * The same in two steps, so that several objects may be on their way.  What
 * is begun belongs to the context that is current then, whose deletion ends it.
 */
typedef struct StoreGet StoreGet;
extern StoreGet *store_get_start(Store *store, const char *name, size_t max_size);
extern char *store_get_finish(StoreGet *get, size_t *size);

extern void store_put(Store *store, const char *name, const void *data, size_t size, int flags);

/* Bytes read and requests made by this process, for EXPLAIN and benches. */
typedef struct StoreCounters
{
	uint64		reads;
	uint64		read_bytes;
	uint64		writes;
	uint64		write_bytes;
} StoreCounters;
extern StoreCounters store_counters;

/* Percent-encodes a name for use as one path segment of a location ('/', '%', control and non-ASCII bytes, ...). */
extern char *store_encode_segment(const char *name);

#endif							/* TARN_STORE_STORE_H */
