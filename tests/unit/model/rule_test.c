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

static void id_is_that_of_the_key(void **state)
{
	struct rule rule = { .protocol = PROTOCOL_TCP,
			     .host = address_of("::", 8080),
			     .container = address_of("172.17.0.2", 80) };
	char id[RULE_ID_MAX], other[RULE_ID_MAX];

	(void)state;
	/* the same at every start, and so in scripts */
	assert_string_equal(rule_id(&rule, id), "c335cc0451eb");
	rule.container.port = 81;
	assert_string_equal(rule_id(&rule, other), id);
	rule.protocol = PROTOCOL_UDP;
	assert_string_not_equal(rule_id(&rule, other), id);
}

static void keys_are_in_the_order_of_people(void **state)
{
	struct rule a = { .protocol = PROTOCOL_TCP, .host = address_of("::", 80) }, b = a;

	(void)state;
	assert_int_equal(rule_compare_keys(&a, &b), 0);
	b.host.port = 443;
	assert_true(rule_compare_keys(&a, &b) < 0);
	assert_true(rule_compare_keys(&b, &a) > 0);
	a.protocol = PROTOCOL_UDP;
	assert_true(rule_compare_keys(&a, &b) > 0);
}

static void names_are_plain(void **state)
{
	static const char *const bad[] = { "", "-a", ".a", "a b", "<b>", "\xc3\xa4" };
	static const char *const good[] = { "a", "web_1", "A.b-C", "8080" };
	struct rule rule = { .name = "before" };
	char longest[RULE_NAME_MAX + 2];
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(rule_set_name(&rule, bad[i], &err), -EINVAL);
	memset(longest, 'x', RULE_NAME_MAX + 1);
	longest[RULE_NAME_MAX + 1] = '\0';
	assert_int_equal(rule_set_name(&rule, longest, &err), -EINVAL);
	assert_string_equal(rule.name, "before");
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(rule_set_name(&rule, good[i], &err), 0);
		assert_string_equal(rule.name, good[i]);
	}
	longest[RULE_NAME_MAX] = '\0';
	assert_int_equal(rule_set_name(&rule, longest, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_a_rule),
		cmocka_unit_test(longest_rule_fits),
		cmocka_unit_test(id_is_that_of_the_key),
		cmocka_unit_test(keys_are_in_the_order_of_people),
		cmocka_unit_test(names_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
