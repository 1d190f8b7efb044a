/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

/* Below 64 each value has a bucket; above, the six bits after the highest one choose it. */
static size_t bucket_of(uint64_t ns)
{
	unsigned int shift;
	size_t bucket;

	if (ns < 64)
		return ns;
	shift = 57 - (unsigned int)__builtin_clzll(ns);
	bucket = ((size_t)(shift + 1) << 6) + (size_t)((ns >> shift) & 63);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of what falls into it. */
static uint64_t value_of(size_t bucket)
{
	unsigned int shift;

	if (bucket < 64)
		return bucket;
	shift = (unsigned int)(bucket >> 6) - 1;
	return ((64 + (uint64_t)(bucket & 63)) << shift) + ((1ULL << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->counts[bucket_of(ns)]++;
	histogram->total++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->counts[i] += from->counts[i];
	into->total += from->total;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)((double)histogram->total * share);
	uint64_t seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen > wanted || (seen == histogram->total && seen > 0))
			return value_of(i);
	}
	return 0;
}
