/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "model/identity.h"
#include "model/pseudo.h"

static struct identity identity;
static struct error err;
static char buffer[IDENTITY_TEXT_MAX];

static int setup(void **state)
{
	(void)state;
	memset(&identity, 0, sizeof(identity));
	return 0;
}

static void set(const char *key, const char *text)
{
	if (identity_set(&identity, key, text, &err) < 0)
		fail_msg("%s", err.text);
}

static void nothing_is_all_default(void **state)
{
	(void)state;
	for (size_t i = 0; identity_keys[i]; i++) {
		assert_null(identity_format(&identity, identity_keys[i], buffer));
		assert_non_null(identity_meaning(identity_keys[i]));
		set(identity_keys[i], identity_standard(identity_keys[i]));
	}
	assert_true(identity_is_none(&identity));
	assert_true(identity_equal(&identity, &(struct identity){ .kinds = 0 }));
	assert_int_equal(identity_http_headers(&identity),
			 HTTP_X_FORWARDED_FOR | HTTP_X_REAL_IP | HTTP_FORWARDED);
}

static void what_was_set_is_shown(void **state)
{
	static const char *const cases[][3] = {
		{ "identity", "http, pseudo-ipv4", "pseudo-ipv4,http" },
		{ "identity", "proxy-v2", "proxy-v2" },
		{ "proxy_tlvs", "unique-id,crc32c", "crc32c,unique-id" },
		{ "udp_proxy", "spp", "spp" },
		{ "http_headers", "forwarded", "forwarded" },
		{ "http_other", "pass", "pass" },
		{ "http_trust_from", "10.0.0.0/8,2001:db8::1", "10.0.0.0/8,2001:db8::1/128" },
		{ "accept_proxy_from", "192.0.2.1", "192.0.2.1/32" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set(cases[i][0], cases[i][1]);
		assert_string_equal(identity_format(&identity, cases[i][0], buffer), cases[i][2]);
	}
}

/* In whatever order it is written; or it would be another one after it was recorded and read. */
static void default_is_the_default_however_it_is_written(void **state)
{
	struct identity none = { .kinds = 0 };

	(void)state;
	set("http_headers", "forwarded,x-forwarded-for,x-real-ip");
	assert_null(identity_format(&identity, "http_headers", buffer));
	assert_true(identity_equal(&identity, &none));
	set("accept_proxy_from", "192.0.2.1");
	set("accept_proxy_from", "none");
	assert_true(identity_equal(&identity, &none));
}

static void bad_values_are_told_and_change_nothing(void **state)
{
	static const char *const bad[][2] = {
		{ "identity", "proxy" },
		{ "identity", "" },
		{ "identity", "none,http" },
		{ "identity", "http," },
		{ "udp_proxy", "every,first" },
		{ "http_other", "none" },
		{ "http_headers", "none" },
		{ "accept_proxy_from", "host" },
		{ "accept_proxy_from", "10.0.0.1/8" },
		{ "accept_proxy_from",
		  "::1,::2,::3,::4,::5,::6,::7,::8,::9,::a,::b,::c,::d,::e,::f,"
		  "::10,::11" },
		{ "path", "fast" },
		{ "path", "relay,kernel" },
	};
	struct identity none = { .kinds = 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_true(identity_set(&identity, bad[i][0], bad[i][1], &err) < 0);
		assert_memory_equal(err.text, bad[i][0], strlen(bad[i][0]));
		assert_true(identity_equal(&identity, &none));
	}
	assert_int_equal(identity_set(&identity, "identify", "none", &err), -ENOENT);
}

static void what_cannot_be_done_is_told(void **state)
{
	static const struct {
		const char *kinds;
		enum protocol protocol;
		const char *container;
		bool is_good;
	} cases[] = {
		{ "pseudo-ipv4,http", PROTOCOL_TCP, "172.17.0.2", true },
		{ "pseudo-ipv4,proxy-v2", PROTOCOL_UDP, "172.17.0.2", true },
		{ "proxy-v2,http", PROTOCOL_TCP, "fd00::2", true },
		{ "none", PROTOCOL_SCTP, "172.17.0.2", true },
		{ "proxy-v1,proxy-v2", PROTOCOL_TCP, "172.17.0.2", false },
		{ "proxy-v1", PROTOCOL_UDP, "172.17.0.2", false },
		{ "http", PROTOCOL_UDP, "172.17.0.2", false },
		{ "pseudo-ipv4", PROTOCOL_SCTP, "172.17.0.2", false },
		{ "pseudo-ipv4", PROTOCOL_TCP, "fd00::2", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address container = address_of(cases[i].container, 80);

		set("identity", cases[i].kinds);
		assert_int_equal(identity_check(&identity, cases[i].protocol, &container, &err),
				 cases[i].is_good ? 0 : -EINVAL);
	}
}

static bool admits(const char *allow, const char *deny, const char *client)
{
	struct address address;

	identity = (struct identity){ .kinds = 0 };
	set("allow", allow);
	set("deny", deny);
	assert_int_equal(address_parse_ip(client, &address), 0);
	return identity_admits(&identity, &address);
}

static void the_longest_prefix_says_who_may_come(void **state)
{
	(void)state;
	assert_true(admits("none", "none", "2001:db8::1"));
	assert_true(admits("none", "2001:db8:1::/48", "2001:db8::1"));
	assert_false(admits("none", "2001:db8::/32", "2001:db8::1"));
	assert_true(admits("2001:db8::/32", "none", "2001:db8::1"));
	assert_false(admits("2001:db8::/32", "none", "192.0.2.1"));
	assert_true(admits("2001:db8:5::/48", "2001:db8::/32", "2001:db8:5::1"));
	assert_false(admits("2001:db8::/32", "2001:db8:5::/48", "2001:db8:5::1"));
	assert_true(admits("2001:db8::/32", "2001:db8:5::/48", "2001:db8:6::1"));
	assert_false(admits("2001:db8::/32", "2001:db8::/32", "2001:db8::1"));
	assert_false(admits("none", "0.0.0.0/0", "192.0.2.1"));
	assert_true(admits("none", "::/0", "192.0.2.1"));
}

static void the_kernel_needs_pseudo_ipv4_and_nothing_else(void **state)
{
	struct address container;

	(void)state;
	assert_int_equal(address_parse_ip("172.17.0.2", &container), 0);
	for (size_t i = 0; i < 2; i++) {
		identity = (struct identity){ .kinds = 0 };
		set("path", i == 0 ? "kernel" : "auto");
		assert_int_equal(identity_check(&identity, PROTOCOL_TCP, &container, &err),
				 -EINVAL);
		set("identity", "pseudo-ipv4");
		assert_int_equal(identity_check(&identity, PROTOCOL_TCP, &container, &err), 0);
		set("accept_proxy_from", "::1");
		assert_int_equal(identity_check(&identity, PROTOCOL_TCP, &container, &err),
				 -EINVAL);
		set("accept_proxy_from", "none");
		set("identity", "pseudo-ipv4,http");
		assert_int_equal(identity_check(&identity, PROTOCOL_TCP, &container, &err),
				 -EINVAL);
	}
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

static void transit_addresses_are_as_many_as_the_pool_has(void **state)
{
	static const char *const bad[][2] = {
		{ "240.0.0.0/4", "248.0.0.0/5" }, /* too few */
		{ "248.0.0.0/8", "248.0.0.0/5" }, /* the same */
	};
	struct prefix pool = prefix_of("198.18.0.0/15"), network = prefix_of(PSEUDO_TRANSIT),
		      transit;
	char text[PREFIX_TEXT_MAX];

	(void)state;
	assert_int_equal(pseudo_transit_of(&pool, &network, &transit, &err), 0);
	assert_string_equal(prefix_format(&transit, text), "248.0.0.0/15");
	pool = prefix_of(PSEUDO_POOL);
	assert_int_equal(pseudo_transit_of(&pool, &network, &transit, &err), 0);
	assert_string_equal(prefix_format(&transit, text), PSEUDO_TRANSIT);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		pool = prefix_of(bad[i][0]);
		network = prefix_of(bad[i][1]);
		assert_int_equal(pseudo_transit_of(&pool, &network, &transit, &err), -EINVAL);
	}
}

int main(void)
{
#define WITH_IDENTITY(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		WITH_IDENTITY(nothing_is_all_default),
		WITH_IDENTITY(what_was_set_is_shown),
		WITH_IDENTITY(default_is_the_default_however_it_is_written),
		WITH_IDENTITY(bad_values_are_told_and_change_nothing),
		WITH_IDENTITY(what_cannot_be_done_is_told),
		cmocka_unit_test(the_longest_prefix_says_who_may_come),
		cmocka_unit_test(the_kernel_needs_pseudo_ipv4_and_nothing_else),
		cmocka_unit_test(transit_addresses_are_as_many_as_the_pool_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
