/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sessions.
 *
 * A UDP client is whoever sends from one address and port to one address of ours, or, where it is a
 * proxy that announces clients, each of those. Each has a socket
 * of its own towards the container, connected, so that answers and ICMP errors find their way
 * without a look at their bytes, and so that its source port stays the same as long as it is not
 * idle for the whole timeout. Answers leave from the very address that the client has sent to.
 *
 * The number of clients is bounded; at the bound (or at that of descriptors) the one that was idle
 * longest makes room. Datagrams cross whole and one by one, empty ones too. What cannot be sent is
 * dropped and counted, as networks do; no error ends a session.
 */
#ifndef FAIRLEAD_RELAY_UDP_H
#define FAIRLEAD_RELAY_UDP_H

#include "relay/relay.h"

/* A published UDP port, embedded in its owner. The descriptor stays the owner's. */
struct udp_port {
	int fd;
	int family;
	uint16_t number; /* of the port */
	struct relay_route *route;
	bool edits; /* the route's introducer adds to datagrams, or reads them */
	uint64_t refusal_told_ns;
};

/* What goes before a client's datagrams. */
struct udp_head {
	bool first_only;
	uint16_t length;
	uint8_t bytes[];
};

/* What tells one client from another. Without holes, since it is hashed and compared as bytes. */
struct udp_key {
	struct address peer;   /* whose datagrams it are */
	struct address local;  /* what the peer sends to */
	struct address client; /* the peer, or whom it has announced */
	struct address host;   /* what that client has sent to; AF_UNSPEC: none was announced */
	struct udp_port *port;
};

struct udp_client {
	struct slot slot;
	int fd;
	uint32_t next; /* in the same bucket: index + 1 */
	struct udp_key key;
	struct udp_head *head; /* NULL: none */
	uint32_t lease;	       /* the introducer's */
	bool is_introduced;    /* the container has had the head of its first datagram */
	struct timeout idle;
	uint64_t id;
	uint64_t started_ns;
	uint64_t in_datagrams;
	uint64_t in_bytes, out_bytes; /* sent on; collected to be sent on */
	struct session_meter meter;
};

/* Prepares the socket (bound, non-blocking) to be served, with room for bursts of many clients. */
void udp_port_init(struct udp_port *port, int fd, struct relay_route *route);

/* The policy of the route's introducer is another. */
void udp_port_changed(struct udp_port *port);

/* Carries the datagrams that wait on the port. Call it when the descriptor is readable. */
void udp_port_receive(struct relay *relay, struct udp_port *port);

/* Ends the clients of that route: what they send from now on is of new ones. */
void udp_end_clients(struct relay *relay, const struct relay_route *route);

/* For sessions.c. */
void udp_end_client(struct relay *relay, struct udp_client *client, enum end_reason reason);
/* All but source and container, which cost a system call. */
void udp_describe(const struct udp_client *client, struct session *ret);
void udp_add_addresses(const struct udp_client *client, struct session *session);

/* For relay.c. */
void udp_init(struct relay *relay);
void udp_trim(struct relay *relay);
void udp_drop_withdrawn(struct relay *relay, bool all);

#endif
