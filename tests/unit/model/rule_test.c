/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "model/rule.h"

static void text_of_a_rule(void **state)
{
	struct rule rule = {
		.protocol = PROTOCOL_UDP,
		.host = address_of("::", 5353),
		.container = address_of("172.17.0.2", 53),
	};
	char text[RULE_TEXT_MAX];

	(void)state;
	assert_string_equal(rule_format(&rule, text), "[::]:5353/udp -> 172.17.0.2:53");
}

/* The longest addresses fit. */
static void longest_rule_fits(void **state)
{
	struct rule rule = {
		.protocol = PROTOCOL_SCTP,
		.host = address_of("fe80:1111:2222:3333:4444:5555:6666:7777", 65535),
		.container = address_of("2001:1111:2222:3333:4444:5555:6666:7777", 65535),
	};
	char text[RULE_TEXT_MAX];

	(void)state;
	rule.host.scope = UINT32_MAX;
	assert_string_equal(rule_format(&rule, text),
			    "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535/sctp -> "
			    "[2001:1111:2222:3333:4444:5555:6666:7777]:65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_a_rule),
		cmocka_unit_test(longest_rule_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
