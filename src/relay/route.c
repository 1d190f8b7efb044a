/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/route.h"

#include <string.h>

#include "base/clock.h"

#define MS NS_PER_MS
#define S NS_PER_S

/* A container on this host takes some 50 us; 30 s is the connect timeout that most have. */
const struct histogram_bounds relay_connecting_bounds = {
	.count = 11,
	.ns = { MS / 10, MS / 2, MS, 5 * MS, 10 * MS, 50 * MS, 100 * MS, 500 * MS, S, 5 * S,
		30 * S },
};

/* From a request that fails at once to a session that stays for days. */
const struct histogram_bounds relay_lasting_bounds = {
	.count = 10,
	.ns = { MS, 10 * MS, 100 * MS, S, 10 * S, 60 * S, 600 * S, 3600 * S, 21600 * S, 86400 * S },
};

void relay_route_init(struct relay_route *route, enum protocol protocol,
		      const struct address *target, void *owner)
{
	memset(route, 0, sizeof(*route));
	route->protocol = protocol;
	route->target = *target;
	route->owner = owner;
}

void relay_counters_read(const struct relay_counters *counters, struct relay_counts *ret)
{
#define COUNTER(field, kind, metric, label, help) \
	ret->field = atomic_load_explicit(&counters->field, memory_order_relaxed);
#include "relay/counters.def"
#undef COUNTER
	for (int reason = 0; reason < END_REASONS; reason++)
		ret->ended[reason] = atomic_load_explicit(&counters->ended[reason],
							  memory_order_relaxed);
	histogram_read(&counters->connecting, &ret->connecting);
	histogram_read(&counters->lasting, &ret->lasting);
}

static void add_histogram(struct histogram_counts *sum, const struct histogram_counts *counts)
{
	for (uint32_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
		sum->counts[i] += counts->counts[i];
	sum->sum_ns += counts->sum_ns;
}

void relay_counts_add(struct relay_counts *sum, const struct relay_counts *counts)
{
#define COUNTER(field, kind, metric, label, help) sum->field += counts->field;
#include "relay/counters.def"
#undef COUNTER
	for (int reason = 0; reason < END_REASONS; reason++)
		sum->ended[reason] += counts->ended[reason];
	add_histogram(&sum->connecting, &counts->connecting);
	add_histogram(&sum->lasting, &counts->lasting);
}
