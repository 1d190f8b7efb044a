/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>

#include "base/error.h"
#include "model/port_spec.h"

static struct port_spec parse(const char *text)
{
	struct port_spec spec;
	struct error err;

	if (port_spec_parse(text, &spec, &err) < 0)
		fail_msg("%s", err.text);
	return spec;
}

static void assert_ports(const struct port_spec *spec, int host_first, int host_last,
			 int container_first, int container_last)
{
	assert_int_equal(spec->host_first, host_first);
	assert_int_equal(spec->host_last, host_last);
	assert_int_equal(spec->container_first, container_first);
	assert_int_equal(spec->container_last, container_last);
}

static void plain(void **state)
{
	struct port_spec spec = parse("8080:80");

	(void)state;
	assert_ports(&spec, 8080, 8080, 80, 80);
	assert_true(spec.any_host);
	assert_int_equal(spec.protocol, PROTOCOL_TCP);
	assert_false(port_spec_is_choice(&spec));
}

static void protocols(void **state)
{
	(void)state;
	assert_int_equal(parse("53:53/udp").protocol, PROTOCOL_UDP);
	assert_int_equal(parse("53:53/tcp").protocol, PROTOCOL_TCP);
	assert_int_equal(parse("53:53/sctp").protocol, PROTOCOL_SCTP);
}

static void host_addresses(void **state)
{
	static const struct {
		const char *text, *ip;
	} cases[] = {
		{ "192.0.2.1:8080:80", "192.0.2.1" },	       { "0.0.0.0:8080:80", "0.0.0.0" },
		{ "[2001:db8::2]:8080:80", "2001:db8::2" },    { "[::]:8080:80", "::" },
		{ "[::ffff:192.0.2.1]:8080:80", "192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct port_spec spec = parse(cases[i].text);
		struct address expected = address_of(cases[i].ip, 0);

		assert_false(spec.any_host);
		assert_true(address_equal(&spec.host, &expected));
		assert_ports(&spec, 8080, 8080, 80, 80);
	}
}

static void ranges(void **state)
{
	struct port_spec one_to_one = parse("8000-8010:9000-9010");
	struct port_spec choice = parse("8000-8010:80");

	(void)state;
	assert_ports(&one_to_one, 8000, 8010, 9000, 9010);
	assert_false(port_spec_is_choice(&one_to_one));
	assert_ports(&choice, 8000, 8010, 80, 80);
	assert_true(port_spec_is_choice(&choice));
}

/* Each sentence quotes the text and says what was expected. */
static void bad_ones_are_told(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "expected" },
		{ "80", "expected [HOST-IP:]HOST-PORT:PORT" },
		{ "0:80", "host's port must be a number from 1 to 65535" },
		{ "65536:80", "host's port" },
		{ "80:0", "container's port must be a number from 1 to 65535" },
		{ "80:65536", "container's port" },
		{ "80:", "container's port" },
		{ ":80", "host's port" },
		{ "-80:80", "host's port" },
		{ "80-:80", "host's port" },
		{ "8010-8000:80", "rising range" },
		{ "8000-8010:80-85", "ranges differ in length" },
		{ "80:80-85", "ranges differ in length" },
		{ "80:80/icmp", "must be tcp, udp or sctp" },
		{ "80:80/", "must be tcp, udp or sctp" },
		{ "80:80/TCP", "must be tcp, udp or sctp" },
		{ "localhost:80:80", "no IP address" },
		{ "2001:db8::2:8080:80", "must stand in brackets" },
		{ "[192.0.2.1]:8080:80", "no IPv6 address" },
		{ "[]:8080:80", "no IP address" },
		{ "[nonsense]:8080:80", "no IPv6 address" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct port_spec spec = { .host_first = 4711 };
		struct error err = { .code = 0 };
		char quoted[128];

		snprintf(quoted, sizeof(quoted), "invalid port %s: ", cases[i].text);
		assert_int_equal(port_spec_parse(cases[i].text, &spec, &err), -EINVAL);
		assert_int_equal(err.code, -EINVAL);
		assert_memory_equal(err.text, quoted, strlen(quoted));
		if (!strstr(err.text, cases[i].reason))
			fail_msg("\"%s\" is not in: %s", cases[i].reason, err.text);
		assert_int_equal(spec.host_first, 4711);
	}
}

static void too_long_is_told(void **state)
{
	char text[1024];
	struct port_spec spec;
	struct error err;

	(void)state;
	memset(text, '1', sizeof(text));
	memcpy(text + sizeof(text) - 4, ":80", 4);
	assert_int_equal(port_spec_parse(text, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(protocols),
		cmocka_unit_test(host_addresses),
		cmocka_unit_test(ranges),
		cmocka_unit_test(bad_ones_are_told),
		cmocka_unit_test(too_long_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
