/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay does around its flows: room, routes, and how dialling ends. */
#include "support.h"

#include <poll.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "net/socket.h"
#include "relay/flow.h"

static struct relay_settings settings;
static struct relay_shared shared;
static struct relay relay;
static struct relay_route route, other_route;
static struct address front;
static int front_fd, backend_fd;

static struct {
	int calls, room_calls;
	const struct relay_route *route;
	struct address client;
	enum end_reason reason;
	int error;
} ended;

static void on_end(void *context, const struct session_end *end)
{
	assert_ptr_equal(context, &ended);
	ended.calls++;
	ended.route = end->session.route;
	ended.client = end->session.client;
	ended.reason = end->reason;
	ended.error = end->error;
}

static void on_room(void *context)
{
	assert_ptr_equal(context, &ended);
	ended.room_calls++;
}

static void start(void)
{
	struct relay_observer observer = {
		.session_ended = on_end,
		.has_room = on_room,
		.context = &ended,
	};

	memset(&ended, 0, sizeof(ended));
	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	front_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	other_route = route;
}

static int setup(void **state)
{
	(void)state;
	settings = (struct relay_settings){
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
		.udp_idle_timeout_ns = 90 * NS_PER_S,
		.udp_clients_max = 10,
	};
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	relay_fini(&relay);
	assert_int_equal(shared.budget.used, 0);
	assert_int_equal(route.counters.open, 0);
	loop_teardown();
	close(front_fd);
	close(backend_fd);
	return 0;
}

static void restart(void)
{
	teardown(NULL);
	start();
}

/* A client that the relay has just accepted, and its descriptor. */
static int new_client(struct relay_route *of)
{
	int client = connect_to(PROTOCOL_TCP, &front);
	struct address address;

	socket_local_address(client, &address);
	loop.now_ns = clock_now_ns();
	assert_true(relay_reserve(&relay));
	relay_accept(&relay, of, accept_from(front_fd, SOCK_NONBLOCK), &address);
	return client;
}

static struct flow *only_flow(void)
{
	struct flow *flow = slots_next(&relay.flows, NULL);

	assert_non_null(flow);
	return flow;
}

static bool has_ended(void)
{
	return ended.calls > 0;
}

static bool backend_is_asked(void)
{
	return wait_for(backend_fd, POLLIN, 0);
}

static void refused_client_is_reset(void **state)
{
	struct address address;
	int client;

	(void)state;
	close(backend_fd);
	client = new_client(&route);
	socket_local_address(client, &address);
	run_until(has_ended);
	assert_was_reset(client);
	assert_int_equal(ended.reason, END_REFUSED);
	assert_int_equal(ended.error, ECONNREFUSED);
	assert_ptr_equal(ended.route, &route);
	assert_true(address_equal(&ended.client, &address));
	assert_int_equal(route.counters.sessions, 1);
	assert_int_equal(route.counters.ended[END_REFUSED], 1);
	close(client);
	backend_fd = -1;
}

/* The container has accepted, so its service is up: the operator is not told to look for it. */
static void container_that_resets_at_once_has_not_refused(void **state)
{
	int client = new_client(&route), backend = accept_from(backend_fd, 0);

	(void)state;
	socket_reset(&backend); /* before the loop has looked at the connection */
	run_until(has_ended);
	assert_was_reset(client);
	assert_int_equal(ended.reason, END_BACKEND_RESET);
	assert_int_equal(ended.error, ECONNRESET);
	close(client);
}

/* A container whose queue of connections is full answers nothing. */
static void silent_container_is_given_up(void **state)
{
	int filling, client;

	(void)state;
	settings.connect_timeout_ns = 100 * NS_PER_MS;
	restart();
	assert_int_equal(listen(backend_fd, 0), 0);
	filling = connect_to(PROTOCOL_TCP, &route.target);
	client = new_client(&route);
	run_until(has_ended);
	assert_was_reset(client);
	assert_int_equal(ended.reason, END_CONNECT_TIMEOUT);
	close(client);
	close(filling);
}

static void unreachable_container_is_told(void **state)
{
	int client;

	(void)state;
	route.target = address_of("255.255.255.255", 80); /* EACCES or ENETUNREACH at once */
	client = new_client(&route);
	run_until(has_ended);
	assert_was_reset(client);
	assert_int_equal(ended.reason, END_UNREACHABLE);
	assert_true(ended.error > 0);
	close(client);
}

/* While the container boots, with the setting for it. */
static void refused_connection_is_tried_again(void **state)
{
	struct sockaddr_storage storage;
	socklen_t length;
	int client, backend;

	(void)state;
	settings.connect_retry_ns = 60 * NS_PER_S;
	restart();
	close(backend_fd);
	backend_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client = new_client(&route);
	run_turns();
	assert_int_equal(ended.calls, 0);

	length = address_to_sockaddr(&route.target, AF_INET, &storage);
	assert_int_equal(bind(backend_fd, (struct sockaddr *)&storage, length), 0);
	assert_int_equal(listen(backend_fd, 1), 0);
	run_until(backend_is_asked);
	backend = accept_from(backend_fd, 0);
	assert_int_equal(send(client, "patience", 8, 0), 8);
	run_turns();
	assert_receives(backend, "patience");
	assert_false(only_flow()->sides[FLOW_BACKEND].failed); /* that was another socket */
	close(client);
	close(backend);
}

static void client_that_leaves_early_is_noticed(void **state)
{
	int client;

	(void)state;
	settings.connect_retry_ns = 60 * NS_PER_S;
	restart();
	close(backend_fd);
	client = new_client(&route);
	run_turns();
	socket_reset(&client);
	run_until(has_ended);
	assert_int_equal(ended.reason, END_CLIENT_RESET);
	backend_fd = -1;
}

/* What waits for its container will need the second descriptor: nobody else gets it. */
static void waiting_session_keeps_room_for_its_container(void **state)
{
	int client;

	(void)state;
	settings.connect_retry_ns = 60 * NS_PER_S;
	restart();
	close(backend_fd);
	backend_fd = -1;
	shared.budget.most = 3;
	client = new_client(&route);
	run_turns();
	assert_int_equal(route.counters.open, 1);
	assert_false(relay_reserve(&relay));
	close(client);
}

static void room_is_for_two_descriptors(void **state)
{
	(void)state;
	shared.budget.most = shared.budget.used + 1;
	assert_false(relay_reserve(&relay));
	shared.budget.most = shared.budget.used + 2;
	assert_true(relay_reserve(&relay));
	relay_cancel(&relay);
}

/* Who was told that there is no room is told when there is. Nobody else is. */
static void room_is_told_once_to_who_waits(void **state)
{
	int first = new_client(&route), second = new_client(&route);

	(void)state;
	run_until(backend_is_asked);
	shared.budget.most = 4;
	assert_false(relay_reserve(&relay));
	end_sessions(&relay, &route);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(ended.room_calls, 1);
	close(first);
	close(second);

	first = new_client(&route);
	end_sessions(&relay, &route);
	assert_int_equal(ended.room_calls, 1);
	close(first);
}

/* Pipes that are kept for later give way to sessions. */
static void idle_pipes_make_room(void **state)
{
	struct pipe *pipe = pipe_pool_take(&relay.pump_resources.pipes);

	(void)state;
	assert_non_null(pipe);
	pipe_pool_give(&relay.pump_resources.pipes, pipe, 0);
	shared.budget.most = 2;
	assert_true(relay_reserve(&relay));
	relay_cancel(&relay);
	assert_int_equal(shared.budget.used, 0);
}

static void dropped_route_takes_its_sessions_only(void **state)
{
	int client = new_client(&route), other = new_client(&other_route);

	(void)state;
	run_until(backend_is_asked);
	run_turns();
	end_sessions(&relay, &route);
	assert_was_reset(client);
	assert_int_equal(route.counters.ended[END_STOPPED], 1);
	assert_int_equal(other_route.counters.open, 1);
	assert_false(wait_for(other, POLLIN, 0));
	relay_drop_withdrawn(&relay, true);
	assert_was_reset(other);
	assert_int_equal(other_route.counters.open, 0);
	close(client);
	close(other);
}

/* A host that is out of descriptors gets them back from others: the client waits. */
static void dialling_waits_for_descriptors(void **state)
{
	struct rlimit before, none;
	int client = connect_to(PROTOCOL_TCP, &front),
	    accepted = accept_from(front_fd, SOCK_NONBLOCK);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop.now_ns = clock_now_ns();
	assert_true(relay_reserve(&relay));
	relay_accept(&relay, &route, accepted, &front);
	run_turns();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(ended.calls, 0);
	run_until(backend_is_asked);
	close(client);
}

/* Some seconds after the last session the process is as small as at its start. */
static void what_was_kept_for_later_is_given_back(void **state)
{
	struct pipe *pipe = pipe_pool_take(&relay.pump_resources.pipes);
	int client = new_client(&route);

	(void)state;
	run_until(backend_is_asked);
	run_turns(); /* so that it is open, and waits for nothing */
	pipe_pool_give(&relay.pump_resources.pipes, pipe, 0);
	timeout_expire(&loop.timeout_queues, loop.now_ns + 3600 * NS_PER_S);
	assert_int_equal(relay.pump_resources.pipes.idle_count, 1); /* not while one is open */
	end_sessions(&relay, &route);
	assert_non_null(relay.flows.chunk);
	timeout_expire(&loop.timeout_queues, loop.now_ns + 3600 * NS_PER_S);
	assert_int_equal(relay.pump_resources.pipes.idle_count, 0);
	assert_int_equal(shared.budget.used, 0);
	assert_null(relay.flows.chunk);
	close(client);
}

static void silent_half_closed_session_ends(void **state)
{
	int client;

	(void)state;
	settings.half_closed_timeout_ns = 100 * NS_PER_MS;
	restart();
	client = new_client(&route);
	run_until(backend_is_asked);
	shutdown(client, SHUT_WR);
	run_until(has_ended);
	assert_int_equal(ended.reason, END_HALF_CLOSED_TIMEOUT);
	close(client);
}

/* What it had sent is still for a container that is stuck; that takes its time, but not for ever. */
static void session_of_a_reset_client_and_a_stuck_container_ends(void **state)
{
	int client, backend;

	(void)state;
	settings.half_closed_timeout_ns = 300 * NS_PER_MS;
	restart();
	client = new_client(&route);
	run_until(backend_is_asked);
	backend = accept_from(backend_fd, 0);
	while (fill(client) > 0)
		run_turns();
	socket_reset(&client);
	run_until(has_ended);
	assert_int_equal(ended.reason, END_HALF_CLOSED_TIMEOUT);
	close(backend);
}

/* The operator is told, as of every other end. */
static void session_without_memory_is_told(void **state)
{
	size_t item_bytes = relay.flows.item_bytes;
	int client;

	(void)state;
	relay.flows.item_bytes = (size_t)1 << 50; /* more than can be mapped */
	client = new_client(&route);
	relay.flows.item_bytes = item_bytes;
	assert_was_reset(client);
	assert_int_equal(ended.calls, 1);
	assert_int_equal(ended.reason, END_NO_MEMORY);
	assert_int_equal(route.counters.sessions, 1);
	assert_int_equal(route.counters.ended[END_NO_MEMORY], 1);
	close(client);
}

int main(void)
{
#define WITH_RELAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_RELAY(refused_client_is_reset),
		WITH_RELAY(container_that_resets_at_once_has_not_refused),
		WITH_RELAY(silent_container_is_given_up),
		WITH_RELAY(unreachable_container_is_told),
		WITH_RELAY(refused_connection_is_tried_again),
		WITH_RELAY(client_that_leaves_early_is_noticed),
		WITH_RELAY(waiting_session_keeps_room_for_its_container),
		WITH_RELAY(room_is_for_two_descriptors),
		WITH_RELAY(room_is_told_once_to_who_waits),
		WITH_RELAY(idle_pipes_make_room),
		WITH_RELAY(dropped_route_takes_its_sessions_only),
		WITH_RELAY(dialling_waits_for_descriptors),
		WITH_RELAY(what_was_kept_for_later_is_given_back),
		WITH_RELAY(silent_half_closed_session_ends),
		WITH_RELAY(session_without_memory_is_told),
		WITH_RELAY(session_of_a_reset_client_and_a_stuck_container_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
