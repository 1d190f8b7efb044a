/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that are in force, whoever brought them, and the ways to change them: each as a whole
 * or not at all. On the loop's thread.
 */
#ifndef FAIRLEAD_CONTROL_RULES_H
#define FAIRLEAD_CONTROL_RULES_H

#include "model/ruleset.h"
#include "publish/publisher.h"

struct events;

/* Who keeps listening sockets from one start of the program to the next. Any may be NULL. */
struct rules_keeper {
	/* The one that was kept for the rule, the caller's from then on; -1: there is none. */
	int (*take)(void *context, const struct rule *rule);
	void (*keep)(void *context, const struct rule *rule, int fd);
	void (*forget)(void *context, const struct rule *rule);
	void *context;
};

/* Who wants to know that rules have changed. On the loop's thread; changed may be NULL. */
struct rules_observer {
	void (*changed)(void *context);
	void *context;
};

struct rules {
	struct publisher *publisher;
	struct events *events;
	struct published_port **ports; /* sorted by key */
	size_t count, room;
	struct rules_keeper keeper;
	struct rules_observer observer; /* the owner sets it */
};

/* What a change did. */
struct rules_changed {
	size_t added, removed, changed, kept;
};

void rules_init(struct rules *rules, struct publisher *publisher, struct events *events,
		const struct rules_keeper *keeper);
void rules_fini(struct rules *rules);

/* NULL where there is none. */
struct published_port *rules_find(const struct rules *rules, const struct rule *key);
struct published_port *rules_find_id(const struct rules *rules, const char *id);

/* The place in `ports` of the first whose key comes behind this one. */
size_t rules_after(const struct rules *rules, const struct rule *key);

/* Returns -EEXIST, with the sentence that the port is published already, and by whom. */
int rules_taken(const struct rule *by, struct error *err);

/* Copies the rules of one origin, sorted. Returns 0 or -errno with a sentence. */
int rules_copy(const struct rules *rules, enum rule_origin origin, struct ruleset *into,
	       struct error *err);

/*
 * Publishes them besides what there is. Returns 0, or -errno with a sentence, and nothing has been
 * changed: -EEXIST where one is published already.
 */
int rules_add(struct rules *rules, const struct ruleset *set, struct error *err);

/* One with a socket (see publisher_add()). Returns the port, or NULL with a sentence. */
struct published_port *rules_adopt(struct rules *rules, const struct rule *rule, int fd,
				   struct error *err);

/*
 * Withdraws it. With drain_ns, sessions may go on for so long, of TCP and SCTP that is; nobody is
 * accepted any more.
 */
void rules_remove(struct rules *rules, struct published_port *port, uint64_t drain_ns);

/*
 * Makes the rules of one origin be those of the sorted set: withdraws, publishes and changes what
 * differs, and leaves the others and their sessions alone. Returns 0, or -errno with a sentence, and
 * nothing has been changed.
 */
int rules_replace(struct rules *rules, enum rule_origin origin, const struct ruleset *set,
		  struct rules_changed *ret, struct error *err);

#endif
