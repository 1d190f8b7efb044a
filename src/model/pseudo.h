/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set of pseudo-IPv4 addresses, by the daemon's file and by flags alike. */
#ifndef FAIRLEAD_MODEL_PSEUDO_H
#define FAIRLEAD_MODEL_PSEUDO_H

#include "base/error.h"
#include "net/prefix.h"

/* Reserved for ever (RFC 1112 section 4), and so nobody's; Linux takes it as any other. */
#define PSEUDO_POOL "240.0.0.0/5"

/* The other half: what stands for those addresses on the host's side of the kernel path. */
#define PSEUDO_TRANSIT "248.0.0.0/5"

/* Fewer addresses than this serve nobody; what has more bits than that belongs to others. */
#define PSEUDO_POOL_LENGTH_LEAST 4
#define PSEUDO_POOL_LENGTH_MOST 29

/* A provider gives a customer a /48 at the most (RFC 6177); what is wider is not one client. */
#define PSEUDO_CLIENT_LENGTH_LEAST 48

/* Returns 0, or -EINVAL with a sentence. */
int pseudo_parse_pool(const char *text, struct prefix *ret, struct error *err);
int pseudo_parse_transit(const char *text, struct prefix *ret, struct error *err);

/*
 * The transit addresses of a pool, of the network that is for them: as many as the pool has, from its
 * begin. Returns 0, or -EINVAL with a sentence where they are too few, or the same.
 */
int pseudo_transit_of(const struct prefix *pool, const struct prefix *network, struct prefix *ret,
		      struct error *err);

#endif
