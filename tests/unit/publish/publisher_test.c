/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <poll.h>

#include "base/clock.h"
#include "net/socket.h"
#include "publish/publisher.h"

static struct publisher publisher;
static struct rule rule;
static struct address backend;
static int backend_fd;

static struct {
	int ended, paused, pause_error;
	const struct published_port *port;
	enum end_reason reason;
} seen;

static void on_end(void *context, const struct session_end *end)
{
	assert_ptr_equal(context, &seen);
	assert_int_equal(end->session.client.family, AF_INET);
	seen.ended++;
	seen.port = publisher_port_of(end->session.route);
	seen.reason = end->reason;
}

static void on_pause(void *context, const struct published_port *port, int error)
{
	assert_ptr_equal(context, &seen);
	seen.paused++;
	seen.port = port;
	seen.pause_error = error;
}

/* budget: what the publisher may hold of descriptors, which is less than the process may. */
static void start(uint32_t budget)
{
	struct publisher_observer observer = {
		.session_ended = on_end,
		.paused = on_pause,
		.context = &seen,
	};
	struct settings settings;

	memset(&seen, 0, sizeof(seen));
	settings_init(&settings);
	loop_setup();
	publisher_init(&publisher, &loop, &settings, 1024, &observer);
	publisher.shared.budget.most = budget;
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &backend);
	rule = (struct rule){
		.protocol = PROTOCOL_TCP,
		.host = address_of("127.0.0.1", 0),
		.container = backend,
	};
}

static int setup(void **state)
{
	(void)state;
	start(100);
	return 0;
}

/* Room for the port and two sessions. */
static int setup_small(void **state)
{
	(void)state;
	start(5);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	publisher_fini(&publisher);
	loop_teardown();
	close(backend_fd);
	return 0;
}

static struct published_port *add(void)
{
	struct error err;
	struct published_port *port = publisher_add(&publisher, &rule, -1, &err);

	if (!port)
		fail_msg("%s", err.text);
	return port;
}

static bool backend_is_asked(void)
{
	return wait_for(backend_fd, POLLIN, 0);
}

static int awaited_fd;

static bool awaited_is_readable(void)
{
	return wait_for(awaited_fd, POLLIN, 0);
}

static void run_until_readable(int fd)
{
	awaited_fd = fd;
	run_until(awaited_is_readable);
}

static bool has_paused(void)
{
	return seen.paused > 0;
}

static bool has_ended(void)
{
	return seen.ended > 0;
}

static void port_of_the_kernels_choice_is_told_and_serves(void **state)
{
	struct published_port *port = add();
	int client, served;

	(void)state;
	assert_true(port->rule.host.port != 0);
	client = connect_to(PROTOCOL_TCP, &port->rule.host);
	run_until(backend_is_asked);
	served = accept_from(backend_fd, 0);
	assert_int_equal(send(client, "question", 8, 0), 8);
	run_turns();
	assert_receives(served, "question");
	assert_int_equal(port->route.counters.sessions, 1);
	close(client);
	close(served);
}

static void busy_port_is_refused_with_a_sentence(void **state)
{
	struct published_port *port = add();
	struct error err;

	(void)state;
	rule.host.port = port->rule.host.port;
	assert_null(publisher_add(&publisher, &rule, -1, &err));
	assert_int_equal(err.code, -EADDRINUSE);
	assert_non_null(strstr(err.text, "address already in use"));
	assert_ptr_equal(publisher_next(&publisher, NULL), port);
	assert_null(publisher_next(&publisher, port));
}

static void passed_socket_is_served(void **state)
{
	struct address address;
	int fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &address), client;
	struct error err;

	(void)state;
	rule.host.port = address.port;
	assert_non_null(publisher_add(&publisher, &rule, fd, &err));
	client = connect_to(PROTOCOL_TCP, &address);
	run_until(backend_is_asked);
	close(client);
}

/* A client may have come before the socket was handed over: dockerd listens first. */
static void client_in_the_backlog_of_a_passed_socket_is_served(void **state)
{
	struct address address;
	int fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &address);
	int client = connect_to(PROTOCOL_TCP, &address);
	struct error err;

	(void)state;
	assert_non_null(publisher_add(&publisher, &rule, fd, &err));
	run_until(backend_is_asked);
	close(client);
}

static void wrong_socket_stays_the_callers(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct error err;

	(void)state;
	assert_null(publisher_add(&publisher, &rule, fd, &err));
	assert_non_null(strstr(err.text, "is not a tcp socket"));
	assert_null(publisher_next(&publisher, NULL));
	assert_int_equal(publisher.shared.budget.used, 0);
	assert_int_equal(close(fd), 0);
}

static void removed_port_resets_its_sessions_and_is_free(void **state)
{
	struct published_port *port = add();
	struct address address = port->rule.host;
	int client = connect_to(PROTOCOL_TCP, &address);

	(void)state;
	run_until(backend_is_asked);
	publisher_remove(&publisher, port);
	assert_was_reset(client);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.reason, END_STOPPED);
	assert_int_equal(publisher.shared.budget.used, 0);
	rule.host.port = address.port; /* at once, although connections to it were open */
	assert_non_null(add());
	close(client);
}

static void session_is_told_with_its_port(void **state)
{
	struct published_port *first = add(), *second = add();
	int client;

	(void)state;
	assert_true(first->rule.host.port != second->rule.host.port);
	close(backend_fd);
	client = connect_to(PROTOCOL_TCP, &second->rule.host);
	run_until(has_ended);
	assert_ptr_equal(seen.port, second);
	assert_int_equal(seen.reason, END_REFUSED);
	assert_int_equal(first->route.counters.sessions, 0);
	assert_int_equal(second->route.counters.sessions, 1);
	close(client);
	backend_fd = -1;
}

/* At the limit clients wait in the backlog, nothing is lost, and it goes on when one has left. */
static void clients_beyond_the_limit_wait(void **state)
{
	struct published_port *port = add();
	int clients[3], served[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		clients[i] = connect_to(PROTOCOL_TCP, &port->rule.host);
	run_until(has_paused);
	assert_int_equal(seen.pause_error, EMFILE);
	assert_ptr_equal(seen.port, port);
	assert_int_equal(port->route.counters.sessions, 2);
	served[0] = accept_from(backend_fd, 0);
	served[1] = accept_from(backend_fd, 0);
	assert_int_equal(send(clients[2], "patience", 8, 0), 8);

	socket_reset(&clients[0]);
	run_until(backend_is_asked);
	served[2] = accept_from(backend_fd, 0);
	run_turns();
	assert_receives(served[2], "patience");
	assert_int_equal(port->route.counters.sessions, 3);
	for (int i = 0; i < 3; i++) {
		close(clients[i]);
		close(served[i]);
	}
}

/* A paused port costs no turns of the loop; it is looked at ten times a second. */
static void paused_port_does_not_spin(void **state)
{
	struct published_port *port = add();
	int clients[3], before;

	(void)state;
	for (int i = 0; i < 3; i++)
		clients[i] = connect_to(PROTOCOL_TCP, &port->rule.host);
	run_until(has_paused);
	before = seen.paused;
	run_turns();
	assert_true(seen.paused - before <= 1);
	assert_true(port->paused);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

/* A client that is served, and its connection at the backend. */
static void open_session(struct published_port *port, int listener, int *client, int *served)
{
	*client = connect_to(PROTOCOL_TCP, &port->rule.host);
	run_until_readable(listener);
	*served = accept_from(listener, 0);
}

static void changed_port_keeps_its_sessions_and_leads_elsewhere(void **state)
{
	struct published_port *port = add();
	struct rule elsewhere = port->rule;
	const struct rule *rules[] = { &elsewhere };
	int listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &elsewhere.container);
	int clients[2], served[2];

	(void)state;
	open_session(port, backend_fd, &clients[0], &served[0]);
	publisher_change_all(&publisher, &port, rules, 1);
	open_session(port, listener, &clients[1], &served[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(clients[i], "question", 8, 0), 8);
		run_turns();
		assert_receives(served[i], "question");
		close(clients[i]);
		close(served[i]);
	}
	close(listener);
}

static void held_port_takes_nobody_until_it_is_released(void **state)
{
	struct published_port *port = add();
	int client;

	(void)state;
	publisher_hold(&publisher, port);
	client = connect_to(PROTOCOL_TCP, &port->rule.host);
	run_turns();
	assert_int_equal(port->route.counters.sessions, 0);
	publisher_release(&publisher, port);
	run_until(backend_is_asked);
	assert_int_equal(port->route.counters.sessions, 1);
	close(client);
}

static void port_that_listens_no_more_can_do_so_again(void **state)
{
	struct published_port *port = add();
	struct address host = port->rule.host;
	int client, served, fd;
	struct error err;

	(void)state;
	open_session(port, backend_fd, &client, &served);
	publisher_stop_listening(&publisher, port);
	fd = socket_listen(PROTOCOL_TCP, &host, &err); /* the port is free */
	assert_true(fd >= 0);
	assert_int_equal(publisher_listen_again(&publisher, port, &err), -EADDRINUSE);
	close(fd);
	assert_int_equal(publisher_listen_again(&publisher, port, &err), 0);
	close(client);
	close(served);
	open_session(port, backend_fd, &client, &served);
	assert_int_equal(port->route.counters.sessions, 2);
	close(client);
	close(served);
}

static bool has_no_port(void)
{
	return !publisher_next(&publisher, NULL);
}

static void drained_port_goes_with_its_last_session(void **state)
{
	struct published_port *port = add();
	int client, served;

	(void)state;
	open_session(port, backend_fd, &client, &served);
	publisher_drain(&publisher, port, 3600 * NS_PER_S);
	assert_int_equal(send(client, "question", 8, 0), 8);
	run_turns();
	assert_receives(served, "question");
	assert_ptr_equal(publisher_next(&publisher, NULL), port);
	close(client);
	close(served);
	run_until(has_no_port);
}

static void drained_port_goes_when_its_time_is_up(void **state)
{
	struct published_port *port = add();
	int client, served;

	(void)state;
	open_session(port, backend_fd, &client, &served);
	publisher_drain(&publisher, port, 0);
	run_until(has_no_port);
	assert_was_reset(client);
	close(client);
	close(served);
}

int main(void)
{
#define WITH(publisher, test) cmocka_unit_test_setup_teardown(test, publisher, teardown)
	const struct CMUnitTest tests[] = {
		WITH(setup, port_of_the_kernels_choice_is_told_and_serves),
		WITH(setup, busy_port_is_refused_with_a_sentence),
		WITH(setup, passed_socket_is_served),
		WITH(setup, client_in_the_backlog_of_a_passed_socket_is_served),
		WITH(setup, wrong_socket_stays_the_callers),
		WITH(setup, removed_port_resets_its_sessions_and_is_free),
		WITH(setup, session_is_told_with_its_port),
		WITH(setup_small, clients_beyond_the_limit_wait),
		WITH(setup_small, paused_port_does_not_spin),
		WITH(setup, changed_port_keeps_its_sessions_and_leads_elsewhere),
		WITH(setup, held_port_takes_nobody_until_it_is_released),
		WITH(setup, port_that_listens_no_more_can_do_so_again),
		WITH(setup, drained_port_goes_with_its_last_session),
		WITH(setup, drained_port_goes_when_its_time_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
