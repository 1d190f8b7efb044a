/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "loop/mailbox.h"

static struct mailbox mailbox;

static struct {
	_Atomic uint32_t calls;
	uint32_t next; /* number that is expected */
	bool in_order;
	pthread_t thread;
} seen;

static int setup(void **state)
{
	(void)state;
	seen.calls = 0;
	seen.next = 0;
	seen.in_order = true;
	loop_setup();
	assert_int_equal(mailbox_init(&mailbox, &loop), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mailbox_fini(&mailbox);
	loop_teardown();
	return 0;
}

static void receive(void *context, const void *message)
{
	uint32_t number;

	assert_ptr_equal(context, &seen);
	memcpy(&number, message, sizeof(number));
	seen.in_order = seen.in_order && number == seen.next;
	seen.next = number + 1;
	seen.thread = pthread_self();
	seen.calls++;
}

static bool post(uint32_t number)
{
	return mailbox_post(&mailbox, receive, &seen, &number, sizeof(number));
}

static bool all_came(void)
{
	return seen.calls == MAILBOX_MESSAGES_MAX;
}

static void messages_come_in_order_in_a_turn_of_the_loop(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MAILBOX_MESSAGES_MAX; i++)
		assert_true(post(i));
	assert_int_equal(seen.calls, 0);
	run_until(all_came);
	assert_true(seen.in_order);
}

static void full_mailbox_takes_no_more(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MAILBOX_MESSAGES_MAX; i++)
		assert_true(post(i));
	assert_false(post(MAILBOX_MESSAGES_MAX));
	mailbox_receive(&mailbox);
	assert_int_equal(seen.calls, MAILBOX_MESSAGES_MAX);
	assert_true(post(MAILBOX_MESSAGES_MAX));
	run_turns();
	assert_true(seen.in_order);
	assert_int_equal(seen.calls, MAILBOX_MESSAGES_MAX + 1);
}

static void largest_message_arrives_whole(void **state)
{
	static const uint8_t bytes[MAILBOX_BYTES_MAX] = { [0] = 1, [MAILBOX_BYTES_MAX - 1] = 2 };

	(void)state;
	assert_true(mailbox_post(&mailbox, receive, &seen, bytes, sizeof(bytes)));
	assert_memory_equal(mailbox.messages[mailbox.first].bytes, bytes, sizeof(bytes));
	mailbox_receive(&mailbox);
}

/* One that is posted meanwhile, by a message say, waits for the next turn at the latest. */
static void post_again(void *context, const void *message)
{
	(void)context;
	(void)message;
	seen.calls++;
	if (seen.calls < 1000)
		assert_true(mailbox_post(&mailbox, post_again, &seen, NULL, 0));
}

static bool thousand_came(void)
{
	return seen.calls == 1000;
}

static void message_that_posts_another_is_no_endless_loop(void **state)
{
	(void)state;
	assert_true(mailbox_post(&mailbox, post_again, &seen, NULL, 0));
	mailbox_receive(&mailbox);
	assert_true(seen.calls <= MAILBOX_MESSAGES_MAX);
	run_until(thousand_came);
}

enum { CALLS = 2000 };

static void *run_loop(void *context)
{
	(void)context;
	assert_int_equal(loop_run(&loop), 0);
	return NULL;
}

static void stop(void *context, const void *message)
{
	(void)message;
	loop_stop(context);
}

static void answer(void *context, const void *message)
{
	(void)message;
	*(pthread_t *)context = pthread_self();
}

static void call_is_made_on_the_loops_thread_and_waited_for(void **state)
{
	pthread_t thread, answered;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_loop, NULL), 0);
	for (uint32_t i = 0; i < CALLS; i++) {
		while (!post(i))
			sched_yield();
		if (i % 100 == 0) {
			mailbox_call(&mailbox, answer, &answered);
			assert_true(pthread_equal(answered, thread));
			assert_int_equal(seen.calls, i + 1); /* and all before it */
		}
	}
	mailbox_call(&mailbox, stop, &loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(seen.calls, CALLS);
	assert_true(seen.in_order);
	loop.stopping = false;
}

static void receive_and_post(void *context, const void *message)
{
	receive(context, message);
	(void)mailbox_post(&mailbox, receive_and_post, &seen, &seen.next, sizeof(seen.next));
}

static bool second_came(void)
{
	return seen.calls >= 2;
}

/* What comes while others are received waits for the next turn, as other events do. */
static void message_that_comes_meanwhile_is_for_the_next_turn(void **state)
{
	uint32_t first = 0;

	(void)state;
	assert_true(mailbox_post(&mailbox, receive_and_post, &seen, &first, sizeof(first)));
	mailbox_receive(&mailbox);
	assert_int_equal(seen.calls, 1);
	mailbox_receive(&mailbox);
	assert_int_equal(seen.calls, 2);
	seen.calls = 0;
	run_until(second_came);
	assert_true(seen.in_order);
}

int main(void)
{
#define WITH_MAILBOX(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_MAILBOX(messages_come_in_order_in_a_turn_of_the_loop),
		WITH_MAILBOX(full_mailbox_takes_no_more),
		WITH_MAILBOX(largest_message_arrives_whole),
		WITH_MAILBOX(message_that_posts_another_is_no_endless_loop),
		WITH_MAILBOX(call_is_made_on_the_loops_thread_and_waited_for),
		WITH_MAILBOX(message_that_comes_meanwhile_is_for_the_next_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
