/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/error.h"

/* The words that people search for, and scripts look for, whatever the libc says. */
static void names_are_those_of_the_field(void **state)
{
	static const struct {
		int error;
		const char *name;
	} cases[] = {
		{ EACCES, "permission denied" },
		{ EADDRINUSE, "address already in use" },
		{ EADDRNOTAVAIL, "cannot assign requested address" },
		{ ECONNREFUSED, "connection refused" },
		{ ECONNRESET, "connection reset by peer" },
		{ EHOSTUNREACH, "no route to host" },
		{ EMFILE, "too many open files" },
		{ ENETUNREACH, "network is unreachable" },
		{ ENOMEM, "cannot allocate memory" },
		{ ENOTSOCK, "socket operation on non-socket" },
		{ EPROTONOSUPPORT, "protocol not supported" },
		{ ETIMEDOUT, "connection timed out" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(error_name(cases[i].error), cases[i].name);
		assert_string_equal(error_name(-cases[i].error), cases[i].name);
	}
}

static void set_fills_code_and_text(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(error_set(&err, -ERANGE, "port %u is outside 1-65535", 70000), -ERANGE);
	assert_int_equal(err.code, -ERANGE);
	assert_string_equal(err.text, "port 70000 is outside 1-65535");
}

static void prefix_goes_before_the_text(void **state)
{
	struct error err;

	(void)state;
	error_set(&err, -EINVAL, "no such address");
	assert_int_equal(error_prefix(&err, "rule %d", 3), -EINVAL);
	assert_string_equal(err.text, "rule 3: no such address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_field),
		cmocka_unit_test(set_fills_code_and_text),
		cmocka_unit_test(prefix_goes_before_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
