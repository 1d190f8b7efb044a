/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where clients find what is carried: each rule at each of the host's addresses that it is for. They
 * come and go, and links with them. One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_SERVICES_H
#define FAIRLEAD_KERNEL_SERVICES_H

#include "kernel/links.h"
#include "kernel/rules.h"
#include "kernel/translator.h"

struct services {
	struct translator *translator;
	const struct kernel_rules *rules;
	struct link_address *links;
	struct translator_service *published; /* sorted */
	size_t published_count;
	int links_count;
	bool are_closed; /* nothing is published any more */
};

void services_init(struct services *services, struct translator *translator,
		   const struct kernel_rules *rules);
void services_fini(struct services *services);

/*
 * Attaches the programs to all links with addresses for clients that can be used (obstacles.h), and
 * follows these. A filter that
 * somebody has taken away is put there again.
 */
void services_look(struct services *services);

/* Publishes what is carried now, and nothing else. */
void services_publish(struct services *services);

#endif
