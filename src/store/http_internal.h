/*-------------------------------------------------------------------------
 *
 * http_internal.h
 *	  Between http.c (requests and replies), http_events.c (waiting) and
 *	  http_address.c (where to).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TARN_STORE_HTTP_INTERNAL_H
#define TARN_STORE_HTTP_INTERNAL_H

#include "postgres.h"

#include <curl/curl.h>

#include "lib/ilist.h"
#include "store/http.h"

/* Sockets at once: one a transfer, but while several addresses of a host are tried. */
#define HTTP_MAX_SOCKETS 32

/* Handles kept for the next transfers. */
#define HTTP_MAX_SPARE 8

typedef struct HttpSocket
{
	curl_socket_t fd;
	int			what;			/* CURL_POLL_... */
} HttpSocket;

struct Http
{
	CURLM	   *multi;
	CURL	   *spare[HTTP_MAX_SPARE];
	int			nspare;
	dlist_head	transfers;		/* under way */
	char	   *ca_file;
	int			nsockets;
	HttpSocket	sockets[HTTP_MAX_SOCKETS];
	bool		overflow;		/* more sockets than we can watch: poll */
	bool		timer_on;
	int64		deadline;		/* of the monotonic clock in ms, when timer_on */
	MemoryContextCallback callback;
};

/* Has libcurl tell which sockets and time it waits for. */
extern void http_events_init(Http *http);

/* Lets libcurl work on a socket (CURL_SOCKET_TIMEOUT: on its timers). */
extern void http_drive(Http *http, curl_socket_t fd, int events);

/* Sleeps until something may have happened, and lets libcurl work on that.  Errors: interrupts. */
extern void http_wait_events(Http *http);

/* Lets libcurl work on what has happened, without sleeping. */
extern void http_poll_events(Http *http);

/* A transfer connects to no link-local address; *refused, which lives as long, says that it would have. */
extern void http_check_addresses(CURL *easy, bool *refused);

#endif							/* TARN_STORE_HTTP_INTERNAL_H */
