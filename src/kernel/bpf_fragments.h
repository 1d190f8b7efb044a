/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments of what containers send (RFC 7915 section 4.1). At the container's link they are sent by
 * the stack, which parts them further where they would become too large; at the device inside each
 * becomes a fragment of IPv6. Which flow they are of, the first one knows, and the others by its
 * identification; Linux sends them in their order.
 *
 * Those of clients are put together by the host, for the relay.
 */
#ifndef FAIRLEAD_KERNEL_BPF_FRAGMENTS_H
#define FAIRLEAD_KERNEL_BPF_FRAGMENTS_H

#include "kernel/bpf_to_client.h"

#define IPPROTO_IN_FRAGMENTS 44 /* RFC 8200 section 4.5 */

struct fragment_header {
	__u8 protocol, zero;
	__be16 offset; /* in bytes, and 1: there are more */
	__be32 id;
};

struct fragment_frame {
	struct ethhdr ethernet;
	struct ipv6hdr ip;
	struct fragment_header fragment;
} __attribute__((packed));

struct fragment_seen {
	struct iphdr ip;
	struct ports ports; /* of the first one */
	__u8 is_first;
};

INLINE __u8 is_fragment(const struct iphdr *ip)
{
	return !!(ip->frag_off & bpf_htons(0x3fff));
}

INLINE __u8 see_fragment(struct __sk_buff *skb, __u32 network, const struct iphdr *ip,
			 struct fragment_seen *ret)
{
	if (ip->ihl != 5 || !is_of_client(ip->daddr) ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return 0;
	ret->ip = *ip;
	ret->is_first = !(ip->frag_off & bpf_htons(0x1fff));
	return !ret->is_first ||
	       bpf_skb_load_bytes(skb, network + sizeof(*ip), &ret->ports, sizeof(ret->ports)) == 0;
}

/* The flow of it, or NULL. */
INLINE struct flow4 *find_flow_of(const struct fragment_seen *seen)
{
	struct fragment_key key = { .pseudo = pseudo_of(seen->ip.daddr),
				    .target = seen->ip.saddr,
				    .id = seen->ip.id,
				    .protocol = seen->ip.protocol };
	struct fragment_value value = { .flow = { .pseudo = key.pseudo,
						  .target = key.target,
						  .client_port = seen->ports.destination,
						  .target_port = seen->ports.source,
						  .protocol = key.protocol } };
	const struct fragment_value *known;
	struct flow4 *flow;

	if (!seen->is_first) {
		known = bpf_map_lookup_elem(&fragments, &key);
		return known ? bpf_map_lookup_elem(&flows4, &known->flow) : NULL;
	}
	flow = bpf_map_lookup_elem(&flows4, &value.flow);
	if (flow)
		bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	return flow;
}

/* The first one has the header of TCP or UDP, whose checksum is that of the whole. */
INLINE int adjust_first(struct __sk_buff *skb, __u32 transport, const struct fragment_seen *seen,
			const struct flow4 *flow, __u32 adjust)
{
	__be16 port = flow->host_port;

	adjust = sum_fold((__u64)adjust + sum_change(seen->ports.source, port));
	if (change_checksum(skb, transport, seen->ip.protocol, adjust) < 0)
		return -1; /* nobody here has all that it would be made of */
	return (int)bpf_skb_store_bytes(skb, transport, &port, sizeof(port), BPF_F_RECOMPUTE_CSUM);
}

INLINE int fragment_to_ipv6(struct __sk_buff *skb, __u32 network, const struct fragment_seen *seen,
			    const struct flow4 *flow, const struct way *way)
{
	__u16 offset = bpf_ntohs(seen->ip.frag_off);
	struct fragment_frame frame = {
		.ethernet = way->ethernet,
		.ip = { .version = 6,
			.priority = seen->ip.tos >> 4,
			.flow_lbl = { (seen->ip.tos & 0xf) << 4 },
			.payload_len = bpf_htons(bpf_ntohs(seen->ip.tot_len) -
						 sizeof(struct iphdr) +
						 sizeof(struct fragment_header)),
			.nexthdr = IPPROTO_IN_FRAGMENTS,
			.hop_limit = seen->ip.ttl,
			.saddr = flow->host,
			.daddr = flow->client },
		.fragment = { .protocol = seen->ip.protocol,
			      .offset = bpf_htons((__u16)(offset << 3) | (offset >> 13 & 1)),
			      .id = bpf_htonl(bpf_ntohs(seen->ip.id)) },
	};
	__u32 adjust = flow->adjust;

	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0) < 0 ||
	    bpf_skb_adjust_room(skb, sizeof(struct fragment_header), BPF_ADJ_ROOM_NET, 0) < 0)
		return -1;
	bpf_skb_store_bytes(skb, network - sizeof(struct ethhdr), &frame, sizeof(frame),
			    BPF_F_RECOMPUTE_CSUM);
	if (!seen->is_first)
		return 0;
	return adjust_first(skb, network + sizeof(struct ipv6hdr) + sizeof(struct fragment_header),
			    seen, flow, adjust);
}

INLINE int fragment_to_client(struct __sk_buff *skb, __u32 network, const struct iphdr *ip,
			      int miss)
{
	struct fragment_seen seen = {};
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	struct flow4 *flow;
	struct way way;

	if (!see_fragment(skb, network, ip, &seen))
		return miss;
	flow = find_flow_of(&seen);
	if (!flow || !comes_by(skb, flow))
		return miss;
	if (!is_transit(seen.ip.daddr))
		return leave_to_stack(skb, network, seen.ip.daddr);
	count_packet(skb, flow, now_ns, bpf_ntohs(ip->tot_len) - sizeof(*ip));
	find_way(skb, flow, now_ns, &way);
	return leave_by(&way,
			way.ifindex != 0 && fragment_to_ipv6(skb, network, &seen, flow, &way) == 0,
			TRANSLATED_FRAGMENTS);
}

#endif
