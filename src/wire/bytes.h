/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and addresses as they are on the wire: big endian, and IPv4 within IPv6. */
#ifndef FAIRLEAD_WIRE_BYTES_H
#define FAIRLEAD_WIRE_BYTES_H

#include <stdint.h>
#include <string.h>

#include "net/address.h"

static inline void bytes_put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static inline uint16_t bytes_get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static inline void bytes_put32(uint8_t *to, uint32_t value)
{
	bytes_put16(to, (uint16_t)(value >> 16));
	bytes_put16(to + 2, (uint16_t)value);
}

static inline uint32_t bytes_get32(const uint8_t *from)
{
	return (uint32_t)bytes_get16(from) << 16 | bytes_get16(from + 2);
}

/* Sixteen bytes; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
static inline void bytes_put_ipv6(uint8_t *to, const struct address *address)
{
	memset(to, 0, 16);
	if (address->family == AF_INET6) {
		memcpy(to, address->ip, 16);
	} else if (address->family == AF_INET) {
		to[10] = to[11] = 0xff;
		memcpy(to + 12, address->ip, 4);
	}
}

static inline void bytes_get_ipv4(const uint8_t *from, uint16_t port, struct address *ret)
{
	*ret = (struct address){ .family = AF_INET, .port = port };
	memcpy(ret->ip, from, 4);
}

/* The other way round: what was mapped is IPv4 again. */
static inline void bytes_get_ipv6(const uint8_t *from, uint16_t port, struct address *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(from, mapped, sizeof(mapped)) == 0) {
		bytes_get_ipv4(from + 12, port, ret);
		return;
	}
	*ret = (struct address){ .family = AF_INET6, .port = port };
	memcpy(ret->ip, from, 16);
}

#endif
