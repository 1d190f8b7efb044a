/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that carries packets on this host: links, programs, tables, and what is known of clients and
 * flows. It is opened for the first rule and closed after the last. One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_CARRIER_H
#define FAIRLEAD_KERNEL_CARRIER_H

#include "identity/identities.h"
#include "kernel/clients.h"
#include "kernel/flow_table.h"
#include "kernel/forwarding.h"
#include "kernel/services.h"
#include "kernel/translator.h"

/* As the daemon has it unless it is set (kernel_recheck). */
#define CARRIER_RECHECK_NS 1000000000

struct carrier_settings {
	struct identities *identities; /* its pool, and its clients' addresses */
	struct prefix transit;	       /* the network of transit addresses (model/pseudo.h) */
	const char *pins;	       /* see struct translator_settings; NULL: none */
	uint64_t udp_idle_ns;
	uint64_t recheck_ns; /* see there, too */

	struct flow_observer observer; /* called by whoever sweeps */
	/* What an operator should know: a rule cannot be carried, or what would be lost. May be NULL. */
	void (*told)(void *context, const struct error *err);
	void *context;
};

struct carrier {
	struct carrier_settings settings;
	struct kernel_rules rules;
	bool is_open;
	struct inside inside;
	int packets; /* a socket that sends packets of clients once more */
	struct forwarding forwarding;
	struct translator translator;
	struct clients clients;
	struct flow_table flows;
	struct services services;
	struct error told; /* the last that was told */
};

void carrier_init(struct carrier *carrier, const struct carrier_settings *settings);

/* Returns 0 or -errno with a sentence: what this host lacks. */
int carrier_open(struct carrier *carrier, struct error *err);

/* keeps: what is on the host stays, with its connections, for the next run. */
void carrier_close(struct carrier *carrier, bool keeps);

/* Tells the operator, but not the same twice. */
void carrier_tell(struct carrier *carrier, const struct error *err);

/* Takes away what a killed process has left. Returns how many things that were. */
int carrier_cleanup(const char *pins);

#endif
