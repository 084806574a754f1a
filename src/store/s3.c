/*-------------------------------------------------------------------------
 *
 * s3.c
 *	  Store on S3 and what speaks its protocol: requests, repeats, errors.
 *
 * Only what every such service has is used: GET with a range, PUT, multipart
 * upload, If-None-Match: *, DELETE, LIST version 2.  Nothing is renamed or
 * copied, and a list is never asked what a table consists of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"

#include "store/credentials.h"
#include "store/s3.h"

#define MAX_ATTEMPTS 7
#define FIRST_BACK_OFF_MS 100
#define MAX_BACK_OFF_MS 5000

#define MAX_ERROR_DOCUMENT (64 * 1024)

/* Of buckets and regions. */
#define NAME_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static const char *
s3_path(const char *location)
{
	static const char *const schemes[] = {"s3://", "s3a://", "s3n://"};

	for (int i = 0; i < lengthof(schemes); i++)
	{
		size_t		length = strlen(schemes[i]);

		if (strncmp(location, schemes[i], length) == 0)
			return location + length;
	}
	return NULL;
}

const char *
s3_key(const char *name)
{
	const char *slash = strchr(s3_path(name), '/');

	return slash != NULL ? slash + 1 : "";
}

/*
 * Opening
 */

static void
s3_reset(void *arg)
{
	S3Store    *store = arg;
	S3Upload   *upload;

	while ((upload = store->abandoned) != NULL)
	{
		store->abandoned = upload->next;
		free(upload->name);
		free(upload->id);
		free(upload);
	}
}

/* Sets origin and host from the endpoint option, or AWS's for the region. */
static void
set_endpoint(S3Store *store, const StoreConfig *config)
{
	const char *endpoint = config->endpoint;
	const char *scheme = "https://";
	char	   *host;

	if (endpoint == NULL)
		host = psprintf("s3.%s.amazonaws.com", store->key.region);
	else
	{
		if (strncmp(endpoint, "http://", 7) == 0)
			scheme = "http://";
		else if (strncmp(endpoint, "https://", 8) != 0)
			scheme = NULL;
		host = scheme != NULL ? pstrdup(endpoint + strlen(scheme)) : NULL;
		if (host != NULL && *host && host[strlen(host) - 1] == '/')
			host[strlen(host) - 1] = '\0';
		if (host == NULL || *host == '\0' || strpbrk(host, "/?#@ \t\r\n") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid S3 endpoint \"%s\"", endpoint),
					 errhint("An endpoint is \"http://host:port\" or \"https://host\", without a path.")));
	}

	/* a dot in a bucket's name would leave the certificate's wildcard */
	store->path_style = config->path_style || strchr(store->bucket, '.') != NULL;
	store->host = store->path_style ? host : psprintf("%s.%s", store->bucket, host);
	store->origin = psprintf("%s%s", scheme, store->host);
}

static Store *
s3_open(const StoreConfig *config)
{
	S3Store    *store = palloc0(sizeof(S3Store));
	const char *path = s3_path(config->root);

	store->bucket = pnstrdup(path, strcspn(path, "/"));
	if (*store->bucket == '\0' ||
		strspn(store->bucket, NAME_CHARACTERS) != strlen(store->bucket))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("warehouse \"%s\" names no valid bucket", config->root)));
	store->key.region = pstrdup(config->region != NULL ? config->region : "us-east-1");
	if (strspn(store->key.region, NAME_CHARACTERS) != strlen(store->key.region))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid S3 region \"%s\"", store->key.region)));
	store->key.service = "s3";
	credentials_set(store, config);
	if (config->sse != NULL)
		store->sse = credentials_header_value("sse", config->sse);
	if (config->sse_kms_key_id != NULL)
		store->sse_kms_key_id = credentials_header_value("sse_kms_key_id", config->sse_kms_key_id);
	set_endpoint(store, config);
	store->callback.func = s3_reset;
	store->callback.arg = store;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &store->callback);
	store->http = http_open(config->ca_file);
	return &store->base;
}

/*
 * Requests
 */

static char *
request_path(S3Store *store, const S3Request *request)
{
	char	   *key = request->key != NULL ? sigv4_encode(request->key, true) : "";

	if (!store->path_style)
		return psprintf("/%s", key);
	return psprintf(request->key != NULL ? "/%s/%s" : "/%s", store->bucket, key);
}

/* Adds what every request carries, signs, and returns the header lines. */
static const char **
request_headers(S3Store *store, const S3Request *request, const char *path, const char *query)
{
	SigV4Field	fields[lengthof(request->headers) + 4];
	int			n = request->nheaders;
	const char **lines = palloc0(sizeof(char *) * (lengthof(fields) + 4));
	int			nlines = 0;
	char		hash[SIGV4_HASH_SIZE];
	char		date[SIGV4_DATE_SIZE];

	memcpy(fields, request->headers, sizeof(SigV4Field) * n);
	sigv4_hash(request->body != NULL ? request->body : "", request->body_size, hash);
	sigv4_date(date);
	fields[n++] = (SigV4Field) {"host", store->host};
	if (store->key.access_key != NULL)
	{
		fields[n++] = (SigV4Field) {"x-amz-content-sha256", hash};
		fields[n++] = (SigV4Field) {"x-amz-date", date};
		if (store->session_token != NULL)
			fields[n++] = (SigV4Field) {"x-amz-security-token", store->session_token};
	}
	for (int i = 0; i < n; i++)
		lines[nlines++] = psprintf("%s: %s", fields[i].name, fields[i].value);
	if (store->key.access_key != NULL)
	{
		SigV4Request signing = {
			.method = request->method,
			.path = path,
			.query = query,
			.headers = fields,
			.nheaders = n,
			.payload_hash = hash,
			.date = date
		};

		lines[nlines++] = psprintf("Authorization: %s", sigv4_authorization(&store->key, &signing));
	}
	/* libcurl would wait for a "100 Continue", and call the body a form */
	lines[nlines++] = "Expect:";
	lines[nlines++] = request->body != NULL
		? "Content-Type: application/octet-stream" : "Content-Type:";
	lines[nlines] = NULL;
	return lines;
}

static char *
error_code(const HttpResponse *response)
{
	const char *error = s3_xml_text(response->body, "Error", NULL);

	return error != NULL ? s3_xml_text(error, "Code", NULL) : NULL;
}

static S3Outcome
judge(const S3Request *request, const HttpResponse *response)
{
	static const char *const passing[] = {
		"SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable",
		"OperationAborted", "ConditionalRequestConflict", "ThrottlingException"
	};
	char	   *code;

	if (!response->complete)
		return response->transient ? S3_AGAIN : S3_REFUSED;

	/* CompleteMultipartUpload sends its 200 before it knows how it will end */
	if (response->status / 100 == 2 && !request->document)
		return S3_DONE;
	code = error_code(response);
	if (response->status / 100 == 2 && code == NULL)
		return S3_DONE;
	if (response->status == 500 || (response->status >= 502 && response->status <= 504) ||
		response->status == 429)
		return S3_AGAIN;
	for (int i = 0; code != NULL && i < lengthof(passing); i++)
	{
		if (strcmp(code, passing[i]) == 0)
			return S3_AGAIN;
	}
	return S3_REFUSED;
}

/* Signed, in the current context. */
static void
make_request(S3Store *store, const S3Request *request, HttpRequest *http)
{
	char	   *path = request_path(store, request);
	char	   *query = sigv4_query(request->query, request->nquery);

	memset(http, 0, sizeof(*http));
	http->method = request->method;
	http->url = psprintf("%s%s%s%s", store->origin, path, *query ? "?" : "", query);
	http->headers = request_headers(store, request, path, query);
	http->body = request->body;
	http->body_size = request->body_size;
	http->target = request->target;
	http->target_size = request->target_size;
	http->max_body = request->max_body > 0 ? request->max_body : MAX_ERROR_DOCUMENT;
}

S3Outcome
s3_attempt(S3Store *store, const S3Request *request, HttpResponse *response)
{
	HttpRequest http;

	make_request(store, request, &http);
	http_perform(store->http, &http, response);
	return judge(request, response);
}

HttpTransfer *
s3_attempt_start(S3Store *store, const S3Request *request)
{
	HttpRequest http;

	make_request(store, request, &http);
	return http_start(store->http, &http);
}

S3Outcome
s3_attempt_finish(const S3Request *request, HttpTransfer *transfer, HttpResponse *response)
{
	http_finish(transfer, response);
	return judge(request, response);
}

bool
s3_back_off(int attempt)
{
	int			limit = Min(FIRST_BACK_OFF_MS << attempt, MAX_BACK_OFF_MS);
	int64		wait;
	instr_time	start;
	instr_time	now;

	if (attempt + 1 >= MAX_ATTEMPTS)
		return false;

	/* anything between half and whole, so that clients that failed together part */
	wait = limit / 2 + (int64) pg_prng_uint64_range(&pg_global_prng_state, 0, limit / 2);
	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		int64		left;

		CHECK_FOR_INTERRUPTS();
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		left = wait - (int64) INSTR_TIME_GET_MILLISEC(now);
		if (left <= 0)
			return true;
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) left,
					  PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}

S3Outcome
s3_send(S3Store *store, const S3Request *request, HttpResponse *response)
{
	for (int attempt = 0;; attempt++)
	{
		S3Outcome	outcome = s3_attempt(store, request, response);

		if (outcome != S3_AGAIN)
			return outcome;
		if (!s3_back_off(attempt))
			s3_fail(request, response);
	}
}

void
s3_request(S3Store *store, const S3Request *request, HttpResponse *response)
{
	if (s3_send(store, request, response) != S3_DONE)
		s3_fail(request, response);
}

/*
 * Errors
 */

static int
sqlstate(const S3Request *request, const HttpResponse *response)
{
	if (judge(request, response) == S3_AGAIN)
		return ERRCODE_CONNECTION_FAILURE;
	if (!response->complete)
		return response->too_large ? ERRCODE_DATA_CORRUPTED : ERRCODE_CONNECTION_FAILURE;
	switch (response->status)
	{
		case 401:
		case 403:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case 404:
			return ERRCODE_UNDEFINED_FILE;
		case 412:
			return ERRCODE_DUPLICATE_FILE;
		case 416:
			return ERRCODE_DATA_CORRUPTED;
		case 507:
			return ERRCODE_DISK_FULL;
		default:
			return ERRCODE_IO_ERROR;
	}
}

static const char *
hint_for(const HttpResponse *response, const char *code)
{
	static const struct
	{
		const char *code;
		const char *hint;
	}			hints[] = {
		{"RequestTimeTooSkewed", "The clocks of this machine and of the service differ too much."},
		{"ExpiredToken", "The session token has expired; set a new one in the user mapping."},
		{"NoSuchBucket", "Create the bucket, or correct the warehouse."},
		{"InvalidAccessKeyId", "Check access_key_id in the user mapping."},
		{"SignatureDoesNotMatch", "Check secret_access_key in the user mapping."},
	};

	if (response->status / 100 == 3 || *response->region ||
		(code != NULL && strcmp(code, "AuthorizationHeaderMalformed") == 0))
		return *response->region
			? psprintf("The bucket is in region \"%s\"; set the server option \"region\".", response->region)
			: "Check the server options \"region\" and \"endpoint\".";
	for (int i = 0; code != NULL && i < lengthof(hints); i++)
	{
		if (strcmp(code, hints[i].code) == 0)
			return hints[i].hint;
	}
	return NULL;
}

void
s3_fail(const S3Request *request, const HttpResponse *response)
{
	const char *code = error_code(response);
	const char *message = code != NULL ? s3_xml_text(response->body, "Message", NULL) : NULL;
	const char *hint = hint_for(response, code);

	if (!response->complete)
		ereport(ERROR,
				(errcode(sqlstate(request, response)),
				 errmsg("could not %s \"%s\": %s", request->operation, request->name,
						response->too_large ? "the reply is longer than what was asked for"
						: response->failure)));
	ereport(ERROR,
			(errcode(sqlstate(request, response)),
			 errmsg("could not %s \"%s\": HTTP %d%s%s", request->operation, request->name,
					response->status, code != NULL ? " " : "", code != NULL ? code : ""),
			 message != NULL || *response->request_id
			 ? errdetail("%s%s%s%s%s", message != NULL ? message : "",
						 message != NULL && *response->request_id ? " " : "",
						 *response->request_id ? "(request id " : "", response->request_id,
						 *response->request_id ? ")" : "") : 0,
			 hint != NULL ? errhint("%s", hint) : 0));
}

const StoreOps store_s3_ops = {
	.scheme = "s3",
	.path = s3_path,
	.open = s3_open,
	.reader = s3_reader,
	.create = s3_create,
	.list = s3_list,
	.remove = s3_remove,
	.abort_uploads = s3_abort_uploads,
	.get = s3_get,
	.get_start = s3_get_start,
	.get_finish = s3_get_finish
};
