/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's IPv4 stack has to know of the kernel path: the nftables table
 * "ip fairlead_kernel". Packets from transit addresses are not tracked, since their answers do not
 * come by; and before the filters of FORWARD see them they have the client's pseudo-IPv4 address, so
 * that rules there, as in DOCKER-USER, name clients as containers do.
 */
#ifndef FAIRLEAD_KERNEL_FORWARDING_H
#define FAIRLEAD_KERNEL_FORWARDING_H

#include "base/error.h"
#include "net/prefix.h"

/* `transit` has one bit more than the pool. Returns 0 or -errno with a sentence. */
int forwarding_open(const struct prefix *pool, const struct prefix *transit, struct error *err);
void forwarding_close(void);

#endif
