/*-------------------------------------------------------------------------
 *
 * http.c
 *	  libcurl's multi interface on PostgreSQL's latches.
 *
 * libcurl tells which sockets it waits for and until when; wait_for_events
 * hands exactly that to WaitLatchOrSocket or a WaitEventSet.  Nothing may
 * raise an error inside of libcurl's callbacks (it would jump over libcurl's
 * frames), so these allocate without OOM errors and report by flags.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <signal.h>
#include <time.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "store/http.h"

#define CONNECT_TIMEOUT_MS 10000L

/* A transfer slower than a byte a second for so long is given up. */
#define STALL_TIMEOUT_S 30L

/* Sockets at once: one, but while several addresses of a host are tried. */
#define MAX_SOCKETS 16

/* Longest sleep, should libcurl have no timer running. */
#define MAX_WAIT_MS 1000

struct Http
{
	CURLM	   *multi;
	CURL	   *easy;
	char	   *ca_file;
	int			nsockets;
	struct
	{
		curl_socket_t fd;
		int			what;		/* CURL_POLL_... */
	}			sockets[MAX_SOCKETS];
	bool		overflow;		/* more sockets than we can watch: poll */
	bool		timer_on;
	int64		deadline;		/* of now_ms(), when timer_on */
	MemoryContextCallback callback;
};

/* What the callbacks of one transfer know. */
typedef struct Transfer
{
	Http	   *http;
	const HttpRequest *request;
	HttpResponse *response;
	MemoryContext context;
	size_t		allocated;		/* of response->body */
} Transfer;

static void
http_reset(void *arg)
{
	Http	   *http = arg;

	if (http->easy != NULL)
		curl_easy_cleanup(http->easy);
	if (http->multi != NULL)
	{
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, NULL);
		curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, NULL);
		curl_multi_cleanup(http->multi);
	}
	http->easy = NULL;
	http->multi = NULL;
	ReleaseExternalFD();
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
	Http	   *http = arg;
	int			i;

	for (i = 0; i < http->nsockets && http->sockets[i].fd != fd; i++)
		;
	if (what == CURL_POLL_REMOVE)
	{
		if (i < http->nsockets)
			http->sockets[i] = http->sockets[--http->nsockets];
	}
	else if (i < MAX_SOCKETS)
	{
		http->sockets[i].fd = fd;
		http->sockets[i].what = what;
		if (i == http->nsockets)
			http->nsockets++;
	}
	else
		http->overflow = true;
	return 0;
}

/* Of a clock that nobody sets. */
static int64
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	Http	   *http = arg;

	http->timer_on = timeout_ms >= 0;
	http->deadline = now_ms() + timeout_ms;
	return 0;
}

/* Makes room for `size` more bytes and a zero; false when there is no memory. */
static bool
grow_body(Transfer *t, size_t size)
{
	HttpResponse *response = t->response;
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
	HttpResponse *response = t->response;
	long		status = 0;

	curl_easy_getinfo(t->http->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->request->target != NULL && status / 100 == 2)
	{
		if (size > t->request->target_size - response->target_used)
		{
			response->too_large = true;
			return 0;
		}
		memcpy(t->request->target + response->target_used, data, size);
		response->target_used += size;
		return size;
	}

	if (size > t->request->max_body - response->body_size)
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

	for (int i = 0; i < lengthof(kept_headers); i++)
	{
		size_t		length = strlen(kept_headers[i].name);
		char	   *value = (char *) t->response + kept_headers[i].offset;
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

	/* an idle connection is a descriptor that fd.c would not know of */
	ReserveExternalFD();
	http->callback.func = http_reset;
	http->callback.arg = http;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &http->callback);

	http->multi = curl_multi_init();
	http->easy = curl_easy_init();
	if (http->multi == NULL || http->easy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 2L);
	return http;
}

static void
set_options(Transfer *t, struct curl_slist *headers, char *error)
{
	CURL	   *easy = t->http->easy;
	const HttpRequest *request = t->request;

	curl_easy_reset(easy);		/* keeps connections and sessions */
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_NOBODY, (long) (strcmp(request->method, "HEAD") == 0));
	if (request->body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
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

static void
drive(Http *http, curl_socket_t fd, int events)
{
	int			running;

	(void) curl_multi_socket_action(http->multi, fd, events, &running);
}

static int
latch_events(int what)
{
	return (what & CURL_POLL_IN ? WL_SOCKET_READABLE : 0) |
		(what & CURL_POLL_OUT ? WL_SOCKET_WRITEABLE : 0);
}

static int
curl_events(int events)
{
	return (events & WL_SOCKET_READABLE ? CURL_CSELECT_IN : 0) |
		(events & WL_SOCKET_WRITEABLE ? CURL_CSELECT_OUT : 0);
}

/* Sleeps until the latch, the timeout or the only socket; then lets libcurl work. */
static bool
wait_for_one(Http *http, long timeout)
{
	int			flags = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	curl_socket_t fd = PGINVALID_SOCKET;
	int			got;

	if (http->nsockets > 0)
	{
		fd = http->sockets[0].fd;
		flags |= latch_events(http->sockets[0].what);
	}
	got = WaitLatchOrSocket(MyLatch, flags, fd, timeout, PG_WAIT_EXTENSION);
	if (got & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
		drive(http, fd, curl_events(got));
	return (got & WL_LATCH_SET) != 0;
}

/* The same for several sockets: while more than one address of a host is tried. */
static bool
wait_for_many(Http *http, long timeout)
{
	int			n = http->nsockets;
	WaitEventSet *set = compat_wait_event_set(n + 2);
	WaitEvent	event;
	int			got;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < n; i++)
		AddWaitEventToSet(set, latch_events(http->sockets[i].what), http->sockets[i].fd, NULL, NULL);
	got = WaitEventSetWait(set, timeout, &event, 1, PG_WAIT_EXTENSION);
	FreeWaitEventSet(set);
	if (got == 1 && (event.events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)))
		drive(http, event.fd, curl_events(event.events));
	return got == 1 && event.events == WL_LATCH_SET;
}

static void
wait_for_events(Http *http)
{
	long		timeout = MAX_WAIT_MS;
	bool		latched;

	if (http->timer_on)
		timeout = (long) Max(0, Min(timeout, http->deadline - now_ms()));
	if (http->overflow)
		timeout = Min(timeout, 10);
	latched = http->nsockets > 1 ? wait_for_many(http, timeout) : wait_for_one(http, timeout);
	if (latched)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (http->overflow || (http->timer_on && now_ms() >= http->deadline))
	{
		http->timer_on = false;
		drive(http, CURL_SOCKET_TIMEOUT, 0);
	}
}

/*
 * The resolver may run in a thread that libcurl starts here.  A thread
 * inherits the mask, and PostgreSQL's signals must not be handled in it.
 */
static void
start_transfer(Http *http)
{
	sigset_t	all;
	sigset_t	previous;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &previous);
	curl_multi_add_handle(http->multi, http->easy);
	drive(http, CURL_SOCKET_TIMEOUT, 0);
	sigprocmask(SIG_SETMASK, &previous, NULL);
}

static CURLcode
run_transfer(Http *http)
{
	start_transfer(http);
	for (;;)
	{
		CURLMsg    *message;
		int			left;

		while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
		{
			if (message->msg == CURLMSG_DONE && message->easy_handle == http->easy)
				return message->data.result;
		}
		CHECK_FOR_INTERRUPTS();
		wait_for_events(http);
	}
}

static void
finish_response(Transfer *t, CURLcode code, const char *error)
{
	HttpResponse *response = t->response;
	curl_off_t	length = -1;
	long		status = 0;

	curl_easy_getinfo(t->http->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->http->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	response->status = (int) status;
	response->content_length = length > 0 ? (uint64) length : 0;
	response->complete = code == CURLE_OK;
	response->transient = is_transient(code);
	if (code != CURLE_OK)
		strlcpy(response->failure, *error ? error : curl_easy_strerror(code),
				sizeof(response->failure));
	if (response->body == NULL)
		response->body = MemoryContextStrdup(t->context, "");
}

void
http_perform(Http *http, const HttpRequest *request, HttpResponse *response)
{
	Transfer	t = {http, request, response, CurrentMemoryContext, 0};
	struct curl_slist *volatile headers = NULL;
	char		error[CURL_ERROR_SIZE] = "";
	CURLcode	code;

	memset(response, 0, sizeof(*response));
	for (const char *const *h = request->headers; *h != NULL; h++)
	{
		struct curl_slist *longer = curl_slist_append(headers, *h);

		if (longer == NULL)
		{
			curl_slist_free_all(headers);
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		}
		headers = longer;
	}
	set_options(&t, headers, error);

	PG_TRY();
	{
		code = run_transfer(http);
		finish_response(&t, code, error);
	}
	PG_FINALLY();
	{
		/* closes the connection when the transfer is not over */
		curl_multi_remove_handle(http->multi, http->easy);
		curl_easy_reset(http->easy);
		curl_slist_free_all(headers);
	}
	PG_END_TRY();
}
