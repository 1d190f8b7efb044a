/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A route "local POOL dev lo" makes each address of the pool one of this host (AnyIP). The relay
 * connects from them, in net/socket (socket_bind_source()) and relay/dial.
 */
#include "support.h"

#include <stdlib.h>
#include <sys/wait.h>

#define CLIENT "240.1.2.3"

static int socket_from(int type, const char *host, uint16_t port)
{
	union address address = address_parse(host, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(bind(fd, &address.any, address_length(&address)), 0);
	return fd;
}

static int connect_to(int fd, const union address *to)
{
	return connect(fd, &to->any, address_length(to));
}

static uint16_t port_of(int fd)
{
	union address address = address_of(fd);

	return ntohs(address.in.sin_port);
}

/* Neither IP_TRANSPARENT nor IP_FREEBIND, nor a capability for them. */
static void binding_to_the_pool_takes_nothing_but_the_route(void **state)
{
	static const char *const hosts[] = { "240.0.0.0", CLIENT, "255.255.255.254" };
	(void)state;

	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		close(socket_bound(SOCK_STREAM, hosts[i]));
		close(socket_bound(SOCK_DGRAM, hosts[i]));
	}
}

/* Within 240.0.0.0/4, and no client's: the kernel takes it, and puts another one in its place. */
static void nobody_connects_from_the_broadcast_address(void **state)
{
	int listener = tcp_listen();
	union address target = address_of(listener), local;
	int fd = socket_from(SOCK_STREAM, "255.255.255.255", 0);

	(void)state;
	assert_int_equal(connect_to(fd, &target), 0);
	local = address_of(fd);
	assert_int_equal(local.in.sin_addr.s_addr, inet_addr("127.0.0.1"));
	close(fd);
	close(listener);
}

/* As to a container that has the host's network. */
static void addresses_of_this_host_answer_the_pool(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "192.0.2.1" };
	(void)state;

	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		int listener = socket_from(SOCK_STREAM, hosts[i], 0);
		union address target = address_of(listener), peer;
		socklen_t length = sizeof(peer);
		int fd = socket_from(SOCK_STREAM, CLIENT, 0), accepted;

		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(connect_to(fd, &target), 0);
		accepted = accept(listener, &peer.any, &length);
		assert_int_equal(peer.in.sin_addr.s_addr, inet_addr(CLIENT));
		send_all(accepted, "answer", 6);
		assert_receives(fd, "answer");
		close(accepted);
		close(fd);
		close(listener);
	}
}

static void datagrams_are_answered_too(void **state)
{
	int backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address target = address_of(backend), client;
	int fd = socket_from(SOCK_DGRAM, CLIENT, 0);

	(void)state;
	assert_int_equal(connect_to(fd, &target), 0);
	client = address_of(fd);
	assert_int_equal(client.in.sin_addr.s_addr, inet_addr(CLIENT));
	assert_int_equal(sendto(backend, "answer", 6, 0, &client.any, sizeof(client.in)), 6);
	assert_receives(fd, "answer");
	close(fd);
	close(backend);
}

/* A client's port is kept towards each container that it talks to. */
static void one_source_serves_several_targets(void **state)
{
	int listeners[2] = { tcp_listen(), tcp_listen() }, fds[2];
	uint16_t port = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		union address target = address_of(listeners[i]);

		fds[i] = socket_from(SOCK_STREAM, CLIENT, port);
		port = port_of(fds[i]);
		assert_int_equal(connect_to(fds[i], &target), 0);
	}
	assert_int_equal(port_of(fds[0]), port_of(fds[1]));
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(listeners[i]);
	}
}

/* Of one target there is only one such connection; then dial_start() takes any port. */
static void a_four_tuple_that_is_taken_shows_at_connect(void **state)
{
	int listener = tcp_listen();
	union address target = address_of(listener);
	int first = socket_from(SOCK_STREAM, CLIENT, 0);
	int second;

	(void)state;
	assert_int_equal(connect_to(first, &target), 0);
	second = socket_from(SOCK_STREAM, CLIENT, port_of(first));
	assert_fails(connect_to(second, &target), EADDRNOTAVAIL);
	close(first);
	close(second);
	close(listener);
}

/* In a child, since rights do not come back. */
static int bind_without_rights(uint16_t port)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		union address address = address_parse(CLIENT, port);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (setresuid(65534, 65534, 65534) != 0)
			_exit(255);
		_exit(bind(fd, &address.any, address_length(&address)) == 0 ? 0 : errno);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void ports_of_services_need_a_privilege(void **state)
{
	(void)state;
	assert_int_equal(bind_without_rights(1023), EACCES);
	assert_int_equal(bind_without_rights(0), 0);
	assert_int_equal(bind_without_rights(1024), 0);
}

/* The kernel then chooses one that is free for the four-tuple, and not for the address alone. */
static void a_port_can_wait_for_the_target(void **state)
{
	int listener = tcp_listen();
	union address target = address_of(listener);
	union address source = address_parse(CLIENT, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	set_int_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	assert_int_equal(bind(fd, &source.any, address_length(&source)), 0);
	assert_int_equal(port_of(fd), 0);
	assert_int_equal(connect_to(fd, &target), 0);
	assert_int_not_equal(port_of(fd), 0);
	source = address_of(fd);
	assert_int_equal(source.in.sin_addr.s_addr, inet_addr(CLIENT));
	close(fd);
	close(listener);
}

/* Returns 0 or an errno. */
static int bind_any(int type, uint16_t port, bool reuses)
{
	union address any = address_parse("0.0.0.0", port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), r;

	set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, reuses);
	r = bind(fd, &any.any, address_length(&any)) == 0 ? 0 : errno;
	if (r == 0 && type == SOCK_STREAM)
		r = listen(fd, 1) == 0 ? 0 : errno;
	close(fd);
	return r;
}

/*
 * A port that a connection from the pool has is taken for services of the host on all addresses,
 * unless both sides say SO_REUSEADDR, as the relay does. Most that listen do; of those that take
 * datagrams few do, so a client who may choose the port could keep one from starting.
 */
static void a_source_port_can_be_in_the_way_of_a_service(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	(void)state;

	for (size_t i = 0; i < COUNT_OF(types); i++) {
		int listener = types[i] == SOCK_STREAM ? tcp_listen()
						       : socket_bound(SOCK_DGRAM, "127.0.0.1");
		union address target = address_of(listener);
		int fd = socket_from(types[i], CLIENT, 0);

		assert_int_equal(connect_to(fd, &target), 0);
		assert_int_equal(bind_any(types[i], port_of(fd), true), 0);
		assert_int_equal(bind_any(types[i], port_of(fd), false), EADDRINUSE);
		close(fd);
		close(listener);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binding_to_the_pool_takes_nothing_but_the_route),
		cmocka_unit_test(nobody_connects_from_the_broadcast_address),
		cmocka_unit_test(addresses_of_this_host_answer_the_pool),
		cmocka_unit_test(datagrams_are_answered_too),
		cmocka_unit_test(one_source_serves_several_targets),
		cmocka_unit_test(a_four_tuple_that_is_taken_shows_at_connect),
		cmocka_unit_test(ports_of_services_need_a_privilege),
		cmocka_unit_test(a_port_can_wait_for_the_target),
		cmocka_unit_test(a_source_port_can_be_in_the_way_of_a_service),
	};

	if (!enter_own_network(65536) || system("ip addr add 192.0.2.1/32 dev lo") != 0 ||
	    system("ip route add local 240.0.0.0/4 dev lo") != 0)
		return skip_all("no network namespace of its own, or no ip(8)");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
