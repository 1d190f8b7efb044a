/* SPDX-License-Identifier: Apache-2.0 */
/* The host's IPv6 addresses at which clients come from outside, and the links that they are on. */
#ifndef FAIRLEAD_KERNEL_LINKS_H
#define FAIRLEAD_KERNEL_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define LINKS_ADDRESSES_MAX 1024

struct link_address {
	struct address host; /* port 0 */
	uint32_t ifindex;
	bool has_header; /* of Ethernet */
	bool has_ipv4;	 /* the link has an address of IPv4, too */
};

/*
 * Reads what there is now, at most LINKS_ADDRESSES_MAX, into an array that the caller frees. Returns
 * how many, or -errno. Global and unique local addresses count, of links that are up and are neither
 * loopback nor ours; link-local ones do not.
 */
int links_read(struct link_address **ret);

/* Whether a link has headers of Ethernet. */
bool link_has_ethernet(const char *name);

/* The least MTU of those links, at least what each link of IPv6 has. */
uint32_t links_mtu(void);

#endif
