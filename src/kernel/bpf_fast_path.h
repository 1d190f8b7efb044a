/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path: packets of a client that go straight to the link of their container. Whether they
 * may is for the host's FORWARD chain to say: a packet that it has let pass is seen when it leaves by
 * that link, and what comes by the same link of clients need not ask for a while. Then the next one
 * goes up the stack again.
 */
#ifndef FAIRLEAD_KERNEL_BPF_FAST_PATH_H
#define FAIRLEAD_KERNEL_BPF_FAST_PATH_H

#include "kernel/bpf_client_packet.h"
#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

/* Which flow a packet to a container is of. NULL where it is of none, or of one that was before. */
INLINE struct flow6 *find_flow_to(const struct __sk_buff *skb, const struct ipv4_begin *begin)
{
	struct flow4_key back = { .pseudo = begin->ip.saddr,
				  .target = begin->ip.daddr,
				  .client_port = begin->ports.source,
				  .target_port = begin->ports.destination,
				  .protocol = begin->ip.protocol };
	const struct flow4 *answers = bpf_map_lookup_elem(&flows4, &back);
	struct flow6_key key = { .client_port = back.client_port, .protocol = back.protocol };
	struct flow6 *flow;

	if (!answers)
		return NULL;
	key.client = answers->client;
	key.host = answers->host;
	key.host_port = answers->host_port;
	flow = bpf_map_lookup_elem(&flows6, &key);
	return flow && flow->link == skb->ifindex && flow->target == back.target &&
			       flow->target_port == back.target_port
		       ? flow
		       : NULL;
}

/* Written only where they differ, since others may be reading them. */
INLINE void learn_addresses(struct flow6 *flow, const struct ethhdr *ethernet)
{
	for (int i = 0; i < ETH_ALEN; i++) {
		if (flow->destination[i] != ethernet->h_dest[i])
			flow->destination[i] = ethernet->h_dest[i];
		if (flow->source[i] != ethernet->h_source[i])
			flow->source[i] = ethernet->h_source[i];
	}
}

/* A packet that leaves for a container. None counts but those that this has sent up the stack. */
INLINE void learn_way(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ethhdr *ethernet = data;
	const struct ipv4_begin *begin = data + sizeof(*ethernet);
	struct flow6 *flow;
	__u32 mtu = 0;

	if (skb->tc_index != asks_forward || skb->ingress_ifindex == 0)
		return;
	skb->tc_index = 0;
	if ((void *)(begin + 1) > end || begin->ip.ihl != 5 ||
	    (begin->ip.frag_off & bpf_htons(0x3fff)))
		return;
	flow = find_flow_to(skb, begin);
	if (!flow)
		return;
	learn_addresses(flow, ethernet);
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	flow->mtu = mtu < 0xffff ? (__u16)mtu : 0xffff;
	flow->passed_by = skb->ingress_ifindex;
	flow->passed_ns = bpf_ktime_get_coarse_ns();
}

/*
 * What is too large, at its last hop, or longer than its header says, is the stack's to deal with. A
 * filter may say that clients have to come by another link.
 */
INLINE __u8 is_fast(const struct __sk_buff *skb, __u32 network, const struct seen6 *seen,
		    const struct flow6 *flow)
{
	__u32 length = sizeof(struct iphdr) + seen->payload_bytes;

	if (skb->gso_size > 0)
		length = sizeof(struct iphdr) + seen->header_bytes + skb->gso_size;
	else if (skb->len != network + sizeof(struct ipv6hdr) + seen->payload_bytes)
		return 0;
	return flow->passed_by == skb->ifindex && flow->seen_ns - flow->passed_ns < recheck_ns &&
	       seen->hop_limit > 1 && length <= flow->mtu;
}

INLINE int to_container(struct __sk_buff *skb, __u32 network, struct seen6 *seen,
			const struct flow6 *flow)
{
	__u32 adjust = flow->adjust_fast, link = flow->link;
	struct ipv4_frame frame = { .ethernet = { .h_proto = bpf_htons(ETH_P_IP) } };

	seen->hop_limit--;
	make_ipv4(skb, seen, pseudo_of(flow->transit), flow->target, flow->target_port,
		  &frame.begin);
	__builtin_memcpy(frame.ethernet.h_dest, flow->destination, ETH_ALEN);
	__builtin_memcpy(frame.ethernet.h_source, flow->source, ETH_ALEN);
	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0) < 0 ||
	    (network == 0 && bpf_skb_change_head(skb, sizeof(frame.ethernet), 0) < 0)) {
		count(DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	store_ipv4(skb, 0, &frame.ethernet, sizeof(frame.ethernet) + sizeof(frame.begin),
		   &seen->key.client, &seen->key.host);
	adjust_checksum(skb, sizeof(frame.ethernet) + sizeof(frame.begin.ip), seen->key.protocol,
			adjust, seen->key.host_port, frame.begin.ports.destination);
	count(TRANSLATED_FROM_CLIENT);
	count(TRANSLATED_FAST);
	skb->mark = 0;
	return (int)bpf_redirect(link, 0);
}

#endif
