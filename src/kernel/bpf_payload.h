/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checksums in packets: those that are made anew, of all that they cover, and those that change. */
#ifndef FAIRLEAD_KERNEL_BPF_PAYLOAD_H
#define FAIRLEAD_KERNEL_BPF_PAYLOAD_H

#include "kernel/bpf_packet.h"
#include "kernel/bpf_tables.h"

#define PIECES_MAX 4

/* Reads it in pieces, the last of which ends with zeros. Returns -1 where it is too long. */
INLINE int add_payload(struct __sk_buff *skb, __u32 offset, __u32 length, __u64 *sum)
{
	__u32 zero = 0, left = length;
	struct piece *piece = bpf_map_lookup_elem(&pieces, &zero);

	if (!piece || left > PIECES_MAX * PIECE_BYTES)
		return -1;
	for (int i = 0; i < PIECES_MAX && left > 0; i++) {
		__u64 bytes = left < PIECE_BYTES ? left : PIECE_BYTES;

		CHECKED(bytes);
		bytes = WITHIN(bytes, PIECE_BYTES);
		__builtin_memset(piece, 0, sizeof(*piece));
		if (bpf_skb_load_bytes(skb, offset + i * PIECE_BYTES, piece, (__u32)bytes) < 0)
			return -1;
		*sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)piece, sizeof(*piece), 0);
		left -= (__u32)bytes;
	}
	return 0;
}

/* Stores the checksum of an ICMP message in which it is zero. `sum`: what it covers besides. */
INLINE int seal_icmp(struct __sk_buff *skb, __u32 icmp, __u32 length, __u64 sum)
{
	__u16 check;

	if (add_payload(skb, icmp, length, &sum) < 0)
		return -1;
	check = checksum(sum);
	return (int)bpf_skb_store_bytes(skb, icmp + OFFSET_OF(struct icmphdr, checksum), &check,
					sizeof(check), BPF_F_RECOMPUTE_CSUM);
}

/*
 * Of TCP or UDP, where the kernel itself does not know of it: in an ICMP error, or in a fragment.
 * Returns -1 where there is none, or it is cut off.
 */
INLINE int change_checksum(struct __sk_buff *skb, __u32 transport, __u8 protocol, __u32 change)
{
	__u32 at = transport + checksum_offset(protocol);
	__u16 check;

	if (bpf_skb_load_bytes(skb, at, &check, sizeof(check)) < 0 ||
	    (protocol == IPPROTO_UDP && check == 0))
		return -1;
	check = checksum((__u64)(__u16)~check + change);
	return (int)bpf_skb_store_bytes(skb, at, &check, sizeof(check), BPF_F_RECOMPUTE_CSUM);
}

#endif
