/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <netinet/in.h>

static void names_are_those_of_docker(void **state)
{
	static const char *const names[] = { "tcp", "udp", "sctp" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		enum protocol protocol;

		assert_int_equal(protocol_parse(names[i], &protocol), 0);
		assert_string_equal(protocol_name(protocol), names[i]);
	}
}

static void other_names_are_refused(void **state)
{
	static const char *const names[] = { "", "TCP", "tcp6", "tcp ", "icmp", "dccp" };
	enum protocol protocol = PROTOCOL_SCTP;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_int_equal(protocol_parse(names[i], &protocol), -EINVAL);
	assert_int_equal(protocol, PROTOCOL_SCTP);
}

static void arguments_of_socket(void **state)
{
	(void)state;
	assert_int_equal(protocol_socket_type(PROTOCOL_TCP), SOCK_STREAM);
	assert_int_equal(protocol_ip_number(PROTOCOL_TCP), IPPROTO_TCP);
	assert_int_equal(protocol_socket_type(PROTOCOL_UDP), SOCK_DGRAM);
	assert_int_equal(protocol_ip_number(PROTOCOL_UDP), IPPROTO_UDP);
	assert_int_equal(protocol_socket_type(PROTOCOL_SCTP), SOCK_STREAM); /* one-to-one */
	assert_int_equal(protocol_ip_number(PROTOCOL_SCTP), IPPROTO_SCTP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_docker),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(arguments_of_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
