/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice() between sockets and pipes, as the relay's bulk path uses it.
 *
 * The pump moves socket -> pipe -> socket, both descriptors non-blocking, and must tell four cases
 * apart from return values alone: data, end of file, source empty, sink full.
 */
#include "support.h"

#include <signal.h>
#include <sys/ioctl.h>

static ssize_t splice_some(int from, int to, size_t length)
{
	return splice(from, NULL, to, NULL, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

static int bytes_in(int fd)
{
	int bytes = 0;

	assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
	return bytes;
}

struct fixture {
	struct tcp_pair pair; /* the relay's end is `server` */
	int reader, writer;   /* its pipe */
};

static int setup(void **state)
{
	static struct fixture f;
	int ends[2];

	f.pair = tcp_pair_open();
	set_nonblocking(f.pair.server);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	f.reader = ends[0];
	f.writer = ends[1];
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pair.client >= 0)
		close(f->pair.client);
	close(f->pair.server);
	close(f->reader);
	close(f->writer);
	return 0;
}

/* The pump sees the end of a direction by a return of 0, as often as it asks. */
static void data_comes_first_then_zero_is_the_end(void **state)
{
	struct fixture *f = *state;

	send_all(f->pair.client, "hello", 5);
	shutdown(f->pair.client, SHUT_WR);
	wait_for(f->pair.server, POLLRDHUP);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 5);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 0);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 0);
}

/* With nothing in the pipe, EAGAIN can only mean an empty source: the pump goes idle. */
static void eagain_into_an_empty_pipe_means_an_empty_socket(void **state)
{
	struct fixture *f = *state;

	assert_fails(splice_some(f->pair.server, f->writer, 65536), EAGAIN);
	assert_int_equal(bytes_in(f->reader), 0);
}

/* With a full pipe, EAGAIN comes before the socket is looked at: data, end of file and nothing at
 * all give the same answer. The pump may conclude nothing; it must empty the pipe and ask again. */
static void eagain_into_a_full_pipe_says_nothing_about_the_socket(void **state)
{
	struct fixture *f = *state;
	char page[4096] = { 0 };

	while (write(f->writer, page, sizeof(page)) > 0)
		continue;

	assert_fails(splice_some(f->pair.server, f->writer, 65536), EAGAIN);
	send_all(f->pair.client, "data", 4);
	wait_for(f->pair.server, POLLIN);
	assert_fails(splice_some(f->pair.server, f->writer, 65536), EAGAIN);
	shutdown(f->pair.client, SHUT_WR);
	wait_for(f->pair.server, POLLRDHUP);
	assert_fails(splice_some(f->pair.server, f->writer, 65536), EAGAIN);
}

/* A pipe counts slots (one for each page fragment), not bytes. Small segments fill its 16 slots
 * with a few bytes (the kernel joins neighbours of one page now and then), so "the pipe has room
 * for N more bytes" is nothing the pump can know. */
static void small_segments_fill_the_slots_of_a_pipe_before_its_bytes(void **state)
{
	struct fixture *f = *state;
	enum { SEGMENTS = 200 };
	int moved = 0;

	assert_int_equal(fcntl(f->writer, F_SETPIPE_SZ, 65536), 65536);
	for (int i = 0; i < SEGMENTS; i++) {
		send_all(f->pair.client, "x", 1);
		while (bytes_in(f->pair.server) < i + 1)
			wait_for(f->pair.server, POLLIN);
	}
	for (;;) {
		ssize_t n = splice_some(f->pair.server, f->writer, 65536);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			break;
		}
		moved += (int)n;
	}
	print_message("# %d one-byte segments fill a pipe of 65536 bytes\n", moved);
	assert_in_range(moved, 65536 / 4096, SEGMENTS - 1);
	assert_int_equal(bytes_in(f->pair.server), SEGMENTS - moved);
}

/* What a full sink does not take stays in the pipe: nothing is lost by a partial splice. */
static void what_a_full_sink_refuses_stays_in_the_pipe(void **state)
{
	struct fixture *f = *state;
	char page[4096] = { 0 };
	ssize_t n = 0;
	int error = 0;

	size_t sent = fill(f->pair.server);
	assert_int_equal(write(f->writer, page, sizeof(page)), sizeof(page));
	n = splice_some(f->reader, f->pair.server, sizeof(page));
	assert_true(n > 0 || errno == EAGAIN);
	n = n > 0 ? n : 0;
	assert_int_equal(bytes_in(f->reader), (int)(sizeof(page) - (size_t)n));

	shutdown(f->pair.server, SHUT_WR);
	assert_int_equal(drain(f->pair.client, &error), sent + (size_t)n);
	assert_int_equal(error, 0);
}

/* The pump sends its FIN as soon as its pipe is empty; spliced bytes that still wait in the socket
 * go out before it. */
static void shutdown_after_splice_keeps_the_order(void **state)
{
	struct fixture *f = *state;
	char block[32768];
	size_t sent = fill(f->pair.server);
	char received[65536];
	ssize_t n = 0, last = 0;
	int error = 0;

	memset(block, 'z', sizeof(block));
	assert_int_equal(write(f->writer, block, sizeof(block)), sizeof(block));
	while (bytes_in(f->reader) > 0) {
		if (splice_some(f->reader, f->pair.server, sizeof(block)) < 0) {
			assert_int_equal(errno, EAGAIN);
			wait_for(f->pair.client, POLLIN);
			n = recv(f->pair.client, received, sizeof(received), MSG_DONTWAIT);
			assert_true(n > 0);
			sent -= (size_t)n;
		}
	}
	shutdown(f->pair.server, SHUT_WR);
	for (size_t left = sent + sizeof(block); left > 0; left -= (size_t)n) {
		wait_for(f->pair.client, POLLIN);
		n = recv(f->pair.client, received, sizeof(received), 0);
		assert_true(n > 0);
		last = n;
	}
	assert_int_equal(received[last - 1], 'z');
	assert_int_equal(drain(f->pair.client, &error), 0);
	assert_int_equal(error, 0);
}

/* Data that came before a reset is still delivered, then the error, once. After that splice() shows
 * an end of file, so the pump must remember the error it has seen. */
static void data_before_a_reset_is_spliced_then_the_error_comes_once(void **state)
{
	struct fixture *f = *state;

	send_all(f->pair.client, "hello", 5);
	wait_for(f->pair.server, POLLIN);
	close_with_reset(f->pair.client);
	f->pair.client = -1;
	wait_for(f->pair.server, POLLRDHUP);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 5);
	assert_fails(splice_some(f->pair.server, f->writer, 65536), ECONNRESET);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 0);
}

static void send_with_urgent_data(const struct fixture *f)
{
	int on = 1;

	assert_int_equal(setsockopt(f->pair.server, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)), 0);
	send_all(f->pair.client, "before", 6);
	assert_int_equal(send(f->pair.client, "!", 1, MSG_OOB), 1);
	send_all(f->pair.client, "behind", 6);
}

/* What splice() says at urgent data is what is behind all data: the pump asks recv() before it
 * believes in an end. */
static void urgent_data_before_the_end_looks_like_the_end(void **state)
{
	struct fixture *f = *state;

	send_with_urgent_data(f);
	shutdown(f->pair.client, SHUT_WR);
	wait_for(f->pair.server, POLLRDHUP);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 6);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 0);
	assert_receives(f->pair.server, "!behind");
}

/* ... and before it believes in an error, which splice() has taken out of the socket. */
static void urgent_data_before_a_reset_looks_like_the_reset(void **state)
{
	struct fixture *f = *state;
	char byte;

	send_with_urgent_data(f);
	close_with_reset(f->pair.client);
	f->pair.client = -1;
	wait_for(f->pair.server, POLLRDHUP);
	assert_int_equal(splice_some(f->pair.server, f->writer, 65536), 6);
	assert_fails(splice_some(f->pair.server, f->writer, 65536), ECONNRESET);
	assert_receives(f->pair.server, "!behind");
	assert_int_equal(recv(f->pair.server, &byte, 1, 0), 0);
}

static volatile sig_atomic_t broken_pipe_signals;

static void count_broken_pipe(int signal)
{
	(void)signal;
	broken_pipe_signals++;
}

/* splice() has no MSG_NOSIGNAL: into a reset socket it first returns the error, then EPIPE with
 * SIGPIPE. The programs ignore that signal. */
static void splice_into_a_reset_socket_raises_sigpipe(void **state)
{
	struct fixture *f = *state;
	struct sigaction count = { .sa_handler = count_broken_pipe }, before;

	assert_int_equal(sigaction(SIGPIPE, &count, &before), 0);
	broken_pipe_signals = 0;
	close_with_reset(f->pair.client);
	f->pair.client = -1;
	wait_for(f->pair.server, POLLRDHUP);
	assert_int_equal(write(f->writer, "late", 4), 4);

	assert_fails(splice_some(f->reader, f->pair.server, 4), ECONNRESET);
	assert_int_equal(broken_pipe_signals, 0);
	assert_fails(splice_some(f->reader, f->pair.server, 4), EPIPE);
	assert_int_equal(broken_pipe_signals, 1);

	assert_int_equal(signal(SIGPIPE, SIG_IGN) == SIG_ERR, 0);
	assert_fails(splice_some(f->reader, f->pair.server, 4), EPIPE);
	assert_int_equal(broken_pipe_signals, 1);
	assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
	/* What could not be sent is still in the pipe, which the pool must not use again. */
	assert_int_equal(bytes_in(f->reader), 4);
}

int main(void)
{
#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PIPE(data_comes_first_then_zero_is_the_end),
		WITH_PIPE(eagain_into_an_empty_pipe_means_an_empty_socket),
		WITH_PIPE(eagain_into_a_full_pipe_says_nothing_about_the_socket),
		WITH_PIPE(small_segments_fill_the_slots_of_a_pipe_before_its_bytes),
		WITH_PIPE(what_a_full_sink_refuses_stays_in_the_pipe),
		WITH_PIPE(shutdown_after_splice_keeps_the_order),
		WITH_PIPE(data_before_a_reset_is_spliced_then_the_error_comes_once),
		WITH_PIPE(urgent_data_before_the_end_looks_like_the_end),
		WITH_PIPE(urgent_data_before_a_reset_looks_like_the_reset),
		WITH_PIPE(splice_into_a_reset_socket_raises_sigpipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
