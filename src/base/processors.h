/* SPDX-License-Identifier: Apache-2.0 */
/* The processors of the machine. */
#ifndef FAIRLEAD_BASE_PROCESSORS_H
#define FAIRLEAD_BASE_PROCESSORS_H

#include <stdint.h>

/* How many this process may use, at least 1. */
uint32_t processors_count(void);

/*
 * For how long they have been idle since the machine was started, all together (/proc/stat,
 * proc(5); in ticks of 10 ms or so). 0 where that cannot be known.
 */
uint64_t processors_idle_ns(void);

/*
 * The thread that calls it gives way from then on to those that carry data (setpriority(2), which is
 * of the calling thread on Linux).
 */
void processors_give_way(void);

/*
 * For whoever has given way, now and then: who is woken meanwhile would else wait until a slice of
 * this thread's is over, some milliseconds (sched_yield(2); sched(7)).
 */
void processors_pause(void);

#endif
