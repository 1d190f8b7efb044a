/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
 *
 * Tables that hold what strangers choose (client addresses) are keyed with it, so that nobody can
 * aim at one bucket.
 */
#ifndef FAIRLEAD_BASE_SIPHASH_H
#define FAIRLEAD_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0;
	uint64_t k1;
};

/* Fills the key from the kernel's random source. Returns 0 or -errno. */
int siphash_key_init(struct siphash_key *key);

uint64_t siphash(const struct siphash_key *key, const void *data, size_t length);

#endif
