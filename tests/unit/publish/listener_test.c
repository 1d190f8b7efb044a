/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "net/socket.h"
#include "publish/listener.h"

enum { CLIENTS = 10 };

static struct publisher publisher;
static struct published_port *port;
static struct address backend;
static int backend_fd, clients[CLIENTS];

/* A port with clients in its backlog; the loop is not run. */
static int setup(void **state)
{
	struct publisher_observer observer = { 0 };
	struct rule rule = { .protocol = PROTOCOL_TCP, .host = address_of("127.0.0.1", 0) };
	struct settings settings;
	struct error err;

	(void)state;
	settings_init(&settings);
	loop_setup();
	publisher_init(&publisher, &loop, &settings, 1024, &observer);
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &backend);
	rule.container = backend;
	port = publisher_add(&publisher, &rule, -1, &err);
	assert_non_null(port);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = connect_to(PROTOCOL_TCP, &port->rule.host);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	publisher_fini(&publisher);
	loop_teardown();
	close(backend_fd);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	return 0;
}

static void burst_grows_while_there_are_more(void **state)
{
	static const uint64_t accepted[] = { 2, 6, 10 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(accepted); i++) {
		loop.turn++;
		assert_int_equal(listener_accept(&publisher, port), 0);
		assert_true(port->route.counters.sessions == accepted[i]);
	}
	assert_int_equal(port->burst, 1); /* nobody waits any more */
	assert_int_equal(listener_accept(&publisher, port), 0);
	assert_int_equal(port->route.counters.sessions, CLIENTS);
}

/* Once the backlog was empty, who comes alone is accepted with one call. */
static void burst_is_one_where_clients_come_one_by_one(void **state)
{
	(void)state;
	port->backlog_is_tuned = true;
	for (uint64_t i = 1; i <= 4; i++) {
		loop.turn += 3;
		assert_int_equal(listener_accept(&publisher, port), 0);
		assert_true(port->route.counters.sessions == i);
	}
}

static void without_room_nobody_is_accepted(void **state)
{
	(void)state;
	publisher.shared.budget.most = publisher.shared.budget.used + 1;
	assert_int_equal(listener_accept(&publisher, port), -EMFILE);
	assert_int_equal(port->route.counters.sessions, 0);
}

/* The process's limit may be lower than what was asked for. Who waits is not lost by it. */
static void process_without_descriptors_loses_nobody(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(listener_accept(&publisher, port), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(port->route.counters.sessions, 0);
	while (port->route.counters.sessions < CLIENTS)
		assert_int_equal(listener_accept(&publisher, port), 0);
}

/* ... nor are those that leave before they were accepted in anybody's way. */
static void client_that_has_left_is_no_shortage(void **state)
{
	(void)state;
	for (int i = 0; i < CLIENTS / 2; i++)
		socket_reset(&clients[i]);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(listener_accept(&publisher, port), 0);
	assert_true(port->route.counters.sessions >= CLIENTS / 2);
}

int main(void)
{
#define WITH_PORT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PORT(burst_grows_while_there_are_more),
		WITH_PORT(burst_is_one_where_clients_come_one_by_one),
		WITH_PORT(without_room_nobody_is_accepted),
		WITH_PORT(process_without_descriptors_loses_nobody),
		WITH_PORT(client_that_has_left_is_no_shortage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
