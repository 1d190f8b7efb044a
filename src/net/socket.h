/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: made, taken over, set up, and ended in the way that is meant. */
#ifndef FAIRLEAD_NET_SOCKET_H
#define FAIRLEAD_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/address.h"
#include "net/protocol.h"

/*
 * A non-blocking socket bound to the address and, for TCP and SCTP, listening with the kernel's
 * largest backlog. IPv6 sockets are IPV6_V6ONLY, as docker-proxy's are. UDP sockets get PKTINFO and
 * may broadcast. Returns the descriptor or -errno with a sentence in err.
 */
int socket_listen(enum protocol protocol, const struct address *address, struct error *err);

/*
 * Takes over a listening (UDP: bound) socket that somebody else made: checks that it is one, of
 * that protocol, and makes it non-blocking and close-on-exec. The options set on it stay. Returns 0
 * or -errno with a sentence in err; the descriptor stays the caller's.
 */
int socket_adopt(int fd, enum protocol protocol, struct error *err);

/* Whether this host has IPv6 at all. */
bool socket_has_ipv6(void);

/* A non-blocking socket to connect with. Returns the descriptor or -errno. */
int socket_open(enum protocol protocol, int family);

/*
 * Has a socket connect from that IPv4 address: from its port, unless that is taken, or below 32768
 * (then from any). Returns 0 or -errno: -ENONET where this host has no such address.
 */
int socket_bind_source(int fd, const struct address *source);

/*
 * No Nagle delay; urgent data among the rest, or recv(2) would leave a byte out (tcp(7), RFC 6093).
 * Sockets inherit it from the listener that accepts them (kernel test accept).
 */
void socket_tune_stream(int fd, enum protocol protocol);

/*
 * TCP keepalive probes after keepalive_s idle, keepalive_s apart, as many as
 * net.ipv4.tcp_keepalive_probes says (9, which is also what docker-proxy sets); none where it is 0.
 * Inherited, too.
 */
void socket_keep_alive(int fd, enum protocol protocol, uint32_t keepalive_s);

/*
 * Whether acknowledgements wait for data to go with them, for up to 40 ms, and up to 200 ms for
 * that of the peer's SYN (TCP_QUICKACK off, tcp(7)). Not for long: the peer may wait in turn, to
 * send more (Nagle's algorithm).
 */
void socket_delay_ack(int fd, bool delay);

/*
 * Sets what the kernel may keep of what was received and nobody has read (SO_RCVBUF, socket(7)).
 * That of TCP it would else let grow with the pace of the sender, to 32 MiB where tcp_rmem is that
 * of recent kernels (tcp(7)); that of UDP it never changes. Without CAP_NET_ADMIN, net.core.rmem_max
 * is a bound too.
 */
void socket_set_receive_buffer(int fd, uint32_t bytes);

/* The same for both buffers of a socket, which are never made smaller by it. */
void socket_raise_buffers(int fd, uint32_t receive_bytes, uint32_t send_bytes);

/* Closes the socket so that the peer sees a reset (SO_LINGER with time 0), and sets *fd to -1. */
void socket_reset(int *fd);

/*
 * The error pending on the socket (SO_ERROR), as a positive errno, and clears it; 0 if there is
 * none.
 */
int socket_take_error(int fd);

/* What was written to the stream socket and the peer has not confirmed yet (SIOCOUTQ, tcp(7)). */
uint32_t socket_unconfirmed_bytes(int fd);

/*
 * Drops what has come to the TCP socket and is not read, about `most` bytes of it (MSG_TRUNC,
 * tcp(7)). Returns 1 if there may be more, 0 if not, or -errno.
 */
int socket_discard(int fd, size_t most);

/*
 * The address the socket is bound to, and the one it is connected to; of family AF_UNSPEC where there
 * is none.
 */
void socket_local_address(int fd, struct address *ret);
void socket_peer_address(int fd, struct address *ret);

/* The family of the socket, AF_INET, AF_INET6 or AF_UNIX; and its protocol, TCP where it is none. */
int socket_family(int fd);
enum protocol socket_protocol(int fd);

/* Raises the soft limit on open descriptors to the hard one and returns what is in force then. */
uint32_t socket_raise_limit(void);

#endif
