/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Simple Proxy Protocol for UDP, as Cloudflare's Spectrum speaks it: before each datagram, and
 * before each answer, 38 bytes with the addresses of client and proxy. IPv4 is written as IPv4-mapped
 * IPv6.
 */
#ifndef FAIRLEAD_WIRE_SPP_H
#define FAIRLEAD_WIRE_SPP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define SPP_BYTES 38

/* An address that is none is written as ::. */
void spp_encode(const struct address *client, const struct address *proxy, uint8_t out[SPP_BYTES]);

/* Whether these bytes begin with such a header, which is then read. */
bool spp_decode(const uint8_t *bytes, size_t length, struct address *ret_client,
		struct address *ret_proxy);

#endif
