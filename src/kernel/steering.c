/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/siphash.h"
#include "kernel/obstacles.h"

/* Connections without an answer, and none that had one, after which the relay is tried. */
#define UNANSWERED_MAX 3

static int filter_by(struct steering *steering, const struct kernel_rule *rule,
		     const struct identity_prefixes *prefixes, bool allows)
{
	int r = 0;

	for (size_t i = 0; i < prefixes->count && r == 0; i++)
		if (prefixes->prefixes[i].family == AF_INET6)
			r = translator_filter(&steering->carrier.translator, rule->number,
					      &prefixes->prefixes[i], allows);
	return r;
}

static bool is_filtered(const struct kernel_rule *rule)
{
	return rule->rule.identity.allow.count > 0 || rule->rule.identity.deny.count > 0;
}

/* Whether ::/0 is among them, which else stands for all that is not named. */
static bool names_all(const struct identity_prefixes *prefixes)
{
	for (size_t i = 0; i < prefixes->count; i++)
		if (prefixes->prefixes[i].family == AF_INET6 && prefixes->prefixes[i].length == 0)
			return true;
	return false;
}

/* Who is let in comes last: where it fails, nobody is. */
static int set_filters(struct steering *steering, struct kernel_rule *rule)
{
	const struct prefix all = { .family = AF_INET6 };
	const struct identity *identity = &rule->rule.identity;
	int r;

	if (rule->number != 0 || !is_filtered(rule))
		return 0;
	rule->number = ++steering->last_number;
	r = filter_by(steering, rule, &identity->allow, true);
	if (r == 0)
		r = filter_by(steering, rule, &identity->deny, false);
	if (r == 0 && !names_all(&identity->allow) && !names_all(&identity->deny))
		r = translator_filter(&steering->carrier.translator, rule->number, &all,
				      identity->allow.count == 0);
	return r;
}

static void unset_filters(struct steering *steering, const struct kernel_rule *rule)
{
	const struct prefix all = { .family = AF_INET6 };
	const struct identity *identity = &rule->rule.identity;

	if (rule->number == 0 || !steering->carrier.is_open)
		return;
	translator_unfilter(&steering->carrier.translator, rule->number, &all);
	for (size_t i = 0; i < identity->allow.count; i++)
		translator_unfilter(&steering->carrier.translator, rule->number,
				    &identity->allow.prefixes[i]);
	for (size_t i = 0; i < identity->deny.count; i++)
		translator_unfilter(&steering->carrier.translator, rule->number,
				    &identity->deny.prefixes[i]);
}

static int find_obstacle(const struct steering *steering, const struct kernel_rule *rule,
			 uint32_t *ret_ifindex, struct error *err)
{
	if (rule->rule.host.family != AF_INET6)
		return error_set(err, -EAFNOSUPPORT, "the kernel path is for clients of IPv6");
	if (steering->failure.code < 0) {
		*err = steering->failure;
		return err->code;
	}
	if (rule->is_unanswered)
		return error_set(
			err, -EHOSTUNREACH,
			"packets of the kernel path to this container got no answer: does a "
			"filter of FORWARD drop them?");
	return obstacle_to_container(&rule->rule.container, ret_ifindex, err);
}

static void set_aim(struct steering *steering, struct kernel_rule *rule)
{
	rule->aim = rule->rule.container;
	if (steering->takes_aims &&
	    forwarding_aim_at(&steering->carrier.forwarding, &rule->rule.container, &rule->aim) < 0)
		rule->aim = rule->rule.container;
	rule->aim.port = 0;
}

static void carry(struct steering *steering, struct kernel_rule *rule, uint32_t ifindex)
{
	int r = translator_attach_containers(&steering->carrier.translator, ifindex);

	if (r < 0) {
		error_set(&rule->obstacle, r, "the kernel path: the link to the container: %s",
			  error_name(r));
		return;
	}
	r = set_filters(steering, rule);
	if (r < 0) {
		error_set(&rule->obstacle, r, "the kernel path: allow and deny do not fit: %s",
			  error_name(r));
		return;
	}
	set_aim(steering, rule);
	rule->link = ifindex;
	rule->is_carried = true;
}

/*
 * Whoever asks for the kernel by name, or has it now, is to know that it is not so; but not again and
 * again.
 */
static void tell_of(struct steering *steering, struct kernel_rule *rule, bool was_carried)
{
	static const struct siphash_key known = { .k0 = 0, .k1 = 0 };
	const struct error *obstacle = &rule->obstacle;
	uint64_t what = siphash(&known, obstacle->text, strlen(obstacle->text));
	char text[RULE_TEXT_MAX];
	struct error err;

	if (obstacle->code == -EAFNOSUPPORT || what == rule->told ||
	    (rule->rule.identity.path == PATH_AUTO && !was_carried))
		return;
	rule->told = what;
	error_set(&err, obstacle->code, "%.60s is carried by the relay: %.220s",
		  rule_format(&rule->rule, text), obstacle->text);
	carrier_tell(&steering->carrier, &err);
}

/* What is against all rules, or all that leave the choice to us; code 0: nothing. */
struct general {
	struct error links, filters;
};

static void consider(struct steering *steering, struct kernel_rule *rule,
		     const struct general *general)
{
	bool was_carried = rule->is_carried;
	uint32_t ifindex = 0;
	int r = find_obstacle(steering, rule, &ifindex, &rule->obstacle);

	if (r == 0 && general->links.code < 0) {
		rule->obstacle = general->links;
		r = general->links.code;
	}
	if (r == 0 && rule->rule.identity.path == PATH_AUTO && general->filters.code < 0) {
		rule->obstacle = general->filters;
		r = general->filters.code;
	}
	rule->is_carried = false;
	if (r == 0)
		carry(steering, rule, ifindex);
	if (rule->is_carried)
		rule->told = 0;
	else
		tell_of(steering, rule, was_carried);
}

static bool has_rule_of(const struct steering *steering, enum identity_path wanted)
{
	for (size_t i = 0; i < steering->carrier.rules.count; i++)
		if (steering->carrier.rules.rules[i]->rule.identity.path == wanted)
			return true;
	return false;
}

/* It stays open while there is a rule, also if none can be carried now. */
static void open_or_close(struct steering *steering)
{
	if (steering->carrier.rules.count == 0 && steering->carrier.is_open)
		carrier_close(&steering->carrier, false);
	if (steering->carrier.rules.count == 0 || steering->carrier.is_open)
		return;
	steering->failure.code = 0;
	(void)carrier_open(&steering->carrier, &steering->failure);
}

void steering_check_forwarding(struct steering *steering)
{
	struct error err;

	if (steering->carrier.forwarding.is_set && forwarding_is_set())
		return;
	if (forwarding_set(&steering->carrier.forwarding, &err) == 0)
		return;
	carrier_tell(&steering->carrier, &err);
	for (size_t i = 0; i < steering->carrier.rules.count; i++) {
		steering->carrier.rules.rules[i]->is_carried = false;
		steering->carrier.rules.rules[i]->obstacle = err;
	}
}

void steering_consider(struct steering *steering)
{
	struct general general = { .links.code = 0, .filters.code = 0 };

	steering->considered_ns = clock_now_ns();
	open_or_close(steering);
	if (steering->carrier.is_open) {
		steering->takes_aims = forwarding_needs_aims();
		if (obstacle_of_links(&general.links) == 0)
			general.links.code = 0; /* it may have been told of some */
		if (has_rule_of(steering, PATH_AUTO))
			(void)obstacle_of_filters(&general.filters);
	}
	for (size_t i = 0; i < steering->carrier.rules.count; i++)
		consider(steering, steering->carrier.rules.rules[i], &general);
	if (!steering->carrier.is_open)
		return;
	steering_check_forwarding(steering);
	services_look(&steering->carrier.services);
	services_publish(&steering->carrier.services);
}

/* Changing the rules. */

static int compare_rules(const void *a, const void *b)
{
	const struct kernel_rule *const *one = a, *const *other = b;

	return rule_compare_keys(&(*one)->rule, &(*other)->rule);
}

/* What was counted goes on. */
static void inherit(struct steering *steering, struct kernel_rule *before,
		    struct kernel_rule *after)
{
	bool moves = !address_equal(&before->rule.container, &after->rule.container);

	memcpy(&after->counters, &before->counters, sizeof(after->counters));
	after->in_packets = before->in_packets;
	after->out_packets = before->out_packets;
	after->has_answered = before->has_answered && !moves;
	after->is_carried = before->is_carried;
	after->told = before->told;
	after->is_unanswered = before->is_unanswered && !moves &&
			       before->rule.identity.path == after->rule.identity.path;
	if (steering->carrier.is_open)
		flow_table_hand_over(&steering->carrier.flows, before, after, moves);
}

static struct kernel_rule *make_rule(const struct rule *rule)
{
	struct kernel_rule *made = calloc(1, sizeof(*made));

	if (made)
		made->rule = *rule;
	return made;
}

/* All new ones are there before an old one goes. */
void steering_set_rules(struct steering *steering, const struct rule *wanted, size_t count)
{
	struct kernel_rules before = steering->carrier.rules, after = { .count = 0 };

	after.rules = calloc(count + 1, sizeof(struct kernel_rule *));
	for (size_t i = 0; i < count && after.rules; i++) {
		struct kernel_rule *made = make_rule(&wanted[i]);

		if (made)
			after.rules[after.count++] = made;
	}
	if (after.count > 0)
		qsort(after.rules, after.count, sizeof(struct kernel_rule *), compare_rules);
	for (size_t i = 0; i < before.count; i++) {
		struct kernel_rule *same = kernel_rules_find(&after, &before.rules[i]->rule);

		if (same)
			inherit(steering, before.rules[i], same);
		else if (steering->carrier.is_open)
			flow_table_end_rule(&steering->carrier.flows, before.rules[i]);
	}
	steering->carrier.rules = after;
	steering_consider(steering);
	for (size_t i = 0; i < before.count; i++)
		unset_filters(steering, before.rules[i]);
	kernel_rules_fini(&before);
}

void steering_look_for_answers(struct steering *steering)
{
	bool found = false;

	for (size_t i = 0; i < steering->carrier.rules.count; i++) {
		struct kernel_rule *rule = steering->carrier.rules.rules[i];

		if (!rule->is_carried || rule->rule.identity.path != PATH_AUTO ||
		    rule->has_answered || rule->unanswered < UNANSWERED_MAX)
			continue;
		rule->is_unanswered = found = true;
		flow_table_forget_unanswered(&steering->carrier.flows, rule);
	}
	if (found)
		steering_consider(steering);
}
