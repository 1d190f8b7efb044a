/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs in the kernel and the daemon share: keys and values of their maps. Addresses and
 * ports are in network byte order, times those of CLOCK_MONOTONIC.
 *
 * A client has a pseudo-IPv4 address, which its container sees, and a transit address, which has the
 * same place in another network, and which stands for it between the uplink and the host's FORWARD
 * chain: the pseudo one is the host's own for the relay's sake, and a packet from outside whose
 * source is an own address would not be accepted.
 */
#ifndef FAIRLEAD_KERNEL_MAPS_H
#define FAIRLEAD_KERNEL_MAPS_H

#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/types.h>

/*
 * The mark of packets that were made of clients' ones, from the uplink to FORWARD: whatever else has a
 * transit address as its source is forged.
 */
#define TRANSIT_MARK 0xfa1e0000

/* What IPv6 has more of a header; and what every link of it carries (RFC 8200 section 5). */
#define HEADER_GROWTH 20
#define IPV6_MTU_LEAST 1280

/* published: where clients can go. An entry for each address of the host's, of each port. */
struct published_key {
	struct in6_addr host;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

struct published {
	__be32 target;
	__be32 aim; /* the target, or what stands for it until the table raw is passed */
	__be16 target_port;
	__u8 filtered;	/* the rule has prefixes in `filters` */
	__u8 has_relay; /* the relay has, or may have, TCP sessions of this port */
	__u32 rule;	/* its number in filters */
	__u32 link;	/* that leads to the container: answers come by it */
};

/* filters: prefixes of clients that a rule denies or allows; the longest that matches counts. */
struct filter_key {
	__u32 prefixlen; /* of what follows: 32 for the rule, and that of the prefix */
	__be32 rule;
	struct in6_addr prefix;
};

struct filter_value {
	__u8 allows;
};

/* clients: those whose pseudo-IPv4 address is known. */
struct client_value {
	__be32 pseudo; /* 0: none is to be had, and the relay tells the client so */
};

/*
 * flows6, flows4: a connection, in each direction. Where they are full, clients are left to the
 * relay. Bytes are those behind the headers, as the relay counts them.
 */
struct flow6_key {
	struct in6_addr client, host;
	__be16 client_port, host_port;
	__u8 protocol;
	__u8 zero[3];
};

struct flow4_key {
	__be32 pseudo, target;
	__be16 client_port, target_port;
	__u8 protocol;
	__u8 zero[3];
};

enum flow_state {
	FLOW_BEGINS,
	FLOW_CLIENT_ENDED = 1, /* TCP: a FIN has been seen of the client */
	FLOW_TARGET_ENDED = 2,
	FLOW_RESET = 4,
	FLOW_STOPPED = 8, /* by us: its packets are left to the host, which resets both sides */
};

struct flow6 {
	__u64 packets, bytes;
	__u64 begun_ns, seen_ns;
	__u64 passed_ns; /* when FORWARD has last let a packet pass; 0: never */
	__be32 transit, aim, target;
	__u32 adjust;	   /* what addresses change the checksum of TCP and UDP by, unfolded */
	__u32 adjust_fast; /* the same, on the fast path */
	__u32 link;	   /* that leads to the container */
	__u32 expects;	   /* TCP: the last byte that it has confirmed, and one */
	__u32 passed_by;   /* the link by which the packet came that FORWARD has let pass */
	__be16 target_port;
	__u16 mtu; /* of the container's link, and the addresses there, as of the same packet */
	__u8 destination[ETH_ALEN], source[ETH_ALEN];
	__u8 state;
	__u8 zero[7];
};
/* What lies between members is no more zero, and not to be given to the kernel. */
_Static_assert(sizeof(struct flow6) == 5 * 8 + 8 * 4 + 2 * 2 + 2 * ETH_ALEN + 8,
	       "struct flow6 has no holes");

struct flow4 {
	__u64 packets, bytes;
	__u64 seen_ns;
	__u64 route_until_ns; /* for how long the following is used without being looked up again */
	__u32 ifindex;	      /* the link that leads to the client; that of its last packet */
	__u8 destination[ETH_ALEN], source[ETH_ALEN];
	__u32 adjust;
	__be16 host_port;
	__u16 mtu;     /* of IPv4, for what then fits to that link; 0: not known */
	__u32 link;    /* that leads to the container */
	__u32 expects; /* TCP: the last byte that the container has confirmed, and one */
	__u8 state;
	__u8 zero[7];
	struct in6_addr client, host;
};

/* fragments: of which flow those of one packet are, as its first one tells. */
struct fragment_key {
	__be32 pseudo, target;
	__be16 id;
	__u8 protocol;
	__u8 zero;
};

struct fragment_value {
	struct flow4_key flow;
};

/* upcalls: a packet of a client that has no address yet. */
#define UPCALL_BYTES_MAX 2048

struct upcall {
	__u32 ifindex;
	__u32 length; /* of the packet, which begins with its IPv6 header */
	__u8 packet[UPCALL_BYTES_MAX];
};

/* counters: for each processor. */
enum translator_counter {
	TRANSLATED_FROM_CLIENT,
	TRANSLATED_FAST, /* of these, those that did not pass the host's stack */
	TRANSLATED_TO_CLIENT,
	TRANSLATED_ERRORS,
	LEFT_TO_STACK, /* answers that are too large in one piece, and fragments */
	TRANSLATED_FRAGMENTS,
	DENIED, /* by a rule's prefixes: the relay refuses them */
	UPCALLS,
	UPCALLS_LOST,	/* no room: left to the relay */
	LEFT_TO_RELAY,	/* no room for a flow, or its answers could not be told from another's */
	DROPPED_STRAY,	/* to the transit range, and of no known connection */
	DROPPED_FAILED, /* the kernel refused to change the packet */
	TRANSLATOR_COUNTERS
};

#endif
