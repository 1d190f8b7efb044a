/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the daemon. */
#ifndef FAIRLEAD_APPS_DAEMON_OPTIONS_H
#define FAIRLEAD_APPS_DAEMON_OPTIONS_H

#include <stdbool.h>

#define CONFIG_PATH "/etc/fairlead/fairlead.json"

struct options {
	const char *config; /* NULL: the usual one, if it is there */
	const char *check;  /* a file to be looked at, and nothing else */
	bool cleanup, version, help;
};

/* Returns 0, or 2 after having said on standard error what was wrong. */
int options_parse(int argc, char **argv, struct options *ret);

void options_print_help(void);

#endif
