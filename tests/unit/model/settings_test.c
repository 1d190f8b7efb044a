/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/settings.h"

static struct settings settings;
static struct error err;

static const char *const variables[] = {
#define DURATION(field, variable, standard, least, most, meaning) variable,
#define NUMBER(field, variable, standard, least, most, meaning) variable,
#include "model/settings.def"
#undef DURATION
#undef NUMBER
	"FAIRLEAD_LOG",
};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		unsetenv(variables[i]);
	memset(&settings, 0, sizeof(settings));
	settings_init(&settings);
	return 0;
}

static uint64_t duration(const char *text)
{
	uint64_t ns = 0;

	assert_int_equal(text_parse_duration(text, &ns), 0);
	return ns;
}

static void in_range(uint64_t least, uint64_t standard, uint64_t most)
{
	assert_true(least <= standard && standard <= most);
}

/* The parser takes the texts of the table for granted. */
static void table_is_sound(void **state)
{
	(void)state;
#define DURATION(field, variable, standard, least, most, meaning) \
	in_range(duration(least), duration(standard), duration(most));
#define NUMBER(field, variable, standard, least, most, meaning) in_range(least, standard, most);
#include "model/settings.def"
#undef DURATION
#undef NUMBER
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(settings_from_environment(&settings, &err), 0);
#define DURATION(field, variable, standard, least, most, meaning) \
	assert_true(settings.field == duration(standard));
#define NUMBER(field, variable, standard, least, most, meaning) \
	assert_true(settings.field == (standard));
#include "model/settings.def"
#undef DURATION
#undef NUMBER
	assert_int_equal(settings.log, LOG_TARGET_AUTO);
}

static void environment_overrides(void **state)
{
	(void)state;
	setenv("FAIRLEAD_CONNECT_TIMEOUT", "1500ms", 1);
	setenv("FAIRLEAD_KEEPALIVE", "0", 1);
	setenv("FAIRLEAD_UDP_MAX_CLIENTS", "262144", 1);
	setenv("FAIRLEAD_LOG", "syslog", 1);
	setenv("FAIRLEAD_CONNECT_RETRY", "", 1); /* counts as unset */
	assert_int_equal(settings_from_environment(&settings, &err), 0);
	assert_true(settings.connect_timeout_ns == 1500 * NS_PER_MS);
	assert_true(settings.keepalive_ns == 0);
	assert_true(settings.udp_clients_max == 262144);
	assert_int_equal(settings.log, LOG_TARGET_SYSLOG);
	assert_true(settings.connect_retry_ns == 0);
}

/* The sentence has the variable, the value that was met, and what is allowed. */
static void bad_values_are_told(void **state)
{
	static const struct {
		const char *variable, *value, *allowed;
	} cases[] = {
		{ "FAIRLEAD_CONNECT_TIMEOUT", "30", "duration from 0 to 1h, written like 500ms" },
		{ "FAIRLEAD_CONNECT_TIMEOUT", "2h", "from 0 to 1h" },
		{ "FAIRLEAD_CONNECT_RETRY", "soon", "from 0 to 5m" },
		{ "FAIRLEAD_HALF_CLOSED_TIMEOUT", "-1s", "from 0 to 720h" },
		{ "FAIRLEAD_UDP_IDLE_TIMEOUT", "999ms", "from 1s to 24h" },
		{ "FAIRLEAD_UDP_IDLE_TIMEOUT", "0", "from 1s to 24h" },
		{ "FAIRLEAD_UDP_MAX_CLIENTS", "0", "number from 1 to 262144" },
		{ "FAIRLEAD_UDP_MAX_CLIENTS", "262145", "number from 1 to 262144" },
		{ "FAIRLEAD_UDP_MAX_CLIENTS", "99999999999999999999", "from 1 to 262144" },
		{ "FAIRLEAD_UDP_MAX_CLIENTS", "1k", "number from 1 to 262144" },
		{ "FAIRLEAD_LOG", "file", "none of auto, journal, syslog, stderr, off" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char quoted[128];
		struct settings before;

		setup(state);
		before = settings;
		setenv("FAIRLEAD_KEEPALIVE", "1s", 1); /* good, and yet nothing may change */
		setenv(cases[i].variable, cases[i].value, 1);
		assert_int_equal(settings_from_environment(&settings, &err), -EINVAL);
		snprintf(quoted, sizeof(quoted), "%s=%s is ", cases[i].variable, cases[i].value);
		assert_memory_equal(err.text, quoted, strlen(quoted));
		if (!strstr(err.text, cases[i].allowed))
			fail_msg("\"%s\" is not in: %s", cases[i].allowed, err.text);
		assert_memory_equal(&settings, &before, sizeof(settings));
	}
}

static void least_threads_are_not_more_than_most(void **state)
{
	(void)state;
	setenv("FAIRLEAD_THREADS_LEAST", "4", 1); /* and as many as there are processors */
	assert_int_equal(settings_from_environment(&settings, &err), 0);
	setenv("FAIRLEAD_THREADS", "4", 1);
	assert_int_equal(settings_from_environment(&settings, &err), 0);
	setenv("FAIRLEAD_THREADS", "3", 1);
	assert_int_equal(settings_from_environment(&settings, &err), -EINVAL);
	assert_string_equal(err.text, "FAIRLEAD_THREADS_LEAST=4 is more than FAIRLEAD_THREADS=3, "
				      "the most");
}

static void help_names_every_variable(void **state)
{
	char text[8192];
	int pipes[2];
	ssize_t length;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	settings_describe(pipes[1]);
	close(pipes[1]);
	length = read(pipes[0], text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = '\0';
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		assert_non_null(strstr(text, variables[i]));
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(table_is_sound, setup),
		cmocka_unit_test_setup(defaults, setup),
		cmocka_unit_test_setup(environment_overrides, setup),
		cmocka_unit_test_setup(bad_values_are_told, setup),
		cmocka_unit_test_setup(least_threads_are_not_more_than_most, setup),
		cmocka_unit_test_setup(help_names_every_variable, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
