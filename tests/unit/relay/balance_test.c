/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "relay/balance.h"

static struct balance balance;
static uint32_t idle;

static int setup(void **state)
{
	(void)state;
	balance_init(&balance);
	idle = 1000;
	return 0;
}

/* So many periods like this one; what is ordered at last, and in which of them. */
static struct balance_order repeat(uint32_t periods, uint32_t first, uint32_t second,
				   uint32_t count, uint32_t least, uint32_t most)
{
	const uint32_t shares[] = { first, second };
	struct balance_order order = { .action = BALANCE_NOTHING };

	for (uint32_t i = 0; i < periods && order.action == BALANCE_NOTHING; i++)
		order = balance_decide(&balance, shares, count, idle, least, most);
	return order;
}

static void idle_thread_stays_alone(void **state)
{
	(void)state;
	assert_int_equal(repeat(1000, 100, 0, 1, 1, 4).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1000, 840, 0, 1, 1, 4).action, BALANCE_NOTHING);
}

static void busy_thread_gets_company(void **state)
{
	(void)state;
	assert_int_equal(repeat(1, 1000, 0, 1, 1, 2).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1, 900, 0, 1, 1, 2).action, BALANCE_START);
}

/* Where nothing is left of the machine, another thread would take turns with those that are. */
static void machine_with_nothing_left_gets_no_more_threads(void **state)
{
	(void)state;
	idle = 400;
	assert_int_equal(repeat(1000, 1000, 0, 1, 1, 2).action, BALANCE_NOTHING);
	idle = 500;
	assert_int_equal(repeat(1, 1000, 0, 1, 1, 2).action, BALANCE_START);
}

static void burst_of_a_moment_is_no_reason(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(repeat(1, 1000, 0, 1, 1, 2).action, BALANCE_NOTHING);
		assert_int_equal(repeat(1, 300, 0, 1, 1, 2).action, BALANCE_NOTHING);
	}
}

static void limits_are_kept(void **state)
{
	(void)state;
	assert_int_equal(repeat(1000, 1000, 0, 1, 1, 1).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1000, 1000, 1000, 2, 1, 2).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1000, 0, 0, 2, 2, 2).action, BALANCE_NOTHING);
}

static void uneven_threads_move_half_of_the_difference(void **state)
{
	struct balance_order order = repeat(1, 1000, 200, 2, 1, 2);

	(void)state;
	assert_int_equal(order.action, BALANCE_MOVE);
	assert_int_equal(order.from, 0);
	assert_int_equal(order.to, 1);
	assert_int_equal(order.permille, 400);
	/* what that does is to be seen before the next */
	assert_int_equal(repeat(2, 1000, 200, 2, 1, 2).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1, 100, 900, 2, 1, 2).from, 1);
}

/* One that has nothing to do, while another has: it is there to take from it, and not to be many. */
static void idle_company_is_no_reason_for_more(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(repeat(1, 1000, 0, 2, 1, 4).action, BALANCE_START);
}

static void nearly_even_threads_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(repeat(1000, 800, 650, 2, 1, 2).action, BALANCE_NOTHING);
	assert_int_equal(repeat(10, 300, 50, 2, 1, 2).action, BALANCE_NOTHING);
}

static void last_thread_is_retired_when_the_others_do(void **state)
{
	(void)state;
	assert_int_equal(repeat(19, 200, 250, 2, 1, 2).action, BALANCE_NOTHING);
	assert_int_equal(repeat(1, 200, 250, 2, 1, 2).action, BALANCE_RETIRE);
}

static void connections_go_where_there_is_time(void **state)
{
	const uint32_t shares[] = { 700, 100, 1000 };
	uint32_t picks[3] = { 0 };

	(void)state;
	(void)balance_decide(&balance, shares, 3, 0, 1, 3);
	for (int i = 0; i < 1250; i++)
		picks[balance_pick(&balance, 3)]++;
	assert_in_range(picks[0], 299, 301);
	assert_in_range(picks[1], 899, 901);
	assert_in_range(picks[2], 49,
			51); /* one that is full gets a few, to be seen getting better */
}

/* They do not come in rows. */
static void connections_take_turns(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(balance_pick(&balance, 2), balance_pick(&balance, 2));
}

int main(void)
{
#define WITH_BALANCE(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		WITH_BALANCE(idle_thread_stays_alone),
		WITH_BALANCE(busy_thread_gets_company),
		WITH_BALANCE(machine_with_nothing_left_gets_no_more_threads),
		WITH_BALANCE(burst_of_a_moment_is_no_reason),
		WITH_BALANCE(limits_are_kept),
		WITH_BALANCE(uneven_threads_move_half_of_the_difference),
		WITH_BALANCE(idle_company_is_no_reason_for_more),
		WITH_BALANCE(nearly_even_threads_are_left_alone),
		WITH_BALANCE(last_thread_is_retired_when_the_others_do),
		WITH_BALANCE(connections_go_where_there_is_time),
		WITH_BALANCE(connections_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
