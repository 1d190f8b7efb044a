/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/clock.h"
#include "base/text.h"

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int result;
		uint64_t number;
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "80", 65535, 0, 80 },
		{ "65535", 65535, 0, 65535 },
		{ "65536", 65535, -ERANGE, 0 },
		{ "0080", 65535, 0, 80 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "7", 5, -ERANGE, 0 },
		{ "", 65535, -EINVAL, 0 },
		{ "-1", 65535, -EINVAL, 0 },
		{ "+1", 65535, -EINVAL, 0 },
		{ " 1", 65535, -EINVAL, 0 },
		{ "1 ", 65535, -EINVAL, 0 },
		{ "0x10", 65535, -EINVAL, 0 },
		{ "99999999999999999999999x", UINT64_MAX, -EINVAL, 0 }, /* no number at all */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t number = 4711;

		assert_int_equal(text_parse_number(cases[i].text, strlen(cases[i].text),
						   cases[i].max, &number),
				 cases[i].result);
		assert_true(number == (cases[i].result == 0 ? cases[i].number : 4711));
	}
}

static void number_may_stand_within_a_longer_text(void **state)
{
	uint64_t number;

	(void)state;
	assert_int_equal(text_parse_number("8080:80", 4, 65535, &number), 0);
	assert_true(number == 8080);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {
		{ "500ms", 0, 500 * NS_PER_MS },
		{ "30s", 0, 30 * NS_PER_S },
		{ "2m", 0, 120 * NS_PER_S },
		{ "1h", 0, 3600 * NS_PER_S },
		{ "0", 0, 0 },
		{ "0s", 0, 0 },
		{ "2562047h", 0, UINT64_C(2562047) * 3600 * NS_PER_S },
		{ "2562048h", -ERANGE, 0 }, /* more than 63 bits of ns */
		{ "", -EINVAL, 0 },
		{ "30", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "30 s", -EINVAL, 0 },
		{ "1.5s", -EINVAL, 0 },
		{ "1m30s", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "5d", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t ns = 4711;

		assert_int_equal(text_parse_duration(cases[i].text, &ns), cases[i].result);
		assert_true(ns == (cases[i].result == 0 ? cases[i].ns : 4711));
	}
}

static void durations_for_people(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "0ms" },	     { 999, "999ms" },	  { 1000, "1s" },
		{ 1099, "1s" },	     { 1500, "1.5s" },	  { 59999, "59.9s" },
		{ 60000, "1m0s" },   { 150000, "2m30s" }, { 3599999, "59m59s" },
		{ 3600000, "1h0m" }, { 3720000, "1h2m" }, { 360000000, "100h0m" },
	};
	char text[TEXT_DURATION_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_string_equal(text_format_duration(cases[i].ms * NS_PER_MS, text),
				    cases[i].text);
	assert_string_equal(text_format_duration(UINT64_MAX, text), "5124095h34m");
}

static void sizes_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 999, "999B" },
		{ 1000, "1.0kB" },
		{ 1234, "1.2kB" },
		{ 9999, "9.9kB" },
		{ 10000, "10kB" },
		{ 999999, "999kB" },
		{ 1000000, "1.0MB" },
		{ 3400000000, "3.4GB" },
		{ UINT64_MAX, "18EB" },
	};
	char text[TEXT_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_string_equal(text_format_size(cases[i].bytes, text), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(number_may_stand_within_a_longer_text),
		cmocka_unit_test(durations),
		cmocka_unit_test(durations_for_people),
		cmocka_unit_test(sizes_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
