/*-------------------------------------------------------------------------
 *
 * http_address.c
 *	  Which addresses are connected to.
 *
 * A link-local address is that of the machine's own neighbourhood: in a cloud,
 * of the service that hands credentials to whoever asks from this machine.
 * Who may set an endpoint must not thereby make the server ask it.  The name
 * in the URL says nothing of that, so the address is looked at when libcurl
 * has it and wants a socket.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "store/http_internal.h"

/* 169.254.0.0/16 */
static bool
is_link_local_v4(const uint8 *bytes)
{
	return bytes[0] == 169 && bytes[1] == 254;
}

static bool
is_link_local(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_link_local_v4((const uint8 *) &((const struct sockaddr_in *) address)->sin_addr);
	if (address->sa_family == AF_INET6)
	{
		const struct in6_addr *in = &((const struct sockaddr_in6 *) address)->sin6_addr;

		return IN6_IS_ADDR_LINKLOCAL(in) || (IN6_IS_ADDR_V4MAPPED(in) && is_link_local_v4(in->s6_addr + 12));
	}
	return false;
}

/* libcurl's CURLOPT_OPENSOCKETFUNCTION: raises nothing. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	bool	   *refused = arg;

	*refused = is_link_local(&address->addr);
	if (*refused)
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void
http_check_addresses(CURL *easy, bool *refused)
{
	*refused = false;
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, refused);
}
