/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <netinet/in.h>

#include "kernel/upcall.h"

static struct upcall upcall;

static void write_packet(uint8_t protocol, size_t payload)
{
	memset(&upcall, 0, sizeof(upcall));
	upcall.length = (uint32_t)(40 + (protocol == IPPROTO_TCP ? 20 : 8) + payload);
	upcall.packet[0] = 0x60;
	upcall.packet[6] = protocol;
	for (size_t i = 8; i < upcall.length; i++)
		upcall.packet[i] = (uint8_t)(i * 37 + 11);
}

static uint16_t sum_of(const uint8_t *bytes, size_t length, uint32_t sum)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	if (length % 2 == 1)
		sum += (uint32_t)bytes[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t pseudo_header(void)
{
	return sum_of(upcall.packet + 8, 32, upcall.packet[6] + upcall.length - 40);
}

static void put_checksum(uint16_t value)
{
	size_t at = upcall.packet[6] == IPPROTO_TCP ? 56 : 46;

	upcall.packet[at] = (uint8_t)(value >> 8);
	upcall.packet[at + 1] = (uint8_t)value;
}

static void sums_of_pseudo_headers_become_checksums(void **state)
{
	static const size_t payloads[] = { 0, 1, 2, 99, 1400 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(payloads); i++) {
		write_packet(i % 2 == 0 ? IPPROTO_TCP : IPPROTO_UDP, payloads[i]);
		put_checksum(pseudo_header());
		upcall_complete(&upcall);
		assert_int_equal(sum_of(upcall.packet + 40, upcall.length - 40, pseudo_header()),
				 0xffff);
	}
}

/* Right ones, and wrong ones, which are the container's to find out. */
static void other_checksums_stay(void **state)
{
	struct upcall before;

	(void)state;
	write_packet(IPPROTO_UDP, 100);
	before = upcall;
	upcall_complete(&upcall);
	assert_memory_equal(&upcall, &before, sizeof(before));
	put_checksum(0);
	put_checksum((uint16_t)~sum_of(upcall.packet + 40, upcall.length - 40, pseudo_header()));
	before = upcall;
	upcall_complete(&upcall);
	assert_memory_equal(&upcall, &before, sizeof(before));
}

static void the_client_is_the_source(void **state)
{
	struct address client;

	(void)state;
	write_packet(IPPROTO_UDP, 0);
	assert_true(upcall_client(&upcall, &client));
	assert_int_equal(client.family, AF_INET6);
	assert_memory_equal(client.ip, upcall.packet + 8, 16);
	upcall.length = 47;
	assert_false(upcall_client(&upcall, &client));
	upcall.length = UPCALL_BYTES_MAX + 1;
	assert_false(upcall_client(&upcall, &client));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_pseudo_headers_become_checksums),
		cmocka_unit_test(other_checksums_stay),
		cmocka_unit_test(the_client_is_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
