/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "net/prefix.h"

static bool contains(const char *text, const char *ip)
{
	struct address address = address_of(ip, 80);
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix_contains(&prefix, &address);
}

static void addresses_are_in_their_prefixes_only(void **state)
{
	(void)state;
	assert_true(contains("2001:db8::/32", "2001:db8:ffff::1"));
	assert_false(contains("2001:db8::/32", "2001:db9::1"));
	assert_true(contains("192.0.2.128/25", "192.0.2.200"));
	assert_false(contains("192.0.2.128/25", "192.0.2.100"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_false(contains("::/0", "192.0.2.1"));
	assert_true(contains("0.0.0.0/0", "192.0.2.1"));
	assert_true(contains("2001:db8::1", "2001:db8::1"));
	assert_false(contains("2001:db8::1", "2001:db8::2"));
	assert_true(contains("192.0.2.1/32", "192.0.2.1"));
	assert_true(contains("2001:db8::8000/113", "2001:db8::ffff"));
	assert_false(contains("2001:db8::8000/113", "2001:db8::7fff"));
}

static void text_of_a_prefix(void **state)
{
	struct prefix prefix;
	char text[PREFIX_TEXT_MAX];

	(void)state;
	assert_int_equal(prefix_parse("2001:0db8::/32", &prefix), 0);
	assert_string_equal(prefix_format(&prefix, text), "2001:db8::/32");
	assert_int_equal(prefix_parse("192.0.2.1", &prefix), 0);
	assert_string_equal(prefix_format(&prefix, text), "192.0.2.1/32");
}

static void texts_that_are_no_prefix(void **state)
{
	static const char *const texts[] = { "",	   "here",	  "192.0.2.0/33",
					     "192.0.2.0/", "192.0.2.0/x", "192.0.2.0/-1",
					     "::/129",	   "/32",	  "fe80::1%lo/64" };
	struct prefix prefix;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_int_equal(prefix_parse(texts[i], &prefix), -EINVAL);
	assert_int_equal(prefix_parse("192.0.2.1/24", &prefix), -ERANGE);
	assert_int_equal(prefix_parse("2001:db8::1/127", &prefix), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_in_their_prefixes_only),
		cmocka_unit_test(text_of_a_prefix),
		cmocka_unit_test(texts_that_are_no_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
