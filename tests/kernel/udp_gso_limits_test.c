/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of UDP_SEGMENT: how many datagrams, how long, and over which MTU.
 *
 * The relay passes a received batch on with one segmented send and falls back to single sends
 * where the kernel refuses. It must know what is refused, and that nothing of it is sent then. The
 * loopback of this program's own network namespace has the MTU of an Ethernet.
 */
#include "support.h"

#include <netinet/udp.h>

enum { MTU = 1500, HEADERS = 20 + 8, LARGEST = MTU - HEADERS };

struct fixture {
	int sender, receiver;
};

static int setup(void **state)
{
	static struct fixture f;
	union address to;

	f.receiver = socket_bound(SOCK_DGRAM, "127.0.0.1");
	f.sender = socket_bound(SOCK_DGRAM, "127.0.0.1");
	to = address_of(f.receiver);
	assert_int_equal(connect(f.sender, &to.any, sizeof(to.in)), 0);
	/* Let every datagram of the largest batch fit. */
	set_int_option(f.receiver, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->sender);
	close(f->receiver);
	return 0;
}

/* Sends `length` bytes in segments; returns 0 or the errno. */
static int send_segmented(struct fixture *f, size_t length, int segment)
{
	static const char data[70000];

	assert_true(length <= sizeof(data));
	set_int_option(f->sender, SOL_UDP, UDP_SEGMENT, segment);
	if (send(f->sender, data, length, 0) < 0)
		return errno;
	return 0;
}

static int count_received(struct fixture *f)
{
	char data[65536];
	int count = 0;

	if (stays_quiet(f->receiver, POLLIN))
		return 0;
	while (recv(f->receiver, data, sizeof(data), MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

/* 64 datagrams in one call are fine with every kernel that has UDP_SEGMENT (128 since 6.9); more
 * than 128 with none. The relay stays at 64. */
static void sixty_four_segments_are_accepted_and_129_are_not(void **state)
{
	struct fixture *f = *state;
	int error = 0;

	assert_int_equal(send_segmented(f, 64, 1), 0);
	assert_int_equal(count_received(f), 64);

	error = send_segmented(f, 65, 1);
	assert_true(error == 0 || error == EINVAL);
	print_message("# 65 segments: %s\n", error == 0 ? "accepted" : "refused");
	assert_int_equal(count_received(f), error == 0 ? 65 : 0);

	assert_int_equal(send_segmented(f, 129, 1), EINVAL);
	assert_int_equal(count_received(f), 0);
}

/* Each segment must fit the MTU: segmented datagrams are never fragmented, while the same sizes
 * sent singly are. The relay falls back to single sends. */
static void segments_larger_than_the_mtu_are_refused(void **state)
{
	struct fixture *f = *state;
	int error = 0;

	assert_int_equal(send_segmented(f, 3 * LARGEST, LARGEST), 0);
	assert_int_equal(count_received(f), 3);

	error = send_segmented(f, 3 * (LARGEST + 1), LARGEST + 1);
	print_message("# segments of MTU + 1: %s\n", strerror(error));
	assert_true(error == EINVAL || error == EMSGSIZE);
	assert_int_equal(count_received(f), 0);

	assert_int_equal(send_segmented(f, LARGEST + 1, 0), 0);
	assert_int_equal(count_received(f), 1);
}

/* The whole batch must fit one IPv4 datagram's length field, headers included. */
static void a_batch_holds_at_most_65507_bytes(void **state)
{
	struct fixture *f = *state;
	int whole = 65507 / LARGEST;

	assert_int_equal(send_segmented(f, 65507, LARGEST), 0);
	assert_int_equal(count_received(f), whole + 1);
	assert_int_equal(send_segmented(f, 65508, LARGEST), EMSGSIZE);
	assert_int_equal(count_received(f), 0);
}

/* A payload not longer than one segment is sent as a plain datagram. */
static void a_batch_of_one_is_a_plain_datagram(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_segmented(f, 100, 1000), 0);
	assert_int_equal(count_received(f), 1);
}

int main(void)
{
#define WITH_SOCKETS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SOCKETS(sixty_four_segments_are_accepted_and_129_are_not),
		WITH_SOCKETS(segments_larger_than_the_mtu_are_refused),
		WITH_SOCKETS(a_batch_holds_at_most_65507_bytes),
		WITH_SOCKETS(a_batch_of_one_is_a_plain_datagram),
	};

	if (!enter_own_network(MTU))
		return skip_all("cannot make a network namespace (needs root or user namespaces)");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
