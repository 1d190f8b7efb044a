/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all sessions of one published port share: where they go, and what is counted of them.
 *
 * A route belongs to whoever publishes the port. Before it goes, it is marked as withdrawn, and
 * relay_drop_withdrawn() ends the last sessions that use it. Any thread may look at it.
 */
#ifndef FAIRLEAD_RELAY_ROUTE_H
#define FAIRLEAD_RELAY_ROUTE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/histogram.h"
#include "net/address.h"
#include "net/protocol.h"
#include "relay/end_reason.h"
#include "relay/introducer.h"

/*
 * Of all threads together. Bytes of sessions that are open are counted when they end, and when
 * relay_count_open() is called.
 */
struct relay_counters {
#define COUNTER(field, kind, metric, label, help) _Atomic uint64_t field;
#include "relay/counters.def"
#undef COUNTER
	_Atomic uint64_t ended[END_REASONS];
	struct histogram connecting; /* connections: until the container had accepted */
	struct histogram lasting;    /* sessions that have ended: how long they were open */
};

/* The same at one moment, for who reads them. */
struct relay_counts {
#define COUNTER(field, kind, metric, label, help) uint64_t field;
#include "relay/counters.def"
#undef COUNTER
	uint64_t ended[END_REASONS];
	struct histogram_counts connecting, lasting;
};

void relay_counters_read(const struct relay_counters *counters, struct relay_counts *ret);

/* Adds up. */
void relay_counts_add(struct relay_counts *sum, const struct relay_counts *counts);

extern const struct histogram_bounds relay_connecting_bounds;
extern const struct histogram_bounds relay_lasting_bounds;

struct relay_route {
	enum protocol protocol;
	/*
	 * Where new sessions go; those that are open stay where they are. Changed, as all that an owner
	 * may change of a port in use, while no other thread is running (workers_pause()).
	 */
	struct address target;
	const struct introducer *introducer; /* NULL: none */
	const void *policy;		     /* the introducer's */
	bool introduces;		     /* new sessions are introduced, or announced */
	bool has_moved; /* the target is not what it was once: that of a session may be another */
	_Atomic uint8_t early_misses; /* clients in a row that had said nothing when accepted */
	_Atomic bool withdrawn;
	struct relay_counters counters;
	void *owner; /* for the observer */
};

void relay_route_init(struct relay_route *route, enum protocol protocol,
		      const struct address *target, void *owner);

#endif
