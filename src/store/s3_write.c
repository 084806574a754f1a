/*-------------------------------------------------------------------------
 *
 * s3_write.c
 *	  Store on S3: upload in one request, or in parts.
 *
 * An object shows up when its last request succeeds, so an unfinished one is
 * never seen.  Every object carries a random token in its metadata.  When a
 * reply is lost and the repeated request is refused because the object exists
 * (412) or the upload is gone (404), the token tells whether that was us.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "store/s3.h"

/* S3 wants parts of 5 MB or more, and 10,000 of them at most. */
#define PART_SIZE (8 * 1024 * 1024)
#define MAX_PARTS 10000

#define FIRST_BUFFER_SIZE (64 * 1024)

typedef struct S3Writer
{
	StoreWriter base;
	S3Store    *store;
	int			flags;
	bool		open;
	char		token[33];
	char	   *buffer;
	size_t		buffered;
	size_t		allocated;
	char	   *upload_id;		/* NULL until parts are needed */
	List	   *etags;			/* of the parts sent */
	MemoryContext context;		/* of what lives as long as the writer */
	MemoryContext work;			/* of one request */
	MemoryContextCallback callback;
} S3Writer;

/*
 * Where memory is released no request can be made: it might wait, and an
 * error is on its way already.  The next writer of the store tidies up.
 */
static void
writer_reset(void *arg)
{
	S3Writer   *w = arg;
	S3Upload   *upload;

	if (!w->open || w->upload_id == NULL)
		return;
	w->open = false;
	upload = malloc(sizeof(S3Upload));
	if (upload == NULL)
		return;
	upload->name = strdup(w->base.name);
	upload->id = strdup(w->upload_id);
	upload->next = w->store->abandoned;
	w->store->abandoned = upload;
}

static void
abort_abandoned(S3Store *store)
{
	S3Upload   *upload;

	while ((upload = store->abandoned) != NULL)
	{
		store->abandoned = upload->next;
		if (upload->name != NULL && upload->id != NULL)
			(void) s3_abort_upload(store, upload->name, upload->id);
		free(upload->name);
		free(upload->id);
		free(upload);
	}
}

static void
writer_close(S3Writer *w)
{
	w->open = false;
	if (w->buffer != NULL)
		pfree(w->buffer);
	w->buffer = NULL;
	MemoryContextDelete(w->work);
	w->work = NULL;
}

static void
add_header(S3Request *request, const char *name, const char *value)
{
	Assert(request->nheaders < lengthof(request->headers));
	request->headers[request->nheaders].name = name;
	request->headers[request->nheaders++].value = value;
}

/* Headers of the request that begins an object: parts and the completion of an upload must not repeat them. */
static void
add_object_headers(S3Request *request, const S3Writer *w)
{
	add_header(request, "x-amz-meta-tarn-token", w->token);
	if (w->store->sse != NULL)
		add_header(request, "x-amz-server-side-encryption", w->store->sse);
	if (w->store->sse_kms_key_id != NULL)
		add_header(request, "x-amz-server-side-encryption-aws-kms-key-id", w->store->sse_kms_key_id);
}

static bool
object_is_ours(S3Writer *w)
{
	HttpResponse response;
	S3Request	request = {
		.operation = "open",
		.name = w->base.name,
		.method = "HEAD",
		.key = s3_key(w->base.name)
	};

	return s3_send(w->store, &request, &response) == S3_DONE &&
		strcmp(response.token, w->token) == 0 && response.content_length == w->base.size;
}

/* Sends the request that makes the object appear. */
static void
make_object(S3Writer *w, const S3Request *request)
{
	HttpResponse response;

	if (s3_send(w->store, request, &response) == S3_DONE)
		return;
	if (response.complete && (response.status == 412 || response.status == 404) && object_is_ours(w))
		return;
	s3_fail(request, &response);
}

static void
start_upload(S3Writer *w)
{
	HttpResponse response;
	char	   *id;
	S3Request	request = {
		.operation = "write",
		.name = w->base.name,
		.method = "POST",
		.key = s3_key(w->base.name),
		.query = {{"uploads", ""}},
		.nquery = 1,
		.document = true,
		.body = ""
	};

	add_object_headers(&request, w);
	s3_request(w->store, &request, &response);
	id = s3_xml_text(response.body, "UploadId", NULL);
	if (id == NULL || *id == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not write \"%s\": the service began no upload", w->base.name)));
	w->upload_id = MemoryContextStrdup(w->context, id);
}

static void
send_part(S3Writer *w, const char *data, size_t size)
{
	MemoryContext old = MemoryContextSwitchTo(w->work);
	HttpResponse response;
	int			number = list_length(w->etags) + 1;

	if (number > MAX_PARTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot write \"%s\": it has more than %d parts of %d bytes",
						w->base.name, MAX_PARTS, PART_SIZE)));
	if (w->upload_id == NULL)
		start_upload(w);
	{
		S3Request	request = {
			.operation = "write",
			.name = w->base.name,
			.method = "PUT",
			.key = s3_key(w->base.name),
			.query = {{"partNumber", psprintf("%d", number)}, {"uploadId", w->upload_id}},
			.nquery = 2,
			.body = data,
			.body_size = size
		};

		s3_request(w->store, &request, &response);
	}
	MemoryContextSwitchTo(w->context);
	w->etags = lappend(w->etags, pstrdup(response.etag));
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->work);
}

static void
complete_upload(S3Writer *w)
{
	StringInfoData body;
	ListCell   *lc;
	S3Request	request = {
		.operation = "write",
		.name = w->base.name,
		.method = "POST",
		.key = s3_key(w->base.name),
		.query = {{"uploadId", w->upload_id}},
		.nquery = 1,
		.document = true
	};

	initStringInfo(&body);
	appendStringInfoString(&body, "<CompleteMultipartUpload"
						   " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	foreach(lc, w->etags)
	{
		appendStringInfo(&body, "<Part><PartNumber>%d</PartNumber><ETag>", foreach_current_index(lc) + 1);
		s3_xml_escape(&body, lfirst(lc));
		appendStringInfoString(&body, "</ETag></Part>");
	}
	appendStringInfoString(&body, "</CompleteMultipartUpload>");
	request.body = body.data;
	request.body_size = body.len;
	if (w->flags & STORE_IF_ABSENT)
		add_header(&request, "if-none-match", "*");
	make_object(w, &request);
}

static void
put_object(S3Writer *w)
{
	S3Request	request = {
		.operation = "write",
		.name = w->base.name,
		.method = "PUT",
		.key = s3_key(w->base.name),
		.body = w->buffer,
		.body_size = w->buffered
	};

	add_object_headers(&request, w);
	if (w->flags & STORE_IF_ABSENT)
		add_header(&request, "if-none-match", "*");
	make_object(w, &request);
}

static void
s3_write(StoreWriter *base, const void *data, size_t size)
{
	S3Writer   *w = (S3Writer *) base;
	const char *p = data;

	while (size > 0)
	{
		size_t		n = Min(size, PART_SIZE - w->buffered);

		if (w->buffered + n > w->allocated)
		{
			w->allocated = Min(PART_SIZE, Max(w->allocated * 2, w->buffered + n));
			w->buffer = repalloc_huge(w->buffer, w->allocated);
		}
		memcpy(w->buffer + w->buffered, p, n);
		w->buffered += n;
		p += n;
		size -= n;
		if (w->buffered == PART_SIZE)
		{
			send_part(w, w->buffer, w->buffered);
			w->buffered = 0;
		}
	}
}

static void
s3_finish(StoreWriter *base)
{
	S3Writer   *w = (S3Writer *) base;
	MemoryContext old = MemoryContextSwitchTo(w->work);

	if (w->upload_id == NULL)
		put_object(w);
	else
	{
		if (w->buffered > 0)
			send_part(w, w->buffer, w->buffered);
		complete_upload(w);
	}
	MemoryContextSwitchTo(old);
	writer_close(w);
	store_counters.writes++;
	store_counters.write_bytes += base->size;
}

static void
s3_abort(StoreWriter *base)
{
	S3Writer   *w = (S3Writer *) base;
	MemoryContext old;

	if (!w->open)
		return;
	old = MemoryContextSwitchTo(w->work);
	if (w->upload_id != NULL)
		(void) s3_abort_upload(w->store, base->name, w->upload_id);
	MemoryContextSwitchTo(old);
	writer_close(w);
}

StoreWriter *
s3_create(Store *store, const char *name, int flags)
{
	S3Writer   *w = palloc0(sizeof(S3Writer));

	w->store = (S3Store *) store;
	w->base.write = s3_write;
	w->base.finish = s3_finish;
	w->base.abort = s3_abort;
	w->base.name = pstrdup(name);
	w->flags = flags;
	w->open = true;
	snprintf(w->token, sizeof(w->token), "%016llx%016llx",
			 (unsigned long long) pg_prng_uint64(&pg_global_prng_state),
			 (unsigned long long) pg_prng_uint64(&pg_global_prng_state));
	w->context = CurrentMemoryContext;
	w->work = AllocSetContextCreate(CurrentMemoryContext, "tarn S3 upload", ALLOCSET_SMALL_SIZES);
	w->allocated = FIRST_BUFFER_SIZE;
	w->buffer = palloc(w->allocated);
	w->callback.func = writer_reset;
	w->callback.arg = w;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->callback);
	abort_abandoned(w->store);
	return &w->base;
}
