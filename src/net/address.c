/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

_Static_assert(sizeof(struct address) == 24,
	       "address: is hashed as bytes, and so must not have holes");

static void set_ipv6(struct address *address, const struct in6_addr *ip)
{
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		address->family = AF_INET;
		memcpy(address->ip, &ip->s6_addr[12], 4);
	} else {
		address->family = AF_INET6;
		memcpy(address->ip, ip, 16);
	}
}

void address_from_sockaddr(const struct sockaddr_storage *from, struct address *ret)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	memset(ret, 0, sizeof(*ret));
	if (from->ss_family == AF_INET) {
		ret->family = AF_INET;
		ret->port = ntohs(in->sin_port);
		memcpy(ret->ip, &in->sin_addr, 4);
	} else if (from->ss_family == AF_INET6) {
		set_ipv6(ret, &in6->sin6_addr);
		ret->port = ntohs(in6->sin6_port);
		if (address_is_link_local(ret))
			ret->scope = in6->sin6_scope_id;
	}
}

socklen_t address_to_sockaddr(const struct address *address, int socket_family,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	if (socket_family == AF_INET) {
		memset(in, 0, sizeof(*in));
		in->sin_family = AF_INET;
		in->sin_port = htons(address->port);
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	}
	memset(in6, 0, sizeof(*in6));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(address->port);
	in6->sin6_scope_id = address->scope;
	if (address->family == AF_INET) {
		memset(&in6->sin6_addr.s6_addr[10], 0xff, 2);
		memcpy(&in6->sin6_addr.s6_addr[12], address->ip, 4);
	} else {
		memcpy(&in6->sin6_addr, address->ip, 16);
	}
	return sizeof(*in6);
}

int address_parse_ip(const char *text, struct address *ret)
{
	char host[INET6_ADDRSTRLEN];
	struct address parsed = { .family = AF_INET };
	struct in6_addr ip;
	const char *percent = strchr(text, '%');
	size_t length = percent ? (size_t)(percent - text) : strlen(text);

	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';

	if (inet_pton(AF_INET, host, parsed.ip) == 1) {
		if (percent)
			return -EINVAL;
		*ret = parsed;
		return 0;
	}
	if (inet_pton(AF_INET6, host, &ip) != 1)
		return -EINVAL;
	set_ipv6(&parsed, &ip);
	if (percent) {
		parsed.scope = if_nametoindex(percent + 1);
		if (parsed.scope == 0 || !address_is_link_local(&parsed))
			return -EINVAL;
	}
	*ret = parsed;
	return 0;
}

int address_parse(const char *text, struct address *ret)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char ip[ADDRESS_TEXT_MAX];
	struct address parsed;
	uint64_t port;
	bool brackets;

	if (length < 2 || length >= sizeof(ip) ||
	    text_parse_number(colon + 1, strlen(colon + 1), 65535, &port) < 0 || port == 0)
		return -EINVAL;
	brackets = text[0] == '[' && text[length - 1] == ']';
	(void)snprintf(ip, sizeof(ip), "%.*s", (int)length - 2 * brackets, text + brackets);
	if (address_parse_ip(ip, &parsed) < 0 || (!brackets && strchr(ip, ':')) ||
	    (brackets && !strchr(ip, ':')))
		return -EINVAL;
	parsed.port = (uint16_t)port;
	*ret = parsed;
	return 0;
}

const char *address_format_ip(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
	char name[IF_NAMESIZE];
	size_t length;

	if (address->family == AF_UNSPEC ||
	    !inet_ntop(address->family, address->ip, buffer, ADDRESS_TEXT_MAX)) {
		(void)snprintf(buffer, ADDRESS_TEXT_MAX, "unknown");
		return buffer;
	}
	length = strlen(buffer);
	if (address->scope != 0 && if_indextoname(address->scope, name))
		(void)snprintf(buffer + length, ADDRESS_TEXT_MAX - length, "%%%s", name);
	else if (address->scope != 0)
		(void)snprintf(buffer + length, ADDRESS_TEXT_MAX - length, "%%%u", address->scope);
	return buffer;
}

const char *address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
	char ip[ADDRESS_TEXT_MAX];

	address_format_ip(address, ip);
	(void)snprintf(buffer, ADDRESS_TEXT_MAX,
		       address->family == AF_INET6 ? "[%.68s]:%u" : "%.68s:%u", ip, address->port);
	return buffer;
}

bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool address_is_link_local(const struct address *address)
{
	return address->family == AF_INET6 && address->ip[0] == 0xfe &&
	       (address->ip[1] & 0xc0) == 0x80;
}

bool address_is_multicast(const struct address *address)
{
	if (address->family == AF_INET6)
		return address->ip[0] == 0xff;
	return (address->ip[0] & 0xf0) == 0xe0;
}

bool address_is_unspecified(const struct address *address)
{
	static const uint8_t none[sizeof(address->ip)];

	return memcmp(address->ip, none, sizeof(none)) == 0;
}

bool address_is_loopback(const struct address *address)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (address->family == AF_INET)
		return address->ip[0] == 127;
	return address->family == AF_INET6 &&
	       memcmp(address->ip, loopback6, sizeof(loopback6)) == 0;
}

bool address_is_connectable(const struct address *address)
{
	return !address_is_unspecified(address) && !address_is_multicast(address) &&
	       (!address_is_link_local(address) || address->scope != 0);
}

bool address_is_sound(const struct address *address)
{
	static const uint8_t zeros[16];
	struct sockaddr_storage storage;
	struct address again;

	if (address->family != AF_INET && address->family != AF_INET6)
		return false;
	if (address->family == AF_INET && memcmp(address->ip + 4, zeros, 12) != 0)
		return false;
	(void)address_to_sockaddr(address, address->family, &storage);
	address_from_sockaddr(&storage, &again);
	return address_equal(address, &again);
}
