/* SPDX-License-Identifier: Apache-2.0 */
/* What is against the kernel path on this host, in words. */
#ifndef FAIRLEAD_KERNEL_OBSTACLES_H
#define FAIRLEAD_KERNEL_OBSTACLES_H

#include <stdint.h>

#include "base/error.h"
#include "kernel/links.h"
#include "net/address.h"

/*
 * Whether packets can be sent to a container: there is a link to it, and the host forwards IPv4.
 * Returns 0 with the link, or -errno with a sentence.
 */
int obstacle_to_container(const struct address *container, uint32_t *ret_ifindex,
			  struct error *err);

/*
 * Whether packets that come by a link to clients are sent on: it may drop those whose source is not
 * routed there (rp_filter 1, strict; Documentation/networking/ip-sysctl.rst), as transit addresses
 * are not, or all of them where it checks sources and has no address of IPv4, or it does not forward. Returns 0, or -EXDEV with a sentence that names it.
 */
int obstacle_of_link(const struct link_address *link, struct error *err);

/* The same where it is so of all such links. */
int obstacle_of_links(struct error *err);

/*
 * Whether this host filters what comes to itself over IPv6, which the kernel path would pass by: a
 * chain at the hook input, of the families ip6 or inet, that drops, or that has rules at all.
 * Returns 0, or -EEXIST with a sentence that names it.
 */
int obstacle_of_filters(struct error *err);

#endif
