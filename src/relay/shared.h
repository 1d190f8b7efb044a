/* SPDX-License-Identifier: Apache-2.0 */
/* What the relays of all threads share. */
#ifndef FAIRLEAD_RELAY_SHARED_H
#define FAIRLEAD_RELAY_SHARED_H

#include "relay/budget.h"

struct relay_shared {
	struct budget budget;
	_Atomic uint64_t last_session_id;
};

/* descriptors_max is the limit of the process. */
static inline void relay_shared_init(struct relay_shared *shared, uint32_t descriptors_max)
{
	budget_init(&shared->budget, descriptors_max);
	shared->last_session_id = 0;
}

#endif
