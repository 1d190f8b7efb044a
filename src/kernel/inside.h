/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of the kernel path: a pair (veth(4)), of which the one inside, "fairlead0", has the
 * transit range behind it, and accepts packets from addresses of the pool, which are this host's.
 * The other, "fairlead1", brings back what was sent to it, parted into single packets.
 */
#ifndef FAIRLEAD_KERNEL_INSIDE_H
#define FAIRLEAD_KERNEL_INSIDE_H

#include <linux/if_ether.h>
#include <stdint.h>

#include "base/error.h"
#include "net/prefix.h"

#define INSIDE_DEVICE "fairlead0"
#define OUTSIDE_DEVICE "fairlead1"

struct inside {
	uint32_t ifindex, outside_ifindex;
	uint8_t mac[ETH_ALEN], outside_mac[ETH_ALEN];
};

/* What made the route of the transit range (rtm_protocol), and nobody else of rt_protos. */
#define INSIDE_ROUTE_PROTOCOL 71

/*
 * Makes them, or takes over those that an earlier run has left for the same range, through which
 * connections may be going. The MTU is that of IPv4, for what then fits to clients, in fragments, too.
 * Returns 0 or -errno with a sentence.
 */
int inside_open(struct inside *inside, const struct prefix *transit, uint32_t mtu,
		struct error *err);

/* Takes them away, and with them their route and whatever is attached to them. Returns 0 or -errno. */
int inside_close(void);

#endif
