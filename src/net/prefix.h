/* SPDX-License-Identifier: Apache-2.0 */
/* Prefixes of IP addresses: "2001:db8::/32", "192.0.2.0/24", or a single address. */
#ifndef FAIRLEAD_NET_PREFIX_H
#define FAIRLEAD_NET_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

struct prefix {
	uint8_t ip[16]; /* bits behind the length are zero */
	uint8_t length; /* in bits */
	uint16_t family;
};

/*
 * Returns 0; -EINVAL where the text is no prefix; -ERANGE where the address has bits behind the
 * length, of which one cannot know whether they were meant.
 */
int prefix_parse(const char *text, struct prefix *ret);

/* Whether the address is in it, port and interface aside. */
bool prefix_contains(const struct prefix *prefix, const struct address *address);

#define PREFIX_TEXT_MAX 56
/* Returns the buffer. */
const char *prefix_format(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX]);

#endif
