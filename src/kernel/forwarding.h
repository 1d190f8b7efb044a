/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's IPv4 stack has to know of the kernel path: the nftables table
 * "ip fairlead_kernel". Packets from transit addresses are not tracked, since their answers do not
 * come by; and before the filters of FORWARD see them they have the client's pseudo-IPv4 address, so
 * that rules there, as in DOCKER-USER, name clients as containers do.
 */
#ifndef FAIRLEAD_KERNEL_FORWARDING_H
#define FAIRLEAD_KERNEL_FORWARDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/prefix.h"

/*
 * Engines from Docker 28 on drop, in the table raw, what comes from outside for a container's own
 * address. Where there is such a table, packets are sent to another address (an aim) up to there.
 */
bool forwarding_needs_aims(void);

/* Of a container, one of the transit range; the same at each start, but for rare collisions. */
struct forwarding_aim {
	struct address container, aim; /* port 0 */
};

struct forwarding {
	struct prefix pool, transit;
	struct forwarding_aim *aims;
	size_t aims_count;
	bool is_set; /* the table is there, with all aims */
};

void forwarding_init(struct forwarding *forwarding, const struct prefix *pool,
		     const struct prefix *transit);

/* Takes the table away, unless it is to stay for the next run. */
void forwarding_fini(struct forwarding *forwarding, bool keeps);

/* An aim for a container, known to the host after forwarding_set(). Returns 0 or -ENOSPC. */
int forwarding_aim_at(struct forwarding *forwarding, const struct address *container,
		      struct address *ret);

/*
 * Makes the table, in place of one that is there and in one step. Returns 0 or -errno with a
 * sentence.
 */
int forwarding_set(struct forwarding *forwarding, struct error *err);

/* Whether it is still there. */
bool forwarding_is_set(void);

/* Takes away what a killed process has left. Returns how many tables. */
int forwarding_cleanup(void);

#endif
