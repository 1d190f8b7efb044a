/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/budget.h"

/* Standard streams, epoll, signals, mailboxes, listener, log, and some for the libc. */
#define RESERVED 16

void budget_init(struct budget *budget, uint32_t limit)
{
	budget->used = 0;
	budget->most = limit > 2 * RESERVED ? limit - RESERVED : limit / 2;
	budget->wanted = false;
}

static bool try_up_to(struct budget *budget, uint32_t descriptors, uint32_t most)
{
	uint32_t used = budget->used;

	do
		if (used + descriptors > most)
			return false;
	while (!atomic_compare_exchange_weak(&budget->used, &used, used + descriptors));
	return true;
}

static uint32_t without_reserve(const struct budget *budget)
{
	return budget->most - budget->most / 8;
}

bool budget_try(struct budget *budget, uint32_t descriptors)
{
	return try_up_to(budget, descriptors, budget->most);
}

bool budget_try_spare(struct budget *budget, uint32_t descriptors)
{
	return try_up_to(budget, descriptors, without_reserve(budget));
}

bool budget_has_spare(const struct budget *budget)
{
	return budget->used <= without_reserve(budget);
}

void budget_take(struct budget *budget, uint32_t descriptors)
{
	budget->used += descriptors;
}

void budget_give(struct budget *budget, uint32_t descriptors)
{
	budget->used -= descriptors;
}
