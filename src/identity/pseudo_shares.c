/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pseudo_shares.h"

#include <errno.h>
#include <stdlib.h>

/* The bytes of a network's prefix, and the part of all that it may have. */
static const struct {
	uint8_t bytes, part;
} levels[PSEUDO_SHARE_LEVELS] = { { 8, 8 }, { 6, 4 }, { 4, 2 } };

/* A network may have so many in any case: where there is room for few, those may be of one. */
#define LEAST 65536u

int pseudo_shares_init(struct pseudo_shares *shares, const struct siphash_key *key, uint32_t most)
{
	*shares = (struct pseudo_shares){ .key = *key, .most = most };
	shares->counts = calloc(PSEUDO_SHARE_LEVELS, sizeof(*shares->counts));
	return shares->counts ? 0 : -ENOMEM;
}

void pseudo_shares_fini(struct pseudo_shares *shares)
{
	free(shares->counts);
	shares->counts = NULL;
}

static uint32_t *count_of(const struct pseudo_shares *shares, const uint8_t client[16],
			  size_t level)
{
	uint64_t hash = siphash(&shares->key, client, levels[level].bytes);

	return &shares->counts[level][hash % PSEUDO_SHARE_COUNTERS];
}

bool pseudo_shares_have_room(const struct pseudo_shares *shares, const uint8_t client[16])
{
	for (size_t i = 0; i < PSEUDO_SHARE_LEVELS; i++) {
		uint32_t limit = shares->most / levels[i].part;

		if (*count_of(shares, client, i) >= (limit > LEAST ? limit : LEAST))
			return false;
	}
	return true;
}

void pseudo_shares_add(struct pseudo_shares *shares, const uint8_t client[16])
{
	for (size_t i = 0; i < PSEUDO_SHARE_LEVELS; i++)
		++*count_of(shares, client, i);
}

void pseudo_shares_remove(struct pseudo_shares *shares, const uint8_t client[16])
{
	for (size_t i = 0; i < PSEUDO_SHARE_LEVELS; i++)
		--*count_of(shares, client, i);
}
