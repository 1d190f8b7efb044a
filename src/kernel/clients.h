/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of the kernel path: each has its pseudo-IPv4 address, of which it holds a lease as long as
 * it has flows. One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_CLIENTS_H
#define FAIRLEAD_KERNEL_CLIENTS_H

#include "identity/pseudo.h"
#include "kernel/translator.h"

struct client;

struct clients {
	struct pseudo *pseudo;
	struct translator *translator;
	void *tree; /* tsearch(3) */
	uint64_t sweep;
};

void clients_init(struct clients *clients, struct pseudo *pseudo, struct translator *translator);

/* Gives all leases back. */
void clients_fini(struct clients *clients);

/*
 * Makes sure that a client has an address, and that the translator knows it. Returns it, of family
 * AF_UNSPEC where none is to be had and the client is the relay's; NULL without memory.
 */
const struct address *clients_admit(struct clients *clients, const struct address *address);

/* NULL where it has none. */
const struct address *clients_find(struct clients *clients, const struct address *address);

/*
 * Between these two each client that is in use is shown. At the end, those go that were not, nor came
 * since.
 */
void clients_begin_sweep(struct clients *clients);
void clients_use(struct clients *clients, const struct address *address);
void clients_end_sweep(struct clients *clients);

#endif
