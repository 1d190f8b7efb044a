/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors, and the begin of a packet that each has in it (RFC 7915 sections 4.2, 4.3, 5.2, 5.3).
 * Those are translated that belong to a flow that is known; above all the one that a packet was too
 * large, since packets of the kernel path must not be fragmented.
 */
#ifndef FAIRLEAD_KERNEL_BPF_ERRORS_H
#define FAIRLEAD_KERNEL_BPF_ERRORS_H

#include "kernel/bpf_from_client.h"
#include "kernel/bpf_to_client.h"

struct error4 {
	struct iphdr ip;
	struct icmphdr icmp;
	struct iphdr inner;
	struct ports ports;
};

struct error6 {
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
	struct ipv6hdr inner;
	struct ports ports;
};

/* From clients, and from routers on the way to them. */

/* Returns false for those that mean nothing to IPv4. */
INLINE __u8 map_to_ipv4(const struct icmp6hdr *from, struct icmphdr *to)
{
	__u32 mtu = bpf_ntohl(from->icmp6_mtu);

	switch (from->icmp6_type) {
	case ICMPV6_DEST_UNREACH:
		to->type = ICMP_DEST_UNREACH;
		to->code = from->icmp6_code == ICMPV6_ADM_PROHIBITED ? ICMP_HOST_ANO
			   : from->icmp6_code == ICMPV6_PORT_UNREACH ? ICMP_PORT_UNREACH
								     : ICMP_HOST_UNREACH;
		return from->icmp6_code <= ICMPV6_PORT_UNREACH;
	case ICMPV6_PKT_TOOBIG:
		if (mtu < IPV6_MTU_LEAST)
			mtu = IPV6_MTU_LEAST;
		to->type = ICMP_DEST_UNREACH;
		to->code = ICMP_FRAG_NEEDED;
		to->un.frag.mtu = bpf_htons((__u16)(mtu - HEADER_GROWTH));
		return mtu <= 0xffff;
	case ICMPV6_TIME_EXCEED:
		to->type = ICMP_TIME_EXCEEDED;
		to->code = from->icmp6_code;
		return 1;
	case ICMPV6_PARAMPROB:
		to->type = ICMP_DEST_UNREACH;
		to->code = ICMP_PROT_UNREACH;
		return from->icmp6_code == ICMPV6_UNK_NEXTHDR;
	default:
		return 0;
	}
}

INLINE int store_error4(struct __sk_buff *skb, __u32 network, struct error4 *error,
			__u32 icmp_bytes, __u32 change)
{
	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0) < 0 ||
	    bpf_skb_adjust_room(skb, -HEADER_GROWTH, BPF_ADJ_ROOM_NET, 0) < 0)
		return -1;
	set_ethertype(skb, network);
	bpf_skb_store_bytes(skb, network, error, sizeof(*error), BPF_F_RECOMPUTE_CSUM);
	/* that of what is in there may be cut off */
	(void)change_checksum(skb, network + OFFSET_OF(struct error4, ports), error->inner.protocol,
			      change);
	return seal_icmp(skb, network + OFFSET_OF(struct error4, icmp), icmp_bytes, 0);
}

INLINE int error_to_ipv4(struct __sk_buff *skb, __u32 network, const struct error6 *seen,
			 const struct flow6_key *key, const struct flow6 *flow)
{
	__u32 icmp_bytes = bpf_ntohs(seen->ip.payload_len) - HEADER_GROWTH;
	__be32 pseudo = pseudo_of(flow->transit);
	struct error4 error = {
		.ip = { .version = 4,
			.ihl = 5,
			.tot_len = bpf_htons((__u16)(sizeof(struct iphdr) + icmp_bytes)),
			.ttl = seen->ip.hop_limit,
			.protocol = IPPROTO_ICMP,
			.saddr = flow->transit,
			.daddr = flow->aim },
		.inner = { .version = 4,
			   .ihl = 5,
			   .tos = seen->inner.priority << 4 | seen->inner.flow_lbl[0] >> 4,
			   .tot_len = bpf_htons((__u16)(sizeof(struct iphdr) +
							bpf_ntohs(seen->inner.payload_len))),
			   .frag_off = bpf_htons(0x4000),
			   .ttl = seen->inner.hop_limit,
			   .protocol = seen->inner.nexthdr,
			   .saddr = flow->target,
			   .daddr = pseudo },
		.ports = { .source = flow->target_port, .destination = key->client_port },
	};
	__u32 change = sum_change(sum_in6(&key->client) + sum_in6(&key->host) + key->host_port,
				  (__u64)pseudo + flow->target + flow->target_port);

	if (!map_to_ipv4(&seen->icmp, &error.icmp))
		return TC_ACT_UNSPEC;
	ipv4_set_checksum(&error.ip);
	ipv4_set_checksum(&error.inner);
	if (store_error4(skb, network, &error, icmp_bytes, change) < 0) {
		count(DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	skb->mark = TRANSIT_MARK;
	count(TRANSLATED_ERRORS);
	return TC_ACT_UNSPEC;
}

INLINE int error_from_client(struct __sk_buff *skb, __u32 network)
{
	struct error6 seen;
	struct flow6_key key = {};
	struct flow6 *flow;

	if (bpf_skb_load_bytes(skb, network, &seen, sizeof(seen)) < 0 ||
	    seen.icmp.icmp6_type >= ICMPV6_INFOMSG_MASK ||
	    (seen.inner.nexthdr != IPPROTO_TCP && seen.inner.nexthdr != IPPROTO_UDP) ||
	    bpf_ntohs(seen.ip.payload_len) < sizeof(seen) - sizeof(seen.ip))
		return TC_ACT_UNSPEC;
	key.client = seen.inner.daddr;
	key.host = seen.inner.saddr;
	key.client_port = seen.ports.destination;
	key.host_port = seen.ports.source;
	key.protocol = seen.inner.nexthdr;
	flow = bpf_map_lookup_elem(&flows6, &key);
	return flow ? error_to_ipv4(skb, network, &seen, &key, flow) : TC_ACT_UNSPEC;
}

/* From containers, and from this host. */

/* Returns false for those that mean nothing to IPv6. */
INLINE __u8 map_to_ipv6(const struct icmphdr *from, struct icmp6hdr *to)
{
	__u32 mtu = bpf_ntohs(from->un.frag.mtu) + HEADER_GROWTH;

	if (from->type == ICMP_TIME_EXCEEDED) {
		to->icmp6_type = ICMPV6_TIME_EXCEED;
		to->icmp6_code = from->code;
		return 1;
	}
	if (from->type != ICMP_DEST_UNREACH)
		return 0;
	to->icmp6_type = ICMPV6_DEST_UNREACH;
	switch (from->code) {
	case ICMP_PROT_UNREACH:
		to->icmp6_type = ICMPV6_PARAMPROB;
		to->icmp6_code = ICMPV6_UNK_NEXTHDR;
		to->icmp6_pointer = bpf_htonl(OFFSET_OF(struct ipv6hdr, nexthdr));
		return 1;
	case ICMP_PORT_UNREACH:
		to->icmp6_code = ICMPV6_PORT_UNREACH;
		return 1;
	case ICMP_FRAG_NEEDED:
		to->icmp6_type = ICMPV6_PKT_TOOBIG;
		to->icmp6_mtu = bpf_htonl(mtu < IPV6_MTU_LEAST ? IPV6_MTU_LEAST : mtu);
		return 1;
	case ICMP_NET_ANO:
	case ICMP_HOST_ANO:
	case ICMP_PKT_FILTERED:
	case ICMP_PREC_CUTOFF:
		to->icmp6_code = ICMPV6_ADM_PROHIBITED;
		return 1;
	case ICMP_PREC_VIOLATION:
		return 0;
	default:
		to->icmp6_code = ICMPV6_NOROUTE;
		return from->code <= NR_ICMP_UNREACH;
	}
}

INLINE int store_error6(struct __sk_buff *skb, __u32 network, const struct error6 *error,
			const struct way *way, __u32 icmp_bytes, __u32 change)
{
	__u64 sum = sum_in6(&error->ip.saddr) + sum_in6(&error->ip.daddr) + bpf_htonl(icmp_bytes) +
		    bpf_htonl(IPPROTO_ICMPV6);

	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0) < 0 ||
	    bpf_skb_adjust_room(skb, HEADER_GROWTH, BPF_ADJ_ROOM_NET, 0) < 0)
		return -1;
	bpf_skb_store_bytes(skb, network - sizeof(way->ethernet), &way->ethernet,
			    sizeof(way->ethernet), BPF_F_RECOMPUTE_CSUM);
	bpf_skb_store_bytes(skb, network, error, sizeof(*error), BPF_F_RECOMPUTE_CSUM);
	(void)change_checksum(skb, network + OFFSET_OF(struct error6, ports), error->inner.nexthdr,
			      change);
	return seal_icmp(skb, network + OFFSET_OF(struct error6, icmp), icmp_bytes, sum);
}

INLINE int error_to_ipv6(struct __sk_buff *skb, __u32 network, const struct error4 *seen,
			 struct flow4 *flow)
{
	__u32 icmp_bytes = bpf_ntohs(seen->ip.tot_len) - sizeof(struct iphdr) + HEADER_GROWTH;
	struct error6 error = {
		.ip = { .version = 6,
			.payload_len = bpf_htons((__u16)icmp_bytes),
			.nexthdr = IPPROTO_ICMPV6,
			.hop_limit = seen->ip.ttl,
			.saddr = flow->host,
			.daddr = flow->client },
		.inner = { .version = 6,
			   .priority = seen->inner.tos >> 4,
			   .flow_lbl = { (seen->inner.tos & 0xf) << 4 },
			   .payload_len = bpf_htons(bpf_ntohs(seen->inner.tot_len) -
						    sizeof(struct iphdr)),
			   .nexthdr = seen->inner.protocol,
			   .hop_limit = seen->inner.ttl,
			   .saddr = flow->client,
			   .daddr = flow->host },
		.ports = { .source = seen->ports.source, .destination = flow->host_port },
	};
	__u32 change = sum_change((__u64)seen->inner.saddr + seen->inner.daddr +
					  seen->ports.destination,
				  sum_in6(&flow->client) + sum_in6(&flow->host) + flow->host_port);
	struct way way;

	if (!map_to_ipv6(&seen->icmp, &error.icmp))
		return TC_ACT_SHOT;
	find_way(skb, flow, bpf_ktime_get_coarse_ns(), &way);
	return leave_by(&way,
			way.ifindex != 0 &&
				store_error6(skb, network, &error, &way, icmp_bytes, change) == 0,
			TRANSLATED_ERRORS);
}

INLINE int error_to_client(struct __sk_buff *skb, __u32 network)
{
	struct error4 seen;
	struct flow4_key key = {};
	struct flow4 *flow;

	if (bpf_skb_load_bytes(skb, network, &seen, sizeof(seen)) < 0 || seen.ip.ihl != 5 ||
	    seen.inner.ihl != 5 || !is_of_client(seen.ip.daddr) ||
	    (seen.ip.frag_off | seen.inner.frag_off) & bpf_htons(0x1fff) ||
	    (seen.inner.protocol != IPPROTO_TCP && seen.inner.protocol != IPPROTO_UDP) ||
	    bpf_ntohs(seen.ip.tot_len) < sizeof(seen))
		return TC_ACT_UNSPEC;
	key.pseudo = pseudo_of(seen.inner.saddr);
	key.target = seen.inner.daddr;
	key.client_port = seen.ports.source;
	key.target_port = seen.ports.destination;
	key.protocol = seen.inner.protocol;
	flow = bpf_map_lookup_elem(&flows4, &key);
	return flow && comes_by(skb, flow) ? error_to_ipv6(skb, network, &seen, flow)
					   : TC_ACT_UNSPEC;
}

#endif
