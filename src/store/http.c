/*-------------------------------------------------------------------------
 *
 * http.c
 *	  Requests and replies by libcurl's multi interface.
 *
 * libcurl tells which sockets it waits for and until when; wait_for_events
 * hands exactly that to WaitLatchOrSocket or a WaitEventSet.  Nothing may
 * raise an error inside of libcurl's callbacks (it would jump over libcurl's
 * frames), so these allocate without OOM errors and report by flags.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "store/http_internal.h"

#define CONNECT_TIMEOUT_MS 10000L

/* A transfer slower than a byte a second for so long is given up. */
#define STALL_TIMEOUT_S 30L

/* Connections kept open for the next requests. */
#define KEPT_CONNECTIONS 8

/* A request under way.  It lives in a context of its own, whose deletion ends it. */
struct HttpTransfer
{
	dlist_node	node;
	Http	   *http;			/* NULL once that is closed */
	CURL	   *easy;			/* NULL when over */
	HttpRequest request;
	HttpResponse response;
	struct curl_slist *headers;
	bool		done;
	bool		has_headers;	/* all of them, of the last reply that began */
	bool		refused;		/* no address to connect to: see http_address.c */
	CURLcode	code;			/* when done */
	size_t		allocated;		/* of response.body */
	char		error[CURL_ERROR_SIZE];
	MemoryContext context;
	MemoryContextCallback callback;
};

typedef HttpTransfer Transfer;

/* Ends a transfer; closes its connection when it is not over. */
static void
transfer_end(Transfer *t)
{
	Http	   *http = t->http;

	if (http != NULL && t->easy != NULL)
	{
		dlist_delete(&t->node);
		curl_multi_remove_handle(http->multi, t->easy);
		curl_easy_reset(t->easy);	/* keeps sessions */
		if (http->nspare < HTTP_MAX_SPARE)
			http->spare[http->nspare++] = t->easy;
		else
			curl_easy_cleanup(t->easy);
	}
	t->easy = NULL;
	curl_slist_free_all(t->headers);
	t->headers = NULL;
}

static void
transfer_reset(void *arg)
{
	transfer_end(arg);
}

static void
http_reset(void *arg)
{
	Http	   *http = arg;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &http->transfers)
	{
		Transfer   *t = dlist_container(Transfer, node, iter.cur);

		transfer_end(t);
		t->http = NULL;
	}
	while (http->nspare > 0)
		curl_easy_cleanup(http->spare[--http->nspare]);
	if (http->multi != NULL)
	{
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, NULL);
		curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, NULL);
		curl_multi_cleanup(http->multi);
	}
	http->multi = NULL;
	for (int i = 0; i < KEPT_CONNECTIONS; i++)
		ReleaseExternalFD();
}

/* Makes room for `size` more bytes and a zero; false when there is no memory. */
static bool
grow_body(Transfer *t, size_t size)
{
	HttpResponse *response = &t->response;
	size_t		needed = response->body_size + size + 1;
	size_t		allocated = Max(needed, t->allocated * 2);
	char	   *larger;

	if (needed <= t->allocated)
		return true;
	larger = MemoryContextAllocExtended(t->context, allocated, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (larger == NULL)
		return false;
	if (response->body != NULL)
	{
		memcpy(larger, response->body, response->body_size);
		pfree(response->body);
	}
	response->body = larger;
	t->allocated = allocated;
	return true;
}

static size_t
on_body(char *data, size_t one, size_t size, void *arg)
{
	Transfer   *t = arg;
	HttpResponse *response = &t->response;
	long		status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->request.target != NULL && status / 100 == 2)
	{
		if (size > t->request.target_size - response->target_used)
		{
			response->too_large = true;
			return 0;
		}
		memcpy(t->request.target + response->target_used, data, size);
		response->target_used += size;
		return size;
	}

	if (size > t->request.max_body - response->body_size)
	{
		response->too_large = true;
		return 0;
	}
	if (!grow_body(t, size))
		return 0;
	memcpy(response->body + response->body_size, data, size);
	response->body_size += size;
	response->body[response->body_size] = '\0';
	return size;
}

#define FIELD_SIZE(field) sizeof(((HttpResponse *) 0)->field)

static const struct
{
	const char *name;
	size_t		offset;
	size_t		size;
}			kept_headers[] = {
	{"etag:", offsetof(HttpResponse, etag), FIELD_SIZE(etag)},
	{"x-amz-request-id:", offsetof(HttpResponse, request_id), FIELD_SIZE(request_id)},
	{"content-range:", offsetof(HttpResponse, content_range), FIELD_SIZE(content_range)},
	{"x-amz-bucket-region:", offsetof(HttpResponse, region), FIELD_SIZE(region)},
	{"x-amz-meta-tarn-token:", offsetof(HttpResponse, token), FIELD_SIZE(token)},
};

static size_t
on_header(char *data, size_t one, size_t size, void *arg)
{
	Transfer   *t = arg;

	t->has_headers = size <= 2;
	for (int i = 0; i < lengthof(kept_headers); i++)
	{
		size_t		length = strlen(kept_headers[i].name);
		char	   *value = (char *) &t->response + kept_headers[i].offset;
		size_t		begin = length;
		size_t		end = size;

		if (size <= length || pg_strncasecmp(data, kept_headers[i].name, length) != 0)
			continue;
		while (begin < end && (data[begin] == ' ' || data[begin] == '\t'))
			begin++;
		while (end > begin && (unsigned char) data[end - 1] <= ' ')
			end--;
		strlcpy(value, data + begin, Min(kept_headers[i].size, end - begin + 1));
	}
	return size;
}

Http *
http_open(const char *ca_file)
{
	static bool initialized = false;
	Http	   *http = palloc0(sizeof(Http));

	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("could not initialize libcurl")));
	initialized = true;
	http->ca_file = ca_file != NULL ? pstrdup(ca_file) : NULL;

	/* connections are descriptors that fd.c would not know of */
	for (int i = 0; i < KEPT_CONNECTIONS; i++)
		ReserveExternalFD();
	http->callback.func = http_reset;
	http->callback.arg = http;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &http->callback);

	dlist_init(&http->transfers);
	http->multi = curl_multi_init();
	if (http->multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	http_events_init(http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) KEPT_CONNECTIONS);
	return http;
}

static void
set_options(Transfer *t)
{
	CURL	   *easy = t->easy;
	const HttpRequest *request = &t->request;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_NOBODY, (long) (strcmp(request->method, "HEAD") == 0));
	if (request->body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	http_check_addresses(easy, &t->refused);
	if (t->http->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, t->http->ca_file);
}

/* May the same request succeed when tried again? */
static bool
is_transient(CURLcode code)
{
	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_PARTIAL_FILE:
		case CURLE_OPERATION_TIMEDOUT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_GOT_NOTHING:
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_HTTP2:
			return true;
		default:
			return false;
	}
}

/*
 * The resolver may run in a thread that libcurl starts here.  A thread
 * inherits the mask, and PostgreSQL's signals must not be handled in it.
 */
static void
start_transfer(Transfer *t)
{
	sigset_t	all;
	sigset_t	previous;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &previous);
	curl_multi_add_handle(t->http->multi, t->easy);
	http_drive(t->http, CURL_SOCKET_TIMEOUT, 0);
	sigprocmask(SIG_SETMASK, &previous, NULL);
}

/* Notes which transfers are over. */
static void
collect_done(Http *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		Transfer   *t = NULL;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &t);
		if (message->msg != CURLMSG_DONE || t == NULL)
			continue;
		t->done = true;
		t->code = message->data.result;
	}
}

static void
finish_response(Transfer *t)
{
	HttpResponse *response = &t->response;
	curl_off_t	length = -1;
	long		status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	response->status = (int) status;
	response->content_length = length > 0 ? (uint64) length : 0;
	/* to libcurl a reply without a body has come to its end also where the connection does */
	response->complete = t->code == CURLE_OK && t->has_headers;
	response->transient = (t->code == CURLE_OK || is_transient(t->code)) && !t->refused;
	response->has_headers = t->has_headers;
	if (t->code == CURLE_OK && !t->has_headers)
		strlcpy(response->failure, "the reply ended within its headers", sizeof(response->failure));
	else if (t->code != CURLE_OK && t->refused)
		strlcpy(response->failure, "the address is a link-local one", sizeof(response->failure));
	else if (t->code != CURLE_OK)
		strlcpy(response->failure, *t->error ? t->error : curl_easy_strerror(t->code),
				sizeof(response->failure));
}

pg_noreturn static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory")));
	pg_unreachable();
}

HttpTransfer *
http_start(Http *http, const HttpRequest *request)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tarn HTTP transfer",
												  ALLOCSET_SMALL_SIZES);
	Transfer   *t = MemoryContextAllocZero(context, sizeof(Transfer));
	struct curl_slist *headers;

	t->http = http;
	t->request = *request;
	t->context = context;
	t->callback.func = transfer_reset;
	t->callback.arg = t;
	MemoryContextRegisterResetCallback(context, &t->callback);
	for (const char *const *h = request->headers; *h != NULL; h++)
	{
		headers = curl_slist_append(t->headers, *h);
		if (headers == NULL)
			out_of_memory();
		t->headers = headers;
	}
	t->easy = http->nspare > 0 ? http->spare[--http->nspare] : curl_easy_init();
	if (t->easy == NULL)
		out_of_memory();
	dlist_push_tail(&http->transfers, &t->node);
	set_options(t);
	start_transfer(t);
	return t;
}

void
http_cancel(HttpTransfer *t)
{
	MemoryContextDelete(t->context);
}

void
http_finish(HttpTransfer *t, HttpResponse *response)
{
	Http	   *http = t->http;

	for (;;)
	{
		collect_done(http);
		if (t->done)
			break;
		CHECK_FOR_INTERRUPTS();
		http_wait_events(http);
	}
	finish_response(t);
	*response = t->response;
	response->body = palloc_extended(response->body_size + 1, MCXT_ALLOC_HUGE);
	if (response->body_size > 0)
		memcpy(response->body, t->response.body, response->body_size);
	response->body[response->body_size] = '\0';
	http_cancel(t);
}

void
http_poll(Http *http)
{
	if (!dlist_is_empty(&http->transfers))
		http_poll_events(http);
}

void
http_perform(Http *http, const HttpRequest *request, HttpResponse *response)
{
	Transfer   *t = http_start(http, request);

	PG_TRY();
	{
		http_finish(t, response);
	}
	PG_CATCH();
	{
		/* at once: the context that an error clears may live long */
		http_cancel(t);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
