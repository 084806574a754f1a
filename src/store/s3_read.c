/*-------------------------------------------------------------------------
 *
 * s3_read.c
 *	  Store on S3: ranges of objects, lists, removal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/range.h"
#include "store/s3.h"

/* So much received before a failure counts as progress: attempts start anew. */
#define PROGRESS_SIZE (256 * 1024)

/* A page holds at most 1,000 keys of at most 1,024 bytes, perhaps all entities. */
#define MAX_LIST_PAGE (16 * 1024 * 1024)

typedef struct S3Reader
{
	StoreReader base;
	S3Store    *store;
	RangeCache *ranges;
} S3Reader;

pg_noreturn static void
corrupted(const char *name, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read \"%s\": %s", name, problem)));
}

/* The reply must be about the very bytes that were asked for, of an object of the known size. */
static void
check_range(const StoreReader *r, const HttpResponse *response, uint64 first, uint64 last)
{
	unsigned long long from;
	unsigned long long to;
	unsigned long long total;

	if (response->status == 200 && first == 0 && response->content_length == r->size &&
		last + 1 == r->size)
		return;					/* a service may send a whole object as what it is */
	if (response->status != 206 ||
		sscanf(response->content_range, "bytes %llu-%llu/%llu", &from, &to, &total) != 3)
		corrupted(r->name,
				  psprintf("the reply to a request for a range has status %d and Content-Range \"%s\"",
						   response->status, response->content_range));
	if (total != r->size)
		corrupted(r->name, psprintf("it has %llu bytes instead of " UINT64_FORMAT, total, r->size));
	if (from != first || to != last)
		corrupted(r->name, psprintf("bytes %llu to %llu came for " UINT64_FORMAT " to " UINT64_FORMAT,
									from, to, first, last));
}

/* The request for a range, in *request. */
static void
range_request(S3Request *request, const StoreReader *r, uint64 offset, size_t size, char *buffer)
{
	memset(request, 0, sizeof(*request));
	request->operation = "read";
	request->name = r->name;
	request->method = "GET";
	request->key = s3_key(r->name);
	request->headers[0].name = "range";
	request->headers[0].value = psprintf("bytes=" UINT64_FORMAT "-" UINT64_FORMAT,
										 offset, offset + size - 1);
	request->nheaders = 1;
	request->target = buffer;
	request->target_size = size;
}

/* Bytes of the range that came. */
static size_t
range_received(const StoreReader *r, const HttpResponse *response, uint64 offset, size_t size)
{
	if (response->status / 100 != 2 || response->too_large || !response->has_headers)
		return 0;
	check_range(r, response, offset, offset + size - 1);
	store_counters.read_bytes += response->target_used;
	return response->target_used;
}

/*
 * A reply cut short is taken up where it ended, so that a bad line makes
 * progress; wrong bytes inside are left to the checksums of the formats.
 */
static void
fetch_range(void *arg, uint64 offset, size_t size, void *buffer)
{
	S3Reader   *r = arg;
	StoreReader *base = &r->base;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "tarn S3 read",
											   ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	size_t		done = 0;
	int			attempt = 0;

	for (;;)
	{
		HttpResponse response;
		S3Request	request;
		S3Outcome	outcome;

		range_request(&request, base, offset + done, size - done, (char *) buffer + done);
		outcome = s3_attempt(r->store, &request, &response);
		done += range_received(base, &response, offset + done, size - done);
		if (outcome == S3_DONE)
			break;
		if (outcome == S3_REFUSED)
			s3_fail(&request, &response);
		if (response.target_used >= PROGRESS_SIZE)
			attempt = 0;
		if (!s3_back_off(attempt++))
			s3_fail(&request, &response);
	}
	if (done != size)
		corrupted(base->name, psprintf("%zu of %zu bytes at offset " UINT64_FORMAT " came",
									   done, size, offset));
	store_counters.reads++;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* A range on its way. */
typedef struct S3Fetch
{
	S3Request	request;
	HttpTransfer *transfer;
} S3Fetch;

static void *
start_range(void *arg, uint64 offset, size_t size, void *buffer)
{
	S3Reader   *r = arg;
	S3Fetch    *fetch = palloc(sizeof(S3Fetch));

	range_request(&fetch->request, &r->base, offset, size, buffer);
	fetch->transfer = s3_attempt_start(r->store, &fetch->request);
	return fetch;
}

/* What the first attempt did not bring is fetched, or refused, as if nothing had been begun. */
static void
finish_range(void *arg, void *started, uint64 offset, size_t size, void *buffer)
{
	S3Reader   *r = arg;
	S3Fetch    *fetch = started;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "tarn S3 read",
											   ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	HttpResponse response;
	size_t		done;

	(void) s3_attempt_finish(&fetch->request, fetch->transfer, &response);
	done = range_received(&r->base, &response, offset, size);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	if (done < size)
		fetch_range(r, offset + done, size - done, (char *) buffer + done);
	else
		store_counters.reads++;
}

static void
poll_ranges(void *arg)
{
	http_poll(((S3Reader *) arg)->store->http);
}

static const RangeSource range_source = {fetch_range, start_range, finish_range, poll_ranges};

static void
s3_read(StoreReader *base, uint64 offset, size_t size, void *buffer)
{
	range_read(((S3Reader *) base)->ranges, offset, size, buffer);
}

static void
s3_prefetch(StoreReader *base, uint64 offset, size_t size)
{
	range_want(((S3Reader *) base)->ranges, offset, size);
}

static void
s3_prefetch_start(StoreReader *base)
{
	range_start(((S3Reader *) base)->ranges);
}

static void
s3_reader_close(StoreReader *base)
{
	range_close(((S3Reader *) base)->ranges);
}

static uint64
object_size(S3Store *store, const char *name)
{
	HttpResponse response;
	S3Request	request = {
		.operation = "open",
		.name = name,
		.method = "HEAD",
		.key = s3_key(name)
	};

	s3_request(store, &request, &response);
	return response.content_length;
}

StoreReader *
s3_reader(Store *store, const char *name, int64 size)
{
	S3Reader   *r = palloc0(sizeof(S3Reader));

	r->store = (S3Store *) store;
	r->base.read = s3_read;
	r->base.prefetch = s3_prefetch;
	r->base.prefetch_start = s3_prefetch_start;
	r->base.close = s3_reader_close;
	r->base.name = pstrdup(name);
	r->base.size = size >= 0 ? (uint64) size : object_size(r->store, name);
	r->ranges = range_open(&range_source, r, r->base.size);
	return &r->base;
}

/* The request for a whole object of at most `max_size` bytes, in *request. */
static void
get_request(S3Request *request, const char *name, size_t max_size)
{
	memset(request, 0, sizeof(*request));
	request->operation = "read";
	request->name = name;
	request->method = "GET";
	request->key = s3_key(name);
	/* an error document must fit where the object would */
	request->max_body = Max(max_size, 64 * 1024);
}

char *
s3_get(Store *store, const char *name, size_t max_size, size_t *size)
{
	HttpResponse response;
	S3Request	request;
	S3Outcome	outcome;

	get_request(&request, name, max_size);
	outcome = s3_send((S3Store *) store, &request, &response);
	if (response.status / 100 == 2 && (response.too_large || response.body_size > max_size))
		store_too_large(name, Max(response.content_length, response.body_size), max_size);
	if (outcome != S3_DONE)
		s3_fail(&request, &response);
	store_counters.reads++;
	store_counters.read_bytes += response.body_size;
	*size = response.body_size;
	return response.body;
}

void *
s3_get_start(Store *store, const char *name, size_t max_size)
{
	S3Fetch    *fetch = palloc(sizeof(S3Fetch));

	get_request(&fetch->request, name, max_size);
	fetch->transfer = s3_attempt_start((S3Store *) store, &fetch->request);
	return fetch;
}

char *
s3_get_finish(Store *store, void *started, size_t *size)
{
	S3Fetch    *fetch = started;
	HttpResponse response;

	if (s3_attempt_finish(&fetch->request, fetch->transfer, &response) != S3_DONE)
		return NULL;
	store_counters.reads++;
	store_counters.read_bytes += response.body_size;
	*size = response.body_size;
	return response.body;
}

void
s3_remove(Store *store, const char *name)
{
	HttpResponse response;
	S3Request	request = {
		.operation = "remove",
		.name = name,
		.method = "DELETE",
		.key = s3_key(name)
	};

	if (s3_send((S3Store *) store, &request, &response) != S3_DONE &&
		!(response.complete && response.status == 404))
		s3_fail(&request, &response);
}

/*
 * Gives the objects of one page to the callback, which runs in the context of
 * store_list's caller; false when that had enough.
 */
static bool
list_page(const char *location, const char *body, MemoryContext caller, store_list_cb cb, void *arg)
{
	const char *p = body;
	char	   *contents;

	while ((contents = s3_xml_text(p, "Contents", &p)) != NULL)
	{
		char	   *key = s3_xml_text(contents, "Key", NULL);
		char	   *size = s3_xml_text(contents, "Size", NULL);
		size_t		length = key != NULL ? strlen(key) : 0;

		CHECK_FOR_INTERRUPTS();
		/* some services and tools make an object of a folder */
		if (length > 0 && key[length - 1] != '/')
		{
			char	   *name = psprintf("%s%s", location, key);
			MemoryContext page = MemoryContextSwitchTo(caller);
			bool		more = cb(name, size != NULL ? strtoull(size, NULL, 10) : 0, arg);

			MemoryContextSwitchTo(page);
			if (!more)
				return false;
		}
		pfree(contents);
	}
	return true;
}

void
s3_list(Store *store, const char *prefix, store_list_cb cb, void *arg)
{
	MemoryContext page = AllocSetContextCreate(CurrentMemoryContext, "tarn S3 list",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	char	   *location = pnstrdup(prefix, s3_key(prefix) - prefix);
	char	   *token = NULL;

	do
	{
		HttpResponse response;
		S3Request	request = {
			.operation = "list",
			.name = prefix,
			.method = "GET",
			.query = {{"list-type", "2"}, {"prefix", s3_key(prefix)}, {"continuation-token", token}},
			.nquery = token != NULL ? 3 : 2,
			.max_body = MAX_LIST_PAGE,
			.document = true
		};
		const char *truncated;

		MemoryContextSwitchTo(page);
		s3_request((S3Store *) store, &request, &response);
		truncated = s3_xml_text(response.body, "IsTruncated", NULL);
		if (truncated == NULL)
			corrupted(prefix, "the reply is not a list");
		token = NULL;
		if (strcmp(truncated, "true") == 0)
		{
			char	   *next = s3_xml_text(response.body, "NextContinuationToken", NULL);

			if (next == NULL)
				corrupted(prefix, "the list goes on without saying where");
			token = MemoryContextStrdup(caller, next);
		}
		if (!list_page(location, response.body, caller, cb, arg))
			token = NULL;
		MemoryContextSwitchTo(caller);
		MemoryContextReset(page);
	} while (token != NULL);
	MemoryContextDelete(page);
}
