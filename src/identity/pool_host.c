/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_host.h"

#include "identity/pool_guard.h"
#include "identity/pool_route.h"

int pool_host_open(struct pool_host *host, const struct prefix *pool, const char *run_directory,
		   struct error *err)
{
	int r;

	(void)run_directory;
	host->pool = *pool;
	r = pool_guard_add(pool, err);
	if (r < 0)
		return r;
	r = pool_route_add(pool);
	return r < 0 ? error_set(err, r, "route: %s", error_name(r)) : 0;
}

void pool_host_close(struct pool_host *host)
{
	(void)pool_route_remove(&host->pool);
	pool_guard_remove(&host->pool);
}

int pool_host_check(struct pool_host *host, struct error *err)
{
	(void)host;
	(void)err;
	return 0;
}
