/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/record.h"

static char folder[] = "/tmp/fairlead-unit-XXXXXX";
static char path[64];
static struct ruleset rules, again;
static struct error err;

static int setup(void **state)
{
	struct rule rule = { .protocol = PROTOCOL_UDP,
			     .origin = RULE_FROM_API,
			     .host = address_of("::", 53),
			     .container = address_of("172.17.0.2", 53),
			     .name = "dns" };

	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/rules.json", folder);
	ruleset_init(&rules);
	ruleset_init(&again);
	return ruleset_add(&rules, &rule, &err);
}

static int teardown(void **state)
{
	(void)state;
	ruleset_fini(&rules);
	ruleset_fini(&again);
	(void)unlink(path);
	return rmdir(folder); /* nothing else has been left there */
}

static void rules_are_read_as_they_were_written(void **state)
{
	struct record record = { .path = "" };

	(void)state;
	assert_int_equal(record_prepare(&record, path, &rules, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(record_commit(&record, &err), 0);
	assert_int_equal(record_read(path, &again, &err), 0);
	assert_int_equal(again.count, 1);
	assert_int_equal(rule_compare_keys(&rules.rules[0], &again.rules[0]), 0);
	assert_true(rule_same_effect(&rules.rules[0], &again.rules[0]));
	assert_int_equal(again.rules[0].origin, RULE_FROM_API);
}

static void abandoned_record_leaves_the_one_before(void **state)
{
	struct record record = { .path = "" };

	(void)state;
	assert_int_equal(record_prepare(&record, path, &rules, &err), 0);
	assert_int_equal(record_commit(&record, &err), 0);
	rules.count = 0;
	assert_int_equal(record_prepare(&record, path, &rules, &err), 0);
	record_abandon(&record);
	assert_int_equal(record_read(path, &again, &err), 0);
	assert_int_equal(again.count, 1);
}

static void record_that_is_missing_is_empty(void **state)
{
	(void)state;
	assert_int_equal(record_read(path, &again, &err), 0);
	assert_int_equal(again.count, 0);
}

static void record_that_is_damaged_is_told(void **state)
{
	FILE *file = fopen(path, "w");

	(void)state;
	(void)fputs("{\"rules\": [{\"publish\": 1}]}", file);
	(void)fclose(file);
	assert_int_equal(record_read(path, &again, &err), -EINVAL);
	assert_non_null(strstr(err.text, "rules.json: rules[0]"));
}

static void folder_that_is_missing_is_told_before_anything_is_done(void **state)
{
	struct record record = { .path = "" };

	(void)state;
	assert_int_equal(record_prepare(&record, "/nowhere/rules.json", &rules, &err), -ENOENT);
	assert_non_null(strstr(err.text, "cannot be recorded in /nowhere/rules.json"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(rules_are_read_as_they_were_written),
		IN_FOLDER(abandoned_record_leaves_the_one_before),
		IN_FOLDER(record_that_is_missing_is_empty),
		IN_FOLDER(record_that_is_damaged_is_told),
		IN_FOLDER(folder_that_is_missing_is_told_before_anything_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
