/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path: packets of a client that go straight to the link of their container. Whether they
 * may is for the host's FORWARD chain to say: a packet that it has let pass is seen when it leaves by
 * that link, and its flow need not ask for a while. Then the next one goes up the stack again. So
 * order is kept, too: nothing takes the fast path while something is on the slow one.
 */
#ifndef FAIRLEAD_KERNEL_BPF_FAST_PATH_H
#define FAIRLEAD_KERNEL_BPF_FAST_PATH_H

#include "kernel/bpf_client_packet.h"
#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

/* Tells a packet that has not passed FORWARD until it leaves. */
#define IS_FAST 0xfa1

/* Which flow a packet to a container is of. Returns NULL where it is of none, or of another link. */
INLINE struct flow6 *find_flow_to(const struct __sk_buff *skb, const struct ipv4_begin *begin)
{
	struct flow4_key back = { .pseudo = begin->ip.saddr,
				  .target = begin->ip.daddr,
				  .client_port = begin->ports.source,
				  .target_port = begin->ports.destination,
				  .protocol = begin->ip.protocol };
	const struct flow4 *answers = bpf_map_lookup_elem(&flows4, &back);
	struct flow6_key key = { .client_port = back.client_port, .protocol = back.protocol };

	if (!answers || answers->link != skb->ifindex)
		return NULL;
	key.client = answers->client;
	key.host = answers->host;
	key.host_port = answers->host_port;
	return bpf_map_lookup_elem(&flows6, &key);
}

/* A packet that leaves for a container. What this host sends itself says nothing of FORWARD. */
INLINE void learn_way(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ethhdr *ethernet = data;
	const struct ipv4_begin *begin = data + sizeof(*ethernet);
	struct flow6 *flow;
	__u32 mtu = 0;

	if (skb->tc_index == IS_FAST) {
		skb->tc_index = 0;
		return;
	}
	if (skb->ingress_ifindex == 0 || (void *)(begin + 1) > end ||
	    (begin->ip.saddr & pool_mask) != pool || begin->ip.ihl != 5 ||
	    (begin->ip.frag_off & bpf_htons(0x3fff)))
		return;
	flow = find_flow_to(skb, begin);
	if (!flow)
		return;
	__builtin_memcpy(flow->destination, ethernet->h_dest, ETH_ALEN);
	__builtin_memcpy(flow->source, ethernet->h_source, ETH_ALEN);
	bpf_check_mtu(skb, 0, &mtu, 0, 0);
	flow->mtu = mtu < 0xffff ? (__u16)mtu : 0xffff;
	flow->passes_until_ns = bpf_ktime_get_coarse_ns() + recheck_ns;
}

/* What is too large, or at its last hop, is the stack's to refuse. */
INLINE __u8 is_fast(const struct __sk_buff *skb, const struct seen6 *seen, const struct flow6 *flow)
{
	__u32 length = sizeof(struct iphdr) + seen->payload_bytes;

	if (skb->gso_size > 0)
		length = sizeof(struct iphdr) + seen->header_bytes + skb->gso_size;
	return flow->passes_until_ns > flow->seen_ns && seen->hop_limit > 1 && length <= flow->mtu;
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
	bpf_skb_store_bytes(skb, 0, &frame.ethernet, sizeof(frame) - sizeof(frame.unused),
			    BPF_F_RECOMPUTE_CSUM);
	adjust_checksum(skb, sizeof(frame.ethernet) + sizeof(frame.begin.ip), seen->key.protocol,
			adjust, seen->key.host_port, frame.begin.ports.destination);
	count(TRANSLATED_FROM_CLIENT);
	count(TRANSLATED_FAST);
	skb->tc_index = IS_FAST;
	return (int)bpf_redirect(link, 0);
}

#endif
