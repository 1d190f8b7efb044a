/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of rules, and what turns one set into another.
 *
 * Whatever changes the rules of a daemon (its file, the API) says which set there is to be, and
 * ruleset_diff() what has to be done for it. It is pure: nothing is opened or closed here.
 */
#ifndef FAIRLEAD_MODEL_RULESET_H
#define FAIRLEAD_MODEL_RULESET_H

#include <stddef.h>

#include "model/port_spec.h"
#include "model/rule.h"

/* More rules than a host has ports of one address; a bound for what a request may bring. */
#define RULESET_MAX 65536

struct ruleset {
	struct rule *rules; /* sorted by key once ruleset_sort() has returned 0 */
	size_t count, room;
};

void ruleset_init(struct ruleset *set);
void ruleset_fini(struct ruleset *set);

/* Appends a copy. Returns 0, or -ENOMEM / -E2BIG with a sentence. */
int ruleset_add(struct ruleset *set, const struct rule *rule, struct error *err);

/*
 * Appends the rules of a port spec, which differ from `like` in their protocol, host address and
 * container's port alone: for a HOST-IP that was left out, on 0.0.0.0 and, where the host has IPv6,
 * on [::]; and as many as a range has. A choice of ports (port_spec_is_choice()) is refused: nothing
 * here knows which are free. Returns 0 or -errno with a sentence.
 */
int ruleset_add_spec(struct ruleset *set, const struct port_spec *spec, const struct rule *like,
		     struct error *err);

/*
 * Sorts by key. Returns 0, or with a sentence -EEXIST if two rules have the same key, -EINVAL if one
 * leads to another.
 */
int ruleset_sort(struct ruleset *set, struct error *err);

/* The rule of a sorted set that has the key of this one; NULL if there is none. */
const struct rule *ruleset_find(const struct ruleset *set, const struct rule *key);

/*
 * Calls `change` for each rule that only one of the two sorted sets has, or that has another effect
 * in them, in the order of keys: before is NULL for one that is new, after for one that is gone.
 */
typedef void ruleset_change_fn(void *context, const struct rule *before, const struct rule *after);
void ruleset_diff(const struct ruleset *before, const struct ruleset *after,
		  ruleset_change_fn *change, void *context);

#endif
