/* SPDX-License-Identifier: Apache-2.0 */
/* The transport protocols a port can be published for, under the names docker gives them. */
#ifndef FAIRLEAD_NET_PROTOCOL_H
#define FAIRLEAD_NET_PROTOCOL_H

enum protocol {
	PROTOCOL_TCP,
	PROTOCOL_UDP,
	PROTOCOL_SCTP,
};

/* "tcp", "udp", "sctp". */
const char *protocol_name(enum protocol protocol);

/* Finds the protocol of that name (lower case, as docker writes it). Returns 0 or -EINVAL. */
int protocol_parse(const char *name, enum protocol *ret);

/* The arguments of socket(2) for it. */
int protocol_socket_type(enum protocol protocol);
int protocol_ip_number(enum protocol protocol);

#endif
