/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to tell of connections of the kernel path. The maps know only what the programs need;
 * here each connection has a number and a rule, its end is seen, and its bytes are counted for that
 * rule. All of it comes from reading the maps now and then (flow_table_sweep()).
 *
 * One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_FLOW_TABLE_H
#define FAIRLEAD_KERNEL_FLOW_TABLE_H

#include "base/siphash.h"
#include "kernel/clients.h"
#include "kernel/rules.h"
#include "kernel/translator.h"
#include "relay/session.h"

struct tracked;

struct flow_observer {
	/* A number for a new session, rising. */
	uint64_t (*next_id)(void *context);
	void (*ended)(void *context, const struct session_end *end, const struct rule *rule);
	void *context;
};

struct flow_table {
	struct translator *translator;
	struct clients *clients;
	struct kernel_rules *rules;
	struct flow_observer observer;
	uint64_t udp_idle_ns;
	struct siphash_key key;		      /* clients choose what is in the table */
	struct tracked *flows;		      /* uthash */
	_Atomic size_t count;		      /* of those that have not ended */
	_Atomic uint64_t in_bytes, out_bytes; /* of all, since it was opened */
	uint64_t sweep, swept_ns, sweep_cost_ns;
	uint64_t opened_ns; /* what began before is an earlier run's */
};

/* Returns 0 or -errno. */
int flow_table_init(struct flow_table *table, const struct flow_table *like);

/* What is there is forgotten; the maps stay as they are. */
void flow_table_fini(struct flow_table *table);

/* Reads the maps, tells of what has ended, and ends what is silent for too long. */
void flow_table_sweep(struct flow_table *table);

/* Shows all; their routes are NULL. */
void flow_table_list(struct flow_table *table,
		     void (*take)(void *context, const struct session *session,
				  const struct kernel_rule *rule),
		     void *context);

/* Ends one. Returns false where there is no such session. */
bool flow_table_end(struct flow_table *table, uint64_t id);

/*
 * Ends those of a rule that goes; or gives them to the one that takes its place, but for UDP's where
 * `moves`, which shall find the new container.
 */
void flow_table_end_rule(struct flow_table *table, struct kernel_rule *rule);
void flow_table_hand_over(struct flow_table *table, struct kernel_rule *from,
			  struct kernel_rule *to, bool moves);

void flow_table_end_udp(struct flow_table *table);

/* Forgets those of a rule that no answer has come for, so that their clients begin anew. */
void flow_table_forget_unanswered(struct flow_table *table, const struct kernel_rule *rule);

#endif
