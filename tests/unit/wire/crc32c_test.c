/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "wire/crc32c.h"

/* The check value of every catalogue of CRCs, and an example of RFC 3720 appendix B.4. */
static void known_values(void **state)
{
	uint8_t rising[32];

	(void)state;
	for (uint8_t i = 0; i < sizeof(rising); i++)
		rising[i] = i;
	assert_int_equal(crc32c(0, (const uint8_t *)"123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, rising, sizeof(rising)), 0x46dd794e);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void pieces_are_as_the_whole(void **state)
{
	const uint8_t *text = (const uint8_t *)"123456789";

	(void)state;
	for (size_t cut = 0; cut <= 9; cut++)
		assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, 9 - cut), 0xe3069283);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(pieces_are_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
