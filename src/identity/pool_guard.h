/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a pool in nftables: see identity/pool_host.h. */
#ifndef FAIRLEAD_IDENTITY_POOL_GUARD_H
#define FAIRLEAD_IDENTITY_POOL_GUARD_H

#include "base/error.h"
#include "net/prefix.h"

/* In place of one that is there, in one step. Returns 0 or -errno with a sentence. */
int pool_guard_add(const struct prefix *pool, struct error *err);

/* Nothing happens where there is none. */
void pool_guard_remove(const struct prefix *pool);

bool pool_guard_is_there(const struct prefix *pool);

#endif
