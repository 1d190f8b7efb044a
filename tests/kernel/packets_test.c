/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How TCP puts together what the relay wants to go in one packet: the last bytes and the end of
 * file, and the third packet of the handshake and the first bytes. `src/relay/pump_stream.c` and
 * `src/relay/opening.c` would have to change.
 */
#include "support.h"

#include <linux/tcp.h>
#include <time.h>

static uint32_t packets_sent(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	assert_true(length >= offsetof(struct tcp_info, tcpi_segs_out) + sizeof(uint32_t));
	return info.tcpi_segs_out;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* As those of the relay, which never use Nagle's algorithm. */
static int setup(void **state)
{
	static struct tcp_pair pair;

	pair = tcp_pair_open();
	set_int_option(pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
	set_nonblocking(pair.client);
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	tcp_pair_close(*(struct tcp_pair *)*state);
	return 0;
}

static void last_bytes_and_end_of_file_share_a_packet(void **state)
{
	struct tcp_pair *pair = *state;
	uint32_t before = packets_sent(pair->client);

	assert_int_equal(send(pair->client, "last", 4, MSG_MORE), 4);
	shutdown(pair->client, SHUT_WR);
	assert_receives(pair->server, "last");
	assert_receives(pair->server, "");
	assert_int_equal(packets_sent(pair->client) - before, 1);
}

/* A pump that keeps its promise of more too late costs time, and no byte. */
static void bytes_with_a_promise_of_more_leave_in_the_end(void **state)
{
	struct tcp_pair *pair = *state;
	uint64_t begin = now_ms();

	assert_int_equal(send(pair->client, "last", 4, MSG_MORE), 4);
	assert_receives(pair->server, "last");
	assert_true(now_ms() - begin < COMES_MS / 5);
}

/* After EPOLLRDHUP all is there: what does not fill the buffer has brought the last byte. */
static void short_read_after_the_end_came_is_the_last(void **state)
{
	struct tcp_pair *pair = *state;
	char buffer[64];
	size_t got = 0;

	for (int i = 0; i < 20; i++)
		send_all(pair->client, "part", 4);
	shutdown(pair->client, SHUT_WR);
	wait_for(pair->server, POLLRDHUP);
	while (true) {
		ssize_t bytes = recv(pair->server, buffer, sizeof(buffer), 0);

		assert_true(bytes > 0);
		got += (size_t)bytes;
		if (bytes < (ssize_t)sizeof(buffer))
			break;
	}
	assert_int_equal(got, 80);
	assert_int_equal(recv(pair->server, buffer, sizeof(buffer), 0), 0);
}

/* Connects without blocking, and says how many packets that and the first bytes took. */
static uint32_t packets_to_begin(bool delays_ack)
{
	int listener = tcp_listen(), server, fd;
	union address where = address_of(listener);
	uint32_t packets;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	set_int_option(fd, IPPROTO_TCP, TCP_QUICKACK, !delays_ack);
	assert_fails(connect(fd, &where.any, address_length(&where)), EINPROGRESS);
	/* whoever listens on this host has answered before connect() returned */
	assert_int_equal(send(fd, "first", 5, 0), 5);
	server = accept(listener, NULL, NULL);
	assert_receives(server, "first");
	packets = packets_sent(fd);
	close(fd);
	close(server);
	close(listener);
	return packets;
}

static void first_bytes_go_with_the_handshake(void **state)
{
	(void)state;
	assert_int_equal(packets_to_begin(false), 3);
	assert_int_equal(packets_to_begin(true), 2);
}

/* Where nothing follows after all, the packet that was held back leaves with the next call. */
static void handshake_is_over_once_acks_are_not_delayed(void **state)
{
	int listener = tcp_listen(), server, fd;
	union address where = address_of(listener);

	(void)state;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set_int_option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	assert_fails(connect(fd, &where.any, address_length(&where)), EINPROGRESS);
	assert_true(stays_quiet(listener, POLLIN));
	set_int_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	close(fd);
	close(server);
	close(listener);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PAIR(last_bytes_and_end_of_file_share_a_packet),
		WITH_PAIR(bytes_with_a_promise_of_more_leave_in_the_end),
		WITH_PAIR(short_read_after_the_end_came_is_the_last),
		cmocka_unit_test(first_bytes_go_with_the_handshake),
		cmocka_unit_test(handshake_is_over_once_acks_are_not_delayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
