/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that have orders to move their sessions, and end. In the place of relay/balance.c is one
 * that gives nothing but orders.
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "relay/workers.h"

enum { THREADS = 4, SESSIONS = 40, ROUNDS = 10 };

void balance_init(struct balance *balance)
{
	memset(balance, 0, sizeof(*balance));
}

/* From one thread to the one before it, round and round, but for the owner's. */
struct balance_order balance_decide(struct balance *balance, const uint32_t *shares, uint32_t count,
				    uint32_t idle, uint32_t least, uint32_t most)
{
	uint32_t from = 1 + balance->pause++ % (THREADS - 1);

	(void)shares, (void)count, (void)idle, (void)least, (void)most;
	return (struct balance_order){ .action = BALANCE_MOVE,
				       .from = from,
				       .to = from > 1 ? from - 1 : THREADS - 1,
				       .permille = 1000 };
}

uint32_t balance_pick(struct balance *balance, uint32_t count)
{
	return 1 + balance->busy_periods++ % (count - 1);
}

static struct relay_shared shared;
static struct relay relay;
static struct workers workers;
static struct relay_route route;
static int clients[SESSIONS], backends[SESSIONS];
static atomic_bool silent;

static void start(void)
{
	struct relay_settings settings = { .connect_timeout_ns = 5 * NS_PER_S,
					   .half_closed_timeout_ns = 3600 * NS_PER_S };
	struct relay_observer observer = { 0 };

	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 1024);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	workers_init(&workers, &relay, THREADS, THREADS);
	assert_int_equal(workers.count, THREADS);
	route.protocol = PROTOCOL_TCP;
}

static void open_sessions(void)
{
	struct address front;
	int front_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	int backend_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);

	for (size_t i = 0; i < SESSIONS; i++) {
		clients[i] = connect_to(PROTOCOL_TCP, &front);
		assert_true(relay_reserve(&relay));
		workers_accept(&workers, &route, accept_from(front_listener, SOCK_NONBLOCK), &front,
			       false);
		backends[i] = accept_from(backend_listener, 0);
	}
	close(front_listener);
	close(backend_listener);
}

static void close_sessions(void)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		close(clients[i]);
		close(backends[i]);
	}
}

static void talk(int from, int to)
{
	static _Thread_local char bytes[64 * 1024];

	(void)send(from, bytes, 100, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)recv(to, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void *talk_all_the_time(void *context)
{
	while (!silent)
		for (size_t i = 0; i < SESSIONS; i++) {
			talk(clients[i], backends[i]);
			talk(backends[i], clients[i]);
		}
	return context;
}

/* Who gives sessions to a thread that has ended writes to memory that is not there. */
static void threads_end_while_sessions_move(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t talker;

		start();
		open_sessions();
		for (int turn = 0; turn < 12; turn++) /* each has an order, and nothing to move */
			run_turns();
		silent = false;
		assert_int_equal(pthread_create(&talker, NULL, talk_all_the_time, NULL), 0);
		workers_fini(&workers);
		silent = true;
		pthread_join(talker, NULL);
		relay_fini(&relay);
		assert_int_equal(shared.budget.used, 0);
		assert_int_equal(route.counters.open, 0);
		loop_teardown();
		close_sessions();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_end_while_sessions_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
