/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transport addresses: IP, port and, for link-local IPv6, the interface.
 *
 * This is the one file of the project that deals in struct sockaddr. An IPv4 peer of a dual-stack
 * socket arrives as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); here it is an IPv4 address, and
 * becomes the mapped form again when it is written out for such a socket.
 */
#ifndef FAIRLEAD_NET_ADDRESS_H
#define FAIRLEAD_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct address {
	uint8_t ip[16];	 /* IPv4: the first four bytes, the rest zero */
	uint32_t scope;	 /* interface index of a link-local IPv6 address, else 0 */
	uint16_t port;	 /* host byte order */
	uint16_t family; /* AF_INET or AF_INET6; AF_UNSPEC: no address */
};

/* Longest text of address_format: "[" IPv6 "%" scope "]:" port. */
#define ADDRESS_TEXT_MAX 80

/* Fills *ret from an IPv4 or IPv6 sockaddr. Anything else gives AF_UNSPEC. */
void address_from_sockaddr(const struct sockaddr_storage *from, struct address *ret);

/*
 * Writes the address for a socket of socket_family and returns the length. IPv4 is mapped for
 * AF_INET6.
 */
socklen_t address_to_sockaddr(const struct address *address, int socket_family,
			      struct sockaddr_storage *ret);

/*
 * Parses an IP address without port: "192.0.2.1", "2001:db8::1", "fe80::1%eth0". Mapped IPv4
 * becomes IPv4. Returns 0 or -EINVAL; port is set to 0.
 */
int address_parse_ip(const char *text, struct address *ret);

/*
 * Parses an address with its port, as address_format() writes it: "192.0.2.1:80", "[::]:80".
 * Returns 0 or -EINVAL; a port of 0 is none.
 */
int address_parse(const char *text, struct address *ret);

/* "192.0.2.1:80" or "[2001:db8::1]:80"; returns the buffer. */
const char *address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX]);

/* The IP alone, without brackets; returns the buffer. */
const char *address_format_ip(const struct address *address, char buffer[ADDRESS_TEXT_MAX]);

bool address_equal(const struct address *a, const struct address *b);
bool address_is_link_local(const struct address *address);
bool address_is_multicast(const struct address *address);
bool address_is_unspecified(const struct address *address); /* 0.0.0.0, :: */
bool address_is_loopback(const struct address *address);    /* 127.0.0.0/8, ::1 */

/* Whether one can connect to it: a single host, whose interface is known. */
bool address_is_connectable(const struct address *address);

/* Whether bytes from elsewhere are an address as it would be made here: nothing where nothing is. */
bool address_is_sound(const struct address *address);

#endif
