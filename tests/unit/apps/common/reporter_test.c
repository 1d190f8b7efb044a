/* SPDX-License-Identifier: Apache-2.0 */
/* What the reporter writes, to a standard error that we read, in a time of our own. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>

#include "apps/common/reporter.h"
#include "base/clock.h"
#include "base/log.h"

static struct reporter reporter;
static struct publisher_observer observer;
static struct published_port port;
static struct address client;
static int output;

static int setup(void **state)
{
	(void)state;
	output = capture_stderr();
	log_open(LOG_TARGET_STDERR, "test");
	memset(&loop, 0, sizeof(loop));
	loop.now_ns = 100 * NS_PER_S;
	observer = reporter_observer(&reporter, &loop);
	port.route.owner = &port;
	port.rule = (struct rule){
		.protocol = PROTOCOL_TCP,
		.host = address_of("::", 8080),
		.container = address_of("172.17.0.2", 80),
	};
	client = address_of("2001:db8::7", 40000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_open(LOG_TARGET_OFF, "");
	release_stderr();
	return 0;
}

/* What was written since the last call, and how many lines that is. */
static char text[8192];

static int written_lines(void)
{
	ssize_t length = read(output, text, sizeof(text) - 1);
	int lines = 0;

	text[length > 0 ? length : 0] = '\0';
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	return lines;
}

static void session_ends(enum end_reason reason, int error)
{
	const struct session_end end = { .session = { .route = &port.route, .client = client },
					 .reason = reason,
					 .error = error };

	observer.session_ended(observer.context, &end);
}

static void refusal_is_told_with_rule_and_client(void **state)
{
	(void)state;
	session_ends(END_REFUSED, ECONNREFUSED);
	assert_int_equal(written_lines(), 1);
	assert_non_null(strstr(text, "test: [::]:8080/tcp -> 172.17.0.2:80: "
				     "client [2001:db8::7]:40000: the container refused"));
}

static void unreachable_is_told_with_its_error(void **state)
{
	(void)state;
	session_ends(END_UNREACHABLE, EHOSTUNREACH);
	assert_int_equal(written_lines(), 1);
	assert_non_null(strstr(text, "(no route to host)"));
}

static void ordinary_ends_are_not_told(void **state)
{
	(void)state;
	session_ends(END_DONE, 0);
	session_ends(END_CLIENT_RESET, ECONNRESET);
	session_ends(END_IDLE, 0);
	session_ends(END_STOPPED, 0);
	assert_int_equal(written_lines(), 0);
}

static void pause_is_told(void **state)
{
	(void)state;
	observer.paused(observer.context, &port, EMFILE);
	assert_int_equal(written_lines(), 1);
	assert_non_null(strstr(text, "new clients wait until others leave: too many open files"));
}

/* A container that is down must not fill the log: five in ten seconds, then their number. */
static void flood_is_held_back_and_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		session_ends(END_REFUSED, ECONNREFUSED);
	assert_int_equal(written_lines(), 5);

	loop.now_ns += 9 * NS_PER_S;
	session_ends(END_REFUSED, ECONNREFUSED);
	assert_int_equal(written_lines(), 0);

	loop.now_ns += NS_PER_S;
	session_ends(END_REFUSED, ECONNREFUSED);
	assert_int_equal(written_lines(), 2);
	assert_non_null(strstr(text, "test: left out, as there were too many at once: 16 more"));

	loop.now_ns += 10 * NS_PER_S;
	session_ends(END_REFUSED, ECONNREFUSED);
	assert_int_equal(written_lines(), 1);
}

int main(void)
{
#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_LOG(refusal_is_told_with_rule_and_client),
		WITH_LOG(unreachable_is_told_with_its_error),
		WITH_LOG(ordinary_ends_are_not_told),
		WITH_LOG(pause_is_told),
		WITH_LOG(flood_is_held_back_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
