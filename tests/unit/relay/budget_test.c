/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>

#include "relay/budget.h"

static void some_of_the_limit_are_kept(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 1024);
	assert_int_equal(budget.most, 1024 - 16);
	assert_int_equal(budget.used, 0);
	budget_init(&budget, 20); /* of few, half */
	assert_int_equal(budget.most, 10);
}

static void last_descriptor_may_be_taken(void **state)
{
	struct budget budget = { .most = 10 };

	(void)state;
	assert_false(budget_try(&budget, 11));
	assert_true(budget_try(&budget, 9));
	assert_false(budget_try(&budget, 2));
	assert_true(budget_try(&budget, 1));
	assert_false(budget_try(&budget, 1));
	budget_give(&budget, 3);
	assert_true(budget_try(&budget, 3));
	assert_int_equal(budget.used, 10);
}

/* What only speeds things up leaves the last eighth to sessions. */
static void spare_ones_end_at_seven_eighths(void **state)
{
	struct budget budget = { .most = 80 };

	(void)state;
	assert_false(budget_try_spare(&budget, 71));
	assert_true(budget_try_spare(&budget, 70));
	assert_true(budget_has_spare(&budget));
	assert_false(budget_try_spare(&budget, 1));
	assert_true(budget_try(&budget, 10));
	assert_false(budget_has_spare(&budget));
}

enum { THREADS = 4, TRIES = 100000 };

static void *try_and_give(void *context)
{
	struct budget *budget = context;
	uintptr_t over = 0;

	for (int i = 0; i < TRIES; i++) {
		if (!budget_try(budget, 2))
			continue;
		over += budget->used > budget->most;
		budget_give(budget, 2);
	}
	return (void *)over;
}

static void threads_never_take_too_many(void **state)
{
	struct budget budget = { .most = 5 };
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, try_and_give, &budget), 0);
	for (int i = 0; i < THREADS; i++) {
		void *over;

		assert_int_equal(pthread_join(threads[i], &over), 0);
		assert_null(over);
	}
	assert_int_equal(budget.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_of_the_limit_are_kept),
		cmocka_unit_test(last_descriptor_may_be_taken),
		cmocka_unit_test(spare_ones_end_at_seven_eighths),
		cmocka_unit_test(threads_never_take_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
