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

#include "base/error.h"
#include "net/prefix.h"

/*
 * Engines from Docker 28 on drop, in the table raw, what comes from outside for a container's own
 * address. Where there is such a table, packets are sent to another address (an aim) up to there.
 */
bool forwarding_needs_aims(void);

/* Sends what comes to the aim to the container. Returns 0 or -errno with a sentence. */
int forwarding_add_aim(const struct address *aim, const struct address *container,
		       struct error *err);

/* `transit` has one bit more than the pool. Returns 0 or -errno with a sentence. */
int forwarding_open(const struct prefix *pool, const struct prefix *transit, struct error *err);
void forwarding_close(void);

#endif
