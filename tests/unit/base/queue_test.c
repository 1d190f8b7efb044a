/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <sched.h>

#include "base/queue.h"

#define ROOM 8
#define THREADS 4
#define ITEMS 20000

struct item {
	uint32_t thread, number;
};

static struct queue queue;

static int setup(void **state)
{
	(void)state;
	return queue_init(&queue, ROOM, sizeof(struct item));
}

static int teardown(void **state)
{
	(void)state;
	queue_fini(&queue);
	return 0;
}

static bool put(uint32_t thread, uint32_t number)
{
	uint32_t place;
	struct item *item = queue_claim(&queue, &place);

	if (!item)
		return false;
	*item = (struct item){ thread, number };
	queue_put(&queue, place);
	return true;
}

static void assert_takes(uint32_t number)
{
	const struct item *item = queue_first(&queue);

	assert_non_null(item);
	assert_int_equal(item->number, number);
	queue_release(&queue);
}

static void items_come_in_their_order(void **state)
{
	(void)state;
	assert_null(queue_first(&queue));
	for (uint32_t i = 0; i < 3 * ROOM; i++) {
		assert_true(put(0, 2 * i));
		assert_true(put(0, 2 * i + 1));
		assert_takes(2 * i);
		assert_takes(2 * i + 1);
	}
	assert_null(queue_first(&queue));
}

static void full_queue_takes_no_more(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ROOM; i++)
		assert_true(put(0, i));
	assert_false(put(0, ROOM));
	assert_takes(0);
	assert_true(put(0, ROOM));
	assert_false(put(0, ROOM + 1));
	for (uint32_t i = 1; i <= ROOM; i++)
		assert_takes(i);
}

static void claimed_place_hides_those_behind_it(void **state)
{
	uint32_t first, second;

	(void)state;
	((struct item *)queue_claim(&queue, &first))->number = 1;
	((struct item *)queue_claim(&queue, &second))->number = 2;
	queue_put(&queue, second);
	assert_null(queue_first(&queue));
	queue_put(&queue, first);
	assert_takes(1);
	assert_takes(2);
}

static void *put_all(void *context)
{
	for (uint32_t i = 0; i < ITEMS; i++)
		while (!put((uint32_t)(uintptr_t)context, i))
			sched_yield();
	return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
	pthread_t threads[THREADS];
	uint32_t next[THREADS] = { 0 };

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_all, (void *)i), 0);
	for (uint32_t taken = 0; taken < THREADS * ITEMS;) {
		const struct item *item = queue_first(&queue);

		if (!item) {
			sched_yield();
			continue;
		}
		assert_int_equal(item->number, next[item->thread]++);
		queue_release(&queue);
		taken++;
	}
	assert_null(queue_first(&queue));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(items_come_in_their_order),
		WITH_QUEUE(full_queue_takes_no_more),
		WITH_QUEUE(claimed_place_hides_those_behind_it),
		WITH_QUEUE(nothing_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
