/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A client's packet: what is to be known of it before it is changed, and what it becomes. */
#ifndef FAIRLEAD_KERNEL_BPF_CLIENT_PACKET_H
#define FAIRLEAD_KERNEL_BPF_CLIENT_PACKET_H

#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

/* Larger ones must not be fragmented on their way (RFC 7915 section 5.1). */
#define MAY_FRAGMENT_BYTES 1260

struct seen6 {
	struct flow6_key key;
	__u16 payload_bytes; /* behind the IPv6 header */
	__u16 header_bytes;  /* of these, that of TCP or UDP */
	__u8 traffic_class, hop_limit;
	__u8 begins;		  /* UDP, and SYN without ACK */
	__u8 ends;		  /* enum flow_state */
	__u32 sequence, confirms; /* TCP */
};

/* Returns false for what is not to be translated. */
INLINE __u8 see(struct __sk_buff *skb, __u32 network, struct seen6 *ret)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ipv6_begin *packet = data + network;
	const struct tcphdr *tcp = data + network + sizeof(struct ipv6hdr);
	__u8 protocol;

	if ((void *)(packet + 1) > end)
		return 0;
	protocol = packet->ip.nexthdr;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return 0;
	ret->key.client = packet->ip.saddr;
	ret->key.host = packet->ip.daddr;
	ret->key.client_port = packet->ports.source;
	ret->key.host_port = packet->ports.destination;
	ret->key.protocol = protocol;
	ret->payload_bytes = bpf_ntohs(packet->ip.payload_len);
	ret->traffic_class = packet->ip.priority << 4 | packet->ip.flow_lbl[0] >> 4;
	ret->hop_limit = packet->ip.hop_limit;
	ret->begins = 1;
	ret->ends = 0;
	ret->header_bytes = sizeof(struct udphdr);
	if (protocol == IPPROTO_UDP)
		return 1;
	if ((void *)(tcp + 1) > end)
		return 0;
	ret->header_bytes = tcp->doff * 4;
	ret->begins = tcp->syn && !tcp->ack;
	ret->ends = (tcp->fin ? FLOW_CLIENT_ENDED : 0) | (tcp->rst ? FLOW_RESET : 0);
	ret->sequence = bpf_ntohl(tcp->seq);
	ret->confirms = tcp->ack ? bpf_ntohl(tcp->ack_seq) : 0;
	return 1;
}

/* The headers that it gets (RFC 7915 section 5.1), with its hops as they are. */
INLINE void make_ipv4(const struct __sk_buff *skb, const struct seen6 *seen, __be32 source,
		      __be32 destination, __be16 port, struct ipv4_begin *ret)
{
	__u32 length = sizeof(struct iphdr) + seen->payload_bytes;
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .tos = seen->traffic_class,
			    .tot_len = bpf_htons((__u16)length),
			    .ttl = seen->hop_limit,
			    .protocol = seen->key.protocol,
			    .saddr = source,
			    .daddr = destination };

	if (length > MAY_FRAGMENT_BYTES || skb->gso_size > 0)
		ip.frag_off = bpf_htons(0x4000);
	else
		ip.id = (__be16)bpf_get_prandom_u32();
	ipv4_set_checksum(&ip);
	ret->ip = ip;
	ret->ports.source = seen->key.client_port;
	ret->ports.destination = port;
}

#endif
