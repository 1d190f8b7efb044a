/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a container can answer to addresses of a pool: it can if its route to them leads to this
 * host.
 *
 * It is asked by ICMP, as ping(8) does, from such an address and from the host's own one beside it;
 * no program in the container sees that. Where only the latter is answered, the container's default
 * route is another.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_REACH_H
#define FAIRLEAD_IDENTITY_POOL_REACH_H

#include "base/error.h"
#include "net/address.h"

enum pool_reach {
	POOL_REACH_UNKNOWN, /* it answers to nothing, or cannot be asked */
	POOL_REACH_GOOD,
	POOL_REACH_NONE, /* with a sentence, and -EHOSTUNREACH */
};

/* Takes up to timeout_ms. source is an address of the pool. Needs CAP_NET_RAW, or ping sockets. */
enum pool_reach pool_reach_check(const struct address *container, const struct address *source,
				 int timeout_ms, struct error *err);

#endif
