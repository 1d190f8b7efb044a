// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Translation between IPv6 clients and IPv4 containers, packet by packet: the programs, by where
 * they are attached (tc, direct action).
 *
 *	client -> uplink_ether, uplink_raw -> the host's IPv4 stack -> container
 *	container -> container_link -> client
 *
 * What the stack has let pass is seen by passed_forward, and what follows need not go there for a
 * while.
 *
 * A pair of devices helps: to the one inside, the transit range is routed; what it sends goes to its
 * other end, outside, and is parted on the way where it is many datagrams in one piece.
 */
#include <linux/if_packet.h>

#include "kernel/bpf_errors.h"
#include "kernel/bpf_fast_path.h"
#include "kernel/bpf_fragments.h"
#include "kernel/bpf_from_client.h"
#include "kernel/bpf_to_client.h"

INLINE __u8 is_of(const struct __sk_buff *skb, __u16 ethertype)
{
	return skb->protocol == bpf_htons(ethertype) && !skb->vlan_present;
}

/* A link may show others' packets, too, as one that somebody captures at. */
INLINE int of_clients(struct __sk_buff *skb, __u32 network)
{
	__u8 next = 0;

	if (!is_of(skb, ETH_P_IPV6) || skb->pkt_type != PACKET_HOST ||
	    bpf_skb_load_bytes(skb, network + OFFSET_OF(struct ipv6hdr, nexthdr), &next,
			       sizeof(next)) < 0)
		return TC_ACT_UNSPEC;
	return next == IPPROTO_ICMPV6 ? error_from_client(skb, network) : from_client(skb, network);
}

INLINE int of_containers(struct __sk_buff *skb, __u32 network, int miss)
{
	struct iphdr ip;

	if (!is_of(skb, ETH_P_IP) || bpf_skb_load_bytes(skb, network, &ip, sizeof(ip)) < 0)
		return TC_ACT_UNSPEC;
	if (is_transit(ip.daddr) && miss != TC_ACT_SHOT) { /* containers are not to know it */
		count(DROPPED_STRAY);
		return TC_ACT_SHOT;
	}
	if (ip.protocol == IPPROTO_ICMP)
		return error_to_client(skb, network);
	return is_fragment(&ip) ? fragment_to_client(skb, network, &ip, miss)
				: to_client(skb, network, miss);
}

/* Ingress of a link to clients. */
SEC("tc")
int uplink_ether(struct __sk_buff *skb)
{
	return of_clients(skb, sizeof(struct ethhdr));
}

/* The same, of one without headers of its own, as WireGuard has. */
SEC("tc")
int uplink_raw(struct __sk_buff *skb)
{
	return of_clients(skb, 0);
}

/* Ingress of a link to containers. What is of no flow may be for the relay. */
SEC("tc")
int container_link(struct __sk_buff *skb)
{
	return of_containers(skb, sizeof(struct ethhdr), TC_ACT_UNSPEC);
}

/* Egress of a link to containers: what the host's stack has let pass. */
SEC("tc")
int passed_forward(struct __sk_buff *skb)
{
	if (is_of(skb, ETH_P_IP))
		learn_way(skb);
	return TC_ACT_UNSPEC;
}

/* Egress of the device inside: what the stack has made of packets for the transit range. */
SEC("tc")
int inside_egress(struct __sk_buff *skb)
{
	return of_containers(skb, sizeof(struct ethhdr), TC_ACT_SHOT);
}

/* Ingress of the device inside: what was parted, and what the daemon sends again. */
SEC("tc")
int inside_ingress(struct __sk_buff *skb)
{
	return of_clients(skb, sizeof(struct ethhdr));
}

/* Ingress of its other end: what was parted. */
SEC("tc")
int outside_ingress(struct __sk_buff *skb)
{
	return of_containers(skb, sizeof(struct ethhdr), TC_ACT_SHOT);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
