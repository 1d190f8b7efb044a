/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows over loopback sockets. The loop is run for short times only, so that a test decides what
 * has happened on a socket before the flow sees it.
 */
#include "support.h"

#include "base/clock.h"
#include "net/socket.h"
#include "relay/flow.h"

#define BULK_BYTES (256 * 1024)

/* More than a client takes that does not read, and less than the kernel queues for it. */
#define ANSWER_BYTES (128 * 1024)
#define SMALL_WINDOW_BYTES (16 * 1024)

static struct relay_shared shared;
static struct relay relay;
static struct relay_route route;
static int backend_listener, client, backend;

/* A client is accepted, and the relay has not run since; its flow is dialing. */
static void accept_client(void)
{
	struct address front;
	int listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);

	client = connect_to(PROTOCOL_TCP, &front);
	assert_true(relay_reserve(&relay));
	relay_accept(&relay, &route, accept_from(listener, SOCK_NONBLOCK), &front);
	close(listener);
}

static int setup_relay(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
	};
	struct relay_observer observer = { 0 };

	(void)state;
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	backend_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	route.protocol = PROTOCOL_TCP;
	accept_client();
	return 0;
}

/* A flow that is open, from `client` to `backend`, both blocking. */
static int setup(void **state)
{
	setup_relay(state);
	run_turns();
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
	loop_teardown();
	return 0;
}

static void assert_ended_in_order(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(socket_take_error(fd), 0);
}

static void carries_both_ways(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	assert_int_equal(send(backend, "greeting", 8, 0), 8);
	run_turns();
	assert_receives(backend, "question");
	assert_receives(client, "greeting");
	assert_int_equal(route.counters.open, 1);
}

static void end_of_file_crosses_and_leaves_the_other_way_open(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	shutdown(client, SHUT_WR);
	run_turns();
	assert_receives(backend, "question");
	assert_ended_in_order(backend);

	assert_int_equal(send(backend, "answer", 6, 0), 6);
	shutdown(backend, SHUT_WR);
	run_turns();
	assert_receives(client, "answer");
	assert_ended_in_order(client);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_DONE], 1);
}

static void reset_of_client_reaches_the_backend(void **state)
{
	(void)state;
	socket_reset(&client);
	run_turns();
	assert_was_reset(backend);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

static void reset_of_backend_reaches_the_client(void **state)
{
	(void)state;
	socket_reset(&backend);
	run_turns();
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
	run_turns();
	assert_was_reset(backend);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

/* The same in two turns. */
static void reset_long_after_an_end_of_file_crosses(void **state)
{
	(void)state;
	shutdown(client, SHUT_WR);
	run_turns();
	assert_int_equal(route.counters.open, 1);
	socket_reset(&client);
	run_turns();
	/* the backend had seen the end of file before, so its kernel calls this a broken pipe */
	assert_int_equal(socket_take_error(backend), EPIPE);
	assert_int_equal(route.counters.ended[END_CLIENT_RESET], 1);
}

/* The backend answers, and the flow has passed all of it on; the client has not read it. */
static void answer_to_a_slow_client(void)
{
	static uint8_t answer[ANSWER_BYTES];
	int window = SMALL_WINDOW_BYTES;

	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	assert_int_equal(send(client, "question", 8, 0), 8);
	for (size_t sent = 0; sent < sizeof(answer);) {
		ssize_t more = send(backend, answer, sizeof(answer) - sent, MSG_DONTWAIT);

		sent += more > 0 ? (size_t)more : 0;
		run_turns();
	}
}

/* The backend has read all, too, so that its close is none with a reset. */
static void answer_and_end_in_order(void)
{
	char question[8];

	answer_to_a_slow_client();
	assert_int_equal(recv(backend, question, sizeof(question), 0), sizeof(question));
	close(backend);
	backend = -1;
	run_turns();
}

/* Reads to the end and returns how many bytes there were; *ret_error is how it ended. */
static size_t read_all(int fd, int *ret_error)
{
	static uint8_t bytes[ANSWER_BYTES];
	size_t total = 0;

	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (got > 0) {
			total += (size_t)got;
		} else if (got < 0 && errno == EAGAIN) {
			run_turns();
		} else {
			*ret_error = got < 0 ? errno : 0;
			return total;
		}
	}
}

/* As an HTTP server does that answers 413 and closes while the body is still on its way. */
static void reset_waits_until_a_slow_client_has_the_answer(void **state)
{
	int error;

	(void)state;
	answer_to_a_slow_client();
	close(backend); /* a reset, as the question was not read */
	backend = -1;
	run_turns();
	assert_int_equal(route.counters.open, 1);
	assert_int_equal(read_all(client, &error), ANSWER_BYTES);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

static struct flow *only_flow(void)
{
	struct flow *flow = slots_next(&relay.flows, NULL);

	assert_non_null(flow);
	return flow;
}

/*
 * The client still sends when the backend resets, and one turn tells of both, of the client first:
 * writing has found the reset already, and the backend's own event comes for a side that is closed.
 */
static void answer_and_reset_while_the_client_sends(void)
{
	answer_to_a_slow_client();
	assert_int_equal(send(client, "more", 4, 0), 4);
	close(backend); /* a reset, as the question was not read */
	backend = -1;
	run_turns();
}

static void reset_that_writing_has_found_waits_as_well(void **state)
{
	int error;

	(void)state;
	answer_and_reset_while_the_client_sends();
	assert_int_equal(only_flow()->state, FLOW_DRAINING);
	assert_int_equal(read_all(client, &error), ANSWER_BYTES);
	assert_int_equal(error, ECONNRESET);
}

static void reset_does_not_wait_for_ever(void **state)
{
	int error;

	(void)state;
	answer_to_a_slow_client();
	socket_reset(&backend);
	run_turns();
	assert_int_equal(only_flow()->state, FLOW_DRAINING);
	only_flow()->drained_until_ns = 0;
	run_turns();
	run_turns();
	assert_int_equal(route.counters.open, 0);
	assert_true(read_all(client, &error) < ANSWER_BYTES);
	assert_int_equal(error, ECONNRESET);
}

/* A reset ends with one, also where the end of file had come before, and writing had found it. */
static void withdrawn_while_draining(void)
{
	int error;

	assert_int_equal(only_flow()->state, FLOW_DRAINING);
	end_sessions(&relay, &route);
	assert_true(read_all(client, &error) < ANSWER_BYTES);
	assert_int_equal(error, ECONNRESET);
}

static void port_that_is_withdrawn_makes_no_end_of_a_reset(void **state)
{
	(void)state;
	answer_and_reset_while_the_client_sends();
	withdrawn_while_draining();
}

static void port_that_is_withdrawn_makes_no_end_of_an_end_and_a_reset(void **state)
{
	(void)state;
	answer_to_a_slow_client();
	shutdown(backend, SHUT_WR);
	socket_reset(&backend);
	run_turns();
	withdrawn_while_draining();
}

/*
 * The client's reset was told while its pump waited for a slow backend, and is told once only. When
 * the backend is reset as well, there is nobody left to wait for.
 */
static void nothing_is_waited_for_of_a_client_that_has_reset(void **state)
{
	static uint8_t bulk[BULK_BYTES];
	int window = SMALL_WINDOW_BYTES;

	(void)state;
	assert_int_equal(setsockopt(backend, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	answer_to_a_slow_client();
	for (int silent = 0; silent < 5;) {
		silent = send(client, bulk, sizeof(bulk), MSG_DONTWAIT) > 0 ? 0 : silent + 1;
		run_turns();
	}
	assert_true(only_flow()->pumps[FLOW_CLIENT].held_bytes > 0);
	socket_reset(&client);
	run_turns();
	assert_int_equal(route.counters.open, 1);
	socket_reset(&backend);
	run_turns();
	run_turns();
	assert_int_equal(route.counters.open, 0);
}

/* Whether the client can send that much, of which it reads nothing meanwhile. */
static bool can_send(size_t length)
{
	static uint8_t bulk[BULK_BYTES];
	int silent = 0;

	while (length > 0 && silent < 10) {
		size_t part = length < sizeof(bulk) ? length : sizeof(bulk);
		ssize_t sent = send(client, bulk, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		length -= sent > 0 ? (size_t)sent : 0;
		silent = sent > 0 ? 0 : silent + 1;
		if (sent < 0)
			run_turns();
	}
	return length == 0;
}

/* A client that reads only when it has sent all, and a backend that answers early and resets. */
static void check_client_that_sends_first(size_t answer)
{
	static uint8_t bulk[BULK_BYTES];
	size_t sent = 0, confirmed;
	int error;

	for (int silent = 0; sent < answer && silent < 4;) {
		ssize_t more = send(backend, bulk, sizeof(bulk), MSG_DONTWAIT);

		sent += more > 0 ? (size_t)more : 0;
		silent = more > 0 ? 0 : silent + 1;
		run_turns();
	}
	confirmed = sent - socket_unconfirmed_bytes(backend);
	socket_reset(&backend);
	assert_true(can_send(64 * BULK_BYTES));
	assert_true(read_all(client, &error) >= confirmed);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(route.counters.open, 0);
}

static void client_that_sends_first_gets_a_small_answer(void **state)
{
	int window = SMALL_WINDOW_BYTES;

	(void)state;
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	check_client_that_sends_first(ANSWER_BYTES); /* all of which the flow has passed on */
}

static void client_that_sends_first_gets_a_large_answer(void **state)
{
	(void)state;
	check_client_that_sends_first(SIZE_MAX);
}

static void draining_ends_with_the_client(void **state)
{
	(void)state;
	answer_to_a_slow_client();
	socket_reset(&backend);
	run_turns();
	assert_int_equal(only_flow()->state, FLOW_DRAINING);
	socket_reset(&client);
	run_turns();
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

/* dockerd stops the proxy right behind the container. */
static void who_was_told_the_end_keeps_it_when_the_port_is_withdrawn(void **state)
{
	int error;

	(void)state;
	answer_and_end_in_order();
	assert_int_equal(route.counters.open, 1);
	end_sessions(&relay, &route);
	assert_int_equal(route.counters.ended[END_STOPPED], 1);
	assert_int_equal(read_all(client, &error), ANSWER_BYTES);
	assert_int_equal(error, 0);
}

static void who_was_told_the_end_keeps_it_though_he_speaks(void **state)
{
	int error;

	(void)state;
	answer_and_end_in_order();
	assert_int_equal(send(client, "more", 4, 0), 4);
	end_sessions(&relay, &route);
	assert_int_equal(read_all(client, &error), ANSWER_BYTES);
	assert_int_equal(error, 0);
}

static void who_was_not_is_reset(void **state)
{
	(void)state;
	assert_int_equal(send(client, "question", 8, 0), 8);
	run_turns();
	end_sessions(&relay, &route);
	assert_was_reset(client);
	assert_was_reset(backend);
}

/* All of it before epoll has told that the backend is connected. */
static void bytes_of_a_backend_that_resets_at_once_reach_the_client(void **state)
{
	(void)state;
	backend = accept_from(backend_listener, 0);
	assert_int_equal(send(backend, "goodbye", 7, 0), 7);
	socket_reset(&backend);
	run_turns();
	assert_receives(client, "goodbye");
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

static void backend_that_resets_at_once_resets_the_client(void **state)
{
	(void)state;
	backend = accept_from(backend_listener, 0);
	socket_reset(&backend);
	run_turns();
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

static void backend_that_ends_and_resets_at_once_resets_the_client(void **state)
{
	(void)state;
	backend = accept_from(backend_listener, 0);
	shutdown(backend, SHUT_WR);
	socket_reset(&backend);
	run_turns();
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
}

/*
 * The backend has ended in order, and then resets, as it does for what comes after its close. The
 * client says its own end before it has all: both ends together are a hang-up to epoll.
 */
static void draining_outlasts_the_end_of_the_client(void **state)
{
	int error;

	(void)state;
	answer_and_end_in_order();
	assert_int_equal(send(client, "more", 4, 0), 4);
	run_turns();
	assert_int_equal(only_flow()->state, FLOW_DRAINING);
	shutdown(client, SHUT_WR);
	run_turns();
	assert_int_equal(read_all(client, &error), ANSWER_BYTES);
}

/* recv() stops short at urgent data, and no edge tells of what is behind it. */
static void bytes_behind_urgent_data_cross(void **state)
{
	(void)state;
	assert_int_equal(send(backend, "before", 6, 0), 6);
	assert_int_equal(send(backend, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(backend, "behind", 6, 0), 6);
	run_turns();
	assert_receives(client, "before!behind");
}

/* splice() does not pass it at all. */
static void bulk_behind_urgent_data_crosses(void **state)
{
	static uint8_t bulk[ANSWER_BYTES];
	size_t got = 0;

	(void)state;
	assert_int_equal(send(backend, bulk, sizeof(bulk), MSG_DONTWAIT), sizeof(bulk));
	run_turns();
	assert_int_equal(only_flow()->pumps[FLOW_BACKEND].mode, PUMP_SPLICE);
	assert_int_equal(send(backend, bulk, sizeof(bulk), MSG_DONTWAIT), sizeof(bulk));
	assert_int_equal(send(backend, "!", 1, MSG_OOB | MSG_DONTWAIT), 1);
	assert_int_equal(send(backend, bulk, sizeof(bulk), MSG_DONTWAIT), sizeof(bulk));
	for (ssize_t more = 1; more > 0; got += more > 0 ? (size_t)more : 0) {
		run_turns();
		more = recv(client, bulk, sizeof(bulk), MSG_DONTWAIT);
	}
	assert_int_equal(got, 3 * sizeof(bulk) + 1);
}

/*
 * And if nothing but the end is behind the rest, splice says so at the urgent data, or that the
 * stream was reset: in both cases there are bytes left to be read.
 */
static void send_bulk_with_urgent_data(void)
{
	static uint8_t bulk[BULK_BYTES];

	assert_int_equal(send(backend, bulk, sizeof(bulk), MSG_DONTWAIT), sizeof(bulk));
	run_turns();
	assert_int_equal(only_flow()->pumps[FLOW_BACKEND].mode, PUMP_SPLICE);
	assert_int_equal(drain(client), sizeof(bulk));
	assert_int_equal(send(backend, bulk, 50000, MSG_DONTWAIT), 50000);
	assert_int_equal(send(backend, "!", 1, MSG_OOB | MSG_DONTWAIT), 1);
	assert_int_equal(send(backend, bulk, 50000, MSG_DONTWAIT), 50000);
	assert_int_equal(socket_unconfirmed_bytes(backend), 0);
}

static void bulk_with_urgent_data_crosses_before_the_end(void **state)
{
	int error;

	(void)state;
	send_bulk_with_urgent_data();
	shutdown(backend, SHUT_WR);
	run_turns();
	assert_int_equal(read_all(client, &error), 100001);
	assert_int_equal(error, 0);
}

static void bulk_with_urgent_data_crosses_before_a_reset(void **state)
{
	int error;

	(void)state;
	send_bulk_with_urgent_data();
	socket_reset(&backend);
	run_turns();
	assert_int_equal(read_all(client, &error), 100001);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(route.counters.ended[END_BACKEND_RESET], 1);
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
		WITH_FLOW(reset_waits_until_a_slow_client_has_the_answer),
		WITH_FLOW(reset_that_writing_has_found_waits_as_well),
		WITH_FLOW(reset_does_not_wait_for_ever),
		WITH_FLOW(port_that_is_withdrawn_makes_no_end_of_a_reset),
		WITH_FLOW(port_that_is_withdrawn_makes_no_end_of_an_end_and_a_reset),
		WITH_FLOW(nothing_is_waited_for_of_a_client_that_has_reset),
		WITH_FLOW(client_that_sends_first_gets_a_small_answer),
		WITH_FLOW(client_that_sends_first_gets_a_large_answer),
		WITH_FLOW(draining_ends_with_the_client),
		WITH_FLOW(who_was_told_the_end_keeps_it_when_the_port_is_withdrawn),
		WITH_FLOW(who_was_told_the_end_keeps_it_though_he_speaks),
		WITH_FLOW(who_was_not_is_reset),
		WITH_FLOW(draining_outlasts_the_end_of_the_client),
		WITH_FLOW(bytes_behind_urgent_data_cross),
		WITH_FLOW(bulk_behind_urgent_data_crosses),
		WITH_FLOW(bulk_with_urgent_data_crosses_before_the_end),
		WITH_FLOW(bulk_with_urgent_data_crosses_before_a_reset),
		cmocka_unit_test_setup_teardown(
			bytes_of_a_backend_that_resets_at_once_reach_the_client, setup_relay,
			teardown),
		cmocka_unit_test_setup_teardown(backend_that_resets_at_once_resets_the_client,
						setup_relay, teardown),
		cmocka_unit_test_setup_teardown(
			backend_that_ends_and_resets_at_once_resets_the_client, setup_relay,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
