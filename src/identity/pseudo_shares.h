/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many pseudo-IPv4 addresses the networks of IPv6 clients have, so that nobody takes all of
 * them: whoever has a /64 can be as many clients as he likes, and providers hand out /48s and more.
 *
 * Of all assignments that there may be, clients of one /64 have an eighth at most, those of a /48 a
 * quarter, those of a /32 half. Networks share counters by a keyed hash, so that memory is bounded.
 * A network may be counted with another one by that, which is as likely as a hit in 65,536, and
 * nobody can aim for it.
 */
#ifndef FAIRLEAD_IDENTITY_PSEUDO_SHARES_H
#define FAIRLEAD_IDENTITY_PSEUDO_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"

#define PSEUDO_SHARE_LEVELS 3
#define PSEUDO_SHARE_COUNTERS 65536

struct pseudo_shares {
	struct siphash_key key;
	uint32_t (*counts)[PSEUDO_SHARE_COUNTERS]; /* of each level */
	uint32_t most;				   /* assignments, of all */
};

/* Returns 0 or -ENOMEM. */
int pseudo_shares_init(struct pseudo_shares *shares, const struct siphash_key *key, uint32_t most);
void pseudo_shares_fini(struct pseudo_shares *shares);

/* Whether one more client of these networks may have an address. */
bool pseudo_shares_have_room(const struct pseudo_shares *shares, const uint8_t client[16]);

void pseudo_shares_add(struct pseudo_shares *shares, const uint8_t client[16]);
void pseudo_shares_remove(struct pseudo_shares *shares, const uint8_t client[16]);

#endif
