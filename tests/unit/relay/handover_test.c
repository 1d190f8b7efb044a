/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that move from one relay to another. Both are on the loop of the test, so that it decides
 * what happens before a session arrives.
 */
#include "support.h"

#include "base/clock.h"
#include "net/socket.h"
#include "relay/handover.h"

enum { SESSIONS = 10 };

static struct relay_shared shared;
static struct relay from, to;
static struct mailbox mailbox;
static struct relay_route route;
static struct address front;
static int front_fd, backend_fd;
static int clients[SESSIONS], backends[SESSIONS];

static int setup(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 2 * NS_PER_S,
		.keepalive_s = 15,
	};
	struct relay_observer observer = { 0 };

	(void)state;
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&from, &loop, &settings, &shared, &observer);
	relay_init(&to, &loop, &settings, &shared, &observer);
	assert_int_equal(mailbox_init(&mailbox, &loop), 0);
	front_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	route.protocol = PROTOCOL_TCP;
	for (size_t i = 0; i < SESSIONS; i++) {
		clients[i] = connect_to(PROTOCOL_TCP, &front);
		assert_true(relay_reserve(&from));
		relay_accept(&from, &route, accept_from(front_fd, SOCK_NONBLOCK), &front);
		backends[i] = accept_from(backend_fd, 0);
	}
	run_turns();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	relay_fini(&from);
	relay_fini(&to);
	mailbox_fini(&mailbox);
	assert_int_equal(shared.budget.used, 0);
	assert_int_equal(route.counters.open, 0);
	loop_teardown();
	for (size_t i = 0; i < SESSIONS; i++) {
		close(clients[i]);
		close(backends[i]);
	}
	close(front_fd);
	close(backend_fd);
	return 0;
}

static void say(const char *text, int fds[SESSIONS])
{
	for (size_t i = 0; i < SESSIONS; i++)
		assert_int_equal(send(fds[i], text, strlen(text), 0), strlen(text));
}

static void assert_all_receive(const char *text, int fds[SESSIONS])
{
	for (size_t i = 0; i < SESSIONS; i++)
		assert_receives(fds[i], text);
}

static void share_of_the_active_moves(void **state)
{
	(void)state;
	handover_begin(&from, &to, &mailbox, 500);
	run_turns();
	assert_int_equal(to.flows.used, 0); /* nobody has said anything */
	say("question", clients);
	run_turns();
	assert_int_equal(to.flows.used, SESSIONS / 2);
	assert_int_equal(from.flows.used, SESSIONS / 2);
	assert_all_receive("question", backends);

	/* each is considered once */
	say("answer", backends);
	run_turns();
	assert_all_receive("answer", clients);
	assert_int_equal(to.flows.used, SESSIONS / 2);
	handover_begin(&from, &to, &mailbox, 1000);
	say("question", clients);
	run_turns();
	assert_int_equal(to.flows.used, SESSIONS);
	assert_all_receive("question", backends);
	assert_int_equal(route.counters.open, SESSIONS);
}

/* Bytes that come while a session is on its way are found by the relay that gets it. */
static void bytes_on_the_way_are_found(void **state)
{
	(void)state;
	handover_all(&from, &to, &mailbox);
	assert_int_equal(from.flows.used, 0);
	say("question", clients);
	say("greeting", backends);
	assert_int_equal(to.flows.used, 0);
	run_turns();
	assert_int_equal(to.flows.used, SESSIONS);
	assert_all_receive("question", backends);
	assert_all_receive("greeting", clients);
}

static void ends_on_the_way_are_found(void **state)
{
	(void)state;
	handover_all(&from, &to, &mailbox);
	shutdown(clients[0], SHUT_WR);
	socket_reset(&clients[1]);
	run_turns();
	assert_receives(backends[0], "");
	assert_was_reset(backends[1]);
	assert_int_equal(route.counters.open, SESSIONS - 1);
	assert_int_equal(send(backends[0], "answer", 6, 0), 6);
	run_turns();
	assert_receives(clients[0], "answer");
}

static bool half_closed_has_timed_out(void)
{
	return route.counters.ended[END_HALF_CLOSED_TIMEOUT] == 1;
}

static void half_closed_one_is_bounded_as_before(void **state)
{
	(void)state;
	shutdown(clients[0], SHUT_WR);
	run_turns();
	handover_all(&from, &to, &mailbox);
	run_until(half_closed_has_timed_out);
	assert_int_equal(route.counters.open, SESSIONS - 1);
}

/* Its rest is in memory, or in a pipe, of the relay that has it. */
static void session_with_a_rest_stays(void **state)
{
	size_t filled = 0;

	(void)state;
	filled = fill(clients[0]); /* nobody reads at backends[0] */
	run_turns();
	filled += fill(clients[0]);
	run_turns();
	handover_all(&from, &to, &mailbox);
	run_turns();
	assert_int_equal(from.flows.used, 1);
	assert_int_equal(to.flows.used, SESSIONS - 1);
	for (size_t got = 0; got < filled; got += drain(backends[0]))
		run_turns();
	handover_all(&from, &to, &mailbox);
	run_turns();
	assert_int_equal(from.flows.used, 0);
	assert_int_equal(send(clients[0], "!", 1, 0), 1);
	run_turns();
	assert_receives(backends[0], "!");
}

static void full_mailbox_leaves_them_where_they_are(void **state)
{
	(void)state;
	mailbox.count = MAILBOX_MESSAGES_MAX - 3;
	for (uint32_t i = 0; i < mailbox.count; i++)
		mailbox.messages[i].receive = NULL;
	handover_all(&from, &to, &mailbox);
	assert_int_equal(from.flows.used, SESSIONS - 3);
	mailbox.first = mailbox.count - 3; /* those are not to be received */
	mailbox.count = 3;
	mailbox_receive(&mailbox);
	assert_int_equal(to.flows.used, 3);
	say("question", clients);
	run_turns();
	assert_all_receive("question", backends);
}

int main(void)
{
#define WITH_RELAYS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_RELAYS(share_of_the_active_moves),
		WITH_RELAYS(bytes_on_the_way_are_found),
		WITH_RELAYS(ends_on_the_way_are_found),
		WITH_RELAYS(half_closed_one_is_bounded_as_before),
		WITH_RELAYS(session_with_a_rest_stays),
		WITH_RELAYS(full_mailbox_leaves_them_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
