/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel path: outside IPv6 clients of some rules are carried by the kernel, packet by packet,
 * and no socket of ours sees them. Rules that take it are published by the relay, too, which serves
 * whoever cannot be carried so: clients of this host, and those that a rule denies.
 *
 * One thread does what there is to do; each client's first packet comes to it.
 */
#ifndef FAIRLEAD_KERNEL_KERNEL_PATH_H
#define FAIRLEAD_KERNEL_KERNEL_PATH_H

#include <pthread.h>
#include <stdbool.h>

#include "identity/pseudo.h"
#include "kernel/translator.h"
#include "model/rule.h"

struct kernel_path {
	struct pseudo *pseudo;
	struct inside inside;
	struct translator translator;
	int packets; /* a socket that sends packets of clients once more */
	int stop;    /* an eventfd(2) */
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows */
	struct kernel_rule {
		struct rule rule;
		struct address aim; /* of packets, up to the table raw */
	} * rules;
	size_t rules_count;
	struct prefix transit;
	void *clients; /* tsearch(3): who has a pseudo-IPv4 address */
	uint64_t sweep;
};

/*
 * The lower half of the pool is for clients, and has to be that of `pseudo`; the upper half is what
 * the host itself routes them by. Both are made of the whole one.
 */
void kernel_path_halve(const struct prefix *whole, struct prefix *ret_pool,
		       struct prefix *ret_transit);

/* Returns 0 or -errno with a sentence: what this host lacks. */
int kernel_path_open(struct kernel_path *path, struct pseudo *pseudo, const struct prefix *pool,
		     const struct prefix *transit, struct error *err);
void kernel_path_close(struct kernel_path *path);

/* Adds a rule. Returns 0 or -errno with a sentence. */
int kernel_path_add(struct kernel_path *path, const struct rule *rule, struct error *err);

#endif
