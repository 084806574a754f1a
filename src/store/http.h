/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests, waiting on the process latch.
 *
 * libcurl does the protocol; its multi interface is driven by WaitEventSet,
 * so that a request in progress hears cancels and shutdowns at once.  Replies
 * of every status come back to the caller, and so do failures of transport:
 * what is worth another attempt is known to him alone.  Connections are kept
 * and used again.
 *
 * Redirects are not followed (they would carry credentials to another host),
 * nothing but http and https is spoken, certificates are verified, proxies of
 * the environment are ignored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_HTTP_H
#define TARN_STORE_HTTP_H

#include "postgres.h"

typedef struct Http Http;
typedef struct HttpTransfer HttpTransfer;

typedef struct HttpRequest
{
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", ended by NULL */
	const void *body;			/* NULL: none */
	size_t		body_size;
	/* a body of status 2xx goes here when not NULL, and no further than its size */
	char	   *target;
	size_t		target_size;
	/* any other body is kept up to this size; more is a failure */
	size_t		max_body;
} HttpRequest;

typedef struct HttpResponse
{
	int			status;			/* 0 when the reply did not begin */
	bool		complete;		/* the whole reply was received */
	bool		has_headers;	/* all headers were; else some may be missing below */
	bool		transient;		/* if not complete: may another attempt do better? */
	bool		too_large;		/* not complete because the body passes target or max_body */
	char		failure[256];	/* if not complete: why, for messages */
	size_t		target_used;
	char	   *body;			/* ends with a zero that body_size does not count; never NULL */
	size_t		body_size;
	uint64		content_length; /* as announced; 0 when it was not */
	/* headers, "" where absent */
	char		etag[256];
	char		request_id[128];
	char		content_range[128];
	char		region[64];		/* x-amz-bucket-region */
	char		token[64];		/* x-amz-meta-tarn-token */
} HttpResponse;

/*
 * In the current memory context, whose deletion closes the connections.
 * `ca_file` holds the certificates to trust in place of the system's, or NULL.
 */
extern Http *http_open(const char *ca_file);

/* Fills `response` (body in the current memory context).  Errors: interrupts only. */
extern void http_perform(Http *http, const HttpRequest *request, HttpResponse *response);

/*
 * The same in two steps, for requests that go on while others are made or
 * something else is done.  What `request` points to must stay until the
 * transfer is over.  It belongs to the memory context that is current at its
 * start, whose deletion cancels it.
 */
extern HttpTransfer *http_start(Http *http, const HttpRequest *request);

/* Waits for the end and frees the transfer; `response` as of http_perform.  After an error it is still to be cancelled. */
extern void http_finish(HttpTransfer *t, HttpResponse *response);
extern void http_cancel(HttpTransfer *t);

/* Moves transfers on with what has arrived, without waiting: a call now and then keeps them going. */
extern void http_poll(Http *http);

#endif							/* TARN_STORE_HTTP_H */
