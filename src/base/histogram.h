/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of durations, counted by any thread.
 *
 * A bucket counts what lies above the bound before it and not above its own; the last one has no
 * bound. The bounds are a table that belongs to whoever counts and reads.
 */
#ifndef FAIRLEAD_BASE_HISTOGRAM_H
#define FAIRLEAD_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 15

struct histogram_bounds {
	uint32_t count;
	uint64_t ns[HISTOGRAM_BOUNDS_MAX]; /* rising */
};

struct histogram {
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
	_Atomic uint64_t sum_ns;
};

/* The same at one moment. */
struct histogram_counts {
	uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
	uint64_t sum_ns;
};

static inline void histogram_read(const struct histogram *histogram, struct histogram_counts *ret)
{
	for (uint32_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
		ret->counts[i] = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
	ret->sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
}

static inline void histogram_add(struct histogram *histogram, const struct histogram_bounds *bounds,
				 uint64_t ns)
{
	uint32_t bucket = 0;

	while (bucket < bounds->count && ns > bounds->ns[bucket])
		bucket++;
	atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_ns, ns, memory_order_relaxed);
}

#endif
