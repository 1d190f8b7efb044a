/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP_GRO: many datagrams in one recvmsg(), and UDP_SEGMENT, its counterpart for sending.
 *
 * net/datagram cuts what it receives at the size that the kernel states, and the relay passes the
 * batch on as it came.
 */
#include "support.h"

#include <netinet/udp.h>

struct fixture {
	int sender, receiver; /* connected to each other */
};

static int setup(void **state)
{
	static struct fixture f;
	union address a, b;

	f.sender = socket_bound(SOCK_DGRAM, "127.0.0.1");
	f.receiver = socket_bound(SOCK_DGRAM, "127.0.0.1");
	a = address_of(f.sender);
	b = address_of(f.receiver);
	assert_int_equal(connect(f.sender, &b.any, sizeof(b.in)), 0);
	assert_int_equal(connect(f.receiver, &a.any, sizeof(a.in)), 0);
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

static void send_segmented(int fd, const void *data, size_t length, uint16_t segment)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	assert_int_equal(sendmsg(fd, &message, 0), length);
}

struct batch {
	ssize_t length;
	int segment; /* 0: the kernel stated none */
	int flags;
};

static struct batch receive_batch(int fd, size_t room)
{
	static char data[65536];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = data, .iov_len = room };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct batch batch = { 0 };

	assert_true(room <= sizeof(data));
	wait_for(fd, POLLIN);
	batch.length = recvmsg(fd, &message, MSG_DONTWAIT);
	batch.flags = message.msg_flags;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		assert_int_equal(c->cmsg_level, SOL_UDP);
		assert_int_equal(c->cmsg_type, UDP_GRO);
		/* The size is an int, though UDP_SEGMENT takes 16 bits. */
		assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&batch.segment, CMSG_DATA(c), sizeof(int));
	}
	return batch;
}

/* A segmented send crosses the loopback as one and arrives as one, with its size stated; only the
 * last datagram may be shorter. */
static void a_segmented_send_arrives_as_one_batch(void **state)
{
	struct fixture *f = *state;
	static const char data[4700];
	struct batch batch;

	set_int_option(f->receiver, SOL_UDP, UDP_GRO, 1);
	send_segmented(f->sender, data, sizeof(data), 1000);
	batch = receive_batch(f->receiver, 65536);
	assert_int_equal(batch.length, 4700);
	assert_int_equal(batch.segment, 1000);
	assert_true(stays_quiet(f->receiver, POLLIN));
}

/* Without UDP_GRO on the receiver the same send arrives as separate datagrams. */
static void without_the_option_the_datagrams_arrive_one_by_one(void **state)
{
	struct fixture *f = *state;
	static const char data[2500];

	send_segmented(f->sender, data, sizeof(data), 1000);
	for (size_t i = 0; i < 3; i++) {
		struct batch batch = receive_batch(f->receiver, 65536);

		assert_int_equal(batch.length, i < 2 ? 1000 : 500);
		assert_int_equal(batch.segment, 0);
	}
	assert_true(stays_quiet(f->receiver, POLLIN));
}

/* A datagram that came alone has no size stated: it is one datagram, whatever its length. */
static void a_lone_datagram_states_no_size(void **state)
{
	struct fixture *f = *state;
	struct batch batch;

	set_int_option(f->receiver, SOL_UDP, UDP_GRO, 1);
	assert_int_equal(send(f->sender, "alone", 5, 0), 5);
	batch = receive_batch(f->receiver, 65536);
	assert_int_equal(batch.length, 5);
	assert_int_equal(batch.segment, 0);
}

/* Datagrams without data exist, are never merged into a batch, and keep their place. */
static void empty_datagrams_are_kept_apart(void **state)
{
	struct fixture *f = *state;
	static const char data[2000];
	struct batch batch;

	set_int_option(f->receiver, SOL_UDP, UDP_GRO, 1);
	assert_int_equal(send(f->sender, "", 0, 0), 0);
	send_segmented(f->sender, data, sizeof(data), 1000);
	assert_int_equal(send(f->sender, "", 0, 0), 0);
	assert_int_equal(send(f->sender, "", 0, 0), 0);

	assert_int_equal(receive_batch(f->receiver, 65536).length, 0);
	batch = receive_batch(f->receiver, 65536);
	assert_int_equal(batch.length, 2000);
	assert_int_equal(batch.segment, 1000);
	assert_int_equal(receive_batch(f->receiver, 65536).length, 0);
	assert_int_equal(receive_batch(f->receiver, 65536).length, 0);
	assert_true(stays_quiet(f->receiver, POLLIN));
}

/* What does not fit is lost, all of it that is behind the cut: with UDP_GRO on, every buffer must
 * hold 64 KiB. */
static void a_batch_larger_than_the_buffer_is_cut_and_lost(void **state)
{
	struct fixture *f = *state;
	static const char data[3000];
	struct batch batch;

	set_int_option(f->receiver, SOL_UDP, UDP_GRO, 1);
	send_segmented(f->sender, data, sizeof(data), 1000);
	batch = receive_batch(f->receiver, 1500);
	assert_int_equal(batch.length, 1500);
	assert_int_equal(batch.flags & MSG_TRUNC, MSG_TRUNC);
	assert_true(stays_quiet(f->receiver, POLLIN));
}

int main(void)
{
#define WITH_SOCKETS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SOCKETS(a_segmented_send_arrives_as_one_batch),
		WITH_SOCKETS(without_the_option_the_datagrams_arrive_one_by_one),
		WITH_SOCKETS(a_lone_datagram_states_no_size),
		WITH_SOCKETS(empty_datagrams_are_kept_apart),
		WITH_SOCKETS(a_batch_larger_than_the_buffer_is_cut_and_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
