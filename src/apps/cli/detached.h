/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead publish -d: ports that the daemon publishes. */
#ifndef FAIRLEAD_APPS_CLI_DETACHED_H
#define FAIRLEAD_APPS_CLI_DETACHED_H

#include <stddef.h>

/* Ports as they were written, a container's IP address, and a name or NULL. Returns the exit code. */
int publish_detached(const char *const *ports, size_t ports_count, const char *container,
		     const char *name);

#endif
