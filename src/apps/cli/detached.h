/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead publish -d: ports that the daemon publishes. */
#ifndef FAIRLEAD_APPS_CLI_DETACHED_H
#define FAIRLEAD_APPS_CLI_DETACHED_H

#include "apps/cli/publish_options.h"

/* Returns the exit code. */
int publish_detached(const struct publish_options *options);

#endif
