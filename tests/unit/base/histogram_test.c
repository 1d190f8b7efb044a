/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/histogram.h"

static const struct histogram_bounds bounds = { .count = 3, .ns = { 10, 20, 40 } };

static void bound_is_in_its_own_bucket(void **state)
{
	static const uint64_t values[] = { 0, 10, 11, 20, 40, 41, UINT32_MAX };
	static const uint64_t expected[] = { 2, 2, 1, 2 };
	struct histogram histogram = { .sum_ns = 0 };
	struct histogram_counts counts;
	uint64_t sum = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		histogram_add(&histogram, &bounds, values[i]);
		sum += values[i];
	}
	histogram_read(&histogram, &counts);
	for (size_t i = 0; i < COUNT_OF(expected); i++)
		assert_int_equal(counts.counts[i], expected[i]);
	assert_int_equal(counts.sum_ns, sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bound_is_in_its_own_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
