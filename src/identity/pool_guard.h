/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard of a pool: the nftables table "ip fairlead", in which nobody else's rules are, and which
 * changes no other table.
 *
 * With the pool's route, every address of the pool is this host's. Whoever can send packets to it,
 * containers above all, would reach its services there: those bound to 0.0.0.0 or [::], and what an
 * engine publishes, since its rules translate whatever goes to an address of the host. The guard
 * sees a packet for the pool first (prerouting, priority raw: before connection tracking and any
 * translation, on every interface, lo included) and lets pass only:
 *
 *   - TCP, but for what begins a connection (SYN without ACK). That is refused with a reset;
 *   - UDP, and errors of ICMP, for a socket that is bound to that very address of the pool, and, if it
 *     is connected, come from its peer. Other UDP is refused as an unreachable port is;
 *   - echo replies, for pool_reach_check();
 *   - fragments behind the first, which are nothing without it.
 *
 * The rest is dropped, echo requests among it. Refusing, and not with silence, is for servers that
 * call their clients back, as for RFC 1413: they get their answer at once, the same whether anybody
 * listens at that port or not. None of this needs connection tracking.
 *
 * Where others translate sources (a chain of type nat at postrouting, of nftables or of iptables), a
 * source in the pool is kept from it: an engine without its userland proxy masquerades what comes
 * from addresses of the host, and so containers would take all clients for the gateway, which some
 * trust. Those hosts have connection tracking for it already.
 *
 * Kernels before 5.10 lack some of it (socket wildcard, reject at prerouting). There, packets for the
 * pool pass if connection tracking knows them as answers, and are dropped otherwise; tracking is
 * then on for all of the host's packets, if it was not.
 *
 * The table stays if the process is killed, since sockets and the route do for some time. It is
 * replaced as a whole, in one transaction.
 */
#ifndef FAIRLEAD_IDENTITY_POOL_GUARD_H
#define FAIRLEAD_IDENTITY_POOL_GUARD_H

#include <stdbool.h>

#include "base/error.h"
#include "net/prefix.h"

#define POOL_GUARD_TABLE "fairlead"
#define POOL_GUARD_LISTED_MAX 2048

struct nft_ctx;

enum pool_guard_kind {
	POOL_GUARD_SOCKETS,
	POOL_GUARD_TRACKING, /* for older kernels */
};

struct pool_guard {
	struct nft_ctx *nft;
	struct prefix pool;
	enum pool_guard_kind kind;
	bool shields; /* from translation by others */
	char listed
		[POOL_GUARD_LISTED_MAX]; /* the table as nft(8) shows it, right after it was set */
};

/*
 * Sets the guard, in place of one that is there. The kind is the first that the kernel has, from
 * `kind` on. Returns 0 or -errno with a sentence.
 */
int pool_guard_open(struct pool_guard *guard, const struct prefix *pool, enum pool_guard_kind kind,
		    struct error *err);

/* Takes it away. */
void pool_guard_close(struct pool_guard *guard);

/*
 * Sets it again if it is not as it was set, as after "nft flush ruleset", or if others have begun to
 * translate sources, or ended it. Returns 0 where it was right, 1 where it is again, or -errno with a
 * sentence.
 */
int pool_guard_check(struct pool_guard *guard, struct error *err);

/* Takes away one that is there. Returns 1, 0 where there was none, or -errno with a sentence. */
int pool_guard_remove(struct error *err);

#endif
