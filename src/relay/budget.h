/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many descriptors the relay may hold, all threads together.
 *
 * It is asked before a connection is accepted, so that at the limit new clients wait in the
 * kernel's backlog, with nothing half done for them. Pipes speed things up but are never needed:
 * they leave the last eighth to sessions.
 */
#ifndef FAIRLEAD_RELAY_BUDGET_H
#define FAIRLEAD_RELAY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget {
	_Atomic uint32_t used;
	uint32_t most;
	_Atomic bool wanted; /* somebody waits for descriptors to be given back */
};

/* limit is that of the process. Some are kept for all that is not a session or a pipe. */
void budget_init(struct budget *budget, uint32_t limit);

/* Takes so many, or none and returns false. */
bool budget_try(struct budget *budget, uint32_t descriptors);

/* The same, but not of those that are kept for sessions. */
bool budget_try_spare(struct budget *budget, uint32_t descriptors);

/* Whether those that are kept for sessions have not been touched. */
bool budget_has_spare(const struct budget *budget);

/* Counts descriptors that are there anyway. */
void budget_take(struct budget *budget, uint32_t descriptors);

void budget_give(struct budget *budget, uint32_t descriptors);

#endif
