/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the log what an operator can act upon: refused and timed-out sessions, shortages. A port
 * under attack, or one whose container is down, would fill the log, so only the first few of each
 * ten seconds are written, and then how many were not.
 */
#ifndef FAIRLEAD_APPS_COMMON_REPORTER_H
#define FAIRLEAD_APPS_COMMON_REPORTER_H

#include "publish/publisher.h"

struct reporter {
	struct loop *loop;
	uint64_t window_ns; /* when the current ten seconds began */
	uint64_t paused_ns; /* when a port last paused; 0: never */
	uint32_t written;
	uint32_t held_back;
};

/* The observer that writes for the reporter, which must outlive it. */
struct publisher_observer reporter_observer(struct reporter *reporter, struct loop *loop);

#endif
