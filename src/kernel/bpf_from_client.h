/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP and UDP of clients: IPv6 becomes IPv4 (RFC 7915 section 5), with the client's transit address
 * as its source and the container as its destination, and goes up the host's IPv4 stack, which
 * forwards it like any other packet, unless it may take the fast path. What cannot be translated
 * stays as it is, for the relay.
 */
#ifndef FAIRLEAD_KERNEL_BPF_FROM_CLIENT_H
#define FAIRLEAD_KERNEL_BPF_FROM_CLIENT_H

#include "kernel/bpf_client_packet.h"
#include "kernel/bpf_fast_path.h"
#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

INLINE __u8 is_denied(const struct published *published_here, const struct in6_addr *client)
{
	struct filter_key key = { .prefixlen = 32 + 128,
				  .rule = bpf_htonl(published_here->rule),
				  .prefix = *client };
	const struct filter_value *filter;

	if (!published_here->filtered)
		return 0;
	filter = bpf_map_lookup_elem(&filters, &key);
	return !filter || !filter->allows;
}

/* Whether the relay has a connection of these addresses and ports. */
INLINE __u8 is_of_relay(struct __sk_buff *skb, const struct flow6_key *key)
{
	struct bpf_sock_tuple tuple = { .ipv6 = { .sport = key->client_port,
						  .dport = key->host_port } };
	struct bpf_sock *found;
	__u8 is_open;

	__builtin_memcpy(tuple.ipv6.saddr, &key->client, sizeof(key->client));
	__builtin_memcpy(tuple.ipv6.daddr, &key->host, sizeof(key->host));
	found = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return 0;
	is_open = found->state != BPF_TCP_LISTEN;
	bpf_sk_release(found);
	return is_open;
}

/*
 * Whether there is one too many by now: whoever forges addresses is left to the relay, which has
 * handshakes and syncookies.
 */
INLINE __u8 is_too_often(void)
{
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	__u32 zero = 0;
	struct pace *pace = bpf_map_lookup_elem(&paces, &zero);

	if (!pace)
		return 1;
	if (now_ns - pace->since_ns > PACE_NS) {
		pace->since_ns = now_ns;
		pace->count = 0;
	}
	return ++pace->count > PACE_UPCALLS;
}

/* Hands the packet to the daemon, which finds an address for its client, and sends it again. */
INLINE int call_up(struct __sk_buff *skb, __u32 network)
{
	struct upcall *upcall;
	__u64 length = skb->len - network;

	CHECKED(length);
	if (length == 0 || length > UPCALL_BYTES_MAX)
		return TC_ACT_UNSPEC;
	if (is_too_often()) {
		count(UPCALLS_LOST);
		return TC_ACT_UNSPEC;
	}
	length = WITHIN(length, UPCALL_BYTES_MAX);
	upcall = bpf_ringbuf_reserve(&upcalls, sizeof(*upcall), 0);
	if (!upcall) {
		count(UPCALLS_LOST);
		return TC_ACT_UNSPEC;
	}
	upcall->ifindex = skb->ifindex;
	upcall->length = (__u32)length;
	if (bpf_skb_load_bytes(skb, network, upcall->packet, (__u32)length) < 0) {
		bpf_ringbuf_discard(upcall, 0);
		return TC_ACT_UNSPEC;
	}
	bpf_ringbuf_submit(upcall, 0);
	count(UPCALLS);
	return TC_ACT_SHOT;
}

/* A client may use one port towards two of the host's: the container could not tell them apart. */
INLINE __u8 is_taken(const struct flow4 *answers, const struct flow6_key *key)
{
	return answers && !(answers->state & (FLOW_RESET | FLOW_TARGET_ENDED | FLOW_STOPPED)) &&
	       (answers->host_port != key->host_port || !is_same_in6(&answers->host, &key->host));
}

/* What answers need to find back. */
INLINE int add_answers(const struct flow6_key *key, const struct flow6 *flow)
{
	struct flow4_key back = { .pseudo = pseudo_of(flow->transit),
				  .target = flow->target,
				  .client_port = key->client_port,
				  .target_port = flow->target_port,
				  .protocol = key->protocol };
	struct flow4 answers = { .host_port = key->host_port,
				 .link = flow->link,
				 .client = key->client,
				 .host = key->host };

	answers.adjust = sum_change((__u64)back.pseudo + flow->target,
				    sum_in6(&key->client) + sum_in6(&key->host));
	if (is_taken(bpf_map_lookup_elem(&flows4, &back), key))
		return -1;
	return (int)bpf_map_update_elem(&flows4, &back, &answers, BPF_ANY);
}

INLINE struct flow6 *add_flow(const struct flow6_key *key, const struct published *published_here,
			      __be32 pseudo)
{
	struct flow6 flow = { .begun_ns = bpf_ktime_get_coarse_ns(),
			      .transit = transit_of(pseudo),
			      .aim = published_here->aim,
			      .target = published_here->target,
			      .link = published_here->link,
			      .target_port = published_here->target_port };

	flow.adjust = sum_change(sum_in6(&key->client) + sum_in6(&key->host),
				 (__u64)flow.transit + flow.aim);
	flow.adjust_fast = sum_change(sum_in6(&key->client) + sum_in6(&key->host),
				      (__u64)pseudo + flow.target);
	if (bpf_map_update_elem(&flows6, key, &flow, BPF_ANY) == 0 && add_answers(key, &flow) == 0)
		return bpf_map_lookup_elem(&flows6, key);
	bpf_map_delete_elem(&flows6, key);
	count(LEFT_TO_RELAY);
	return NULL;
}

/* Addresses that no client of another link has: ::/8, fe80::/10, ff00::/8 (RFC 4291 section 2.4). */
INLINE __u8 is_no_source(const struct in6_addr *client)
{
	__u8 first = client->in6_u.u6_addr8[0];

	return first == 0 || first == 0xff ||
	       (first == 0xfe && (client->in6_u.u6_addr8[1] & 0xc0) == 0x80);
}

/* The other end of the device inside parts what is many datagrams, and has them come back here. */
INLINE int part(struct __sk_buff *skb, __u32 network)
{
	if (network < sizeof(struct ethhdr))
		return TC_ACT_UNSPEC;
	for (int i = 0; i < ETH_ALEN; i++)
		bpf_skb_store_bytes(skb, i, (const void *)&inside_mac[i], 1, 0);
	return (int)bpf_redirect(outside_ifindex, 0);
}

/* For a packet of no flow that is known. NULL: *ret_verdict is what becomes of it. */
INLINE struct flow6 *begin(struct __sk_buff *skb, __u32 network, const struct flow6_key *key,
			   __u8 begins, int *ret_verdict)
{
	struct published_key where = { .host = key->host,
				       .port = key->host_port,
				       .protocol = key->protocol };
	const struct published *published_here = bpf_map_lookup_elem(&published, &where);
	const struct client_value *client;

	*ret_verdict = TC_ACT_UNSPEC;
	if (!published_here || is_no_source(&key->client))
		return NULL;
	if (is_denied(published_here, &key->client)) {
		count(DENIED);
		return NULL;
	}
	if (!begins && published_here->has_relay && is_of_relay(skb, key))
		return NULL;
	client = bpf_map_lookup_elem(&clients, &key->client);
	if (client && client->pseudo)
		return add_flow(key, published_here, client->pseudo);
	if (client)
		count(LEFT_TO_RELAY);
	else if (begins)
		*ret_verdict = skb->gso_size > 0 ? part(skb, network) : call_up(skb, network);
	return NULL;
}

/* Of what has become IPv4, if its link has headers at all. */
INLINE void set_ethertype(struct __sk_buff *skb, __u32 network)
{
	const __be16 type = bpf_htons(ETH_P_IP);

	if (network > 0)
		bpf_skb_store_bytes(skb, network - sizeof(type), &type, sizeof(type), 0);
}

INLINE int to_ipv4(struct __sk_buff *skb, __u32 network, const struct seen6 *seen,
		   const struct flow6 *flow)
{
	const __u32 transport = network + sizeof(struct iphdr);
	__u32 adjust = flow->adjust;
	struct ipv4_frame frame = { .ethernet = { .h_proto = bpf_htons(ETH_P_IP) } };

	make_ipv4(skb, seen, flow->transit, flow->aim, flow->target_port, &frame.begin);
	if (bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0) < 0) {
		count(DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	if (network > 0)
		store_ipv4(skb, network - sizeof(frame.ethernet.h_proto), &frame.ethernet.h_proto,
			   sizeof(frame.ethernet.h_proto) + sizeof(frame.begin), &seen->key.client,
			   &seen->key.host);
	else
		store_ipv4(skb, 0, &frame.begin, sizeof(frame.begin), &seen->key.client,
			   &seen->key.host);
	adjust_checksum(skb, transport, seen->key.protocol, adjust, seen->key.host_port,
			frame.begin.ports.destination);
	skb->mark = TRANSIT_MARK;
	skb->tc_index = asks_forward;
	count(TRANSLATED_FROM_CLIENT);
	return TC_ACT_UNSPEC;
}

INLINE struct flow4 *find_answers(const struct flow6_key *key, const struct flow6 *flow)
{
	struct flow4_key back = { .pseudo = pseudo_of(flow->transit),
				  .target = flow->target,
				  .client_port = key->client_port,
				  .target_port = flow->target_port,
				  .protocol = key->protocol };

	return bpf_map_lookup_elem(&flows4, &back);
}

/* Whether the ports are those of an earlier connection; a SYN may also be sent once more. */
INLINE __u8 begins_anew(const struct seen6 *seen, const struct flow6 *flow)
{
	const struct flow4 *answers;

	if (!seen->begins || seen->key.protocol != IPPROTO_TCP)
		return 0;
	answers = find_answers(&seen->key, flow);
	return flow->state != FLOW_BEGINS || (answers && (answers->state || flow->expects));
}

/* One that the container takes for an end: others may know addresses and ports, but not the bytes. */
INLINE __u8 is_end(const struct seen6 *seen, const struct flow6 *flow)
{
	const struct flow4 *answers = find_answers(&seen->key, flow);

	return answers && is_expected(seen->sequence, answers->expects);
}

INLINE void count_from_client(const struct __sk_buff *skb, const struct seen6 *seen,
			      struct flow6 *flow)
{
	flow->packets += skb->gso_segs > 1 ? skb->gso_segs : 1;
	if (seen->payload_bytes > seen->header_bytes)
		flow->bytes += seen->payload_bytes - seen->header_bytes;
	flow->seen_ns = bpf_ktime_get_coarse_ns();
	if (seen->confirms)
		flow->expects = seen->confirms;
	if (seen->ends && is_end(seen, flow))
		flow->state |= seen->ends;
}

INLINE int from_client(struct __sk_buff *skb, __u32 network)
{
	struct seen6 seen = {};
	struct flow6 *flow;
	int verdict;

	if (!see(skb, network, &seen))
		return TC_ACT_UNSPEC;
	flow = bpf_map_lookup_elem(&flows6, &seen.key);
	if (!flow || begins_anew(&seen, flow)) {
		flow = begin(skb, network, &seen.key, seen.begins, &verdict);
		if (!flow)
			return verdict;
	}
	if (seen.key.protocol == IPPROTO_UDP && skb->gso_size > 0)
		return part(skb, network);
	if (flow->state & FLOW_STOPPED)
		return TC_ACT_UNSPEC;
	count_from_client(skb, &seen, flow);
	return is_fast(skb, network, &seen, flow) ? to_container(skb, network, &seen, flow)
						  : to_ipv4(skb, network, &seen, flow);
}

#endif
