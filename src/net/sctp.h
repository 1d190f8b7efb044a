/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of the SCTP sockets API (RFC 6458) that a relay of one-to-one sockets needs, from the
 * kernel's own header (linux/sctp.h), so that nothing links against libsctp.
 */
#ifndef FAIRLEAD_NET_SCTP_H
#define FAIRLEAD_NET_SCTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The largest message that is passed on whole. A sender cannot make a larger one than its send
 * buffer, which is 208 KiB on Linux and about as much elsewhere, unless it was raised.
 */
#define SCTP_MESSAGE_BYTES_MAX (256 * 1024)

/* What accompanies a message. */
struct sctp_attributes {
	uint16_t stream;
	bool unordered;
	uint32_t ppid; /* as it is on the wire: its meaning is the application's */
};

/* Asks for as many outgoing streams as the peer takes in (SCTP_INITMSG, RFC 6458 section 8.1.3). */
void sctp_set_streams(int fd);

/*
 * Messages leave at once (SCTP_NODELAY), may be as large as SCTP_MESSAGE_BYTES_MAX, and arrive
 * with their stream and PPID (SCTP_RECVRCVINFO); the end of an association is notified
 * (SCTP_ASSOC_CHANGE). Sockets inherit all of it from the listener that accepts them.
 */
void sctp_tune(int fd);

/*
 * Receives a message, or the next part of one, without blocking. Returns its length, 0 at the end
 * of the association, or -errno (-ECONNRESET where the association was aborted or lost).
 * *ret_complete tells whether this was the last part.
 */
ssize_t sctp_receive(int fd, void *bytes, size_t room, struct sctp_attributes *ret_attributes,
		     bool *ret_complete);

/*
 * Sends one message, without blocking, whole or not at all. Returns 0 or -errno: -EPIPE where the
 * association has ended in order, -EINVAL where it has no such stream.
 */
int sctp_send(int fd, const void *bytes, size_t length, const struct sctp_attributes *attributes);

#endif
