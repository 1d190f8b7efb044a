/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/clock.h"
#include "net/socket.h"
#include "relay/sessions.h"

#define SESSIONS 5

static struct relay_shared shared;
static struct relay relay;
static struct relay_route route;
static struct address front;
static int front_fd, backend_fd;
static int clients[SESSIONS], backends[SESSIONS];

static int setup(void **state)
{
	const struct relay_settings settings = { .connect_timeout_ns = 5 * NS_PER_S };
	const struct relay_observer observer = { .context = NULL };

	(void)state;
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	front_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	for (size_t i = 0; i < SESSIONS; i++) {
		clients[i] = connect_to(PROTOCOL_TCP, &front);
		assert_true(relay_reserve(&relay));
		relay_accept(&relay, &route, accept_from(front_fd, SOCK_NONBLOCK), &front);
		backends[i] = accept_from(backend_fd, 0);
	}
	run_turns();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	relay_fini(&relay);
	loop_teardown();
	for (size_t i = 0; i < SESSIONS; i++) {
		close(clients[i]);
		close(backends[i]);
	}
	close(front_fd);
	close(backend_fd);
	return 0;
}

struct seen {
	struct session sessions[SESSIONS];
	size_t count, most;
	uint64_t wanted; /* 0: all */
};

static bool wants(void *context, const struct session *session)
{
	const struct seen *seen = context;

	return seen->wanted == 0 || session->id == seen->wanted;
}

static bool take(void *context, const struct session *session)
{
	struct seen *seen = context;

	seen->sessions[seen->count++] = *session;
	return seen->count < seen->most;
}

static struct seen list(uint32_t piece, uint64_t wanted)
{
	struct seen seen = { .most = SESSIONS + 1, .wanted = wanted };
	struct session_lister lister = { wants, take, &seen };
	uint32_t cursor = 0;

	while (relay_list(&relay, &cursor, piece, &lister))
		;
	return seen;
}

static void assert_local(const struct address *address, int fd)
{
	struct address local;

	socket_local_address(fd, &local);
	assert_true(address_equal(address, &local));
}

static void both_sides_are_shown(void **state)
{
	struct seen seen = list(100, 0);
	struct address peer;

	(void)state;
	assert_int_equal(seen.count, SESSIONS);
	for (size_t i = 0; i < SESSIONS; i++) {
		const struct session *session = &seen.sessions[i];

		assert_int_equal(session->id, i + 1);
		assert_int_equal(session->state, SESSION_OPEN);
		assert_true(address_equal(&session->host, &front));
		assert_true(address_equal(&session->container, &route.target));
		socket_peer_address(backends[i], &peer);
		assert_true(address_equal(&session->source, &peer));
		assert_local(&session->container, backends[i]);
	}
}

static void pieces_make_the_same_list(void **state)
{
	(void)state;
	for (uint32_t piece = 1; piece <= SESSIONS + 1; piece++)
		assert_int_equal(list(piece, 0).count, SESSIONS);
	assert_int_equal(list(2, 3).count, 1);
	assert_int_equal(list(2, 99).count, 0);
}

static void bytes_of_open_sessions_are_counted_once(void **state)
{
	uint32_t cursor;

	(void)state;
	assert_int_equal(send(clients[0], "question", 8, 0), 8);
	run_turns();
	assert_int_equal(route.counters.in_bytes, 0);
	for (int i = 0; i < 2; i++) {
		cursor = 0;
		while (relay_count_open(&relay, &cursor, 2))
			;
		assert_int_equal(route.counters.in_bytes, 8);
	}
	assert_int_equal(list(9, 1).sessions[0].in_bytes, 8);
	end_sessions(&relay, &route);
	assert_int_equal(route.counters.in_bytes, 8);
}

static void ended_side_shows(void **state)
{
	(void)state;
	assert_int_equal(shutdown(clients[1], SHUT_WR), 0);
	run_turns();
	assert_int_equal(list(9, 2).sessions[0].state, SESSION_HALF_CLOSED);
}

static void session_is_ended_by_its_number(void **state)
{
	(void)state;
	assert_true(relay_end_session(&relay, 2));
	assert_was_reset(clients[1]);
	assert_was_reset(backends[1]);
	assert_false(relay_end_session(&relay, 2));
	assert_int_equal(route.counters.ended[END_ADMINISTRATIVE], 1);
	assert_int_equal(list(9, 0).count, SESSIONS - 1);
}

int main(void)
{
#define WITH_SESSIONS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SESSIONS(both_sides_are_shown),
		WITH_SESSIONS(pieces_make_the_same_list),
		WITH_SESSIONS(bytes_of_open_sessions_are_counted_once),
		WITH_SESSIONS(ended_side_shows),
		WITH_SESSIONS(session_is_ended_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
