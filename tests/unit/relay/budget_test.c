/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "relay/budget.h"

static void last_descriptor_may_be_taken(void **state)
{
	struct budget budget = { .most = 10 };

	(void)state;
	assert_true(budget_has(&budget, 10));
	assert_false(budget_has(&budget, 11));
	budget_take(&budget, 9);
	assert_true(budget_has(&budget, 1));
	assert_false(budget_has(&budget, 2));
	budget_give(&budget, 2);
	assert_true(budget_has(&budget, 3));
}

/* What only speeds things up leaves the last eighth to sessions. */
static void spare_ones_end_at_seven_eighths(void **state)
{
	struct budget budget = { .most = 80 };

	(void)state;
	assert_true(budget_has_spare(&budget, 70));
	assert_false(budget_has_spare(&budget, 71));
	budget_take(&budget, 69);
	assert_true(budget_has_spare(&budget, 1));
	assert_false(budget_has_spare(&budget, 2));
	assert_true(budget_has(&budget, 11));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_descriptor_may_be_taken),
		cmocka_unit_test(spare_ones_end_at_seven_eighths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
