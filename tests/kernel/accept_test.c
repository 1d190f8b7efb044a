/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening and accepting: what publish/listener relies on.
 */
#include "support.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

/* The listener sets these once, and no connection costs a setsockopt(). O_NONBLOCK is not among
 * them: it has to be asked for in accept4(). */
static void accepted_sockets_inherit_the_options_of_their_listener(void **state)
{
	(void)state;
	int listener = tcp_listen();
	int client = -1, server = -1, second = -1;

	set_nonblocking(listener);
	set_int_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 17);
	set_int_option(listener, IPPROTO_TCP, TCP_KEEPINTVL, 13);
	set_int_option(listener, IPPROTO_TCP, TCP_KEEPCNT, 7);
	client = tcp_connect(listener);
	wait_for(listener, POLLIN);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(get_int_option(server, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(get_int_option(server, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get_int_option(server, IPPROTO_TCP, TCP_KEEPIDLE), 17);
	assert_int_equal(get_int_option(server, IPPROTO_TCP, TCP_KEEPINTVL), 13);
	assert_int_equal(get_int_option(server, IPPROTO_TCP, TCP_KEEPCNT), 7);
	assert_int_equal(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
	close(client);
	close(server);

	client = tcp_connect(listener);
	wait_for(listener, POLLIN);
	second = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_equal(fcntl(second, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(client);
	close(second);
	close(listener);
}

/* Options are taken over at the handshake, not at accept(): a connection that waits in the backlog
 * of a listener that was passed to us keeps what the listener had then. */
static void options_set_after_the_handshake_miss_the_backlog(void **state)
{
	(void)state;
	int listener = tcp_listen();
	int client = tcp_connect(listener);
	int server = -1;

	wait_for(listener, POLLIN);
	set_int_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(get_int_option(server, IPPROTO_TCP, TCP_NODELAY), 0);
	close(client);
	close(server);
	close(listener);
}

/* Without free descriptors accept() fails and the client stays in the backlog, with its data: it
 * can be served later. The listener stays readable, so it must be left out of epoll meanwhile. */
static void accept_at_the_descriptor_limit_leaves_the_client_in_the_backlog(void **state)
{
	(void)state;
	int listener = tcp_listen();
	int client = tcp_connect(listener);
	struct rlimit before, none_left;
	int free_fd = -1, server = -1;

	send_all(client, "hello", 5);
	wait_for(listener, POLLIN);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	free_fd = dup(listener);
	assert_true(free_fd >= 0);
	close(free_fd);
	none_left = before;
	none_left.rlim_cur = (rlim_t)free_fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
	assert_fails(accept4(listener, NULL, NULL, SOCK_CLOEXEC), EMFILE);
	assert_true(wait_for(listener, POLLIN) & POLLIN);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_receives(server, "hello");
	close(client);
	close(server);
	close(listener);
}

static int bind_again(union address address, int reuse)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = 0;

	set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
	if (bind(fd, &address.any, address_length(&address)) != 0)
		error = errno;
	close(fd);
	return error;
}

/* A container that is removed and run again gets its port back at once, although sessions of the
 * old one are in TIME_WAIT; that needs SO_REUSEADDR on both listeners. */
static void reuseaddr_binds_over_time_wait(void **state)
{
	(void)state;
	int listener = tcp_listen();
	union address address = address_of(listener);
	int client = tcp_connect(listener);
	int server = accept(listener, NULL, NULL);
	char byte;

	close(server); /* closes first, so the TIME_WAIT is on the listener's port */
	assert_int_equal(recv(client, &byte, 1, 0), 0);
	close(client);
	close(listener);
	assert_int_equal(bind_again(address, 0), EADDRINUSE);
	assert_int_equal(bind_again(address, 1), 0);
}

/* SO_REUSEADDR does not hide a port that is truly taken: another listener still is an error. */
static void reuseaddr_does_not_share_a_listening_port(void **state)
{
	(void)state;
	int listener = tcp_listen();

	assert_int_equal(bind_again(address_of(listener), 1), EADDRINUSE);
	close(listener);
}

/* A port is published as 0.0.0.0 and [::] by two sockets of one number: IPV6_V6ONLY keeps them
 * apart. Without it the IPv6 socket takes IPv4 as well, and names its clients v4-mapped. */
static void v6only_decides_whether_ipv4_is_taken_as_well(void **state)
{
	(void)state;
	union address any = address_parse("::", 0), taken, peer;
	socklen_t length = sizeof(peer);
	int dual = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int only = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int listener = tcp_listen();
	int client = -1, server = -1;

	set_int_option(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	any.in6.sin6_port = address_of(listener).in.sin_port;
	assert_int_equal(bind(only, &any.any, sizeof(any.in6)), 0);
	close(only);
	close(listener);

	set_int_option(dual, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	any.in6.sin6_port = 0;
	assert_int_equal(bind(dual, &any.any, sizeof(any.in6)), 0);
	assert_int_equal(listen(dual, 1), 0);
	taken = address_parse("127.0.0.1", ntohs(address_of(dual).in6.sin6_port));
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, &taken.any, sizeof(taken.in)), 0);
	server = accept(dual, &peer.any, &length);
	assert_true(server >= 0);
	assert_int_equal(peer.any.sa_family, AF_INET6);
	assert_true(IN6_IS_ADDR_V4MAPPED(&peer.in6.sin6_addr));
	close(client);
	close(server);
	close(dual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_sockets_inherit_the_options_of_their_listener),
		cmocka_unit_test(options_set_after_the_handshake_miss_the_backlog),
		cmocka_unit_test(accept_at_the_descriptor_limit_leaves_the_client_in_the_backlog),
		cmocka_unit_test(reuseaddr_binds_over_time_wait),
		cmocka_unit_test(reuseaddr_does_not_share_a_listening_port),
		cmocka_unit_test(v6only_decides_whether_ipv4_is_taken_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
