/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a container can answer pseudo-IPv4 addresses. It cannot where its default route is not this
 * host: on a network of macvlan or ipvlan, on an --internal one, on several of which another has
 * that route, behind a router that knows nothing of the pool.
 *
 * No connection is made. Two echo requests (RFC 792) ask: one from this host's ordinary address, one
 * from an address of the pool. Who answers the first and not the second cannot answer the pool; of
 * who answers neither, nothing is known.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_REACH_H
#define FAIRLEAD_IDENTITY_POOL_REACH_H

#include "base/error.h"
#include "net/address.h"

enum pool_reach {
	POOL_REACH_UNKNOWN,
	POOL_REACH_GOOD,
	POOL_REACH_NONE,
};

/*
 * Waits up to timeout_ms; `source` is an address of the pool that no client has
 * (pool_probe_address()). With POOL_REACH_NONE comes a sentence, of code -EHOSTUNREACH.
 *
 * An address of this host itself is GOOD at once. Otherwise either net.ipv4.ping_group_range has a
 * group of this process in it, or it has CAP_NET_RAW, or all is UNKNOWN.
 */
enum pool_reach pool_reach_check(const struct address *container, const struct address *source,
				 int timeout_ms, struct error *err);

#endif
