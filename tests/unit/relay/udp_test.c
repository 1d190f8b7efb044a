/* SPDX-License-Identifier: Apache-2.0 */
/* UDP clients of a published port, over loopback sockets. */
#include "support.h"

#include <poll.h>

#include "base/clock.h"
#include "net/socket.h"
#include "relay/udp.h"

static struct relay_settings settings;
static struct relay_shared shared;
static struct relay relay;
static struct relay_route route;
static struct udp_port port;
static struct address front; /* where clients send to */
static int front_fd, backend, clients[3];
static uint8_t port_kind;

static void front_event(void *context, struct loop_ref ref, uint32_t events)
{
	(void)ref;
	(void)events;
	udp_port_receive(&relay, context);
}

static int start(const char *ip)
{
	struct relay_observer observer = { 0 };
	struct loop_ref ref = { .generation = 1 };
	struct address any;

	memset(&route, 0, sizeof(route));
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	route.protocol = PROTOCOL_UDP;
	backend = listen_on(PROTOCOL_UDP, "127.0.0.1", &route.target);
	front_fd = listen_on(PROTOCOL_UDP, ip, &front);
	udp_port_init(&port, front_fd, &route);
	ref.kind = port_kind = loop_add_kind(&loop, front_event, &port);
	assert_int_equal(loop_watch(&loop, front_fd, EPOLLIN, ref), 0);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		clients[i] = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	settings = (struct relay_settings){
		.udp_idle_timeout_ns = 3600 * NS_PER_S,
		.udp_clients_max = 100,
	};
	return start("127.0.0.1");
}

static int teardown(void **state)
{
	(void)state;
	relay_fini(&relay);
	loop_teardown();
	close(front_fd);
	close(backend);
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		close(clients[i]);
	return 0;
}

static void restart(void)
{
	teardown(NULL);
	start("127.0.0.1");
}

static bool all_carried(void)
{
	return !wait_for(front_fd, POLLIN, 0);
}

static void send_from(int client, const struct address *to, const char *text)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(to, AF_INET, &storage);

	assert_int_equal(sendto(client, text, strlen(text), 0, (struct sockaddr *)&storage, length),
			 strlen(text));
	run_until(all_carried);
}

static struct address receive_from(int fd, const char *text)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t length = sizeof(storage);
	struct address from;
	char buffer[64];

	assert_true(wait_for(fd, POLLIN, COMES_MS));
	assert_int_equal(recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&storage,
				  &length),
			 strlen(text));
	assert_memory_equal(buffer, text, strlen(text));
	address_from_sockaddr(&storage, &from);
	return from;
}

/* Sends from the client, and tells what the container takes for its address. */
static struct address source_of(int client)
{
	send_from(client, &front, "hello");
	return receive_from(backend, "hello");
}

static void answer(const struct address *to, const char *text)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(to, AF_INET, &storage);

	assert_int_equal(sendto(backend, text, strlen(text), 0, (struct sockaddr *)&storage,
				length),
			 strlen(text));
	run_turns();
}

static void clients_have_a_source_port_each(void **state)
{
	struct address first = source_of(clients[0]), second = source_of(clients[1]);
	struct address again = source_of(clients[0]);

	(void)state;
	assert_false(address_equal(&first, &second));
	assert_true(address_equal(&first, &again));
	assert_int_equal(route.counters.sessions, 2);
	assert_int_equal(route.counters.open, 2);
	assert_int_equal(route.counters.in_datagrams, 3);
	assert_int_equal(route.counters.in_bytes, 15);
}

static void answers_find_their_client(void **state)
{
	struct address first = source_of(clients[0]), second = source_of(clients[1]), from;

	(void)state;
	answer(&second, "two");
	answer(&first, "one");
	from = receive_from(clients[0], "one");
	assert_true(address_equal(&from, &front));
	receive_from(clients[1], "two");
	assert_int_equal(route.counters.out_datagrams, 2);
	assert_int_equal(route.counters.out_bytes, 6);
}

static void empty_datagrams_cross_both_ways(void **state)
{
	struct address source;

	(void)state;
	send_from(clients[0], &front, "");
	source = receive_from(backend, "");
	answer(&source, "");
	receive_from(clients[0], "");
}

/* A port that serves all addresses answers from the one that was asked. */
static void answers_leave_from_the_address_that_was_asked(void **state)
{
	struct address asked, source, from;

	teardown(state);
	start("0.0.0.0");
	asked = address_of("127.0.0.2", front.port);
	send_from(clients[0], &asked, "hello");
	source = receive_from(backend, "hello");
	answer(&source, "answer");
	from = receive_from(clients[0], "answer");
	assert_true(address_equal(&from, &asked));
}

static void at_the_limit_the_one_idle_longest_makes_room(void **state)
{
	struct address first, again;

	(void)state;
	settings.udp_clients_max = 2;
	restart();
	first = source_of(clients[0]);
	(void)source_of(clients[1]);
	(void)source_of(clients[0]); /* so that the other one is idle longer */
	(void)source_of(clients[2]);
	assert_int_equal(route.counters.ended[END_EVICTED], 1);
	assert_int_equal(route.counters.open, 2);
	again = source_of(clients[0]);
	assert_true(address_equal(&first, &again));
	assert_int_equal(route.counters.sessions, 3);
}

/* The budget of descriptors is a limit of the same kind. */
static void without_descriptors_the_one_idle_longest_makes_room(void **state)
{
	(void)state;
	shared.budget.most = shared.budget.used + 1;
	(void)source_of(clients[0]);
	(void)source_of(clients[1]);
	assert_int_equal(route.counters.ended[END_EVICTED], 1);
	assert_int_equal(route.counters.open, 1);
}

static void with_nobody_to_leave_datagrams_are_dropped(void **state)
{
	(void)state;
	shared.budget.most = shared.budget.used;
	send_from(clients[0], &front, "hello");
	assert_int_equal(route.counters.dropped_datagrams, 1);
	assert_int_equal(route.counters.sessions, 0);
}

static bool has_ended(void)
{
	return route.counters.open == 0;
}

static void idle_client_ends(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	settings.udp_idle_timeout_ns = 50 * NS_PER_MS;
	restart();
	(void)source_of(clients[0]);
	run_until(has_ended);
	assert_true(clock_now_ns() - begin_ns >= 50 * NS_PER_MS);
	assert_int_equal(route.counters.ended[END_IDLE], 1);
	(void)source_of(clients[0]);
	assert_int_equal(route.counters.sessions, 2);
}

static bool was_refused(void)
{
	return route.counters.refused_datagrams > 0;
}

/* The container's port is closed, and opens later: the session, and so its port, stays. */
static void refusal_is_counted_and_ends_nothing(void **state)
{
	struct address source = source_of(clients[0]), again;
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&route.target, AF_INET, &storage);

	(void)state;
	close(backend);
	send_from(clients[0], &front, "lost");
	run_until(was_refused);
	assert_int_equal(route.counters.open, 1);

	backend = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(backend, (struct sockaddr *)&storage, length), 0);
	again = source_of(clients[0]);
	assert_true(address_equal(&source, &again));
}

static void dropped_route_ends_its_clients(void **state)
{
	struct address source = source_of(clients[0]);

	(void)state;
	(void)source_of(clients[1]);
	end_sessions(&relay, &route);
	assert_int_equal(route.counters.open, 0);
	assert_int_equal(route.counters.ended[END_STOPPED], 2);
	assert_int_equal(shared.budget.used, 0);
	answer(&source, "nobody is there");
	assert_int_equal(route.counters.out_datagrams, 0);
}

static int buffer_of(int fd, int name)
{
	int bytes = 0;
	socklen_t length = sizeof(bytes);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &bytes, &length), 0);
	return bytes;
}

/* A full batch leaves at once, and what the port was given stays as large as it was. */
static void buffers_are_raised_and_never_shrunk(void **state)
{
	int half = 8 * 1024 * 1024;

	(void)state;
	if (setsockopt(front_fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) < 0)
		skip(); /* it is root's to do */
	assert_true(buffer_of(front_fd, SO_SNDBUF) >= DATAGRAM_BATCH * 65535);
	udp_port_init(&port, front_fd, &route);
	assert_int_equal(buffer_of(front_fd, SO_RCVBUF), 2 * half);
}

int main(void)
{
#define WITH_PORT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PORT(clients_have_a_source_port_each),
		WITH_PORT(answers_find_their_client),
		WITH_PORT(empty_datagrams_cross_both_ways),
		WITH_PORT(answers_leave_from_the_address_that_was_asked),
		WITH_PORT(at_the_limit_the_one_idle_longest_makes_room),
		WITH_PORT(without_descriptors_the_one_idle_longest_makes_room),
		WITH_PORT(with_nobody_to_leave_datagrams_are_dropped),
		WITH_PORT(idle_client_ends),
		WITH_PORT(refusal_is_counted_and_ends_nothing),
		WITH_PORT(dropped_route_ends_its_clients),
		WITH_PORT(buffers_are_raised_and_never_shrunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
