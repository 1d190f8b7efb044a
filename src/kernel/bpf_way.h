/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By which link a translated packet leaves for its client, and to which neighbour. */
#ifndef FAIRLEAD_KERNEL_BPF_WAY_H
#define FAIRLEAD_KERNEL_BPF_WAY_H

#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

#ifndef AF_INET6
#define AF_INET6 10
#endif

/* A route is looked up again, and the neighbour asked for its address, so often. */
#define ROUTE_NS 1000000000ull

/* Looks up by which link and to whom; the neighbour may not be known yet. */
INLINE void find_route(struct __sk_buff *skb, struct flow4 *flow, __u64 now_ns)
{
	struct bpf_fib_lookup route = { .family = AF_INET6, .ifindex = inside_ifindex };
	long r;

	__builtin_memcpy(route.ipv6_src, &flow->host, sizeof(flow->host));
	__builtin_memcpy(route.ipv6_dst, &flow->client, sizeof(flow->client));
	r = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	if (r == BPF_FIB_LKUP_RET_SUCCESS || r == BPF_FIB_LKUP_RET_NO_NEIGH) {
		flow->ifindex = route.ifindex;
		flow->mtu = route.mtu_result > HEADER_GROWTH ? route.mtu_result - HEADER_GROWTH : 0;
	}
	if (r != BPF_FIB_LKUP_RET_SUCCESS)
		return;
	__builtin_memcpy(flow->destination, route.dmac, ETH_ALEN);
	__builtin_memcpy(flow->source, route.smac, ETH_ALEN);
	flow->route_until_ns = now_ns + ROUTE_NS;
}

/* A copy of it, as a flow may change meanwhile. */
struct way {
	__u32 ifindex; /* 0: there is none */
	__u16 mtu;
	__u8 is_fresh; /* looked up lately */
	struct ethhdr ethernet;
};

INLINE void find_way(struct __sk_buff *skb, struct flow4 *flow, __u64 now_ns, struct way *ret)
{
	ret->is_fresh = flow->route_until_ns > now_ns;
	if (!ret->is_fresh)
		find_route(skb, flow, now_ns);
	ret->ifindex = flow->ifindex;
	ret->mtu = flow->mtu > 0 ? flow->mtu : (__u16)mtu_inside;
	ret->ethernet.h_proto = bpf_htons(ETH_P_IPV6);
	__builtin_memcpy(ret->ethernet.h_dest, flow->destination, ETH_ALEN);
	__builtin_memcpy(ret->ethernet.h_source, flow->source, ETH_ALEN);
}

/* Sends what has been translated, if it has. */
INLINE int leave_by(const struct way *way, __u8 is_translated, enum translator_counter counter)
{
	if (!is_translated) {
		count(DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	count(counter);
	/* now and then by the neighbour's entry, for it to be kept up to date */
	return (int)(way->is_fresh ? bpf_redirect(way->ifindex, 0)
				   : bpf_redirect_neigh(way->ifindex, NULL, 0, 0));
}

#endif
