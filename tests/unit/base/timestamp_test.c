/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/timestamp.h"

static void text_of_a_moment(void **state)
{
	struct timespec when = { .tv_sec = 1795575845, .tv_nsec = 678999999 };
	char text[TIMESTAMP_MAX];

	(void)state;
	assert_string_equal(timestamp_format(&when, text), "2026-11-25T03:04:05.678Z");
	when = (struct timespec){ .tv_nsec = 1000000 };
	assert_string_equal(timestamp_format(&when, text), "1970-01-01T00:00:00.001Z");
}

static void now_is_not_before_then(void **state)
{
	char text[TIMESTAMP_MAX];

	(void)state;
	assert_true(strcmp(timestamp_now(text), "2026-01-01T00:00:00.000Z") > 0);
	assert_int_equal(strlen(text), 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_a_moment),
		cmocka_unit_test(now_is_not_before_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
