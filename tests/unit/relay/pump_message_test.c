/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message pump, between a source and a sink that follow a script: sctp_receive() and
 * sctp_send() are defined here, so that it can be tested where the kernel has no SCTP. tests/sctp
 * has the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "net/sctp.h"
#include "relay/pump.h"

enum { SOURCE = 11, SINK = 12, STEPS_MAX = 128 };

/* What sctp_receive() gives. */
struct arrival {
	ssize_t result; /* bytes, or 0, or -errno */
	bool complete;
};

static struct {
	struct arrival arrivals[STEPS_MAX];
	int arrivals_count, arrivals_taken;
	int send_errors[STEPS_MAX]; /* what the sends return, in turn; then 0 */
	int sends;		    /* tried */
	struct {
		size_t length;
		struct sctp_attributes attributes;
		uint8_t first, last;
	} sent[STEPS_MAX];
	int sent_count;
	size_t stream_position; /* of the source: byte i of all that arrives is (uint8_t)i */
} script;

static struct pump pump;
static struct pump_resources resources;
static struct pump_ends ends;

ssize_t sctp_receive(int fd, void *bytes, size_t room, struct sctp_attributes *ret_attributes,
		     bool *ret_complete)
{
	struct arrival *arrival = &script.arrivals[script.arrivals_taken];
	uint8_t *out = bytes;
	size_t length;

	assert_int_equal(fd, SOURCE);
	assert_true(room > 0);
	if (script.arrivals_taken == script.arrivals_count)
		return -EAGAIN;
	if (arrival->result <= 0) {
		script.arrivals_taken++;
		return arrival->result;
	}
	length = (size_t)arrival->result < room ? (size_t)arrival->result : room;
	for (size_t i = 0; i < length; i++)
		out[i] = (uint8_t)script.stream_position++;
	*ret_attributes = (struct sctp_attributes){ .stream = 7, .unordered = true, .ppid = 99 };
	arrival->result -= (ssize_t)length;
	*ret_complete = arrival->complete && arrival->result == 0;
	if (arrival->result == 0)
		script.arrivals_taken++;
	return (ssize_t)length;
}

int sctp_send(int fd, const void *bytes, size_t length, const struct sctp_attributes *attributes)
{
	const uint8_t *in = bytes;
	int error = script.send_errors[script.sends++];

	assert_int_equal(fd, SINK);
	if (error)
		return error;
	script.sent[script.sent_count].length = length;
	script.sent[script.sent_count].attributes = *attributes;
	script.sent[script.sent_count].first = in[0];
	script.sent[script.sent_count].last = in[length - 1];
	script.sent_count++;
	return 0;
}

static void arrives(ssize_t result, bool complete)
{
	assert_true(script.arrivals_count < STEPS_MAX);
	script.arrivals[script.arrivals_count++] = (struct arrival){ result, complete };
}

static enum pump_result run(void)
{
	return pump_message_ops.run(&pump, &resources, &ends);
}

static int setup(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	memset(&pump, 0, sizeof(pump));
	memset(&resources, 0, sizeof(resources));
	pump.kind = PUMP_MESSAGE;
	ends = (struct pump_ends){ .source = SOURCE, .sink = SINK };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pump_message_ops.release(&pump, &resources);
	pump_message_trim(&resources);
	return 0;
}

static void assert_nothing_held(void)
{
	assert_null(pump.held);
	assert_int_equal(pump.held_bytes, 0);
}

static void passes_messages_with_what_accompanies_them(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(20, true);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 2);
	assert_int_equal(script.sent[0].length, 10);
	assert_int_equal(script.sent[1].length, 20);
	assert_int_equal(script.sent[1].attributes.stream, 7);
	assert_int_equal(script.sent[1].attributes.ppid, 99);
	assert_true(script.sent[1].attributes.unordered);
	assert_int_equal(script.sent[1].first, 10);
	assert_int_equal(script.sent[1].last, 29);
	assert_int_equal(pump.moved_bytes, 30);
	assert_nothing_held();
}

static void collects_parts_until_the_last(void **state)
{
	(void)state;
	arrives(1000, false);
	arrives(-EAGAIN, false);
	arrives(500, true);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 0);
	assert_int_equal(pump.held_bytes, 1000);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 1);
	assert_int_equal(script.sent[0].length, 1500);
	assert_int_equal(script.sent[0].last, (uint8_t)1499);
	assert_nothing_held();
}

/* Nothing more is read while the sink is full. */
static void holds_what_a_full_sink_refuses(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(20, true);
	script.send_errors[0] = -EAGAIN;
	script.send_errors[1] = -EAGAIN;
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(pump.held_bytes, 10);
	assert_int_equal(script.arrivals_taken, 1);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 2);
	assert_int_equal(script.sent[0].length, 10);
	assert_int_equal(script.sent[0].first, 0);
	assert_nothing_held();
}

static void passes_in_parts_what_is_beyond_the_bound(void **state)
{
	(void)state;
	arrives(2 * SCTP_MESSAGE_BYTES_MAX + 5, true);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 3);
	assert_int_equal(script.sent[0].length, SCTP_MESSAGE_BYTES_MAX);
	assert_int_equal(script.sent[1].length, SCTP_MESSAGE_BYTES_MAX);
	assert_int_equal(script.sent[2].length, 5);
	assert_int_equal(script.sent[2].attributes.stream, 7);
	assert_int_equal(script.sent[2].last, (uint8_t)(2 * SCTP_MESSAGE_BYTES_MAX + 4));
}

static void message_of_the_bound_stays_one(void **state)
{
	(void)state;
	arrives(SCTP_MESSAGE_BYTES_MAX, true);
	arrives(3, true);
	assert_int_equal(run(), PUMP_IDLE);
	assert_int_equal(script.sent_count, 2);
	assert_int_equal(script.sent[0].length, SCTP_MESSAGE_BYTES_MAX);
	assert_int_equal(script.sent[1].length, 3);
}

static void end_comes_after_the_messages(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(0, false);
	assert_int_equal(run(), PUMP_END);
	assert_int_equal(script.sent_count, 1);
	assert_nothing_held();
}

/* ... and never passes a message that is still held. */
static void end_waits_for_a_full_sink(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(0, false);
	script.send_errors[0] = -EAGAIN;
	assert_int_equal(run(), PUMP_BLOCKED);
	assert_int_equal(run(), PUMP_END);
	assert_int_equal(script.sent_count, 1);
}

static void end_within_a_message_is_an_error(void **state)
{
	(void)state;
	arrives(10, false);
	arrives(0, false);
	assert_int_equal(run(), PUMP_SOURCE_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
	assert_int_equal(script.sent_count, 0);
}

static void errors_are_told_from_each_other(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(-ECONNRESET, false);
	assert_int_equal(run(), PUMP_SOURCE_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
	assert_int_equal(script.sent_count, 1);

	teardown(NULL);
	setup(NULL);
	arrives(10, true);
	script.send_errors[0] = -ECONNRESET;
	assert_int_equal(run(), PUMP_SINK_ERROR);
	assert_int_equal(ends.error, ECONNRESET);
}

/* A stream that the sink lacks is the source's fault: the sink would never end because of it. */
static void message_that_does_not_fit_is_an_error_of_its_source(void **state)
{
	(void)state;
	arrives(10, true);
	script.send_errors[0] = -EINVAL;
	assert_int_equal(run(), PUMP_SOURCE_ERROR);
	assert_int_equal(ends.error, EINVAL);
}

/* A sink that has ended in order: what comes is read to its end, so that the source can end in
 * order too. */
static void drops_what_an_ended_sink_no_longer_takes(void **state)
{
	(void)state;
	arrives(10, true);
	arrives(20, true);
	arrives(0, false);
	script.send_errors[0] = -EPIPE;
	script.send_errors[1] = -ESHUTDOWN;
	assert_int_equal(run(), PUMP_END);
	assert_int_equal(script.sends, 2);
	assert_int_equal(pump.moved_bytes, 0);
	assert_nothing_held();
}

/* One busy association does not keep the others waiting: neither with bytes nor with small
 * messages. */
static void stops_at_its_budgets(void **state)
{
	(void)state;
	for (int i = 0; i < STEPS_MAX; i++)
		arrives(1, true);
	assert_int_equal(run(), PUMP_MORE);
	assert_in_range(script.sent_count, 1, STEPS_MAX - 1);
	assert_nothing_held();

	teardown(NULL);
	setup(NULL);
	for (int i = 0; i < 20; i++)
		arrives(SCTP_MESSAGE_BYTES_MAX, true);
	assert_int_equal(run(), PUMP_MORE);
	assert_int_equal(pump.moved_bytes, PUMP_BUDGET_BYTES);
}

/* The memory of one pump serves the next, and one that is held meanwhile is not lent out. */
static void memory_is_lent_only_while_it_is_needed(void **state)
{
	(void)state;
	struct pump other = { .kind = PUMP_MESSAGE };
	const void *first;

	arrives(10, true);
	assert_int_equal(run(), PUMP_IDLE);
	first = resources.spare_message;
	assert_non_null(first);

	arrives(10, false);
	assert_int_equal(run(), PUMP_IDLE);
	assert_ptr_equal(pump.held, first);
	assert_null(resources.spare_message);

	arrives(20, false);
	assert_int_equal(pump_message_ops.run(&other, &resources, &ends), PUMP_IDLE);
	assert_non_null(other.held);
	assert_ptr_not_equal(other.held, pump.held);

	pump_message_ops.release(&other, &resources);
	assert_null(other.held);
	assert_int_equal(other.held_bytes, 0);
	pump_message_ops.release(&pump, &resources);
	assert_nothing_held();
	pump_message_trim(&resources);
	assert_null(resources.spare_message);
}

int main(void)
{
#define WITH_SCRIPT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SCRIPT(passes_messages_with_what_accompanies_them),
		WITH_SCRIPT(collects_parts_until_the_last),
		WITH_SCRIPT(holds_what_a_full_sink_refuses),
		WITH_SCRIPT(passes_in_parts_what_is_beyond_the_bound),
		WITH_SCRIPT(message_of_the_bound_stays_one),
		WITH_SCRIPT(end_comes_after_the_messages),
		WITH_SCRIPT(end_waits_for_a_full_sink),
		WITH_SCRIPT(end_within_a_message_is_an_error),
		WITH_SCRIPT(errors_are_told_from_each_other),
		WITH_SCRIPT(message_that_does_not_fit_is_an_error_of_its_source),
		WITH_SCRIPT(drops_what_an_ended_sink_no_longer_takes),
		WITH_SCRIPT(stops_at_its_budgets),
		WITH_SCRIPT(memory_is_lent_only_while_it_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
