/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers, and the arithmetic of their checksums. */
#ifndef FAIRLEAD_KERNEL_BPF_PACKET_H
#define FAIRLEAD_KERNEL_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define _LINUX_IF_H /* not for us: it would bring the C library in */
#define IFNAMSIZ 16
#include <linux/icmp.h>
#include <linux/icmpv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline

/* linux/stddef.h has it, but under another name in each version. */
#define OFFSET_OF(type, member) __builtin_offsetof(type, member)

/* Keeps the compiler from moving a check of this to where the verifier does not see it. */
#define CHECKED(variable) __asm__ volatile("" : "+r"(variable))

/*
 * A number from 1 to a power of two, said in a way that the verifier of Linux 6.1 understands: it does
 * not conclude from "not 0" that it is at least 1.
 */
#define WITHIN(number, most) ((((number)-1) & ((most)-1)) + 1)

/* The ports of TCP and UDP, which both have first. */
struct ports {
	__be16 source, destination;
};

/* All that a packet's translation replaces in one piece. */
struct ipv4_begin {
	struct iphdr ip;
	struct ports ports;
};

struct ipv6_begin {
	struct ipv6hdr ip;
	struct ports ports;
};

/* The first two bytes are not of it: they align what is behind, which is else written byte by byte. */
struct ipv4_frame {
	__u8 unused[2];
	struct ethhdr ethernet;
	struct ipv4_begin begin;
};

struct ipv6_frame {
	__u8 unused[2];
	struct ethhdr ethernet;
	struct ipv6_begin begin;
};

/*
 * Sums of 16-bit words, as checksums are made of (RFC 1071), kept in 32 bits with carries that are
 * not added yet: words of 32 bits are added, since halves fold into each other.
 */
INLINE __u32 sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)sum;
}

INLINE __u16 checksum(__u64 sum)
{
	__u32 folded = sum_fold(sum);

	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	return (__u16)~folded;
}

INLINE __u64 sum_in6(const struct in6_addr *address)
{
	return (__u64)address->in6_u.u6_addr32[0] + address->in6_u.u6_addr32[1] +
	       address->in6_u.u6_addr32[2] + address->in6_u.u6_addr32[3];
}

INLINE __u8 is_same_in6(const struct in6_addr *a, const struct in6_addr *b)
{
	return ((a->in6_u.u6_addr32[0] ^ b->in6_u.u6_addr32[0]) |
		(a->in6_u.u6_addr32[1] ^ b->in6_u.u6_addr32[1]) |
		(a->in6_u.u6_addr32[2] ^ b->in6_u.u6_addr32[2]) |
		(a->in6_u.u6_addr32[3] ^ b->in6_u.u6_addr32[3])) == 0;
}

/* What is to be added to a sum in which the one takes the place of the other. */
INLINE __u32 sum_change(__u64 before, __u64 after)
{
	return sum_fold((__u64)sum_fold(after) + (__u32)~sum_fold(before));
}

INLINE void ipv4_set_checksum(struct iphdr *ip)
{
	const __u32 *words = (const __u32 *)ip;
	__u64 sum = 0;

	ip->check = 0;
	for (int i = 0; i < 5; i++)
		sum += words[i];
	ip->check = checksum(sum);
}

INLINE __u32 checksum_offset(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? OFFSET_OF(struct tcphdr, check)
				       : OFFSET_OF(struct udphdr, check);
}

/* Ahead of what was confirmed, by not more than a window that is usual. */
#define EXPECTED_BYTES (4u * 1024 * 1024)

INLINE __u8 is_expected(__u32 sequence, __u32 confirmed)
{
	return sequence - confirmed < EXPECTED_BYTES;
}

/*
 * Of TCP and UDP. `addresses`: what they change the sum of the pseudo header by. Where a checksum is
 * still to be computed, the field has that sum alone, and the ports are not in it yet: so these come
 * by themselves, which the kernel then leaves out. A datagram without a checksum keeps none.
 */
INLINE void adjust_checksum(struct __sk_buff *skb, __u32 transport, __u8 protocol, __u32 addresses,
			    __be16 port_before, __be16 port_after)
{
	__u64 mangled = protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 at = transport + checksum_offset(protocol);

	bpf_l4_csum_replace(skb, at, 0, addresses, BPF_F_PSEUDO_HDR | mangled);
	if (port_before != port_after)
		bpf_l4_csum_replace(skb, at, port_before, port_after, sizeof(port_after) | mangled);
}

/*
 * Replaces what bpf_skb_change_proto() has left of a header of IPv6: the last word of its source, and
 * its destination. These are in the sum that a card may have made (CHECKSUM_COMPLETE), and have to go
 * from there. Nothing has to come: a header of IPv4 adds up to nothing, what the ports change is in
 * the checksum behind them, too, and the header of Ethernet is no part of that sum.
 */
INLINE void store_ipv4(struct __sk_buff *skb, __u32 at, const void *bytes, __u32 length,
		       const struct in6_addr *source, const struct in6_addr *destination)
{
	__u64 left = (__u64)source->in6_u.u6_addr32[3] + sum_in6(destination);

	bpf_skb_store_bytes(skb, at, bytes, length, 0);
	bpf_csum_update(skb, ~sum_fold(left));
}

#endif
