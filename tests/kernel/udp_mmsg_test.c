/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recvmmsg() and sendmmsg(): what their count says when a message in the middle fails.
 *
 * The UDP relay moves datagrams in batches and must know, after a short count, which were moved,
 * what was wrong with the next one, and who will tell.
 */
#include "support.h"

enum { BATCH = 3, TOO_LONG = 65508 };

static char too_long[TOO_LONG];

/* Messages of one byte each, `slots` being their buffers. */
static void messages_init(struct mmsghdr *messages, struct iovec *parts, char *slots)
{
	memset(messages, 0, BATCH * sizeof(*messages));
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = &slots[i], .iov_len = 1 };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
}

struct fixture {
	int fd, backend; /* fd is connected to the backend */
	union address backend_address;
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	char slots[BATCH];
};

static int setup(void **state)
{
	static struct fixture f;

	f.backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	f.backend_address = address_of(f.backend);
	f.fd = socket_bound(SOCK_DGRAM, "127.0.0.1");
	assert_int_equal(connect(f.fd, &f.backend_address.any, sizeof(f.backend_address.in)), 0);
	memcpy(f.slots, "abc", BATCH);
	messages_init(f.messages, f.parts, f.slots);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	close(f->backend);
	return 0;
}

/* A message that cannot be sent ends the call with the count before it. The error is not kept: only
 * the next call, with that message in front, states it. The relay looks at it there, drops that one
 * datagram and goes on behind it. */
static void sendmmsg_stops_before_a_message_that_cannot_be_sent(void **state)
{
	struct fixture *f = *state;

	f->parts[1] = (struct iovec){ .iov_base = too_long, .iov_len = TOO_LONG };
	assert_int_equal(sendmmsg(f->fd, f->messages, BATCH, 0), 1);
	assert_int_equal(take_socket_error(f->fd), 0);
	assert_fails(sendmmsg(f->fd, f->messages + 1, BATCH - 1, 0), EMSGSIZE);
	assert_int_equal(sendmmsg(f->fd, f->messages + 2, BATCH - 2, 0), 1);
	assert_receives(f->backend, "a");
	assert_receives(f->backend, "c");
}

/* An error that waits on the socket fails the call as a whole, once; nothing is sent. */
static void sendmmsg_reports_a_waiting_error_and_sends_nothing(void **state)
{
	struct fixture *f = *state;

	close(f->backend);
	assert_int_equal(send(f->fd, "x", 1, 0), 1);
	assert_true(wait_for(f->fd, 0) & POLLERR);
	f->backend = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->backend, &f->backend_address.any, sizeof(f->backend_address.in)),
			 0);

	assert_fails(sendmmsg(f->fd, f->messages, BATCH, 0), ECONNREFUSED);
	assert_true(stays_quiet(f->backend, POLLIN));
	assert_int_equal(sendmmsg(f->fd, f->messages, BATCH, 0), BATCH);
	assert_receives(f->backend, "abc");
}

/* A refusal that comes back during the call is swallowed: the first message draws it, the second
 * takes it and is not sent, and the call says 1 with no error left behind. The relay repeats from
 * the second message, and never spins, because each call sends at least one or states an error.
 * Over the loopback the refusal is back at once, unless the kernel put off its delivery: hence the
 * attempts. */
static void sendmmsg_swallows_a_refusal_that_comes_back_meanwhile(void **state)
{
	struct fixture *f = *state;
	int sent = BATCH;

	close(f->backend);
	f->backend = -1;
	for (int attempt = 0; attempt < 100 && sent != 1; attempt++) {
		sent = sendmmsg(f->fd, f->messages, BATCH, 0);
		assert_in_range(sent, 1, BATCH);
		if (sent == BATCH) {
			assert_true(wait_for(f->fd, 0) & POLLERR);
			assert_int_equal(take_socket_error(f->fd), ECONNREFUSED);
		}
	}
	assert_int_equal(sent, 1);
	assert_int_equal(take_socket_error(f->fd), 0);
}

static void queue_replies(struct fixture *f, int count)
{
	union address to = address_of(f->fd);

	for (int i = 0; i < count; i++)
		assert_int_equal(sendto(f->backend, "r", 1, 0, &to.any, sizeof(to.in)), 1);
	wait_for(f->fd, POLLIN);
}

/* With what there is, and EAGAIN only when there is nothing. */
static void recvmmsg_gives_what_is_there(void **state)
{
	struct fixture *f = *state;

	queue_replies(f, 2);
	assert_int_equal(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), 2);
	assert_int_equal(f->messages[0].msg_len, 1);
	assert_int_equal(f->messages[1].msg_len, 1);
	assert_fails(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), EAGAIN);
}

/* An error behind the first message is kept on the socket, and the next call states it, whichever
 * call that is. The message that met it is lost. */
static void recvmmsg_keeps_an_error_for_the_next_call(void **state)
{
	struct fixture *f = *state;

	queue_replies(f, 3);
	f->parts[1].iov_base = (void *)1; /* not ours to write to */
	assert_int_equal(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), 1);
	f->parts[1].iov_base = &f->slots[1];
	assert_fails(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), EFAULT);
	assert_int_equal(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), 1);
}

/* A waiting error comes alone and first; the replies come with the next call. */
static void recvmmsg_reports_a_waiting_error_first(void **state)
{
	struct fixture *f = *state;

	queue_replies(f, 2);
	close(f->backend);
	f->backend = -1;
	assert_int_equal(send(f->fd, "x", 1, 0), 1);
	assert_true(wait_for(f->fd, 0) & POLLERR);
	assert_fails(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), ECONNREFUSED);
	assert_int_equal(recvmmsg(f->fd, f->messages, BATCH, MSG_DONTWAIT, NULL), 2);
}

int main(void)
{
#define WITH_BATCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_BATCH(sendmmsg_stops_before_a_message_that_cannot_be_sent),
		WITH_BATCH(sendmmsg_reports_a_waiting_error_and_sends_nothing),
		WITH_BATCH(sendmmsg_swallows_a_refusal_that_comes_back_meanwhile),
		WITH_BATCH(recvmmsg_gives_what_is_there),
		WITH_BATCH(recvmmsg_keeps_an_error_for_the_next_call),
		WITH_BATCH(recvmmsg_reports_a_waiting_error_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
