/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local address of a datagram: learnt on receipt and used as the source of the reply.
 *
 * A client that asked one address of the host must be answered from it, or it drops the answer. The
 * UDP relay has one socket for all addresses and does this with PKTINFO, in net/datagram.
 */
#include "support.h"

#include <net/if.h>

union control {
	struct cmsghdr align;
	char bytes[256];
};

struct received {
	union address peer;
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
	bool has_v4, has_v6;
};

static struct received receive(int fd)
{
	char data[16];
	union control control;
	struct received received = { 0 };
	struct iovec part = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr message = {
		.msg_name = &received.peer,
		.msg_namelen = sizeof(received.peer),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	wait_for(fd, POLLIN);
	assert_true(recvmsg(fd, &message, 0) >= 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&received.v4, CMSG_DATA(c), sizeof(received.v4));
			received.has_v4 = true;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&received.v6, CMSG_DATA(c), sizeof(received.v6));
			received.has_v6 = true;
		}
	}
	return received;
}

static ssize_t reply(int fd, const union address *peer, int level, int type, const void *info,
		     size_t length)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = (char[]){ "reply" }, .iov_len = 5 };
	struct msghdr message = {
		.msg_name = (void *)peer,
		.msg_namelen = address_length(peer),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(length),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(c), info, length);
	return sendmsg(fd, &message, 0);
}

/* A client on 127.0.0.1 that asks `host`:`port` and knows where the answer came from. */
static int client_asks(const char *host, uint16_t port)
{
	union address to = address_parse(host, port);
	int fd = socket_bound(SOCK_DGRAM, to.any.sa_family == AF_INET ? "127.0.0.1" : "::1");

	assert_int_equal(sendto(fd, "ask", 3, 0, &to.any, address_length(&to)), 3);
	return fd;
}

static union address source_of_the_reply(int client)
{
	char data[16];
	union address from = { 0 };
	socklen_t length = sizeof(from);

	wait_for(client, POLLIN);
	assert_int_equal(recvfrom(client, data, sizeof(data), 0, &from.any, &length), 5);
	close(client);
	return from;
}

static int dual_stack_socket(void)
{
	union address any = address_parse("::", 0);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	set_int_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	assert_int_equal(bind(fd, &any.any, sizeof(any.in6)), 0);
	return fd;
}

/* IPv4: ipi_addr is where the datagram was sent to; as ipi_spec_dst it is the reply's source. */
static void ipv4_reply_leaves_from_the_address_that_was_asked(void **state)
{
	(void)state;
	int fd = socket_bound(SOCK_DGRAM, "0.0.0.0");
	struct in_pktinfo source = { 0 };
	struct received asked;
	union address from;
	int client = -1;

	set_int_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
	client = client_asks("127.0.0.2", ntohs(address_of(fd).in.sin_port));
	asked = receive(fd);
	assert_true(asked.has_v4);
	assert_int_equal(asked.v4.ipi_addr.s_addr, htonl(0x7f000002));
	assert_int_equal(asked.v4.ipi_ifindex, if_nametoindex("lo"));
	source.ipi_spec_dst = asked.v4.ipi_addr;
	assert_int_equal(reply(fd, &asked.peer, IPPROTO_IP, IP_PKTINFO, &source, sizeof(source)),
			 5);
	from = source_of_the_reply(client);
	assert_int_equal(from.in.sin_addr.s_addr, htonl(0x7f000002));
	close(fd);
}

/* A socket may be passed to us without the option, with datagrams in its queue already. Set late,
 * the option still tells their address, though not their interface. */
static void ipv4_option_set_late_tells_the_address_but_no_interface(void **state)
{
	(void)state;
	int fd = socket_bound(SOCK_DGRAM, "0.0.0.0");
	int client = client_asks("127.0.0.2", ntohs(address_of(fd).in.sin_port));
	struct received asked;

	wait_for(fd, POLLIN);
	set_int_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
	asked = receive(fd);
	assert_true(asked.has_v4);
	assert_int_equal(asked.v4.ipi_addr.s_addr, htonl(0x7f000002));
	assert_int_equal(asked.v4.ipi_ifindex, 0);
	close(client);
	close(fd);
}

/* Without PKTINFO the kernel takes the route's own address: the wrong one. */
static void ipv4_reply_without_it_leaves_from_another_address(void **state)
{
	(void)state;
	int fd = socket_bound(SOCK_DGRAM, "0.0.0.0");
	int client = client_asks("127.0.0.2", ntohs(address_of(fd).in.sin_port));
	struct received asked = receive(fd);
	union address from;

	assert_false(asked.has_v4);
	assert_int_equal(sendto(fd, "reply", 5, 0, &asked.peer.any, sizeof(asked.peer.in)), 5);
	from = source_of_the_reply(client);
	assert_int_equal(from.in.sin_addr.s_addr, htonl(0x7f000001));
	close(fd);
}

/* IPv6: the same with one structure for both directions. The interface matters for link-local
 * addresses only and comes along. */
static void ipv6_reply_leaves_from_the_address_that_was_asked(void **state)
{
	(void)state;
	int fd = dual_stack_socket();
	int client = client_asks("::1", ntohs(address_of(fd).in6.sin6_port));
	struct received asked = receive(fd);
	union address from;

	assert_true(asked.has_v6);
	assert_true(IN6_IS_ADDR_LOOPBACK(&asked.v6.ipi6_addr));
	assert_int_equal(asked.v6.ipi6_ifindex, if_nametoindex("lo"));
	assert_int_equal(reply(fd, &asked.peer, IPPROTO_IPV6, IPV6_PKTINFO, &asked.v6,
			       sizeof(asked.v6)),
			 5);
	from = source_of_the_reply(client);
	assert_true(IN6_IS_ADDR_LOOPBACK(&from.in6.sin6_addr));
	close(fd);
}

/* A dual-stack socket gives an IPv4 datagram's local address v4-mapped in IPV6_PKTINFO, and takes
 * it back in the same form: the relay needs no second path for such a socket. */
static void dual_stack_socket_names_ipv4_addresses_v4_mapped(void **state)
{
	(void)state;
	int fd = dual_stack_socket();
	int client = client_asks("127.0.0.2", ntohs(address_of(fd).in6.sin6_port));
	struct received asked = receive(fd);
	union address mapped = address_parse("::ffff:127.0.0.2", 0), from;

	assert_true(asked.has_v6);
	assert_false(asked.has_v4);
	assert_memory_equal(&asked.v6.ipi6_addr, &mapped.in6.sin6_addr, sizeof(struct in6_addr));
	assert_true(IN6_IS_ADDR_V4MAPPED(&asked.peer.in6.sin6_addr));
	assert_int_equal(reply(fd, &asked.peer, IPPROTO_IPV6, IPV6_PKTINFO, &asked.v6,
			       sizeof(asked.v6)),
			 5);
	from = source_of_the_reply(client);
	assert_int_equal(from.in.sin_addr.s_addr, htonl(0x7f000002));
	close(fd);
}

/* An address that has left the host since is refused with EINVAL, not sent from elsewhere: the
 * relay counts such a reply as dropped. */
static void a_source_that_is_not_ours_is_refused(void **state)
{
	(void)state;
	int fd = dual_stack_socket();
	int client = client_asks("::1", ntohs(address_of(fd).in6.sin6_port));
	struct received asked = receive(fd);

	asked.v6.ipi6_addr = address_parse("2001:db8::1", 0).in6.sin6_addr;
	assert_fails(reply(fd, &asked.peer, IPPROTO_IPV6, IPV6_PKTINFO, &asked.v6,
			   sizeof(asked.v6)),
		     EINVAL);
	close(client);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_reply_leaves_from_the_address_that_was_asked),
		cmocka_unit_test(ipv4_option_set_late_tells_the_address_but_no_interface),
		cmocka_unit_test(ipv4_reply_without_it_leaves_from_another_address),
		cmocka_unit_test(ipv6_reply_leaves_from_the_address_that_was_asked),
		cmocka_unit_test(dual_stack_socket_names_ipv4_addresses_v4_mapped),
		cmocka_unit_test(a_source_that_is_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
