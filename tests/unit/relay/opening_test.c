/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How flows begin, over loopback sockets. The loop does not run unless a test says so: what is there
 * then was done by relay_accept() alone.
 */
#include "support.h"

#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/socket.h"
#include "relay/opening.h"

static struct relay_shared shared;
static struct relay relay;
static struct relay_route route;
static int front_listener, backend_listener, client, backend;
static struct address front;

static int setup(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.connect_retry_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
		.keepalive_s = 15,
	};
	struct relay_observer observer = { 0 };

	(void)state;
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	front_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	route.protocol = PROTOCOL_TCP;
	client = connect_to(PROTOCOL_TCP, &front);
	backend = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(client);
	close(backend);
	close(front_listener);
	close(backend_listener);
	relay_fini(&relay);
	loop_teardown();
	return 0;
}

/* Armed: the next recv(2) of the relay comes after the backend has accepted, answered and reset. */
static bool backend_is_fast;

ssize_t recv(int fd, void *bytes, size_t room, int flags)
{
	if (backend_is_fast) {
		backend_is_fast = false;
		backend = accept_from(backend_listener, 0);
		assert_int_equal(send(backend, "goodbye", 7, 0), 7);
		socket_reset(&backend);
	}
	return recvfrom(fd, bytes, room, flags, NULL, NULL);
}

static struct flow *accept_client(void)
{
	assert_true(relay_reserve(&relay));
	relay_accept(&relay, &route, accept_from(front_listener, SOCK_NONBLOCK), &front);
	return slots_next(&relay.flows, NULL);
}

static void early_data_needs_no_turn_of_the_loop(void **state)
{
	struct flow *flow;

	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	flow = accept_client();
	assert_int_equal(flow->state, FLOW_OPEN);
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "question");
	assert_int_equal(send(backend, "answer", 6, 0), 6);
	run_turns();
	assert_receives(client, "answer");
}

static void client_that_waits_is_waited_for(void **state)
{
	struct flow *flow = accept_client();

	(void)state;
	assert_int_equal(flow->state, FLOW_DIALING);
	backend = accept_from(backend_listener, 0);
	assert_int_equal(send(backend, "greeting", 8, 0), 8);
	run_turns();
	assert_receives(client, "greeting");
}

/* The container has booted: it listens where connections were refused before. */
static void listen_again(void)
{
	struct error err;

	assert_int_equal(backend_listener, -1);
	backend_listener = socket_listen(PROTOCOL_TCP, &route.target, &err);
	assert_true(backend_listener >= 0);
}

static bool was_connected_to(void)
{
	return wait_for(backend_listener, POLLIN, 0);
}

static void early_data_outlives_a_refusal(void **state)
{
	(void)state;
	fd_close(&backend_listener);
	assert_int_equal(send(client, "question", 8, 0), 8);
	assert_int_equal(accept_client()->state, FLOW_WAITING);
	listen_again();
	run_until(was_connected_to);
	run_turns();
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "question");
}

static void end_of_file_follows_early_data(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	shutdown(client, SHUT_WR);
	accept_client();
	run_turns();
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "question");
	assert_receives(backend, "");
}

static void client_that_was_reset_ends(void **state)
{
	(void)state;
	socket_reset(&client);
	assert_null(accept_client());
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

/*
 * The container is connected in fact, and of both sides the loop tells of the client first: what it
 * had said before its reset, its kernel has the confirmation of.
 */
static void early_data_outlives_its_client(void **state)
{
	(void)state;
	route.early_misses = UINT8_MAX; /* it is not read ahead */
	route.counters.sessions = 1;
	assert_int_equal(accept_client()->state, FLOW_DIALING);
	assert_int_equal(send(client, "question", 8, 0), 8);
	socket_reset(&client);
	run_turns();
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "question");
	assert_was_reset(backend);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

/* Nobody would have the answer. */
static void nothing_is_dialed_again_for_a_client_that_is_gone(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	fd_close(&backend_listener);
	assert_int_equal(accept_client()->state, FLOW_WAITING);
	socket_reset(&client);
	run_turns();
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

static void goodbye_of_a_backend_outlives_what_was_sent_ahead(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	backend_is_fast = true;
	accept_client();
	assert_false(backend_is_fast);
	run_turns();
	assert_receives(client, "goodbye");
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

/* Where clients wait for the container to speak, they are not asked in vain each time. */
static void silent_clients_are_found_out(void **state)
{
	int clients[40], early = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		clients[i] = connect_to(PROTOCOL_TCP, &front);
		accept_client();
	}
	for (struct flow *flow = slots_next(&relay.flows, NULL); flow;
	     flow = slots_next(&relay.flows, flow))
		early += flow->state == FLOW_OPEN;
	assert_int_equal(early, 0);
	assert_int_equal(route.early_misses, 4);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		close(clients[i]);
	run_turns();

	/* and one that speaks is seen again before long */
	for (size_t i = 0; i < 16 && route.early_misses > 0; i++) {
		int speaking = connect_to(PROTOCOL_TCP, &front);

		assert_int_equal(send(speaking, "x", 1, 0), 1);
		accept_client();
		close(speaking);
	}
	assert_int_equal(route.early_misses, 0);
}

static bool is_kept_alive(void)
{
	struct flow *flow = slots_next(&relay.flows, NULL);
	int on = 0;
	socklen_t length = sizeof(on);

	getsockopt(flow->sides[FLOW_BACKEND].fd, SOL_SOCKET, SO_KEEPALIVE, &on, &length);
	return on;
}

static void session_that_lasts_is_kept_alive(void **state)
{
	(void)state;
	accept_client();
	run_turns();
	assert_false(is_kept_alive());
	run_until(is_kept_alive);
}

int main(void)
{
#define WITH_RELAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_RELAY(early_data_needs_no_turn_of_the_loop),
		WITH_RELAY(client_that_waits_is_waited_for),
		WITH_RELAY(early_data_outlives_a_refusal),
		WITH_RELAY(end_of_file_follows_early_data),
		WITH_RELAY(client_that_was_reset_ends),
		WITH_RELAY(early_data_outlives_its_client),
		WITH_RELAY(nothing_is_dialed_again_for_a_client_that_is_gone),
		WITH_RELAY(goodbye_of_a_backend_outlives_what_was_sent_ahead),
		WITH_RELAY(silent_clients_are_found_out),
		WITH_RELAY(session_that_lasts_is_kept_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
