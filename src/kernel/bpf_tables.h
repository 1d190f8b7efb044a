/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and what is set once, before the programs are loaded. */
#ifndef FAIRLEAD_KERNEL_BPF_TABLES_H
#define FAIRLEAD_KERNEL_BPF_TABLES_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "kernel/maps.h"

/* Not above what a host with many containers needs; memory is taken as it is needed. */
#define PUBLISHED_MAX 65536
#define FILTERS_MAX 65536
#define CLIENTS_MAX 1048576
#define FLOWS_MAX 262144
#define FRAGMENTED_MAX 4096 /* packets in fragments, on their way at the same time */
#define UPCALL_RING_BYTES (1024 * 1024)

const volatile __be32 pool, pool_mask; /* the network of pseudo-IPv4 addresses */
const volatile __be32 transit;	       /* that of transit addresses, as long as the pool */
const volatile __u32 inside_ifindex;   /* the device to which the transit range is routed */
const volatile __u32 outside_ifindex;  /* its other end */
const volatile __u8 inside_mac[ETH_ALEN];
const volatile __u32 mtu_inside;   /* of IPv4, for what then fits to any client */
const volatile __u64 recheck_ns;   /* for how long FORWARD need not be asked again about a flow */
const volatile __u32 asks_forward; /* in tc_index, beside a packet that goes up the stack */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PUBLISHED_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct published_key);
	__type(value, struct published);
} published SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, FILTERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct filter_key);
	__type(value, struct filter_value);
} filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CLIENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct in6_addr);
	__type(value, struct client_value);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow6_key);
	__type(value, struct flow6);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow4_key);
	__type(value, struct flow4);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTED_MAX);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, UPCALL_RING_BYTES);
} upcalls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRANSLATOR_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* New clients of a processor, in a tenth of a second. */
#define PACE_NS 100000000ull
#define PACE_UPCALLS 100

struct pace {
	__u64 since_ns, count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pace);
} paces SEC(".maps");

/* Room to read a packet's payload into. */
#define PIECE_BYTES 512

struct piece {
	__u8 bytes[PIECE_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct piece);
} pieces SEC(".maps");

static __always_inline __be32 transit_of(__be32 address)
{
	return (address & ~pool_mask) | transit;
}

static __always_inline __be32 pseudo_of(__be32 address)
{
	return (address & ~pool_mask) | pool;
}

static __always_inline __u8 is_transit(__be32 address)
{
	return (address & pool_mask) == transit;
}

/* Of a client, in either network. */
static __always_inline __u8 is_of_client(__be32 address)
{
	return is_transit(address) || (address & pool_mask) == pool;
}

static __always_inline void count(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &which);

	if (counter)
		++*counter;
}

#endif
