/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set of pseudo-IPv4 addresses, by the daemon's file and by flags alike. */
#ifndef FAIRLEAD_MODEL_PSEUDO_H
#define FAIRLEAD_MODEL_PSEUDO_H

#include "base/error.h"
#include "net/prefix.h"

/* Reserved for ever (RFC 1112 section 4), and so nobody's; Linux takes it as any other. */
#define PSEUDO_POOL "240.0.0.0/4"

/* Fewer addresses than this serve nobody; what has more bits than that belongs to others. */
#define PSEUDO_POOL_LENGTH_LEAST 4
#define PSEUDO_POOL_LENGTH_MOST 29

/* A provider gives a customer a /48 at the most (RFC 6177); what is wider is not one client. */
#define PSEUDO_CLIENT_LENGTH_LEAST 48

/* Returns 0, or -EINVAL with a sentence. */
int pseudo_parse_pool(const char *text, struct prefix *ret, struct error *err);

#endif
