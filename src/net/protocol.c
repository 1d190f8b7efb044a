/* SPDX-License-Identifier: Apache-2.0 */
#include "net/protocol.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
	const char *name;
	int type;
	int ip_number;
} protocols[] = {
	[PROTOCOL_TCP] = { "tcp", SOCK_STREAM, IPPROTO_TCP },
	[PROTOCOL_UDP] = { "udp", SOCK_DGRAM, IPPROTO_UDP },
	/* one-to-one style, RFC 6458 section 4 */
	[PROTOCOL_SCTP] = { "sctp", SOCK_STREAM, IPPROTO_SCTP },
};

const char *protocol_name(enum protocol protocol)
{
	return protocols[protocol].name;
}

int protocol_parse(const char *name, enum protocol *ret)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(name, protocols[i].name) == 0) {
			*ret = (enum protocol)i;
			return 0;
		}
	}
	return -EINVAL;
}

int protocol_socket_type(enum protocol protocol)
{
	return protocols[protocol].type;
}

int protocol_ip_number(enum protocol protocol)
{
	return protocols[protocol].ip_number;
}
