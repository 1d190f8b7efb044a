/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>

#include "model/ruleset.h"

static struct ruleset set, other;
static struct error err;

static int setup(void **state)
{
	(void)state;
	ruleset_init(&set);
	ruleset_init(&other);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ruleset_fini(&set);
	ruleset_fini(&other);
	return 0;
}

static struct rule rule_of(enum protocol protocol, const char *host, uint16_t port,
			   const char *container)
{
	return (struct rule){ .protocol = protocol,
			      .host = address_of(host, port),
			      .container = address_of(container, 80) };
}

static void add(struct ruleset *to, const char *host, uint16_t port, const char *container)
{
	struct rule rule = rule_of(PROTOCOL_TCP, host, port, container);

	assert_int_equal(ruleset_add(to, &rule, &err), 0);
}

static int add_spec(const char *text, const char *name)
{
	struct rule like = { .origin = RULE_FROM_API, .container = address_of("172.17.0.2", 0) };
	struct port_spec spec;

	if (name && rule_set_name(&like, name, &err) < 0)
		return err.code;
	assert_int_equal(port_spec_parse(text, &spec, &err), 0);
	return ruleset_add_spec(&set, &spec, &like, &err);
}

static void assert_rule(size_t index, const char *text)
{
	char buffer[RULE_TEXT_MAX];

	assert_string_equal(rule_format(&set.rules[index], buffer), text);
}

static void spec_stands_for_both_families_and_each_port(void **state)
{
	(void)state;
	assert_int_equal(add_spec("8080-8081:80-81/udp", "web"), 0);
	assert_int_equal(ruleset_sort(&set, &err), 0);
	assert_int_equal(set.count, 4);
	assert_rule(0, "0.0.0.0:8080/udp -> 172.17.0.2:80");
	assert_rule(1, "[::]:8080/udp -> 172.17.0.2:80");
	assert_rule(2, "0.0.0.0:8081/udp -> 172.17.0.2:81");
	assert_rule(3, "[::]:8081/udp -> 172.17.0.2:81");
	assert_string_equal(set.rules[3].name, "web");
	assert_int_equal(set.rules[3].origin, RULE_FROM_API);
}

static void spec_with_an_address_is_of_that_one(void **state)
{
	(void)state;
	assert_int_equal(add_spec("[2001:db8::2]:25:25", NULL), 0);
	assert_int_equal(set.count, 1);
	assert_rule(0, "[2001:db8::2]:25/tcp -> 172.17.0.2:25");
}

static void choice_and_bad_name_are_refused(void **state)
{
	(void)state;
	assert_int_equal(add_spec("8080-8090:80", NULL), -EINVAL);
	assert_non_null(strstr(err.text, "name one"));
	assert_int_equal(add_spec("8080:80", "-x"), -EINVAL);
	assert_int_equal(set.count, 0);
}

static void two_of_one_key_are_told(void **state)
{
	(void)state;
	add(&set, "::", 80, "172.17.0.2");
	add(&set, "0.0.0.0", 80, "172.17.0.2");
	assert_int_equal(ruleset_sort(&set, &err), 0);
	add(&set, "::", 80, "172.17.0.3");
	assert_int_equal(ruleset_sort(&set, &err), -EEXIST);
	assert_string_equal(err.text, "port [::]:80/tcp is published twice, for 172.17.0.2:80 and "
				      "172.17.0.3:80: keep one of them");
}

static void circles_are_told(void **state)
{
	(void)state;
	add(&set, "0.0.0.0", 80, "127.0.0.1");
	assert_int_equal(ruleset_sort(&set, &err), -EINVAL);
	assert_non_null(strstr(err.text, "in circles"));
	set.rules[0].host.port = 81; /* to another port, where something else may listen */
	assert_int_equal(ruleset_sort(&set, &err), 0);
	add(&set, "127.0.0.1", 80, "172.17.0.2");
	assert_int_equal(ruleset_sort(&set, &err), -EINVAL);
	set.count = 0;
	add(&set, "::", 80, "127.0.0.1"); /* of IPv6 clients only */
	assert_int_equal(ruleset_sort(&set, &err), 0);
}

static void rules_are_found_by_their_key(void **state)
{
	struct rule key = rule_of(PROTOCOL_TCP, "::", 80, "172.17.0.9");

	(void)state;
	assert_null(ruleset_find(&set, &key));
	add(&set, "::", 80, "172.17.0.2");
	add(&set, "::", 79, "172.17.0.2");
	assert_int_equal(ruleset_sort(&set, &err), 0);
	assert_ptr_equal(ruleset_find(&set, &key), &set.rules[1]);
	key.protocol = PROTOCOL_UDP;
	assert_null(ruleset_find(&set, &key));
}

static char changes[512];

static void note(void *context, const struct rule *before, const struct rule *after)
{
	char text[64];

	assert_ptr_equal(context, changes);
	(void)snprintf(text, sizeof(text), "%s%u ",
		       !before	? "+"
		       : !after ? "-"
				: "~",
		       (before ? before : after)->host.port);
	strcat(changes, text);
}

static const char *diff(void)
{
	assert_int_equal(ruleset_sort(&set, &err), 0);
	assert_int_equal(ruleset_sort(&other, &err), 0);
	changes[0] = '\0';
	ruleset_diff(&set, &other, note, changes);
	return changes;
}

static void difference_is_what_only_one_has_or_leads_elsewhere(void **state)
{
	(void)state;
	assert_string_equal(diff(), "");
	add(&other, "::", 3, "172.17.0.2");
	add(&other, "::", 1, "172.17.0.2");
	assert_string_equal(diff(), "+1 +3 ");
	add(&set, "::", 1, "172.17.0.2");
	add(&set, "::", 2, "172.17.0.2");
	add(&set, "::", 3, "172.17.0.9");
	assert_string_equal(diff(), "-2 ~3 ");
	other.count = 0;
	assert_string_equal(diff(), "-1 -2 -3 ");
}

static void another_name_is_a_difference_and_another_origin_is_none(void **state)
{
	(void)state;
	add(&set, "::", 1, "172.17.0.2");
	add(&other, "::", 1, "172.17.0.2");
	other.rules[0].origin = RULE_FROM_FILE;
	assert_string_equal(diff(), "");
	assert_int_equal(rule_set_name(&other.rules[0], "web", &err), 0);
	assert_string_equal(diff(), "~1 ");
}

static void there_is_a_bound(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct port_spec spec;
		struct rule like = { .container = address_of("172.17.0.2", 0) };
		int r;

		assert_int_equal(port_spec_parse(i ? "1-65535:1-65535/udp" : "[::]:1-65535:1-65535",
						 &spec, &err),
				 0);
		r = ruleset_add_spec(&set, &spec, &like, &err);
		assert_int_equal(r, i ? -E2BIG : 0);
	}
	assert_string_equal(err.text, "more than 65536 rules");
}

int main(void)
{
#define WITH_SETS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SETS(spec_stands_for_both_families_and_each_port),
		WITH_SETS(spec_with_an_address_is_of_that_one),
		WITH_SETS(choice_and_bad_name_are_refused),
		WITH_SETS(two_of_one_key_are_told),
		WITH_SETS(circles_are_told),
		WITH_SETS(rules_are_found_by_their_key),
		WITH_SETS(difference_is_what_only_one_has_or_leads_elsewhere),
		WITH_SETS(another_name_is_a_difference_and_another_origin_is_none),
		WITH_SETS(there_is_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
