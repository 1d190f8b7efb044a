/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was carried in the last minutes, sample by sample, so that whoever begins to look sees more
 * than a point. On the loop's thread, but for history_copy().
 */
#ifndef FAIRLEAD_CONTROL_HISTORY_H
#define FAIRLEAD_CONTROL_HISTORY_H

#include <pthread.h>

#include "loop/timeout.h"
#include "publish/publisher.h"

struct kernel_path;

#define HISTORY_PERIOD_NS (2 * UINT64_C(1000000000))
#define HISTORY_SAMPLES 150 /* five minutes */

/* Rates of the period before it, and how many sessions were open at its end. */
struct history_sample {
	uint64_t in_bytes_s, out_bytes_s;
	uint64_t open;
};

struct history {
	struct publisher *publisher;
	const struct kernel_path *kernel_path; /* the owner sets it; NULL: there is none */
	struct timeout_queue periods;
	struct timeout tick;
	uint64_t in_bytes, out_bytes; /* of all ports there are, at the last sample */
	uint64_t sampled_ns;
	pthread_mutex_t mutex; /* of both below */
	struct history_sample samples[HISTORY_SAMPLES];
	uint64_t count; /* of all that there were */
};

void history_init(struct history *history, struct publisher *publisher);
void history_fini(struct history *history);

/* From any thread: copies the samples, the oldest first, and returns how many there are. */
size_t history_copy(struct history *history, struct history_sample samples[HISTORY_SAMPLES]);

#endif
