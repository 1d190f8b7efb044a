/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon as a whole: what it is made of, and in which order that begins and ends. */
#ifndef FAIRLEAD_APPS_DAEMON_DAEMON_H
#define FAIRLEAD_APPS_DAEMON_DAEMON_H

#include "base/error.h"

/*
 * Reads the configuration and begins to serve. config_path is NULL for the usual file, which need
 * not be there. Returns 0, or -errno with a sentence.
 */
int daemon_start(const char *config_path, struct error *err);

/* Serves until it has been told to end, and ends. Returns 0 or -errno. */
int daemon_run(void);

#endif
