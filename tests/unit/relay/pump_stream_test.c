/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream pump between two connections: writer -> source, sink -> reader. They are local
 * sockets, in which nothing is ever on its way, so that a full one stays full; those of TCP where
 * its errors matter. splice() is defined here, so that a test can count it and have it fail.
 */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "net/socket.h"
#include "relay/pump.h"

#define BULK_BYTES (512 * 1024)

static int writer, reader;
static struct budget budget;
static struct pump_resources resources;
static struct pump pump;
static struct pump_ends ends;
static uint8_t scratch[PUMP_COPY_BYTES];
static uint64_t written_bytes, read_bytes; /* of one endless pattern */

/* What was asked of splice(), and what it fails with instead: how many times, and the errno. */
static struct {
	int calls, failures, error;
	size_t most_bytes;
} splices;

ssize_t splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length,
	       unsigned int flags)
{
	splices.calls++;
	splices.most_bytes = length > splices.most_bytes ? length : splices.most_bytes;
	if (splices.failures > 0) {
		splices.failures--;
		errno = splices.error;
		return -1;
	}
	return syscall(SYS_splice, from, from_offset, to, to_offset, length, flags);
}

static uint8_t pattern(uint64_t position)
{
	return (uint8_t)(position * 31 + position / 251);
}

static void start(int in[2], int out[2])
{
	int large = 8 * 1024 * 1024;

	writer = in[0];
	reader = out[1];
	ends = (struct pump_ends){ .source = in[1], .sink = out[0], .readable = true };
	for (int i = 0; i < 2; i++) { /* so that bulk fits, without waiting for anybody */
		setsockopt(in[i], SOL_SOCKET, i == 0 ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &large,
			   sizeof(large));
		setsockopt(out[i], SOL_SOCKET, i == 0 ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &large,
			   sizeof(large));
	}
	budget = (struct budget){ .most = 64 };
	pump_resources_init(&resources, &budget, scratch);
	memset(&pump, 0, sizeof(pump));
	memset(&splices, 0, sizeof(splices));
	written_bytes = read_bytes = 0;
}

static int setup(void **state)
{
	int in[2], out[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, out), 0);
	start(in, out);
	return 0;
}

static int setup_tcp(void **state)
{
	int in[2], out[2];

	(void)state;
	stream_pair(in);
	stream_pair(out);
	start(in, out);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pump_release(&pump, &resources);
	assert_null(pump.held);
	pump_resources_fini(&resources);
	assert_int_equal(budget.used, 0);
	close(writer);
	close(reader);
	close(ends.source);
	close(ends.sink);
	return 0;
}

static enum pump_result run(void)
{
	return pump_run(&pump, &resources, &ends);
}

static void write_bytes(size_t count)
{
	while (count > 0) {
		uint8_t bytes[8192];
		size_t part = count < sizeof(bytes) ? count : sizeof(bytes);

		for (size_t i = 0; i < part; i++)
			bytes[i] = pattern(written_bytes + i);
		assert_true(wait_for(writer, POLLOUT, COMES_MS));
		assert_int_equal(send(writer, bytes, part, 0), part);
		written_bytes += part;
		count -= part;
	}
}

/* Reads what has arrived and holds it against the pattern. */
static void read_available(void)
{
	uint8_t bytes[8192];
	ssize_t got;

	while ((got = recv(reader, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < got; i++)
			if (bytes[i] != pattern(read_bytes + (uint64_t)i))
				fail_msg("byte %lu is wrong", (unsigned long)read_bytes + i);
		read_bytes += (uint64_t)got;
	}
}

/* Runs until all that was written has been read. */
static void pump_all(void)
{
	for (int i = 0; read_bytes < written_bytes; i++) {
		enum pump_result result = run();

		assert_true(result == PUMP_IDLE || result == PUMP_MORE || result == PUMP_BLOCKED);
		assert_true(i < 100000);
		read_available();
	}
	assert_true(pump.moved_bytes == written_bytes);
}

/* Makes it a direction of bulk. */
static void reach_splice(void)
{
	write_bytes(BULK_BYTES);
	pump_all();
	assert_int_equal(pump.mode, PUMP_SPLICE);
}

static int unread(int fd)
{
	int bytes = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
	return bytes;
}

static void assert_holds_nothing(void)
{
	assert_null(pump.held);
	assert_int_equal(pump.held_bytes, 0);
	assert_int_equal(resources.buffers.used, 0);
}

static void small_payloads_are_copied(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		write_bytes(1000);
		assert_int_equal(run(), PUMP_IDLE);
	}
	read_available();
	assert_true(read_bytes == 20000);
	assert_int_equal(pump.mode, PUMP_COPY);
	assert_int_equal(splices.calls, 0);
	assert_holds_nothing();
}

static void nothing_to_read_is_idle(void **state)
{
	(void)state;
	assert_int_equal(run(), PUMP_IDLE);
	reach_splice();
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(pump.mode, PUMP_SPLICE);
	assert_holds_nothing();
}

/* ... and back to copying once little comes at a time. */
static void bulk_is_spliced_while_it_lasts(void **state)
{
	(void)state;
	reach_splice();
	for (int i = 0; i < 10 && pump.mode == PUMP_SPLICE; i++) {
		write_bytes(100);
		pump_all();
	}
	assert_int_equal(pump.mode, PUMP_COPY);
	reach_splice();
	assert_holds_nothing();
}

/* A few large payloads with pauses are not yet bulk. */
static void short_read_starts_the_count_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		write_bytes(2 * PUMP_COPY_BYTES + 100);
		pump_all();
	}
	assert_int_equal(splices.calls, 0);
}

static void without_pipes_it_copies_on(void **state)
{
	(void)state;
	budget.most = 0;
	write_bytes(BULK_BYTES);
	pump_all();
	assert_int_equal(pump.mode, PUMP_COPY);
	assert_int_equal(splices.calls, 0);

	budget.most = 64; /* and when they are used up later, from splicing too */
	reach_splice();
	pipe_pool_trim(&resources.pipes);
	budget.most = 0;
	write_bytes(BULK_BYTES);
	pump_all();
	assert_int_equal(pump.mode, PUMP_COPY);
}

static void one_run_has_a_budget(void **state)
{
	(void)state;
	write_bytes(3 * PUMP_BUDGET_BYTES);
	assert_int_equal(run(), PUMP_MORE);
	assert_true(pump.moved_bytes >= PUMP_BUDGET_BYTES);
	assert_true(pump.moved_bytes < 2 * PUMP_BUDGET_BYTES);
	assert_holds_nothing();
	read_available();
	pump_all();
}

/* The sink's pace is the source's: while a rest is held, nothing is read. */
static void full_sink_stops_the_source(void **state)
{
	size_t filled = fill(ends.sink);

	(void)state;
	write_bytes(1000);
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(pump.held_bytes, 1000);
	assert_non_null(pump.held);
	write_bytes(500);
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(pump.held_bytes, 1000);
	assert_int_equal(unread(ends.source), 500);

	assert_int_equal(drain(reader), filled);
	pump_all();
	assert_holds_nothing();
}

static void full_sink_keeps_bytes_in_the_pipe(void **state)
{
	size_t filled;

	(void)state;
	reach_splice();
	filled = fill(ends.sink);
	write_bytes(100 * 1000);
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_true(pump.held_bytes > 0);
	assert_int_equal(budget.used, 2);
	assert_int_equal(resources.pipes.idle_count, 0);
	assert_int_equal(drain(reader), filled);
	pump_all();
	assert_holds_nothing();
	assert_int_equal(resources.pipes.idle_count, 1); /* lent only while bytes were in it */
}

/* What epoll has told of spares the call that would find the end of file. */
static void short_read_at_the_end_is_the_end(void **state)
{
	(void)state;
	write_bytes(1000);
	shutdown(writer, SHUT_WR);
	ends.stops_short = ends.ending = true;
	assert_int_equal(run(), PUMP_END);
	read_available();
	assert_true(read_bytes == 1000);
}

static void full_read_at_the_end_is_not(void **state)
{
	(void)state;
	write_bytes(PUMP_COPY_BYTES);
	shutdown(writer, SHUT_WR);
	ends.stops_short = ends.ending = true;
	assert_int_equal(run(), PUMP_END); /* it has read on */
	assert_true(pump.moved_bytes == PUMP_COPY_BYTES);
}

/* The end of file is behind what the sink has not taken yet. */
static void full_sink_stops_the_end_too(void **state)
{
	size_t filled = fill(ends.sink);

	(void)state;
	write_bytes(1000);
	shutdown(writer, SHUT_WR);
	ends.stops_short = ends.ending = true;
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(drain(reader), filled);
	assert_int_equal(run(), PUMP_END);
	read_available();
	assert_true(read_bytes == 1000);
}

static void what_was_read_ahead_comes_first(void **state)
{
	(void)state;
	write_bytes(1000);
	assert_int_equal(pump_read_ahead(&pump, &resources, &ends), PUMP_BLOCKED);
	assert_int_equal(pump.held_bytes, 1000);
	write_bytes(500);
	pump_all();
	assert_holds_nothing();
}

static void nothing_to_read_ahead(void **state)
{
	(void)state;
	assert_int_equal(pump_read_ahead(&pump, &resources, &ends), PUMP_IDLE);
	assert_holds_nothing();
	shutdown(writer, SHUT_WR);
	assert_int_equal(pump_read_ahead(&pump, &resources, &ends), PUMP_END);
	assert_holds_nothing();
	assert_int_equal(run(), PUMP_END);
}

/* A sink that takes again what is held, while the source has nothing to be looked for. */
static void rest_is_written_without_a_look_at_the_source(void **state)
{
	size_t filled = fill(ends.sink);

	(void)state;
	write_bytes(1000);
	assert_int_equal(run(), PUMP_BLOCKED);
	write_bytes(500);
	ends.readable = false;
	assert_int_equal(drain(reader), filled);
	assert_int_equal(run(), PUMP_IDLE);
	read_available();
	assert_true(read_bytes == 1000);
	assert_int_equal(unread(ends.source), 500);
}

/*
 * A slot of a pipe can hold far more than its page, and does where the kernel's buffers are large.
 * That would be the memory of every session whose sink is stuck.
 */
static void pipe_holds_no_more_than_its_size(void **state)
{
	static uint8_t bulk[4 * PIPE_BYTES];

	(void)state;
	reach_splice();
	fill(ends.sink);
	assert_int_equal(send(writer, bulk, sizeof(bulk), MSG_DONTWAIT), sizeof(bulk));
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_in_range(pump.held_bytes, 1, PIPE_BYTES);
	assert_in_range(splices.most_bytes, 1, PIPE_BYTES);
}

/* A sink that takes parts of what is offered: the rest is held, and goes on from there. */
static void narrow_sink_gets_all_in_order(void **state)
{
	int narrow = 1; /* the kernel makes it its least */
	uint32_t least_held = UINT32_MAX;

	(void)state;
	budget.most = 0; /* copying all the time */
	assert_int_equal(setsockopt(ends.sink, SOL_SOCKET, SO_SNDBUF, &narrow, sizeof(narrow)), 0);
	write_bytes(BULK_BYTES);
	while (read_bytes < written_bytes) {
		enum pump_result result = run();

		assert_true(result == PUMP_BLOCKED || result == PUMP_IDLE);
		if (pump.held_bytes > 0 && pump.held_bytes < least_held)
			least_held = pump.held_bytes;
		assert_true(wait_for(reader, POLLIN, COMES_MS));
		read_available();
	}
	assert_true(least_held < PUMP_COPY_BYTES); /* it did take parts */
	assert_holds_nothing();
}

/* What a session that ends still holds is lost, but not its memory and descriptors. */
static void release_gives_back_what_is_held(void **state)
{
	(void)state;
	(void)fill(ends.sink);
	write_bytes(1000);
	assert_int_equal(run(), PUMP_BLOCKED);
	pump_release(&pump, &resources);
	assert_holds_nothing();
	(void)drain(reader);
	written_bytes = read_bytes = 0;

	memset(&pump, 0, sizeof(pump));
	reach_splice();
	(void)fill(ends.sink);
	write_bytes(1000);
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(budget.used, 2);
	pump_release(&pump, &resources);
	assert_holds_nothing();
	assert_int_equal(budget.used, 0);
}

static void end_of_file_comes_after_the_bytes(void **state)
{
	(void)state;
	write_bytes(1000);
	shutdown(writer, SHUT_WR);
	ends.stops_short = true;
	assert_int_equal(run(), PUMP_END);
	read_available();
	assert_true(read_bytes == 1000);
	assert_int_equal(run(), PUMP_END);
}

static void end_of_file_waits_for_a_full_sink(void **state)
{
	size_t filled = fill(ends.sink);

	(void)state;
	write_bytes(1000);
	shutdown(writer, SHUT_WR);
	ends.stops_short = true;
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(drain(reader), filled);
	assert_int_equal(run(), PUMP_END);
	read_available();
	assert_true(read_bytes == 1000);
}

static void end_of_file_is_found_by_splice_too(void **state)
{
	(void)state;
	reach_splice();
	write_bytes(BULK_BYTES);
	shutdown(writer, SHUT_WR);
	ends.stops_short = true;
	assert_int_equal(run(), PUMP_END);
	read_available();
	assert_true(read_bytes == written_bytes);
	assert_holds_nothing();
}

static void reset_of_the_source_is_told(void **state)
{
	(void)state;
	socket_reset(&writer);
	ends.stops_short = true;
	assert_true(wait_for(ends.source, POLLERR, COMES_MS));
	assert_int_equal(run(), PUMP_SOURCE_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
}

static void reset_of_the_sink_is_told(void **state)
{
	(void)state;
	write_bytes(1000);
	socket_reset(&reader);
	assert_true(wait_for(ends.sink, POLLERR, COMES_MS));
	assert_int_equal(run(), PUMP_SINK_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
}

static void reset_of_the_sink_is_told_by_splice_too(void **state)
{
	(void)state;
	reach_splice();
	write_bytes(1000);
	socket_reset(&reader);
	assert_true(wait_for(ends.sink, POLLERR, COMES_MS));
	assert_int_equal(run(), PUMP_SINK_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
}

static void sockets_that_cannot_be_spliced_are_copied(void **state)
{
	int calls;

	(void)state;
	splices.failures = 1;
	splices.error = EINVAL;
	write_bytes(BULK_BYTES);
	pump_all();
	assert_int_equal(pump.mode, PUMP_COPY_ONLY);
	calls = splices.calls;
	write_bytes(BULK_BYTES);
	pump_all();
	assert_int_equal(splices.calls, calls); /* for good */
	assert_holds_nothing();
}

/* A socket in a sockmap: recv finds bytes where splice does not. */
static void splice_that_finds_nothing_is_not_believed(void **state)
{
	(void)state;
	reach_splice();
	splices.failures = 1;
	splices.error = EAGAIN;
	write_bytes(1000);
	assert_int_equal(run(), PUMP_IDLE);
	read_available();
	assert_true(read_bytes == written_bytes);
	assert_int_equal(pump.mode, PUMP_COPY);
}

static void interrupted_splice_is_tried_again(void **state)
{
	(void)state;
	reach_splice();
	splices.failures = 3;
	splices.error = EINTR;
	write_bytes(100 * 1000);
	pump_all();
	assert_int_equal(splices.failures, 0);
}

/* Random sizes, full sinks and pauses, against the pattern. */
static void bytes_stay_whole_whatever_comes(void **state)
{
	unsigned int seed = 4711;

	(void)state;
	for (int i = 0; i < 400; i++) {
		size_t size = (size_t)(rand_r(&seed) % (i / 20 % 2 ? 3000 : 200000)) + 1;

		write_bytes(size);
		(void)run();
		if (rand_r(&seed) % 4 > 0)
			read_available();
		if (written_bytes - read_bytes > 2000000)
			pump_all();
	}
	pump_all();
	assert_true(splices.calls > 0);
}

int main(void)
{
#define WITH_PUMP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_TCP(test) cmocka_unit_test_setup_teardown(test, setup_tcp, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PUMP(small_payloads_are_copied),
		WITH_PUMP(nothing_to_read_is_idle),
		WITH_PUMP(bulk_is_spliced_while_it_lasts),
		WITH_PUMP(short_read_starts_the_count_anew),
		WITH_PUMP(without_pipes_it_copies_on),
		WITH_PUMP(one_run_has_a_budget),
		WITH_PUMP(full_sink_stops_the_source),
		WITH_PUMP(full_sink_keeps_bytes_in_the_pipe),
		WITH_PUMP(short_read_at_the_end_is_the_end),
		WITH_PUMP(full_read_at_the_end_is_not),
		WITH_PUMP(full_sink_stops_the_end_too),
		WITH_PUMP(what_was_read_ahead_comes_first),
		WITH_PUMP(nothing_to_read_ahead),
		WITH_PUMP(rest_is_written_without_a_look_at_the_source),
		WITH_PUMP(pipe_holds_no_more_than_its_size),
		WITH_PUMP(narrow_sink_gets_all_in_order),
		WITH_PUMP(release_gives_back_what_is_held),
		WITH_PUMP(end_of_file_comes_after_the_bytes),
		WITH_PUMP(end_of_file_waits_for_a_full_sink),
		WITH_PUMP(end_of_file_is_found_by_splice_too),
		WITH_TCP(reset_of_the_source_is_told),
		WITH_TCP(reset_of_the_sink_is_told),
		WITH_TCP(reset_of_the_sink_is_told_by_splice_too),
		WITH_PUMP(sockets_that_cannot_be_spliced_are_copied),
		WITH_PUMP(splice_that_finds_nothing_is_not_believed),
		WITH_PUMP(interrupted_splice_is_tried_again),
		WITH_PUMP(bytes_stay_whole_whatever_comes),
		WITH_TCP(bytes_stay_whole_whatever_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
