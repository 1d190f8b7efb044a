/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/rules.h"

#include <stdlib.h>
#include <string.h>

void kernel_rules_fini(struct kernel_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->rules[i]);
	free(rules->rules);
	*rules = (struct kernel_rules){ .count = 0 };
}

struct kernel_rule *kernel_rules_find(const struct kernel_rules *rules, const struct rule *key)
{
	size_t low = 0, high = rules->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = rule_compare_keys(&rules->rules[middle]->rule, key);

		if (order == 0)
			return rules->rules[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

struct kernel_rule *kernel_rules_find_at(const struct kernel_rules *rules, enum protocol protocol,
					 const struct address *host)
{
	struct rule key = { .protocol = protocol, .host = *host };
	struct kernel_rule *found = kernel_rules_find(rules, &key);

	if (found)
		return found;
	memset(key.host.ip, 0, sizeof(key.host.ip));
	return kernel_rules_find(rules, &key);
}

bool kernel_rule_is_at(const struct kernel_rule *rule, const struct address *host)
{
	static const uint8_t any[16];
	const struct address *wanted = &rule->rule.host;

	return wanted->family == host->family && (memcmp(wanted->ip, any, sizeof(any)) == 0 ||
						  memcmp(wanted->ip, host->ip, sizeof(any)) == 0);
}
