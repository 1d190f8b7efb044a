/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many descriptors the relay may hold.
 *
 * It is asked before a connection is accepted, so that at the limit new clients wait in the
 * kernel's backlog, with nothing half done for them. Pipes speed things up but are never needed:
 * they leave the last eighth to sessions.
 */
#ifndef FAIRLEAD_RELAY_BUDGET_H
#define FAIRLEAD_RELAY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint32_t used;
	uint32_t most;
};

static inline bool budget_has(const struct budget *budget, uint32_t descriptors)
{
	return budget->used + descriptors <= budget->most;
}

static inline bool budget_has_spare(const struct budget *budget, uint32_t descriptors)
{
	return budget->used + descriptors <= budget->most - budget->most / 8;
}

static inline void budget_take(struct budget *budget, uint32_t descriptors)
{
	budget->used += descriptors;
}

static inline void budget_give(struct budget *budget, uint32_t descriptors)
{
	budget->used -= descriptors;
}

#endif
