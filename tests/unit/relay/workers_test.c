/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the relay: sessions on them, moved between them, and ended with them. The thread of
 * the test is the owner's; its loop runs where a test says so.
 */
#include "support.h"

#include <poll.h>

#include "base/clock.h"
#include "base/processors.h"
#include "net/socket.h"
#include "relay/workers.h"

enum { THREADS = 4, SESSIONS = 40 };

/* Instead of base/processors.c: as if one processor of the machine were idle all the time. */
uint64_t processors_idle_ns(void)
{
	return clock_now_ns();
}

static struct relay_shared shared;
static struct relay relay;
static struct workers workers;
static struct relay_route route, other_route;
static struct address front;
static int front_fd, backend_fd;
static int clients[SESSIONS], backends[SESSIONS];

static struct {
	uint32_t refused;
	uint32_t room;
} told;

static void on_end(void *context, const struct session_end *end)
{
	assert_ptr_equal(context, &told);
	told.refused += end->session.route == &route && end->reason == END_REFUSED;
}

static void on_room(void *context)
{
	assert_ptr_equal(context, &told);
	told.room++;
}

static int setup(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
	};
	struct relay_observer observer = {
		.session_ended = on_end,
		.has_room = on_room,
		.context = &told,
	};

	(void)state;
	memset(&told, 0, sizeof(told));
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 1024);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	workers_init(&workers, &relay, THREADS, THREADS);
	assert_int_equal(workers.count, THREADS);
	front_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	route.protocol = PROTOCOL_TCP;
	memcpy(&other_route, &route, sizeof(route));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	workers_fini(&workers);
	relay_fini(&relay);
	assert_int_equal(shared.budget.used, 0);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(other_route.counters.open, 0);
	loop_teardown();
	close(front_fd);
	close(backend_fd);
	return 0;
}

static void accept_for(struct relay_route *of, int *client, int *backend)
{
	*client = connect_to(PROTOCOL_TCP, &front);
	assert_true(relay_reserve(&relay));
	workers_accept(&workers, of, accept_from(front_fd, SOCK_NONBLOCK), &front, true);
	*backend = accept_from(backend_fd, 0);
}

static void open_sessions(void)
{
	for (size_t i = 0; i < SESSIONS; i++)
		accept_for(&route, &clients[i], &backends[i]);
}

static void close_sessions(void)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		close(clients[i]);
		close(backends[i]);
	}
}

static void count_flows(void *context, struct relay *of)
{
	uint32_t **next = context;

	*(*next)++ = of->flows.used;
}

/* Of each thread, the owner's last. */
static void take_counts(uint32_t counts[THREADS])
{
	workers_for_each(&workers, count_flows, &counts);
}

static uint32_t flows_of_all(void)
{
	uint32_t counts[THREADS], sum = 0;

	take_counts(counts);
	for (size_t i = 0; i < THREADS; i++)
		sum += counts[i];
	return sum;
}

static void assert_all_carry_bytes(void)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		assert_int_equal(send(clients[i], "question", 8, 0), 8);
		assert_int_equal(send(backends[i], "greeting", 8, 0), 8);
	}
	run_turns(); /* for those of this thread */
	for (size_t i = 0; i < SESSIONS; i++) {
		assert_receives(backends[i], "question");
		assert_receives(clients[i], "greeting");
	}
}

static void sessions_are_shared_out(void **state)
{
	uint32_t counts[THREADS];

	(void)state;
	open_sessions();
	assert_all_carry_bytes();
	take_counts(counts);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(counts[i], SESSIONS / THREADS);
	assert_int_equal(route.counters.open, SESSIONS);
	close_sessions();
}

static bool all_have_ended(void)
{
	return route.counters.open == 0;
}

static void ends_on_all_threads_are_counted(void **state)
{
	(void)state;
	open_sessions();
	assert_all_carry_bytes();
	close_sessions();
	run_until(all_have_ended);
	/* some had bytes to be read when they were closed, which makes a reset */
	assert_int_equal(route.counters.in_bytes, SESSIONS * 8);
	assert_int_equal(route.counters.out_bytes, SESSIONS * 8);
}

static void dropped_route_takes_its_sessions_of_all_threads(void **state)
{
	int other_client, other_backend;

	(void)state;
	open_sessions();
	accept_for(&other_route, &other_client, &other_backend);
	route.withdrawn = true;
	workers_drop_withdrawn(&workers, false);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_STOPPED], SESSIONS);
	assert_int_equal(flows_of_all(), 1);
	for (size_t i = 0; i < SESSIONS; i++)
		assert_was_reset(clients[i]);
	assert_int_equal(send(other_client, "still", 5, 0), 5);
	run_turns();
	assert_receives(other_backend, "still");
	close_sessions();
	close(other_client);
	close(other_backend);
	other_route.withdrawn = true;
	workers_drop_withdrawn(&workers, false);
}

/* What the owner is told of is told on its own thread, in a turn of its loop. */
static bool refusals_are_known(void)
{
	return told.refused == SESSIONS;
}

static void ends_worth_telling_are_told_to_the_owner(void **state)
{
	(void)state;
	close(backend_fd);
	backend_fd = -1;
	for (size_t i = 0; i < SESSIONS; i++) {
		clients[i] = connect_to(PROTOCOL_TCP, &front);
		backends[i] = -1;
		assert_true(relay_reserve(&relay));
		workers_accept(&workers, &route, accept_from(front_fd, SOCK_NONBLOCK), &front,
			       true);
	}
	run_until(refusals_are_known);
	close_sessions();
}

static bool room_was_told(void)
{
	return told.room > 0;
}

static void room_on_another_thread_is_told_to_the_owner(void **state)
{
	(void)state;
	open_sessions();
	shared.budget.most = shared.budget.used;
	assert_false(relay_reserve(&relay));
	close_sessions();
	run_until(room_was_told);
	run_until(all_have_ended);
}

static uint32_t threads_left;
static bool spins;

static bool thread_has_ended(void)
{
	return workers.count == threads_left && !workers.retiring;
}

/* Threads that are not needed give all they have to the owner's, in the midst of its traffic. */
static void sessions_outlive_their_threads(void **state)
{
	(void)state;
	open_sessions();
	workers.least = 1;
	for (threads_left = THREADS - 1; threads_left > 0; threads_left--) {
		assert_all_carry_bytes();
		workers.balance.pause = 0;
		workers.balance.idle_periods = 1000;
		run_until(thread_has_ended);
	}
	assert_int_equal(relay.flows.used, SESSIONS);
	assert_all_carry_bytes();
	close_sessions();
	run_until(all_have_ended);
}

static uint32_t turns;

static bool count_turn(void *context)
{
	(void)context;
	turns++;
	return true; /* at once again: a thread that runs, counts */
}

static void add_counter(void *context, struct relay *of)
{
	(void)context;
	if (of != &relay)
		loop_add_work(of->loop, count_turn, NULL);
}

/* What it counts is no atomic number: without a pause this would be a race, too. */
static void paused_threads_do_nothing(void **state)
{
	(void)state;
	workers_fini(&workers);
	list_remove(&workers.balancing.node);
	loop.works_used = 2; /* those of the relay; the third was of what has been ended */
	workers_init(&workers, &relay, 2, 2);
	workers_for_each(&workers, add_counter, NULL);
	for (int i = 0; i < 3; i++) {
		uint32_t before;

		workers_pause(&workers);
		before = turns;
		usleep(20000);
		assert_int_equal(turns, before);
		workers_resume(&workers);
		usleep(20000);
		workers_pause(&workers);
		assert_true(turns > before);
		workers_resume(&workers);
	}
}

static bool spin(void *context)
{
	(void)context;
	if (!spins)
		return false;
	for (uint64_t until_ns = clock_now_ns() + NS_PER_MS; clock_now_ns() < until_ns;)
		;
	return true;
}

static bool thread_has_come(void)
{
	return workers.count == 2;
}

static bool thread_has_gone(void)
{
	return workers.count == 1 && !workers.retiring;
}

static void thread_comes_with_load_and_goes_with_it(void **state)
{
	(void)state;
	workers_fini(&workers);
	list_remove(&workers.balancing.node);
	loop.works_used = 2; /* those of the relay; the third was of what has been ended */
	workers_init(&workers, &relay, 1, 2);
	assert_int_equal(workers.count, 1);
	loop_add_work(&loop, spin, NULL);
	open_sessions();
	spins = true;
	run_until(thread_has_come);
	assert_all_carry_bytes();
	spins = false;
	run_until(thread_has_gone);
	assert_all_carry_bytes();
	close_sessions();
	run_until(all_have_ended);
}

int main(void)
{
#define WITH_WORKERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_WORKERS(sessions_are_shared_out),
		WITH_WORKERS(ends_on_all_threads_are_counted),
		WITH_WORKERS(dropped_route_takes_its_sessions_of_all_threads),
		WITH_WORKERS(ends_worth_telling_are_told_to_the_owner),
		WITH_WORKERS(room_on_another_thread_is_told_to_the_owner),
		WITH_WORKERS(sessions_outlive_their_threads),
		WITH_WORKERS(thread_comes_with_load_and_goes_with_it),
		WITH_WORKERS(paused_threads_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
