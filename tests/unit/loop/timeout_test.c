/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts in a time of our own: nothing here waits. */
#include "support.h"

#include "loop/timeout.h"

enum { TIMEOUTS = 4 };

static struct timeout_queue queue, slower;
static struct timeout timeouts[TIMEOUTS];
static int expired[16], expired_count;

static void note(void *context, struct timeout *timeout)
{
	assert_ptr_equal(context, expired);
	assert_true(list_is_empty(&timeout->node)); /* stopped already */
	expired[expired_count++] = (int)(timeout - timeouts);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	loop.now_ns = 1000;
	expired_count = 0;
	timeout_queue_init(&queue, &loop, 100, note, expired);
	timeout_queue_init(&slower, &loop, 250, note, expired);
	for (int i = 0; i < TIMEOUTS; i++)
		timeout_init(&timeouts[i]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_fini(&loop);
	return 0;
}

static void start_at(uint64_t now_ns, int i, struct timeout_queue *on)
{
	loop.now_ns = now_ns;
	timeout_start(&timeouts[i], on, &loop);
}

static uint64_t expire_at(uint64_t now_ns)
{
	return timeout_expire(&loop.timeout_queues, now_ns);
}

static void nothing_started_means_no_wait(void **state)
{
	(void)state;
	assert_true(expire_at(1000000) == UINT64_MAX);
	assert_null(timeout_oldest(&queue));
}

static void they_expire_in_the_order_they_started(void **state)
{
	(void)state;
	start_at(1000, 2, &queue);
	start_at(1010, 0, &queue);
	start_at(1020, 1, &queue);
	assert_ptr_equal(timeout_oldest(&queue), &timeouts[2]);
	assert_true(expire_at(1099) == 1); /* the time left */
	assert_int_equal(expired_count, 0);
	assert_true(expire_at(1110) == 10);
	assert_int_equal(expired_count, 2);
	assert_int_equal(expired[0], 2);
	assert_int_equal(expired[1], 0);
	assert_true(expire_at(5000) == UINT64_MAX);
	assert_int_equal(expired[2], 1);
}

static void restarted_one_goes_to_the_end(void **state)
{
	(void)state;
	start_at(1000, 0, &queue);
	start_at(1010, 1, &queue);
	start_at(1050, 0, &queue);
	assert_ptr_equal(timeout_oldest(&queue), &timeouts[1]);
	assert_true(expire_at(1110) == 40);
	assert_int_equal(expired_count, 1);
	assert_int_equal(expired[0], 1);
}

static void stopped_one_does_not_expire(void **state)
{
	(void)state;
	start_at(1000, 0, &queue);
	timeout_stop(&timeouts[0]);
	timeout_stop(&timeouts[0]); /* harmless */
	assert_true(expire_at(5000) == UINT64_MAX);
	assert_int_equal(expired_count, 0);
}

static void nearest_of_all_queues_is_waited_for(void **state)
{
	(void)state;
	start_at(1000, 0, &slower);
	start_at(1100, 1, &queue);
	assert_true(expire_at(1100) == 100);
	assert_true(expire_at(1200) == 50);
	assert_int_equal(expired_count, 1);
	assert_int_equal(expired[0], 1);
	assert_true(expire_at(1250) == UINT64_MAX);
	assert_int_equal(expired[1], 0);
}

/* One timeout may go from queue to queue, as flows do. */
static void timeout_moves_between_queues(void **state)
{
	(void)state;
	start_at(1000, 0, &queue);
	start_at(1000, 0, &slower);
	assert_null(timeout_oldest(&queue));
	assert_true(expire_at(1100) == 150);
	assert_int_equal(expired_count, 0);
	expire_at(1250);
	assert_int_equal(expired_count, 1);
}

/* "0" switches off. */
static void duration_of_zero_is_never(void **state)
{
	struct timeout_queue off;

	(void)state;
	timeout_queue_init(&off, &loop, 0, note, expired);
	start_at(1000, 0, &queue);
	start_at(1000, 0, &off);
	assert_true(list_is_empty(&timeouts[0].node));
	assert_true(expire_at(UINT64_MAX) == UINT64_MAX);
	assert_int_equal(expired_count, 0);
}

static void restart_others(void *context, struct timeout *timeout)
{
	(void)context;
	expired[expired_count++] = (int)(timeout - timeouts);
	if (timeout == &timeouts[0]) {
		timeout_stop(&timeouts[1]);
		timeout_start(&timeouts[2], &queue, &loop);
	}
}

/* What expires may stop and start others of its queue. */
static void handlers_may_stop_and_start(void **state)
{
	(void)state;
	queue.expired = restart_others;
	for (int i = 0; i < 3; i++)
		start_at(1000, i, &queue);
	loop.now_ns = 1100;
	assert_true(expire_at(1100) == 100);
	assert_int_equal(expired_count, 1);
	assert_true(expire_at(1200) == UINT64_MAX);
	assert_int_equal(expired_count, 2);
	assert_int_equal(expired[1], 2);
}

static void start_on_the_first_queue(void *context, struct timeout *timeout)
{
	(void)context;
	timeout_start(timeout, &queue, &loop);
}

/* As a retry does that starts the connect timeout, whose queue has been looked at by then. */
static void one_that_moves_to_an_earlier_queue_is_waited_for(void **state)
{
	(void)state;
	slower.expired = start_on_the_first_queue;
	start_at(1000, 0, &slower);
	loop.now_ns = 1250;
	assert_true(expire_at(1250) == 100);
}

int main(void)
{
#define WITH_QUEUES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_QUEUES(nothing_started_means_no_wait),
		WITH_QUEUES(they_expire_in_the_order_they_started),
		WITH_QUEUES(restarted_one_goes_to_the_end),
		WITH_QUEUES(stopped_one_does_not_expire),
		WITH_QUEUES(nearest_of_all_queues_is_waited_for),
		WITH_QUEUES(timeout_moves_between_queues),
		WITH_QUEUES(duration_of_zero_is_never),
		WITH_QUEUES(handlers_may_stop_and_start),
		WITH_QUEUES(one_that_moves_to_an_earlier_queue_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
