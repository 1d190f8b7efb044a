/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route that makes all of a pool addresses of this host, "local 240.0.0.0/4 dev lo" (AnyIP), and
 * what there is to know of other routes. Of the host's routes, only those with the protocol number
 * below are ours, and no other is ever changed.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_ROUTE_H
#define FAIRLEAD_IDENTITY_POOL_ROUTE_H

#include <net/if.h>
#include <stdbool.h>

#include "base/error.h"
#include "net/prefix.h"

/*
 * What made a route (rtm_protocol, rtnetlink(7)), so that ours are known again; iproute2 shows it as
 * "proto 70". Nobody else of those in its table rt_protos has it.
 */
#define POOL_ROUTE_PROTOCOL 70

/*
 * Whether this host has another use for addresses of the pool: an interface with one, or a route
 * that leads to some. Those that lead nearly everywhere, as the default route, are no use of them,
 * nor are those that lead nowhere. Returns 0, or -EADDRINUSE with a sentence that names it.
 */
int pool_route_check_free(const struct prefix *pool, struct error *err);

/* Returns 0, -EEXIST where it is there already, or another -errno with a sentence. */
int pool_route_add(const struct prefix *pool, struct error *err);

/*
 * Takes away all of ours but the one of that pool, which may be NULL. Returns how many, or -errno
 * with a sentence.
 */
int pool_route_remove_others(const struct prefix *pool, struct error *err);

/* How packets of this host go to some address. */
struct pool_way {
	bool is_local;		  /* they stay here */
	struct address gateway;	  /* AF_UNSPEC: none */
	char device[IF_NAMESIZE]; /* "" where it has gone meanwhile */
	char kind[IF_NAMESIZE];	  /* as "bridge", or "" for hardware */
};

/* Returns 0 or -errno, as -ENETUNREACH. */
int pool_route_find_way(const struct address *to, struct pool_way *ret);

#endif
