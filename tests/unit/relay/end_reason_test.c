/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <ctype.h>

#include "relay/end_reason.h"

/* Logs and counters are read by programs: names are unique, and made of a-z and hyphens. */
static void names_are_unique_and_plain(void **state)
{
	(void)state;
	for (int i = 0; i < END_REASONS; i++) {
		const char *name = end_reason_name((enum end_reason)i);

		assert_true(strlen(name) > 0);
		for (const char *c = name; *c; c++)
			assert_true(islower((unsigned char)*c) || *c == '-');
		for (int other = 0; other < i; other++)
			assert_string_not_equal(name, end_reason_name((enum end_reason)other));
	}
}

static void every_reason_has_a_sentence(void **state)
{
	(void)state;
	for (int i = 0; i < END_REASONS; i++)
		assert_true(strlen(end_reason_sentence((enum end_reason)i)) > 10);
}

/* A client that hangs up is nobody's business; a container that is down is the operator's. */
static void telling_ones_are_those_one_can_act_upon(void **state)
{
	(void)state;
	assert_false(end_reason_is_telling(END_DONE));
	assert_false(end_reason_is_telling(END_CLIENT_RESET));
	assert_false(end_reason_is_telling(END_IDLE));
	assert_false(end_reason_is_telling(END_STOPPED));
	assert_true(end_reason_is_telling(END_REFUSED));
	assert_true(end_reason_is_telling(END_CONNECT_TIMEOUT));
	assert_true(end_reason_is_telling(END_NO_DESCRIPTOR));
	assert_true(end_reason_is_telling(END_EVICTED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique_and_plain),
		cmocka_unit_test(every_reason_has_a_sentence),
		cmocka_unit_test(telling_ones_are_those_one_can_act_upon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
