/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timeouts, in queues of one duration each.
 *
 * All that wait for the same length of time expire in the order in which they started, so a queue
 * is a list: starting, restarting and stopping cost O(1) at any number of sessions, and only the
 * first entry is ever looked at.
 */
#ifndef FAIRLEAD_LOOP_TIMEOUT_H
#define FAIRLEAD_LOOP_TIMEOUT_H

#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"

struct timeout {
	struct list node;
	uint64_t due_ns;
};

typedef void timeout_fn(void *context, struct timeout *timeout);

struct timeout_queue {
	struct list entries;
	struct list node; /* on loop.timeout_queues */
	uint64_t duration_ns;
	timeout_fn *expired;
	void *context;
};

/*
 * A queue whose entries call `expired`, already stopped, after duration_ns; 0 means never. Lives as
 * long as the loop.
 */
void timeout_queue_init(struct timeout_queue *queue, struct loop *loop, uint64_t duration_ns,
			timeout_fn *expired, void *context);

/* A timeout that is not started. */
void timeout_init(struct timeout *timeout);

/* Starts it, or starts it anew, on this queue. */
void timeout_start(struct timeout *timeout, struct timeout_queue *queue, const struct loop *loop);

/* Stops it; harmless where it is not started. */
void timeout_stop(struct timeout *timeout);

/* The one that started longest ago, NULL if there is none. */
struct timeout *timeout_oldest(const struct timeout_queue *queue);

/*
 * For the loop: expires what is due at now_ns and returns the time until the next one, UINT64_MAX
 * if there is none.
 */
uint64_t timeout_expire(struct list *queues, uint64_t now_ns);

#endif
