/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scan of a head alone sees. All else is tested through the filter, where llhttp has a say
 * as well (tests/unit/identity/http_filter_test.c).
 */
#include "support.h"

#include <stdio.h>

#include "wire/http_head.h"

/* Eight bytes of a line are looked at together, so each has to be seen at every place among them. */
static void control_characters_are_refused_wherever_they_are(void **state)
{
	static const char before[] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
	static const char letters[] = "abcdefghijklmnopqrstu";

	(void)state;
	for (size_t place = 0; place < sizeof(letters) - 1; place++) {
		for (unsigned int c = 0; c <= UINT8_MAX; c++) {
			bool is_text = c == '\t' || (c >= ' ' && c != 0x7f);
			struct http_head head;
			enum http_result result;
			char text[128];
			int length = snprintf(text, sizeof(text), "%s%s\r\n\r\n", before, letters);

			text[sizeof(before) - 1 + place] = (char)c;
			result = http_request_parse((const uint8_t *)text, (size_t)length, &head);
			if (result != (is_text ? HTTP_GOOD : HTTP_BAD))
				fail_msg("0x%02x at %zu: result %d", c, place, result);
		}
	}
}

/* A line that has not ended is told as soon as it has something that no line may have. */
static void half_a_line_is_looked_at_too(void **state)
{
	static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\nA: abcdefgh\x80\tijk";
	static const char bad[] = "GET / HTTP/1.1\r\nHost: a\r\nA: abcdefgh\x7f\tijk";
	struct http_head head;

	(void)state;
	assert_int_equal(http_request_parse((const uint8_t *)good, sizeof(good) - 1, &head),
			 HTTP_MORE);
	assert_int_equal(http_request_parse((const uint8_t *)bad, sizeof(bad) - 1, &head),
			 HTTP_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters_are_refused_wherever_they_are),
		cmocka_unit_test(half_a_line_is_looked_at_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
