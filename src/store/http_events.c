/*-------------------------------------------------------------------------
 *
 * http_events.c
 *	  Waiting for libcurl's sockets and timers on the process latch.
 *
 * libcurl tells which sockets it waits for and until when; that is handed to
 * WaitLatchOrSocket or a WaitEventSet.  Nothing may raise an error inside of
 * libcurl's callbacks: it would jump over libcurl's frames.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <time.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include "base/compat.h"
#include "store/http_internal.h"

/* Longest sleep, should libcurl have no timer running. */
#define MAX_WAIT_MS 1000

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
	else if (i < HTTP_MAX_SOCKETS)
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

void
http_events_init(Http *http)
{
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
}

void
http_drive(Http *http, curl_socket_t fd, int events)
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
		http_drive(http, fd, curl_events(got));
	return (got & WL_LATCH_SET) != 0;
}

/* The same for several sockets: of several transfers, or while more than one address of a host is tried. */
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
		http_drive(http, event.fd, curl_events(event.events));
	return got == 1 && event.events == WL_LATCH_SET;
}

static void
run_timer(Http *http)
{
	if (http->overflow || (http->timer_on && now_ms() >= http->deadline))
	{
		http->timer_on = false;
		http_drive(http, CURL_SOCKET_TIMEOUT, 0);
	}
}

void
http_wait_events(Http *http)
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
	run_timer(http);
}

void
http_poll_events(Http *http)
{
	struct pollfd polled[HTTP_MAX_SOCKETS];
	int			n = http->nsockets;

	for (int i = 0; i < n; i++)
	{
		polled[i].fd = http->sockets[i].fd;
		polled[i].events = (http->sockets[i].what & CURL_POLL_IN ? POLLIN : 0) |
			(http->sockets[i].what & CURL_POLL_OUT ? POLLOUT : 0);
	}
	if (n > 0 && poll(polled, n, 0) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			int			events = (polled[i].revents & POLLIN ? CURL_CSELECT_IN : 0) |
				(polled[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
				(polled[i].revents & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR : 0);

			if (events != 0)
				http_drive(http, polled[i].fd, events);
		}
	}
	run_timer(http);
}
