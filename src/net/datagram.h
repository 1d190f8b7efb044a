/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in batches, each with the local address it was sent to or shall be sent from.
 *
 * Receiving asks for UDP_GRO, so that one buffer may hold many datagrams of one sender (all of
 * `segment_bytes`, the last one possibly shorter). Sending uses UDP_SEGMENT for such a buffer, and
 * for datagrams of one length that follow each other to one receiver: the kernel carries them as
 * one packet as far as it can, and they arrive as they came. See udp(7); kernel documentation:
 * networking/segmentation-offloads.
 */
#ifndef FAIRLEAD_NET_DATAGRAM_H
#define FAIRLEAD_NET_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/address.h"

/*
 * The most that one buffer can be given: an IPv6 UDP datagram of 65535 - 8 bytes, or a GRO packet.
 */
#define DATAGRAM_BYTES_MAX 65536

/* The most one UDP datagram can carry over IPv4: 65535 less 20 (IP) and 8 (UDP). */
#define DATAGRAM_IPV4_PAYLOAD_MAX 65507

/*
 * Messages of one system call. Each has a buffer of 64 KiB, of which pages that are not used cost
 * nothing.
 */
#define DATAGRAM_BATCH 32

struct datagram {
	struct address
		peer; /* sender when received, receiver when sent; AF_UNSPEC on connected sockets */
	struct address local; /* AF_UNSPEC: not known, let the kernel choose */
	uint8_t *bytes;
	uint32_t length;	/* of the whole buffer; 0 is a datagram too */
	uint16_t segment_bytes; /* 0: one datagram; else many, this long each */
	uint16_t head_bytes;	/* sent before the others, and not counted; with segment_bytes 0 */
	const uint8_t *head;
};

/* The memory of a batch. Large: one for each thread, mapped when the first datagram comes. */
struct datagram_batch {
	uint32_t count;
	struct datagram datagrams[DATAGRAM_BATCH];
	uint8_t buffers[DATAGRAM_BATCH][DATAGRAM_BYTES_MAX];
};

/*
 * Asks for the local address of each datagram (IP_PKTINFO, IPV6_RECVPKTINFO; both on a dual-stack
 * socket).
 */
void datagram_want_local_address(int fd, int family);

/* Asks for UDP_GRO, or no longer. Kernels without it go on giving one datagram each. */
void datagram_want_gro(int fd, bool wanted);

/*
 * Receives up to `most` messages without blocking, behind those that are in the batch, as far as
 * there is room. Returns how many, or -errno: -EAGAIN when there are none, -ECONNREFUSED and its
 * like when an ICMP error was waiting (datagrams may follow).
 */
int datagram_receive(int fd, struct datagram_batch *batch, uint32_t most);

/*
 * Takes up to `most` messages off the socket unread, for where there is no memory to read them to.
 * Returns how many there were.
 */
uint32_t datagram_discard(int fd, uint32_t most);

/*
 * Sends datagrams[0..count) without blocking, in as few system calls as it takes. family is that of
 * the socket. A datagram that cannot be sent is left out, and the others are still sent. An ICMP
 * error of an earlier datagram, which the kernel reports in place of sending the next one, does not
 * cost that next one.
 */
struct datagram_sent {
	uint32_t sent;	  /* datagrams, segments counted one by one */
	uint32_t dropped; /* could not be sent */
	uint32_t refused; /* earlier ones, of which an ICMP error told */
	uint64_t sent_bytes;
	int last_error; /* errno of the last one dropped; 0: none */
};
void datagram_send(int fd, int family, const struct datagram *datagrams, uint32_t count,
		   struct datagram_sent *ret);

/*
 * The next datagrams of a buffer that holds several, each by itself; *offset is 0 at first. Returns
 * how many there are, 0 at the end. Their bytes stay the buffer's.
 */
uint32_t datagram_part(const struct datagram *datagram, uint32_t *offset,
		       struct datagram parts[DATAGRAM_BATCH]);

/* How many datagrams the buffer holds. */
static inline uint32_t datagram_segments(const struct datagram *datagram)
{
	if (datagram->segment_bytes == 0 || datagram->length == 0)
		return 1;
	return (datagram->length + datagram->segment_bytes - 1) / datagram->segment_bytes;
}

#endif
