/* SPDX-License-Identifier: Apache-2.0 */
#include "control/history.h"

#include <string.h>

#include "base/clock.h"
#include "kernel/kernel_path.h"
#include "relay/relay.h"
#include "relay/sessions.h"

/*
 * How many open sessions a thread counts for one sample, so that its data does not wait for a
 * millisecond: it takes 40 ns for each. Where there are more, the rest is counted for the next.
 */
#define COUNTED_MAX 16384

static void count_open(struct relay *relay)
{
	if (!relay_count_open(relay, &relay->counted, COUNTED_MAX))
		relay->counted = 0;
}

struct sums {
	uint64_t in_bytes, out_bytes, open;
};

static struct sums sum_up(const struct history *history)
{
	const struct publisher *publisher = history->publisher;
	struct kernel_path_totals by_kernel = { .open = 0 };
	struct sums sums = { .open = 0 };

	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port)) {
		sums.in_bytes += port->route.counters.in_bytes;
		sums.out_bytes += port->route.counters.out_bytes;
		sums.open += port->route.counters.open;
	}
	if (history->kernel_path)
		kernel_path_sum_up(history->kernel_path, &by_kernel);
	sums.in_bytes += by_kernel.in_bytes;
	sums.out_bytes += by_kernel.out_bytes;
	sums.open += by_kernel.open;
	return sums;
}

/* What a port has carried goes with it: the sum may have fallen. */
static uint64_t rate(uint64_t before, uint64_t now, uint64_t period_ns)
{
	return now > before ? (now - before) * 1000 / (period_ns / NS_PER_MS) : 0;
}

static void add(struct history *history, const struct history_sample *sample)
{
	pthread_mutex_lock(&history->mutex);
	history->samples[history->count++ % HISTORY_SAMPLES] = *sample;
	pthread_mutex_unlock(&history->mutex);
}

static void tick(void *context, struct timeout *timeout)
{
	struct history *history = context;
	const struct loop *loop = history->publisher->loop;
	uint64_t period_ns = loop->now_ns - history->sampled_ns;
	struct sums sums = sum_up(history);
	struct history_sample sample = {
		.in_bytes_s = rate(history->in_bytes, sums.in_bytes, period_ns),
		.out_bytes_s = rate(history->out_bytes, sums.out_bytes, period_ns),
		.open = sums.open,
	};

	if (history->sampled_ns > 0)
		add(history, &sample);
	history->in_bytes = sums.in_bytes;
	history->out_bytes = sums.out_bytes;
	history->sampled_ns = loop->now_ns;
	/* for the next sample: what open sessions will have moved until then */
	workers_tell_each(&history->publisher->workers, count_open);
	timeout_start(timeout, &history->periods, loop);
}

void history_init(struct history *history, struct publisher *publisher)
{
	memset(history, 0, sizeof(*history));
	history->publisher = publisher;
	pthread_mutex_init(&history->mutex, NULL);
	timeout_queue_init(&history->periods, publisher->loop, HISTORY_PERIOD_NS, tick, history);
	timeout_init(&history->tick);
	timeout_start(&history->tick, &history->periods, publisher->loop);
}

void history_fini(struct history *history)
{
	timeout_stop(&history->tick);
	pthread_mutex_destroy(&history->mutex);
}

size_t history_copy(struct history *history, struct history_sample samples[HISTORY_SAMPLES])
{
	size_t count;

	pthread_mutex_lock(&history->mutex);
	count = history->count < HISTORY_SAMPLES ? history->count : HISTORY_SAMPLES;
	for (size_t i = 0; i < count; i++)
		samples[i] = history->samples[(history->count - count + i) % HISTORY_SAMPLES];
	pthread_mutex_unlock(&history->mutex);
	return count;
}
