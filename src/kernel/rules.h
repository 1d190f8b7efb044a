/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that the kernel path is to serve, and how it is about each. */
#ifndef FAIRLEAD_KERNEL_RULES_H
#define FAIRLEAD_KERNEL_RULES_H

#include "model/rule.h"
#include "relay/route.h"

struct kernel_rule {
	struct rule rule;
	struct address aim; /* of packets, up to the table raw */
	uint32_t number;    /* of its filters; 0: they are not set */
	uint32_t link;	    /* that leads to its container */
	bool is_carried;
	struct error obstacle; /* why it is not */
	uint64_t told;	       /* a hash of what the operator was told of it last */
	bool is_unanswered;    /* its packets got no answers, and the relay does better */

	struct relay_counters counters;
	uint64_t in_packets, out_packets;
	bool has_answered;   /* a packet to a client has been seen, ever */
	uint32_t unanswered; /* connections that wait for one, and have asked twice */
};

struct kernel_rules {
	struct kernel_rule **rules; /* sorted by key */
	size_t count;
};

void kernel_rules_fini(struct kernel_rules *rules);

/* NULL where there is none. */
struct kernel_rule *kernel_rules_find(const struct kernel_rules *rules, const struct rule *key);

/* The one that is published at that address, or at all of the host's. */
struct kernel_rule *kernel_rules_find_at(const struct kernel_rules *rules, enum protocol protocol,
					 const struct address *host);

/* Whether it is for clients that come to that address of the host. */
bool kernel_rule_is_at(const struct kernel_rule *rule, const struct address *host);

#endif
