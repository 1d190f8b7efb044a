/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "control/endpoints.h"

static const char *id;
static char allowed[ENDPOINT_METHODS_MAX];

static void paths_are_found_with_what_stands_for_an_id(void **state)
{
	const struct endpoint *endpoint;

	(void)state;
	endpoint = endpoint_find("GET", "/v1/rules", &id, allowed);
	assert_non_null(endpoint);
	assert_null(id);
	endpoint = endpoint_find("DELETE", "/v1/rules/abc", &id, allowed);
	assert_non_null(endpoint);
	assert_string_equal(endpoint->path, "/v1/rules/{id}");
	assert_string_equal(id, "abc");
	assert_non_null(endpoint_find("GET", "/", &id, allowed));
}

static void other_methods_are_told(void **state)
{
	(void)state;
	assert_null(endpoint_find("PATCH", "/v1/rules/abc", &id, allowed));
	assert_string_equal(allowed, "GET, PUT, DELETE");
	assert_null(endpoint_find("POST", "/", &id, allowed));
	assert_string_equal(allowed, "GET");
}

static void other_paths_are_not_found(void **state)
{
	static const char *const paths[] = {
		"", "/v1", "/v1/rules/", "/v1/rules/a/b", "/v1/rulesx", "/metrics/", "//"
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		assert_null(endpoint_find("GET", paths[i], &id, allowed));
		assert_string_equal(allowed, "");
	}
}

static void errors_have_the_status_of_their_code(void **state)
{
	static const struct {
		int code;
		unsigned int status;
	} pairs[] = { { -EINVAL, 400 }, { -E2BIG, 400 },      { -ENOENT, 404 },
		      { -EEXIST, 409 }, { -EADDRINUSE, 409 }, { -EBUSY, 409 },
		      { -EACCES, 403 }, { -ENOMEM, 500 },     { -EIO, 500 } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		struct answer answer = { .status = 0 };
		struct error err;

		(void)error_set(&err, pairs[i].code, "it is so");
		answer_failure(&answer, &err);
		assert_int_equal(answer.status, pairs[i].status);
		assert_string_equal(json_string_value(json_object_get(answer.json, "message")),
				    "it is so");
		json_decref(answer.json);
	}
}

/* What was quoted may be cut within a character. */
static void text_that_is_no_utf8_is_told_otherwise(void **state)
{
	struct answer answer = { .status = 0 };

	(void)state;
	answer_error(&answer, 404, "there is no %s", "\xff\xfe");
	assert_int_equal(answer.status, 404);
	assert_null(answer.json);
	assert_non_null(strstr(answer.constant, "\"message\""));
	assert_int_equal(answer.constant_bytes, strlen(answer.constant));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_found_with_what_stands_for_an_id),
		cmocka_unit_test(other_methods_are_told),
		cmocka_unit_test(other_paths_are_not_found),
		cmocka_unit_test(errors_have_the_status_of_their_code),
		cmocka_unit_test(text_that_is_no_utf8_is_told_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
