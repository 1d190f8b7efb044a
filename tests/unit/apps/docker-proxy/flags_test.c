/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>

#include "apps/docker-proxy/flags.h"
#include "base/error.h"

static struct flags flags;
static struct error err;

/* Parses these arguments, which end with NULL. */
static int parse_all(const char *const *arguments)
{
	char *argv[32] = { (char *)"docker-proxy" };
	int argc = 1;

	for (; arguments[argc - 1]; argc++)
		argv[argc] = (char *)arguments[argc - 1];
	return flags_parse(argc, argv, &flags, &err);
}

#define parse(...) parse_all((const char *const[]){ __VA_ARGS__, NULL })

static void assert_address(const struct address *address, const char *ip)
{
	struct address expected = address_of(ip, 0);

	assert_true(address_equal(address, &expected));
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse_all((const char *const[]){ NULL }), 0);
	assert_string_equal(flags.proto, "tcp");
	assert_address(&flags.host_ip, "0.0.0.0");
	assert_address(&flags.container_ip, "0.0.0.0");
	assert_int_equal(flags.host_port, -1);
	assert_int_equal(flags.container_port, -1);
	assert_false(flags.use_listen_fd || flags.help || flags.version);
}

/* As dockerd 20.10 and dockerd 28 write them. */
static void command_lines_of_dockerd(void **state)
{
	(void)state;
	assert_int_equal(parse("-proto", "tcp", "-host-ip", "::", "-host-port", "8080",
			       "-container-ip", "172.17.0.2", "-container-port", "80"),
			 0);
	assert_address(&flags.host_ip, "::");
	assert_address(&flags.container_ip, "172.17.0.2");
	assert_int_equal(flags.host_port, 8080);
	assert_int_equal(flags.container_port, 80);
	assert_false(flags.use_listen_fd);

	assert_int_equal(parse("-proto", "udp", "-host-ip", "127.0.0.2", "-host-port", "53",
			       "-container-ip", "2001:db8::2", "-container-port", "53",
			       "-use-listen-fd"),
			 0);
	assert_string_equal(flags.proto, "udp");
	assert_address(&flags.host_ip, "127.0.0.2");
	assert_true(flags.use_listen_fd);
}

static void all_forms_of_a_flag(void **state)
{
	(void)state;
	assert_int_equal(parse("-host-port", "1"), 0);
	assert_int_equal(parse("--host-port", "1"), 0);
	assert_int_equal(parse("-host-port=1"), 0);
	assert_int_equal(parse("--host-port=1", "--host-port=2"), 0);
	assert_int_equal(flags.host_port, 2); /* the last one wins */
	assert_int_equal(parse("-proto="), 0);
	assert_string_equal(flags.proto, "");
	assert_int_equal(parse("-proto=a=b"), 0);
	assert_string_equal(flags.proto, "a=b");
	assert_int_equal(parse("-proto", "-v"), 0); /* the value, whatever it looks like */
	assert_string_equal(flags.proto, "-v");
}

static void booleans(void **state)
{
	static const char *const yes[] = { "-use-listen-fd", "-use-listen-fd=1", "-use-listen-fd=t",
					   "-use-listen-fd=TRUE", "--use-listen-fd=True" };
	static const char *const no[] = { "-use-listen-fd=0", "-use-listen-fd=F",
					  "-use-listen-fd=false", "-use-listen-fd=False" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(yes); i++) {
		assert_int_equal(parse(yes[i]), 0);
		assert_true(flags.use_listen_fd);
	}
	for (size_t i = 0; i < COUNT_OF(no); i++) {
		assert_int_equal(parse("-use-listen-fd", no[i]), 0);
		assert_false(flags.use_listen_fd);
	}
	/* a boolean takes no argument of its own: parsing ends there */
	assert_int_equal(parse("-use-listen-fd", "false", "-proto", "udp"), 0);
	assert_true(flags.use_listen_fd);
	assert_string_equal(flags.proto, "tcp");
}

static void parsing_stops(void **state)
{
	static const char *const ends[] = { "--", "-", "positional", "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		assert_int_equal(parse("-host-port=1", ends[i], "-no-such-flag"), 0);
		assert_int_equal(flags.host_port, 1);
	}
	assert_int_equal(parse("-h", "-no-such-flag"), 0);
	assert_true(flags.help);
}

/* strconv.ParseInt(s, 0, 64) */
static void integers_are_go_literals(void **state)
{
	static const struct {
		const char *text;
		int64_t number;
	} good[] = {
		{ "80", 80 },	  { "+80", 80 },
		{ "-1", -1 },	  { "0", 0 },
		{ "0x50", 80 },	  { "0X5a", 90 },
		{ "0o120", 80 },  { "0120", 80 },
		{ "0b1010", 10 }, { "8_080", 8080 },
		{ "0x_50", 80 },  { "0_7", 7 },
		{ "-0x10", -16 }, { "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = { "",	   "-",	   "8a",   "08",     "0x",  "0b2", "0o8",
					   "_80",  "80_",  "8__0", "0x5__0", " 80", "80 ", "1e3",
					   "0x-1", "--80", "8.0",  "0b",     "0o" };
	char argument[64];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(parse("-host-port", good[i].text), 0);
		assert_true(flags.host_port == good[i].number);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		snprintf(argument, sizeof(argument),
			 "invalid value \"%s\" for flag -host-port: parse error", bad[i]);
		assert_int_equal(parse("-host-port", bad[i]), -EINVAL);
		assert_string_equal(err.text, argument);
	}
	assert_int_equal(parse("-host-port=9223372036854775808"), -EINVAL);
	assert_non_null(strstr(err.text, "value out of range"));
}

static void addresses(void **state)
{
	(void)state;
	assert_int_equal(parse("-host-ip", ""), 0); /* dockerd 20.10: all, which is [::] */
	assert_address(&flags.host_ip, "::");
	assert_int_equal(parse("-host-ip=::ffff:192.0.2.1"), 0);
	assert_address(&flags.host_ip, "192.0.2.1");
	assert_int_equal(parse("-host-ip=localhost"), -EINVAL);
	assert_string_equal(err.text,
			    "invalid value \"localhost\" for flag -host-ip: invalid IP address");
	assert_int_equal(parse("-container-ip=fe80::1%lo"), -EINVAL); /* Go's net.IP has no zone */
}

static void faults_are_told_in_the_words_of_go(void **state)
{
	static const struct {
		const char *argument, *sentence;
	} cases[] = {
		{ "-no-such", "flag provided but not defined: -no-such" },
		{ "--no-such=1", "flag provided but not defined: -no-such" },
		{ "---proto", "bad flag syntax: ---proto" },
		{ "-=1", "bad flag syntax: -=1" },
		{ "-host-port", "flag needs an argument: -host-port" },
		{ "-use-listen-fd=2",
		  "invalid boolean value \"2\" for -use-listen-fd: parse error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(parse(cases[i].argument), -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

static void failure_leaves_the_output_alone(void **state)
{
	(void)state;
	flags.host_port = 4711;
	assert_int_equal(parse("-host-port=1", "-no-such"), -EINVAL);
	assert_int_equal(flags.host_port, 4711);
}

static void usage_names_every_flag(void **state)
{
	static const char *const names[] = { "-container-ip value", "-container-port int",
					     "-host-ip value",	    "-host-port int",
					     "-proto string",	    "-use-listen-fd" };
	char text[4096];
	int pipes[2];
	ssize_t length;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	flags_usage(pipes[1], "docker-proxy");
	close(pipes[1]);
	length = read(pipes[0], text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = '\0';
	assert_memory_equal(text, "Usage of docker-proxy:\n", 23);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_non_null(strstr(text, names[i]));
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(command_lines_of_dockerd),
		cmocka_unit_test(all_forms_of_a_flag),
		cmocka_unit_test(booleans),
		cmocka_unit_test(parsing_stops),
		cmocka_unit_test(integers_are_go_literals),
		cmocka_unit_test(addresses),
		cmocka_unit_test(faults_are_told_in_the_words_of_go),
		cmocka_unit_test(failure_leaves_the_output_alone),
		cmocka_unit_test(usage_names_every_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
