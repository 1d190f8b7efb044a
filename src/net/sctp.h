/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of the SCTP sockets API (RFC 6458) that a one-to-one relay needs. Declared here from the
 * kernel's ABI (linux/sctp.h), so that nothing links against libsctp.
 */
#ifndef FAIRLEAD_NET_SCTP_H
#define FAIRLEAD_NET_SCTP_H

/* Asks for as many outgoing streams as the peer takes in (SCTP_INITMSG, RFC 6458 section 8.1.3). */
void sctp_set_streams(int fd);

/* Messages leave at once (SCTP_NODELAY) and arrive with their stream and PPID (SCTP_RECVRCVINFO). */
void sctp_tune(int fd);

#endif
