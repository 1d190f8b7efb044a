/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host needs for pseudo-IPv4 addresses: their route (pool_route.h), their guard
 * (pool_guard.h), and that no other Fairlead of the same network namespace has its own at the same
 * time.
 *
 * One thread at a time.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_HOST_H
#define FAIRLEAD_IDENTITY_POOL_HOST_H

#include "base/error.h"
#include "identity/pool_guard.h"
#include "net/prefix.h"

struct pool_host {
	struct prefix pool;
	struct pool_guard guard;
	const char *run_directory;
	int lock; /* a file that is locked, or -1: there is none */
};

/*
 * Puts guard and route in place, in that order, and takes over what an earlier run has left. Whoever
 * may do so has CAP_NET_ADMIN.
 *
 * The run directory, whose text stays the caller's, is made if it is not there; where nothing can be
 * written to it, others are not kept out. Returns 0, or -errno with a sentence: -EBUSY where another
 * one is at work here, -EADDRINUSE where the host uses addresses of the pool itself.
 */
int pool_host_open(struct pool_host *host, const struct prefix *pool, const char *run_directory,
		   struct error *err);

/* Takes route and guard away. */
void pool_host_close(struct pool_host *host);

/*
 * Puts in place again what somebody has taken away. Returns 0 where all was there, -EAGAIN with a
 * sentence where it is there again, or another -errno with one.
 */
int pool_host_check(struct pool_host *host, struct error *err);

/*
 * Takes away what a killed process has left. Returns how many things that were, or -errno with a
 * sentence, -EBUSY where they are in use.
 */
int pool_host_cleanup(const char *run_directory, struct error *err);

#endif
