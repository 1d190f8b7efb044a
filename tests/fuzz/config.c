/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of the daemon. A file that is not good changes nothing, and is told with its
 * line; one that is has rules in their order, each of which can be written and read again.
 */
#include "api/config.h"

#include <errno.h>

#include "api/rules.h"
#include "fuzz.h"

static void check_error(const struct error *err)
{
	unsigned int line = 0;

	assert(err->code < 0);
	assert(sscanf(err->text, "file:%u: ", &line) == 1 && line >= 1);
	assert(!strchr(err->text, '\n'));
}

static void check_again(const struct rule *rule)
{
	json_t *json = rules_encode(rule);
	struct strict document;
	struct ruleset set;
	struct error err;

	assert(json);
	(void)json_object_del(json, "id");
	(void)json_object_del(json, "origin");
	document = strict_document(json);
	ruleset_init(&set);
	assert(rules_decode_one(&document, rule->origin, &set, &err) == 0);
	assert(set.count == 1);
	assert(rule_compare_keys(&set.rules[0], rule) == 0);
	assert(rule_same_effect(&set.rules[0], rule));
	ruleset_fini(&set);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct config config;
	struct error err;

	config_init(&config);
	if (config_parse(&config, "file", (const char *)data, length, &err) < 0) {
		check_error(&err);
		assert(config.rules.count == 0);
	}
	for (size_t i = 0; i < config.rules.count; i++) {
		assert(i == 0 ||
		       rule_compare_keys(&config.rules.rules[i - 1], &config.rules.rules[i]) < 0);
		check_again(&config.rules.rules[i]);
	}
	config_fini(&config);
	return 0;
}
