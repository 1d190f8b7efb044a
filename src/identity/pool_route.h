/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes of the kernel (rtnetlink(7)), as far as pools need them. Each returns 0 or -errno.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_ROUTE_H
#define FAIRLEAD_IDENTITY_POOL_ROUTE_H

#include <stdbool.h>

#include "net/prefix.h"

/* One of the numbers that nobody has: see rt_protos of iproute2. */
#define POOL_ROUTE_PROTOCOL 70

struct pool_route {
	struct prefix destination;
	bool is_ours;
	bool is_via_gateway;
	unsigned int interface; /* 0: none */
};

/* "local POOL dev lo". Adding one that is there, and removing one that is not, is no error. */
int pool_route_add(const struct prefix *pool);
int pool_route_remove(const struct prefix *pool);

/* Shows all routes of IPv4, but for default ones, until `show` returns false. */
int pool_route_list(bool (*show)(void *context, const struct pool_route *route), void *context);

/* How packets to an address would leave. */
int pool_route_to(const struct address *address, struct pool_route *ret);

/* What kind of interface it is, as "macvlan"; "" where it has no kind, as real ones. */
#define POOL_ROUTE_KIND_MAX 16
int pool_route_interface_kind(unsigned int interface, char ret[POOL_ROUTE_KIND_MAX]);

#endif
