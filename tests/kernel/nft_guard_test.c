/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nftables matches, of which identity/pool_guard is made. Each test sets one rule, and counts
 * what it matches of packets for the pool; they come on lo, from an address of this host.
 */
#include "support.h"

#include <netinet/ip_icmp.h>
#include <nftables/libnftables.h>
#include <stdlib.h>

#define POOL "240.0.0.0/4"
#define CLIENT "240.1.2.3"
#define GATEWAY "192.0.2.1" /* what masquerading takes */

static struct nft_ctx *nft;

/* One rule for packets to the pool; later ones replace it. */
static void set_rule(const char *rule)
{
	char commands[512];

	(void)snprintf(commands, sizeof(commands),
		       "add table ip t\ndelete table ip t\n"
		       "table ip t {\nchain c {\ntype filter hook prerouting priority raw;\n"
		       "ip daddr " POOL " %s\n}\n}\n",
		       rule);
	assert_int_equal(nft_run_cmd_from_buffer(nft, commands), 0);
}

/* How many packets it has matched; it has "counter" in it. */
static unsigned int count_matched(void)
{
	const char *packets;

	assert_int_equal(nft_run_cmd_from_buffer(nft, "list table ip t"), 0);
	packets = strstr(nft_ctx_get_output_buffer(nft), "counter packets ");
	assert_non_null(packets);
	return (unsigned int)strtoul(packets + strlen("counter packets "), NULL, 10);
}

static int socket_from(int type, const union address *target)
{
	int fd = socket_bound(type, CLIENT);

	assert_int_equal(connect(fd, &target->any, address_length(target)), 0);
	return fd;
}

/* From 127.0.0.1 to that port of the pool; returns what connect() said for TCP. */
static int knock(int type, uint16_t port)
{
	union address target = address_parse(CLIENT, port);
	int fd = socket_bound(type, "127.0.0.1"), r;

	set_nonblocking(fd);
	r = connect(fd, &target.any, address_length(&target)) == 0 ? 0 : errno;
	if (type == SOCK_DGRAM)
		(void)send(fd, "x", 1, 0);
	if (r == EINPROGRESS && !stays_quiet(fd, POLLOUT))
		r = take_socket_error(fd);
	close(fd);
	return r;
}

static uint16_t port_of(int fd)
{
	union address address = address_of(fd);

	return ntohs(address.in.sin_port);
}

static int dual_stack(int type)
{
	union address any = address_parse("::", 0);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	set_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	assert_int_equal(bind(fd, &any.any, address_length(&any)), 0);
	return fd;
}

/* Whether a packet that begins something finds a socket that is, or is not, bound to all addresses. */
static bool finds_wildcard(int type, uint16_t port, int wildcard)
{
	char rule[128];

	(void)snprintf(rule, sizeof(rule), "%s socket wildcard %d counter drop",
		       type == SOCK_STREAM ? "tcp flags & (syn | ack) == syn" : "meta l4proto udp",
		       wildcard);
	set_rule(rule);
	(void)knock(type, port);
	return count_matched() > 0;
}

static void wildcard_tells_what_a_socket_is_bound_to(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	(void)state;

	for (size_t i = 0; i < COUNT_OF(types); i++) {
		int fds[] = { socket_bound(types[i], "0.0.0.0"), dual_stack(types[i]),
			      socket_bound(types[i], CLIENT) };

		for (size_t j = 0; j < COUNT_OF(fds); j++) {
			if (types[i] == SOCK_STREAM)
				assert_int_equal(listen(fds[j], 4), 0);
			assert_int_equal(finds_wildcard(types[i], port_of(fds[j]), 1), j != 2);
			assert_int_equal(finds_wildcard(types[i], port_of(fds[j]), 0), j == 2);
			close(fds[j]);
		}
	}
}

/* Neither 0 nor 1, so what nobody has asked for is not let pass. */
static void without_a_socket_nothing_matches(void **state)
{
	int fd = socket_bound(SOCK_DGRAM, CLIENT);
	uint16_t port = port_of(fd);

	(void)state;
	close(fd);
	set_rule("socket wildcard { 0, 1 } counter");
	assert_int_equal(knock(SOCK_DGRAM, port), 0);
	assert_int_equal(knock(SOCK_STREAM, port), ECONNREFUSED);
	assert_int_equal(count_matched(), 0);
}

/* A connected socket is found for its peer's datagrams, and not for those of others. */
static void a_connected_socket_is_for_its_peer_alone(void **state)
{
	int backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address target = address_of(backend), client;
	int fd = socket_from(SOCK_DGRAM, &target);

	(void)state;
	client = address_of(fd);
	set_rule("socket wildcard 0 counter");
	assert_int_equal(sendto(backend, "reply", 5, 0, &client.any, sizeof(client.in)), 5);
	assert_receives(fd, "reply");
	assert_int_equal(count_matched(), 1);
	(void)knock(SOCK_DGRAM, port_of(fd));
	assert_int_equal(count_matched(), 1);
	close(fd);
	close(backend);
}

/* The socket is the one whose packet it quotes. */
static void an_error_of_icmp_is_matched_by_what_it_quotes(void **state)
{
	int gone = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address target = address_of(gone);
	int fd;

	(void)state;
	close(gone);
	fd = socket_from(SOCK_DGRAM, &target);
	set_rule("ip protocol icmp socket wildcard 0 counter");
	send_all(fd, "x", 1);
	assert_true(wait_for(fd, 0) & POLLERR);
	assert_int_equal(count_matched(), 1);
	assert_int_equal(take_socket_error(fd), ECONNREFUSED);
	close(fd);
}

static void an_echo_request_has_no_socket(void **state)
{
	static const struct icmphdr echo = { .type = ICMP_ECHO, .checksum = 0xfff7 };
	union address target = address_parse(CLIENT, 0);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	(void)state;
	set_rule("socket wildcard { 0, 1 } counter");
	assert_int_equal(sendto(fd, &echo, sizeof(echo), 0, &target.any, sizeof(target.in)),
			 sizeof(echo));
	assert_false(stays_quiet(fd, POLLIN));
	assert_int_equal(count_matched(), 0);
	close(fd);
}

/* Of a connection from the pool, the SYN is ours, and what comes back is matched to the end. */
static void what_begins_no_connection_is_known_by_its_flags(void **state)
{
	int listener = tcp_listen(), fd, accepted, error;
	union address target = address_of(listener);

	(void)state;
	set_rule("tcp flags & (syn | ack) == syn counter drop");
	fd = socket_from(SOCK_STREAM, &target);
	accepted = accept(listener, NULL, NULL);
	send_all(accepted, "data", 4);
	assert_receives(fd, "data");
	close(fd); /* it waits in TIME_WAIT for the rest */
	assert_int_equal(drain(accepted, &error), 0);
	close(accepted);
	assert_int_equal(count_matched(), 0);
	close(listener);

	listener = socket_bound(SOCK_STREAM, "0.0.0.0");
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(knock(SOCK_STREAM, port_of(listener)), EINPROGRESS);
	assert_true(count_matched() > 0);
	close(listener);
}

/* A server that calls its client back is to hear at once that nobody is there. */
static void refusals_can_be_made_before_routing(void **state)
{
	int listener = socket_bound(SOCK_STREAM, "0.0.0.0"), fd;
	union address target = address_parse(CLIENT, 113);

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	set_rule("meta l4proto tcp reject with tcp reset");
	assert_int_equal(knock(SOCK_STREAM, port_of(listener)), ECONNREFUSED);
	close(listener);

	set_rule("meta l4proto udp reject with icmp type port-unreachable");
	fd = socket_bound(SOCK_DGRAM, "127.0.0.1");
	assert_int_equal(connect(fd, &target.any, address_length(&target)), 0);
	send_all(fd, "x", 1);
	assert_true(wait_for(fd, 0) & POLLERR);
	assert_int_equal(take_socket_error(fd), ECONNREFUSED);
	close(fd);
}

/*
 * Without connection tracking packets are put together after this hook. Those behind the first have
 * no ports, so a socket is not to be looked for.
 */
static void only_first_fragments_have_ports(void **state)
{
	static const char data[9000];
	int backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address target = address_of(backend), client;
	int fd = socket_from(SOCK_DGRAM, &target);
	char buffer[sizeof(data)];

	(void)state;
	client = address_of(fd);
	set_int_option(backend, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	set_rule("ip frag-off & 0x1fff != 0 counter");
	assert_int_equal(sendto(backend, data, sizeof(data), 0, &client.any, sizeof(client.in)),
			 sizeof(data));
	wait_for(fd, POLLIN);
	assert_int_equal(recv(fd, buffer, sizeof(buffer), 0), sizeof(data));
	assert_true(count_matched() > 4);

	set_rule("ip frag-off & 0x1fff == 0 socket wildcard 0 counter");
	assert_int_equal(sendto(backend, data, sizeof(data), 0, &client.any, sizeof(client.in)),
			 sizeof(data));
	wait_for(fd, POLLIN);
	assert_int_equal(count_matched(), 1);
	close(fd);
	close(backend);
}

/* The size of a first fragment is its sender's choice: what it lacks is not matched as absent. */
static void a_header_that_is_not_all_there_matches_nothing(void **state)
{
	uint8_t ports_only[8] = { 0, 1, 0, 2 };
	union address target = address_parse(CLIENT, 0);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_rule(i == 0 ? "tcp flags & (syn | ack) != syn counter"
				: "meta l4proto tcp counter");
		assert_int_equal(sendto(fd, ports_only, sizeof(ports_only), 0, &target.any,
					sizeof(target.in)),
				 sizeof(ports_only));
		assert_int_equal(count_matched(), i);
	}
	close(fd);
}

/* The address that a listener on 127.0.0.1 sees of a connection from the pool. */
static in_addr_t seen_source(void)
{
	int listener = tcp_listen();
	union address target = address_of(listener), peer;
	socklen_t length = sizeof(peer);
	int fd = socket_from(SOCK_STREAM, &target);
	int accepted = accept(listener, &peer.any, &length);

	close(accepted);
	close(fd);
	close(listener);
	return peer.in.sin_addr.s_addr;
}

/* Masquerading takes all addresses of this host, and so those of the pool, unless it comes second. */
static void the_first_translation_of_a_source_is_the_last(void **state)
{
	static const char *const priorities[] = { "srcnat - 10", "srcnat + 10" };
	(void)state;

	for (int i = 0; i < 2; i++) {
		char commands[512];

		(void)snprintf(commands, sizeof(commands),
			       "add table ip t\ndelete table ip t\ntable ip t {\n"
			       "chain a {\ntype nat hook postrouting priority %s\n"
			       "ip saddr " POOL " snat to ip saddr\n}\n"
			       "chain b {\ntype nat hook postrouting priority srcnat\n"
			       "fib saddr type local masquerade\n}\n}\n",
			       priorities[i]);
		assert_int_equal(nft_run_cmd_from_buffer(nft, commands), 0);
		assert_int_equal(seen_source(), inet_addr(i == 0 ? CLIENT : GATEWAY));
	}
}

static bool set_up(void)
{
	if (!enter_own_network(1500) || system("ip addr add " GATEWAY "/32 dev lo") != 0 ||
	    system("ip route add local " POOL " dev lo") != 0)
		return false;
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	return nft && nft_ctx_buffer_output(nft) == 0 && nft_ctx_buffer_error(nft) == 0 &&
	       nft_run_cmd_from_buffer(nft, "add table ip t") == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wildcard_tells_what_a_socket_is_bound_to),
		cmocka_unit_test(without_a_socket_nothing_matches),
		cmocka_unit_test(a_connected_socket_is_for_its_peer_alone),
		cmocka_unit_test(an_error_of_icmp_is_matched_by_what_it_quotes),
		cmocka_unit_test(an_echo_request_has_no_socket),
		cmocka_unit_test(what_begins_no_connection_is_known_by_its_flags),
		cmocka_unit_test(refusals_can_be_made_before_routing),
		cmocka_unit_test(only_first_fragments_have_ports),
		cmocka_unit_test(a_header_that_is_not_all_there_matches_nothing),
		cmocka_unit_test(the_first_translation_of_a_source_is_the_last),
	};
	int failed;

	if (!set_up())
		return skip_all("no network namespace of its own, no ip(8), or no nftables");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	nft_ctx_free(nft);
	return failed;
}
