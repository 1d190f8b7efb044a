/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/clock.h"
#include "model/daemon_settings.h"

static struct daemon_settings settings, standard;
static struct error err;

static int setup(void **state)
{
	(void)state;
	daemon_settings_init(&settings);
	daemon_settings_init(&standard);
	return 0;
}

/* Every default of the table is one that could be set, too. */
static void defaults_are_there(void **state)
{
	(void)state;
	assert_string_equal(settings.api_socket, "/run/fairlead/fairlead.sock");
	assert_string_equal(settings.status_listen, "127.0.0.1:9469");
	assert_string_equal(settings.access_log, "off");
	assert_int_equal(settings.access_log_format, ACCESS_LOG_TEXT);
	assert_int_equal(settings.drain_timeout_ns, 10 * NS_PER_S);
#define TEXT(field, size, standard_text, meaning) \
	assert_int_equal(daemon_settings_set(&settings, #field, standard_text, &err), 0);
#define CHOICE(field, type, standard_text, meaning) \
	assert_int_equal(daemon_settings_set(&settings, #field, standard_text, &err), 0);
#define DURATION(field, key, standard_text, least, most, meaning) \
	assert_int_equal(daemon_settings_set(&settings, key, standard_text, &err), 0);
#define NUMBER(field, standard_text, least, most, meaning) \
	assert_int_equal(daemon_settings_set(&settings, #field, #standard_text, &err), 0);
#include "model/daemon_settings.def"
#undef TEXT
#undef CHOICE
#undef DURATION
#undef NUMBER
	assert_true(daemon_settings_equal(&settings, &standard));
}

static void values_are_set(void **state)
{
	(void)state;
	assert_int_equal(daemon_settings_set(&settings, "access_log", "/var/log/x", &err), 0);
	assert_int_equal(daemon_settings_set(&settings, "access_log_format", "json", &err), 0);
	assert_int_equal(daemon_settings_set(&settings, "status_listen", "[::1]:80", &err), 0);
	assert_int_equal(daemon_settings_set(&settings, "drop_in_socket", "off", &err), 0);
	assert_int_equal(daemon_settings_set(&settings, "drain_timeout", "1h", &err), 0);
	assert_int_equal(settings.access_log_format, ACCESS_LOG_JSON);
	assert_int_equal(settings.drain_timeout_ns, 3600 * NS_PER_S);
	assert_true(daemon_settings_is_off(settings.drop_in_socket));
	assert_false(daemon_settings_equal(&settings, &standard));
}

static void bad_values_are_told_and_change_nothing(void **state)
{
	static const char *const bad[][2] = {
		{ "api_socket", "relative" },
		{ "api_socket", "" },
		{ "drop_in_socket", "no" },
		{ "access_log", "syslog" },
		{ "drop_in_identity", "proxy" },
		{ "pseudo_pool", "2001:db8::/32" },
		{ "pseudo_pool", "224.0.0.0/4" },
		{ "pseudo_client_length", "47" },
		{ "pseudo_lease", "1" },
		{ "pseudo_store", "pseudo.db" },
		{ "access_log_format", "xml" },
		{ "status_listen", "9469" },
		{ "status_listen", "localhost:1" },
		{ "status_listen", "127.0.0.1:0" },
		{ "drain_timeout", "61m" },
		{ "drain_timeout", "10" },
		{ "api_group", "a-group-whose-name-has-more-than-32-characters" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(daemon_settings_set(&settings, bad[i][0], bad[i][1], &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, bad[i][0]));
	}
	assert_true(daemon_settings_equal(&settings, &standard));
	assert_int_equal(daemon_settings_set(&settings, "colour", "blue", &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults_are_there, setup),
		cmocka_unit_test_setup(values_are_set, setup),
		cmocka_unit_test_setup(bad_values_are_told_and_change_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
