/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/processors.h"

static void those_of_the_process_are_counted(void **state)
{
	cpu_set_t before, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(processors_count(), CPU_COUNT(&before));
	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(processors_count(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* All of them together have been idle for some time, and not for longer than there was. */
static void idle_time_is_known(void **state)
{
	uint64_t first_ns = processors_idle_ns(), began_ns = clock_now_ns(), passed_ns, idle_ns;
	uint64_t all = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_true(first_ns > 0);
	usleep(100 * 1000);
	idle_ns = processors_idle_ns() - first_ns;
	passed_ns = clock_now_ns() - began_ns;
	assert_true(idle_ns <= all * (passed_ns + 20 * NS_PER_MS)); /* it counts in ticks */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_of_the_process_are_counted),
		cmocka_unit_test(idle_time_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
