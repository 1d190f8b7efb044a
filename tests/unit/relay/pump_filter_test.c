/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump for filtered streams, with a filter for a small language: a line is put in brackets,
 * "#N:" is followed by N bytes that are skipped, "?" waits until it may go on, "!" refuses, and "*"
 * lets go of all that follows.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/socket.h"
#include "relay/pump.h"

#define BULK_BYTES (3 * 1024 * 1024)

struct brackets {
	struct filter filter;
	bool may_go_on;
	int looks, frees;
	bool saw_end;
};

static int writer, reader;
static struct budget budget;
static struct pump_resources resources;
static struct pump pump;
static struct pump_ends ends;
static uint8_t scratch[PUMP_SCRATCH_BYTES];
static struct brackets brackets;

static enum filter_verdict edit_line(struct filter_io *io)
{
	const uint8_t *end = memchr(io->in, '\n', io->in_bytes);
	size_t length = end ? (size_t)(end - io->in) : 0;

	if (!end)
		return FILTER_WANTS_MORE;
	if (length + 2 > io->out_room)
		return FILTER_WANTS_ROOM;
	io->out[0] = '[';
	memcpy(io->out + 1, io->in, length);
	io->out[length + 1] = ']';
	io->produced = length + 2;
	io->consumed = length + 1;
	return FILTER_SKIPS;
}

static enum filter_verdict edit_skip(struct filter_io *io)
{
	const uint8_t *end = memchr(io->in, ':', io->in_bytes);

	if (!end)
		return FILTER_WANTS_MORE;
	io->consumed = (size_t)(end - io->in) + 1;
	io->skip_bytes = strtoull((const char *)io->in + 1, NULL, 10);
	return FILTER_SKIPS;
}

static enum filter_verdict edit(struct filter *filter, enum filter_direction direction,
				struct filter_io *io)
{
	struct brackets *it = (struct brackets *)filter;

	assert_int_equal(direction, FILTER_IN);
	assert_int_equal(io->consumed + io->produced + io->skip_bytes, 0);
	assert_in_range(io->in_bytes, 1, FILTER_SEEN_MAX);
	it->looks++;
	it->saw_end = it->saw_end || io->ended;
	switch (io->in[0]) {
	case '#':
		return edit_skip(io);
	case '?':
		if (!it->may_go_on)
			return FILTER_WAITS;
		io->consumed = 1;
		return FILTER_SKIPS;
	case '!':
		io->refusal.reply = "no";
		io->refusal.reply_bytes = 2;
		io->refusal.reason = END_BAD_REQUEST;
		return FILTER_REFUSES;
	case '*':
		io->consumed = 1;
		return FILTER_LETS_GO;
	default:
		return edit_line(io);
	}
}

static void filter_free(struct filter *filter)
{
	((struct brackets *)filter)->frees++;
}

static const struct filter_ops ops = { .edit = edit, .free = filter_free };

static int setup(void **state)
{
	int in[2], out[2], large = 8 * 1024 * 1024;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, out), 0);
	setsockopt(in[0], SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	writer = in[0];
	reader = out[1];
	ends = (struct pump_ends){ .source = in[1], .sink = out[0], .readable = true };
	budget = (struct budget){ .most = 64 };
	pump_resources_init(&resources, &budget, scratch);
	brackets = (struct brackets){ .filter = { .ops = &ops } };
	pump = (struct pump){ .kind = PUMP_FILTERED,
			      .direction = FILTER_IN,
			      .filter = &brackets.filter };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pump_release(&pump, &resources);
	assert_true(pump_is_empty(&pump));
	assert_int_equal(resources.buffers.used, 0);
	pump_resources_fini(&resources);
	assert_int_equal(budget.used, 0);
	close(writer);
	close(reader);
	close(ends.source);
	close(ends.sink);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(writer, text, strlen(text)), strlen(text));
}

static enum pump_result run(void)
{
	return pump_run(&pump, &resources, &ends);
}

static void lines_are_edited_and_sent_in_one_piece(void **state)
{
	char got[64];

	(void)state;
	say("one\ntwo\n\nthree\n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(read(reader, got, sizeof(got)), 19);
	assert_memory_equal(got, "[one][two][][three]", 19);
	assert_int_equal(pump.moved_bytes, 15);
}

static void half_a_line_is_shown_again(void **state)
{
	(void)state;
	say("o");
	assert_int_equal(run(), PUMP_IDLE);
	say("n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_false(pump_has_rest(&pump));
	assert_false(pump_is_empty(&pump));
	say("e\ntw");
	assert_int_equal(run(), PUMP_IDLE);
	say("o\n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_receives(reader, "[one][two]");
	assert_true(pump_is_empty(&pump));
}

static void skipped_bytes_pass_unseen(void **state)
{
	(void)state;
	say("a\n#6:!?*x\n\nb\n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_receives(reader, "[a]!?*x\n\n[b]");
	assert_int_equal(brackets.looks, 3);
	say("#4:ab");
	assert_int_equal(run(), PUMP_IDLE);
	say("cdz\n");
	while (run() == PUMP_MORE)
		;
	assert_receives(reader, "abcd[z]");
	assert_int_equal(brackets.looks, 5);
}

/* More than any buffer has room for, and something to be edited behind it. */
static void bulk_is_spliced_and_the_rest_is_edited(void **state)
{
	static uint8_t bulk[64 * 1024], got[64 * 1024];
	size_t written = 0, read_bytes = 0;
	enum pump_result result;

	(void)state;
	say("#3145728:");
	while (read_bytes < BULK_BYTES) {
		ssize_t length = written < BULK_BYTES ? write(writer, bulk,
							      sizeof(bulk) < BULK_BYTES - written
								      ? sizeof(bulk)
								      : BULK_BYTES - written)
						      : 0;

		written += length > 0 ? (size_t)length : 0;
		result = run();
		assert_true(result == PUMP_IDLE || result == PUMP_BLOCKED || result == PUMP_MORE);
		while ((length = read(reader, got, sizeof(got))) > 0) {
			assert_memory_equal(got, bulk, length);
			read_bytes += (size_t)length;
		}
	}
	assert_int_equal(read_bytes, BULK_BYTES);
	assert_true(pump.was_bulk);
	assert_in_range(brackets.looks, 1, 2);
	say("end\n#2:hi");
	while (run() == PUMP_MORE)
		;
	assert_receives(reader, "[end]hi");
	assert_int_equal(pump.moved_bytes, BULK_BYTES + 9 + 9);
}

/* What there is to be sent, and what is to come of it. */
static struct {
	uint8_t in[4 * 1024 * 1024], out[4 * 1024 * 1024];
	size_t in_bytes, out_bytes;
} mixed;

static void mix(const void *in, size_t in_bytes, const void *out, size_t out_bytes)
{
	assert_in_range(mixed.in_bytes + in_bytes, 0, sizeof(mixed.in));
	memcpy(mixed.in + mixed.in_bytes, in, in_bytes);
	memcpy(mixed.out + mixed.out_bytes, out, out_bytes);
	mixed.in_bytes += in_bytes;
	mixed.out_bytes += out_bytes;
}

/* Bodies long enough to be spliced, and lines behind each that fill a slow sink. */
static void mix_bulk_and_lines(void)
{
	static uint8_t bulk[256 * 1024];
	char text[64], edited[80];

	mixed.in_bytes = mixed.out_bytes = 0;
	for (int round = 0; round < 16; round++) {
		size_t size = 100 * 1024 + (size_t)round * 7777;
		int length = snprintf(text, sizeof(text), "#%zu:", size);

		memset(bulk, 'A' + round, size);
		mix(text, (size_t)length, "", 0);
		mix(bulk, size, bulk, size);
		for (int line = 0; line < 1500; line++) {
			length = snprintf(text, sizeof(text), "line %d of %d", line, round);
			(void)snprintf(edited, sizeof(edited), "[%s]", text);
			text[length] = '\n';
			mix(text, (size_t)length + 1, edited, (size_t)length + 2);
		}
	}
}

static void a_slow_sink_gets_bulk_and_edited_bytes_in_their_order(void **state)
{
	static uint8_t got[150000];
	size_t written = 0, taken = 0, most = sizeof(got);
	bool spliced = false;

	(void)state;
	mix_bulk_and_lines();
	for (unsigned turn = 0; taken < mixed.out_bytes && turn < 1000000; turn++) {
		ssize_t length = write(writer, mixed.in + written, mixed.in_bytes - written);
		enum pump_result result;

		written += length > 0 ? (size_t)length : 0;
		result = run();
		assert_true(result == PUMP_IDLE || result == PUMP_BLOCKED || result == PUMP_MORE);
		assert_int_equal(pump.held != NULL, pump.held_bytes > 0);
		spliced = spliced || (pump.mode == PUMP_SPLICE && pump.held_bytes > 0 &&
				      brackets.filter.sides[FILTER_IN].skip_bytes == 0);
		/* sometimes a lot, so that it is bulk, and then little, so that it blocks */
		most = turn % 16 == 0 ? sizeof(got) : turn % 4 == 0 ? 3000 : 0;
		length = most > 0 ? read(reader, got, most) : 0;
		if (length <= 0)
			continue;
		assert_memory_equal(got, mixed.out + taken, length);
		taken += (size_t)length;
	}
	assert_int_equal(taken, mixed.out_bytes);
	assert_true(spliced); /* the end of a body was in a pipe, which is what this is about */
}

static void sink_that_is_full_gets_the_rest_later(void **state)
{
	char line[1024], got[1024];
	size_t sent = 0, received = 0;
	ssize_t length;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	fill(ends.sink);
	for (; sent < 12 * sizeof(line); sent += sizeof(line))
		assert_int_equal(write(writer, line, sizeof(line)), sizeof(line));
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_true(pump_has_rest(&pump));
	drain(reader);
	assert_int_equal(run(), PUMP_IDLE);
	for (int i = 0; i < 100 && received < 12 * 1025; i++) {
		length = read(reader, got, sizeof(got));
		received += length > 0 ? (size_t)length : 0;
		if (length < 0)
			(void)run();
	}
	assert_int_equal(received, 12 * 1025);
}

static void waiting_is_no_reading(void **state)
{
	(void)state;
	say("a\n?b\n");
	assert_int_equal(run(), PUMP_WAITING);
	assert_receives(reader, "[a]");
	say("c\n");
	assert_int_equal(run(), PUMP_WAITING);
	assert_true(pump_has_rest(&pump));
	brackets.may_go_on = true;
	while (run() == PUMP_MORE)
		;
	assert_receives(reader, "[b][c]");
}

static void refusal_is_told_as_often_as_asked(void **state)
{
	(void)state;
	say("a\n!b\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run(), PUMP_REFUSED);
		assert_int_equal(ends.refusal.reason, END_BAD_REQUEST);
		assert_memory_equal(ends.refusal.reply, "no", 2);
		assert_int_equal(ends.refusal.reply_bytes, 2);
	}
	assert_receives(reader, "[a]");
}

static void filter_that_lets_go_is_not_asked_again(void **state)
{
	(void)state;
	say("a\n*b\n");
	assert_int_equal(run(), PUMP_IDLE);
	say("!?\n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_receives(reader, "[a]b\n!?\n");
	assert_int_equal(pump.kind, PUMP_STREAM);
	assert_int_equal(brackets.looks, 2);
}

static void end_comes_after_all_that_was_put_out(void **state)
{
	(void)state;
	say("a\nb");
	close(writer);
	writer = -1;
	ends.stops_short = true;
	while (run() == PUMP_MORE)
		;
	assert_int_equal(run(), PUMP_END);
	assert_receives(reader, "[a]");
	assert_true(brackets.saw_end); /* of half a line, which is nothing */
}

static void line_that_fits_no_buffer_is_refused(void **state)
{
	static char line[FILTER_SEEN_MAX + 10];

	(void)state;
	memset(line, 'x', sizeof(line));
	assert_int_equal(write(writer, line, sizeof(line)), sizeof(line));
	for (int i = 0; i < 3; i++)
		(void)run();
	assert_int_equal(run(), PUMP_REFUSED);
	assert_null(ends.refusal.reply);
}

static void what_was_added_goes_first_and_does_not_count(void **state)
{
	(void)state;
	assert_int_equal(pump_add(&pump, &resources, (const uint8_t *)"PROXY ", 6), 0);
	say("a\n");
	assert_int_equal(run(), PUMP_IDLE);
	assert_receives(reader, "PROXY [a]");
	assert_int_equal(pump.moved_bytes, 2);
}

int main(void)
{
#define WITH_PUMP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PUMP(lines_are_edited_and_sent_in_one_piece),
		WITH_PUMP(half_a_line_is_shown_again),
		WITH_PUMP(skipped_bytes_pass_unseen),
		WITH_PUMP(bulk_is_spliced_and_the_rest_is_edited),
		WITH_PUMP(a_slow_sink_gets_bulk_and_edited_bytes_in_their_order),
		WITH_PUMP(sink_that_is_full_gets_the_rest_later),
		WITH_PUMP(waiting_is_no_reading),
		WITH_PUMP(refusal_is_told_as_often_as_asked),
		WITH_PUMP(filter_that_lets_go_is_not_asked_again),
		WITH_PUMP(end_comes_after_all_that_was_put_out),
		WITH_PUMP(line_that_fits_no_buffer_is_refused),
		WITH_PUMP(what_was_added_goes_first_and_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
