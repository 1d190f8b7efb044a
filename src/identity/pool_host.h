/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAIRLEAD_IDENTITY_POOL_HOST_H
#define FAIRLEAD_IDENTITY_POOL_HOST_H

#include "base/error.h"
#include "net/prefix.h"

struct pool_host {
	struct prefix pool;
};

int pool_host_open(struct pool_host *host, const struct prefix *pool, const char *run_directory,
		   struct error *err);
void pool_host_close(struct pool_host *host);
int pool_host_check(struct pool_host *host, struct error *err);

#endif
