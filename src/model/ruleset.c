/* SPDX-License-Identifier: Apache-2.0 */
#include "model/ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/socket.h"

void ruleset_init(struct ruleset *set)
{
	*set = (struct ruleset){ .rules = NULL };
}

void ruleset_fini(struct ruleset *set)
{
	free(set->rules);
	ruleset_init(set);
}

static int make_room(struct ruleset *set, struct error *err)
{
	size_t room = set->room > 0 ? set->room * 2 : 64;
	struct rule *rules;

	if (set->count < set->room)
		return 0;
	if (set->count >= RULESET_MAX)
		return error_set(err, -E2BIG, "more than %d rules", RULESET_MAX);
	rules = reallocarray(set->rules, room, sizeof(*rules));
	if (!rules)
		return error_set(err, -ENOMEM, "no memory for %zu rules", room);
	set->rules = rules;
	set->room = room;
	return 0;
}

int ruleset_add(struct ruleset *set, const struct rule *rule, struct error *err)
{
	int r = make_room(set, err);

	if (r == 0)
		set->rules[set->count++] = *rule;
	return r;
}

static int add_range(struct ruleset *set, const struct port_spec *spec, struct rule *rule,
		     struct error *err)
{
	for (uint32_t i = 0; i <= (uint32_t)(spec->host_last - spec->host_first); i++) {
		int r;

		rule->host.port = (uint16_t)(spec->host_first + i);
		rule->container.port = (uint16_t)(spec->container_first + i);
		r = ruleset_add(set, rule, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int ruleset_add_spec(struct ruleset *set, const struct port_spec *spec, const struct rule *like,
		     struct error *err)
{
	struct rule rule = *like;
	int r;

	rule.protocol = spec->protocol;
	if (port_spec_is_choice(spec))
		return error_set(err, -EINVAL,
				 "ports %u-%u of the host for one port of the container: name one",
				 spec->host_first, spec->host_last);
	if (!spec->any_host) {
		rule.host = spec->host;
		return add_range(set, spec, &rule, err);
	}
	rule.host = (struct address){ .family = AF_INET };
	r = add_range(set, spec, &rule, err);
	if (r < 0 || !socket_has_ipv6())
		return r;
	rule.host = (struct address){ .family = AF_INET6 };
	return add_range(set, spec, &rule, err);
}

static int compare(const void *a, const void *b)
{
	return rule_compare_keys(a, b);
}

/* One that takes what goes to this address: published there, or on all addresses of this host. */
static const struct rule *find_listener(const struct ruleset *set, const struct rule *rule)
{
	struct rule key = { .protocol = rule->protocol, .host = rule->container };
	const struct rule *found = ruleset_find(set, &key);

	if (found || !address_is_loopback(&rule->container))
		return found;
	memset(key.host.ip, 0, sizeof(key.host.ip));
	return ruleset_find(set, &key);
}

/* A connection to such a rule would be accepted by the same program again, and so on. */
static int check_circles(const struct ruleset *set, struct error *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct rule *found = find_listener(set, &set->rules[i]);
		char text[RULE_TEXT_MAX], host[ADDRESS_TEXT_MAX];

		if (found)
			return error_set(err, -EINVAL,
					 "%s leads to port %s/%s, which is published itself: "
					 "connections would go round in circles",
					 rule_format(&set->rules[i], text),
					 address_format(&found->host, host),
					 protocol_name(found->protocol));
	}
	return 0;
}

int ruleset_sort(struct ruleset *set, struct error *err)
{
	if (set->count > 0)
		qsort(set->rules, set->count, sizeof(set->rules[0]), compare);
	for (size_t i = 1; i < set->count; i++) {
		const struct rule *one = &set->rules[i - 1], *two = &set->rules[i];
		char host[ADDRESS_TEXT_MAX], first[ADDRESS_TEXT_MAX], second[ADDRESS_TEXT_MAX];

		if (rule_compare_keys(one, two) != 0)
			continue;
		return error_set(err, -EEXIST,
				 "port %s/%s is published twice, for %s and %s: keep one of them",
				 address_format(&two->host, host), protocol_name(two->protocol),
				 address_format(&one->container, first),
				 address_format(&two->container, second));
	}
	return check_circles(set, err);
}

const struct rule *ruleset_find(const struct ruleset *set, const struct rule *key)
{
	if (set->count == 0)
		return NULL;
	return bsearch(key, set->rules, set->count, sizeof(set->rules[0]), compare);
}

void ruleset_diff(const struct ruleset *before, const struct ruleset *after,
		  ruleset_change_fn *change, void *context)
{
	size_t i = 0, j = 0;

	while (i < before->count || j < after->count) {
		const struct rule *old = i < before->count ? &before->rules[i] : NULL;
		const struct rule *new = j < after->count ? &after->rules[j] : NULL;
		int order = !old ? 1 : !new ? -1 : rule_compare_keys(old, new);

		if (order < 0) {
			change(context, old, NULL);
			i++;
		} else if (order > 0) {
			change(context, NULL, new);
			j++;
		} else {
			if (!rule_same_effect(old, new))
				change(context, old, new);
			i++;
			j++;
		}
	}
}
