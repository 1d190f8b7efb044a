/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/netlink.h"

#include <errno.h>
#include <sys/socket.h>

/* There is one request for each socket. */
#define SEQUENCE 1

struct nlmsghdr *netlink_begin(void *buffer, uint16_t type, uint16_t flags, size_t header_bytes,
			       void **ret_header)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = SEQUENCE;
	*ret_header = mnl_nlmsg_put_extra_header(request, header_bytes);
	return request;
}

static int exchange(struct mnl_socket *socket, const struct nlmsghdr *request, mnl_cb_t take,
		    void *context)
{
	char answer[NETLINK_ANSWER_MAX];
	int r = MNL_CB_OK;

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(socket, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(answer, (size_t)n, SEQUENCE, mnl_socket_get_portid(socket), take,
			       context);
	}
	return r < 0 ? -errno : 0;
}

int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t take, void *context)
{
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int r;

	if (!socket)
		return -errno;
	r = exchange(socket, request, take, context);
	(void)mnl_socket_close(socket);
	return r;
}
