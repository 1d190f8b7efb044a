/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "api/strict.h"

static const char text[] = "{\n"
			   "  \"a\": 1, \"b\": {\n"
			   "    \"c\\\"d\": \"x ] } \\\" y\",\n"
			   "    \"list\": [ [1, 2],\n"
			   "      { \"e\": null },\n"
			   "      -1.5e3, true,\n"
			   "      \"last\" ]\n"
			   "  },\n"
			   "  \"f\": []\n"
			   "}\n";

static void line_of_a_place(void **state)
{
	static const struct {
		const char *path;
		unsigned int line;
	} places[] = {
		{ "", 1 },	    { "a", 2 },		{ "b", 2 },	      { "b.list", 4 },
		{ "b.list[0]", 4 }, { "b.list[1]", 5 }, { "b.list[1].e", 5 }, { "b.list[2]", 6 },
		{ "b.list[3]", 6 }, { "b.list[4]", 7 }, { "f", 9 },	      { "g", 1 },
		{ "b.list[9]", 1 }, { "a.b", 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(places); i++)
		assert_int_equal(strict_line(text, sizeof(text) - 1, places[i].path),
				 places[i].line);
}

static json_t *root;

static int setup(void **state)
{
	(void)state;
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(root);
	return 0;
}

static void keys_that_nobody_knows_are_told_with_their_place(void **state)
{
	static const char *const all[] = { "a", "b", "f", NULL }, *const some[] = { "a", NULL };
	struct strict document = strict_document(root), b = strict_member(&document, "b");
	struct error err;

	(void)state;
	assert_int_equal(strict_object(&document, all, &err), 0);
	assert_int_equal(strict_object(&document, some, &err), -EINVAL);
	assert_non_null(strstr(err.text, ": there is no such key"));
	assert_int_equal(strict_object(&b, all, &err), -EINVAL);
	assert_true(strncmp(err.text, "b.", 2) == 0);
}

static void wrong_types_are_told_with_their_place(void **state)
{
	struct strict document = strict_document(root), b = strict_member(&document, "b");
	struct strict list = strict_member(&b, "list"), number = strict_element(&list, 2);
	struct strict last = strict_element(&list, 4), missing = strict_member(&b, "missing");
	struct error err;
	const char *value;

	(void)state;
	assert_int_equal(strict_array(&list, &err), 0);
	assert_int_equal(strict_array(&b, &err), -EINVAL);
	assert_string_equal(err.text, "b: expected an array, not an object");
	assert_int_equal(strict_string(&number, &value, &err), -EINVAL);
	assert_string_equal(err.text, "b.list[2]: expected a string, not a number");
	assert_int_equal(strict_string(&missing, &value, &err), -EINVAL);
	assert_string_equal(err.text, "b.missing: is missing");
	assert_int_equal(strict_string(&last, &value, &err), 0);
	assert_string_equal(value, "last");
}

static void zero_character_is_told(void **state)
{
	json_t *string = json_stringn("a\0b", 3);
	struct strict document = strict_document(string);
	struct error err;
	const char *value;

	(void)state;
	assert_int_equal(strict_string(&document, &value, &err), -EINVAL);
	assert_string_equal(err.text, "has a zero character in it");
	json_decref(string);
}

int main(void)
{
#define WITH_DOCUMENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_of_a_place),
		WITH_DOCUMENT(keys_that_nobody_knows_are_told_with_their_place),
		WITH_DOCUMENT(wrong_types_are_told_with_their_place),
		cmocka_unit_test(zero_character_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
