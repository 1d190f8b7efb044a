/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP and UDP of containers to clients: IPv4 becomes IPv6 (RFC 7915 section 4), and leaves by the
 * link that leads to the client. What does not fit there in one piece gets the client's transit
 * address, so that the host's IPv4 stack brings it to the device inside, in fragments that do; or the
 * container is told, where it must not be parted.
 */
#ifndef FAIRLEAD_KERNEL_BPF_TO_CLIENT_H
#define FAIRLEAD_KERNEL_BPF_TO_CLIENT_H

#include "kernel/bpf_packet.h"
#include "kernel/bpf_payload.h"
#include "kernel/bpf_tables.h"
#include "kernel/bpf_way.h"

struct seen4 {
	struct flow4_key key;
	__be32 daddr;	     /* the pseudo address, or the transit one */
	__u16 payload_bytes; /* behind the IPv4 header */
	__u16 header_bytes;  /* of these, that of TCP or UDP */
	__u8 tos, ttl;
	__u8 ends;		  /* enum flow_state */
	__u32 sequence, confirms; /* TCP */
	__u8 has_no_checksum;
	__u8 must_not_be_parted;
};

/* Returns false for what is not to be translated. */
INLINE __u8 see4(struct __sk_buff *skb, __u32 network, struct seen4 *ret)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct iphdr *ip = data + network;
	const struct tcphdr *tcp = (const void *)(ip + 1);
	const struct udphdr *udp = (const void *)(ip + 1);

	if ((void *)(udp + 1) > end || ip->ihl != 5 || !is_of_client(ip->daddr) ||
	    (ip->frag_off & bpf_htons(0x3fff)))
		return 0;
	if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP)
		return 0;
	ret->daddr = ip->daddr;
	ret->key.pseudo = pseudo_of(ip->daddr);
	ret->key.target = ip->saddr;
	ret->key.client_port = udp->dest;
	ret->key.target_port = udp->source;
	ret->key.protocol = ip->protocol;
	ret->payload_bytes = bpf_ntohs(ip->tot_len) - sizeof(*ip);
	ret->tos = ip->tos;
	ret->ttl = ip->ttl;
	ret->must_not_be_parted = !!(ip->frag_off & bpf_htons(0x4000));
	if (ip->protocol == IPPROTO_UDP) {
		ret->header_bytes = sizeof(*udp);
		ret->has_no_checksum = udp->check == 0;
		return 1;
	}
	if ((void *)(tcp + 1) > end)
		return 0;
	ret->header_bytes = tcp->doff * 4;
	ret->ends = (tcp->fin ? FLOW_TARGET_ENDED : 0) | (tcp->rst ? FLOW_RESET : 0);
	ret->sequence = bpf_ntohl(tcp->seq);
	ret->confirms = tcp->ack ? bpf_ntohl(tcp->ack_seq) : 0;
	return 1;
}

/* Gives the packet the client's transit address, and lets the stack have it. */
INLINE int leave_to_stack(struct __sk_buff *skb, __u32 network, __be32 before)
{
	const __be32 after = transit_of(before);

	bpf_l3_csum_replace(skb, network + OFFSET_OF(struct iphdr, check), before, after,
			    sizeof(after));
	bpf_skb_store_bytes(skb, network + OFFSET_OF(struct iphdr, daddr), &after, sizeof(after),
			    0);
	count(LEFT_TO_STACK);
	return TC_ACT_UNSPEC;
}

/* Of one packet, or of each that a large one will be parted into. */
INLINE __u8 is_too_large(const struct __sk_buff *skb, const struct seen4 *seen, __u16 mtu)
{
	__u32 length = sizeof(struct iphdr) + seen->payload_bytes;

	if (skb->gso_size > 0)
		length = sizeof(struct iphdr) + seen->header_bytes + skb->gso_size;
	return length > mtu;
}

/* A datagram without a checksum, which IPv6 does not allow (RFC 8200 section 8.1), gets one. */
INLINE int add_udp_checksum(struct __sk_buff *skb, __u32 transport, const struct seen4 *seen,
			    const struct flow4 *flow)
{
	__u64 sum = sum_in6(&flow->client) + sum_in6(&flow->host) + bpf_htonl(seen->payload_bytes) +
		    bpf_htonl(IPPROTO_UDP);
	__u16 check;

	if (add_payload(skb, transport, seen->payload_bytes, &sum) < 0)
		return -1;
	check = checksum(sum);
	if (check == 0)
		check = 0xffff;
	return (int)bpf_skb_store_bytes(skb, transport + OFFSET_OF(struct udphdr, check), &check,
					sizeof(check), BPF_F_RECOMPUTE_CSUM);
}

/*
 * Of the packet, its header and at least eight bytes go back with the error (RFC 792). A checksum that
 * is still to be computed must not be cut off, the kernel says.
 */
INLINE __u32 quoted_bytes(const struct seen4 *seen)
{
	return sizeof(struct iphdr) +
	       (seen->key.protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr));
}

struct error4_frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct icmphdr icmp;
} __attribute__((packed));

/*
 * Answers a packet that cannot be sent on with an error. The stack could not: it knows the client by
 * another address then.
 */
INLINE int refuse(struct __sk_buff *skb, __u32 network, const struct seen4 *seen,
		  const struct icmphdr *error)
{
	const __u32 added = sizeof(struct iphdr) + sizeof(struct icmphdr);
	const __u32 quoted = quoted_bytes(seen);
	struct error4_frame frame = {
		.ethernet = { .h_proto = bpf_htons(ETH_P_IP) },
		.ip = { .version = 4,
			.ihl = 5,
			.tot_len = bpf_htons((__u16)(added + quoted)),
			.ttl = 64,
			.protocol = IPPROTO_ICMP,
			.saddr = seen->daddr,
			.daddr = seen->key.target },
		.icmp = *error,
	};
	const __u32 icmp = network + sizeof(frame.ip);
	struct ethhdr before;
	struct iphdr header;

	if (bpf_skb_load_bytes(skb, 0, &before, sizeof(before)) < 0 ||
	    bpf_skb_change_tail(skb, network + quoted, 0) < 0 ||
	    bpf_skb_adjust_room(skb, (__s32)added, BPF_ADJ_ROOM_MAC, 0) < 0) {
		count(DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	__builtin_memcpy(frame.ethernet.h_dest, before.h_source, ETH_ALEN);
	__builtin_memcpy(frame.ethernet.h_source, before.h_dest, ETH_ALEN);
	header = frame.ip;
	ipv4_set_checksum(&header);
	frame.ip.check = header.check;
	bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), BPF_F_RECOMPUTE_CSUM);
	if (seal_icmp(skb, icmp, sizeof(frame.icmp) + quoted, 0) < 0)
		return TC_ACT_SHOT;
	count(TRANSLATED_ERRORS);
	return (int)bpf_redirect(skb->ifindex, 0);
}

INLINE int to_ipv6(struct __sk_buff *skb, __u32 network, const struct seen4 *seen,
		   const struct flow4 *flow, const struct way *way)
{
	const __u32 transport = network + sizeof(struct ipv6hdr);
	struct ipv6_frame frame = {
		.ethernet = way->ethernet,
		.begin = { .ip = { .version = 6,
				   .priority = seen->tos >> 4,
				   .flow_lbl = { (seen->tos & 0xf) << 4 },
				   .payload_len = bpf_htons(seen->payload_bytes),
				   .nexthdr = seen->key.protocol,
				   .hop_limit = seen->ttl - !is_transit(seen->daddr),
				   .saddr = flow->host,
				   .daddr = flow->client },
			   .ports = { .source = flow->host_port,
				      .destination = seen->key.client_port } },
	};
	__u32 adjust = flow->adjust;

	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0) < 0)
		return -1;
	bpf_skb_store_bytes(skb, network - sizeof(struct ethhdr), &frame.ethernet,
			    sizeof(frame) - sizeof(frame.unused), BPF_F_RECOMPUTE_CSUM);
	if (seen->has_no_checksum)
		return add_udp_checksum(skb, transport, seen, flow);
	adjust_checksum(skb, transport, seen->key.protocol, adjust, seen->key.target_port,
			frame.begin.ports.source);
	return 0;
}

INLINE void count_packet(const struct __sk_buff *skb, struct flow4 *flow, __u64 now_ns, __u32 bytes)
{
	flow->packets += skb->gso_segs > 1 ? skb->gso_segs : 1;
	flow->bytes += bytes;
	flow->seen_ns = now_ns;
}

INLINE int send_to_client(struct __sk_buff *skb, __u32 network, const struct seen4 *seen,
			  struct flow4 *flow, const struct way *way, __u64 now_ns)
{
	count_packet(skb, flow, now_ns,
		     seen->payload_bytes > seen->header_bytes
			     ? seen->payload_bytes - seen->header_bytes
			     : 0);
	if (seen->confirms)
		flow->expects = seen->confirms;
	if (seen->ends)
		flow->state |= seen->ends;
	return leave_by(way, way->ifindex != 0 && to_ipv6(skb, network, seen, flow, way) == 0,
			TRANSLATED_TO_CLIENT);
}

/* That it does not fit to its client in one piece. */
INLINE int tell_too_large(struct __sk_buff *skb, __u32 network, const struct seen4 *seen, __u16 mtu)
{
	const struct icmphdr error = { .type = ICMP_DEST_UNREACH,
				       .code = ICMP_FRAG_NEEDED,
				       .un.frag.mtu = bpf_htons(mtu) };

	return refuse(skb, network, seen, &error);
}

/* That this was its last hop. */
INLINE int tell_too_far(struct __sk_buff *skb, __u32 network, const struct seen4 *seen)
{
	const struct icmphdr error = { .type = ICMP_TIME_EXCEEDED, .code = ICMP_EXC_TTL };

	return refuse(skb, network, seen, &error);
}

/* Of its container, and not of another that uses its address; or of the devices inside. */
INLINE __u8 comes_by(const struct __sk_buff *skb, const struct flow4 *flow)
{
	return skb->ifindex == flow->link || skb->ifindex == inside_ifindex ||
	       skb->ifindex == outside_ifindex;
}

/* `miss`: what becomes of packets that belong to nothing. */
INLINE int to_client(struct __sk_buff *skb, __u32 network, int miss)
{
	struct seen4 seen = {};
	struct flow4 *flow;
	struct way way;
	__u64 now_ns;

	if (!see4(skb, network, &seen))
		return TC_ACT_UNSPEC;
	flow = bpf_map_lookup_elem(&flows4, &seen.key);
	if (flow && !comes_by(skb, flow))
		flow = NULL;
	if (!flow) {
		if (miss == TC_ACT_SHOT)
			count(DROPPED_STRAY);
		return miss;
	}
	/* the device inside parts it, and its other end has it come back here */
	if (seen.key.protocol == IPPROTO_UDP && skb->gso_size > 0)
		return skb->ifindex == inside_ifindex ? TC_ACT_UNSPEC
						      : (int)bpf_redirect(inside_ifindex, 0);
	if (flow->state & FLOW_STOPPED)
		return miss;
	now_ns = bpf_ktime_get_coarse_ns();
	find_way(skb, flow, now_ns, &way);
	if (is_transit(seen.daddr)) /* the stack has looked at it */
		return send_to_client(skb, network, &seen, flow, &way, now_ns);
	if (seen.ttl <= 1)
		return tell_too_far(skb, network, &seen);
	if (is_too_large(skb, &seen, way.mtu))
		return seen.must_not_be_parted ? tell_too_large(skb, network, &seen, way.mtu)
					       : leave_to_stack(skb, network, seen.daddr);
	return send_to_client(skb, network, &seen, flow, &way, now_ns);
}

#endif
