/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

static void assert_written(const char *ip, uint16_t port, const char *text)
{
	struct address address = address_of(ip, port);
	char buffer[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(&address, buffer), text);
}

static void text_of_an_address(void **state)
{
	(void)state;
	assert_written("192.0.2.1", 80, "192.0.2.1:80");
	assert_written("2001:0db8:0::2", 8080, "[2001:db8::2]:8080");
	assert_written("::", 0, "[::]:0");
	assert_written("0.0.0.0", 65535, "0.0.0.0:65535");
}

/* RFC 4291 section 2.5.5.2: an IPv4 address in the form that dual-stack sockets have for it. */
static void mapped_ipv4_is_ipv4(void **state)
{
	struct address mapped = address_of("::ffff:192.0.2.1", 80);
	struct address plain = address_of("192.0.2.1", 80);

	(void)state;
	assert_true(address_equal(&mapped, &plain));
	assert_int_equal(mapped.family, AF_INET);
}

static void texts_that_are_no_address(void **state)
{
	static const char *const texts[] = {
		"",
		"localhost",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1:80",
		"[::1]",
		"2001:db8:::1",
		" ::1",
		"::1 ",
		"192.0.2.1%lo",
		"fe80::1%",
		"fe80::1%no-such-if",
		"2001:db8::1%lo",
		"::ffff:192.0.2.1%lo",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};
	struct address address = { .family = 4711 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_int_equal(address_parse_ip(texts[i], &address), -EINVAL);
	assert_int_equal(address.family, 4711);
}

static void link_local_address_has_its_interface(void **state)
{
	struct address address = address_of("fe80::1%lo", 80), other = address_of("fe80::1", 80);
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(address.scope, if_nametoindex("lo"));
	assert_string_equal(address_format(&address, text), "[fe80::1%lo]:80");
	assert_false(address_equal(&address, &other));
	address.scope = 4000000000; /* an interface that has gone */
	assert_string_equal(address_format_ip(&address, text), "fe80::1%4000000000");
}

static void sockaddr_of_either_family(void **state)
{
	struct sockaddr_storage storage;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;
	struct address ipv4 = address_of("192.0.2.1", 80), ipv6 = address_of("fe80::2%lo", 53);
	struct address back;

	(void)state;
	assert_int_equal(address_to_sockaddr(&ipv4, AF_INET, &storage), sizeof(*in));
	assert_int_equal(in->sin_port, htons(80));
	assert_int_equal(in->sin_addr.s_addr, htonl(0xc0000201));
	address_from_sockaddr(&storage, &back);
	assert_true(address_equal(&back, &ipv4));

	assert_int_equal(address_to_sockaddr(&ipv6, AF_INET6, &storage), sizeof(*in6));
	assert_int_equal(in6->sin6_scope_id, ipv6.scope);
	address_from_sockaddr(&storage, &back);
	assert_true(address_equal(&back, &ipv6));

	assert_int_equal(address_to_sockaddr(&ipv4, AF_INET6, &storage), sizeof(*in6));
	assert_true(IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
	address_from_sockaddr(&storage, &back);
	assert_true(address_equal(&back, &ipv4));
}

/* The kernel may fill in a scope for global addresses too; it is none of theirs. */
static void scope_is_kept_for_link_local_only(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_scope_id = 7 };
	struct sockaddr_storage storage = { 0 };
	struct address address;

	(void)state;
	in6.sin6_addr = in6addr_loopback;
	memcpy(&storage, &in6, sizeof(in6));
	address_from_sockaddr(&storage, &address);
	assert_int_equal(address.scope, 0);
}

static void other_families_are_no_address(void **state)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNIX };
	struct address address = { .port = 4711 };
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	address_from_sockaddr(&storage, &address);
	assert_int_equal(address.family, AF_UNSPEC);
	assert_int_equal(address.port, 0);
	assert_string_equal(address_format_ip(&address, text), "unknown");
}

static void kinds_of_addresses(void **state)
{
	static const struct {
		const char *text;
		bool link_local, multicast;
	} cases[] = {
		{ "fe80::1", true, false },	    { "febf::1", true, false },
		{ "fec0::1", false, false },	    { "2001:db8::1", false, false },
		{ "ff02::1", false, true },	    { "224.0.0.1", false, true },
		{ "239.255.255.255", false, true }, { "240.0.0.1", false, false },
		{ "169.254.0.1", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address address = address_of(cases[i].text, 0);

		assert_int_equal(address_is_link_local(&address), cases[i].link_local);
		assert_int_equal(address_is_multicast(&address), cases[i].multicast);
	}
}

static void address_with_its_port(void **state)
{
	static const char *const good[] = { "192.0.2.1:80", "[2001:db8::1]:65535", "[::]:1" };
	static const char *const bad[] = { "",
					   "192.0.2.1",
					   "192.0.2.1:",
					   "192.0.2.1:0",
					   "192.0.2.1:65536",
					   "192.0.2.1:8o",
					   "::1:80",
					   "[192.0.2.1]:80",
					   "[::1]80",
					   "[::1:80",
					   ":80",
					   "[]:80",
					   "localhost:80",
					   "[::1]:+80" };
	struct address address = address_of("192.0.2.9", 9);
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(address_parse(bad[i], &address), -EINVAL);
	assert_string_equal(address_format(&address, text), "192.0.2.9:9");
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(address_parse(good[i], &address), 0);
		assert_string_equal(address_format(&address, text), good[i]);
	}
}

/* As they may come from another program, byte by byte. */
static void sound_addresses_are_those_that_could_have_been_parsed(void **state)
{
	struct address address = address_of("192.0.2.1", 80);

	(void)state;
	assert_true(address_is_sound(&address));
	address.ip[15] = 1; /* behind the four bytes of IPv4 */
	assert_false(address_is_sound(&address));
	address = address_of("2001:db8::1", 80);
	assert_true(address_is_sound(&address));
	address.scope = 7; /* of an address that is not link-local */
	assert_false(address_is_sound(&address));
	address = (struct address){ .family = AF_INET6 };
	assert_true(address_is_sound(&address));
	address.ip[10] = address.ip[11] = 0xff; /* IPv4 in disguise */
	assert_false(address_is_sound(&address));
	address = (struct address){ .family = AF_UNIX };
	assert_false(address_is_sound(&address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_an_address),
		cmocka_unit_test(mapped_ipv4_is_ipv4),
		cmocka_unit_test(texts_that_are_no_address),
		cmocka_unit_test(link_local_address_has_its_interface),
		cmocka_unit_test(sockaddr_of_either_family),
		cmocka_unit_test(scope_is_kept_for_link_local_only),
		cmocka_unit_test(other_families_are_no_address),
		cmocka_unit_test(kinds_of_addresses),
		cmocka_unit_test(address_with_its_port),
		cmocka_unit_test(sound_addresses_are_those_that_could_have_been_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
