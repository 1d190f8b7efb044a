/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "wire/spp.h"

static void header_is_as_it_is_documented(void **state)
{
	static const uint8_t expected[SPP_BYTES] = {
		0x56, 0xec, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0xff, 0xff, 0xc0, 0x00, 0x02, 0x01, 0xdc, 0x04, 0x00, 0x35,
	};
	struct address client = address_of("2001:db8::1", 56324),
		       proxy = address_of("192.0.2.1", 53);
	uint8_t out[SPP_BYTES];

	(void)state;
	spp_encode(&client, &proxy, out);
	assert_memory_equal(out, expected, sizeof(expected));
}

static void what_was_written_can_be_read(void **state)
{
	struct address client = address_of("192.0.2.7", 1),
		       proxy = address_of("2001:db8::2", 65535);
	struct address read_client, read_proxy;
	uint8_t out[SPP_BYTES];

	(void)state;
	spp_encode(&client, &proxy, out);
	assert_true(spp_decode(out, sizeof(out), &read_client, &read_proxy));
	assert_true(address_equal(&client, &read_client));
	assert_true(address_equal(&proxy, &read_proxy));
	assert_false(spp_decode(out, sizeof(out) - 1, &read_client, &read_proxy));
	out[1] ^= 1;
	assert_false(spp_decode(out, sizeof(out), &read_client, &read_proxy));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_as_it_is_documented),
		cmocka_unit_test(what_was_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
