/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows over loopback sockets. The loop is run for short times only, so that a test decides what has
 * happened on a socket before the flow sees it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"
#include "relay/relay.h"

#define TURN_NS (50 * NS_PER_MS)

static struct loop loop;
static struct relay relay;
static struct relay_route route;
static struct timeout_queue turns;
static int backend_listener, client, backend;

static void turn_over(void *context, struct timeout *timeout)
{
	(void)timeout;
	loop_stop(context);
}

/* Lets the relay do what it can. */
static void run_a_while(void)
{
	struct timeout timeout;

	timeout_init(&timeout);
	loop.stopping = false;
	loop.now_ns = clock_now_ns();
	timeout_start(&timeout, &turns, &loop);
	assert_int_equal(loop_run(&loop), 0);
}

static int listen_on_loopback(struct address *ret)
{
	struct error err;
	struct address any;
	int fd;

	assert_int_equal(address_parse_ip("127.0.0.1", &any), 0);
	fd = socket_listen(PROTOCOL_TCP, &any, &err);
	assert_true(fd >= 0);
	socket_local_address(fd, ret);
	return fd;
}

static int connect_to(const struct address *address)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(address, AF_INET, &storage);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&storage, length), 0);
	return fd;
}

static int accept_from(int listener, int flags)
{
	struct pollfd entry = { .fd = listener, .events = POLLIN };
	int fd;

	assert_int_equal(poll(&entry, 1, 5000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | flags);
	assert_true(fd >= 0);
	return fd;
}

/* A flow that is open, from `client` to `backend`, both blocking. */
static int setup(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
		.descriptors_max = 256,
	};
	struct relay_observer observer = { 0 };
	struct address front;
	int listener;

	(void)state;
	memset(&route, 0, sizeof(route));
	assert_int_equal(loop_init(&loop), 0);
	relay_init(&relay, &loop, &settings, &observer);
	timeout_queue_init(&turns, &loop, TURN_NS, turn_over, &loop);

	backend_listener = listen_on_loopback(&route.target);
	route.protocol = PROTOCOL_TCP;
	listener = listen_on_loopback(&front);
	client = connect_to(&front);
	relay_accept(&relay, &route, accept_from(listener, SOCK_NONBLOCK), &front);
	close(listener);
	run_a_while();
	backend = accept_from(backend_listener, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(client);
	close(backend);
	close(backend_listener);
	relay_fini(&relay);
	loop_fini(&loop);
	return 0;
}

static void assert_receives(int fd, const char *text)
{
	char buffer[64];
	size_t length = strlen(text);

	assert_int_equal(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), length);
	assert_memory_equal(buffer, text, length);
}

static void assert_ended_in_order(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(socket_take_error(fd), 0);
}

static void assert_was_reset(int fd)
{
	assert_int_equal(socket_take_error(fd), ECONNRESET);
}

static void carries_both_ways(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	assert_int_equal(send(backend, "greeting", 8, 0), 8);
	run_a_while();
	assert_receives(backend, "question");
	assert_receives(client, "greeting");
	assert_int_equal(route.counters.open, 1);
}

static void end_of_file_crosses_and_leaves_the_other_way_open(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	shutdown(client, SHUT_WR);
	run_a_while();
	assert_receives(backend, "question");
	assert_ended_in_order(backend);

	assert_int_equal(send(backend, "answer", 6, 0), 6);
	shutdown(backend, SHUT_WR);
	run_a_while();
	assert_receives(client, "answer");
	assert_ended_in_order(client);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_DONE], 1);
}

static void reset_of_client_reaches_the_backend(void **state)
{
	(void)state;
	socket_reset(&client);
	run_a_while();
	assert_was_reset(backend);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

static void reset_of_backend_reaches_the_client(void **state)
{
	(void)state;
	socket_reset(&backend);
	run_a_while();
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

/* An end of file and then a reset, of which the flow learns at once: recv() tells of the first only
 * (kernel test reset). */
static void reset_right_behind_an_end_of_file_crosses(void **state)
{
	(void)state;
	assert_int_equal(send(client, "last", 4, 0), 4);
	shutdown(client, SHUT_WR);
	socket_reset(&client);
	run_a_while();
	assert_was_reset(backend);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

/* The same in two turns. */
static void reset_long_after_an_end_of_file_crosses(void **state)
{
	(void)state;
	shutdown(client, SHUT_WR);
	run_a_while();
	assert_int_equal(route.counters.open, 1);
	socket_reset(&client);
	run_a_while();
	/* the backend had seen the end of file before, so its kernel calls this a broken pipe */
	assert_int_equal(socket_take_error(backend), EPIPE);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

int main(void)
{
#define WITH_FLOW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_FLOW(carries_both_ways),
		WITH_FLOW(end_of_file_crosses_and_leaves_the_other_way_open),
		WITH_FLOW(reset_of_client_reaches_the_backend),
		WITH_FLOW(reset_of_backend_reaches_the_client),
		WITH_FLOW(reset_right_behind_an_end_of_file_crosses),
		WITH_FLOW(reset_long_after_an_end_of_file_crosses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
