/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about the load of threads: a decision from numbers alone.
 *
 * A share is the part of a period for which a thread was not waiting, in thousandths.
 */
#ifndef FAIRLEAD_RELAY_BALANCE_H
#define FAIRLEAD_RELAY_BALANCE_H

#include <stdint.h>

#define BALANCE_THREADS_MAX 16

/* Of which the shares are taken. Long enough for a share to mean something. */
#define BALANCE_PERIOD_NS (100 * NS_PER_MS)

enum balance_action {
	BALANCE_NOTHING,
	BALANCE_START,	/* one more thread */
	BALANCE_RETIRE, /* the last thread is to give its sessions away, and end */
	BALANCE_MOVE,	/* some sessions, from one thread to another */
};

struct balance {
	uint32_t busy_periods; /* in a row, in which a thread was too busy */
	uint32_t idle_periods; /* ... in which one thread fewer would do */
	uint32_t pause;	       /* periods in which what was done last is to show */
	int32_t credits[BALANCE_THREADS_MAX];
	uint32_t weights[BALANCE_THREADS_MAX]; /* what each thread has left; 0: takes nothing */
};

struct balance_order {
	enum balance_action action;
	uint32_t from, to; /* BALANCE_MOVE */
	uint32_t permille; /* BALANCE_MOVE: of the sessions that are active */
};

void balance_init(struct balance *balance);

/*
 * At the end of a period: the shares of all threads, the owner's first. idle: of the machine's
 * processors together, in thousandths of one. One that has nothing to give makes a further thread
 * useless: it would only take turns with the others.
 */
struct balance_order balance_decide(struct balance *balance, const uint32_t *shares, uint32_t count,
				    uint32_t idle, uint32_t least, uint32_t most);

/* A thread that is so busy may have work waiting: of such a period `idle` is of interest. */
#define BALANCE_BUSY_SHARE 850

/* The thread for the next connection: in turns, more of them to those with more time left. */
uint32_t balance_pick(struct balance *balance, uint32_t count);

#endif
