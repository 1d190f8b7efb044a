/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions whose route has an introducer, over loopback sockets. This one announces with "@IP;", says
 * "<IP>" before all else, and connects from an address of its own.
 */
#include "support.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/socket.h"
#include "relay/flow.h"
#include "relay/udp.h"

/* What the introducer is to do. */
struct policy {
	bool expects, says, filters, first_only;
	int fails; /* -errno */
	const char *source;
	uint16_t source_port;
};

static struct relay_shared shared;
static struct relay relay;
static struct relay_route route;
static struct policy policy;
static struct session_end ended;
static int ends_count, leases, filters;
static int front_listener, backend_listener, client, backend;
static struct address front;
static struct udp_port port;
static int udp_front, udp_backend;
static struct address udp_address;

static bool expects(const void *of, const struct address *peer)
{
	assert_int_equal(peer->family, AF_INET);
	return ((const struct policy *)of)->expects;
}

static ssize_t read_announcement(enum protocol protocol, const uint8_t *bytes, size_t length,
				 struct announcement *ret)
{
	const uint8_t *end = memchr(bytes, ';', length);
	char text[ADDRESS_TEXT_MAX];

	(void)protocol;
	*ret = (struct announcement){ .client = { .family = AF_UNSPEC } };
	if (length > 0 && bytes[0] != '@')
		return -EBADMSG;
	if (!end)
		return -EAGAIN;
	(void)snprintf(text, sizeof(text), "%.*s", (int)(end - bytes - 1), bytes + 1);
	if (text[0] != '\0' && address_parse_ip(text, &ret->client) < 0)
		return -EBADMSG;
	return end - bytes + 1;
}

/* One that refuses what begins with "!", and lets all else go. */
static enum filter_verdict edit(struct filter *filter, enum filter_direction direction,
				struct filter_io *io)
{
	(void)filter;
	if (direction == FILTER_IN && io->in[0] == '!') {
		io->refusal.reply = "no";
		io->refusal.reply_bytes = 2;
		io->refusal.reason = END_BAD_REQUEST;
		return FILTER_REFUSES;
	}
	return FILTER_LETS_GO;
}

static void filter_free(struct filter *filter)
{
	filters--;
	free(filter);
}

static const struct filter_ops filter_ops = { .edit = edit, .free = filter_free };

static int introduce(void *context, const void *of, const struct visitor *visitor,
		     struct introduction *ret)
{
	const struct policy *it = of;
	char ip[ADDRESS_TEXT_MAX];

	assert_ptr_equal(context, &policy);
	*ret = (struct introduction){ .client = visitor->peer, .first_only = it->first_only };
	if (it->fails < 0)
		return it->fails;
	if (visitor->announced && visitor->announced->client.family != AF_UNSPEC)
		ret->client = visitor->announced->client;
	if (it->source)
		ret->source = address_of(it->source, it->source_port);
	if (it->says)
		ret->bytes_count = (uint32_t)snprintf((char *)ret->bytes, sizeof(ret->bytes),
						      "<%s>", address_format_ip(&ret->client, ip));
	if (it->filters) {
		ret->filter = calloc(1, sizeof(*ret->filter));
		ret->filter->ops = &filter_ops;
		filters++;
	}
	ret->lease = (uint32_t)++leases;
	return 0;
}

static void leave(void *context, uint32_t lease)
{
	assert_ptr_equal(context, &policy);
	assert_true(lease > 0);
	leases--;
}

static size_t answers_with(const void *of, const uint8_t *bytes, size_t length)
{
	(void)of;
	return length >= 2 && memcmp(bytes, "##", 2) == 0 ? 2 : 0;
}

static bool edits;

static bool edits_datagrams(const void *of)
{
	(void)of;
	return edits;
}

static const struct introducer introducer = { .expects = expects,
					      .read = read_announcement,
					      .introduce = introduce,
					      .leave = leave,
					      .answers_with = answers_with,
					      .edits_datagrams = edits_datagrams,
					      .context = &policy };

static void session_ended(void *context, const struct session_end *end)
{
	(void)context;
	ended = *end;
	ends_count++;
}

static void udp_event(void *context, struct loop_ref ref, uint32_t events)
{
	(void)ref;
	(void)events;
	udp_port_receive(&relay, context);
}

static void start_udp(void)
{
	static struct relay_route udp_route;
	struct loop_ref ref = { .generation = 1 };

	udp_route = (struct relay_route){ .protocol = PROTOCOL_UDP };
	udp_backend = listen_on(PROTOCOL_UDP, "127.0.0.1", &udp_route.target);
	udp_front = listen_on(PROTOCOL_UDP, "0.0.0.0", &udp_address);
	udp_address = address_of("127.0.0.1", udp_address.port);
	edits = true;
	udp_route.introducer = &introducer;
	udp_route.policy = &policy;
	udp_route.introduces = true;
	udp_port_init(&port, udp_front, &udp_route);
	ref.kind = loop_add_kind(&loop, udp_event, &port);
	assert_int_equal(loop_watch(&loop, udp_front, EPOLLIN, ref), 0);
}

static int setup(void **state)
{
	struct relay_settings settings = {
		.connect_timeout_ns = 5 * NS_PER_S,
		.half_closed_timeout_ns = 3600 * NS_PER_S,
		.udp_idle_timeout_ns = 3600 * NS_PER_S,
		.udp_clients_max = 100,
	};
	struct relay_observer observer = { .session_ended = session_ended };

	(void)state;
	memset(&route, 0, sizeof(route));
	policy = (struct policy){ .expects = false };
	ends_count = leases = filters = 0;
	loop_setup();
	relay_shared_init(&shared, 256);
	relay_init(&relay, &loop, &settings, &shared, &observer);
	front_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &front);
	backend_listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &route.target);
	route.protocol = PROTOCOL_TCP;
	route.introducer = &introducer;
	route.policy = &policy;
	route.introduces = true;
	client = connect_to(PROTOCOL_TCP, &front);
	backend = -1;
	start_udp();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(client);
	close(backend);
	close(front_listener);
	close(backend_listener);
	close(udp_front);
	close(udp_backend);
	relay_fini(&relay);
	loop_teardown();
	assert_int_equal(leases, 0);
	assert_int_equal(filters, 0);
	return 0;
}

static struct flow *accept_client(void)
{
	struct address peer;
	int fd = accept_from(front_listener, SOCK_NONBLOCK);

	socket_peer_address(fd, &peer);
	assert_true(relay_reserve(&relay));
	relay_accept(&relay, &route, fd, &peer);
	return slots_next(&relay.flows, NULL);
}

static void say(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
}

static bool has_ended(void)
{
	return ends_count > 0;
}

static void client_is_introduced_before_it_speaks(void **state)
{
	(void)state;
	policy.says = true;
	say("hello");
	accept_client();
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "<127.0.0.1>hello");
}

static void client_that_is_silent_is_introduced_too(void **state)
{
	struct session session;
	struct flow *flow;

	(void)state;
	policy.says = true;
	flow = accept_client();
	backend = accept_from(backend_listener, 0);
	run_turns();
	assert_receives(backend, "<127.0.0.1>");
	flow_describe(flow, &session);
	assert_int_equal(session.in_bytes, 0);
	say("hello");
	run_turns();
	assert_receives(backend, "hello");
	flow_describe(flow, &session);
	assert_int_equal(session.in_bytes, 5);
}

static void source_is_what_was_said(void **state)
{
	struct address peer;

	(void)state;
	policy.source = "127.0.0.9";
	policy.source_port = 43456;
	accept_client();
	backend = accept_from(backend_listener, 0);
	socket_peer_address(backend, &peer);
	assert_int_equal(peer.ip[3], 9);
	assert_int_equal(peer.port, 43456);
}

static void port_that_is_taken_gives_way_to_another(void **state)
{
	struct address peer;
	int first;

	(void)state;
	policy.source = "127.0.0.9";
	policy.source_port = 43457;
	accept_client();
	first = accept_from(backend_listener, 0);
	close(client);
	client = connect_to(PROTOCOL_TCP, &front);
	accept_client();
	backend = accept_from(backend_listener, 0);
	socket_peer_address(backend, &peer);
	assert_int_equal(peer.ip[3], 9);
	assert_int_not_equal(peer.port, 43457);
	close(first);
}

static void failures_end_with_their_reasons(void **state)
{
	static const struct {
		int error;
		const char *source;
		enum end_reason reason;
	} cases[] = {
		{ -ENOSPC, NULL, END_POOL_FULL },
		{ -EAGAIN, NULL, END_NO_IDENTITY },
		{ -ENOMEM, NULL, END_NO_MEMORY },
		{ 0, "198.51.100.1", END_NO_IDENTITY },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		policy.fails = cases[i].error;
		policy.source = cases[i].source;
		ends_count = 0;
		assert_null(accept_client());
		assert_int_equal(ends_count, 1);
		assert_int_equal(ended.reason, cases[i].reason);
		assert_was_reset(client);
		close(client);
		client = connect_to(PROTOCOL_TCP, &front);
	}
}

static void announced_client_is_the_client(void **state)
{
	struct session session = { .id = 0 };
	struct flow *flow;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	policy.expects = policy.says = true;
	say("@2001:db8::7;hello");
	flow = accept_client();
	backend = accept_from(backend_listener, 0);
	run_turns();
	assert_receives(backend, "<2001:db8::7>hello");
	flow_describe(flow, &session);
	flow_add_addresses(flow, &session);
	assert_string_equal(address_format_ip(&session.client, text), "2001:db8::7");
	assert_string_equal(address_format_ip(&session.announcer, text), "127.0.0.1");
}

static void announcement_may_come_in_pieces(void **state)
{
	static const char *const pieces[] = { "@", "2001:db8:", ":8", ";", "hello" };
	struct flow *flow = NULL;

	(void)state;
	policy.expects = policy.says = true;
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		if (i == 1)
			flow = accept_client();
		if (flow)
			assert_int_equal(flow->state, i < 4 ? FLOW_ANNOUNCING : FLOW_OPEN);
		say(pieces[i]);
		run_turns();
	}
	backend = accept_from(backend_listener, 0);
	assert_receives(backend, "<2001:db8::8>hello");
}

static void peer_that_announces_nobody_is_the_client(void **state)
{
	struct session session = { .id = 0 };
	struct flow *flow;

	(void)state;
	policy.expects = policy.says = true;
	say("@;");
	flow = accept_client();
	backend = accept_from(backend_listener, 0);
	run_turns();
	assert_receives(backend, "<127.0.0.1>");
	flow_describe(flow, &session);
	flow_add_addresses(flow, &session);
	assert_int_equal(session.announcer.family, AF_UNSPEC);
}

static void what_is_no_announcement_ends_the_session(void **state)
{
	(void)state;
	policy.expects = true;
	say("hello");
	assert_null(accept_client());
	assert_int_equal(ended.reason, END_NOT_ANNOUNCED);
	assert_was_reset(client);
}

static void client_that_leaves_unannounced_is_gone(void **state)
{
	(void)state;
	policy.expects = true;
	accept_client();
	close(client);
	client = -1;
	run_until(has_ended);
	assert_int_equal(ended.reason, END_CLIENT_RESET);
}

static void announcement_without_end_is_none(void **state)
{
	static char endless[ANNOUNCEMENT_BYTES_MAX + 100];

	(void)state;
	policy.expects = true;
	memset(endless, 'x', sizeof(endless));
	endless[0] = '@';
	assert_int_equal(send(client, endless, sizeof(endless), 0), sizeof(endless));
	accept_client();
	run_until(has_ended);
	assert_int_equal(ended.reason, END_NOT_ANNOUNCED);
}

static void filter_has_the_last_word(void **state)
{
	(void)state;
	policy.filters = policy.says = true;
	accept_client();
	backend = accept_from(backend_listener, 0);
	run_turns();
	assert_receives(backend, "<127.0.0.1>");
	say("!");
	run_until(has_ended);
	assert_int_equal(ended.reason, END_BAD_REQUEST);
	assert_receives(client, "no");
	assert_was_reset(backend);
}

static void filter_that_lets_go_leaves_a_usual_session(void **state)
{
	(void)state;
	policy.filters = true;
	say("hello");
	accept_client();
	backend = accept_from(backend_listener, 0);
	run_turns();
	assert_receives(backend, "hello");
	assert_int_equal(send(backend, "answer", 6, 0), 6);
	run_turns();
	assert_receives(client, "answer");
	shutdown(client, SHUT_WR);
	run_turns();
	assert_receives(backend, "");
	shutdown(backend, SHUT_WR);
	run_until(has_ended);
	assert_int_equal(ended.reason, END_DONE);
}

/* UDP. */

static void send_datagram(int fd, const char *text)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&udp_address, AF_INET, &storage);

	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&storage, length),
			 strlen(text));
	run_turns();
}

static void receive_datagram(const char *text, struct sockaddr_storage *ret_from)
{
	socklen_t length = sizeof(*ret_from);
	char buffer[64];

	assert_true(wait_for(udp_backend, POLLIN, COMES_MS));
	assert_int_equal(recvfrom(udp_backend, buffer, sizeof(buffer), 0,
				  (struct sockaddr *)ret_from, &length),
			 strlen(text));
	assert_memory_equal(buffer, text, strlen(text));
}

static void each_datagram_is_introduced(void **state)
{
	struct sockaddr_storage from;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.says = true;
	for (int i = 0; i < 3; i++) {
		send_datagram(fd, i == 1 ? "" : "hi");
		receive_datagram(i == 1 ? "<127.0.0.1>" : "<127.0.0.1>hi", &from);
	}
	close(fd);
}

static void neighbours_are_introduced_each(void **state)
{
	struct sockaddr_storage from;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.says = true;
	for (int i = 0; i < 4; i++) {
		struct sockaddr_storage storage;
		socklen_t length = address_to_sockaddr(&udp_address, AF_INET, &storage);

		assert_int_equal(sendto(fd, "same", 4, 0, (struct sockaddr *)&storage, length), 4);
	}
	run_turns();
	for (int i = 0; i < 4; i++)
		receive_datagram("<127.0.0.1>same", &from);
	close(fd);
}

static void first_datagram_alone_is_introduced(void **state)
{
	struct sockaddr_storage from;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.says = policy.first_only = true;
	send_datagram(fd, "one");
	receive_datagram("<127.0.0.1>one", &from);
	send_datagram(fd, "two");
	receive_datagram("two", &from);
	close(fd);
}

static void answers_lose_what_is_for_us(void **state)
{
	struct sockaddr_storage from;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	send_datagram(fd, "q");
	receive_datagram("q", &from);
	assert_int_equal(sendto(udp_backend, "##answer", 8, 0, (struct sockaddr *)&from,
				sizeof(struct sockaddr_in)),
			 8);
	run_turns();
	assert_receives(fd, "answer");
	close(fd);
}

static void announced_clients_of_one_peer_are_kept_apart(void **state)
{
	struct sockaddr_storage first, second;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.expects = policy.says = true;
	send_datagram(fd, "@2001:db8::1;a");
	receive_datagram("<2001:db8::1>a", &first);
	send_datagram(fd, "@2001:db8::2;b");
	receive_datagram("<2001:db8::2>b", &second);
	assert_memory_not_equal(&first, &second, sizeof(struct sockaddr_in));
	assert_int_equal(relay.udp_clients.used, 2);
	send_datagram(fd, "not announced");
	assert_false(wait_for(udp_backend, POLLIN, 20));
	assert_int_equal(port.route->counters.dropped_datagrams, 1);
	assert_int_equal(sendto(udp_backend, "answer", 6, 0, (struct sockaddr *)&second,
				sizeof(struct sockaddr_in)),
			 6);
	run_turns();
	assert_receives(fd, "answer");
	close(fd);
}

static void client_that_cannot_be_introduced_is_dropped(void **state)
{
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.fails = -ENOSPC;
	for (int i = 0; i < 3; i++)
		send_datagram(fd, "hello");
	assert_false(wait_for(udp_backend, POLLIN, 20));
	assert_int_equal(port.route->counters.dropped_datagrams, 3);
	assert_int_equal(relay.udp_clients.used, 0);
	assert_int_equal(ends_count, 1); /* in a second */
	assert_int_equal(ended.reason, END_POOL_FULL);
	close(fd);
}

static void answer_to(const struct sockaddr_storage *to, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);

	assert_int_equal(sendto(udp_backend, text, strlen(text), 0, (const struct sockaddr *)to,
				sizeof(struct sockaddr_in)),
			 length);
	run_turns();
}

static void assert_answered_from(int fd, const char *text, const char *ip)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(storage);
	struct address from, expected = address_of(ip, 0);
	char bytes[64];

	assert_true(wait_for(fd, POLLIN, COMES_MS));
	assert_int_equal(recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&storage,
				  &length),
			 strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	address_from_sockaddr(&storage, &from);
	assert_memory_equal(from.ip, expected.ip, sizeof(from.ip));
}

/*
 * One socket of a client asks at two addresses of the host. Both sessions would like to have its
 * address and port towards the container, which then could not tell them apart, nor could we.
 */
static void datagrams_to_two_addresses_have_two_sources(void **state)
{
	struct sockaddr_storage first, second;
	struct address any, one = udp_address;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.source = "127.0.0.9";
	policy.source_port = any.port >= 32768 ? any.port : 43459;
	send_datagram(fd, "a");
	receive_datagram("a", &first);
	udp_address = address_of("127.0.0.2", one.port);
	send_datagram(fd, "b");
	receive_datagram("b", &second);
	udp_address = one;
	answer_to(&first, "to a");
	assert_answered_from(fd, "to a", "127.0.0.1");
	answer_to(&second, "to b");
	assert_answered_from(fd, "to b", "127.0.0.2");
	close(fd);
}

static void container_that_was_not_there_gets_the_first_head_again(void **state)
{
	struct sockaddr_storage from, storage;
	socklen_t length = address_to_sockaddr(&port.route->target, AF_INET, &storage);
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	policy.says = policy.first_only = true;
	close(udp_backend);
	send_datagram(fd, "one");
	assert_int_equal(port.route->counters.refused_datagrams, 1);
	udp_backend = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(udp_backend, (struct sockaddr *)&storage, length), 0);
	send_datagram(fd, "two");
	receive_datagram("<127.0.0.1>two", &from);
	send_datagram(fd, "three");
	receive_datagram("three", &from);
	close(fd);
}

static void who_may_not_come_takes_no_place(void **state)
{
	struct sockaddr_storage from;
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);
	int other = listen_on(PROTOCOL_UDP, "127.0.0.1", &any);

	(void)state;
	relay.settings.udp_clients_max = 1;
	send_datagram(fd, "one");
	receive_datagram("one", &from);
	policy.fails = -EACCES;
	send_datagram(other, "denied");
	assert_int_equal(port.route->counters.ended[END_EVICTED], 0);
	assert_int_equal(relay.udp_clients.used, 1);
	policy.fails = 0;
	send_datagram(other, "two");
	receive_datagram("two", &from);
	assert_int_equal(port.route->counters.ended[END_EVICTED], 1);
	close(fd);
	close(other);
}

/* They came in one buffer, and wait there when the port begins to edit. */
static void segments_that_wait_are_parted(void **state)
{
	struct sockaddr_storage from, storage;
	socklen_t length = address_to_sockaddr(&udp_address, AF_INET, &storage);
	struct address any;
	int fd = listen_on(PROTOCOL_UDP, "127.0.0.1", &any), segment = 4;

	(void)state;
	edits = false;
	udp_port_changed(&port);
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(sendto(fd, "aaaabbbbcc", 10, 0, (struct sockaddr *)&storage, length), 10);
	edits = policy.says = true;
	udp_port_changed(&port);
	run_turns();
	receive_datagram("<127.0.0.1>aaaa", &from);
	receive_datagram("<127.0.0.1>bbbb", &from);
	receive_datagram("<127.0.0.1>cc", &from);
	assert_int_equal(port.route->counters.dropped_datagrams, 0);
	close(fd);
}

int main(void)
{
#define WITH_RELAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_RELAY(client_is_introduced_before_it_speaks),
		WITH_RELAY(client_that_is_silent_is_introduced_too),
		WITH_RELAY(source_is_what_was_said),
		WITH_RELAY(port_that_is_taken_gives_way_to_another),
		WITH_RELAY(failures_end_with_their_reasons),
		WITH_RELAY(announced_client_is_the_client),
		WITH_RELAY(announcement_may_come_in_pieces),
		WITH_RELAY(peer_that_announces_nobody_is_the_client),
		WITH_RELAY(what_is_no_announcement_ends_the_session),
		WITH_RELAY(client_that_leaves_unannounced_is_gone),
		WITH_RELAY(announcement_without_end_is_none),
		WITH_RELAY(filter_has_the_last_word),
		WITH_RELAY(filter_that_lets_go_leaves_a_usual_session),
		WITH_RELAY(each_datagram_is_introduced),
		WITH_RELAY(neighbours_are_introduced_each),
		WITH_RELAY(first_datagram_alone_is_introduced),
		WITH_RELAY(answers_lose_what_is_for_us),
		WITH_RELAY(announced_clients_of_one_peer_are_kept_apart),
		WITH_RELAY(client_that_cannot_be_introduced_is_dropped),
		WITH_RELAY(datagrams_to_two_addresses_have_two_sources),
		WITH_RELAY(container_that_was_not_there_gets_the_first_head_again),
		WITH_RELAY(who_may_not_come_takes_no_place),
		WITH_RELAY(segments_that_wait_are_parted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
