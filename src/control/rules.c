/* SPDX-License-Identifier: Apache-2.0 */
#include "control/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/rules.h"
#include "base/fd.h"
#include "control/events.h"

void rules_init(struct rules *rules, struct publisher *publisher, struct events *events,
		const struct rules_keeper *keeper)
{
	*rules = (struct rules){ .publisher = publisher, .events = events, .keeper = *keeper };
}

void rules_fini(struct rules *rules)
{
	free(rules->ports);
	rules->ports = NULL;
	rules->count = rules->room = 0;
}

/* The table. */

/* Where a port of that key is, or would be. */
static size_t place_of(const struct rules *rules, const struct rule *key)
{
	size_t low = 0, high = rules->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rule_compare_keys(&rules->ports[middle]->rule, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct rules *rules, size_t place, const struct rule *key)
{
	return place < rules->count && rule_compare_keys(&rules->ports[place]->rule, key) == 0;
}

size_t rules_after(const struct rules *rules, const struct rule *key)
{
	size_t place = place_of(rules, key);

	return is_at(rules, place, key) ? place + 1 : place;
}

struct published_port *rules_find(const struct rules *rules, const struct rule *key)
{
	size_t place = place_of(rules, key);

	return is_at(rules, place, key) ? rules->ports[place] : NULL;
}

struct published_port *rules_find_id(const struct rules *rules, const char *id)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rule_has_id(&rules->ports[i]->rule, id))
			return rules->ports[i];
	return NULL;
}

/* So that what follows cannot fail for lack of memory. */
static int make_room(struct rules *rules, size_t more, struct error *err)
{
	size_t room = rules->room;
	struct published_port **ports;

	while (room < rules->count + more)
		room = room > 0 ? room * 2 : 64;
	if (room == rules->room)
		return 0;
	ports = reallocarray(rules->ports, room, sizeof(struct published_port *));
	if (!ports)
		return error_set(err, -ENOMEM, "no memory for %zu more rules", more);
	rules->ports = ports;
	rules->room = room;
	return 0;
}

static void insert(struct rules *rules, struct published_port *port)
{
	size_t place = place_of(rules, &port->rule);

	memmove(&rules->ports[place + 1], &rules->ports[place],
		(rules->count - place) * sizeof(struct published_port *));
	rules->ports[place] = port;
	rules->count++;
}

static void take_out(struct rules *rules, const struct published_port *port)
{
	size_t place = place_of(rules, &port->rule);

	rules->count--;
	memmove(&rules->ports[place], &rules->ports[place + 1],
		(rules->count - place) * sizeof(struct published_port *));
}

static void tell_changed(const struct rules *rules)
{
	if (rules->observer.changed)
		rules->observer.changed(rules->observer.context);
}

static void tell(struct rules *rules, const char *action, const struct rule *rule)
{
	if (events_are_wanted(rules->events, EVENT_RULE))
		events_tell(rules->events, EVENT_RULE, action,
			    json_pack("{s:o}", "rule", rules_encode(rule)));
}

/* Sockets of drop-ins are kept by these themselves. */

static void keep(struct rules *rules, const struct published_port *port)
{
	if (rules->keeper.keep && port->rule.origin != RULE_FROM_DROP_IN)
		rules->keeper.keep(rules->keeper.context, &port->rule, port->fd);
}

static void forget(struct rules *rules, const struct published_port *port)
{
	if (rules->keeper.forget && port->rule.origin != RULE_FROM_DROP_IN)
		rules->keeper.forget(rules->keeper.context, &port->rule);
}

int rules_copy(const struct rules *rules, enum rule_origin origin, struct ruleset *into,
	       struct error *err)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->ports[i]->rule;

		if (rule->origin == origin && ruleset_add(into, rule, err) < 0)
			return err->code;
	}
	return 0;
}

/*
 * A change, planned before anything is touched. A port that is to be opened can be in the way of
 * itself: [::]:80 cannot be opened while [::1]:80 is. Those wait until what is to be withdrawn does
 * not listen any more, which is undone if they fail even then.
 */
struct change {
	struct rules *rules;
	const struct rule **add;
	struct published_port **remove;
	struct published_port **retarget;
	const struct rule **retarget_to;
	struct published_port **added;
	size_t add_count, remove_count, retarget_count, added_count;
};

static int change_init(struct change *change, struct rules *rules, size_t most, struct error *err)
{
	void **block = calloc(5 * (most + 1), sizeof(void *));

	*change = (struct change){ .rules = rules };
	if (!block)
		return error_set(err, -ENOMEM, "no memory to change %zu rules", most);
	change->add = (const struct rule **)block;
	change->remove = (struct published_port **)(block + most + 1);
	change->retarget = (struct published_port **)(block + 2 * (most + 1));
	change->retarget_to = (const struct rule **)(block + 3 * (most + 1));
	change->added = (struct published_port **)(block + 4 * (most + 1));
	return make_room(rules, most, err);
}

static void change_fini(struct change *change)
{
	free(change->add);
}

static void plan(void *context, const struct rule *before, const struct rule *after)
{
	struct change *change = context;

	if (!before) {
		change->add[change->add_count++] = after;
	} else if (!after) {
		change->remove[change->remove_count++] = rules_find(change->rules, before);
	} else {
		change->retarget[change->retarget_count] = rules_find(change->rules, before);
		change->retarget_to[change->retarget_count++] = after;
	}
}

int rules_taken(const struct rule *by, struct error *err)
{
	char host[ADDRESS_TEXT_MAX];

	return error_set(err, -EEXIST, "port %s/%s is published already, by %s",
			 address_format(&by->host, host), protocol_name(by->protocol),
			 rule_origin_meaning(by->origin));
}

/* What is to be added must not be there already, of another origin. */
static int check_conflicts(const struct change *change, struct error *err)
{
	for (size_t i = 0; i < change->add_count; i++) {
		const struct published_port *port = rules_find(change->rules, change->add[i]);

		if (port)
			return rules_taken(&port->rule, err);
	}
	return 0;
}

static bool open_one(struct change *change, const struct rule *rule, struct error *err)
{
	const struct rules_keeper *keeper = &change->rules->keeper;
	OWNED_FD kept = keeper->take ? keeper->take(keeper->context, rule) : -1;
	struct published_port *port = publisher_add(change->rules->publisher, rule, kept, err);

	if (!port)
		return false;
	(void)fd_take(&kept);
	change->added[change->added_count++] = port;
	return true;
}

static bool in_the_way(const struct published_port *port, const struct rule *rule)
{
	return port->rule.protocol == rule->protocol && port->rule.host.port == rule->host.port;
}

/* Opens it once nothing that is to go is in the way; what was stopped for it is marked. */
static bool open_late(struct change *change, const struct rule *rule, struct error *err)
{
	bool any = false;

	for (size_t i = 0; i < change->remove_count; i++) {
		if (!in_the_way(change->remove[i], rule))
			continue;
		publisher_stop_listening(change->rules->publisher, change->remove[i]);
		any = true;
	}
	return any && open_one(change, rule, err);
}

static int open_all(struct change *change, struct error *err)
{
	for (size_t i = 0; i < change->add_count; i++) {
		const struct rule *rule = change->add[i];

		if (open_one(change, rule, err))
			continue;
		if (err->code != -EADDRINUSE || !open_late(change, rule, err))
			return err->code;
	}
	return 0;
}

static void undo(struct change *change)
{
	struct error ignored;

	for (size_t i = 0; i < change->added_count; i++)
		publisher_remove(change->rules->publisher, change->added[i]);
	for (size_t i = 0; i < change->remove_count; i++)
		if (change->remove[i]->fd < 0)
			(void)publisher_listen_again(change->rules->publisher, change->remove[i],
						     &ignored);
}

static void commit(struct change *change)
{
	struct rules *rules = change->rules;

	for (size_t i = 0; i < change->remove_count; i++) {
		take_out(rules, change->remove[i]);
		forget(rules, change->remove[i]);
		tell(rules, "remove", &change->remove[i]->rule);
	}
	publisher_remove_all(rules->publisher, change->remove, change->remove_count);
	publisher_change_all(rules->publisher, change->retarget, change->retarget_to,
			     change->retarget_count);
	for (size_t i = 0; i < change->retarget_count; i++)
		tell(rules, "change", change->retarget_to[i]);
	for (size_t i = 0; i < change->added_count; i++) {
		insert(rules, change->added[i]);
		keep(rules, change->added[i]);
		tell(rules, "add", &change->added[i]->rule);
	}
}

static int carry_out(struct change *change, struct error *err)
{
	int r = check_conflicts(change, err);

	if (r == 0) {
		r = open_all(change, err);
		if (r < 0)
			undo(change);
	}
	if (r == 0) {
		commit(change);
		tell_changed(change->rules);
	}
	return r;
}

/* Makes `before`, some of the rules, be those of `after`. Both are sorted. */
static int change_to(struct rules *rules, const struct ruleset *before, const struct ruleset *after,
		     struct rules_changed *ret, struct error *err)
{
	struct change change;
	int r = change_init(&change, rules, before->count + after->count, err);

	if (r == 0) {
		ruleset_diff(before, after, plan, &change);
		r = carry_out(&change, err);
	}
	if (r == 0)
		*ret = (struct rules_changed){
			.added = change.add_count,
			.removed = change.remove_count,
			.changed = change.retarget_count,
			.kept = after->count - change.add_count - change.retarget_count,
		};
	change_fini(&change);
	return r;
}

int rules_replace(struct rules *rules, enum rule_origin origin, const struct ruleset *set,
		  struct rules_changed *ret, struct error *err)
{
	struct ruleset before;
	int r;

	ruleset_init(&before);
	r = rules_copy(rules, origin, &before, err);
	if (r == 0)
		r = change_to(rules, &before, set, ret, err);
	ruleset_fini(&before);
	return r;
}

int rules_add(struct rules *rules, const struct ruleset *set, struct error *err)
{
	struct rules_changed changed;
	struct ruleset none;

	ruleset_init(&none);
	return change_to(rules, &none, set, &changed, err);
}

struct published_port *rules_adopt(struct rules *rules, const struct rule *rule, int fd,
				   struct error *err)
{
	struct published_port *port = rules_find(rules, rule);

	if (port) {
		(void)rules_taken(&port->rule, err);
		return NULL;
	}
	if (make_room(rules, 1, err) < 0)
		return NULL;
	port = publisher_add(rules->publisher, rule, fd, err);
	if (port) {
		insert(rules, port);
		tell(rules, "add", &port->rule);
		tell_changed(rules);
	}
	return port;
}

void rules_remove(struct rules *rules, struct published_port *port, uint64_t drain_ns)
{
	take_out(rules, port);
	forget(rules, port);
	tell(rules, "remove", &port->rule);
	if (drain_ns > 0 && port->rule.protocol != PROTOCOL_UDP)
		publisher_drain(rules->publisher, port, drain_ns);
	else
		publisher_remove(rules->publisher, port);
	tell_changed(rules);
}
