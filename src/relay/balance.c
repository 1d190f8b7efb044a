/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/balance.h"

#include <string.h>

/* For how long a thread must be busy for a further one to be worth it. */
#define BUSY_PERIODS 2

/* What must be left of a processor for it. */
#define IDLE_LEAST 500

/* What all threads but one may be busy with, each, for one to be too many; and for how long. */
#define IDLE_SHARE 500
#define IDLE_PERIODS 20

/* How much busier one thread must be than another for sessions to move. */
#define UNEVEN_SHARE 200

#define PAUSE_PERIODS 2

/* Nobody is left out: what is left of a thread's time is known a period late. */
#define WEIGHT_LEAST 50

void balance_init(struct balance *balance)
{
	memset(balance, 0, sizeof(*balance));
	for (uint32_t i = 0; i < BALANCE_THREADS_MAX; i++)
		balance->weights[i] = WEIGHT_LEAST;
}

static void weigh(struct balance *balance, const uint32_t *shares, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t left = shares[i] < 1000 ? 1000 - shares[i] : 0;

		balance->weights[i] = left > WEIGHT_LEAST ? left : WEIGHT_LEAST;
	}
}

static struct balance_order done(struct balance *balance, enum balance_action action)
{
	balance->busy_periods = 0;
	balance->idle_periods = 0;
	balance->pause = PAUSE_PERIODS;
	return (struct balance_order){ .action = action };
}

struct balance_order balance_decide(struct balance *balance, const uint32_t *shares, uint32_t count,
				    uint32_t idle, uint32_t least, uint32_t most)
{
	uint32_t busiest = 0, idlest = 0, sum = 0;
	struct balance_order order;

	weigh(balance, shares, count);
	for (uint32_t i = 0; i < count; i++) {
		sum += shares[i];
		busiest = shares[i] > shares[busiest] ? i : busiest;
		idlest = shares[i] < shares[idlest] ? i : idlest;
	}
	balance->busy_periods = shares[busiest] >= BALANCE_BUSY_SHARE ? balance->busy_periods + 1
								      : 0;
	balance->idle_periods = sum <= IDLE_SHARE * (count - 1) ? balance->idle_periods + 1 : 0;
	if (balance->pause > 0) {
		balance->pause--;
		return (struct balance_order){ .action = BALANCE_NOTHING };
	}
	if (count > least && balance->idle_periods >= IDLE_PERIODS)
		return done(balance, BALANCE_RETIRE);
	if (shares[busiest] >= shares[idlest] + UNEVEN_SHARE && shares[busiest] > IDLE_SHARE) {
		order = done(balance, BALANCE_MOVE);
		order.from = busiest;
		order.to = idlest;
		order.permille = 500 * (shares[busiest] - shares[idlest]) / shares[busiest];
		return order;
	}
	if (count < most && balance->busy_periods >= BUSY_PERIODS && idle >= IDLE_LEAST)
		return done(balance, BALANCE_START);
	return (struct balance_order){ .action = BALANCE_NOTHING };
}

uint32_t balance_pick(struct balance *balance, uint32_t count)
{
	uint32_t picked = 0;
	int32_t sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		balance->credits[i] += (int32_t)balance->weights[i];
		sum += (int32_t)balance->weights[i];
		picked = balance->credits[i] > balance->credits[picked] ? i : picked;
	}
	balance->credits[picked] -= sum;
	return picked;
}
