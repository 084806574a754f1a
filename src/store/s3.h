/*-------------------------------------------------------------------------
 *
 * s3.h
 *	  What the files of the S3 driver share.
 *
 * s3.c opens the store, signs, sends and repeats requests and translates
 * their errors; s3_read.c reads, lists and removes; s3_write.c uploads;
 * s3_uploads.c ends uploads that nobody will finish; s3_xml.c finds elements
 * in the service's documents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_S3_H
#define TARN_STORE_S3_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/compat.h"
#include "store/http.h"
#include "store/internal.h"
#include "store/s3_xml.h"
#include "store/sigv4.h"
#include "store/store.h"

/* An upload that was given up where no request could be made. */
typedef struct S3Upload
{
	struct S3Upload *next;
	char	   *name;			/* of the object; both by malloc */
	char	   *id;
} S3Upload;

typedef struct S3Store
{
	Store		base;
	Http	   *http;
	SigV4Key	key;			/* access_key NULL: requests are not signed */
	const char *session_token;
	const char *sse;			/* of StoreConfig */
	const char *sse_kms_key_id;
	char	   *origin;			/* "http://127.0.0.1:7070" */
	char	   *host;			/* as in the Host header */
	char	   *bucket;
	bool		path_style;
	S3Upload   *abandoned;
	MemoryContextCallback callback;
} S3Store;

#define S3_MAX_QUERY 6

typedef struct S3Request
{
	const char *operation;		/* for messages: "read", "write", "remove", "list" */
	const char *name;			/* of the object or prefix, for messages */
	const char *method;
	const char *key;			/* NULL: of the bucket */
	SigV4Field	query[S3_MAX_QUERY];
	int			nquery;
	SigV4Field	headers[4];		/* all signed; names in lower case */
	int			nheaders;
	const void *body;
	size_t		body_size;
	char	   *target;			/* as of HttpRequest */
	size_t		target_size;
	size_t		max_body;		/* 0: enough for an error document */
	bool		document;		/* the reply is the service's XML and may be an error despite its status */
} S3Request;

/* What an attempt came to. */
typedef enum S3Outcome
{
	S3_DONE,					/* status 2xx, reply complete and no error document */
	S3_AGAIN,					/* may do better if tried again */
	S3_REFUSED					/* never will */
} S3Outcome;

/* Sends once and judges the reply. */
extern S3Outcome s3_attempt(S3Store *store, const S3Request *request, HttpResponse *response);

/* The same in two steps, see http_start; the request must stay until the second. */
extern HttpTransfer *s3_attempt_start(S3Store *store, const S3Request *request);
extern S3Outcome s3_attempt_finish(const S3Request *request, HttpTransfer *transfer,
								   HttpResponse *response);

/*
 * Sends until it is done or refused, or attempts run out (which raises).  The
 * service may have done more than once what was asked, and been asked more
 * often than we know: libcurl sends a request again when a connection that it
 * had kept turns out to be dead.
 */
extern S3Outcome s3_send(S3Store *store, const S3Request *request, HttpResponse *response);

/* Sends, and raises unless it is done. */
extern void s3_request(S3Store *store, const S3Request *request, HttpResponse *response);

/* Waits before attempt number `attempt` + 1 (from 0), or returns false when there shall be none. */
extern bool s3_back_off(int attempt);

/* One attempt, no error: an upload left over costs space and nothing else.  False: it may be there still. */
extern bool s3_abort_upload(S3Store *store, const char *name, const char *id);

/* Raises the error of a reply that is not S3_DONE. */
pg_noreturn extern void s3_fail(const S3Request *request, const HttpResponse *response);

/* Key of an object in the bucket, from its location. */
extern const char *s3_key(const char *name);

/* Operations of the other files, for the table. */
extern StoreReader *s3_reader(Store *store, const char *name, int64 size);
extern char *s3_get(Store *store, const char *name, size_t max_size, size_t *size);
extern void *s3_get_start(Store *store, const char *name, size_t max_size);
extern char *s3_get_finish(Store *store, void *started, size_t *size);
extern void s3_list(Store *store, const char *prefix, store_list_cb cb, void *arg);
extern void s3_remove(Store *store, const char *name);
extern int	s3_abort_uploads(Store *store, const char *prefix);
extern StoreWriter *s3_create(Store *store, const char *name, int flags);

#endif							/* TARN_STORE_S3_H */
