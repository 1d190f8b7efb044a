/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `fairlead publish`. */
#ifndef FAIRLEAD_APPS_CLI_PUBLISH_OPTIONS_H
#define FAIRLEAD_APPS_CLI_PUBLISH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/identity.h"
#include "model/port_spec.h"

/* As many as a command line of usual length can hold. */
#define SPECS_MAX 1024

struct publish_options {
	struct port_spec specs[SPECS_MAX];
	const char *texts[SPECS_MAX]; /* as they were written */
	size_t specs_count;
	struct address container;
	const char *container_text;
	bool detached;
	const char *name;   /* of the daemon's rules */
	const char *socket; /* the daemon's */
	struct identity identity;
	struct prefix pool;    /* of pseudo-IPv4 addresses, in the foreground */
	uint8_t client_length; /* of the prefix that is one client there */
	bool has_pool_options;
};

/* Returns -1 to go on, else the exit code: what was wrong has been said on standard error. */
int publish_options_parse(int argc, char **argv, struct publish_options *ret);

#endif
